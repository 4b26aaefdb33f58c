//! Checkpointed loops outside bilevel problems: the same bits under every schedule, derivatives compared with
//! differences, and loops over single numbers compared with loops over arrays.

use hypertape::scalar::Real;
use hypertape::{
    Array, Element, Function, List, Loop, Params, Recurrence, ScalarRecurrence, Schedule, Shape,
    Workspace,
};

/// `s' = tanh(A s + b t/r)`, with a second array that accumulates the norm; `loss = |s|^2/2 + c q`.
struct Cell {
    steps: usize,
}

impl<T: Element> Recurrence<T> for Cell {
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A> {
        List::from_slice(&[x[1] * 0.5, x[1].scalar(0.0)])
    }
    fn step<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A], t: usize) -> List<A> {
        let next = (x[0].matmul(s[0]) + x[1] * (t as f64 / self.steps as f64)).tanh();
        List::from_slice(&[next, s[1] + next.dot(next) * 0.1])
    }
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A]) -> A {
        s[0].dot(s[0]) * 0.5 + s[1] * x[1].sum()
    }
}

const N: usize = 3;
const D: usize = N * N + N;

fn point() -> [f64; D] {
    std::array::from_fn(|i| 0.9 * (1.7 * i as f64 + 0.3).sin())
}

fn cell(steps: usize, schedule: &str) -> Loop<'static, f64> {
    let (matrix, vector) = (Shape::new(3, 3), Shape::column(3));
    let x = Params::new().with("a", matrix, point()[..9].iter().copied()).with(
        "b",
        vector,
        point()[9..].iter().copied(),
    );
    Loop::new(Cell { steps }, x, steps, schedule.parse::<Schedule>().unwrap()).unwrap()
}

fn gradient(x: &[f64], steps: usize, schedule: &str) -> (f64, [f64; D], u64) {
    let mut gradient = [0.0; D];
    let (loss, cost) = cell(steps, schedule).gradient(x, &mut gradient).unwrap();
    (loss, gradient, cost.bytes_measured)
}

#[test]
fn derivatives_agree_with_differences() {
    for steps in [0, 1, 40] {
        let (x, v) = (point(), std::array::from_fn::<_, D, _>(|i| (i as f64).cos()));
        let along = |t: f64| std::array::from_fn::<_, D, _>(|i| x[i] + t * v[i]);
        let (mut by_hvp, mut product) = ([0.0; D], [0.0; D]);
        let mut run = cell(steps, "binomial:c=3");
        let (loss, _) = run.hvp(&x, &v, &mut by_hvp, &mut product).unwrap();
        let (same, plain, _) = gradient(&x, steps, "store-all");
        assert_eq!((loss, by_hvp), (same, plain));
        let h = 1e-5;
        let [up, down] = [h, -h].map(|h| gradient(&along(h), steps, "store-all"));
        let slope: f64 = plain.iter().zip(v).map(|(g, v)| g * v).sum();
        let scale = plain.iter().chain(&product).fold(1.0_f64, |s, g| s.max(g.abs()));
        // Central differences: third derivatives times h^2, and 1e-16 / h.
        assert!(((up.0 - down.0) / (2.0 * h) - slope).abs() < 1e-8 * scale, "{steps}");
        for ((up, down), found) in up.1.iter().zip(down.1).zip(product) {
            let difference = (up - down) / (2.0 * h);
            assert!((difference - found).abs() < 1e-7 * scale, "{steps}: {difference} {found}");
        }
    }
}

#[test]
fn every_schedule_returns_the_same_bits() {
    let (loss, expected, all) = gradient(&point(), 40, "store-all");
    for schedule in ["uniform:k=5", "binomial:c=4", "constant", "disk:ram=2,disk=5", "online:c=4"] {
        let (same, found, bytes) = gradient(&point(), 40, schedule);
        assert_eq!((same, found), (loss, expected), "{schedule}");
        assert!(schedule.starts_with("disk") || bytes < all, "{schedule}: {bytes} {all}");
    }
    // A state has four values, in addition to what the schedule notes about a slot.
    let bytes = |schedule| gradient(&point(), 40, schedule).2;
    assert_eq!(bytes("binomial:c=9") - bytes("binomial:c=4"), 5 * (4 * 8 + 48));
}

/// The same over single numbers.
impl ScalarRecurrence<f64> for Cell {
    fn dim(&self) -> usize {
        N + 1
    }
    fn start<R: Real>(&self, x: &[R], s: &mut [R]) {
        (0..N).for_each(|i| s[i] = x[N * N + i] * 0.5);
    }
    fn step<R: Real>(&self, s: &[R], x: &[R], t: usize, next: &mut [R]) {
        next[N] = s[N];
        for i in 0..N {
            let row = R::dot(&x[i * N..(i + 1) * N], &s[..N]);
            next[i] = (row + x[N * N + i] * (t as f64 / self.steps as f64)).tanh();
            next[N] += next[i].square() * 0.1;
        }
    }
    fn loss<R: Real>(&self, s: &[R], x: &[R]) -> R {
        R::dot(&s[..N], &s[..N]) * 0.5 + s[N] * R::sum_of(&x[N * N..])
    }
}

