//! Solvers of `A v = b` for a matrix that is known by its products with vectors: [`LinearSolver`], and those there are.
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
//! and one product more from a start that is not zero. `|I - lr A|` is a spectral radius; of a positive definite `A` it is
//! below 1 for `lr < 2/|A|`. Minimum residuals of a singular system are its shortest least-squares solution.
//!
//! Conjugate gradients and minimum residuals return the best iterate, which is not the last where roundings take over
//! (`best.rs`); a start that is worse than zero is put aside. What is left of the system is evaluated by the caller, for
//! whom more than that of `v = 0` is [`Error::Unsolved`](crate::Error::Unsolved).
//!
//! Among solvers for indefinite systems `A` being symmetric decides: minimum residuals take seven vectors whatever the
//! number of iterations, where [`Gmres`], which does not know of the symmetry, keeps one an iteration for the same iterates.

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
