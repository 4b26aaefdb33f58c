//! `Coupling`: how the inner loop of an outer iteration goes on from that of the one before.

use std::fmt;

use crate::inner::InnerLoop;
use crate::spelling::{Named, without_settings};

/// Where inner loops start, and how their steps shrink while the outer variables move. Iterations `k` count from 0.
///
/// Together with an estimator and an outer optimiser this makes the algorithms of the field:
///
/// | algorithm | coupling | estimator | outer steps |
/// |---|---|---|---|
/// | AID-BiO (Ji, Yang and Liang 2021, algorithm 1) | [`Warm`] | warm [`Implicit`](crate::Implicit) | constant |
/// | ITD-BiO (the same) | [`Warm`] | [`Exact`](crate::Exact) | constant |
/// | stocBiO (the same, algorithm 2) | [`Warm`] | [`StochasticNeumann`](crate::StochasticNeumann), `StocBio` | constant |
/// | BSA (Ghadimi and Wang 2018) | [`Bsa`] | the same, `Single` | `(k+1)^-0.5` |
/// | TTSA (Hong, Wai, Wang and Yang 2023) | [`Ttsa`], 1 step | the same, `Single`, reusing | `(k+1)^-0.6` |
///
/// ```
/// use hypertape_solver::coupling::{Bsa, Coupling};
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
/// let ninth = Bsa.inner(&inner, 9);
/// assert_eq!((ninth.steps(), ninth.lr()), (5, 0.3 * 9.0_f64.powf(-0.5)));
/// assert_eq!(Bsa.inner(&inner, 0).steps(), 0);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// Runs go on only under a coupling of the same name.
pub trait Coupling: Named + fmt::Debug + Send + Sync {
    /// Whether an inner loop starts where the last one of the same task ended, and not at the problem's own start.
    fn warm(&self) -> bool {
        true
    }

    /// What the algorithm that it belongs to takes besides, for inner steps of `lr`, where nothing else is asked for: the text of
    /// an estimator, and that of an outer optimiser without its step size.
    ///
    /// ```
    /// use hypertape_solver::coupling::{Bsa, Coupling, Warm};
    /// assert_eq!(Bsa.brings(0.1), Some(["single-draw:terms=10,lr=0.1".into(), "sgd:power=0.5".into()]));
    /// assert_eq!(Warm.brings(0.1), None);
    /// ```
    fn brings(&self, _lr: f64) -> Option<[String; 2]> {
        None
    }

    /// The inner loop of an outer iteration.
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

/// Warm, with steps `lr (k+1)^-0.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttsa;

/// Warm, the outer step first: no inner step at `k = 0`, then those of iteration `k - 1`, of `lr k^-0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bsa;

without_settings! {
    Cold: "cold", "from the start of the problem", "";
    Warm: "warm", "from the last end of the same task", "";
    Ttsa: "ttsa",
        "warm, steps lr / (k+1)^0.4; brings single-draw:terms=10,reuse=1 and sgd with k^0.6", "";
    Bsa: "bsa",
        "warm, steps lr / k^0.5 after the outer step; brings single-draw:terms=10 and sgd with k^0.5", "";
}

impl Coupling for Cold {
    fn warm(&self) -> bool {
        false
    }
}

impl Coupling for Warm {}

impl Coupling for Ttsa {
    fn brings(&self, lr: f64) -> Option<[String; 2]> {
        Some([format!("single-draw:terms=10,reuse=1,lr={lr:?}"), "sgd:power=0.6".to_owned()])
    }

    fn inner(&self, inner: &InnerLoop, iteration: usize) -> InnerLoop {
        inner.scaled((iteration as f64 + 1.0).powf(-0.4))
    }
}

impl Coupling for Bsa {
    fn brings(&self, lr: f64) -> Option<[String; 2]> {
        Some([format!("single-draw:terms=10,lr={lr:?}"), "sgd:power=0.5".to_owned()])
    }

    fn inner(&self, inner: &InnerLoop, iteration: usize) -> InnerLoop {
        match iteration {
            0 => inner.with_steps(0),
            k => inner.scaled((k as f64).powf(-0.5)),
        }
    }
}