#[test]
fn numbers_agree_with_arrays_under_every_schedule() {
    let (x, v) = (point(), std::array::from_fn::<_, D, _>(|i| (i as f64).cos()));
    let hvp = |mut run: Loop<'_, f64>| {
        let (mut gradient, mut product) = ([0.0; D], [0.0; D]);
        let (loss, cost) = run.hvp(&x, &v, &mut gradient, &mut product).unwrap();
        let mut alone = [0.0; D];
        assert_eq!((run.gradient(&x, &mut alone).unwrap().0, alone), (loss, gradient));
        (loss, gradient, product, cost)
    };
    let scalar = |steps: usize, schedule: &str| {
        hvp(Loop::scalar(Cell { steps }, D, steps, schedule.parse().unwrap()).unwrap())
    };
    for steps in [0, 1, 40] {
        let (numbers, arrays) = (scalar(steps, "store-all"), hvp(cell(steps, "store-all")));
        let flat = |(loss, gradient, product, _): (f64, [f64; D], [f64; D], _)| {
            std::iter::once(loss).chain(gradient).chain(product)
        };
        let scale = flat(arrays).fold(1.0_f64, |s, g| s.max(g.abs()));
        for (i, (a, b)) in flat(numbers).zip(flat(arrays)).enumerate() {
            // Sums in a different order, through 40 steps. Observed up to 4e-15.
            assert!((a - b).abs() < 1e-13 * scale, "{steps} {i}: {a} {b}");
        }
    }
    let (loss, gradient, product, all) = scalar(40, "store-all");
    for schedule in ["uniform:k=5", "binomial:c=4", "constant", "online:c=4"] {
        let (same, by_gradient, by_product, cost) = scalar(40, schedule);
        assert_eq!((same, by_gradient, by_product), (loss, gradient, product), "{schedule}");
        assert!(cost.bytes_measured < all.bytes_measured, "{schedule}");
    }
    let mut run = Loop::scalar(Cell { steps: 2 }, D, 2, Schedule::Constant).unwrap();
    let why = run.gradient(&x[1..], &mut [0.0; D]).unwrap_err();
    assert_eq!(why.to_string(), format!("the point: found {} values, expected {D}", D - 1));
}

#[test]
fn a_second_call_takes_the_memory_of_the_first() {
    let mut run = cell(30, "binomial:c=4");
    let mut gradient = [0.0; D];
    let first = run.gradient(&point(), &mut gradient).unwrap();
    let again = run.gradient(&point(), &mut gradient).unwrap();
    assert_eq!((first.0, first.1.bytes_measured), (again.0, again.1.bytes_measured));
}

/// A step that returns one array too few.
struct Shorter;
impl Recurrence<f64> for Shorter {
    fn start<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> List<A> {
        List::from_slice(&[x[0], x[0]])
    }
    fn step<'a, A: Array<'a, Elem = f64>>(&'a self, s: &[A], _: &[A], _: usize) -> List<A> {
        List::from_slice(&s[..1])
    }
    fn loss<'a, A: Array<'a, Elem = f64>>(&'a self, s: &[A], _: &[A]) -> A {
        s[0]
    }
}
#[test]
fn what_does_not_fit_is_named() {
    let mut out = [0.0; D];
    let text = |e: hypertape::Error| e.to_string();
    let why = cell(4, "store-all:keep=tapes").gradient(&point(), &mut out).unwrap_err();
    assert_eq!(text(why), "schedule: found one that keeps tapes, expected one that keeps states");
    let why = cell(4, "store-all").gradient(&point()[..5], &mut out).unwrap_err();
    assert_eq!(text(why), format!("the point: found 5 values, expected {D}"));
    let (x, v, mut product) = (point(), [0.0; 2], [0.0; D]);
    let why = cell(4, "store-all").hvp(&x, &v, &mut out, &mut product).unwrap_err();
    assert_eq!(text(why), format!("the direction: found 2 values, expected {D}"));

    let x = Params::new().with("x", Shape::SCALAR, [1.0]);
    let mut run = Loop::new(Shorter, x, 2, Schedule::Constant).unwrap();
    let why = run.gradient(&[1.0], &mut [0.0]).unwrap_err();
    assert_eq!(
        text(why),
        "the problem's recurrence: the state of a recurrence: found 1 values, expected 2"
    );
}

/// `s' = s - x s^2`, with the running loss `x s^2` and the loss `s`.
#[derive(Clone, Copy)]
struct Run {
    steps: usize,
}

impl<T: Element> Recurrence<T> for Run {
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0)])
    }
    fn step<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A], _: usize) -> List<A> {
        List::from_slice(&[s[0] - x[0] * s[0].square()])
    }
    fn running<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A], _: usize) -> Option<A> {
        Some(x[0] * s[0].square())
    }
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], _: &[A]) -> A {
        s[0].square()
    }
}

