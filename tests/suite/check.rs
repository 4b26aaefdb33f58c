//! `check`: every problem of the catalogue passes, and a mistake fails exactly the checks that concern it.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::two_layer::TwoLayer;
use hypertape::problems::{Entry, Precision, catalogue};
use hypertape::{
    Array, Bilevel, Check, Draw, Element, Error, InnerLoop, Level, LinearOperator, List, Oracle,
    Params, Rows, Shape, Verdict, check, nearby,
};

fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|c| c.failed()).map(|c| c.name).collect()
}

fn checks_of<T: Precision>(entry: &Entry) -> Vec<Check> {
    let mut oracle = entry.open::<T>(None).unwrap();
    // A step is right or wrong whatever the number of steps, and the tape of a long run is large.
    let inner = InnerLoop::new(entry.steps.min(4), entry.lr).unwrap();
    let draw = Draw::new(0, 0);
    let x = nearby(oracle.start().values(), draw);
    check(&mut oracle, &inner, &x, draw).unwrap()
}

#[test]
fn every_problem_of_the_catalogue_passes() {
    for entry in catalogue() {
        let checks = checks_of::<f64>(&entry);
        assert_eq!(failed(&checks), [""; 0], "{}: {checks:#?}", entry.name);
        let skipped = checks.iter().filter(|c| matches!(c.verdict, Verdict::Skipped(_))).count();
        assert_eq!((checks.len(), skipped), (13, 0), "{}", entry.name);
        for c in checks.iter().filter(|c| c.verdict == Verdict::Passed) {
            // A strict bound: 1e-6 for truncation, observed up to 8e-8; on these problems rounding adds up to 7e-6.
            assert!(c.allowed < 1e-4, "{}: {c:?}", entry.name);
            assert!(c.observed < 1e-6, "{}: {c:?}", entry.name);
        }
    }
}

#[test]
fn single_precision_runs_what_needs_no_differences() {
    for entry in catalogue().iter().filter(|e| e.name != "w2") {
        let checks = checks_of::<f32>(entry);
        assert_eq!(failed(&checks), [""; 0], "{}: {checks:#?}", entry.name);
        let run: Vec<_> = checks
            .iter()
            .filter(|c| !matches!(c.verdict, Verdict::Skipped("differences need f64")))
            .map(|c| c.name)
            .collect();
        let expected = [
            "randomness replayed",
            "randomness used",
            "sum over blocks of samples",
            "Hessian symmetry",
            "exact = full tape",
            "outer variables used",
        ];
        assert_eq!(run, expected, "{}", entry.name);
    }
}

#[test]
fn a_problem_with_everything_passes_with_mini_batches() {
    for seed in 0..5 {
        let mut oracle = Oracle::new(TwoLayer::<f64>::new(seed)).unwrap();
        let x = oracle.start().values().to_vec();
        for steps in [0, 1, 7] {
            let inner = InnerLoop::new(steps, 0.1).unwrap();
            let checks = check(&mut oracle, &inner, &x, Draw::new(seed, 3)).unwrap();
            assert_eq!(failed(&checks), [""; 0], "seed {seed}, {steps} steps: {checks:#?}");
            assert_eq!(checks[1].verdict, Verdict::Noted("stochastic"));
        }
    }
}

/// The mistake in a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// A term of the inner loss is not differentiated.
    InnerTerm,
    /// A factor of the inner loss is not differentiated.
    InnerFactor,
    /// An operator of the inner loss returns `M x` instead of `M^T x`.
    Transpose,
    /// `x` in the inner loss is not differentiated.
    InnerX,
    /// A term of the outer loss is not differentiated with respect to `w`, or to `x`.
    OuterW,
    OuterX,
    /// The start is not differentiated.
    Start,
    /// The inner loss, the outer loss or the start depends on the number of its calls.
    InnerCounts,
    OuterCounts,
    StartCounts,
}

use Mistake::{
    InnerCounts, InnerFactor, InnerTerm, InnerX, OuterCounts, OuterW, OuterX, Start, StartCounts,
    Transpose,
};

/// `(x_0 + x_1 / 2, x_1)`, and its transpose if `right`.
struct Shear {
    right: bool,
}

impl<T: Element> LinearOperator<T> for Shear {
    fn rows(&self) -> u32 {
        2
    }
    fn cols(&self) -> u32 {
        2
    }
    fn apply(&self, transposed: bool, x: &[T], _columns: usize, y: &mut [T]) {
        let half = T::from_f64(0.5);
        let (from, to) = if transposed && self.right { (0, 1) } else { (1, 0) };
        y[to] += half * x[from];
        y[0] += x[0];
        y[1] += x[1];
    }
}

