//! Conjugate gradients, with or without a preconditioner (Hestenes and Stiefel 1952).
//!
//! After `k` iterations the error in the norm of `H` is at most `2 ((sqrt c - 1)/(sqrt c + 1))^k` of that at the start,
//! for a condition number `c`. The best iterate is returned. Curvature that is not positive is an error, because the
//! iterates are then meaningless.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::best::Best;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::norm;
use crate::spelling::spelled;

spelled! {
    /// Conjugate gradients for a positive definite matrix.
    ///
    /// Solving fails if the matrix turns out not to be positive definite.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Cg: "cg",
        "implicit (AID), by conjugate gradients at w_r; needs a positive definite Hessian",
        "r + 1 gradients, iterations + 1 HVPs" {
        /// When the iterations end.
        pub stop: Stop = Stop::default();
    }
}

impl<T: Element> LinearSolver<T> for Cg {
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let vectors = system.vectors()?;
        solve(system, vectors, None::<(Vec<T>, fn(&[T], &mut [T]))>, (self.stop, T::zero()))
    }
}

/// Solves with three given vectors of scratch and one that it takes, for a matrix of norm `size` or more. A
/// preconditioner writes `P^-1 r` into a further vector.
pub(super) fn solve<T: Element>(
    system: &mut System<T>,
    [mut r, mut d, mut hd]: [Vec<T>; 3],
    mut precondition: Option<(Vec<T>, impl FnMut(&[T], &mut [T]))>,
    (stop, mut size): (Stop, T),
) -> Result<usize, Error> {
    let mut best = Best::new(system)?;
    let (mut before, limit) = (T::one(), stop.residual(system.b));
    let (mut iterations, mut step) = (0, T::one());
    system.residual(&mut r)?;
    while iterations < stop.iterations {
        let left = norm(&r);
        if !best.see(system, left, size) || left <= limit {
            break;
        }
        let indefinite = |curvature: T| Error::Indefinite {
            iteration: iterations,
            curvature: curvature.as_f64(),
        };
        let z = match &mut precondition {
            Some((z, precondition)) => {
                precondition(&r, z);
                &*z
            }
            None => &r,
        };
        let descent = dot(&r, z);
        let positive = descent > T::zero();
        if !positive {
            return Err(indefinite(descent / dot(&r, &r)));
        }
        let beta = if iterations == 0 { T::zero() } else { descent / before };
        if iterations == 0 {
            d.copy_from_slice(z);
        } else {
            d.iter_mut().zip(z).for_each(|(d, &z)| *d = z + beta * *d);
        }
        system.product(&d, &mut hd)?;
        let curvature = dot(&d, &hd);
        let positive = curvature > T::zero();
        if !positive {
            return Err(indefinite(curvature / dot(&d, &d)));
        }
        size = size.max(norm(&hd) / norm(&d));
        let last = std::mem::replace(&mut step, descent / curvature);
        // The entry of the tridiagonal matrix of this process, as `H d` alone may not show the norm of `H`.
        if precondition.is_none() && iterations > 0 {
            size = size.max(step.recip() + beta / last);
        }
        axpy(system.v, step, &d);
        axpy(&mut r, -step, &hd);
        before = descent;
        iterations += 1;
    }
    best.see(system, norm(&r), size);
    best.settle(system);
    system.give([hd, d, r]);
    if let Some((z, _)) = precondition {
        system.give([z]);
    }
    Ok(iterations)
}
