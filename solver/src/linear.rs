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
use crate::error::Error;
use crate::linear::system::Limit;
use crate::params::norm;
use crate::spelling::{About, Range, Settings, Spelled};

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

impl Stop {
    /// With the settings of both.
    fn spell(self, settings: &mut Settings) -> Self {
        let help = "norm of the residual at which they end, relative to that of df/dw";
        let (most, least) = (Range::ONE_OR_MORE, Range::NOT_NEGATIVE);
        Self {
            iterations: settings.get("iterations", self.iterations, most, "most iterations"),
            tolerance: settings.get("tolerance", self.tolerance, least, help),
        }
    }
}

impl Spelled for LinearSolver {
    fn about(&self) -> About {
        let (name, summary, cost) = match self {
            Self::Cg { .. } => (
                "cg",
                "implicit, conjugate gradients at w_r; for a positive definite Hessian",
                "r + 1 gradients, iterations + 1 HVPs",
            ),
            Self::Minres { .. } => (
                "minres",
                "implicit, minimum residuals; for an indefinite Hessian as well",
                "r + 1 gradients, iterations + 1 HVPs",
            ),
            Self::FixedPoint { .. } => (
                "fixed-point",
                "implicit, v - lr (H v - b) from the last solution",
                "r + 1 gradients, iterations + 1 HVPs",
            ),
            Self::Neumann { .. } => {
                ("neumann", "implicit, Neumann series", "r + 1 gradients, terms HVPs")
            }
            Self::Nystrom { .. } => (
                "nystrom",
                "implicit, conjugate gradients preconditioned by a random sketch",
                "r + 1 gradients, rank + iterations + 1 HVPs",
            ),
            Self::Dense => (
                "dense",
                "implicit, the whole Hessian and elimination; for few inner variables",
                "r + 1 gradients, p + 1 HVPs, p^2 values",
            ),
        };
        About { name, summary, cost }
    }

    fn spell(&self, settings: &mut Settings) -> Result<Self, Error> {
        const STEP: &str = "step size, that of the inner loop unless given";
        Ok(match *self {
            Self::Cg { stop } => Self::Cg { stop: stop.spell(settings) },
            Self::Minres { stop } => Self::Minres { stop: stop.spell(settings) },
            Self::FixedPoint { stop, lr } => {
                let lr = settings.get("lr", lr, Range::POSITIVE, STEP);
                Self::FixedPoint { stop: stop.spell(settings), lr }
            }
            Self::Neumann { terms, lr } => Self::Neumann {
                terms: settings.get("terms", terms, Range::ONE_OR_MORE, "terms of the series"),
                lr: settings.get("lr", lr, Range::POSITIVE, STEP),
            },
            Self::Nystrom { stop, rank, shift } => {
                let help = "vectors of the sketch";
                let rank = settings.get("rank", rank, Range::ONE_OR_MORE, help);
                let help = "added to the sketched Hessian, its mean eigenvalue unless given";
                let shift = settings.get("shift", shift, Range::POSITIVE, help);
                Self::Nystrom { stop: stop.spell(settings), rank, shift }
            }
            Self::Dense => Self::Dense,
        })
    }
}

impl LinearSolver {
    /// One of each kind, as they are listed.
    pub(crate) fn listed() -> [Self; 6] {
        let stop = Stop { iterations: 20, tolerance: 1e-12 };
        [
            Self::Cg { stop },
            Self::Minres { stop },
            Self::FixedPoint { stop, lr: None },
            Self::Neumann { terms: 20, lr: None },
            Self::Nystrom { stop, rank: 10, shift: None },
            Self::Dense,
        ]
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
