//! Algorithms whose inner loops go on from one another: published tables, closed forms, refusals.

use std::ops::ControlFlow::Continue;

use crate::support::two_layer::TwoLayer;
use hypertape::coupling::{Bsa, Coupling, Ttsa, Warm};
use hypertape::linear::{Cg, Stop};
use hypertape::problems::Quadratic;
use hypertape::{
    Array, Bilevel, Draw, Estimator, Exact, Forward, FullTape, Implicit, InnerLoop, Level, List,
    Optimiser, Oracle, Params, Rows, Run, RunState, Shape, StochasticNeumann, Terms, Truncated,
    mean_loss,
};

/// bilevel 4.3: two samples a level, drawn strictly alternating in the order in which an algorithm is written down.
struct Alternating {
    /// Inner steps and further inner samples, of the factors and the mixed product, of each iteration.
    counts: Vec<(usize, usize, usize)>,
}

const INNER: [([f64; 4], [f64; 4], [f64; 2]); 2] = [
    ([2.0, 0.5, 0.5, 1.0], [1.0, 0.0, 0.0, 0.5], [1.0, -1.0]),
    ([1.0, -0.2, -0.2, 1.5], [0.5, 0.2, -0.1, 1.0], [-0.5, 0.3]),
];
type OuterSample = ([f64; 4], [f64; 4], [f64; 4], [f64; 2], [f64; 2]);
const OUTER: [OuterSample; 2] = [
    ([1.0, 0.0, 0.0, 2.0], [0.4, 0.0, 0.0, 0.2], [0.2, 0.0, 0.1, -0.3], [0.5, 0.0], [0.1, -0.1]),
    ([1.5, 0.3, 0.3, 0.5], [0.1, 0.0, 0.0, 0.3], [0.0, 0.1, 0.0, 0.0], [-1.0, 0.2], [0.0, 0.2]),
];

impl Alternating {
    /// How many inner samples were drawn before this one.
    fn place(&self, d: Draw) -> usize {
        let [k, step] = [d.iteration, d.step].map(|n| usize::try_from(n).unwrap());
        let before: usize = self.counts[..k].iter().map(|(r, p, mixed)| r + p + mixed).sum();
        let (r, p, _) = self.counts[k];
        match step {
            step if step < r => before + step,
            // The sample of the mixed product is drawn after those of the factors.
            step if step == r => before + r + p,
            step => before + step - 1,
        }
    }
}

fn form<'a, A: Array<'a, Elem = f64>>(a: A, matrix: &'a [f64; 4], b: A) -> A {
    a.dot(a.constant(Shape::new(2, 2), matrix).matmul(b))
}

fn linear<'a, A: Array<'a, Elem = f64>>(a: A, vector: &'a [f64; 2]) -> A {
    a.dot(a.constant(Shape::column(2), vector))
}

impl Bilevel<f64> for Alternating {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(2), [0.5, 0.25])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(Shape::column(2), &[1.0, -1.0])])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        let (a, c, b) = &INNER[self.place(d) % 2];
        form(w[0], a, w[0]) * 0.5 + form(x[0], c, w[0]) + linear(w[0], b)
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        assert_eq!(d.level, Level::Outer);
        let (f, h, k, b, e) = &OUTER[usize::try_from(d.iteration).unwrap() % 2];
        let (w, x) = (w[0], x[0]);
        form(w, f, w) * 0.5 + form(x, h, x) * 0.5 + form(x, k, w) + linear(w, b) + linear(x, e)
    }
}

/// `w` and `x` after three iterations, each a run of its own; `factors` are those of a term drawn.
fn three(
    coupling: impl Coupling + Copy + 'static,
    (steps, power): (usize, f64),
    mut estimator: StochasticNeumann,
    (factors, mixed): ([usize; 3], usize),
) -> [f64; 4] {
    let inner = InnerLoop::new(steps, 0.1).unwrap();
    let count = |k: usize| (coupling.inner(&inner, k).steps(), factors.get(k).map_or(0, |&p| p));
    let counts = (0..4).map(count).map(|(r, p)| (r, p, mixed)).collect();
    let mut oracle = Oracle::new(Alternating { counts }).unwrap();
    let mut state = RunState::new(oracle.start().values().to_vec());
    for (k, &drawn) in factors.iter().enumerate() {
        estimator.force(Some(drawn));
        let outer = Optimiser::decaying_sgd(0.1, power).unwrap();
        let run = Run::new(inner, outer, k + 1, 0).coupled(coupling);
        run.go_on(&mut oracle, &mut estimator, &mut state, |_, _| Continue(())).unwrap();
    }
    let mut w = state.ends.values().to_vec();
    if coupling.name() == "bsa" {
        // Its third iteration ends with inner steps, which here begin the fourth.
        let last = coupling.inner(&inner, 3);
        mean_loss(&mut oracle, &last, &state.x, Draw::new(0, 3), &mut w).unwrap();
    }
    [w[0], w[1], state.x[0], state.x[1]]
}

#[test]
fn the_published_table_to_every_digit() {
    let stocbio = Terms::StocBio { terms: 4, batches: 1.0, decay: 1.0 };
    let of = |terms| StochasticNeumann::new(terms, Some(0.1)).unwrap();
    let single = || of(Terms::Single { terms: 3 });
    let drawn = [2, 0, 1];
    for (name, found, expected) in [
        (
            "StocBiO",
            three(Warm, (2, 0.0), of(stocbio), ([3; 3], 1)),
            [
                0.188_138_840_674_797,
                -0.443_547_411_608_864,
                0.433_301_390_786_164,
                0.101_070_140_436_546,
            ],
        ),
        (
            "BSA",
            three(Bsa, (2, 0.5), single(), (drawn, 1)),
            [
                0.308_230_645_381_121,
                -0.525_852_074_135_269,
                0.467_355_441_558_19,
                0.141_999_698_821_597,
            ],
        ),
        (
            "TTSA",
            three(Ttsa, (1, 0.6), single().reusing(), (drawn, 0)),
            [
                0.500_487_619_729_848,
                -0.710_303_528_751_305,
                0.480_439_725_169_297,
                0.165_279_880_118_97,
            ],
        ),
    ] {
        for (found, expected) in found.iter().zip(expected) {
            // Half a unit of the fifteenth digit.
            assert!((found - expected).abs() <= 6e-16, "{name}: {found} {expected}");
        }
    }
}

/// `x` and `w` after 20 iterations of `estimator` on `g = w^2/2 + x w`, `f = w^2`, 3 warm inner steps of 0.1.
fn twenty(estimator: &mut dyn Estimator<f64>) -> [f64; 2] {
    let mut oracle = Oracle::new(Quadratic::<f64>::scalar()).unwrap();
    let (inner, outer) = (InnerLoop::new(3, 0.1).unwrap(), Optimiser::sgd(0.2).unwrap());
    let run = Run::new(inner, outer, 20, 0).coupled(Warm);
    let mut state = RunState::new(vec![0.5]);
    run.go_on(&mut oracle, estimator, &mut state, |_, _| Continue(())).unwrap();
    [state.x[0], state.ends.get("w.0.0").unwrap()[0]]
}

/// `w <- rho w - (1 - rho) x` with `rho = 0.9^3`, then a step along `slope w`: bilevel T1 with a start that moves.
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
    // Sums of twelve, nine times.
    assert!((x[0] - at).abs() < 2e-15, "{} {at}", x[0]);
    for (task, w) in w.iter().enumerate() {
        let found = ends.get(&format!("w.{task}.{task}")).unwrap()[0];
        assert!((found - w).abs() < 2e-15, "{task}: {found} {w}");
    }
}
