//! Implicit estimates: known answers in the limit and at a given inner point, agreement with truncated unrolling,
//! reports and counts, warm starts, failures. The numbers of the known answers are from 50-digit arithmetic.

use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use crate::ridge::RIDGE;
use crate::support::problem::{column, matrix, problem};
use crate::support::{deviation, estimate, expected, shared};
use hypertape::linear::{Cg, Dense, FixedPoint, Gmres, Minres, Neumann, Nystrom, Stop};
use hypertape::problems::{Cleaning, Maml, Penalised, Quadratic};
use hypertape::{
    Array, Bilevel, Draw, Element, Error, Estimate, Estimator, Exact, Implicit, InnerLoop,
    LinearSolver, Optimiser, Oracle, Params, Report, Run, Truncated, dot,
};

const FAR: Stop = Stop { iterations: 100, tolerance: 1e-14 };

type Solver<T = f64> = Arc<dyn LinearSolver<T>>;

fn cg<T: Element>(iterations: usize) -> Solver<T> {
    Arc::new(Cg { stop: Stop { iterations, tolerance: 0.0 } })
}

/// All solvers, each with settings for Hessians with eigenvalues from 0.3 to 4.
fn all<T: Element>() -> [Solver<T>; 7] {
    [
        Arc::new(Cg { stop: FAR }),
        Arc::new(Minres { stop: FAR }),
        Arc::new(Gmres { stop: FAR }),
        Arc::new(FixedPoint { stop: Stop { iterations: 400, ..FAR }, lr: Some(0.4) }),
        Arc::new(Neumann { terms: 400, lr: Some(0.4) }),
        Arc::new(Nystrom { stop: FAR, rank: 2, shift: None }),
        Arc::new(Dense),
    ]
}

fn implicit(
    solver: Solver,
    problem: impl Bilevel<f64>,
    inner: (usize, f64),
) -> Result<(Estimate<f64>, Vec<f64>), Error> {
    let mut oracle = Oracle::new(problem)?;
    estimate(&mut Implicit::shared(solver)?, &mut oracle, inner, Draw::new(0, 0))
}

/// Every solver finds the known gradient after a long inner loop, and reports that it converged.
fn check<P: Bilevel<f64>>(name: &str, problem: impl Fn() -> P, inner: (usize, f64), known: &[f64]) {
    for solver in all() {
        let (found, gradient) = implicit(solver.clone(), problem(), inner).unwrap();
        let gap = deviation(&gradient, known);
        // Residuals of 1e-14 times condition numbers of about 10, and the roundings of as many inner steps.
        assert!(gap < 5e-13, "{name} {solver:?}: {gradient:?} off by {gap:e}");
        let report = found.soundness.report.unwrap();
        assert!(report.residual.unwrap() < 1e-13, "{name} {solver:?}: {report:?}");
        assert!(report.inner_norm < 1e-13, "{name} {solver:?}: {report:?}");
        assert_eq!(report.to_string(), "", "{name} {solver:?}");
    }
}

const ROWS: [f64; 8] = [1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0];
const TARGETS: [f64; 4] = [1.0, 0.0, 2.0, 1.5];
const VALID: [f64; 6] = [1.0, 0.5, 1.0, 1.5, 1.0, 2.5];
const VALID_TARGETS: [f64; 3] = [0.5, 1.2, 1.4];

fn valid_error<'a, A: Array<'a, Elem = f64>>(w: A) -> A {
    matrix(w, &VALID, 2).matmul(w).squared_error(column(w, &VALID_TARGETS)) / 3.0
}

// bilevel T3: one ridge penalty, not in the logarithm.
problem!(
    OnePenalty,
    [0.1],
    |x| column(x, &[0.0, 0.0]),
    |w, x, _draw| matrix(w, &ROWS, 2).matmul(w).squared_error(column(w, &TARGETS)) / 8.0
        + x * w.dot(w) * 0.5,
    |w, _x| valid_error(w)
);

// bilevel T5: a scalar with a direct term, which a hypergradient without df/dx misses.
problem!(
    Direct,
    [0.008_921],
    |x| x.scalar(0.0),
    |w, x, _draw| (w - 10.65158).square() * 0.5 + x * w.square() * 0.5,
    |w, x| (w - 2.0).square() * 0.5 + x.square()
);

