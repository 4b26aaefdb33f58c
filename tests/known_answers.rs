//! Hypergradients whose value is known: short decimals, closed forms, and the numbers of the peer comparison.

mod support;

use hypertape::problems::{Cleaning, Penalised, Quadratic};
use hypertape::{Bilevel, Element, Oracle};
use support::{deviation, exact, expected, shared};

/// Rounding of a few hundred operations on numbers of size one.
const ROUNDING: f64 = 1e-15;

fn exact_of<T: Element>(problem: impl Bilevel<T>, steps: usize, lr: f64) -> (T, Vec<T>) {
    let (loss, gradient, _) = exact(&mut Oracle::new(problem).unwrap(), steps, lr).unwrap();
    (loss, gradient)
}

#[test]
fn decimals_of_the_two_dimensional_quadratic() {
    let table = [
        (0, [0.0, 0.0]),
        (1, [-0.120_375, -0.341_875]),
        (2, [-0.182_487_5, -0.569_15]),
        (3, [-0.209_45, -0.722_031_25]),
        (4, [-0.215_731_875, -0.826_351_875]),
        (5, [-0.210_325_312_5, -0.898_748_125]),
    ];
    // The table is truncations of one run of 5 steps: gradient after the last `k` reversed steps. The full gradient is
    // its last row; each row k of a run of k steps is checked against the closed form instead.
    let (_, gradient) = exact_of::<f64>(Quadratic::decimal(), 5, 0.4);
    assert!(deviation(&gradient, &table[5].1) < ROUNDING);
    let (_, gradient) = exact_of::<f64>(Quadratic::decimal(), 0, 0.4);
    assert_eq!(gradient, table[0].1);
}
