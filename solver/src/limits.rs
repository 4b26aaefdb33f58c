//! When a run ends before its last iteration, and why it ended.

use std::fmt;
use std::time::Duration;

/// What ends a run early; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// A hypergradient estimate of this norm or less ends the run at the point where it was made, without the step.
    pub gradient_norm: Option<f64>,
    /// The run ends with the iteration at which so many inner gradients and Hessian-vector products are spent.
    pub oracle_calls: Option<u64>,
    /// The run ends once this much wall time has passed, observers excluded; an iteration that is under way is not counted.
    pub time: Option<Duration>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum End {
    /// All iterations were done.
    Iterations,
    /// The norm of the hypergradient fell to the limit.
    GradientNorm,
    /// The oracle calls were spent.
    OracleCalls,
    /// The time was over.
    Time,
    /// A callback or observer broke off.
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
    /// Which of them is reached.
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