// bilevel T9: logistic regression with a penalty per feature.
problem!(
    Logistic,
    [-2.0, -1.0],
    |x| column(x, &[0.0, 0.0]),
    |w, x, _draw| {
        const X: [f64; 12] = [1.0, 0.5, -0.3, 1.2, 0.8, -1.0, -1.5, -0.4, 0.2, 0.9, -0.7, -0.6];
        let scores = matrix(w, &X, 2).matmul(w);
        scores.logistic_loss(column(w, &[1.0, 1.0, 1.0, -1.0, 1.0, -1.0])).mean()
            + (x.exp() * w.square()).sum() * 0.5
    },
    |w, _x| matrix(w, &[0.9, 0.1, -0.5, -0.8, 0.4, 1.1, -1.0, 0.3], 2)
        .matmul(w)
        .logistic_loss(column(w, &[1.0, -1.0, 1.0, -1.0]))
        .mean()
);

// bilevel T10: a task with a proximal term, where the outer variable is also the start.
problem!(
    Proximal,
    [0.3, 0.4],
    |x| x,
    |w, x, _draw| {
        let gap = w - column(w, &[1.0, -1.0]);
        gap.dot(matrix(w, &[2.0, 0.5, 0.5, 1.0], 2).matmul(gap)) * 0.5 + w.squared_error(x) * 0.25
    },
    |w, _x| (w - 0.5).square().sum() * 0.5
);

// bilevel T11: weighted least squares, one weight per sample.
problem!(
    Weighted,
    [0.0, 0.5, -0.5, 1.0, -2.0],
    |x| column(x, &[0.0, 0.0]),
    |w, x, _draw| {
        const A: [f64; 10] = [1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0, 1.0, 1.5];
        let gap = matrix(w, &A, 2).matmul(w) - column(w, &[1.0, 0.0, 2.0, 1.5, -4.0]);
        x.sigmoid().dot(gap.square()) / 10.0 + w.dot(w) * 0.2
    },
    |w, _x| valid_error(w)
);

#[test]
fn known_limits() {
    check(
        "general",
        Quadratic::general,
        (300, 0.4),
        &[1.026_666_666_666_666_7, -0.695_535_714_285_714_3],
    );
    check("one penalty", || OnePenalty, (600, 0.4), &[-0.054_025_428_460_252_31]);
    check("a penalty per feature", Penalised::small_ridge, (600, 0.4), &RIDGE.gradient);
    check("direct term", || Direct, (100, 0.4), &[-89.527_173_076_988_7]);
    check(
        "logistic",
        || Logistic,
        (600, 0.9),
        &[0.111_022_554_215_754_8, 0.034_285_306_118_508_95],
    );
    check(
        "proximal",
        || Proximal,
        (300, 0.4),
        &[0.121_428_571_428_571_43, -0.357_142_857_142_857_14],
    );
    let weights = [
        -0.022_636_405_206_924_16,
        0.021_839_858_642_440_404,
        -0.080_516_509_636_024_62,
        -0.028_389_734_035_641_668,
        0.116_693_238_648_890_54,
    ];
    check("weighted", || Weighted, (600, 0.4), &weights);
}

#[test]
fn known_answers_before_the_limit() {
    let of = |solver: &Solver| implicit(solver.clone(), Quadratic::general(), (5, 0.3)).unwrap().1;
    let neumann = |terms| Arc::new(Neumann { terms, lr: None }) as Solver;
    for (solver, known) in [
        (cg(1), [0.766_561_265_915_687_7, -1.048_363_767_882_359_4]),
        (cg(2), [1.062_021_749_434_280_6, -0.778_297_562_822_350_5]),
        (cg(3), [0.916_278_451_134_672_6, -0.606_441_715_910_993_3]),
        (Arc::new(Dense), [0.916_278_451_134_672_6, -0.606_441_715_910_993_3]),
        (neumann(1), [0.537_769_901_513_671_9, -0.517_022_286_367_187_5]),
        (neumann(4), [0.853_879_427_686_974_8, -0.720_953_976_026_438_4]),
    ] {
        let gradient = of(&solver);
        assert!(deviation(&gradient, &known) < 2e-15, "{solver:?}: {gradient:?}");
    }
    // bilevel T1 at z_10, where unrolling gives -0.03; theory K0 at w_5.
    let (_, gradient) = implicit(cg(1), Quadratic::scalar(), (10, 0.1)).unwrap();
    assert!((gradient[0] - -0.046_035_320_3).abs() < 1e-15, "{gradient:?}");
    let (_, gradient) = implicit(cg(2), Quadratic::decimal(), (5, 0.4)).unwrap();
    assert!(deviation(&gradient, &[-0.0385, -1.126_75]) < 1e-15, "{gradient:?}");
}

