//! Threads change time and bytes, but neither bits nor counts nor errors.

use std::ops::ControlFlow::Continue;

use hypertape::problems::{Maml, Penalised, catalogue};
use hypertape::{
    Cost, Draw, Element, Error, Estimator, Exact, Fault, FirstOrder, FullTape, InnerLoop, Joint,
    Keep, Oracle, Registry, Run, RunState, Schedule, Shape, SingleLoop, Ufom, mean_loss,
};

use crate::support::deviation;
use crate::support::failing::Failing;

/// Loss, gradient and cost at the problem's start, or the error.
fn estimate<T: Element>(
    estimator: &mut dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
) -> Result<(T, Vec<T>, Cost), Error> {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![T::zero(); x.len()];
    let estimate = estimator.estimate(oracle, inner, &x, Draw::new(4, 1), &mut gradient)?;
    Ok((estimate.loss, gradient, estimate.cost))
}

fn counts(cost: &Cost) -> [u64; 4] {
    [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed]
}

#[test]
fn bits_and_counts_do_not_depend_on_the_number_of_threads() {
    for entry in catalogue() {
        let mut oracle = entry.open::<f64>(None).unwrap();
        let inner = InnerLoop::new(2, entry.lr).unwrap();
        let tapes = Schedule::StoreAll { keep: Keep::Tapes };
        let mut estimators: [Box<dyn Estimator<f64>>; 5] = [
            Box::new(Exact::default()),
            Box::new(Exact::new(tapes)),
            Box::new(FirstOrder),
            Box::new(FullTape),
            Box::new(Ufom::new(0.5).unwrap()),
        ];
        for estimator in &mut estimators {
            oracle.set_threads(1).unwrap();
            let one = estimate(estimator.as_mut(), &mut oracle, &inner);
            for threads in [2, 3, 8] {
                oracle.set_threads(threads).unwrap();
                // The second call uses memory that the first left behind.
                for _ in 0..2 {
                    let what = format!("{}, {}, {threads}", entry.name, estimator.name());
                    match (&one, &estimate(estimator.as_mut(), &mut oracle, &inner)) {
                        (Ok(one), Ok(many)) => {
                            assert_eq!((one.0, &one.1), (many.0, &many.1), "{what}");
                            assert_eq!(counts(&one.2), counts(&many.2), "{what}");
                            assert!(one.2.bytes_measured <= many.2.bytes_measured, "{what}");
                        }
                        (Err(one), Err(many)) => assert_eq!(one, many, "{what}"),
                        _ => panic!("{what}: an estimate on one side, an error on the other"),
                    }
                }
            }
        }
    }
}

#[test]
fn the_inner_loop_alone_is_the_same_too() {
    for name in ["w1-logreg", "w3", "sinusoid"] {
        let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
        let mut oracle = entry.open::<f32>(None).unwrap();
        let inner = InnerLoop::new(3, entry.lr).unwrap();
        let x = oracle.start().values().to_vec();
        let mut run = |threads| {
            oracle.set_threads(threads).unwrap();
            let mut w = Vec::new();
            (mean_loss(&mut oracle, &inner, &x, Draw::new(0, 3), &mut w).unwrap(), w)
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert_eq!(run(threads), one, "{name}, {threads} threads");
        }
    }
}

#[test]
fn bytes_are_those_of_each_worker_and_the_lanes() {
    let mut oracle = Oracle::<f64>::new(Maml::workload(3)).unwrap();
    let inner = InnerLoop::new(3, 0.002).unwrap();
    let mut bytes = |lanes, threads| {
        oracle.set_lanes(lanes).unwrap();
        oracle.set_threads(threads).unwrap();
        estimate(&mut Exact::default(), &mut oracle, &inner).unwrap().2.bytes_measured
    };
    let gradient = 8 * 1761;
    // On one thread a task, its gradient, and the sum of the lane that follows the first.
    let task = bytes(8, 1) - 2 * gradient;
    for (threads, vectors) in [(2, 4 + 1), (3, 5 + 1), (8, 7)] {
        let known = threads as u64 * (task + gradient) + vectors * gradient;
        assert_eq!(bytes(8, threads), known, "{threads} threads");
    }
    // One lane per task and two per worker. The first worker adds its second lane to the result, and no lane has two
    // tasks.
    assert_eq!(bytes(64, 16), 13 * task + (23 + 1) * gradient);
}

