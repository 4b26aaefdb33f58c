//! The limit of a quadratic problem for many steps, `h(x) = f(x, w*(x))`, with its gradient and Hessian in closed form.
//!
//! ```text
//! w*     = -A^-1 (a + C'x)        J = dw*/dx = -A^-1 C'
//! dh/dx  = Hx + K w* + h + J'(F w* + K'x + b)
//! d2h    = H + K J + (K J)' + J'F J
//! ```
//!
//! Cost: one elimination of `A`, about `p^3` multiplications.

use hypertape_autodiff::{Element, axpy, dot};

use crate::quadratic::Quadratic;

/// The limit of [`Quadratic`] for many steps at one outer point.
#[derive(Clone, Debug, PartialEq)]
pub struct QuadraticLimit {
    /// The inner solution, `p` entries.
    pub w: Vec<f64>,
    /// The outer loss at the solution.
    pub value: f64,
    /// Gradient of `h`, `d` entries.
    pub gradient: Vec<f64>,
    /// Hessian of `h`, `d x d`, the same at every point.
    pub hessian: Vec<f64>,
}

impl<T: Element> Quadratic<T> {
    /// Returns the limit at `x`, which has `d` entries, or `None` unless `A` is positive definite.
    ///
    /// ```
    /// use hypertape_problems::Quadratic;
    /// let limit = Quadratic::<f64>::general().limit(&[0.7, -1.2]).unwrap();
    /// assert!((limit.value - 1.3079642857142857).abs() < 1e-15);
    /// assert!((limit.gradient[0] - 1.0266666666666667).abs() < 1e-15);
    /// assert!((limit.hessian[1] - -0.75119047619047619).abs() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// Panics if `x` does not have `d` entries.
    #[track_caller]
    pub fn limit(&self, x: &[f64]) -> Option<QuadraticLimit> {
        assert_eq!(x.len(), self.x.len(), "the length of the outer point");
        let of = |values: &[T]| values.iter().map(|v| v.as_f64()).collect::<Vec<f64>>();
        let (p, d) = (self.w.len(), x.len());
        let [c, k, f, h] =
            [&self.inner_mixed, &self.outer_mixed, &self.outer_hessian, &self.outer_curvature]
                .map(|m| of(m));
        // The columns of the right-hand side are `-C'`, followed by `-(a + C'x)`.
        let side: Vec<f64> = (0..p)
            .flat_map(|i| {
                let row: Vec<f64> = (0..d).map(|j| -c[j * p + i]).collect();
                let last = dot(&row, x) - self.inner_linear[i].as_f64();
                row.into_iter().chain([last])
            })
            .collect();
        let solved = solve(of(&self.inner_hessian), side, d + 1)?;
        let column = |c: usize| (0..p).map(|i| solved[i * (d + 1) + c]).collect::<Vec<f64>>();
        let (w, jacobian) = (column(d), (0..d).map(column).collect::<Vec<_>>());
        let (b, e) = (of(&self.outer_linear), of(&self.outer_direct));
        let [fw, kw, hx] = [products(&f, &w), products(&k, &w), products(&h, x)];
        let mut slope: Vec<f64> = fw.iter().zip(&b).map(|(fw, b)| fw + b).collect();
        k.chunks_exact(p).zip(x).for_each(|(row, &x)| axpy(&mut slope, x, row));
        let gradient = (0..d).map(|r| hx[r] + kw[r] + e[r] + dot(&jacobian[r], &slope)).collect();
        let [kj, fj] =
            [&k, &f].map(|m| jacobian.iter().map(|j| products(m, j)).collect::<Vec<_>>());
        let entry =
            |r: usize, s: usize| h[r * d + s] + kj[r][s] + kj[s][r] + dot(&jacobian[r], &fj[s]);
        let hessian = (0..d * d).map(|at| entry(at / d, at % d)).collect();
        let value = 0.5 * (dot(&w, &fw) + dot(x, &hx)) + dot(x, &kw) + dot(&b, &w) + dot(&e, x);
        Some(QuadraticLimit { w, value, gradient, hessian })
    }
}

impl QuadraticLimit {
    /// Whether `h` is strictly convex.
    pub(crate) fn convex(&self) -> bool {
        let d = self.gradient.len();
        solve(self.hessian.clone(), vec![0.0; d], 1).is_some()
    }
}

/// `M v` for a matrix in row-major order.
fn products(matrix: &[f64], v: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(v.len()).map(|row| dot(row, v)).collect()
}

/// Returns `M^-1 B` for a positive definite `M` and a `B` with `columns` columns, by elimination without pivoting, or
/// `None` if a pivot is at most 1e-12.
fn solve(mut matrix: Vec<f64>, mut b: Vec<f64>, columns: usize) -> Option<Vec<f64>> {
    let n = b.len() / columns;
    let subtract = |from: &mut [f64], width: usize, row: usize, by: f64, of: usize| {
        (0..width).for_each(|c| from[row * width + c] -= by * from[of * width + c]);
    };
    for k in 0..n {
        let pivot = matrix[k * n + k];
        if pivot.is_nan() || pivot <= 1e-12 {
            return None;
        }
        // Eliminates in all other rows at once (Gauss-Jordan).
        for i in (0..n).filter(|&i| i != k) {
            let by = matrix[i * n + k] / pivot;
            subtract(&mut matrix, n, i, by, k);
            subtract(&mut b, columns, i, by, k);
        }
    }
    for (k, row) in b.chunks_exact_mut(columns).enumerate() {
        let pivot = matrix[k * n + k];
        for b in row {
            *b /= pivot;
        }
    }
    Some(b)
}