/// A nonlinear problem with two tasks, three inner and two outer variables.
struct Wrong {
    mistake: Mistake,
    shear: Shear,
    calls: AtomicU32,
}

impl Wrong {
    fn new(mistake: Mistake) -> Self {
        let shear = Shear { right: mistake != Transpose };
        Self { mistake, shear, calls: AtomicU32::new(0) }
    }

    /// `a`, detached if the problem has this mistake.
    fn without<'a, A: Array<'a>>(&self, mistake: Mistake, a: A) -> A {
        if self.mistake == mistake { a.detach() } else { a }
    }

    /// 1, and a little more at each call if the problem has this mistake.
    fn noise(&self, mistake: Mistake) -> f64 {
        if self.mistake != mistake {
            return 1.0;
        }
        1.0 + 1e-3 * f64::from(self.calls.fetch_add(1, Ordering::Relaxed))
    }
}

impl<T: Element> Bilevel<T> for Wrong {
    fn start(&self) -> Params<T> {
        Params::new().with("x", Shape::column(2), [0.5, -0.3].map(T::from_f64))
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let first = self.without(Start, x[0].tanh()) * self.noise(StartCounts);
        List::from_slice(&[first, x[0].sum().exp()])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        let weight = self.without(InnerX, x[0].exp());
        let coupling = self.without(InnerFactor, w[0].tanh().sum()) * w[1].tanh() * w[1];
        let term = self.without(InnerTerm, w[1].exp() * 0.1);
        let task = 1.0 + d.task as f64;
        let sheared = w[0].dot(w[0].linear(&self.shear, false));
        sheared + weight.dot(w[0].square()) * task + coupling + term * self.noise(InnerCounts)
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let by_w = self.without(OuterW, w[0].exp().sum());
        let by_x = self.without(OuterX, x[0].tanh().sum());
        (by_w + by_x + w[1].square()) * self.noise(OuterCounts)
    }

    fn tasks(&self) -> usize {
        2
    }
}

fn checks_with(mistake: Mistake) -> Vec<Check> {
    let mut oracle = Oracle::<f64>::new(Wrong::new(mistake)).unwrap();
    let x = nearby(oracle.start().values(), Draw::new(0, 0));
    check(&mut oracle, &InnerLoop::new(6, 0.1).unwrap(), &x, Draw::new(0, 0)).unwrap()
}

#[test]
fn a_mistake_fails_the_checks_that_are_about_it() {
    let run = "exact = differences";
    let cases: [(Mistake, &[&str]); 8] = [
        (Mistake::None, &[]),
        // The run follows the wrong gradient, and the derivative of that run is right.
        (InnerTerm, &["inner gradient in w"]),
        (InnerFactor, &["inner gradient in w", "Hessian product", run]),
        (Transpose, &["inner gradient in w", "Hessian symmetry", run]),
        (InnerX, &["mixed product", run]),
        (OuterW, &["outer gradient in w", run]),
        (OuterX, &["outer gradient in x", run]),
        (Start, &["start", run]),
    ];
    for (mistake, expected) in cases {
        let checks = checks_with(mistake);
        assert_eq!(failed(&checks), expected, "{mistake:?}: {checks:#?}");
        assert_eq!(checks[1].verdict, Verdict::Noted("deterministic"));
        // Each mistake is far above the tolerance.
        for c in checks.iter().filter(|c| c.failed()) {
            assert!(c.observed > 1000.0 * c.allowed, "{mistake:?}: {c:?}");
        }
    }
}

/// The mean of four squares. If it `ignores` rows, it always returns the mean over all of them. It uses one of its two
/// outer variables.
struct Four {
    ignores: bool,
    names: [&'static str; 2],
}

const SAMPLES: [f64; 4] = [1.0, -2.0, 0.5, 3.0];

impl Bilevel<f64> for Four {
    fn start(&self) -> Params<f64> {
        self.names.iter().fold(Params::new(), |all, &name| all.with(name, Shape::SCALAR, [0.3]))
    }

    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.7)])
    }

    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let range = if self.ignores { 0..4 } else { rows.range() };
        let terms = range.map(|i| (w[0] - SAMPLES[i]).square() * 0.25);
        let sum = terms.fold(w[0].scalar(0.0), |sum, term| sum + term);
        if rows.carries_rest() { sum + x[0] * w[0].square() } else { sum }
    }

    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        if rows.carries_rest() { w[0].square() } else { w[0].scalar(0.0) }
    }

    fn samples(&self, _: Draw) -> usize {
        SAMPLES.len()
    }

    /// A larger block than there are samples.
    fn block(&self, _: Level) -> usize {
        100
    }
}

