//! After a first call, an exact hypergradient on one thread requests no memory from the system, nor does an iteration
//! of a single-loop algorithm.

#[path = "suite/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use hypertape::linear::{Cg, Dense, FixedPoint, Gmres, Minres, Nystrom, Stop};
use hypertape::problems::{Chain, Cleaning, Divergence, GraphProblem, Maml, Penalised};
use hypertape::{
    Draw, Estimator, Exact, Forward, Implicit, InnerLoop, Joint, Keep, LinearSolver, Oracle, Run,
    Schedule, SingleLoop, StochasticNeumann, Terms, Truncated,
};
use support::two_layer::TwoLayer;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes in use.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + layout.size().cast_signed());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size().cast_signed());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.set(LIVE.get() + size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Number of allocations in a second and a third call, which draw other mini-batches.
fn allocations(oracle: Oracle<f64>, steps: usize, lr: f64) -> [usize; 2] {
    storing(Keep::States, oracle, steps, lr)
}

fn storing(keep: Keep, oracle: Oracle<f64>, steps: usize, lr: f64) -> [usize; 2] {
    by(&mut Exact::new(Schedule::StoreAll { keep }), oracle, steps, lr)
}

fn by(
    estimator: &mut dyn Estimator<f64>,
    mut oracle: Oracle<f64>,
    steps: usize,
    lr: f64,
) -> [usize; 2] {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![0.0; x.len()];
    let inner = InnerLoop::new(steps, lr).unwrap();
    let mut call = |iteration| {
        let before = ALLOCATIONS.get();
        let draw = Draw::new(0, iteration);
        estimator.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
        ALLOCATIONS.get() - before
    };
    assert!(call(0) > 0, "the counter counts");
    [call(0), call(1)]
}

#[test]
fn a_hypergradient_allocates_nothing_after_a_first() {
    assert_eq!(allocations(Oracle::new(Penalised::logistic(1)).unwrap(), 100, 1.0), [0, 0]);
    assert_eq!(allocations(Oracle::new(Penalised::ridge(1)).unwrap(), 100, 0.5), [0, 0]);
    assert_eq!(allocations(Oracle::new(TwoLayer::new(1)).unwrap(), 20, 0.1), [0, 0]);
    assert_eq!(allocations(Oracle::new(Cleaning::workload(2)).unwrap(), 3, 0.1), [0, 0]);
    assert_eq!(allocations(Oracle::new(Maml::workload(3)).unwrap(), 5, 0.002), [0, 0]);
    let tasks = Oracle::new(Divergence::diverging(42, 20)).unwrap();
    assert_eq!(allocations(tasks, 10, 0.1), [0, 0]);
    assert_eq!(allocations(Oracle::scalar(Chain::workload(4)), 20, 0.05), [0, 0]);
    let graphs = |statement| Oracle::new(GraphProblem::new(&statement, None).unwrap()).unwrap();
    assert_eq!(allocations(graphs(support::graphs::w1(true)), 10, 1.0), [0, 0]);
    assert_eq!(allocations(graphs(support::graphs::w3()), 5, 0.002), [0, 0]);
    let (tapes, logistic) = (Keep::Tapes, Oracle::new(Penalised::logistic(1)).unwrap());
    assert_eq!(storing(tapes, logistic, 5, 1.0), [0, 0]);
    assert_eq!(storing(tapes, Oracle::new(Maml::workload(3)).unwrap(), 5, 0.002), [0, 0]);
}

#[test]
fn nor_does_any_other_estimate() {
    let stop = Stop { iterations: 3, tolerance: 0.0 };
    let solvers: [Arc<dyn LinearSolver<f64>>; 6] = [
        Arc::new(Cg { stop }),
        Arc::new(Minres { stop }),
        Arc::new(Gmres { stop }),
        Arc::new(FixedPoint { stop, lr: None }),
        Arc::new(Nystrom { stop, rank: 2, shift: None }),
        Arc::new(Dense),
    ];
    for solver in solvers {
        let mut implicit = Implicit::shared(solver).unwrap().warm();
        let logistic = Oracle::new(Penalised::logistic(1)).unwrap();
        assert_eq!(by(&mut implicit, logistic, 3, 1.0), [0, 0], "{implicit:?}");
    }
    let chain = Oracle::scalar(Chain::workload(4));
    assert_eq!(by(&mut Forward, chain, 3, 0.05), [0, 0], "scalars");
    let all = Terms::StocBio { terms: 4, batches: 2.0, decay: 0.5 };
    let mut series = StochasticNeumann::new(all, None).unwrap();
    for estimator in [&mut series as &mut dyn Estimator<f64>, &mut Forward, &mut Truncated { k: 2 }]
    {
        let two_layer = Oracle::new(TwoLayer::new(1)).unwrap();
        assert_eq!(by(estimator, two_layer, 5, 0.1), [0, 0], "{}", estimator.name());
    }
}

/// The bytes that an oracle has taken from the system after its first estimates are those that it measures: nothing
/// escapes the count. A chunk of an arena ends in whole pages of 4 KiB; there are two arenas, and up to eight chunks
/// more for each kept tape.
#[test]
fn bytes_from_the_system_are_bytes_measured() {
    for schedule in ["store-all", "binomial:c=5", "uniform:k=4", "store-all:keep=tapes"] {
        for entry in hypertape::problems::catalogue() {
            if ["divergence-wide", "w2"].contains(&entry.name.as_str()) {
                continue;
            }
            let mut oracle = entry.open::<f64>(None).unwrap();
            let x = oracle.start().values().to_vec();
            let inner = InnerLoop::new(30, entry.lr).unwrap();
            let mut gradient = vec![0.0; x.len()];
            let mut exact = Exact::new(schedule.parse().unwrap());
            let before = LIVE.get();
            let mut measured = 0;
            for _ in 0..2 {
                let cost = exact.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut gradient);
                measured = cost.unwrap().cost.bytes_measured;
            }
            let taken = u64::try_from(LIVE.get() - before).unwrap();
            let arenas = if schedule.ends_with("tapes") { 2 + 8 * 30 } else { 2 };
            let slack = arenas * 4096;
            let name = entry.name;
            assert!(taken >= measured, "{name} {schedule}: {taken} {measured}");
            assert!(taken <= measured + slack, "{name} {schedule}: {taken} {measured} {slack}");
        }
    }
}

/// After a short run of a single-loop algorithm, a run of 200 iterations allocates as often as one of 100.
#[test]
fn an_iteration_of_an_algorithm_allocates_nothing() {
    for line in hypertape::Registry::<f64>::default().algorithms.lines() {
        let name = line.about().name;
        let entry =
            hypertape::problems::catalogue().into_iter().find(|e| e.name == "quadratic-sampled");
        let mut oracle = entry.unwrap().open::<f64>(None).unwrap();
        let text = format!("{name}:step=0.001");
        let mut joint = Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
        let inner = InnerLoop::new(1, 1.0).unwrap();
        let mut allocations = |iterations| {
            let run = Run { record_every: 10_000, ..Run::new(inner, joint.outer(), iterations, 0) };
            let mut x = oracle.start().values().to_vec();
            let before = ALLOCATIONS.get();
            run.go(&mut oracle, &mut joint, &mut x, |_, _| Continue(())).unwrap();
            ALLOCATIONS.get() - before
        };
        assert!(allocations(40) > 0, "the counter counts");
        assert_eq!(allocations(100), allocations(200), "{name}");
    }
}
