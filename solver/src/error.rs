//! Errors, with the numbers that explain them.

use std::fmt;
use std::path::PathBuf;

use hypertape_autodiff::Fault;

use crate::text::{bytes, counted, plain, short};

/// A failed hypergradient or run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A function of the problem raised a fault: wrong shapes, an index out of range, the memory limit.
    Function {
        /// The function, for example `inner loss`, `outer loss` or `init`.
        function: &'static str,
        /// The fault.
        fault: Fault,
    },
    /// A quantity was not finite.
    NonFinite {
        /// The quantity.
        quantity: &'static str,
        /// The inner step at which it occurred, counted from 0; `None` outside the inner loop.
        step: Option<usize>,
        /// Step size of the inner loop.
        lr: f64,
    },
    /// A first-order gradient was requested, but it is identically zero.
    FirstOrderVanishes,
    /// An implicit gradient was requested, but it is identically zero.
    ImplicitVanishes,
    /// A solver for positive definite systems encountered curvature that is not positive.
    Indefinite {
        /// The iteration, counted from 0.
        iteration: usize,
        /// `d'H d / d'd`, or the same quantity of the preconditioner.
        curvature: f64,
    },
    /// Gaussian elimination encountered a pivot that may be zero.
    Singular {
        /// The largest pivot in its column, in absolute value.
        pivot: f64,
        /// The rounding error of the matrix, which the pivot must exceed.
        least: f64,
    },
    /// An adjoint left the range of floating-point numbers, and the result depends on it.
    Overflow {
        /// Name of the inner variable.
        entry: String,
        /// The inner rule with its settings.
        rule: String,
    },
    /// The residual of a linear system is larger than that of `v = 0`.
    Unsolved {
        /// `|b - A v| / |b|`.
        residual: f64,
        /// Number of iterations of the solver.
        iterations: usize,
    },
    /// The outer loss exceeds its limit.
    Diverged {
        /// The outer loss.
        loss: f64,
        /// The largest loss allowed.
        limit: f64,
    },
    /// A setting or an array passed by the caller is not valid.
    Invalid {
        /// What was wrong.
        what: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A name or a setting of a choice is unknown or malformed.
    Spelling {
        /// What is wrong, and what was expected.
        why: String,
    },
    /// Incorrect use that is described by a sentence.
    Told {
        /// The sentence.
        why: String,
    },
    /// An estimate would use more bytes than allowed.
    Memory {
        /// The number of bytes allowed.
        limit: u64,
        /// The number of bytes needed.
        needed: u64,
        /// The fastest schedule that fits and stores states in memory only, with its bytes.
        advice: Option<(String, u64)>,
    },
    /// The file of states on disk failed.
    Spill {
        /// The folder of the file.
        folder: PathBuf,
        /// What happened to the file.
        what: &'static str,
        /// The reason.
        why: String,
    },
    /// The state to resume from is not a state of this run.
    State {
        /// The reason.
        why: String,
    },
    /// A run could not be saved.
    Saving {
        /// The reason.
        why: String,
    },
    /// The call was stopped on request, see [`Oracle::set_stop`](crate::Oracle::set_stop).
    Stopped,
    /// An outer iteration failed.
    Iteration {
        /// The iteration, counted from 0.
        iteration: usize,
        /// The error of the iteration.
        cause: Box<Error>,
    },
}

impl Error {
    /// Creates an [`Error::Invalid`] saying that `found` was passed where something else was expected.
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

    /// Creates an [`Error::Told`] from a sentence, for incorrect use that "found, expected" does not describe well.
    ///
    /// ```
    /// use hypertape_solver::Error;
    /// assert_eq!(Error::told("cannot read x.csv: no such file").to_string(), "cannot read x.csv: no such file");
    /// ```
    pub fn told(why: impl Into<String>) -> Self {
        Self::Told { why: why.into() }
    }

    /// Returns an error unless a vector has the expected number of values.
    pub(crate) fn expect_length(what: &str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found {
            return Ok(());
        }
        Err(Self::invalid(what, format!("{found} values"), format!("{expected}")))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function { function, fault } => write!(f, "the problem's {function}: {fault}"),
            Self::NonFinite { quantity, step, lr } => {
                not_finite(f, quantity, *step, *lr)?;
                f.write_str(match step {
                    Some(0) => {
                        ": no step was taken yet, so the cause is the loss, its data, the outer point or the inner start"
                    }
                    _ => ": the inner loop diverges; take a smaller lr, or lr auto",
                })
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
                "conjugate gradients met curvature {:e} at iteration {iteration}: the \
                 inner Hessian is not positive definite there; take minres, or more inner steps",
                short(*curvature)
            ),
            Self::Singular { pivot, least } => write!(
                f,
                "the inner Hessian is singular to rounding: found pivot {:e}, expected more \
                 than {:e}",
                short(*pivot),
                short(*least)
            ),
            Self::Overflow { entry, rule } => write!(
                f,
                "the adjoint of {entry} overflows under {rule}: its gradient almost vanishes, where a step is \
                 lr / eps times as steep as one of gradient descent; raise eps, or take fewer steps"
            ),
            Self::Unsolved { residual, iterations } => write!(
                f,
                "the linear system is solved worse than by v = 0: relative residual {residual:.2e} after {}; \
                 its matrix is singular or nearly, or a step of the solver too long",
                counted(*iterations as u64, "iteration")
            ),
            Self::Diverged { loss, limit } => {
                write!(
                    f,
                    "the outer loss is {:e}, above the limit {:e}: the run diverges; take a smaller outer step size",
                    short(*loss),
                    short(*limit)
                )
            }
            Self::Invalid { what, found, expected } => {
                write!(f, "{what}: found {found}, expected {expected}")
            }
            Self::Spelling { why } | Self::Told { why } => f.write_str(why),
            Self::Memory { limit, needed, advice } => {
                let (exact, limit) =
                    (format!("{} ({needed} bytes)", bytes(*needed)), bytes(*limit));
                match advice {
                    Some((schedule, least)) => write!(
                        f,
                        "needs {exact} of memory, {limit} is allowed; {schedule} takes {}",
                        bytes(*least)
                    ),
                    None => write!(f, "needs at least {exact} of memory, {limit} is allowed"),
                }
            }
            Self::Spill { folder, what, why } => {
                write!(f, "the spill file in {} {what}: {why}", folder.display())
            }
            Self::State { why } => write!(f, "not the state of this run: {why}"),
            Self::Saving { why } => write!(f, "the run cannot be saved: {why}"),
            Self::Stopped => f.write_str("stopped before its end"),
            Self::Iteration { iteration, cause } => {
                write!(f, "outer iteration {iteration}: ")?;
                match **cause {
                    // The same inner loop succeeded before the outer variables moved.
                    Self::NonFinite { quantity, step, lr } if *iteration > 0 => {
                        not_finite(f, quantity, step, lr)?;
                        f.write_str(
                            ": the run diverges; take a smaller outer step size, or a smaller lr",
                        )
                    }
                    _ => write!(f, "{cause}"),
                }
            }
        }
    }
}

fn not_finite(
    f: &mut fmt::Formatter<'_>,
    quantity: &str,
    step: Option<usize>,
    lr: f64,
) -> fmt::Result {
    let lr = plain(short(lr));
    match step {
        Some(step) => write!(f, "{quantity} is not finite at inner step {step} (lr {lr})"),
        None => write!(f, "{quantity} is not finite after the inner loop (lr {lr})"),
    }
}

impl std::error::Error for Error {}
