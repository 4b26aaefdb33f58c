//! The iteration `v <- v + lr (b - A v)` (Richardson 1911), which from `v = 0` sums the Neumann series. After `k`
//! iterations `v = lr sum_{i < k} (I - lr A)^i b`, and the residual is `(I - lr A)^k` times that of the start.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::norm;
use crate::spelling::{Range, spelled};

const STEP: &str = "step size; that of the inner loop if not given";

spelled! {
    /// The fixed-point iteration `v <- v - lr (A v - b)`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct FixedPoint: "fixed-point",
        "implicit, by iterating v - lr (H v - b), warm-started; for every inner rule",
        "r + 1 gradients, iterations + 1 HVPs" {
        /// Step size, below `2/|A|`; that of the [`System`] if `None`.
        pub lr: Option<f64> = None, Range::POSITIVE, STEP;
        /// When the iterations end.
        pub stop: Stop = Stop::default();
    }
}

spelled! {
    /// The Neumann series `v = lr sum_{k < terms} (I - lr A)^k b`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Neumann: "neumann",
        "implicit, by a truncated Neumann series; for every inner rule",
        "r + 1 gradients, terms HVPs" {
        /// Number of terms.
        pub terms: usize = 20, Range::ONE_OR_MORE, "number of terms of the series";
        /// Step size, below `2/|A|`; that of the [`System`] if `None`.
        pub lr: Option<f64> = None, Range::POSITIVE, STEP;
    }
}

impl<T: Element> LinearSolver<T> for FixedPoint {
    fn warm(&self) -> Option<bool> {
        Some(true)
    }

    fn symmetric(&self) -> bool {
        false
    }

    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        iterate(system, self.lr, self.stop.iterations, self.stop.residual(system.b))
    }
}

impl<T: Element> LinearSolver<T> for Neumann {
    fn warm(&self) -> Option<bool> {
        None
    }

    fn symmetric(&self) -> bool {
        false
    }

    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        // All terms are summed, however small.
        iterate(system, self.lr, self.terms, -T::one())
    }
}

/// Iterates without extra products: the residual before an iteration comes from the product that the iteration needs
/// anyway.
fn iterate<T: Element>(
    system: &mut System<T>,
    lr: Option<f64>,
    most: usize,
    limit: T,
) -> Result<usize, Error> {
    let lr = T::from_f64(lr.unwrap_or(system.step));
    let [mut r] = system.vectors()?;
    let mut iterations = 0;
    while iterations < most {
        system.residual(&mut r)?;
        if norm(&r) <= limit {
            break;
        }
        axpy(system.v, lr, &r);
        system.warm = true;
        iterations += 1;
    }
    system.give([r]);
    Ok(iterations)
}
