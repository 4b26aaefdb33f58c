//! Conditions that end a run before its last iteration, and the reason why a run ended.

use std::fmt;
use std::time::Duration;

/// Conditions that end a run early; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// The run ends, without a step, at a point where the norm of the hypergradient estimate is at most this number.
    pub gradient_norm: Option<f64>,
    /// The run ends with the iteration in which the total of inner gradients and Hessian-vector products reaches this
    /// number.
    pub oracle_calls: Option<u64>,
    /// The run ends once this much wall time has passed, without the time of observers. An unfinished iteration is not
    /// counted.
    pub time: Option<Duration>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// All iterations were executed.
    Iterations,
    /// The norm of the hypergradient fell to the limit.
    GradientNorm,
    /// The number of oracle calls reached the limit.
    OracleCalls,
    /// The time limit was reached.
    Time,
    /// A callback or observer ended the run.
    Callback,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iterations => "iterations",
            Self::GradientNorm => "gradient norm",
            Self::OracleCalls => "oracle calls",
            Self::Time => "time",
            Self::Callback => "callback",
        })
    }
}

impl Limits {
    /// Returns the limit that is reached, if any.
    pub(crate) fn reached(&self, norm: f64, calls: u64, elapsed: Duration) -> Option<End> {
        if self.gradient_norm.is_some_and(|limit| norm <= limit) {
            return Some(End::GradientNorm);
        }
        if self.oracle_calls.is_some_and(|limit| calls >= limit) {
            return Some(End::OracleCalls);
        }
        self.time.filter(|&limit| elapsed >= limit).map(|_| End::Time)
    }
}
