//! Implicit estimates under rules that come to rest at points other than those with `dg/dw = 0`: closed forms,
//! agreement with converged unrolled runs, rules with memory, reports and counts, refusals.

use std::sync::Arc;

use crate::support::problem::{column, matrix, problem};
use crate::support::{deviation, estimate};
use hypertape::linear::{
    Cg, Dense, FixedPoint, Gmres, LinearSolver, Minres, Neumann, Nystrom, Stop,
};
use hypertape::problems::catalogue;
use hypertape::{
    Adam, Array, Bilevel, Draw, Element, Error, Estimate, Estimator, Exact, Implicit, InnerLoop,
    List, Named, Oracle, Params, Projected, Rows, Rule, Shape, Step, StochasticNeumann, Terms,
    solve,
};

const STEPS: usize = 600;
const LR: f64 = 0.3;

/// `g = |A w - y|^2 / 8 + sum_j e^{x_j} w_j^2 / 2`, `f = |V w - u|^2 / 3`, at penalties of 0.1 and 0.2.
#[derive(Clone, Copy)]
struct Ridge([f64; 4]);

/// For the first targets, the first coordinate is above 0.45 without a bound; for the second, the second coordinate is
/// below 0.
const HIGH: Ridge = Ridge([1.0, 0.0, 2.0, 1.5]);
const LOW: Ridge = Ridge([3.0, 2.0, 1.0, 0.5]);
/// `A'A / 4`, with the penalties on the diagonal.
const H: [[f64; 2]; 2] = [[1.1, 1.5], [1.5, 3.7]];
const V: [f64; 3] = [0.5, 1.5, 2.5];
const U: [f64; 3] = [0.5, 1.2, 1.4];

impl Bilevel<f64> for Ridge {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(2), [0.1_f64.ln(), 0.2_f64.ln()])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[column(x[0], &[0.1, 0.2])])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let rows = matrix(w[0], &[1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0], 2);
        rows.matmul(w[0]).squared_error(column(w[0], &self.0)) / 8.0
            + x[0].exp().dot(w[0].square()) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        let rows = matrix(w[0], &[1.0, 0.5, 1.0, 1.5, 1.0, 2.5], 2);
        rows.matmul(w[0]).squared_error(column(w[0], &U)) / 3.0
    }
}

/// `df/dw` at `w`.
fn slope(w: [f64; 2]) -> [f64; 2] {
    let mut slope = [0.0; 2];
    for (v, u) in V.into_iter().zip(U) {
        let gap = 2.0 / 3.0 * (w[0] + v * w[1] - u);
        slope = [slope[0] + gap, slope[1] + gap * v];
    }
    slope
}

/// Solvers that do not need symmetry, with enough iterations for steps that contract by 0.85.
fn all<T: Element>() -> [Arc<dyn LinearSolver<T>>; 4] {
    let stop = Stop { iterations: 300, tolerance: 1e-15 };
    [
        Arc::new(FixedPoint { stop, lr: None }),
        Arc::new(Neumann { terms: 300, lr: None }),
        Arc::new(Gmres { stop }),
        Arc::new(Dense),
    ]
}

fn under(problem: Ridge, rule: impl Rule<f64> + 'static) -> Oracle<'static, f64> {
    let mut oracle = Oracle::new(problem).unwrap();
    oracle.set_rule(rule);
    oracle
}

fn implicit(
    oracle: &mut Oracle<f64>,
    solver: Arc<dyn LinearSolver<f64>>,
    steps: usize,
) -> Result<(Estimate<f64>, Vec<f64>), Error> {
    estimate(&mut Implicit::shared(solver)?, oracle, (steps, LR), Draw::new(0, 0))
}

/// Heavy ball, or Nesterov's look-ahead gradient, followed by the projection onto `[-1, 0.45]`.
#[derive(Clone, Copy, Debug)]
enum Boxed {
    HeavyBall,
    Ahead,
}

impl Named for Boxed {
    fn name(&self) -> String {
        format!("{self:?}")
    }
}

impl<T: Element> Rule<T> for Boxed {
    fn memory(&self) -> usize {
        1
    }
    fn query<'a, A: Array<'a, Elem = T>>(&self, s: &[A], _: Step) -> Option<A> {
        matches!(self, Self::Ahead).then(|| s[0] + (s[0] - s[1]) * 0.3)
    }
    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let (from, memory) = match self {
            Self::HeavyBall => (s[0] - (s[1] * 0.5 + g) * step.lr, s[1] * 0.5 + g),
            Self::Ahead => (s[0] + (s[0] - s[1]) * 0.3 - g * step.lr, s[0]),
        };
        List::from_slice(&[from.max(from.scalar(-1.0)).min(from.scalar(0.45)), memory])
    }
    fn stationary(&self) -> bool {
        false
    }
}