/// `(I - lr H)^r u` for the Hessian `[[2, 1], [1, 3]]/4` of the decimal quadratic.
fn power(lr: f64, r: usize, mut u: [f64; 2]) -> [f64; 2] {
    for _ in 0..r {
        u = [u[0] - lr * (0.5 * u[0] + 0.25 * u[1]), u[1] - lr * (0.25 * u[0] + 0.75 * u[1])];
    }
    u
}

#[test]
fn errors_of_unrolling_and_of_an_exact_solve() {
    // theory 4 with A = I: e0 = w_0 - x, w* = x - t; unrolled - g* = P e0 - P w* - P^2 e0, implicit - g* = P e0.
    let (e0, limit) = ([-1.0, 1.0], [0.5, -1.5]);
    for r in [1, 5, 20, 60] {
        let (_, solved) = implicit(Arc::new(Dense), Quadratic::decimal(), (r, 0.4)).unwrap();
        let mut oracle = Oracle::<f64>::new(Quadratic::decimal()).unwrap();
        let (_, unrolled) =
            estimate(&mut Exact::default(), &mut oracle, (r, 0.4), Draw::new(0, 0)).unwrap();
        let [start, far, twice] = [power(0.4, r, e0), power(0.4, r, limit), power(0.4, 2 * r, e0)];
        for i in 0..2 {
            assert!((solved[i] - limit[i] - start[i]).abs() < 5e-15, "{r}: {solved:?}");
            let known = limit[i] + start[i] - far[i] - twice[i];
            assert!((unrolled[i] - known).abs() < 5e-15, "{r}: {unrolled:?} {known}");
        }
    }
}

#[test]
fn the_neumann_series_is_truncated_unrolling_on_quadratics() {
    for (steps, lr) in [(7, 0.3), (12, 0.1)] {
        let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
        let mut of = |estimator: &mut dyn Estimator<f64>| {
            estimate(estimator, &mut oracle, (steps, lr), Draw::new(0, 0)).unwrap().1
        };
        let exact = of(&mut Exact::default());
        for k in 1..=steps {
            let series = of(&mut Implicit::new(Neumann { terms: k, lr: None }).unwrap());
            let unrolled = of(&mut Truncated { k });
            assert!(deviation(&series, &unrolled) < 2e-15, "{steps} {k}: {series:?} {unrolled:?}");
            // Starting from zero, a fixed-point iteration sums the series.
            let stop = Stop { iterations: k, tolerance: 0.0 };
            let point = of(&mut Implicit::new(FixedPoint { stop, lr: None }).unwrap());
            assert_eq!(series, point);
        }
        let whole = of(&mut Implicit::new(Neumann { terms: steps, lr: None }).unwrap());
        assert!(deviation(&whole, &exact) < 2e-15, "{steps}: {whole:?} {exact:?}");
    }
}

#[test]
fn hyper_cleaning_equals_the_peers() {
    let mut oracle = Oracle::<f64>::new(Cleaning::workload(2)).unwrap();
    let Some(folder) = shared("w2") else { return };
    let neumann: Solver = Arc::new(Neumann { terms: 20, lr: None });
    // The peers differ from each other by 2e-15, and by 7e-8 where 20 iterations amplify roundings.
    for (solver, file, tolerance, products) in
        [(neumann, "implicit_neumann", 1e-13, 20), (cg(20), "implicit_cg", 2e-6, 21)]
    {
        let mut implicit = Implicit::shared(solver.clone()).unwrap();
        let (found, gradient) =
            estimate(&mut implicit, &mut oracle, (50, 0.1), Draw::new(0, 0)).unwrap();
        let gap = deviation(&gradient, &expected(&folder, &format!("w2.{file}.txt")));
        assert!(gap < tolerance, "{file}: off by {gap:e}");
        // One sweep more than the factors of the series, for the mixed product and the true residual.
        let cost = found.cost;
        assert_eq!([cost.inner_gradients, cost.hvps, cost.mixed], [51, products, 1], "{file}");
        let report = found.soundness.report.unwrap();
        assert!((report.inner_ratio - 0.704).abs() < 1e-3, "{report:?}");
        let text = report.to_string();
        assert!(text.starts_with("the inner loop is not converged: |dg/dw| is 1.61e-1"), "{text}");
    }
}

