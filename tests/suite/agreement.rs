//! The exact hypergradient compared with independent ways to compute it: central differences, Taylor order, and one
//! tape over the whole run.

use crate::support::two_layer::TwoLayer;
use crate::support::{deviation, exact};
use hypertape::problems::{Cleaning, Penalised, Quadratic, catalogue};
use hypertape::{
    Array, Bilevel, Cost, Draw, Element, Estimator, Exact, Function, InnerLoop, Keep, Level, List,
    Oracle, Rows, Schedule, Shape, Tape, Var, Workspace, check,
};

/// The outer loss as a function of `x` alone: the whole run over one array type, with gradients of the inner loss by a
/// tape of that type.
struct WholeRun<P> {
    problem: P,
    steps: usize,
    lr: f64,
}

impl<T: Element, P: Bilevel<T>> Function<T> for WholeRun<P> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let Self { problem, steps, lr } = self;
        let draw = Draw::new(0, 0);
        let arena = x[0].arena();
        let rows = |level| Rows::all(problem.samples(draw.at(level, 0)));
        let mut w = problem.init(x, draw.at(Level::Init, 0));
        for t in 0..*steps {
            let tape = Tape::new(arena).unwrap();
            let x: List<Var<A>> = x.iter().map(|&x| tape.passive(x)).collect();
            let leaves: List<Var<A>> = w.iter().map(|&w| tape.variable(w)).collect();
            let loss = problem.inner(&leaves, &x, draw.at(Level::Inner, t), rows(Level::Inner));
            let seed = loss.value().scalar(1.0);
            let adjoints = tape.finish().pull(&[(loss.id().unwrap(), seed)], arena);
            for (w, leaf) in w.iter_mut().zip(&leaves) {
                *w = *w - adjoints.get(leaf.id().unwrap()).unwrap() * *lr;
            }
        }
        problem.outer(&w, x, draw.at(Level::Outer, 0), rows(Level::Outer))
    }
}

/// The gradient by the tape of the whole run, and the shapes of `x`.
fn whole_run<P: Bilevel<f64>>(run: &WholeRun<P>) -> (f64, Vec<f64>, Vec<Shape>) {
    let x = run.problem.start();
    let mut gradient = vec![0.0; x.values().len()];
    let loss = Workspace::new().gradient(run, x.shapes(), x.values(), &mut gradient).unwrap();
    (loss, gradient, x.shapes().to_vec())
}

#[test]
fn exact_equals_central_differences_and_taylor_order() {
    for seed in 0..5 {
        for steps in [0, 1, 7] {
            let problem = || TwoLayer::<f64>::new(seed);
            let run = WholeRun { problem: problem(), steps, lr: 0.2 };
            let x = run.problem.start();
            let (loss, gradient, _) =
                exact(&mut Oracle::new(problem()).unwrap(), steps, 0.2).unwrap();

            let (whole_loss, whole, shapes) = whole_run(&run);
            // The same terms, summed in a different order over 7 steps.
            assert!((loss - whole_loss).abs() < 1e-14, "seed {seed}, {steps} steps");
            let gap = deviation(&gradient, &whole);
            assert!(gap < 1e-14, "seed {seed}, {steps} steps: {gap:e}");

            let gap = check::central_differences(&run, &shapes, x.values()).unwrap();
            // Steps of 6e-6: truncation of 4e-11 times third derivatives of about 10.
            assert!(gap < 1e-8, "seed {seed}, {steps} steps: {gap:e}");

            let v: Vec<f64> = (0..x.values().len()).map(|i| (1.7 * i as f64).cos()).collect();
            let orders = check::taylor(&run, &shapes, x.values(), &v).unwrap();
            assert!(orders.gradient > 1.9 && orders.hessian > 2.8, "seed {seed}: {orders:?}");
        }
    }
}

#[test]
fn exact_equals_the_whole_run_tape_on_every_problem() {
    fn gap<P: Bilevel<f64>>(make: impl Fn() -> P, steps: usize, lr: f64) -> f64 {
        let (_, gradient, _) = exact(&mut Oracle::new(make()).unwrap(), steps, lr).unwrap();
        let (_, whole, _) = whole_run(&WholeRun { problem: make(), steps, lr });
        deviation(&gradient, &whole)
    }
    let digits = || Cleaning::digits(0).unwrap();
    let gaps = [
        ("quadratic", gap(Quadratic::general, 20, 0.3)),
        ("w1-ridge", gap(|| Penalised::ridge(1), 10, 0.5)),
        ("w1-logreg", gap(|| Penalised::logistic(1), 10, 1.0)),
        ("digits-clean", gap(digits, 10, 1.0)),
    ];
    for (name, gap) in gaps {
        // A different order of summation over up to 2000 samples.
        assert!(gap < 1e-13, "{name}: {gap:e}");
    }
}

