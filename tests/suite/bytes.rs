//! Memory as a result: the bytes predicted before a run equal those measured in it, for every estimator, schedule,
//! rule, precision and number of threads, and follow the formulas of the documentation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hypertape::linear::{Cg, FixedPoint, Gmres, Minres, Neumann, Nystrom, Stop};
use hypertape::problems::{Precision, catalogue};
use hypertape::rand::RngExt;
use hypertape::{
    Adam, Array, Bilevel, Call, Cheap, Draw, Estimator, Exact, FirstOrder, Forward,
    ForwardGradient, FullTape, Implicit, InnerLoop, Jump, Level, LinearSolver, List, Momentum,
    Oracle, Params, Profile, Roulette, Rows, Schedule, Shape, Thinned, Truncated, Ufom,
};

const SCHEDULES: [&str; 8] = [
    "store-all",
    "store-all:keep=tapes",
    "uniform:k=3",
    "binomial:c=2",
    "constant",
    "mixed:c=4,tape=2",
    "disk:ram=1,disk=2",
    "online:c=3",
];

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap()
}

/// Predicted and measured bytes.
fn bytes<T: Precision>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    estimator: &mut dyn Estimator<T>,
) -> [u64; 2] {
    let (x, draw) = (oracle.start().values().to_vec(), Draw::new(3, 0));
    let mut gradient = vec![T::zero(); x.len()];
    let predicted = estimator.predict(oracle, inner, &x, draw).unwrap();
    let cost = estimator.estimate(oracle, inner, &x, draw, &mut gradient).unwrap().cost;
    [predicted, cost.bytes_measured]
}

fn hit(schedule: Schedule) -> Ufom {
    let mut ufom = Ufom::new(0.5).unwrap().with_schedule(schedule);
    ufom.force(Some(vec![true; 25]));
    ufom
}

/// Randomised estimators at their most expensive outcomes.
fn largest<T: Precision>(schedules: &[&str]) -> Vec<Box<dyn Estimator<T>>> {
    let mut all: Vec<Box<dyn Estimator<T>>> = Vec::new();
    for text in schedules.iter().take(4) {
        let levels = [(0, 1.0), (1, 0.9), (2, 0.9), (4, 0.5)];
        let mut roulette = Roulette::new(levels).unwrap().with_schedule(schedule(text));
        roulette.force(Some(3));
        all.push(Box::new(roulette));
    }
    let jump = Cheap::Jump(Jump { anchors: 2, degree: 2 });
    for cheap in [Cheap::Truncated { k: 2 }, Cheap::Mixed, jump] {
        all.push(Box::new(hit(schedule("binomial:c=2")).with_cheap(cheap).unwrap()));
    }
    // All steps are visited.
    let thinned = || Thinned::new(1.0).unwrap();
    all.push(Box::new(thinned().with_slots(2).unwrap()));
    all.push(Box::new(thinned().anchored()));
    all.push(Box::new(ForwardGradient::new(2).unwrap()));
    all
}

fn predictions_hold<T: Precision>(threads: usize, schedules: &[&str]) {
    // `divergence-wide` is a smaller problem in 20 000 copies. `w2` takes a long time, so it runs only once.
    let once = threads == 1 && T::NAME == "f64";
    let taken = |name: &str| name != "divergence-wide" && (once || name != "w2");
    for entry in catalogue().into_iter().filter(|e| taken(&e.name)) {
        let mut oracle = entry.open::<T>(None).unwrap();
        oracle.set_threads(threads).unwrap();
        let steps = if entry.name == "w2" { 2 } else { 4 };
        let inner = InnerLoop::new(steps, entry.lr).unwrap();
        let expect = |oracle: &mut Oracle<T>, estimator: &mut dyn Estimator<T>| {
            let [predicted, measured] = bytes(oracle, &inner, estimator);
            let (problem, name) = (&entry.name, estimator.name());
            let schedule = estimator.schedule();
            assert_eq!(predicted, measured, "{problem} {name} {schedule:?} threads {threads}");
        };
        // Expensive on `w2`, whose formula is the same.
        let few = if entry.name == "w2" { &schedules[..2] } else { schedules };
        for text in few {
            expect(&mut oracle, &mut Exact::new(schedule(text)));
        }
        expect(&mut oracle, &mut hit(schedule("binomial:c=2")));
        if ["quadratic", "w1-ridge", "w3", "w4"].contains(&entry.name.as_str()) {
            for mut estimator in largest(schedules) {
                expect(&mut oracle, &mut *estimator);
            }
        }
        for k in [0, 2, 9] {
            expect(&mut oracle, &mut Truncated { k });
        }
        if oracle.outer_dim() < 1000 && oracle.rule() == "gradient-descent" {
            expect(&mut oracle, &mut Forward);
        }
        let stop = Stop { iterations: 3, tolerance: 0.0 };
        let solvers: [Arc<dyn LinearSolver<T>>; 6] = [
            Arc::new(Gmres { stop }),
            Arc::new(FixedPoint { stop, lr: None }),
            Arc::new(Neumann { terms: 3, lr: None }),
            // The rest only for systems of a minimum.
            Arc::new(Cg { stop }),
            Arc::new(Minres { stop }),
            Arc::new(Nystrom { stop, rank: 2, shift: Some(1.0) }),
        ];
        for solver in solvers {
            let mut implicit = Implicit::shared(solver).unwrap();
            if oracle_vanishes(&mut implicit, &mut oracle, &inner) {
                break;
            }
            expect(&mut oracle, &mut implicit);
        }
        if entry.name == "w2" {
            continue;
        }
        expect(&mut oracle, &mut FullTape);
    }
}