impl ScalarRecurrence<f64> for Run {
    fn dim(&self) -> usize {
        1
    }
    fn start<R: Real>(&self, _: &[R], s: &mut [R]) {
        s[0] = R::constant(1.0);
    }
    fn step<R: Real>(&self, s: &[R], x: &[R], _: usize, next: &mut [R]) {
        next[0] = s[0] - x[0] * s[0].square();
    }
    fn running<R: Real>(&self, s: &[R], x: &[R], _: usize) -> Option<R> {
        Some(x[0] * s[0].square())
    }
    fn loss<R: Real>(&self, s: &[R], _: &[R]) -> R {
        s[0].square()
    }
}

/// The same loop by hand, on one tape.
impl Function<f64> for Run {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let (mut s, mut sum) = (x[0].scalar(1.0), x[0].scalar(0.0));
        for _ in 0..self.steps {
            let lost = x[0] * s.square();
            (s, sum) = (s - lost, sum + lost);
        }
        sum + s.square()
    }
}

fn runs(steps: usize, schedule: &str) -> [Loop<'static, f64>; 2] {
    let (run, x) = (Run { steps }, Params::new().with("x", Shape::SCALAR, [0.1]));
    let schedule = || schedule.parse().unwrap();
    [
        Loop::new(run, x, steps, schedule()).unwrap(),
        Loop::scalar(run, 1, steps, schedule()).unwrap(),
    ]
}

/// The running loss is the decrease of the state, so the value is `1 - s_r + s_r^2`.
#[test]
fn running_losses_agree_with_one_tape_by_hand() {
    let (mut g, mut h, shape) = ([0.0], [0.0], [Shape::SCALAR]);
    let f = &Run { steps: 30 };
    let value = Workspace::new().hvp(f, &shape, &[0.1], &[1.0], &mut g, &mut h).unwrap();
    for schedule in ["store-all", "binomial:c=3", "online:c=4", "disk:ram=1,disk=2"] {
        for mut run in runs(30, schedule) {
            let (mut gradient, mut product) = ([0.0], [0.0]);
            let (found, _) = run.hvp(&[0.1], &[1.0], &mut gradient, &mut product).unwrap();
            // Sums of 30 terms in a different order.
            let close = |a: f64, b: f64| (a - b).abs() < 1e-14 * b.abs().max(1.0);
            assert!(close(found, value) && close(gradient[0], g[0]), "{schedule}");
            assert!((product[0] - h[0]).abs() < 1e-12 * h[0].abs(), "{schedule}");
            let mut alone = [0.0];
            let (same, _) = run.gradient(&[0.1], &mut alone).unwrap();
            assert_eq!((same, alone), (found, gradient));
            let ended = run.run(&[0.1]).unwrap();
            let known = 1.0 - ended.state[0] + ended.state[0] * ended.state[0];
            assert!(close(ended.value, known) && close(found, known), "{schedule}");
            assert_eq!((ended.steps, ended.cost.plain_steps), (30, 30));
        }
    }
}

#[test]
fn a_predicate_ends_a_loop() {
    // s_t = 1 / (1 + 0.1 t) to first order: the 11th step is the first that leads below 1/2.
    let steps = {
        let (mut s, mut t) = (1.0, 0);
        while s >= 0.5 {
            (s, t) = (s - 0.1 * s * s, t + 1);
        }
        t
    };
    assert_eq!(steps, 10);
    for (mut fixed, open) in runs(steps, "store-all").into_iter().zip(runs(1000, "online:c=3")) {
        let mut open = open.until(|s, _| s[0] < 0.5).unwrap();
        let (mut known, mut found) = ([0.0], [0.0]);
        let value = fixed.gradient(&[0.1], &mut known).unwrap().0;
        assert_eq!((open.gradient(&[0.1], &mut found).unwrap().0, found), (value, known));
        assert_eq!(open.run(&[0.1]).unwrap().steps, steps);
        let (mut product, mut same) = ([0.0], [0.0]);
        open.hvp(&[0.1], &[1.0], &mut found, &mut product).unwrap();
        fixed.hvp(&[0.1], &[1.0], &mut known, &mut same).unwrap();
        assert_eq!((found, product), (known, same));
    }
    // The number of steps is limited, and steps are counted from 1.
    for open in runs(7, "online:c=3") {
        assert_eq!(open.until(|_, _| false).unwrap().run(&[0.1]).unwrap().steps, 7);
    }
    for open in runs(7, "online:c=3") {
        assert_eq!(open.until(|_, t| t == 4).unwrap().run(&[0.1]).unwrap().steps, 4);
    }
    for open in runs(7, "store-all") {
        assert_eq!(open.until(|_, t| t == 4).unwrap().run(&[0.1]).unwrap().steps, 4);
    }
    let [refused, _] = runs(7, "uniform:k=2");
    let error = refused.until(|_, _| true).unwrap_err().to_string();
    assert!(error.ends_with("because uniform:k=2 depends on the number of steps"), "{error}");
}
