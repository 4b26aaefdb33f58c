//! Gaussian elimination on the whole matrix.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::linear::system::{LinearSolver, System};
use crate::params::{norm, scale};
use crate::spelling::spelled;

/// Gaussian elimination on the whole matrix, computed column by column, for a small number of unknowns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense;

spelled! {
    Dense: "dense",
        "implicit, by elimination on the whole matrix; few inner variables, every rule",
        "r + 1 gradients, p + 1 HVPs, p^2 values";
}

impl<T: Element> LinearSolver<T> for Dense {
    fn warm(&self) -> Option<bool> {
        None
    }

    fn symmetric(&self) -> bool {
        false
    }

    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let p = system.unknowns();
        let (mut unit, mut matrix) = (system.take(p)?, system.take(p.saturating_mul(p))?);
        unit.fill(T::zero());
        for (i, row) in matrix.chunks_exact_mut(p.max(1)).enumerate() {
            unit[i] = T::one();
            // A column, which for a symmetric matrix is also a row.
            system.product(&unit, row)?;
            unit[i] = T::zero();
        }
        if !system.symmetric {
            for i in 0..matrix.len().isqrt() {
                (0..i).for_each(|j| matrix.swap(i * p + j, j * p + i));
            }
        }
        system.v.copy_from_slice(system.b);
        let rounding = T::epsilon() * norm(&matrix);
        eliminate(&mut matrix, system.v, rounding)?;
        system.give([matrix, unit]);
        Ok(p)
    }
}

/// Solves `A X = B` for a square `A`, in place of `B`, by Gaussian elimination with partial pivoting (Golub and Van
/// Loan 2013, section 3.4). `A` is destroyed.
///
/// # Errors
/// Returns [`Error::Singular`] unless every pivot is larger than `least` in absolute value.
pub(super) fn eliminate<T: Element>(a: &mut [T], x: &mut [T], least: T) -> Result<(), Error> {
    let n = a.len().isqrt();
    let m = x.len() / n.max(1);
    for k in 0..n {
        let size = |i: usize| a[i * n + k].abs();
        let best = (k..n).fold(k, |best, i| if size(i) > size(best) { i } else { best });
        let regular = size(best) > least;
        if !regular {
            return Err(Error::Singular { pivot: size(best).as_f64(), least: least.as_f64() });
        }
        for (rows, width) in [(&mut *a, n), (&mut *x, m)] {
            for j in 0..width {
                rows.swap(k * width + j, best * width + j);
            }
        }
        let (upper, lower) = a.split_at_mut((k + 1) * n);
        let (x_upper, x_lower) = x.split_at_mut((k + 1) * m);
        let (pivot, x_pivot) = (&upper[k * n..], &x_upper[k * m..]);
        for (row, x_row) in lower.chunks_exact_mut(n).zip(x_lower.chunks_exact_mut(m)) {
            let factor = row[k] / pivot[k];
            axpy(&mut row[k..], -factor, &pivot[k..]);
            axpy(x_row, -factor, x_pivot);
        }
    }
    for k in (0..n).rev() {
        let (upper, lower) = x.split_at_mut((k + 1) * m);
        let row = &mut upper[k * m..];
        for (j, below) in (k + 1..n).zip(lower.chunks_exact(m)) {
            axpy(row, -a[k * n + j], below);
        }
        scale(row, a[k * n + k].recip());
    }
    Ok(())
}