/// Whether the implicit gradient of the problem is zero or its Hessian not definite, so that there is no estimate.
fn oracle_vanishes<T: Precision>(
    implicit: &mut Implicit<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
) -> bool {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![T::zero(); x.len()];
    implicit.estimate(oracle, inner, &x, Draw::new(3, 0), &mut gradient).is_err()
}

#[test]
fn predicted_bytes_are_measured_bytes_on_every_problem() {
    predictions_hold::<f64>(1, &SCHEDULES);
    predictions_hold::<f32>(1, &SCHEDULES[..1]);
}

#[test]
fn predicted_bytes_are_measured_bytes_on_every_number_of_threads() {
    for threads in [2, 3] {
        predictions_hold::<f64>(threads, &["store-all:keep=tapes", "binomial:c=2"]);
    }
}

#[test]
fn predicted_bytes_are_measured_bytes_under_other_rules() {
    for entry in catalogue().into_iter().filter(|e| ["w1-ridge", "w3"].contains(&e.name.as_str())) {
        for steps in [0, 1, 5] {
            let inner = InnerLoop::new(steps, entry.lr * 0.1).unwrap();
            let mut oracle = entry.open::<f64>(None).unwrap();
            let expect = |oracle: &mut Oracle<f64>| {
                for text in SCHEDULES {
                    let [predicted, measured] =
                        bytes(oracle, &inner, &mut Exact::new(schedule(text)));
                    let (rule, name) = (oracle.rule(), &entry.name);
                    assert_eq!(predicted, measured, "{name} {rule} {text} {steps} steps");
                }
            };
            oracle.set_rule(Momentum::heavy_ball(0.9).unwrap());
            expect(&mut oracle);
            oracle.set_rule(Momentum::nesterov(0.9).unwrap());
            expect(&mut oracle);
            oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
            expect(&mut oracle);
            let mut first_order = FirstOrder;
            if entry.name == "w3" {
                let [predicted, measured] = bytes(&mut oracle, &inner, &mut first_order);
                assert_eq!(predicted, measured);
            }
        }
    }
}

#[test]
fn a_prediction_that_is_kept_is_that_of_a_new_oracle() {
    let entry = catalogue().into_iter().find(|e| e.name == "w3").unwrap();
    let mut kept = entry.open::<f64>(None).unwrap();
    let (x, mut stream) = (kept.start().values().to_vec(), Draw::new(7, 0).stream());
    let mut threads = None;
    for _ in 0..60 {
        let mut choose = |of: usize| stream.random_range(0..of);
        let draw = Draw::new(choose(2) as u64, choose(2) as u64);
        let inner = InnerLoop::new(2 + choose(2), entry.lr).unwrap();
        let estimator: Box<dyn Estimator<f64>> = match choose(4) {
            0 => Box::new(Truncated { k: 1 + choose(2) }),
            k => Box::new(Exact::new(schedule(SCHEDULES[k]))),
        };
        // Most predictions follow another one without a change of the oracle.
        let (change, other) = (choose(3) == 0, 1 + choose(2));
        if change || threads.is_none() {
            threads = Some(other);
            kept.set_threads(other).unwrap();
        }
        let mut fresh = entry.open::<f64>(None).unwrap();
        fresh.set_threads(threads.unwrap()).unwrap();
        let known = estimator.predict(&mut fresh, &inner, &x, draw).unwrap();
        for _ in 0..2 {
            let found = estimator.predict(&mut kept, &inner, &x, draw).unwrap();
            assert_eq!(found, known, "{estimator:?} {inner:?} {draw:?}");
        }
    }
    let (inner, draw) = (InnerLoop::new(2, entry.lr).unwrap(), Draw::new(0, 0));
    Estimator::<f64>::predict(&Exact::default(), &mut kept, &inner, &x, draw).unwrap();
    let short = Estimator::<f64>::predict(&Exact::default(), &mut kept, &inner, &x[1..], draw);
    assert!(short.unwrap_err().to_string().starts_with("the outer point: found"));
}

