//! Hypergradients with known values: short decimals, closed forms, and the numbers of the peer comparison.

#![expect(clippy::unreadable_literal, reason = "numbers as they are stored")]

use crate::support::{deviation, exact, expected, shared};
use hypertape::problems::{Chain, Cleaning, Maml, Penalised, Quadratic};
use hypertape::{Bilevel, Element, Oracle, dot};

fn exact_of<T: Element>(problem: impl Bilevel<T>, steps: usize, lr: f64) -> (f64, Vec<T>) {
    let (loss, gradient, _) = exact(&mut Oracle::new(problem).unwrap(), steps, lr).unwrap();
    (loss.as_f64(), gradient)
}

#[test]
fn decimals_of_the_two_dimensional_quadratic() {
    // Exact rationals with ten decimals; observed one unit of rounding.
    let (loss, gradient) = exact_of::<f64>(Quadratic::decimal(), 5, 0.4);
    assert!(deviation(&gradient, &[-0.210_325_312_5, -0.898_748_125]) < 5e-16, "{gradient:?}");
    // w_5 = (0.4615, -0.62675); the loss is |w - t|^2/2 minus the constant |t|^2/2 = 1/4.
    let expected = f64::midpoint(0.0385_f64.powi(2), 1.12675_f64.powi(2)) - 0.25;
    assert!((loss - expected).abs() < 5e-16, "{loss}");
}

#[test]
fn no_steps_leave_the_direct_term() {
    let (_, gradient) = exact_of::<f64>(Quadratic::decimal(), 0, 0.4);
    assert_eq!(gradient, [0.0, 0.0], "the start does not depend on x, nor does f");
    // df/dx at w = 0 is H x + h.
    let (_, gradient) = exact_of::<f64>(Quadratic::general(), 0, 0.3);
    let expected = [0.5 * 0.7 - 0.1 * 1.2 - 0.2, 0.1 * 0.7 - 0.3 * 1.2 + 0.4];
    assert!(deviation(&gradient, &expected) < 1e-15, "{gradient:?}");
}

#[test]
fn scalar_quadratic_at_every_length() {
    for steps in 0..40_u8 {
        let rho = 0.9_f64.powi(steps.into());
        let w = rho - (1.0 - rho) * 0.5;
        let expected = -2.0 * (1.0 - rho) * w;
        let (loss, gradient) = exact_of::<f64>(Quadratic::scalar(), steps.into(), 0.1);
        // Both sides accumulate one rounding per step.
        assert!((gradient[0] - expected).abs() < 2e-15, "{steps}: {} {expected}", gradient[0]);
        assert!((loss - w * w).abs() < 2e-15, "{steps}: {loss}");
    }
}

#[test]
fn general_quadratic_at_five_steps_and_in_the_limit() {
    let (_, gradient) = exact_of::<f64>(Quadratic::general(), 5, 0.3);
    let known = [0.889_454_368_725_553_7, -0.712_507_614_840_826_2];
    assert!(deviation(&gradient, &known) < 1e-15, "{gradient:?}");
    let (loss, gradient) = exact_of::<f64>(Quadratic::general(), 200, 0.3);
    let limit = [1.026_666_666_666_666_7, -0.695_535_714_285_714_3];
    // After 200 steps 0.76^200 = 1e-24 of the start remains, and the rounding of 200 steps.
    assert!(deviation(&gradient, &limit) < 5e-15, "{gradient:?}");
    assert!((loss - 1.307_964_285_714_285_7).abs() < 5e-15, "{loss}");
}

/// Outer loss, norm and first entries of the hypergradient of a peer workload.
struct Peer {
    name: &'static str,
    loss: f64,
    norm: f64,
    first: [f64; 8],
}

