//! `Coupling`: how the inner loop of an outer iteration goes on from that of the one before.

use crate::inner::InnerLoop;

/// Where inner loops start, and how their steps shrink while the outer variables move. Iterations `k` count from 0.
///
/// Together with an estimator and an outer optimiser this makes the algorithms of the field:
///
/// | algorithm | coupling | estimator | outer steps |
/// |---|---|---|---|
/// | AID-BiO (Ji, Yang and Liang 2021, algorithm 1) | `Warm` | warm [`Implicit`](crate::Implicit) | constant |
/// | ITD-BiO (the same) | `Warm` | [`Exact`](crate::Exact) | constant |
/// | stocBiO (the same, algorithm 2) | `Warm` | [`StochasticNeumann`](crate::StochasticNeumann), `StocBio` | constant |
/// | BSA (Ghadimi and Wang 2018) | `Bsa` | the same, `Single` | `(k+1)^-0.5` |
/// | TTSA (Hong, Wai, Wang and Yang 2023) | `Ttsa`, 1 step | the same, `Single`, reusing | `(k+1)^-0.6` |
///
/// ```
/// use hypertape_solver::{Coupling, InnerLoop};
/// let inner = InnerLoop::new(5, 0.3)?;
/// let ninth = Coupling::Bsa.inner(&inner, 9);
/// assert_eq!((ninth.steps(), ninth.lr()), (5, 0.3 * 9.0_f64.powf(-0.5)));
/// assert_eq!(Coupling::Bsa.inner(&inner, 0).steps(), 0);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coupling {
    /// Every inner loop starts at the problem's own start.
    #[default]
    Cold,
    /// An inner loop starts where the last one of the same task ended.
    Warm,
    /// Warm, with steps `lr (k+1)^-0.4`.
    Ttsa,
    /// Warm, the outer step first: no inner step at `k = 0`, then those of iteration `k - 1`, of `lr k^-0.5`.
    Bsa,
}

impl Coupling {
    /// The inner loop of an outer iteration.
    #[must_use]
    pub fn inner(self, inner: &InnerLoop, iteration: usize) -> InnerLoop {
        let k = iteration as f64;
        match self {
            Self::Cold | Self::Warm => *inner,
            Self::Ttsa => inner.scaled((k + 1.0).powf(-0.4)),
            Self::Bsa if iteration == 0 => inner.without_steps(),
            Self::Bsa => inner.scaled(k.powf(-0.5)),
        }
    }
}