/// `g = sum_i (a_i . w - x)^2 / 2` over samples whose number depends on the task.
#[derive(Debug)]
struct Uneven {
    data: Vec<f64>,
}

impl Bilevel<f64> for Uneven {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::SCALAR, [1.0])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        [x[0].constant(Shape::column(3), &self.data[..3])].into_iter().collect()
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, r: Rows) -> A {
        let rows = w[0].constant(Shape::new(r.count(), 3), r.of(&self.data, 3));
        let gap = rows.matmul(w[0].sin()) - x[0];
        gap.dot(gap) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].dot(w[0])
    }
    fn tasks(&self) -> usize {
        5
    }
    fn batch(&self) -> usize {
        1
    }
    fn samples(&self, draw: Draw) -> usize {
        let task = usize::try_from(draw.task).unwrap();
        if draw.level == Level::Outer { 1 } else { 20 + 30 * task }
    }
}

#[test]
fn predictions_of_uneven_batches_are_measured() {
    let data = (0..420).map(|i| f64::from(i).sin() / 9.0).collect();
    let mut kept = Oracle::new(Uneven { data }).unwrap();
    let inner = InnerLoop::new(5, 1e-3).unwrap();
    let mut sizes = BTreeSet::new();
    for iteration in 0..12 {
        for text in SCHEDULES.iter().filter(|text| !text.starts_with("disk")) {
            let (mut exact, draw) = (Exact::new(schedule(text)), Draw::new(3, iteration));
            let mut gradient = [0.0];
            let predicted = exact.predict(&mut kept, &inner, &[1.0], draw).unwrap();
            let made = exact.estimate(&mut kept, &inner, &[1.0], draw, &mut gradient).unwrap();
            assert_eq!(predicted, made.cost.bytes_measured, "{text} {iteration}");
            sizes.insert(predicted);
        }
    }
    assert!(sizes.len() > 14, "tasks take different numbers of bytes: {sizes:?}");
}

#[test]
fn bytes_follow_the_formula() {
    // `8 (n slots + 2 n + p + d)` and the largest evaluation; a slot takes 48 bytes in the schedule.
    let entry = catalogue().into_iter().find(|e| e.name == "w1-logreg").unwrap();
    let mut oracle = entry.open::<f64>(None).unwrap();
    let (p, x, draw) =
        (oracle.inner_dim() as u64, oracle.start().values().to_vec(), Draw::new(3, 0));
    let d = x.len() as u64;
    let inner = InnerLoop::new(100, entry.lr).unwrap();
    let profile = Profile::measure(&oracle, &inner, &x, draw, 0).unwrap();
    for (text, slots) in [("store-all", 99), ("binomial:c=10", 10), ("uniform:k=10", 18)] {
        let [_, measured] = bytes(&mut oracle, &inner, &mut Exact::new(schedule(text)));
        let turn = 8 * (2 * p + p) + profile.outer_gradient.bytes;
        let back = 8 * (2 * p + p + d) + profile.products.bytes;
        assert_eq!(measured, (8 * p + 48) * slots + turn.max(back), "{text}");
    }
}

#[test]
fn disk_takes_the_states_out_of_memory() {
    let entry = catalogue().into_iter().find(|e| e.name == "w3").unwrap();
    let mut oracle = entry.open::<f64>(None).unwrap();
    let inner = InnerLoop::new(100, entry.lr).unwrap();
    let mut of = |text| bytes(&mut oracle, &inner, &mut Exact::new(schedule(text)))[1];
    let (disk, memory) = (of("disk:ram=2,disk=20"), of("binomial:c=22"));
    // 20 states of 1761 values fewer in memory, two tables of 21 rows of 101 numbers more.
    let saved = 20 * 8 * 1761 - (2 * 21 * 101 * 8);
    assert_eq!(disk + saved, memory, "{disk} {memory}");
}

