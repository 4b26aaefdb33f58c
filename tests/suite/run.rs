//! Whole runs: known end points, records, callbacks, and failures with their numbers.

use std::ops::ControlFlow;

use crate::support::two_layer::TwoLayer;
use hypertape::problems::{Cleaning, Quadratic};
use hypertape::{Draw, Element, Error, Exact, InnerLoop, Optimiser, Oracle, Record, Run, solve};

fn run(outer: Optimiser, iterations: usize) -> Run<f64> {
    Run::new(InnerLoop::new(200, 0.3).unwrap(), outer, iterations, 0)
}

fn go<T: Element>(run: &Run<T>, oracle: &mut Oracle<T>) -> (Vec<T>, Result<Vec<Record>, Error>) {
    let mut x = oracle.start().values().to_vec();
    let mut estimator = Exact::default();
    let records = run.go(oracle, &mut estimator, &mut x, |_, _| ControlFlow::Continue(()));
    (x, records)
}

#[test]
fn descent_ends_at_the_stationary_point() {
    // The point where the gradient of the limit is zero: x0 - Hess^-1 grad, both in closed form.
    let ([a, b, c], [g0, g1]) = (
        [1.169_841_269_841_27, -0.751_190_476_190_476_2, 1.905_803_571_428_571_4],
        [1.026_666_666_666_666_7, -0.695_535_714_285_714_3],
    );
    let det = a * c - b * b;
    let expected = [0.7 - (c * g0 - b * g1) / det, -1.2 - (a * g1 - b * g0) / det];
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let (x, records) = go(&run(Optimiser::sgd(0.4).unwrap(), 200), &mut oracle);
    let last = *records.unwrap().last().unwrap();
    for (x, e) in x.iter().zip(expected) {
        // The gradient is exact to 1e-15; the curvature is at least 0.7.
        assert!((x - e).abs() < 1e-14, "{x} {e}");
    }
    assert!(last.gradient_norm < 1e-14 && last.iteration == 199, "{last:?}");
    let (x, _) = go(&run(Optimiser::adam(0.05).unwrap(), 800), &mut oracle);
    assert!((x[0] - expected[0]).abs() < 1e-6, "{x:?}");
}

#[test]
fn a_callback_breaks_off_after_the_step() {
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let mut x = oracle.start().values().to_vec();
    let mut seen = Vec::new();
    let settings = run(Optimiser::sgd(0.1).unwrap(), 100);
    let stop_at_three = |record: &Record, at: &[f64]| {
        seen.push(at.to_vec());
        if record.iteration == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let records = settings.go(&mut oracle, &mut Exact::default(), &mut x, stop_at_three).unwrap();
    assert_eq!((records.len(), seen.len()), (4, 4));
    let (longer, _) = go(&run(Optimiser::sgd(0.1).unwrap(), 4), &mut oracle);
    assert_eq!(x, longer);
}

#[test]
fn a_run_repeats_bit_for_bit_with_mini_batches() {
    let of = |seed| {
        let mut oracle = Oracle::new(TwoLayer::<f64>::new(5)).unwrap();
        let inner = InnerLoop::new(5, 0.1).unwrap();
        let settings = Run { seed, inner, ..run(Optimiser::adam(0.01).unwrap(), 5) };
        go(&settings, &mut oracle).0
    };
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

/// T19 of the peers' tests: no iteration leaves memory in use for the next.
#[test]
fn every_iteration_takes_the_same_bytes() {
    let mut oracle = Oracle::new(TwoLayer::<f64>::new(5)).unwrap();
    let settings =
        Run::new(InnerLoop::new(5, 0.05).unwrap(), Optimiser::sgd(0.01).unwrap(), 100, 1);
    let bytes: Vec<u64> =
        go(&settings, &mut oracle).1.unwrap().iter().map(|r| r.cost.bytes_measured).collect();
    assert!(
        bytes.len() == 100 && bytes[0] > 0 && bytes.iter().all(|&b| b == bytes[0]),
        "{bytes:?}"
    );
}

#[test]
fn divergence_names_iteration_loss_and_limit() {
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let (_, records) = go(&run(Optimiser::sgd(100.0).unwrap(), 100), &mut oracle);
    let Err(Error::Iteration { iteration, cause }) = records else { panic!("{records:?}") };
    let Error::Diverged { loss, limit } = *cause else { panic!("{cause:?}") };
    assert!(iteration < 10 && loss > limit, "{iteration} {loss} {limit}");
    // The first loss is about 1, so the limit is a million times that or a little more.
    assert!((1e6..2e6).contains(&limit), "{limit}");
}

#[test]
fn an_inner_loop_that_overflows_names_quantity_and_step() {
    let mut oracle = Oracle::new(Quadratic::<f64>::scalar()).unwrap();
    let inner = InnerLoop::new(2000, 10.0).unwrap();
    let error = solve(&mut oracle, &inner, &[0.5], Draw::new(0, 0), &mut Vec::new()).unwrap_err();
    let Error::NonFinite { quantity, step: Some(step), lr } = error else { panic!("{error:?}") };
    // w grows by a factor of nine per step from 1.5: its square overflows after 162 steps, w itself after 324.
    assert_eq!((quantity, lr), ("the gradient of the inner loss", 10.0));
    assert!((322..326).contains(&step), "{step}");
}

#[test]
fn settings_and_lengths_are_checked() {
    for lr in [0.0, -0.1, f64::NAN, f64::INFINITY] {
        assert!(InnerLoop::new(1, lr).is_err() && Optimiser::sgd(lr).is_err(), "{lr}");
    }
    let mut oracle = Oracle::new(Quadratic::<f64>::general()).unwrap();
    let error = oracle.set_init(vec![0.0; 2]).unwrap_err();
    assert_eq!(error.to_string(), "the inner start: found 2 values, expected 3");
    let mut learned = Oracle::new(TwoLayer::<f64>::new(0)).unwrap();
    let error = learned.set_init(vec![0.0; 16]).unwrap_err().to_string();
    assert!(error.contains("start depends on the outer variables"), "{error}");
    let mut x = [0.0; 3];
    let settings = run(Optimiser::sgd(0.1).unwrap(), 1);
    let callback = |_: &Record, _: &[f64]| ControlFlow::Continue(());
    let error = settings.go(&mut oracle, &mut Exact::default(), &mut x, callback).unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "outer iteration 0: the outer point: found 3 values, expected 2");
}

#[test]
fn digits_are_cleaned() {
    let mut oracle = Oracle::new(Cleaning::<f64>::digits(0).unwrap()).unwrap();
    let inner = InnerLoop::new(100, 1.0).unwrap();
    let settings = Run::new(inner, Optimiser::adam(0.3).unwrap(), 30, 0);
    let (x, records) = go(&settings, &mut oracle);
    records.unwrap();
    let mut metric = |x: &[f64], name: &str| {
        let mut w = Vec::new();
        solve(&mut oracle, &inner, x, Draw::new(0, 0), &mut w).unwrap();
        oracle.metrics(&w, x, &inner).iter().find(|m| m.name == name).unwrap().value
    };
    // A third of the default run already finds nine of ten wrong labels and halves the gap to the clean control.
    assert!(metric(&x, "F1") > 0.9, "{}", metric(&x, "F1"));
    let frozen = vec![0.0; x.len()];
    assert!(metric(&x, "test error") < metric(&frozen, "test error"));
}
