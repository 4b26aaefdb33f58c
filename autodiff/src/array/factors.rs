//! Factors of square matrices in row-major order, and solutions with them: elimination with row exchanges, Cholesky,
//! triangles.
//!
//! Golub and Van Loan (2013), algorithms 3.4.1, 4.2.2 (by outer products) and 3.1.1. Cost: `n^3/3` products for
//! elimination, `n^3/6` for Cholesky, none for triangles; `n^2` per right-hand side.

use crate::array::by_value::Method;
use crate::array::element::Element;
use crate::array::linear::LinearOperator;
use crate::fault::Fault;

/// The inverse of a factored matrix as a linear map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inverse<'m, T> {
    method: Method,
    n: usize,
    factors: &'m [T],
    pivots: &'m [u32],
}

impl<'m, T: Element> Inverse<'m, T> {
    /// Factors the `n` by `n` matrix `a` in place. `pivots` has `n` entries.
    pub(crate) fn new(
        method: Method,
        n: usize,
        a: &'m mut [T],
        pivots: &'m mut [u32],
    ) -> Result<Self, Fault> {
        if method == Method::Cholesky {
            let diagonal = |i: usize| a[i * n + i].as_f64().abs();
            expect_symmetric("cholesky", n, a, |i, j| (diagonal(i) * diagonal(j)).sqrt())?;
        }
        for k in 0..n {
            let usable = |good: bool, value: T| {
                let operation = method.name();
                let fault = Fault::Pivot { operation, index: k, value: value.as_f64() };
                if good && value.is_finite() { Ok(()) } else { Err(fault) }
            };
            let rest = &mut a[k * n..];
            match method {
                Method::Lu => {
                    let size = |i: usize| rest[i * n + k].abs();
                    // The larger of two entries. `NaN` counts as larger, so that it is reported.
                    let larger = |i: usize, j: usize| if size(j) <= size(i) { i } else { j };
                    let best = (0..n - k).reduce(larger).unwrap_or(0);
                    usable(!size(best).is_zero(), rest[best * n + k])?;
                    pivots[k] = u32::try_from(k + best).unwrap_or(u32::MAX);
                    let (row, below) = rest.split_at_mut(n);
                    if best > 0 {
                        row.swap_with_slice(&mut below[(best - 1) * n..][..n]);
                    }
                    for other in below.chunks_exact_mut(n) {
                        other[k] = other[k] / row[k];
                        let by = -other[k];
                        T::axpy(&mut other[k + 1..], by, &row[k + 1..]);
                    }
                }
                Method::Cholesky => {
                    let (row, below) = rest.split_at_mut(n);
                    usable(row[k] > T::zero(), row[k])?;
                    row[k] = row[k].sqrt();
                    // Column k goes into row k as well, where it is contiguous.
                    for (i, other) in (k + 1..).zip(below.chunks_exact_mut(n)) {
                        other[k] = other[k] / row[k];
                        row[i] = other[k];
                        let by = -other[k];
                        T::axpy(&mut other[k + 1..=i], by, &row[k + 1..=i]);
                    }
                }
                Method::Lower | Method::Upper => {
                    usable(!rest[k].is_zero(), rest[k])?;
                }
            }
        }
        Ok(Self { method, n, factors: a, pivots })
    }

    /// Returns `ln |det|`.
    pub(crate) fn log_det(&self) -> T {
        let diagonal = self.factors.iter().step_by(self.n + 1);
        let sum = diagonal.fold(T::zero(), |sum, d| sum + d.abs().ln());
        if self.method == Method::Cholesky { sum + sum } else { sum }
    }

    /// Returns the sign of the determinant.
    pub(crate) fn sign(&self) -> f64 {
        let negative =
            self.factors.iter().step_by(self.n + 1).filter(|d| d.is_sign_negative()).count();
        let swaps = match self.method {
            Method::Lu => (0..self.n).filter(|&k| self.pivots[k] as usize != k).count(),
            _ => 0,
        };
        if (negative + swaps).is_multiple_of(2) { 1.0 } else { -1.0 }
    }

