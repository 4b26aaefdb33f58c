//! Processes that share a run, simulated by threads: bits, counts and errors are the same on all of them, and those of
//! a single process.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use hypertape::coupling::{Cold, Coupling, Warm};
use hypertape::problems::catalogue;
use hypertape::{
    Draw, Error, Estimator, Exact, InnerLoop, Keep, Optimiser, Oracle, Ranks, Run, Schedule, Ufom,
};

use crate::support::failing::Failing;

/// One of several ranks, which exchange messages through a shared board.
struct Process {
    rank: usize,
    all: Arc<(Barrier, usize)>,
    board: Arc<Mutex<Vec<f64>>>,
}

impl Ranks for Process {
    fn rank(&self) -> usize {
        self.rank
    }
    fn count(&self) -> usize {
        self.all.1
    }
    fn gather(&self, values: &mut [f64], lengths: &[usize]) {
        assert_eq!(lengths.iter().sum::<usize>(), values.len());
        let start: usize = lengths[..self.rank].iter().sum();
        let own = start..start + lengths[self.rank];
        let mut board = self.board.lock().unwrap();
        board.resize(values.len(), f64::NAN);
        board[own.clone()].copy_from_slice(&values[own]);
        drop(board);
        self.all.0.wait();
        values.copy_from_slice(&self.board.lock().unwrap());
        self.all.0.wait();
    }
}

/// The results of all `count` ranks.
fn on_ranks<R: Send>(count: usize, act: impl Fn(Arc<dyn Ranks>) -> R + Sync) -> Vec<R> {
    let all = Arc::new((Barrier::new(count), count));
    let (board, act) = (Arc::default(), &act);
    thread::scope(|scope| {
        let start = |rank| {
            let (all, board) = (Arc::clone(&all), Arc::clone(&board));
            scope.spawn(move || act(Arc::new(Process { rank, all, board })))
        };
        let started: Vec<_> = (0..count).map(start).collect();
        started.into_iter().map(|process| process.join().unwrap()).collect()
    })
}

fn assert_all<R: PartialEq + Debug>(found: &[R], known: &R, what: &str) {
    for (rank, found) in found.iter().enumerate() {
        assert_eq!(found, known, "{what}, rank {rank}");
    }
}

#[test]
fn bits_and_counts_are_those_of_one_process() {
    let tapes = Schedule::StoreAll { keep: Keep::Tapes };
    let estimators: [&(dyn Fn() -> Box<dyn Estimator<f64>> + Sync); 3] =
        [&|| Box::new(Exact::default()), &|| Box::new(Exact::new(tapes)), &|| {
            Box::new(Ufom::new(0.5).unwrap())
        }];
    // Tasks of a meta-batch, blocks of rows.
    for name in ["w3", "w1-logreg"] {
        let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
        let inner = InnerLoop::new(2, entry.lr).unwrap();
        for make in estimators {
            let estimate = |ranks: Option<Arc<dyn Ranks>>, threads| {
                let mut oracle = entry.open::<f64>(None).unwrap();
                if let Some(ranks) = ranks {
                    oracle.set_ranks(ranks);
                }
                oracle.set_threads(threads).unwrap();
                let (mut estimator, x) = (make(), oracle.start().values().to_vec());
                let (draw, mut gradient) = (Draw::new(4, 1), vec![0.0; x.len()]);
                let predicted = estimator.predict(&mut oracle, &inner, &x, draw).unwrap();
                let estimate =
                    estimator.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
                let cost = estimate.cost;
                assert!(cost.bytes_measured <= predicted, "{predicted} {cost:?}");
                let counts = [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed];
                (estimate.loss, gradient, counts)
            };
            let one = estimate(None, 1);
            for (count, threads) in [(2, 1), (3, 2), (9, 1)] {
                let found = on_ranks(count, |ranks| estimate(Some(ranks), threads));
                assert_all(&found, &one, &format!("{name}, {count} ranks, {threads} threads"));
            }
        }
    }
}

