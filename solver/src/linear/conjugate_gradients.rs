//! Conjugate gradients, with a preconditioner or without (Hestenes and Stiefel 1952).
//!
//! After `k` iterations the error in the norm of `H` is at most `2 ((sqrt c - 1)/(sqrt c + 1))^k` of that at the start,
//! for a condition number `c`. An iterate is kept as soon as it is known, so the last one is what is returned; curvature
//! that is not positive ends in an error, since the iterates then mean nothing.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::system::{Limit, System, vectors};
use crate::params::norm;

/// Solves `H v = b`; a preconditioner writes `P^-1 r` and takes a fourth vector of scratch.
pub(super) fn solve<T: Element>(
    mut product: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    mut precondition: Option<impl FnMut(&[T], &mut [T])>,
    system: &mut System<T>,
    scratch: &mut [T],
    limit: Limit<T>,
) -> Result<usize, Error> {
    let [r, d, hd, z] = vectors(scratch, system.b.len());
    system.residual(&mut product, r)?;
    let mut before = T::one();
    for iteration in 0..limit.iterations {
        if norm(r) <= limit.residual {
            return Ok(iteration);
        }
        let indefinite =
            |curvature: T| Error::Indefinite { iteration, curvature: curvature.as_f64() };
        let z = match &mut precondition {
            Some(precondition) => {
                precondition(r, z);
                &*z
            }
            None => &*r,
        };
        let descent = dot(r, z);
        let positive = descent > T::zero();
        if !positive {
            return Err(indefinite(descent / dot(r, r)));
        }
        if iteration == 0 {
            d.copy_from_slice(z);
        } else {
            let beta = descent / before;
            d.iter_mut().zip(z).for_each(|(d, &z)| *d = z + beta * *d);
        }
        product(d, hd)?;
        let curvature = dot(d, hd);
        let positive = curvature > T::zero();
        if !positive {
            return Err(indefinite(curvature / dot(d, d)));
        }
        let step = descent / curvature;
        axpy(system.v, step, d);
        axpy(r, -step, hd);
        before = descent;
    }
    Ok(limit.iterations)
}
