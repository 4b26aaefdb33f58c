//! `Report`: how reliable an implicit estimate is. `Soundness`: what a reader of any estimate should know.

use std::fmt;

/// The accuracy of an implicit estimate, which depends on a linear system and an inner loop, neither of which is solved
/// exactly.
///
/// For a meta-batch, each field is the worst over its tasks.
///
/// Its text has one line per warning, if the inner gradient or the residual has not decreased to a thousandth. It is
/// empty if both are solved well.
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
    /// `|b - A v| / |b|`, evaluated for the final `v`; `None` if `A` is a new sample in every product.
    pub residual: Option<f64>,
    /// Number of iterations of the linear solver, or of random factors of a series.
    pub iterations: usize,
    /// `|dg/dw|` at `w_r`; for a fixed point the length of the next step divided by the step size,
    /// `|w_{r+1} - w_r| / lr`.
    #[cfg_attr(feature = "serde", serde(rename = "inner_gradient_norm", alias = "inner_norm"))]
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub inner_norm: f64,
    /// `inner_norm` relative to its value before the first inner step; 1 without inner steps.
    #[cfg_attr(feature = "serde", serde(rename = "inner_gradient_ratio", alias = "inner_ratio"))]
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub inner_ratio: f64,
    /// `|b - A v| / mu`, a bound of `|v - A^-1 b|`, if the strong convexity `mu` of the inner loss was given. For a
    /// fixed point `mu` is replaced by `lr mu`, which is valid if a step contracts by `1 - lr mu`.
    pub solution_error: Option<f64>,
    /// Whether the system is `A = I - (dT/ds)^T` of a rule with other fixed points than `dg/dw = 0`, instead of the
    /// inner Hessian.
    pub fixed_point: bool,
}

/// An inner loop or a linear system counts as solved once its gradient or residual has decreased by this factor.
const SOLVED: f64 = 1e-3;

/// Sensitivity of a step above which there is a warning: that of a gradient of a millionth under Adam or `RMSProp`.
const STEEP: f64 = 1e6;

/// Outer loss above which there is a warning; those of all problems at their defaults are below 100.
const LARGE: f64 = 1e10;

/// Growth of adjoints over a whole loop above which there is a warning; it is below 100 in the default loops of all
/// problems.
const GROWN: f64 = 1e4;

impl Report {
    /// Returns the worse of both in each field.
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
                 that at its start, and an implicit gradient assumes 0"
            )?;
        }
        if let Some(residual) = residual.filter(|r| *r > SOLVED) {
            let line = if early { "\n" } else { "" };
            let iterations = crate::text::counted(*iterations as u64, "iteration");
            write!(
                f,
                "{line}the linear system is not solved: relative residual {residual:.2e} after {iterations}; \
                 that is too few, or the matrix is singular"
            )?;
        }
        Ok(())
    }
}

/// What a reader of an estimate should know, in numbers; [`warnings`](Self::warnings) puts it into words.
///
/// For several estimates, each field is the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Soundness {
    /// Accuracy of an implicit estimate; `None` for others.
    pub report: Option<Report>,
    /// Sensitivity of the steepest step to its gradient, relative to a step of gradient descent: the largest ratio,
    /// over all reversed steps, of the largest adjoint of the gradient to that of the state, divided by `lr`. It is 0
    /// if no step was reversed through the tape of a rule, as for gradient descent, implicit estimates, and whole runs
    /// on one tape.
    ///
    /// Adam reaches `1 / eps` where a gradient vanishes; the hypergradient is then correct but useless.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub sensitivity: f64,
    /// Growth of the largest entry of the adjoint of `w` from the end of the inner loop to its start. It is 0 if no
    /// sweep went that far, as for implicit and forward estimates and for whole runs on one tape. In a loop that
    /// converges, the adjoint shrinks.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub growth: f64,
    /// Whether an estimator that corrects a cheap estimate at random has a cheap estimate that is identically zero.
    pub vanishing: bool,
    /// Whether every entry of the gradient is 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub zero: bool,
    /// The outer loss, in absolute value.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub loss: f64,
}

impl Soundness {
    /// Returns the worse of both in each field.
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
            zero: self.zero || other.zero,
            loss: self.loss.max(other.loss),
        }
    }

    /// The numbers that processes exchange; loss and gradient are exchanged as results.
    pub(crate) fn without_report(self) -> [f64; 3] {
        [self.sensitivity, self.growth, f64::from(u8::from(self.vanishing))]
    }

    pub(crate) fn of([sensitivity, growth, vanishing]: [f64; 3]) -> Self {
        Self { sensitivity, growth, vanishing: vanishing > 0.0, ..Self::default() }
    }

    /// Returns the warnings, one text each: those of the [`Report`], an outer loss above 1e10, a step a million times
    /// as steep as one of gradient descent, an adjoint that grew by a factor of 10 000, and a gradient or a cheap
    /// estimate that is zero.
    ///
    /// ```
    /// use hypertape_solver::Soundness;
    /// let grown = Soundness { growth: 3e8, ..Soundness::default() };
    /// assert!(grown.warnings()[0].starts_with("the adjoint grew by a factor of 3.00e8"));
    /// assert!(Soundness::default().warnings().is_empty());
    /// let zero = Soundness { zero: true, ..Soundness::default() };
    /// assert!(zero.warnings()[0].starts_with("every entry of the gradient is 0"));
    /// assert!(Soundness { vanishing: true, ..zero }.warnings()[0].starts_with("the cheap estimate is identically zero"));
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let Self { report, sensitivity, growth, vanishing, zero, loss } = self;
        let report = report.map_or_else(String::new, |report| report.to_string());
        let steep = (*sensitivity > STEEP).then(|| {
            format!(
                "a step is {sensitivity:.2e} times as sensitive to its gradient as gradient descent, which happens with \
                 adaptive rules where the gradient almost vanishes: expected at most {STEEP:.0e}; raise eps"
            )
        });
        // A steep step explains the growth.
        let grown = (*growth > GROWN && steep.is_none()).then(|| {
            format!(
                "the adjoint grew by a factor of {growth:.2e} on its way back through the inner loop, which suggests that \
                 the loop diverges or is chaotic: take a smaller lr, or lr auto"
            )
        });
        // Where the cheap estimate is zero, a draw without a correction is too.
        let nothing = (*zero && !vanishing).then(|| {
            "every entry of the gradient is 0: the outer variables are not used, the estimate sees no inner step (as with 0 steps, \
             or truncated:k=0), or the outer loss is constant, like a number of errors"
                .to_owned()
        });
        let cheap = vanishing.then(|| {
            "the cheap estimate is identically zero, because neither the inner start nor the outer loss depends on the \
             outer variables: the corrections are all there is"
                .to_owned()
        });
        let large = (*loss > LARGE).then(|| {
            format!("the outer loss is {loss:.2e}, which suggests that the inner loop diverges: take a smaller lr, or lr auto")
        });
        let report = report.lines().map(str::to_owned);
        report.chain(large).chain(steep).chain(grown).chain(nothing).chain(cheap).collect()
    }
}