#[test]
fn active_bounds_have_their_closed_form() {
    // With one coordinate at its bound, the loss is a quadratic function of the other.
    let second = (2.125 - H[1][0] * 0.45) / H[1][1];
    let high = -0.2 * second * slope([0.45, second])[1] / H[1][1];
    let first = 1.625 / H[0][0];
    let low = -0.1 * first * slope([first, 0.0])[0] / H[0][0];
    let boxed = || Projected::new(-1.0, 0.45).unwrap();
    for (name, mut oracle, known) in [
        ("box", under(HIGH, boxed()), [0.0, high]),
        ("not negative", under(LOW, Projected::new(0.0, f64::INFINITY).unwrap()), [low, 0.0]),
        ("heavy ball in a box", under(HIGH, Boxed::HeavyBall), [0.0, high]),
        ("gradient ahead in a box", under(HIGH, Boxed::Ahead), [0.0, high]),
    ] {
        let exact = &mut Exact::default();
        let (_, unrolled) = estimate(exact, &mut oracle, (STEPS, LR), Draw::new(0, 0)).unwrap();
        for solver in all() {
            let (found, gradient) = implicit(&mut oracle, solver.clone(), STEPS).unwrap();
            // Roundings of steps that contract.
            assert!(deviation(&gradient, &known) < 1e-13, "{name} {solver:?}: {gradient:?}");
            assert!(deviation(&gradient, &unrolled) < 1e-13, "{name} {solver:?}: {unrolled:?}");
            let report = found.soundness.report.unwrap();
            assert!(report.fixed_point && report.inner_norm < 1e-14, "{name}: {report:?}");
            assert!(report.residual.unwrap() < 1e-13, "{name} {solver:?}: {report:?}");
            assert_eq!(found.soundness.warnings(), [""; 0], "{name} {solver:?}");
        }
    }
}

#[test]
fn converged_runs_agree_on_the_problems_of_the_catalogue() {
    for entry in catalogue() {
        let steps = match &*entry.name {
            "lasso" | "elastic-net" => 3000,
            "w1-ridge" => 1000,
            _ => continue,
        };
        let lr = entry.lr;
        let mut oracle = entry.open::<f64>(entry.data_seed).unwrap();
        if entry.name == "w1-ridge" {
            // Some of the 200 weights are within these bounds, others at one of them.
            oracle.set_rule(Projected::new(-0.02, 0.03).unwrap());
        }
        let draw = Draw::new(0, 0);
        let (_, unrolled) =
            estimate(&mut Exact::default(), &mut oracle, (steps, lr), draw).unwrap();
        let stop = Stop { iterations: 3000, tolerance: 1e-14 };
        let solvers: [Arc<dyn LinearSolver<f64>>; 4] = [
            Arc::new(FixedPoint { stop, lr: None }),
            Arc::new(Neumann { terms: steps, lr: None }),
            Arc::new(Gmres { stop }),
            Arc::new(Dense),
        ];
        for solver in solvers {
            let mut implicit = Implicit::shared(solver).unwrap();
            let (found, gradient) =
                estimate(&mut implicit, &mut oracle, (steps, lr), draw).unwrap();
            let gap = deviation(&gradient, &unrolled);
            // Thousands of roundings, divided by the smallest eigenvalue of a step.
            assert!(gap < 1e-10, "{} {implicit:?}: {gap:e} {found:?}", entry.name);
            assert!(gradient.iter().any(|g| *g != 0.0), "{gradient:?}");
        }
    }
}

