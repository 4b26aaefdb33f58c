//! Generalised minimum residuals, for any regular matrix (Saad and Schultz 1986), without restarts.
//!
//! The Arnoldi process makes an orthonormal basis `q_0, q_1, ...` of the Krylov space, in which `A` is upper Hessenberg;
//! rotations triangularise it as it grows, so that the norm of the residual is known after every product, and never grows.
//! The basis is orthogonalised by modified Gram-Schmidt, which keeps the solution stable to rounding (Greenbaum, Rozloznik
//! and Strakos 1997).

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::params::{norm, scale};
use crate::spelling::{About, Spelled, Visit};

/// Generalised minimum residuals, for any regular matrix.
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
pub struct Gmres {
    /// When it ends. A vector is kept for each iteration.
    pub stop: Stop,
}

impl Spelled for Gmres {
    fn about(&self) -> About {
        About {
            name: "gmres",
            summary: "implicit, generalised minimum residuals; under every rule",
            cost: "r + 1 gradients, iterations + 1 HVPs, as many vectors",
        }
    }

    fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
        Ok(Self { stop: self.stop.spell(visit) })
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
        // Of column `k` of the Hessenberg matrix: `k + 2` entries, the last of which the rotation makes zero.
        let mut columns = system.take(most.saturating_mul(most + 1))?;
        // Cosines and sines of the rotations, and the residual in the basis.
        let mut rotations = system.take(2 * most)?;
        let mut left = system.take(most + 1)?;
        // Nothing is there where only memory is asked for.
        let first = &mut basis[..system.b.len()];
        system.residual(first)?;
        let size = norm(first);
        scale(first, size.recip());
        if let Some(first) = left.first_mut() {
            *first = size;
        }
        let mut k = 0;
        while k < most.min(left.len()) {
            if left[k].abs() <= limit {
                break;
            }
            let (known, next) = basis.split_at_mut((k + 1) * p);
            let (next, column) = (&mut next[..p], &mut columns[k * (most + 1)..][..k + 2]);
            system.product(&known[k * p..], next)?;
            for (q, h) in known.chunks_exact(p).zip(&mut *column) {
                *h = dot(q, next);
                axpy(next, -*h, q);
            }
            let beside = norm(next);
            column[k + 1] = beside;
            for (i, rotation) in rotations.chunks_exact(2).take(k).enumerate() {
                let [upper, lower] = [column[i], column[i + 1]];
                column[i] = rotation[0] * upper + rotation[1] * lower;
                column[i + 1] = rotation[0] * lower - rotation[1] * upper;
            }
            let pivot = column[k].hypot(beside);
            // What is left is outside the range of a singular matrix.
            if pivot <= T::epsilon() * norm(&column[..=k]) {
                break;
            }
            let [c, s] = [column[k] / pivot, beside / pivot];
            rotations[2 * k..][..2].copy_from_slice(&[c, s]);
            column[k] = pivot;
            [left[k], left[k + 1]] = [c * left[k], -s * left[k]];
            if beside > T::zero() {
                scale(next, beside.recip());
            }
            k += 1;
        }
        for i in (0..k).rev() {
            let column = &columns[i * (most + 1)..];
            let weight = left[i] / column[i];
            axpy(&mut left[..i], -weight, &column[..i]);
            axpy(system.v, weight, &basis[i * p..(i + 1) * p]);
        }
        system.give([left, rotations, columns, basis]);
        Ok(k)
    }
}
