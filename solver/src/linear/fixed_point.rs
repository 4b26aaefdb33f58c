//! The fixed point `v <- v + lr (b - H v)` (Richardson 1911), which from `v = 0` sums the Neumann series: after `k`
//! iterations `v = lr sum_{i < k} (I - lr H)^i b`, and the residual is `(I - lr H)^k` times that of the start.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::linear::system::{Limit, System};
use crate::params::norm;

/// Solves `H v = b`. The residual before an iteration is known by the product that the iteration takes anyway.
pub(super) fn solve<T: Element>(
    mut product: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    system: &mut System<T>,
    r: &mut [T],
    lr: f64,
    limit: Limit<T>,
) -> Result<usize, Error> {
    for iteration in 0..limit.iterations {
        system.residual(&mut product, r)?;
        if norm(r) <= limit.residual {
            return Ok(iteration);
        }
        axpy(system.v, T::from_f64(lr), r);
        system.warm = true;
    }
    Ok(limit.iterations)
}