#[test]
fn bytes_of_array_operations_are_those_of_their_evaluations() {
    let entry = catalogue().into_iter().find(|e| e.name == "w3").unwrap();
    let mut oracle = entry.open::<f64>(None).unwrap();
    let (inner, x) = (InnerLoop::new(3, entry.lr).unwrap(), oracle.start().values().to_vec());
    let profile = Profile::measure(&oracle, &inner, &x, Draw::new(3, 0), 0).unwrap();
    oracle.set_breakdown(true);
    let point = profile.value * (profile.inner + profile.outer);
    for (schedule, parts) in [
        ("store-all", [Call::InnerGradient, Call::Products, Call::Outer]),
        ("store-all:keep=tapes", [Call::Record, Call::PullTape, Call::Outer]),
    ] {
        bytes(&mut oracle, &inner, &mut Exact::new(schedule.parse().unwrap()));
        let breakdown = oracle.breakdown().unwrap();
        for part in parts {
            let (share, rows) = (breakdown.of(part), breakdown.operations(part));
            // For a kept tape, everything except the point.
            let each = if part == Call::Record { profile.tape - point } else { share.bytes };
            let sum: u64 = rows.iter().map(|row| row.bytes).sum();
            assert_eq!(sum, share.calls * each, "{part:?} {rows:?}");
            let time = rows.iter().map(|row| row.forward + row.back).sum::<Duration>();
            assert!(time > Duration::ZERO && time <= share.time, "{part:?} {rows:?}");
        }
        // Two layers make two products with weights.
        let rows = breakdown.operations(parts[0]);
        let products = rows.iter().find(|row| row.name == "matmul").unwrap();
        assert!(products.records >= 2 * breakdown.of(parts[0]).calls, "{rows:?}");
    }
    oracle.set_breakdown(false);
    bytes(&mut oracle, &inner, &mut Exact::default());
    assert_eq!(oracle.breakdown(), None);
}

#[test]
fn long_tapes_and_short_online_loops_are_not_above_their_predictions() {
    let open = |name| catalogue().into_iter().find(|e| e.name == name).unwrap();
    // Lists end in a whole cache line: each number of steps modulo 8 rounds otherwise.
    let eleven = [11, 12, 13, 14, 15, 16, 17, 18, 100, 1000];
    for (name, lengths) in
        [("quadratic", &eleven[..]), ("digits-clean-mlp", &eleven[..8]), ("w3", &eleven[..8])]
    {
        let entry = open(name);
        let mut oracle = entry.open::<f64>(None).unwrap();
        for &steps in lengths {
            let inner = InnerLoop::new(steps, entry.lr).unwrap();
            let [predicted, measured] = bytes(&mut oracle, &inner, &mut FullTape);
            assert_eq!(predicted, measured, "{name} {steps}");
        }
    }
    let entry = open("w1-ridge");
    let mut oracle = entry.open::<f64>(None).unwrap();
    for (steps, c) in [(0, 1), (1, 1), (1, 2), (2, 2), (3, 2), (5, 9)] {
        // This tolerance is never reached: the loop takes all steps.
        let inner = InnerLoop::new(steps, entry.lr).unwrap().until(1e-300).unwrap();
        let mut online = Exact::new(Schedule::Online { c });
        let [predicted, measured] = bytes(&mut oracle, &inner, &mut online);
        assert_eq!(predicted, measured, "{steps} steps, {c} states");
    }
}

#[test]
fn all_states_of_a_loop_that_ends_by_itself_are_stored_within_the_prediction() {
    let entry = catalogue().into_iter().find(|e| e.name == "quadratic").unwrap();
    let mut oracle = entry.open::<f64>(None).unwrap();
    let x = oracle.start().values().to_vec();
    let [mut found, mut known] = [vec![0.0; x.len()], vec![0.0; x.len()]];
    // Blocks of states end at 16, 32, 64.
    for steps in [0, 1, 2, 3, 16, 17, 18, 33, 34, 300] {
        for tolerance in [1e-300, 0.5, 1e-1, 1e-2, 1e-3] {
            let inner = InnerLoop::new(steps, entry.lr).unwrap().until(tolerance).unwrap();
            let [predicted, measured] = bytes(&mut oracle, &inner, &mut Exact::default());
            let draw = Draw::new(0, 0);
            let cost =
                Exact::default().estimate(&mut oracle, &inner, &x, draw, &mut found).unwrap().cost;
            let taken = usize::try_from(cost.plain_steps).unwrap();
            assert!(
                measured <= predicted && (taken < steps || measured == predicted),
                "{taken} of {steps}"
            );
            let same = InnerLoop::new(taken, entry.lr).unwrap();
            let mut predict = |steps| {
                let inner = InnerLoop::new(steps, entry.lr).unwrap();
                Exact::default().predict(&mut oracle, &inner, &x, draw).unwrap()
            };
            let (least, state) = (predict(taken), predict(9) - predict(8));
            // A block of 16 at first, and then as many states again; the list of slots is that of the longest loop.
            let (more, list) = (state * taken.max(16) as u64, 48 * steps as u64);
            assert!(measured <= least + more + list, "{taken} of {steps}: {measured} {least}");
            Exact::default().estimate(&mut oracle, &same, &x, draw, &mut known).unwrap();
            assert_eq!(found, known, "{taken} of {steps}");
        }
    }
}
