//! Solvers of `H v = b` for a symmetric `H` that is known by its products with vectors.
//!
//! Each is given the product as a closure that may fail, `b`, a start in `v`, and scratch; it leaves the solution in `v`,
//! returns the number of its iterations and allocates nothing. What is left of the system is for the caller to evaluate.
//!
//! ```text
//!                    H must be                products for k iterations    scratch
//! conjugate gradients  positive definite      k                            3 p
//! minimum residuals    regular                k                            5 p
//! fixed point, Neumann positive, lr < 2/|H|   k - 1                        p
//! Nystrom              positive definite      k + rank                     (4 + 2 rank) p + 2 rank^2 + rank
//! dense                regular                p                            p^2 + p
//! ```
//!
//! and one product more from a start that is not zero.
//!
//! Among solvers for indefinite systems `H` being symmetric decides: minimum residuals take five vectors whatever the
//! number of iterations, where GMRES, which does not know of the symmetry, keeps one an iteration for the same iterates.

mod conjugate_gradients;
mod dense;
mod fixed_point;
mod minimum_residuals;
mod nystrom;
mod system;
#[cfg(test)]
mod tests;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::{Error, not_negative, positive};
use crate::linear::system::Limit;
use crate::params::norm;

pub(crate) use crate::linear::system::System;

/// When iterations end: after so many, or once the residual is at most `tolerance |b|`, where a tolerance below the
/// precision of the element type counts as that precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Most iterations.
    pub iterations: usize,
    /// Of the residual, relative to `b`.
    pub tolerance: f64,
}

/// How the linear system of implicit differentiation is solved.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LinearSolver {
    /// Conjugate gradients, for a positive definite Hessian; one that is found not to be is an error.
    Cg {
        /// When it ends.
        stop: Stop,
    },
    /// Minimum residuals, for an indefinite Hessian as well.
    Minres {
        /// When it ends.
        stop: Stop,
    },
    /// `v <- v - lr (H v - b)`
    FixedPoint {
        /// When it ends.
        stop: Stop,
        /// Step size, below `2/|H|`; that of the inner loop if `None`.
        lr: Option<f64>,
    },
    /// `v = lr sum_{k < terms} (I - lr H)^k b`
    Neumann {
        /// Number of terms.
        terms: usize,
        /// Step size, below `2/|H|`; that of the inner loop if `None`.
        lr: Option<f64>,
    },
    /// Conjugate gradients with a preconditioner from a random sketch.
    Nystrom {
        /// When it ends.
        stop: Stop,
        /// Vectors of the sketch.
        rank: usize,
        /// What is added to the sketched Hessian; the mean eigenvalue that the sketch sees if `None`.
        shift: Option<f64>,
    },
    /// The whole Hessian, column by column, and elimination: for few inner variables.
    Dense,
}

impl LinearSolver {
    /// As it is typed: its name, when it ends, and its other settings.
    #[expect(clippy::type_complexity, reason = "a table")]
    pub(crate) fn parts(self) -> (&'static str, Option<Stop>, [(&'static str, Option<f64>); 2]) {
        let none = ("", None);
        match self {
            Self::Cg { stop } => ("cg", Some(stop), [none; 2]),
            Self::Minres { stop } => ("minres", Some(stop), [none; 2]),
            Self::FixedPoint { stop, lr } => ("fixed-point", Some(stop), [("lr", lr), none]),
            Self::Neumann { terms, lr } => {
                ("neumann", None, [("terms", Some(terms as f64)), ("lr", lr)])
            }
            Self::Nystrom { stop, rank, shift } => {
                ("nystrom", Some(stop), [("rank", Some(rank as f64)), ("shift", shift)])
            }
            Self::Dense => ("dense", None, [none; 2]),
        }
    }

    /// With settings that make sense.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let (_, stop, settings) = self.parts();
        for (what, value) in settings {
            value.map(|value| positive(what, value)).transpose()?;
        }
        if let Some(Stop { iterations, tolerance }) = stop {
            positive("iterations", iterations as f64)?;
            not_negative("tolerance", tolerance)?;
        }
        Ok(self)
    }

    /// Values of scratch for `p` unknowns.
    pub(crate) fn scratch(self, p: usize) -> usize {
        match self {
            Self::Cg { .. } => 3 * p,
            Self::Minres { .. } => 5 * p,
            Self::FixedPoint { .. } | Self::Neumann { .. } => p,
            Self::Nystrom { rank, .. } => nystrom::scratch(rank.min(p), p),
            Self::Dense => p.saturating_mul(p).saturating_add(p),
        }
    }

    /// Solves; returns the number of iterations. `lr` is the inner loop's, `draw`
    /// names the random choices.
    pub(crate) fn solve<T: Element>(
        self,
        product: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
        system: &mut System<T>,
        scratch: &mut [T],
        (lr, draw): (f64, Draw),
    ) -> Result<usize, Error> {
        let (size, unknowns) = (norm(system.b), system.b.len());
        let limit = |stop: Stop| Limit {
            iterations: stop.iterations,
            residual: T::from_f64(stop.tolerance).max(T::epsilon()) * size,
        };
        match self {
            Self::Cg { stop } => {
                let none = None::<fn(&[T], &mut [T])>;
                conjugate_gradients::solve(product, none, system, scratch, limit(stop))
            }
            Self::Minres { stop } => {
                minimum_residuals::solve(product, system, scratch, limit(stop))
            }
            Self::FixedPoint { stop, lr: own } => {
                fixed_point::solve(product, system, scratch, own.unwrap_or(lr), limit(stop))
            }
            Self::Neumann { terms, lr: own } => {
                // Every term, however small.
                let all = Limit { iterations: terms, residual: -T::one() };
                fixed_point::solve(product, system, scratch, own.unwrap_or(lr), all)
            }
            Self::Nystrom { stop, rank, shift } => {
                let sketch = (rank.min(unknowns), shift, draw);
                nystrom::solve(product, system, scratch, sketch, limit(stop))
            }
            Self::Dense => dense::solve(product, system, scratch),
        }
    }
}