#[test]
fn with_64_lanes_as_many_ranks_have_the_bits_of_one() {
    // `w3` has 25 tasks and `w1-logreg` 63 blocks of rows.
    for name in ["w3", "w1-logreg"] {
        let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
        let entry = entry.with([("lanes", "64")]).unwrap();
        let inner = InnerLoop::new(2, entry.lr).unwrap();
        let estimate = |ranks: Option<Arc<dyn Ranks>>| {
            let mut oracle = entry.open::<f64>(None).unwrap();
            if let Some(ranks) = ranks {
                oracle.set_ranks(ranks);
            }
            let (mut exact, x) = (Exact::default(), oracle.start().values().to_vec());
            let (draw, mut gradient) = (Draw::new(4, 1), vec![0.0; x.len()]);
            let predicted = exact.predict(&mut oracle, &inner, &x, draw).unwrap();
            let found = exact.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
            assert!(found.cost.bytes_measured <= predicted, "{predicted} {:?}", found.cost);
            let counts = [found.cost.plain_steps, found.cost.hvps, found.cost.samples];
            (found.loss, gradient, counts)
        };
        let one = estimate(None);
        for count in [16, 64] {
            assert_all(
                &on_ranks(count, |ranks| estimate(Some(ranks))),
                &one,
                &format!("{name} {count}"),
            );
        }
    }
}

#[test]
fn an_error_on_one_rank_is_an_error_on_all() {
    for (tasks, samples) in [(20, 1), (1, 20)] {
        let errors = on_ranks(3, |ranks| {
            let mut oracle = Oracle::new(Failing { tasks, samples, fail: 7..8 }).unwrap();
            oracle.set_ranks(ranks);
            let inner = InnerLoop::new(2, 0.01).unwrap();
            let draw = Draw::new(0, 0);
            Exact::default().estimate(&mut oracle, &inner, &[1.0], draw, &mut [0.0]).unwrap_err()
        });
        // Items 5 to 7 are in lane 2 of 8, which is the first of rank 1's lanes 2, 3 and 4.
        assert!(matches!(errors[1], Error::Function { function: "inner loss", .. }), "{errors:?}");
        for rank in [0, 2] {
            let text = "the other processes: found an error on rank 1, expected none";
            assert_eq!(errors[rank].to_string(), text);
        }
    }
}

#[test]
fn ranks_stop_together_and_warm_starts_are_the_same() {
    let entry = catalogue().into_iter().find(|e| e.name == "w3").unwrap();
    let inner = InnerLoop::new(2, entry.lr).unwrap();
    for coupling in [Arc::new(Cold) as Arc<dyn Coupling>, Arc::new(Warm)] {
        let go = |ranks: Option<Arc<dyn Ranks>>| {
            let mut oracle = entry.open::<f64>(None).unwrap();
            let first = ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0);
            if let Some(ranks) = ranks {
                oracle.set_ranks(ranks);
            }
            let coupling = Arc::clone(&coupling);
            let run = Run { coupling, ..Run::new(inner, Optimiser::adam(0.1).unwrap(), 9, 0) };
            let mut x = oracle.start().values().to_vec();
            // Only the first rank asks to stop.
            let stop = |record: &hypertape::Record, _: &[f64]| {
                let now = first && record.iteration == 2;
                if now { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            run.go(&mut oracle, &mut Exact::default(), &mut x, stop).map(|records| {
                let of = |r: &hypertape::Record| (r.loss, r.gradient_norm, r.end);
                (records.iter().map(of).collect::<Vec<_>>(), x)
            })
        };
        let one = go(None);
        assert!(coupling.warm() || one.as_ref().is_ok_and(|(r, _)| r.len() == 3));
        assert_all(&on_ranks(2, |ranks| go(Some(ranks))), &one, "a run");
    }
}