#[test]
fn reports_hold_at_the_point_where_the_loop_ended() {
    // The smallest eigenvalue of H of the general quadratic is 0.853..; 0.85 is a bound.
    let mut exact = Implicit::new(Dense).unwrap().strongly_convex(0.85).unwrap();
    let mut early = Implicit::shared(cg(1)).unwrap().strongly_convex(0.85).unwrap();
    let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
    let at = ((5, 0.3), Draw::new(0, 0));
    let (good, _) = estimate(&mut exact, &mut oracle, at.0, at.1).unwrap();
    let (rough, _) = estimate(&mut early, &mut oracle, at.0, at.1).unwrap();
    // A z_5 + a + C'x by hand, and a + C'x before the first step.
    let z: [f64; 3] = [-0.938_024_660_156_25, 1.162_284_492_187_5, 0.699_618_779_296_875];
    let g: [f64; 3] = [
        2.0 * z[0] + 0.5 * z[1] + 1.4,
        0.5 * z[0] + 1.5 * z[1] + 0.25 * z[2] - 1.6,
        0.25 * z[1] + z[2] - 1.05,
    ];
    let [norm, start] =
        [dot(&g, &g).sqrt(), (1.4_f64.powi(2) + 1.6_f64.powi(2) + 1.05_f64.powi(2)).sqrt()];
    let [good, rough] = [good, rough].map(|found| found.soundness.report.unwrap());
    assert!((good.inner_norm - norm).abs() < 1e-14 && rough.inner_norm == good.inner_norm);
    assert!((good.inner_ratio - norm / start).abs() < 1e-14, "{good:?}");
    // b = F z + K'x + f; after one iteration of conjugate gradients the residual is b - (b'b / b'Hb) H b.
    let b: [f64; 3] = [z[0] + 0.2 * z[1] + 0.26, 0.2 * z[0] + 2.0 * z[1] + 0.21, 1.5 * z[2] - 0.88];
    let h: [f64; 3] =
        [2.0 * b[0] + 0.5 * b[1], 0.5 * b[0] + 1.5 * b[1] + 0.25 * b[2], 0.25 * b[1] + b[2]];
    let step = dot(&b, &b) / dot(&b, &h);
    let left: f64 = b.iter().zip(&h).map(|(b, h)| (b - step * h).powi(2)).sum::<f64>().sqrt();
    let residual = rough.residual.unwrap();
    assert!((residual - left / dot(&b, &b).sqrt()).abs() < 1e-14, "{rough:?}");
    assert!((rough.solution_error.unwrap() - left / 0.85).abs() < 1e-14, "{rough:?}");
    assert!(good.residual.unwrap() < 1e-15 && good.iterations == 3, "{good:?}");
    // A step above 2/|H| shows in the residual.
    let far = Neumann { terms: 30, lr: Some(1.5) };
    let error = implicit(Arc::new(far), Quadratic::general(), (5, 0.3)).unwrap_err();
    let unsolved = matches!(error, Error::Unsolved { residual, iterations: 30 } if residual > 1e3);
    assert!(unsolved && error.to_string().contains("worse than by v = 0"), "{error}");
}

#[test]
fn counts() {
    let stop = |iterations| Stop { iterations, tolerance: 0.0 };
    let counted: [(Solver, u64); 8] = [
        (cg(1), 2),
        (cg(3), 4),
        (Arc::new(Minres { stop: stop(2) }), 3),
        (Arc::new(Gmres { stop: stop(2) }), 3),
        (Arc::new(FixedPoint { stop: stop(7), lr: None }), 7),
        (Arc::new(Neumann { terms: 7, lr: None }), 7),
        (Arc::new(Nystrom { stop: stop(1), rank: 2, shift: None }), 4),
        (Arc::new(Dense), 4),
    ];
    for (solver, products) in counted {
        for steps in [0, 1, 9] {
            let (found, _) = implicit(solver.clone(), Quadratic::general(), (steps, 0.3)).unwrap();
            let (cost, r) = (found.cost, steps as u64);
            let counts = [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed];
            assert_eq!(counts, [r, r + 1, products, 1], "{solver:?}");
        }
    }
}

