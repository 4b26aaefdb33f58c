//! Minimum residuals for a symmetric, possibly indefinite `H` (Paige and Saunders 1975).
//!
//! The Lanczos process makes an orthonormal basis `q_0, q_1, ...` in which `H` is tridiagonal; rotations triangularise
//! it as it grows, and the last three directions `d` carry `v` along. The residual never grows from one iteration to the
//! next.

use std::mem::swap;

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::{norm, scale};
use crate::spelling::{About, Spelled, Visit};

/// Minimum residuals, for a symmetric matrix, an indefinite one as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minres {
    /// When it ends.
    pub stop: Stop,
}

impl Spelled for Minres {
    fn about(&self) -> About {
        About {
            name: "minres",
            summary: "implicit, minimum residuals; for an indefinite Hessian as well",
            cost: "r + 1 gradients, iterations + 1 HVPs",
        }
    }

    fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
        Ok(Self { stop: self.stop.spell(visit) })
    }
}

impl<T: Element> LinearSolver<T> for Minres {
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let mut scratch = system.vectors()?;
        let iterations = iterate(system, &mut scratch, self.stop)?;
        system.give(scratch);
        Ok(iterations)
    }
}

fn iterate<T: Element>(
    system: &mut System<T>,
    scratch: &mut [Vec<T>; 5],
    stop: Stop,
) -> Result<usize, Error> {
    let limit = stop.residual(system.b);
    let [mut q, mut next, mut before, mut d, mut d_before] = scratch.each_mut().map(|v| &mut v[..]);
    system.residual(q)?;
    for vector in [&mut *before, &mut *d, &mut *d_before] {
        vector.fill(T::zero());
    }
    // `beta` joins `q` to the vector before it, `left` is the norm of the residual with its sign.
    let mut left = norm(q);
    let mut beta = T::zero();
    // An estimate of |H| by the columns so far, and the roundings of it that a pivot must exceed.
    let (mut size, rounding) = (T::zero(), T::from_f64(8.0) * T::epsilon());
    // Cosine and sine of the last rotation and of the one before.
    let [mut c, mut c_before] = [T::one(); 2];
    let [mut s, mut s_before] = [T::zero(); 2];
    if left > limit {
        scale(q, left.recip());
    }
    for iteration in 0..stop.iterations {
        if left.abs() <= limit {
            return Ok(iteration);
        }
        system.product(q, next)?;
        let alpha = dot(q, next);
        axpy(next, -alpha, q);
        axpy(next, -beta, before);
        let beta_next = norm(next);
        // The new column of the tridiagonal matrix, after both old rotations and the new one.
        let [far, near] = [s_before * beta, s * alpha + c_before * c * beta];
        let diagonal = c * alpha - c_before * s * beta;
        let pivot = diagonal.hypot(beta_next);
        size = size.max(alpha.abs() + beta + beta_next);
        if pivot <= rounding * size {
            // What is left of the residual is outside the range of a singular `H`.
            return Ok(iteration);
        }
        [c_before, s_before] = [c, s];
        [c, s] = [diagonal / pivot, beta_next / pivot];
        for ((d_before, &d), &q) in d_before.iter_mut().zip(&*d).zip(&*q) {
            *d_before = (q - far * *d_before - near * d) / pivot;
        }
        swap(&mut d, &mut d_before);
        axpy(system.v, c * left, d);
        left = -s * left;
        if beta_next > T::zero() {
            scale(next, beta_next.recip());
        }
        beta = beta_next;
        swap(&mut before, &mut q);
        swap(&mut q, &mut next);
    }
    Ok(stop.iterations)
}
