//! `Coupling`: how the inner loop of an outer iteration continues that of the previous one.

use std::fmt;

use crate::inner::InnerLoop;
use crate::spelling::{Named, spelled};

/// Where inner loops start, and how they change while the outer variables move. Iterations are counted from 0.
///
/// Algorithms of the literature are combinations of a coupling, an estimator and an outer optimiser:
///
/// | algorithm | coupling | estimator | outer steps |
/// |---|---|---|---|
/// | AID-BiO (Ji, Yang and Liang 2021, algorithm 1) | [`Warm`] | warm [`Implicit`](crate::Implicit) | constant |
/// | ITD-BiO (the same) | [`Warm`] | [`Exact`](crate::Exact) | constant |
/// | stocBiO (the same, algorithm 2) | [`Warm`] | [`StochasticNeumann`](crate::StochasticNeumann), `StocBio` | constant |
///
/// An algorithm that moves `w` and `x` in turn by one step each is a [`SingleLoop`](crate::SingleLoop).
///
/// ```
/// use hypertape_solver::Coupling;
/// use hypertape_solver::{InnerLoop, Named};
///
/// /// Warm, with twice as many inner steps from iteration 10 on.
/// #[derive(Debug)]
/// struct Growing;
/// impl Named for Growing {
///     fn name(&self) -> String { "growing".into() }
/// }
/// impl Coupling for Growing {
///     fn inner(&self, inner: &InnerLoop, iteration: usize) -> InnerLoop {
///         inner.with_steps(if iteration < 10 { inner.steps() } else { 2 * inner.steps() })
///     }
/// }
///
/// let inner = InnerLoop::new(5, 0.3)?;
/// assert_eq!(Growing.inner(&inner, 10).steps(), 10);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// A saved run can be continued only with a coupling of the same name.
pub trait Coupling: Named + fmt::Debug + Send + Sync {
    /// Whether an inner loop starts where the last one of the same task ended, instead of at the problem's own start.
    fn warm(&self) -> bool {
        true
    }

    /// Returns the inner loop of an outer iteration.
    fn inner(&self, inner: &InnerLoop, _iteration: usize) -> InnerLoop {
        *inner
    }
}

/// Every inner loop starts at the problem's own start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cold;

/// An inner loop starts where the last one of the same task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm;

spelled! {
    Cold: "cold", "every inner loop starts where the problem says", "";
    Warm: "warm", "every inner loop starts where the last one of the same task ended", "";
}

impl Coupling for Cold {
    fn warm(&self) -> bool {
        false
    }
}

impl Coupling for Warm {}