#[test]
fn bytes_are_scratch() {
    let bytes = |solver: Solver, steps| {
        let digits = Cleaning::digits(0).unwrap();
        implicit(solver, digits, (steps, 1.0)).unwrap().0.cost.bytes_measured
    };
    // 640 weights, with enough scratch to outweigh the arenas of the wider passes.
    let nystrom = |rank| {
        Arc::new(Nystrom { stop: Stop { iterations: 3, tolerance: 0.0 }, rank, shift: None })
            as Solver
    };
    let base = bytes(nystrom(20), 4);
    assert_eq!(bytes(nystrom(20), 9), base);
    assert_eq!(bytes(nystrom(25), 4) - base, 8 * (10 * 640 + 2 * (25 * 25 - 20 * 20) + 5));
    assert_eq!(bytes(Arc::new(Dense), 4) - base, 8 * (641 * 640 - 45 * 640 - 820));
}

// Four tasks with different targets.
problem!(
    Tasks,
    [0.3, 0.4],
    |x| column(x, &[0.1, -0.2]),
    |w, x, draw| {
        let gap = w - (draw.task as f64);
        gap.dot(matrix(w, &[2.0, 0.5, 0.5, 1.0], 2).matmul(gap)) * 0.5 + w.squared_error(x) * 0.25
    },
    |w, x| (w * w * w - x).square().sum() * 0.5,
    4
);

/// Takes the given outer steps; `x` is the last point.
fn descend(
    estimator: &mut Implicit<f64>,
    threads: usize,
    iterations: std::ops::Range<u64>,
    x: &mut [f64],
) -> Vec<Report> {
    let mut oracle = Oracle::new(Tasks).unwrap();
    oracle.set_threads(threads).unwrap();
    let inner = InnerLoop::new(20, 0.3).unwrap();
    let mut gradient = [0.0; 2];
    let step = |k| {
        let found =
            estimator.estimate(&mut oracle, &inner, x, Draw::new(0, k), &mut gradient).unwrap();
        x.iter_mut().zip(&gradient).for_each(|(x, g)| *x -= 0.01 * g);
        found.soundness.report.unwrap()
    };
    iterations.map(step).collect()
}

#[test]
fn warm_starts_help_and_survive_an_interruption() {
    let stop = Stop { iterations: 2, tolerance: 0.0 };
    let solvers: [Solver; 4] = [
        Arc::new(FixedPoint { stop, lr: Some(0.3) }),
        cg(1),
        Arc::new(Minres { stop: Stop { iterations: 1, ..stop } }),
        Arc::new(Gmres { stop: Stop { iterations: 1, ..stop } }),
    ];
    for solver in solvers {
        let cold =
            descend(&mut Implicit::shared(solver.clone()).unwrap(), 1, 0..10, &mut [0.3, 0.4]);
        let mut whole = Implicit::shared(solver.clone()).unwrap().warm();
        let mut x = [0.3, 0.4];
        let warm = descend(&mut whole, 1, 0..10, &mut x);
        // The first call has no earlier solution to start from.
        assert_eq!(cold[0], warm[0]);
        let [cold, warm] = [&cold, &warm].map(|reports| reports[9].residual.unwrap());
        assert!(warm < 0.5 * cold, "{solver:?}: {warm} {cold}");

        // Interrupted after five steps, and on two threads, the bits are the same.
        let mut y = [0.3, 0.4];
        let mut first = Implicit::shared(solver.clone()).unwrap().warm();
        descend(&mut first, 2, 0..5, &mut y);
        let state = first.state();
        assert_eq!(state.names(), ["v.0.0", "v.1.1", "v.2.2", "v.3.3"]);
        let mut second = Implicit::shared(solver.clone()).unwrap().warm();
        second.set_state(&state).unwrap();
        descend(&mut second, 1, 5..10, &mut y);
        assert_eq!(x, y, "{solver:?}");
        // A new start.
        second.set_state(&Params::new()).unwrap();
        assert_eq!(
            descend(&mut second, 1, 0..1, &mut [0.3, 0.4])[0].residual,
            Some(
                descend(&mut Implicit::shared(solver.clone()).unwrap(), 1, 0..1, &mut [0.3, 0.4])
                    [0]
                .residual
                .unwrap()
            )
        );
    }
    let mut cold = Implicit::<f64>::shared(cg(1)).unwrap();
    let state = Params::new().with("v.0.0", hypertape::Shape::SCALAR, [1.0]);
    let text = cold.set_state(&state).unwrap_err().to_string();
    assert_eq!(text, "kept solutions: found 1, expected 0 without warm=1");
    let state = Params::new().with("m", hypertape::Shape::SCALAR, [1.0]);
    let text = cold.warm().set_state(&state).unwrap_err().to_string();
    assert_eq!(text, "a kept solution: found m, expected v.PLACE.TASK");
    let text = Exact::default().set_state(&state).unwrap_err().to_string();
    assert_eq!(text, "the state of an estimator: found 1 arrays, expected none");
}