const RIDGE: Peer = Peer {
    name: "w1_ridge",
    loss: 0.20915941936589788,
    norm: 0.027703079863178062,
    first: [
        0.0007897231896954477,
        3.8986471607803305e-08,
        -1.80419472945261e-05,
        -7.057766035849037e-06,
        0.00016607261460539752,
        -2.4118014236367166e-05,
        -5.650582986470478e-06,
        -2.3174798751192803e-08,
    ],
};
const LOGISTIC: Peer = Peer {
    name: "w1_logreg",
    loss: 0.3477803375081697,
    norm: 0.015431619441086852,
    first: [
        0.009252085095540713,
        -6.950898320148935e-05,
        6.981409994591227e-05,
        6.766976047779603e-05,
        0.002184470557940565,
        -1.5500979857172652e-05,
        -8.123800905948163e-06,
        5.8620304087326796e-05,
    ],
};
const CLEANING: Peer = Peer {
    name: "w2",
    loss: 1.5916258475963319,
    norm: 0.00626284648733478,
    first: [
        1.95015803658844e-05,
        1.1133458793249107e-05,
        -0.0001290662719430892,
        -0.00013412418138450454,
        3.5223272453247264e-05,
        -0.00013102761853932534,
        1.8133270104744527e-05,
        2.006103051267235e-06,
    ],
};

impl Peer {
    /// Checks the embedded numbers, and the whole gradient if the folder is present.
    fn check<T: Element>(&self, problem: impl Bilevel<T>, steps: usize, lr: f64) {
        // Observed at 8e-16 in double precision and at 6e-7 in single: a few roundings of 6e-8, summed over 100 steps.
        let tolerance = if T::NAME == "f64" { 2e-14 } else { 5e-6 };
        let name = self.name;
        let (loss, gradient) = exact_of::<T>(problem, steps, lr);
        assert!((loss / self.loss - 1.0).abs() < tolerance, "{name}: loss {loss}");
        let norm = dot(&gradient, &gradient).as_f64().sqrt();
        assert!((norm / self.norm - 1.0).abs() < tolerance, "{name}: norm {norm}");
        let gap = deviation(&gradient[..8], &self.first);
        assert!(gap < 10.0 * tolerance, "{name}: first entries off by {gap:e}");
        if let Some(folder) = shared(name) {
            let whole = expected(&folder, &format!("{name}.hypergrad.txt"));
            let gap = deviation(&gradient, &whole);
            assert!(gap < tolerance, "{name}: off by {gap:e}");
        }
    }
}

#[test]
fn ridge_with_a_penalty_a_feature() {
    RIDGE.check::<f64>(Penalised::ridge(1), 100, 0.5);
    RIDGE.check::<f32>(Penalised::ridge(1), 100, 0.5);
}

#[test]
fn logistic_regression_with_a_penalty_a_feature() {
    LOGISTIC.check::<f64>(Penalised::logistic(1), 100, 1.0);
    LOGISTIC.check::<f32>(Penalised::logistic(1), 100, 1.0);
}

#[test]
fn hyper_cleaning() {
    CLEANING.check::<f64>(Cleaning::workload(2), 50, 0.1);
    CLEANING.check::<f32>(Cleaning::workload(2), 50, 0.1);
}

#[test]
fn a_chain_of_scalars() {
    const NORM: f64 = 0.32080439157810536;
    let (loss, gradient, _) =
        exact(&mut Oracle::<f64>::scalar(Chain::workload(4)), 1000, 0.05).unwrap();
    // Observed at 3e-16: roundings, which the steps contract.
    assert!((loss / 10.175272207705772 - 1.0).abs() < 2e-14, "{loss}");
    assert!((dot(&gradient, &gradient).sqrt() / NORM - 1.0).abs() < 2e-14, "{gradient:?}");
    // Observed at 2e-6: roundings of 6e-8.
    let mut single = Oracle::<f32>::scalar(Chain::workload(4));
    let gap = deviation(&exact(&mut single, 1000, 0.05).unwrap().1, &gradient);
    assert!(gap < 2e-5, "off by {gap:e}");
    if let Some(folder) = shared("w4") {
        let gap = deviation(&gradient, &expected(&folder, "w4.hypergrad.txt"));
        assert!(gap < 2e-14, "off by {gap:e}");
    }
}

#[test]
fn single_precision_on_a_learned_start() {
    for steps in [5, 100] {
        let (loss, gradient) = exact_of::<f32>(Maml::workload(3), steps, 0.002);
        let (known, exact) = exact_of::<f64>(Maml::workload(3), steps, 0.002);
        let gap = deviation(&gradient, &exact);
        // Observed at 4e-8 and 5e-7: roundings of 6e-8, amplified by the steps.
        assert!((loss / known - 1.0).abs() < 2e-6, "{steps} steps: {loss}");
        assert!(gap < 1e-5, "{steps} steps: {gap:e}");
    }
}
