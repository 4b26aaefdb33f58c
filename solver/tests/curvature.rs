//! Step sizes from the curvature, and minima by L-BFGS: closed forms, losses that diverge with a fixed step size,
//! refusals.

use hypertape_autodiff::{Array, List, Shape};
use hypertape_solver::linear::{Cg, Stop};
use hypertape_solver::{
    Adam, AnyRule, Bilevel, Draw, Estimator, Exact, Implicit, InnerLoop, Ista, Level, Oracle,
    Params, Rows, mean_loss,
};

/// Softplus losses on 40 points in 6 features with a penalty `e^x_j w_j^2 / 2` per feature; `f` is the same without
/// penalties, on other points.
struct Logistic {
    rows: Vec<f64>,
    start: f64,
}

const P: usize = 6;
const N: usize = 40;

impl Logistic {
    fn new(start: f64) -> Self {
        // A linear congruence is random enough here.
        let mut state = 1_u64;
        let rows = (0..2 * N * P).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64 / 8_388_608.0 - 1.0
        });
        Self { rows: rows.collect(), start }
    }

    fn loss<'a, A: Array<'a, Elem = f64>>(&'a self, w: A, part: usize) -> A {
        let rows = &self.rows[part * N * P..][..N * P];
        w.constant(Shape::new(40, 6), rows).matmul(w).softplus().sum() / N as f64 - w.sum() * 0.1
    }
}

impl Bilevel<f64> for Logistic {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(6), [self.start; P])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0).broadcast_to(Shape::column(6))])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        self.loss(w[0], 0) + (x[0].exp() * w[0].square()).sum() * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        self.loss(w[0], 1)
    }
    fn samples(&self, draw: Draw) -> usize {
        if matches!(draw.level, Level::Inner | Level::Outer) { N } else { 0 }
    }
}

fn estimate(
    estimator: &mut dyn Estimator<f64>,
    problem: Logistic,
    inner: &InnerLoop,
) -> Result<(f64, Vec<f64>), hypertape_solver::Error> {
    let mut oracle = Oracle::new(problem).unwrap();
    let (x, mut gradient) = (oracle.start().values().to_vec(), vec![0.0; P]);
    let predicted = estimator.predict(&mut oracle, inner, &x, Draw::new(0, 0))?;
    let found = estimator.estimate(&mut oracle, inner, &x, Draw::new(0, 0), &mut gradient)?;
    assert_eq!(found.cost.bytes_measured, predicted, "{}", estimator.name());
    Ok((found.loss, gradient))
}

#[test]
fn the_step_is_the_inverse_of_the_curvature_and_held_fixed_in_derivatives() {
    let mut oracle = Oracle::new(Logistic::new(1.0)).unwrap();
    let x = oracle.start().values().to_vec();
    let auto = InnerLoop::auto(50).settled(&mut oracle, &x, Draw::new(0, 0)).unwrap();
    // The penalty alone has curvature e; the data adds at most the mean of |row|^2 / 4.
    let most = 1.0_f64.exp() + 6.0 / 4.0;
    assert!((1.0 / most..1.0 / 1.0_f64.exp()).contains(&auto.lr()), "{}", auto.lr());
    assert!(!auto.is_auto());
    let given = InnerLoop::new(50, auto.lr()).unwrap();
    let found = [InnerLoop::auto(50), given]
        .map(|inner| estimate(&mut Exact::default(), Logistic::new(1.0), &inner).unwrap());
    assert_eq!(found[0], found[1], "a given size of the same value is the same loop");
}

#[test]
fn penalties_may_grow() {
    // lr (L + e^x) is 20 here, so the loop with a fixed size diverges.
    let fixed = InnerLoop::new(400, 0.05).unwrap();
    assert!(estimate(&mut Exact::default(), Logistic::new(6.0), &fixed).is_err());
    let (loss, _) =
        estimate(&mut Exact::default(), Logistic::new(6.0), &InnerLoop::auto(400)).unwrap();
    let stop = Stop { iterations: 20, tolerance: 1e-14 };
    let mut limit = Implicit::new(Cg { stop }).unwrap().to_minimum(1e-13).unwrap();
    let inner = InnerLoop::new(0, 1.0).unwrap();
    let (value, _) = estimate(&mut limit, Logistic::new(6.0), &inner).unwrap();
    // 400 steps of a loop with condition number 1.01.
    assert!((loss - value).abs() < 1e-14, "{loss} {value}");
}

#[test]
fn minima_give_the_value_function_and_its_gradient() {
    let stop = Stop { iterations: 40, tolerance: 1e-14 };
    let mut at_rest = Implicit::new(Cg { stop }).unwrap().to_minimum(1e-12).unwrap();
    assert_eq!(
        hypertape_solver::Named::name(&at_rest),
        "cg:iterations=40,tolerance=1e-14,minimum=1e-12"
    );
    let none = InnerLoop::new(0, 1.0).unwrap();
    let (value, slope) = estimate(&mut at_rest, Logistic::new(-2.0), &none).unwrap();
    // Gradient descent to convergence, differentiated step by step.
    let long = InnerLoop::auto(3000);
    let (same, exact) = estimate(&mut Exact::default(), Logistic::new(-2.0), &long).unwrap();
    assert!((value - same).abs() < 1e-13, "{value} {same}");
    for (found, exact) in slope.iter().zip(&exact) {
        assert!((found - exact).abs() < 1e-11, "{slope:?} {exact:?}");
    }
    let mut oracle = Oracle::new(Logistic::new(-2.0)).unwrap();
    let (x, mut g) = (oracle.start().values().to_vec(), [0.0; P]);
    let told = at_rest.estimate(&mut oracle, &none, &x, Draw::new(0, 0), &mut g).unwrap();
    let report = told.soundness.report.unwrap();
    assert!(report.inner_ratio <= 1e-12 && report.residual.unwrap() < 1e-12, "{report:?}");
    // L-BFGS needs few gradients: a count that grows is a slower solver.
    assert!(told.cost.inner_gradients < 60, "{}", told.cost.inner_gradients);
}

#[test]
fn what_no_curvature_tells_is_refused() {
    let mut oracle = Oracle::new(Logistic::new(0.0)).unwrap();
    let x = oracle.start().values().to_vec();
    let auto = InnerLoop::auto(3);
    oracle.set_rule(Adam::default());
    let error = mean_loss(&mut oracle, &auto, &x, Draw::new(0, 0), &mut Vec::new()).unwrap_err();
    let expected = "lr of adam:b1=0.9,b2=0.999,eps=1e-8: found auto, expected a size, as its steps do not \
                    depend on that of the gradient";
    assert_eq!(error.to_string(), expected);
    oracle.set_any_rule(AnyRule::new(Ista::new(0.1).unwrap()));
    assert!(
        mean_loss(&mut oracle, &auto, &x, Draw::new(0, 0), &mut Vec::new()).unwrap().is_finite()
    );
    let stop = Stop { iterations: 20, tolerance: 1e-12 };
    let mut gmres = Implicit::new(hypertape_solver::linear::Gmres { stop }).unwrap();
    gmres = gmres.to_minimum(1e-8).unwrap();
    let inner = InnerLoop::new(3, 0.1).unwrap();
    let error = gmres.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut [0.0; P]);
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("the inner rule: found ista:l1=0.1, expected one that comes to rest"),
        "{text}"
    );
}
