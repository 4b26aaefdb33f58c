//! Minimum residuals (MINRES) for a symmetric, possibly indefinite `H` (Paige and Saunders 1975).
//!
//! The Lanczos process builds an orthonormal basis `q_0, q_1, ...` in which `H` is tridiagonal. Rotations triangularise
//! it as it grows, and `v` is updated from the last three directions `d`. In exact arithmetic the residual never grows
//! from one iteration to the next, and for a singular `H` the iterations end at a least-squares solution, where
//! `H r = 0`.
//!
//! In floating-point arithmetic the recursion gives the residual up to `eps c^2` for a condition number `c` (Sleijpen,
//! van der Vorst and Modersitzki 2000). Therefore, once a pivot or a new basis vector is below `eps^(1/4) |H|`, every
//! iterate is judged by its true residual, for one product each, and iterations end when that grows.

use std::mem::swap;

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::best::Best;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::{norm, scale};
use crate::spelling::spelled;

spelled! {
    /// Minimum residuals, for a symmetric matrix that may be indefinite.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Minres: "minres",
        "implicit, by MINRES; also for an indefinite Hessian",
        "r + 1 gradients, iterations + 1 HVPs" {
        /// When the iterations end.
        pub stop: Stop = Stop::default();
    }
}

impl<T: Element> LinearSolver<T> for Minres {
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let (mut scratch, mut best) = (system.vectors()?, Best::new(system)?);
        let (iterations, size, singular) = iterate(system, &mut scratch, &mut best, self.stop)?;
        best.settle(system);
        if singular {
            let [r, product, ..] = &mut scratch;
            shorten(system, r, product, size)?;
        }
        system.give(scratch);
        Ok(iterations)
    }
}

/// Replaces a least-squares solution `v`, whose residual `r` has `H r = 0`, by the shortest one: `v - (r'v / r'r) r`
/// (Liu, Milzarek and Roosta 2023, from `v = 0`).
fn shorten<T: Element>(
    system: &mut System<T>,
    r: &mut [T],
    product: &mut [T],
    size: T,
) -> Result<(), Error> {
    system.warm = true;
    system.residual(r)?;
    system.product(r, product)?;
    let (square, small) = (dot(r, r), T::epsilon().sqrt());
    let along = dot(r, system.v) / square;
    // Only if `H` is singular up to rounding, as far as `r` and this step show.
    let moved = along.abs() * norm(product);
    if norm(product) <= small * size * norm(r) && moved <= small * norm(r) {
        axpy(system.v, -along, r);
    }
    Ok(())
}

/// Returns the number of iterations, the norm of `H`, and whether `H` seems singular.
fn iterate<T: Element>(
    system: &mut System<T>,
    scratch: &mut [Vec<T>; 6],
    best: &mut Best<T>,
    stop: Stop,
) -> Result<(usize, T, bool), Error> {
    let limit = stop.residual(system.b);
    let [mut q, mut next, mut before, mut d, mut d_before, r] =
        scratch.each_mut().map(|v| &mut v[..]);
    system.residual(q)?;
    for vector in [&mut *before, &mut *d, &mut *d_before] {
        vector.fill(T::zero());
    }
    // `beta` joins `q` to the vector before it; `left` is the norm of the residual with a sign.
    let mut left = norm(q);
    let mut beta = T::zero();
    // An estimate of |H| from the columns so far, and the rounding error, relative to it, that a pivot must exceed.
    let (mut size, rounding) = (T::zero(), T::from_f64(8.0) * T::epsilon());
    let mut doubtful = false;
    best.see(system, left, size);
    // Cosine and sine of the last rotation and of the one before it.
    let [mut c, mut c_before] = [T::one(); 2];
    let [mut s, mut s_before] = [T::zero(); 2];
    if left > limit {
        scale(q, left.recip());
    }
    for iteration in 0..stop.iterations {
        if left.abs() <= limit {
            return Ok((iteration, size, false));
        }
        system.product(q, next)?;
        let mut alpha = dot(q, next);
        axpy(next, -alpha, q);
        axpy(next, -beta, before);
        let mut beta_next = norm(next);
        // What is left of a product that was almost within the basis contains rounding errors along it.
        if beta_next < T::from_f64(0.1) * (alpha.abs() + beta) {
            let along = dot(q, next);
            alpha += along;
            axpy(next, -along, q);
            axpy(next, -dot(before, next), before);
            beta_next = norm(next);
        }
        // The new column of the tridiagonal matrix, after the two previous rotations and the new one.
        let [far, near] = [s_before * beta, s * alpha + c_before * c * beta];
        let diagonal = c * alpha - c_before * s * beta;
        let pivot = diagonal.hypot(beta_next);
        size = size.max(alpha.abs() + beta + beta_next);
        // `|H r| / |r|` before this iteration: the remaining residual is outside the range of a singular `H`.
        if diagonal.hypot(c * beta_next) <= rounding * size {
            return Ok((iteration, size, true));
        }
        doubtful |= pivot.min(beta_next) <= T::epsilon().sqrt().sqrt() * size;
        [c_before, s_before] = [c, s];
        [c, s] = [diagonal / pivot, beta_next / pivot];
        for ((d_before, &d), &q) in d_before.iter_mut().zip(&*d).zip(&*q) {
            *d_before = (q - far * *d_before - near * d) / pivot;
        }
        swap(&mut d, &mut d_before);
        axpy(system.v, c * left, d);
        left = -s * left;
        let improves = if doubtful {
            system.warm = true;
            system.residual(r)?;
            best.judge(system, norm(r), size)
        } else {
            best.see(system, left.abs(), size)
        };
        // A basis vector that consists of rounding errors adds nothing.
        if !improves || beta_next <= rounding * size {
            return Ok((iteration + 1, size, left.abs() > limit));
        }
        scale(next, beta_next.recip());
        beta = beta_next;
        swap(&mut before, &mut q);
        swap(&mut q, &mut next);
    }
    Ok((stop.iterations, size, false))
}