#[test]
fn decay_moves_the_point_of_rest() {
    // A rule that keeps two means and depends on the step index, at a point where no gradient is zero.
    let adam = || Adam::new(0.5, 0.8, 0.5).unwrap().with_decay(0.2).unwrap();
    let mut oracle = under(HIGH, adam());
    let exact = &mut Exact::default();
    let (_, unrolled) = estimate(exact, &mut oracle, (2000, LR), Draw::new(0, 0)).unwrap();
    for solver in [Arc::new(Dense) as Arc<dyn LinearSolver<f64>>, all()[2].clone()] {
        let (found, gradient) = implicit(&mut oracle, solver, 2000).unwrap();
        // As above.
        assert!(deviation(&gradient, &unrolled) < 1e-12, "{gradient:?} {unrolled:?} {found:?}");
    }
}

#[test]
fn what_is_left_is_reported() {
    // At the bound A = [[1, 1.5 lr], [0, 3.7 lr]], so a series of k terms has the residual (I - A)^k b.
    let mut oracle = under(HIGH, Projected::new(-1.0, 0.45).unwrap());
    let second = (2.125 - H[1][0] * 0.45) / H[1][1];
    let b = slope([0.45, second]);
    let rho = 1.0 - LR * H[1][1];
    for terms in [1, 2, 5_u8] {
        let solver = Arc::new(Neumann { terms: terms.into(), lr: None });
        let (found, _) = implicit(&mut oracle, solver, STEPS).unwrap();
        let left = [-LR * H[0][1] * rho.powi(i32::from(terms) - 1), rho.powi(terms.into())];
        let known = (left[0].hypot(left[1]) * b[1] / b[0].hypot(b[1])).abs();
        let residual = found.soundness.report.unwrap().residual.unwrap();
        assert!((residual - known).abs() < 1e-14, "{terms}: {residual} {known}");
    }
    // The distance of a loop from rest is measured by the length of the next step, relative to that of the first step.
    let mut after = |steps| {
        let inner = InnerLoop::new(steps, LR).unwrap();
        let (x, mut w) = (oracle.start().values().to_vec(), Vec::new());
        solve(&mut oracle, &inner, &x, Draw::new(0, 0), &mut w).unwrap();
        w
    };
    let ends = [0, 1, 2, 3].map(&mut after);
    let gap = |i: usize, j: usize| (ends[i][0] - ends[j][0]).hypot(ends[i][1] - ends[j][1]);
    let mut bounded = Implicit::new(Dense).unwrap().strongly_convex(0.2).unwrap();
    let (found, _) = estimate(&mut bounded, &mut oracle, (2, LR), Draw::new(0, 0)).unwrap();
    let report = found.soundness.report.unwrap();
    assert!((report.inner_norm - gap(3, 2) / LR).abs() < 1e-14, "{report:?} {ends:?}");
    assert!((report.inner_ratio - gap(3, 2) / gap(1, 0)).abs() < 1e-14, "{report:?} {ends:?}");
    assert!(report.solution_error.unwrap() < 1e-14, "{report:?}");
    let text = report.to_string();
    assert!(text.starts_with("the inner loop is not converged: a step over lr is"), "{text}");
}

#[test]
fn series_with_random_factors_have_the_same_terms() {
    let mut oracle = under(HIGH, Boxed::Ahead);
    let (_, known) = implicit(&mut oracle, Arc::new(Neumann { terms: 6, lr: None }), 40).unwrap();
    let all = Terms::StocBio { terms: 6, batches: 1.0, decay: 1.0 };
    let mut series = StochasticNeumann::new(all, None).unwrap();
    let (found, gradient) = estimate(&mut series, &mut oracle, (40, LR), Draw::new(0, 0)).unwrap();
    assert!(deviation(&gradient, &known) < 2e-15, "{gradient:?} {known:?}");
    // One gradient for the step that measures the distance from rest, one for each of five factors, one for the last
    // step.
    let cost = found.cost;
    assert_eq!([cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed], [41, 47, 6, 1]);
    let mut single = StochasticNeumann::new(Terms::Single { terms: 6 }, None).unwrap();
    let mut mean = [0.0; 2];
    for factors in 0..6 {
        single.force(Some(factors));
        let (_, part) = estimate(&mut single, &mut oracle, (40, LR), Draw::new(0, 0)).unwrap();
        mean.iter_mut().zip(&part).for_each(|(m, g)| *m += g / 6.0);
    }
    assert!(deviation(&mean, &known) < 1e-14, "{mean:?} {known:?}");
}

