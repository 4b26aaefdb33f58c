//! Algorithms whose inner loops continue from one another: closed forms, refusals.

use std::ops::ControlFlow::Continue;

use crate::support::two_layer::TwoLayer;
use hypertape::coupling::Warm;
use hypertape::linear::{Cg, Stop};
use hypertape::problems::Quadratic;
#[cfg(feature = "threads")]
use hypertape::{Array, Bilevel, Draw, List, Rows};
use hypertape::{
    Estimator, Exact, Forward, FullTape, Implicit, InnerLoop, Optimiser, Oracle, Params, Run,
    RunState, Shape, Truncated,
};

/// `x` and `w` after 20 iterations of `estimator` on `g = w^2/2 + x w`, `f = w^2`, 3 warm inner steps of 0.1.
fn twenty(estimator: &mut dyn Estimator<f64>) -> [f64; 2] {
    let mut oracle = Oracle::new(Quadratic::<f64>::scalar()).unwrap();
    let (inner, outer) = (InnerLoop::new(3, 0.1).unwrap(), Optimiser::sgd(0.2).unwrap());
    let run = Run::new(inner, outer, 20, 0).coupled(Warm);
    let mut state = RunState::new(vec![0.5]);
    run.go_on(&mut oracle, estimator, &mut state, |_, _| Continue(())).unwrap();
    [state.x[0], state.ends.get("w.0.0").unwrap()[0]]
}

/// `w <- rho w - (1 - rho) x` with `rho = 0.9^3`, then a step along `slope w`: bilevel T1 with warm starts.
fn by_hand(slope: f64) -> [f64; 2] {
    let (mut x, mut w, rho) = (0.5, 1.0, 0.9_f64.powi(3));
    for _ in 0..20 {
        w = rho * w - (1.0 - rho) * x;
        x -= 0.2 * slope * w;
    }
    [x, w]
}

#[test]
fn aid_and_itd_go_on_from_the_last_inner_point() {
    let stop = Stop { iterations: 5, tolerance: 1e-12 };
    let mut aid = Implicit::new(Cg { stop }).unwrap().warm();
    let itd = -2.0 * (1.0 - 0.9_f64.powi(3));
    for (name, found, expected) in [
        ("AID", twenty(&mut aid), by_hand(-2.0)),
        ("ITD", twenty(&mut Exact::default()), by_hand(itd)),
        ("ITD forward", twenty(&mut Forward), by_hand(itd)),
        ("truncated", twenty(&mut Truncated { k: 1 }), by_hand(-0.2)),
    ] {
        for (found, expected) in found.iter().zip(expected) {
            // Sixty steps, each rounded to 1e-16.
            assert!((found - expected).abs() < 2e-15, "{name}: {found} {expected}");
        }
    }
}

#[test]
fn what_cannot_start_warm_says_so() {
    let (inner, outer) = (InnerLoop::new(3, 0.1).unwrap(), Optimiser::sgd(0.2).unwrap());
    let run = Run::new(inner, outer, 2, 0).coupled(Warm);
    let mut oracle = Oracle::new(Quadratic::<f64>::scalar()).unwrap();
    let error = run.go(&mut oracle, &mut FullTape, &mut [0.5], |_, _| Continue(())).unwrap_err();
    let expected = "outer iteration 0: the estimator under warm starts: found full-tape, expected one \
                    that knows where the inner loop ended";
    assert_eq!(error.to_string(), expected);
    let mut learned = Oracle::new(TwoLayer::<f64>::new(5)).unwrap();
    let mut x = learned.start().values().to_vec();
    let error = run.go(&mut learned, &mut Exact::default(), &mut x, |_, _| Continue(()));
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("the warm start: found a problem whose start depends"), "{text}");
    let alien = Params::new().with("v.0.0", Shape::SCALAR, [1.0]);
    let text = oracle.set_warm(Some(&alien)).unwrap_err().to_string();
    assert_eq!(text, "a kept solution: found v.0.0, expected w.PLACE.TASK");
}

/// `g = (1 + task) w^2/2 + x w`, `f = w^2` of 12 tasks.
#[cfg(feature = "threads")]
struct Tasks;

#[cfg(feature = "threads")]
impl Bilevel<f64> for Tasks {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::SCALAR, [0.5])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0)])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        w[0].square() * (0.5 + 0.5 * d.task as f64) + x[0] * w[0]
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].square()
    }
    fn tasks(&self) -> usize {
        12
    }
}

#[cfg(feature = "threads")]
#[test]
fn each_task_goes_on_from_its_own_end_on_any_number_of_threads() {
    let (inner, outer) = (InnerLoop::new(3, 0.1).unwrap(), Optimiser::sgd(0.2).unwrap());
    let run = Run::new(inner, outer, 9, 0).coupled(Warm);
    let of = |threads| {
        let mut oracle = Oracle::new(Tasks).unwrap();
        oracle.set_threads(threads).unwrap();
        let mut state = RunState::new(vec![0.5]);
        run.go_on(&mut oracle, &mut Exact::default(), &mut state, |_, _| Continue(())).unwrap();
        (state.x, state.ends)
    };
    let (x, ends) = of(1);
    assert_eq!((x.clone(), ends.clone()), of(3));
    let (mut at, mut w) = (0.5, [1.0; 12]);
    for _ in 0..9 {
        let mut gradient = 0.0;
        for (task, w) in w.iter_mut().enumerate() {
            let h = 1.0 + task as f64;
            let rho = (1.0 - 0.1 * h).powi(3);
            *w = rho * *w - (1.0 - rho) * at / h;
            gradient -= 2.0 * *w * (1.0 - rho) / h / 12.0;
        }
        at -= 0.2 * gradient;
    }
    // Sums of twelve terms, nine times.
    assert!((x[0] - at).abs() < 2e-15, "{} {at}", x[0]);
    for (task, w) in w.iter().enumerate() {
        let found = ends.get(&format!("w.{task}.{task}")).unwrap()[0];
        assert!((found - w).abs() < 2e-15, "{task}: {found} {w}");
    }
}