#[test]
fn bits_depend_on_lanes_alone_and_more_keep_more_threads_busy() {
    // 63 blocks of 32 samples instead of 7, and one lane per task.
    for name in ["w1-logreg", "w3"] {
        let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
        let inner = InnerLoop::new(2, entry.lr).unwrap();
        let mut known = Vec::new();
        for (lanes, threads) in [(8, 1), (64, 1), (64, 3), (64, 8), (64, 16)] {
            let entry = entry.clone().with([("lanes", &*lanes.to_string())]).unwrap();
            let mut oracle = entry.open::<f64>(None).unwrap();
            oracle.set_threads(threads).unwrap();
            let x = oracle.start().values().to_vec();
            for keep in [Keep::States, Keep::Tapes] {
                let mut exact = Exact::new(Schedule::StoreAll { keep });
                let draw = Draw::new(4, 1);
                let predicted = exact.predict(&mut oracle, &inner, &x, draw).unwrap();
                let (loss, gradient, cost) = estimate(&mut exact, &mut oracle, &inner).unwrap();
                assert_eq!(predicted, cost.bytes_measured, "{name} {lanes} {threads}");
                known.push((loss, gradient, counts(&cost)));
            }
        }
        let (eight, of_64) = known.split_at(2);
        for found in of_64.chunks(2) {
            assert!(found == &of_64[..2], "{name}");
        }
        for (eight, found) in eight.iter().zip(of_64) {
            assert!(eight.1 != found.1 && eight.2 == found.2, "{name}");
            // The sums of 2000 samples, or of 25 tasks, are added in another order.
            let gap = deviation(&found.1, &eight.1);
            assert!(gap < 1e-13, "{name}: {gap:e}");
        }
    }
}

#[test]
fn lanes_and_threads_are_set_in_any_order() {
    let inner = InnerLoop::new(1, 0.002).unwrap();
    let of = |set: &[(usize, usize)]| {
        let mut oracle = Oracle::<f64>::new(Maml::workload(3)).unwrap();
        for &(lanes, threads) in set {
            oracle.set_lanes(lanes).unwrap();
            oracle.set_threads(threads).unwrap();
        }
        let (loss, gradient, cost) = estimate(&mut Exact::default(), &mut oracle, &inner).unwrap();
        (loss, gradient, cost.bytes_measured)
    };
    assert_eq!(of(&[(8, 16), (25, 16)]), of(&[(25, 16)]));
    let mut oracle = Oracle::<f64>::new(Maml::workload(3)).unwrap();
    oracle.set_threads(16).unwrap();
    oracle.set_lanes(25).unwrap();
    let (.., cost) = estimate(&mut Exact::default(), &mut oracle, &inner).unwrap();
    assert_eq!(cost.bytes_measured, of(&[(25, 16)]).2);
    let error = oracle.set_lanes(0).unwrap_err();
    assert_eq!(error.to_string(), "lanes: found 0, expected 1 or more");
}

#[test]
fn the_first_error_in_order_is_returned() {
    for (tasks, samples) in [(20, 1), (1, 20)] {
        let mut oracle = Oracle::new(Failing { tasks, samples, fail: 7..20 }).unwrap();
        let inner = InnerLoop::new(2, 0.01).unwrap();
        for threads in [1, 2, 3, 8] {
            oracle.set_threads(threads).unwrap();
            let error = estimate(&mut Exact::default(), &mut oracle, &inner).unwrap_err();
            let (left, right) = (Shape::column(2), Shape::column(7));
            let fault = Fault::Shapes { operation: "add", left, right };
            assert_eq!(error, Error::Function { function: "inner loss", fault }, "{threads}");
        }
    }
}

#[test]
fn another_start_reaches_the_workers() {
    let mut oracle = Oracle::new(Failing { tasks: 20, samples: 1, fail: 0..0 }).unwrap();
    let inner = InnerLoop::new(2, 0.5).unwrap();
    for threads in [1, 3] {
        oracle.set_threads(threads).unwrap();
        for start in [1.0, 8.0] {
            oracle.set_init(vec![start]).unwrap();
            let (loss, gradient, _) = estimate(&mut Exact::default(), &mut oracle, &inner).unwrap();
            // `w_2 = w_0 / 4`, `f = w_2^2/2`; the 20 shares of 1/20 are rounded.
            let known = start * start / 32.0;
            assert!((loss / known - 1.0).abs() < 1e-15, "{loss} {known}");
            assert!((gradient[0] / known - 1.0).abs() < 1e-15, "{} {known}", gradient[0]);
        }
    }
}

#[test]
fn no_threads_are_refused() {
    let mut oracle = Oracle::<f64>::new(Maml::workload(3)).unwrap();
    let error = oracle.set_threads(0).unwrap_err();
    assert_eq!(error.to_string(), "threads: found 0, expected 1 or more");
}

#[test]
fn algorithms_of_one_loop_do_not_depend_on_threads() {
    // There are seven blocks of rows, all evaluated in each call.
    for line in Registry::<f64>::default().algorithms.lines() {
        let text = format!("{}:step=0.01", line.about().name);
        let of = |threads| {
            let mut oracle = Oracle::new(Penalised::<f64>::logistic(1)).unwrap();
            oracle.set_threads(threads).unwrap();
            let mut joint = Joint::from(text.parse::<Box<dyn SingleLoop<f64>>>().unwrap());
            let run = Run::new(InnerLoop::new(1, 1.0).unwrap(), joint.outer(), 2, 0);
            let mut state = RunState::new(oracle.start().values().to_vec());
            run.go_on(&mut oracle, &mut joint, &mut state, |_, _| Continue(())).unwrap();
            (state.x, state.estimator)
        };
        assert!(of(1) == of(3), "{text}");
    }
}