#[test]
fn counts_and_bytes() {
    // Steps that stay away from the bounds, where a pull-back is regular and no iteration ends early.
    let lr = 0.05;
    let stop = |iterations| Stop { iterations, tolerance: 0.0 };
    let counted: [(Arc<dyn LinearSolver<f64>>, [u64; 3]); 4] = [
        (Arc::new(FixedPoint { stop: stop(7), lr: None }), [7; 3]),
        (Arc::new(Neumann { terms: 7, lr: None }), [7; 3]),
        (Arc::new(Gmres { stop: stop(2) }), [3; 3]),
        // One column per entry of the state.
        (Arc::new(Dense), [3, 5, 5]),
    ];
    let rules: [fn() -> Oracle<'static, f64>; 3] = [
        || under(HIGH, Projected::new(-1.0, 0.45).unwrap()),
        || under(HIGH, Boxed::HeavyBall),
        || under(HIGH, Boxed::Ahead),
    ];
    for (solver, products) in counted {
        for (rule, products) in rules.iter().zip(products) {
            for steps in [0, 1, 9] {
                let mut oracle = rule();
                let (inner, draw) = (InnerLoop::new(steps, lr).unwrap(), Draw::new(0, 0));
                let mut implicit = Implicit::shared(solver.clone()).unwrap();
                let x = oracle.start().values().to_vec();
                let predicted = implicit.predict(&mut oracle, &inner, &x, draw).unwrap();
                let (found, _) = estimate(&mut implicit, &mut oracle, (steps, lr), draw).unwrap();
                let (cost, r) = (found.cost, steps as u64);
                let counts = [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed];
                // One more step with its gradient measures the distance from rest.
                assert_eq!(counts, [r + 1, r + 1, products, 1], "{implicit:?} {}", oracle.rule());
                assert_eq!(predicted, cost.bytes_measured, "{implicit:?} {steps}");
            }
        }
    }
}

#[test]
fn warm_starts_are_states_of_the_rule() {
    let mut oracle = under(HIGH, Boxed::HeavyBall);
    let mut warm = Implicit::shared(all()[2].clone()).unwrap().warm();
    let mut iterations = || {
        let (found, _) = estimate(&mut warm, &mut oracle, (STEPS, LR), Draw::new(0, 0)).unwrap();
        found.soundness.report.unwrap().iterations
    };
    assert_eq!([iterations(), iterations()], [3, 0]);
    assert_eq!(warm.state().shapes(), [Shape::column(4)]);
}

// A problem without an outer variable in any loss.
problem!(Alone, [0.3], |x| x, |w, _x, _draw| (w - 1.0).square() * 0.5, |w, _x| w.square());

#[test]
fn refusals() {
    let stop = Stop { iterations: 9, tolerance: 0.0 };
    let symmetric: [Arc<dyn LinearSolver<f64>>; 3] = [
        Arc::new(Cg { stop }),
        Arc::new(Minres { stop }),
        Arc::new(Nystrom { stop, rank: 1, shift: None }),
    ];
    for solver in symmetric {
        let mut oracle = under(HIGH, Projected::new(-1.0, 0.45).unwrap());
        let error = implicit(&mut oracle, solver, 3).unwrap_err().to_string();
        let told = "the inner rule: found projected:lower=-1,upper=0.45, expected one that comes to rest where dg/dw = 0; \
                    fixed-point, neumann, gmres and dense differentiate the fixed points of others";
        assert_eq!(error, told);
    }
    let mut oracle = Oracle::new(Alone).unwrap();
    oracle.set_rule(Projected::new(-1.0, 0.45).unwrap());
    let error = implicit(&mut oracle, Arc::new(Dense), 3).unwrap_err();
    assert_eq!(error, Error::ImplicitVanishes);
}
