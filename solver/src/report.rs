//! `Report`: how well an implicit estimate is founded.

use std::fmt;

/// What an implicit estimate rests on: a linear system and an inner loop, neither of which is solved exactly. Of a
/// meta-batch, the worst of its tasks in each field.
///
/// As text, one line a warning: of an inner gradient that has not shrunk to a thousandth, of a residual above 1; nothing
/// where both are solved well.
///
/// ```
/// use hypertape_solver::Report;
/// let well = Report { residual: Some(1e-9), iterations: 7, inner_norm: 1e-8, inner_ratio: 1e-7, ..Report::default() };
/// assert_eq!(well.to_string(), "");
/// let early = Report { inner_ratio: 0.25, ..well };
/// assert!(early.to_string().starts_with("the inner loop is not converged: |dg/dw| is 1.00e-8, 0.250 of"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// `|b - A v| / |b|`, evaluated for the final `v`; `None` where `A` is a new sample in every product.
    pub residual: Option<f64>,
    /// Iterations of the linear solver, or random factors of a series.
    pub iterations: usize,
    /// `|dg/dw|` at `w_r`; of a fixed point the length of the next step over that of the loop, `|w_{r+1} - w_r| / lr`.
    pub inner_norm: f64,
    /// The same relative to that before the first inner step; 1 without inner steps.
    pub inner_ratio: f64,
    /// `|b - A v| / mu`, a bound of `|v - A^-1 b|`, where the strong convexity `mu` of the inner loss was given; of a fixed
    /// point with `lr mu` for `mu`, which holds where a step contracts by `1 - lr mu`.
    pub solution_error: Option<f64>,
    /// Whether the system is `A = I - (dT/ds)^T` of a rule that comes to rest elsewhere than where `dg/dw = 0`, and not the
    /// inner Hessian.
    pub fixed_point: bool,
}

/// An inner loop counts as converged once its gradient has shrunk by this factor.
const CONVERGED: f64 = 1e-3;

impl Report {
    /// The worse of two, field by field.
    pub(crate) fn worst(self, other: Self) -> Self {
        let larger = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a.max(b));
        Self {
            residual: larger(self.residual, other.residual),
            iterations: self.iterations.max(other.iterations),
            inner_norm: self.inner_norm.max(other.inner_norm),
            inner_ratio: self.inner_ratio.max(other.inner_ratio),
            solution_error: larger(self.solution_error, other.solution_error),
            fixed_point: self.fixed_point || other.fixed_point,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inner_norm, inner_ratio, residual, fixed_point, .. } = self;
        let quantity = if *fixed_point { "a step over lr" } else { "|dg/dw|" };
        let early = *inner_ratio > CONVERGED;
        if early {
            write!(
                f,
                "the inner loop is not converged: {quantity} is {inner_norm:.2e}, {inner_ratio:.3} of \
                 that at its start, where an implicit gradient expects 0"
            )?;
        }
        if let Some(residual) = residual.filter(|r| *r > 1.0) {
            let line = if early { "\n" } else { "" };
            write!(
                f,
                "{line}the linear system is solved worse than by v = 0: relative residual \
                 {residual:.2e}"
            )?;
        }
        Ok(())
    }
}
