//! Generalised minimum residuals (GMRES), for any regular matrix (Saad and Schultz 1986), without restarts.
//!
//! The Arnoldi process builds an orthonormal basis `q_0, q_1, ...` of the Krylov space, in which `A` is upper
//! Hessenberg. Rotations triangularise this matrix as it grows, so that the norm of the residual, which never grows, is
//! known after every product. The basis is orthogonalised twice by modified Gram-Schmidt, so that it is orthogonal up
//! to rounding even if a product adds little to it (Giraud, Langou and Rozloznik 2005). The residual of a solution `y`
//! in the basis therefore exceeds that of the recursion by at most about `eps |A| |y|`. As many vectors are used as
//! minimise the sum of both, for a singular matrix not all of them.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::{norm, scale};
use crate::spelling::spelled;

spelled! {
    /// Generalised minimum residuals, for any matrix.
    ///
    /// For a singular matrix the result has the smallest residual within the Krylov space.
    ///
    /// ```
    /// use hypertape_solver::linear::{Gmres, LinearSolver, Stop, System};
    /// let mut shift = |u: &[f64], au: &mut [f64]| {
    ///     au.copy_from_slice(&[u[0] - 0.5 * u[1], u[1]]);
    ///     Ok(())
    /// };
    /// let mut v = [0.0; 2];
    /// let gmres = Gmres { stop: Stop { iterations: 9, tolerance: 1e-12 } };
    /// let iterations = gmres.solve(&mut System::new(&mut shift, &[0.0, 1.0], &mut v))?;
    /// assert!(iterations == 2 && (v[0] - 0.5).abs() < 1e-15 && (v[1] - 1.0).abs() < 1e-15);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Gmres: "gmres",
        "implicit, by GMRES; for every inner rule",
        "r + 1 gradients, iterations + 1 HVPs, one vector per iteration" {
        /// When the iterations end. One vector is stored per iteration.
        pub stop: Stop = Stop::default();
    }
}

impl<T: Element> LinearSolver<T> for Gmres {
    fn symmetric(&self) -> bool {
        false
    }

    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let (p, limit) = (system.unknowns(), self.stop.residual(system.b));
        let most = self.stop.iterations.min(p);
        let mut basis = system.take((most + 1).saturating_mul(p))?;
        // Column `k` of the Hessenberg matrix has `k + 2` entries; the rotation makes the last one zero.
        let mut columns = system.take(most.saturating_mul(most + 1))?;
        // Cosines and sines of the rotations, and the residual in the basis.
        let mut rotations = system.take(2 * most)?;
        let [mut left, mut y] = [system.take(most + 1)?, system.take(most + 1)?];
        // The buffer is empty if only memory is counted.
        let first = &mut basis[..system.b.len()];
        system.residual(first)?;
        let start = norm(first);
        scale(first, start.recip());
        if let Some(first) = left.first_mut() {
            *first = start;
        }
        let (mut k, mut size, rounding) = (0, T::zero(), T::from_f64(8.0) * T::epsilon());
        while k < most.min(left.len()) {
            if left[k].abs() <= limit {
                break;
            }
            let (known, next) = basis.split_at_mut((k + 1) * p);
            let (next, column) = (&mut next[..p], &mut columns[k * (most + 1)..][..k + 2]);
            system.product(&known[k * p..], next)?;
            column.fill(T::zero());
            for _ in 0..2 {
                for (q, h) in known.chunks_exact(p).zip(&mut *column) {
                    let along = dot(q, next);
                    axpy(next, -along, q);
                    *h += along;
                }
            }
            let beside = norm(next);
            column[k + 1] = beside;
            size = size.max(norm(column));
            for (i, rotation) in rotations.chunks_exact(2).take(k).enumerate() {
                let [upper, lower] = [column[i], column[i + 1]];
                column[i] = rotation[0] * upper + rotation[1] * lower;
                column[i + 1] = rotation[0] * lower - rotation[1] * upper;
            }
            let pivot = column[k].hypot(beside);
            // The remainder is outside the range of a singular matrix.
            if pivot <= rounding * size {
                break;
            }
            let [c, s] = [column[k] / pivot, beside / pivot];
            rotations[2 * k..][..2].copy_from_slice(&[c, s]);
            column[k] = pivot;
            [left[k], left[k + 1]] = [c * left[k], -s * left[k]];
            k += 1;
            // A basis vector that consists of rounding errors adds nothing.
            if beside <= rounding * size {
                break;
            }
            scale(next, beside.recip());
        }
        // Solves with the first `n` vectors and returns a bound of the residual.
        let mut triangle = |n: usize| {
            y[..n].copy_from_slice(&left[..n]);
            for i in (0..n).rev() {
                let column = &columns[i * (most + 1)..];
                y[i] = y[i] / column[i];
                let (above, own) = y.split_at_mut(i);
                axpy(above, -own[0], &column[..i]);
            }
            let rest = left.get(n..=k).map_or(T::zero(), norm);
            rest + rounding * size * norm(&y[..n])
        };
        let (mut taken, mut bound) = (k, triangle(k));
        for fewer in (0..k).rev() {
            let other = triangle(fewer);
            if other < bound {
                (taken, bound) = (fewer, other);
            }
        }
        triangle(taken);
        for (q, &weight) in basis.chunks_exact(p.max(1)).zip(&y[..taken]) {
            axpy(system.v, weight, q);
        }
        system.give([y, left, rotations, columns, basis]);
        Ok(k)
    }
}
