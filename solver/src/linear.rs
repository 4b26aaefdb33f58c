//! Solvers of `A v = b` for a matrix given by its products with vectors: the trait [`LinearSolver`] and its
//! implementations.
//!
//! ```text
//!                      A must be              products for k iterations    scratch
//! Cg                   positive definite      k                            4 p
//! Minres               symmetric              k, at most 2 k + 2           7 p
//! FixedPoint, Neumann  |I - lr A| < 1         k - 1                        p
//! Gmres                any                    k                            (k + 1) p + k^2 + 5 k + 2, k the most
//! Nystrom              positive definite      k + rank                     (5 + 2 rank) p + 2 rank^2 + rank
//! Dense                regular                p                            p^2 + p
//! ```
//!
//! A start other than zero takes one further product. `|I - lr A|` is a spectral radius; for a positive definite `A` it
//! is below 1 if `lr < 2/|A|`. For a singular system, [`Minres`] finds the shortest least-squares solution.
//!
//! [`Cg`] and [`Minres`] return the best iterate, which is not the last one if rounding errors dominate (`best.rs`). A
//! start that is worse than zero is discarded. The caller evaluates the residual; one that exceeds that of `v = 0` is
//! [`Error::Unsolved`](crate::Error::Unsolved).
//!
//! For an indefinite system, the choice depends on whether `A` is symmetric: [`Minres`] uses seven vectors for any
//! number of iterations, while [`Gmres`], which does not exploit symmetry, stores one vector per iteration for the same
//! iterates.

mod best;
mod conjugate_gradients;
mod dense;
mod fixed_point;
mod generalised_residuals;
mod minimum_residuals;
mod nystrom;
mod system;
#[cfg(test)]
mod tests;

pub use conjugate_gradients::Cg;
pub use dense::Dense;
pub use fixed_point::{FixedPoint, Neumann};
pub use generalised_residuals::Gmres;
pub use minimum_residuals::Minres;
pub use nystrom::Nystrom;
pub(crate) use system::scratch;
pub use system::{LinearSolver, Operator, Stop, System};
