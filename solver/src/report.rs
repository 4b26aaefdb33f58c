//! `Report`: how well an implicit estimate is founded. `Soundness`: what the reader of any estimate should know.

use std::fmt;

/// What an implicit estimate rests on: a linear system and an inner loop, neither of which is solved exactly. Of a
/// meta-batch, the worst of its tasks in each field.
///
/// As text, one line a warning: of an inner gradient or a residual that has not shrunk to a thousandth; nothing where both are
/// solved well.
///
/// ```
/// use hypertape_solver::Report;
/// let well = Report { residual: Some(1e-9), iterations: 7, inner_norm: 1e-8, inner_ratio: 1e-7, ..Report::default() };
/// assert_eq!(well.to_string(), "");
/// let early = Report { inner_ratio: 0.25, ..well };
/// assert!(early.to_string().starts_with("the inner loop is not converged: |dg/dw| is 1.00e-8, 0.250 of"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Report {
    /// `|b - A v| / |b|`, evaluated for the final `v`; `None` where `A` is a new sample in every product.
    pub residual: Option<f64>,
    /// Iterations of the linear solver, or random factors of a series.
    pub iterations: usize,
    /// `|dg/dw|` at `w_r`; of a fixed point the length of the next step over that of the loop, `|w_{r+1} - w_r| / lr`.
    #[cfg_attr(feature = "serde", serde(rename = "inner_gradient_norm", alias = "inner_norm"))]
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub inner_norm: f64,
    /// The same relative to that before the first inner step; 1 without inner steps.
    #[cfg_attr(feature = "serde", serde(rename = "inner_gradient_ratio", alias = "inner_ratio"))]
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub inner_ratio: f64,
    /// `|b - A v| / mu`, a bound of `|v - A^-1 b|`, where the strong convexity `mu` of the inner loss was given; of a fixed
    /// point with `lr mu` for `mu`, which holds where a step contracts by `1 - lr mu`.
    pub solution_error: Option<f64>,
    /// Whether the system is `A = I - (dT/ds)^T` of a rule that comes to rest elsewhere than where `dg/dw = 0`, and not the
    /// inner Hessian.
    pub fixed_point: bool,
}

/// An inner loop, or a linear system, counts as solved once its gradient or residual has shrunk by this factor.
const SOLVED: f64 = 1e-3;

/// What a step may do to adjoints before there is a warning: a gradient of a millionth under Adam or `RMSProp`.
const STEEP: f64 = 1e6;

/// An outer loss beyond which there is a warning: those of all problems at their defaults are below 100.
const LARGE: f64 = 1e10;

/// What a whole loop may do to adjoints before there is a warning. The default loops of all problems stay below 100.
const GROWN: f64 = 1e4;

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
        let Self { inner_norm, inner_ratio, residual, iterations, fixed_point, .. } = self;
        let quantity = if *fixed_point { "a step over lr" } else { "|dg/dw|" };
        let early = *inner_ratio > SOLVED;
        if early {
            write!(
                f,
                "the inner loop is not converged: {quantity} is {inner_norm:.2e}, {inner_ratio:.3} of \
                 that at its start, where an implicit gradient expects 0"
            )?;
        }
        if let Some(residual) = residual.filter(|r| *r > SOLVED) {
            let line = if early { "\n" } else { "" };
            write!(
                f,
                "{line}the linear system is not solved: relative residual {residual:.2e} after {iterations} \
                 iterations, which are too few, or the matrix is singular"
            )?;
        }
        Ok(())
    }
}

/// What the reader of an estimate should know, in numbers; [`warnings`](Self::warnings) in words. Of several estimates the
/// worst of each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Soundness {
    /// What an implicit estimate rests on; `None` of the others.
    pub report: Option<Report>,
    /// How much steeper than a step of gradient descent the steepest step was in its gradient: the most by which reversing
    /// a step took its largest adjoint to that of its gradient, over `lr`. 0 where no step was reversed through a rule's
    /// tape: of gradient descent itself, implicit estimates, whole runs on one tape.
    ///
    /// Adam reaches `1 / eps` where a gradient vanishes; the hypergradient is then right, and useless.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub sensitivity: f64,
    /// By how much the largest entry of the adjoint of `w` grew from the end of the inner loop to its start, where a sweep went
    /// that far; 0 elsewhere: of implicit and forward estimates, whole runs on one tape. A loop that converges shrinks it.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub growth: f64,
    /// Whether the cheap part of an estimate that corrects one by chance is identically zero.
    pub vanishing: bool,
    /// The outer loss, in absolute value.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub loss: f64,
}

impl Soundness {
    /// The worse of two, number by number.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let report = match (self.report, other.report) {
            (Some(a), Some(b)) => Some(a.worst(b)),
            (a, b) => a.or(b),
        };
        Self {
            report,
            sensitivity: self.sensitivity.max(other.sensitivity),
            growth: self.growth.max(other.growth),
            vanishing: self.vanishing || other.vanishing,
            loss: self.loss.max(other.loss),
        }
    }

    /// What several processes tell each other; the loss is told as a result.
    pub(crate) fn without_report(self) -> [f64; 3] {
        [self.sensitivity, self.growth, f64::from(u8::from(self.vanishing))]
    }

    pub(crate) fn of([sensitivity, growth, vanishing]: [f64; 3]) -> Self {
        Self { sensitivity, growth, vanishing: vanishing > 0.0, ..Self::default() }
    }

    /// One text each: those of the [`Report`], an outer loss above 1e10, a step a million times as steep as one of gradient
    /// descent, an adjoint that grew by a factor of 10 000, a cheap part that is zero.
    ///
    /// ```
    /// use hypertape_solver::Soundness;
    /// let grown = Soundness { growth: 3e8, ..Soundness::default() };
    /// assert!(grown.warnings()[0].starts_with("the adjoint grew by a factor of 3.00e8"));
    /// assert!(Soundness::default().warnings().is_empty());
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let Self { report, sensitivity, growth, vanishing, loss } = self;
        let report = report.map_or_else(String::new, |report| report.to_string());
        let steep = (*sensitivity > STEEP).then(|| {
            format!(
                "a step is {sensitivity:.2e} times as sensitive to its gradient as gradient descent, as adaptive rules are \
                 where the gradient almost vanishes: expected at most {STEEP:.0e}, raise eps"
            )
        });
        // That of a steep step is known by then.
        let grown = (*growth > GROWN && steep.is_none()).then(|| {
            format!(
                "the adjoint grew by a factor of {growth:.2e} on its way back through the inner loop, as where that \
                 diverges: the gradient is one of chaos, a smaller lr may help"
            )
        });
        let zero = vanishing.then(|| {
            "the cheap part is identically zero, as neither the inner start nor the outer loss contains the outer variables: \
             all comes from the corrections"
                .to_owned()
        });
        let large = (*loss > LARGE).then(|| {
            format!("the outer loss is {loss:.2e}, as where the inner loop diverges: a smaller lr may help")
        });
        let report = report.lines().map(str::to_owned);
        report.chain(large).chain(steep).chain(grown).chain(zero).collect()
    }
}
