//! Ridge regression with one log-penalty per feature: the hypergradient of a long inner loop compared with its closed
//! form.

use hypertape::problems::{Penalised, SampleLoss};
use hypertape::{Draw, Error, Estimator, Exact, InnerLoop, Oracle, solve};

use crate::support::deviation;

/// What a ridge regression converges to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    /// The inner solution.
    pub(crate) w: [f64; 2],
    /// The outer loss.
    pub(crate) loss: f64,
    /// Its gradient.
    pub(crate) gradient: [f64; 2],
}

/// The limit of [`Penalised::small_ridge`], from 50-digit arithmetic.
pub(crate) const RIDGE: Limit = Limit {
    w: [0.543_521_519_630_882_8, 0.338_613_894_376_451_7],
    loss: 0.022_488_068_796_323_973,
    gradient: [-0.009_665_356_356_972_778, 0.009_381_147_768_140_065],
};

const TRAIN: ([f64; 8], [f64; 4]) =
    ([1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0], [1.0, 0.0, 2.0, 1.5]);
const VALID: ([f64; 6], [f64; 3]) = ([1.0, 0.5, 1.0, 1.5, 1.0, 2.5], [0.5, 1.2, 1.4]);

/// `w*`, the outer loss and its gradient by Cramer's rule.
fn closed_form(x: [f64; 2]) -> ([f64; 2], f64, [f64; 2]) {
    let rows = |data: &[f64]| -> Vec<[f64; 2]> { data.chunks(2).map(|r| [r[0], r[1]]).collect() };
    let (train, valid) = (rows(&TRAIN.0), rows(&VALID.0));
    let entry = |j: usize, k: usize| train.iter().map(|r| r[j] * r[k]).sum::<f64>() / 4.0;
    let (a, b, d) = (entry(0, 0) + x[0].exp(), entry(0, 1), entry(1, 1) + x[1].exp());
    let solve =
        |[p, q]: [f64; 2]| [(d * p - b * q) / (a * d - b * b), (a * q - b * p) / (a * d - b * b)];
    let by_target = |j: usize| train.iter().zip(TRAIN.1).map(|(r, y)| r[j] * y).sum::<f64>() / 4.0;
    let w = solve([by_target(0), by_target(1)]);
    let residual = |(r, u): (&[f64; 2], f64)| r[0] * w[0] + r[1] * w[1] - u;
    let residuals: Vec<f64> = valid.iter().zip(VALID.1).map(residual).collect();
    let loss = residuals.iter().map(|e| e * e).sum::<f64>() / 3.0;
    let slope =
        |j: usize| valid.iter().zip(&residuals).map(|(r, e)| 2.0 * r[j] * e).sum::<f64>() / 3.0;
    let v = solve([slope(0), slope(1)]);
    (w, loss, [-x[0].exp() * w[0] * v[0], -x[1].exp() * w[1] * v[1]])
}

/// Largest deviation relative to the largest entry.
fn gap(found: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().fold(0.0_f64, |s, e| s.max(e.abs()));
    found.iter().zip(expected).map(|(f, e)| (f - e).abs() / scale).fold(0.0, f64::max)
}

fn hypergradient(x: &[f64; 2], steps: usize, lr: f64) -> (Vec<f64>, f64, [f64; 2]) {
    let mut oracle = Oracle::new(Penalised::small_ridge()).unwrap();
    let inner = InnerLoop::new(steps, lr).unwrap();
    let (mut w, mut gradient, draw) = (Vec::new(), [0.0; 2], Draw::new(0, 0));
    solve(&mut oracle, &inner, x, draw, &mut w).unwrap();
    let mut exact = Exact::default();
    let estimate = exact.estimate(&mut oracle, &inner, x, draw, &mut gradient).unwrap();
    (w, estimate.loss, gradient)
}

#[test]
fn a_long_inner_loop_reaches_the_known_limit() {
    let (w, loss, gradient) = hypergradient(&[-2.0, -1.0], 300, 0.4);
    let gaps = [gap(&w, &RIDGE.w), gap(&[loss], &[RIDGE.loss]), gap(&gradient, &RIDGE.gradient)];
    // 0.8^300 of the start remains, and the rounding of 300 steps: observed 3e-15.
    assert!(gaps.iter().all(|&gap| gap < 2e-13), "{gaps:?}");
}

#[test]
fn the_limit_is_the_closed_form_elsewhere_too() {
    let (w, loss, gradient) = closed_form([-2.0, -1.0]);
    let gaps = [gap(&w, &RIDGE.w), gap(&[loss], &[RIDGE.loss]), gap(&gradient, &RIDGE.gradient)];
    assert!(gaps.iter().all(|&gap| gap < 1e-13), "the closed form itself: {gaps:?}");
    for x in [[0.0, 0.0], [-1.0, 0.5], [-1.5, -3.0], [0.3, -2.0]] {
        let (w, loss, gradient) = closed_form(x);
        let (found_w, found_loss, found) = hypergradient(&x, 1000, 0.25);
        let gaps = [gap(&found_w, &w), gap(&[found_loss], &[loss]), gap(&found, &gradient)];
        // 1000 steps at the slowest rate of 0.94: observed 4e-15.
        assert!(gaps.iter().all(|&gap| gap < 2e-13), "{x:?}: {gaps:?}");
    }
}

#[test]
fn a_shared_penalty_has_the_sum_of_the_gradients() {
    for loss in [SampleLoss::HalfSquared, SampleLoss::Logistic] {
        let of = |penalties| {
            let problem = Penalised::<f64>::sized(loss, 1, [60, 12, penalties]).unwrap();
            let mut oracle = Oracle::new(problem).unwrap();
            let (x, mut gradient) = (vec![-2.0; penalties], vec![0.0; penalties]);
            let (inner, draw) = (InnerLoop::new(9, 0.3).unwrap(), Draw::new(0, 0));
            let found =
                Exact::default().estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
            (found.loss, gradient)
        };
        let (known_loss, each) = of(12);
        for penalties in [1, 3, 4] {
            let (found, shared) = of(penalties);
            let known: Vec<f64> = each.chunks(12 / penalties).map(|g| g.iter().sum()).collect();
            // The terms of a shared penalty are added in another order.
            assert!(deviation(&shared, &known) < 1e-13, "{shared:?} {known:?}");
            assert!((found - known_loss).abs() < 1e-15, "{found} {known_loss}");
        }
    }
    let error = Penalised::<f64>::sized(SampleLoss::Logistic, 1, [60, 12, 5]).unwrap_err();
    let text =
        "penalties: found 5 for 12 features of 60 samples, expected as many features for each";
    assert_eq!(error.to_string(), text);
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let error = Penalised::<f64>::ridge_on((&[1.0; 5], &[1.0; 2]), (&[1.0; 2], &[1.0]), &[0.0; 2]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "training rows: found 5 values for 2 targets, expected one target or more, 2 values for each"
    );
    let error = Penalised::<f64>::ridge_on((&[1.0; 2], &[1.0]), (&[], &[]), &[0.0; 2]);
    assert!(matches!(error, Err(Error::Invalid { what, .. }) if what == "validation rows"));
}
