//! What can fail, with the numbers that say why.

use std::fmt;

use hypertape_autodiff::Fault;

/// A failed hypergradient or run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A function of the problem met a fault: wrong shapes, an index out of range, the memory limit.
    Function {
        /// Which function: `inner`, `outer` or `init`.
        function: &'static str,
        /// The fault.
        fault: Fault,
    },
    /// A quantity was not finite.
    NonFinite {
        /// The quantity.
        quantity: &'static str,
        /// The inner step at which it was met, from 0; `None` outside the inner loop.
        step: Option<usize>,
        /// Step size of the inner loop.
        lr: f64,
    },
    /// A first-order gradient was asked for that is identically zero.
    FirstOrderVanishes,
    /// An implicit gradient was asked for that is identically zero.
    ImplicitVanishes,
    /// A solver for positive definite systems met curvature that is not positive.
    Indefinite {
        /// The iteration, from 0.
        iteration: usize,
        /// `d'H d / d'd`, or the same of the preconditioner.
        curvature: f64,
    },
    /// Elimination met a pivot that may be zero.
    Singular {
        /// The largest in its column, in absolute value.
        pivot: f64,
        /// The rounding of the matrix, which it must exceed.
        least: f64,
    },
    /// The outer loss left every reasonable range.
    Diverged {
        /// The outer loss.
        loss: f64,
        /// The largest loss allowed.
        limit: f64,
    },
    /// A setting or an array that the caller passed does not fit.
    Invalid {
        /// What was wrong.
        what: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A choice was typed that there is not, or with settings that it has not.
    Spelling {
        /// What is wrong, and what was expected.
        why: String,
    },
    /// An estimate would take more bytes than it may.
    Memory {
        /// The bytes that it may take.
        limit: u64,
        /// The bytes that it needs.
        needed: u64,
        /// The fastest schedule with states in memory alone that fits, with its bytes.
        advice: Option<(String, u64)>,
    },
    /// The file of states on disk failed.
    Spill {
        /// What happened to it.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// What was to be resumed is not the state of the run.
    State {
        /// Why.
        why: String,
    },
    /// A run could not be saved.
    Saving {
        /// Why.
        why: String,
    },
    /// An outer iteration failed.
    Iteration {
        /// The iteration, from 0.
        iteration: usize,
        /// Why.
        cause: Box<Error>,
    },
}

impl Error {
    /// That `found` stands where something else was expected, for problems and estimators of one's own.
    ///
    /// ```
    /// use hypertape_solver::Error;
    /// let error = Error::invalid("shots", 0, "1 or more");
    /// assert_eq!(error.to_string(), "shots: found 0, expected 1 or more");
    /// ```
    pub fn invalid(
        what: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid { what: what.into(), found: found.to_string(), expected: expected.into() }
    }

    pub(crate) fn length(what: &str, expected: usize, found: usize) -> Self {
        Self::invalid(what, format!("{found} values"), format!("{expected}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function { function, fault } => write!(f, "the problem's {function}: {fault}"),
            Self::NonFinite { quantity, step: Some(step), lr } => write!(
                f,
                "{quantity} is not finite at inner step {step} (lr {lr}): the inner loop diverges, \
                 a smaller lr may help"
            ),
            Self::NonFinite { quantity, step: None, lr } => {
                write!(f, "{quantity} is not finite after the inner loop (lr {lr})")
            }
            Self::FirstOrderVanishes => f.write_str(
                "the first-order gradient is identically zero: neither the inner start nor the \
                 outer loss contains the outer variables",
            ),
            Self::ImplicitVanishes => f.write_str(
                "the implicit gradient is identically zero: neither the inner nor the outer loss \
                 contains the outer variables, and it does not see the inner start",
            ),
            Self::Indefinite { iteration, curvature } => write!(
                f,
                "conjugate gradients met curvature {curvature:e} at iteration {iteration}: the \
                 inner Hessian is not positive definite there, minres may help, or more inner steps"
            ),
            Self::Singular { pivot, least } => write!(
                f,
                "the inner Hessian is singular to rounding: found pivot {pivot:e}, expected more \
                 than {least:e}"
            ),
            Self::Diverged { loss, limit } => {
                write!(f, "the outer loss is {loss:e}, above the limit {limit:e}: the run diverges")
            }
            Self::Invalid { what, found, expected } => {
                write!(f, "{what}: found {found}, expected {expected}")
            }
            Self::Spelling { why } => f.write_str(why),
            Self::Memory { limit, needed, advice: Some((schedule, bytes)) } => write!(
                f,
                "memory: {needed} bytes are needed, {limit} are allowed; {schedule} takes {bytes}"
            ),
            Self::Memory { limit, needed, advice: None } => {
                write!(f, "memory: {needed} bytes are needed at least, {limit} are allowed")
            }
            Self::Spill { what, why } => write!(f, "the spill file {what}: {why}"),
            Self::State { why } => write!(f, "not the state of this run: {why}"),
            Self::Saving { why } => write!(f, "the run cannot be saved: {why}"),
            Self::Iteration { iteration, cause } => {
                write!(f, "outer iteration {iteration}: {cause}")
            }
        }
    }
}

impl std::error::Error for Error {}