    /// Returns the triangle `L` of a Cholesky factorisation `L L^T`, and `None` for other methods.
    pub(crate) fn lower(self) -> Option<Self> {
        (self.method == Method::Cholesky).then_some(Self { method: Method::Lower, ..self })
    }

    pub(crate) fn factors(&self) -> &'m [T] {
        self.factors
    }

    /// Replaces the right-hand sides `y`, in row-major order, by the solutions.
    pub(crate) fn solve(&self, transposed: bool, columns: usize, y: &mut [T]) {
        let triangle = |lower, transposed, unit, y: &mut [T]| {
            self.substitute(lower, transposed, unit, columns, y);
        };
        let swap = |k: usize, y: &mut [T]| {
            let other = self.pivots[k] as usize;
            (0..columns).for_each(|c| y.swap(k * columns + c, other * columns + c));
        };
        match self.method {
            Method::Lu if transposed => {
                triangle(false, true, false, y);
                triangle(true, true, true, y);
                (0..self.n).rev().for_each(|k| swap(k, y));
            }
            Method::Lu => {
                (0..self.n).for_each(|k| swap(k, y));
                triangle(true, false, true, y);
                triangle(false, false, false, y);
            }
            Method::Cholesky => {
                triangle(true, false, false, y);
                triangle(true, true, false, y);
            }
            Method::Lower => triangle(true, transposed, false, y),
            Method::Upper => triangle(false, transposed, false, y),
        }
    }

    /// Solves with one triangle of the factors, row by row in the order of their memory.
    fn substitute(&self, lower: bool, transposed: bool, unit: bool, columns: usize, y: &mut [T]) {
        let (n, a) = (self.n, self.factors);
        for step in 0..n {
            let i = if lower == transposed { n - 1 - step } else { step };
            let (diagonal, row) = (a[i * n + i], &a[i * n..][..n]);
            // `y_i`, and the entries that its row of factors multiplies.
            let (before, rest) = y.split_at_mut(i * columns);
            let (own, after) = rest.split_at_mut(columns);
            let (others, row) = if lower { (before, &row[..i]) } else { (after, &row[i + 1..]) };
            let divide = |own: &mut [T]| own.iter_mut().for_each(|y| *y = *y / diagonal);
            if transposed && !unit {
                divide(own);
            }
            match (transposed, columns) {
                (false, 1) => own[0] = own[0] - T::dot(row, others),
                (true, 1) => T::axpy(others, -own[0], row),
                (false, _) => {
                    for (&l, other) in row.iter().zip(others.chunks_exact(columns.max(1))) {
                        T::axpy(own, -l, other);
                    }
                }
                (true, _) => {
                    for (&l, other) in row.iter().zip(others.chunks_exact_mut(columns.max(1))) {
                        T::axpy(other, -l, own);
                    }
                }
            }
            if !transposed && !unit {
                divide(own);
            }
        }
    }
}

/// Returns [`Fault::Asymmetric`] if the triangles differ by more than the rounding error of sums of `n` products whose
/// terms are of size `size`.
pub(crate) fn expect_symmetric<T: Element>(
    operation: &'static str,
    n: usize,
    a: &[T],
    size: impl Fn(usize, usize) -> f64,
) -> Result<(), Fault> {
    let entry = |i: usize, j: usize| a[i * n + j].as_f64();
    let unit = 8.0 * n as f64 * T::epsilon().as_f64();
    for i in 0..n {
        for j in 0..i {
            let values = [entry(i, j), entry(j, i)];
            // `size` is expensive, and most pairs are equal.
            if a[i * n + j] != a[j * n + i] && (values[0] - values[1]).abs() > unit * size(i, j) {
                return Err(Fault::Asymmetric { operation, row: i, column: j, values });
            }
        }
    }
    Ok(())
}

impl<T: Element> LinearOperator<T> for Inverse<'_, T> {
    fn rows(&self) -> u32 {
        u32::try_from(self.n).unwrap_or(u32::MAX)
    }
    fn cols(&self) -> u32 {
        self.rows()
    }
    /// `y` is zero, because only arrays call this.
    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]) {
        y.copy_from_slice(x);
        self.solve(transposed, columns, y);
    }
}