#[test]
fn losses_that_ignore_rows_and_variables_that_do_nothing() {
    for ignores in [false, true] {
        let mut oracle = Oracle::new(Four { ignores, names: ["a", "b"] }).unwrap();
        let inner = InnerLoop::new(6, 0.1).unwrap();
        let checks = check(&mut oracle, &inner, &[0.31, 0.2], Draw::new(0, 0)).unwrap();
        let expected = if ignores { &["sum over blocks of samples"][..] } else { &[] };
        assert_eq!(failed(&checks), expected, "{checks:#?}");
        let used = checks.iter().find(|c| c.name == "outer variables used").unwrap();
        assert_eq!((used.observed, &used.verdict), (1.0, &Verdict::Noted("NOT ALL")));
    }
    let twice = Oracle::new(Four { ignores: false, names: ["a", "a"] }).map(drop).unwrap_err();
    assert!(twice.to_string().starts_with("two outer arrays are called a"), "{twice}");
}

#[test]
fn hidden_state_is_found_and_nothing_else_is_claimed() {
    for mistake in [InnerCounts, OuterCounts, StartCounts] {
        let checks = checks_with(mistake);
        assert_eq!(failed(&checks), ["randomness replayed"], "{mistake:?}: {checks:#?}");
        assert!(checks[0].observed >= 1.0, "{:?}", checks[0]);
        assert_eq!(checks.len(), 13);
        let skipped = Verdict::Skipped("values that change from call to call have no slope");
        assert!(checks[1..].iter().all(|c| c.verdict == skipped), "{mistake:?}: {checks:#?}");
    }
}

#[test]
fn a_run_that_is_not_finite_is_an_error() {
    let mut oracle = Oracle::<f64>::new(Wrong::new(Mistake::None)).unwrap();
    let inner = InnerLoop::new(6, 1e300).unwrap();
    let error = check(&mut oracle, &inner, &[0.5, -0.3], Draw::new(0, 0)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error}");
}

#[test]
fn a_point_of_another_length_is_refused() {
    let mut oracle = Oracle::<f64>::new(Wrong::new(Mistake::None)).unwrap();
    let inner = InnerLoop::new(6, 0.1).unwrap();
    let error = check(&mut oracle, &inner, &[0.5; 3], Draw::new(0, 0)).unwrap_err();
    assert_eq!(error.to_string(), "the outer point: found 3 values, expected 2");
}

#[test]
fn points_nearby_are_repeated_and_near() {
    let x = [0.0_f64, 1.0, -100.0];
    let moved = nearby(&x, Draw::new(1, 0));
    assert_eq!(moved, nearby(&x, Draw::new(1, 0)));
    assert_ne!(moved, nearby(&x, Draw::new(2, 0)));
    for (from, to) in x.iter().zip(&moved) {
        assert!((from - to).abs() <= 0.01 * f64::max(1.0, from.abs()) && from != to, "{moved:?}");
    }
}

/// Exit status, stdout and stderr of `hypertape check`.
#[cfg(feature = "cli")]
fn command(line: &str) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hypertape"));
    let output = command.arg("check").args(line.split_whitespace()).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    (output.status.code().unwrap(), out, err)
}

#[cfg(feature = "cli")]
#[test]
fn the_command_prints_a_table_or_objects() {
    let (status, out, err) = command("quadratic");
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("quadratic: 5 steps, lr 0.3, f64, near the start\ncheck "), "{out}");
    assert_eq!(out.lines().filter(|l| l.ends_with("  ok")).count(), 11, "{out}");

    // Long runs are cut short unless asked for.
    let (status, out, err) = command("w1-ridge --json --dtype f32");
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    let rows: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 13, "{out}");
    let of = |key: &str| -> Vec<&str> { rows.iter().map(|r| r[key].as_str().unwrap()).collect() };
    assert_eq!(of("verdict").iter().filter(|v| **v == "skipped").count(), 7, "{out}");
    assert!(of("check").contains(&"Hessian symmetry") && rows[0]["steps"] == 10, "{out}");
    assert!(rows[0]["allowed"] == 0.0 && rows[3]["observed"].is_null(), "{out}");
}

#[cfg(feature = "cli")]
#[test]
fn the_command_fails_where_a_check_does() {
    // An inner loop that diverges to a loss of 1e50. The gradient is right: differences with steps of 1e-9 approach it
    // to 5e-7, those of 6e-6 are too long.
    let (status, out, err) = command("sinusoid --lr 0.3 --steps 20");
    assert_eq!(status, 1, "{out}");
    assert_eq!(err, "error: 1 of 13 checks failed: exact = differences\n");
    assert_eq!(out.lines().filter(|l| l.ends_with("  FAILED")).count(), 1, "{out}");
    // What failed is explained below the table.
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("exact = differences: the hypergradient is not the slope"), "{out}");
}