#[test]
fn blocks_of_rows_add_up_to_the_whole() {
    /// A problem that is evaluated in blocks of another size.
    struct Blocks<P>(P, usize);
    impl<T: Element, P: Bilevel<T>> Bilevel<T> for Blocks<P> {
        fn start(&self) -> hypertape::Params<T> {
            self.0.start()
        }
        fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], draw: Draw) -> List<A> {
            self.0.init(x, draw)
        }
        fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], d: Draw, r: Rows) -> A {
            self.0.inner(w, x, d, r)
        }
        fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], d: Draw, r: Rows) -> A {
            self.0.outer(w, x, d, r)
        }
        fn samples(&self, draw: Draw) -> usize {
            self.0.samples(draw)
        }
        fn block(&self, _: Level) -> usize {
            self.1
        }
    }
    let digits = || Cleaning::<f64>::digits(0).unwrap();
    let of = |block| exact(&mut Oracle::new(Blocks(digits(), block)).unwrap(), 5, 1.0).unwrap();
    let (whole_loss, whole, whole_cost) = of(usize::MAX);
    for block in [1, 7, 100, 899, 900] {
        let (loss, gradient, cost) = of(block);
        assert!((loss - whole_loss).abs() < 1e-14, "{block}");
        let gap = deviation(&gradient, &whole);
        assert!(gap < 1e-13, "{block}: {gap:e}"); // sums of 900 terms in another order
        // The lanes of blocks need one more gradient and one more mixed product, and lines for the shapes of slices.
        let limit = whole_cost.bytes_measured + 8 * (640 + 900) + 4 * 64;
        assert!(cost.bytes_measured <= limit, "{block}: {cost:?}");
    }
}

#[test]
fn costs_are_counted() {
    for steps in [0, 1, 9] {
        let mut oracle = Oracle::new(TwoLayer::<f64>::new(3)).unwrap();
        let (_, _, cost) = exact(&mut oracle, steps, 0.1).unwrap();
        let r = steps as u64;
        assert_eq!([cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed], [r; 4]);
    }
}

#[test]
fn bytes_grow_by_one_state_a_step() {
    let bytes = |steps| {
        let mut oracle = Oracle::new(TwoLayer::<f64>::new(3)).unwrap();
        exact(&mut oracle, steps, 0.1).unwrap().2.bytes_measured
    };
    // A state has 16 values, in addition to what the schedule notes about a slot.
    let state = 16 * size_of::<f64>() as u64 + 48;
    let one = bytes(1);
    for steps in [2, 10, 100] {
        assert_eq!(bytes(steps), one + (steps as u64 - 1) * state);
    }
}

/// Loss, gradient and cost from kept tapes.
fn from_tapes(oracle: &mut Oracle<f64>, steps: usize, lr: f64) -> (f64, Vec<f64>, Cost) {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![0.0; x.len()];
    let inner = InnerLoop::new(steps, lr).unwrap();
    let tapes = Schedule::StoreAll { keep: Keep::Tapes };
    let estimate =
        Exact::new(tapes).estimate(oracle, &inner, &x, Draw::new(0, 0), &mut gradient).unwrap();
    (estimate.loss, gradient, estimate.cost)
}

#[test]
fn kept_tapes_agree_with_stored_states_on_every_problem() {
    for entry in catalogue() {
        let mut oracle = entry.open::<f64>(None).unwrap();
        let (loss, gradient, cost) = exact(&mut oracle, 5, entry.lr).unwrap();
        for _ in 0..2 {
            let (kept_loss, kept, kept_cost) = from_tapes(&mut oracle, 5, entry.lr);
            // The same steps forward, bit for bit.
            assert_eq!(loss, kept_loss, "{}", entry.name);
            // The same sums on the way back, in a different order.
            let gap = deviation(&kept, &gradient);
            assert!(gap < 1e-13, "{}: {gap:e}", entry.name);
            let counts = |c: &Cost| [c.plain_steps, c.inner_gradients, c.hvps, c.mixed];
            // From states, a step that is not linear in its gradient evaluates the gradient once more.
            let again = u64::from(oracle.rule() != "gradient-descent") * cost.plain_steps;
            let [steps, gradients, hvps, mixed] = counts(&kept_cost);
            assert_eq!(counts(&cost), [steps, gradients + again, hvps, mixed], "{}", entry.name);
        }
    }
}

#[test]
fn bytes_grow_by_one_tape_a_step() {
    let mut oracle = Oracle::new(TwoLayer::<f64>::new(3)).unwrap();
    let mut bytes = |steps| from_tapes(&mut oracle, steps, 0.1).2.bytes_measured;
    let [one, two] = [bytes(1), bytes(2)];
    let tape = two - one;
    // More than the point, `p + d` values, which each tape holds in addition to its records.
    assert!(tape > 8 * 16, "{tape}");
    for steps in [3, 10, 100] {
        assert_eq!(bytes(steps), one + (steps as u64 - 1) * tape);
    }
}

#[test]
fn a_second_call_repeats_the_first_bit_for_bit() {
    let mut oracle = Oracle::new(TwoLayer::<f64>::new(1)).unwrap();
    let inner = InnerLoop::new(9, 0.1).unwrap();
    assert_eq!(inner.steps(), 9);
    let (loss, first, cost) = exact(&mut oracle, 9, 0.1).unwrap();
    let (again, second, repeated) = exact(&mut oracle, 9, 0.1).unwrap();
    assert_eq!((loss, first), (again, second));
    assert_eq!(cost.bytes_measured, repeated.bytes_measured);
}
