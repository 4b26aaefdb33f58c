//! The checks of a problem by name, and what a failure of each means.

use std::fmt;

use crate::check::difference::beyond;

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The gap is within the tolerance.
    Passed,
    /// The gap exceeds the tolerance.
    Failed,
    /// The check was not run, for this reason.
    Skipped(&'static str),
    /// A property of the problem, neither right nor wrong.
    Noted(&'static str),
}

/// One check of a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Name of the check.
    pub name: &'static str,
    /// Observed gap, NaN if nothing was observed.
    pub observed: f64,
    /// Largest gap allowed.
    pub allowed: f64,
    /// Result of the check.
    pub verdict: Verdict,
    /// What a failure means.
    pub meaning: &'static str,
}

impl Check {
    /// Whether the check failed.
    pub fn failed(&self) -> bool {
        self.verdict == Verdict::Failed
    }
}

/// Prints the name, the observed and the allowed gap, and, for a failure, its meaning.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, observed, allowed, verdict, meaning } = self;
        match verdict {
            Verdict::Passed => write!(f, "{name}: {observed:.3e}, at most {allowed:.3e}"),
            Verdict::Failed => {
                write!(f, "{name}: found {observed:.3e}, expected at most {allowed:.3e}: {meaning}")
            }
            Verdict::Skipped(why) => write!(f, "{name}: skipped, {why}"),
            Verdict::Noted(what) => write!(f, "{name}: {what}"),
        }
    }
}

/// A check before it is run: its name and the meaning of a failure.
#[derive(Clone, Copy)]
pub(crate) struct Kind(pub(crate) &'static str, pub(crate) &'static str);

pub(super) const REPLAY: Kind = Kind(
    "randomness replayed",
    "the same draw gave other values: randomness is hidden state, take it from `Draw`",
);
pub(super) const BLOCKS: Kind = Kind(
    "sum over blocks of samples",
    "a loss is not the sum of its blocks: it must use `rows`, and add terms without samples where `rows.carries_rest()`",
);
pub(super) const USED: Kind = Kind(
    "outer variables used",
    "a property: the number of outer arrays whose hypergradient is exactly zero, as of those that are used nowhere",
);
pub(super) const STOCHASTIC: Kind =
    Kind("randomness used", "a property: relative change between two draws");
pub(super) const INNER_W: Kind = Kind(
    "inner gradient in w",
    "dg/dw is not the slope of g: a detached term, a rule of an own operation, or a kink nearby",
);
pub(super) const OUTER_W: Kind = Kind(
    "outer gradient in w",
    "df/dw is not the slope of f: a detached term, a rule of an own operation, or a kink nearby",
);
pub(super) const OUTER_X: Kind = Kind(
    "outer gradient in x",
    "df/dx is not the slope of f: a detached term, a rule of an own operation, or a kink nearby",
);
pub(super) const HESSIAN: Kind = Kind(
    "Hessian product",
    "d2g/dw2 v is not the change of dg/dw: a detached factor, or a kink nearby",
);
pub(super) const MIXED: Kind = Kind(
    "mixed product",
    "(d2g/dw dx)^T v is not the change of dg/dw with x: x detached in g, or a kink nearby",
);
pub(super) const SYMMETRY: Kind = Kind(
    "Hessian symmetry",
    "<u, Hv> is not <v, Hu>: dg/dw is no gradient, as with an own operator whose transpose is wrong",
);
pub(super) const START: Kind = Kind(
    "start",
    "the pull-back of w_0 is not its slope in x: x detached in the start, or a kink nearby",
);
pub(super) const FULL_TAPE: Kind = Kind(
    "exact = full tape",
    "two exact estimators differ: an inner loop that amplifies rounding, a rule that is not entrywise, or a defect of this library",
);
pub(super) const RUN: Kind = Kind(
    "exact = differences",
    "the hypergradient is not the slope of the run: see the checks above; if they pass, a kink on the way, \
     or a run that diverges or is too sensitive to difference (fewer steps or a smaller lr help)",
);

/// The checks that need differences at a point.
pub(super) const DIFFERENCED: [Kind; 6] = [INNER_W, OUTER_W, OUTER_X, HESSIAN, MIXED, START];

impl Kind {
    pub(crate) fn skipped(self, why: &'static str) -> Check {
        self.with(f64::NAN, f64::NAN, Verdict::Skipped(why))
    }

    pub(super) fn noted(self, observed: f64, what: &'static str) -> Check {
        self.with(observed, f64::NAN, Verdict::Noted(what))
    }

    pub(crate) fn judged(self, observed: f64, allowed: f64) -> Check {
        let failed = beyond(observed, allowed);
        self.with(observed, allowed, if failed { Verdict::Failed } else { Verdict::Passed })
    }

    fn with(self, observed: f64, allowed: f64, verdict: Verdict) -> Check {
        let Self(name, meaning) = self;
        Check { name, observed, allowed, verdict, meaning }
    }
}