#[test]
fn bytes_do_not_grow_over_outer_steps() {
    let run = Run::new(InnerLoop::new(5, 0.3).unwrap(), Optimiser::sgd(0.1).unwrap(), 100, 0);
    for solver in all() {
        let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
        let mut x = oracle.start().values().to_vec();
        let mut warm = Implicit::shared(solver.clone()).unwrap().warm();
        let records = run.go(&mut oracle, &mut warm, &mut x, |_, _| Continue(())).unwrap();
        let bytes: Vec<u64> = records.iter().map(|r| r.cost.bytes_measured).collect();
        assert!(
            bytes.len() == 100 && bytes.iter().all(|&b| b == bytes[0]),
            "{solver:?}: {bytes:?}"
        );
    }
}

// The Hessian is diag(x, 1) with x = -0.5.
problem!(
    Saddle,
    [-0.5],
    |x| column(x, &[0.0, 0.0]),
    |w, x, _draw| {
        let first = matrix(w, &[1.0, 0.0], 2).matmul(w);
        let second = matrix(w, &[0.0, 1.0], 2).matmul(w);
        (x * first.square() + second.square()) * 0.5 + x * (first + second)
    },
    |w, _x| w.sum() + w.dot(w) * 0.5
);
// Finite values with a slope, or a second derivative, that is not finite.
problem!(RoughOuter, [1.0], |x| x.scalar(0.0), |w, x, _draw| (w - x).square() * 0.5, |w, _x| ((w
    - w.detach())
    * 1e308)
    .tanh()
    * 10.0);
problem!(
    RoughInner,
    [1.0],
    |x| x.scalar(0.0),
    |w, x, _draw| (w - x).square() * 0.5 + ((w - w.detach()) * 1e200).square(),
    |w, _x| w.sum()
);

#[test]
fn failures_are_told() {
    let error = |solver, problem: &dyn Fn(Solver) -> Result<(Estimate<f64>, Vec<f64>), Error>| {
        problem(solver).unwrap_err()
    };
    let saddle = |solver: Solver| implicit(solver.clone(), Saddle, (3, 0.1));
    let found = error(cg(5), &saddle);
    assert!(matches!(found, Error::Indefinite { curvature, .. } if curvature < 0.0), "{found}");
    for solver in [Arc::new(Minres { stop: FAR }) as Solver, Arc::new(Dense)] {
        let (report, _) = implicit(solver.clone(), Saddle, (3, 0.1)).unwrap();
        assert!(report.soundness.report.unwrap().residual.unwrap() < 1e-14, "{solver:?}");
    }
    for solver in all() {
        for (rough, quantity) in
            [(true, "the outer gradient"), (false, "a product with the inner Hessian")]
        {
            let result = if rough {
                implicit(solver.clone(), RoughOuter, (3, 0.1))
            } else {
                implicit(solver.clone(), RoughInner, (3, 0.1))
            };
            let told = Error::NonFinite { quantity, step: None, lr: 0.1 };
            assert_eq!(result.unwrap_err(), told, "{solver:?}");
        }
    }
    let maml = |solver: Solver| implicit(solver.clone(), Maml::workload(3), (3, 0.002));
    assert_eq!(error(cg(5), &maml), Error::ImplicitVanishes);
    let text = Implicit::<f64>::shared(cg(0)).unwrap_err().to_string();
    assert_eq!(text, "iterations of cg: found 0, expected a whole number, 1 or more");
    let text =
        Implicit::<f64>::shared(cg(1)).unwrap().strongly_convex(-1.0).unwrap_err().to_string();
    assert_eq!(text, "mu: found -1, expected a positive finite number");
}

#[test]
fn single_precision() {
    let mut oracle = Oracle::<f32>::new(Quadratic::general()).unwrap();
    for solver in all() {
        let mut single = Implicit::shared(solver.clone()).unwrap();
        let (found, gradient) =
            estimate(&mut single, &mut oracle, (300, 0.4), Draw::new(0, 0)).unwrap();
        let gap = deviation(&gradient, &[1.026_666_666_666_666_7, -0.695_535_714_285_714_3]);
        // A few roundings of 6e-8.
        assert!(gap < 1e-6, "{solver:?}: {gradient:?} {:?}", found.soundness.report);
    }
}
