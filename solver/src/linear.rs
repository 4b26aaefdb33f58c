//! Solvers of `A v = b` for a matrix that is known by its products with vectors: [`LinearSolver`], and those there are.
//!
//! ```text
//!                      A must be              products for k iterations    scratch
//! Cg                   positive definite      k                            3 p
//! Minres               symmetric, regular     k                            5 p
//! FixedPoint, Neumann  |I - lr A| < 1         k - 1                        p
//! Gmres                regular                k                            (k + 1) p + k^2 + 4 k + 1, k the most
//! Nystrom              positive definite      k + rank                     (4 + 2 rank) p + 2 rank^2 + rank
//! Dense                regular                p                            p^2 + p
//! ```
//!
//! and one product more from a start that is not zero. `|I - lr A|` is a spectral radius; of a positive definite `A` it is
//! below 1 for `lr < 2/|A|`.
//!
//! Among solvers for indefinite systems `A` being symmetric decides: minimum residuals take five vectors whatever the
//! number of iterations, where [`Gmres`], which does not know of the symmetry, keeps one an iteration for the same iterates.

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
