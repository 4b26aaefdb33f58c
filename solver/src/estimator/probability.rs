//! `Probability`: how often a randomised estimate takes the exact gradient.
//!
//! An adaptive `q` is fixed before a call, from earlier calls alone, and its coins are tossed and weighted with that same `q`: the
//! estimate stays unbiased given the past. Nothing is clipped; `q` has a floor, since a correction is multiplied by `1/q`.

use crate::error::Error;
use crate::variance::optimal_probability;

/// How `q` is chosen, for [`Ufom`](crate::Ufom).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probability {
    /// A coin of this probability for each task.
    Fixed(f64),
    /// So many tasks of each meta-batch, drawn without replacement: the coins' variance `(1/q - 1) E|g - g_0|^2 / B` becomes
    /// that with the variance of `g - g_0` over the tasks, at a cost that is the same in every call.
    Subset(usize),
    /// The best `q` for means that were learned: with weights that shrink by `decay` a task, `1/q` a hit and 0 otherwise,
    ///
    /// ```text
    /// D^2 = sum |g - g_0|^2 / sum 1,    V^2 = sum |g|^2 / sum 1,    q = max(floor, sqrt(c1 D^2 / (c2 (V^2 - D^2))))
    /// ```
    ///
    /// and 1 until there was a hit: the exponent 1 of [`optimal_probability`], for time times second moment. Costs are counted in
    /// inner gradients.
    Adaptive {
        /// The least `q`.
        floor: f64,
        /// From one task to the next.
        decay: f64,
    },
    /// What the released code of Likhosherstov et al. (2021) does, for comparison: weights of hits alone, `(1 - 1/q)^2 |g - g_0|^2` for
    /// `|g - g_0|^2` and a tenth of their mean, the exponent 2 of [`optimal_probability`], and `floor` until there was a hit. Tasks of a
    /// meta-batch share the `q` of its beginning.
    PaperCode {
        /// The least `q`.
        floor: f64,
        /// From one hit to the next.
        decay: f64,
    },
}

/// Sum of the weights, of `|g - g_0|^2` and of `|g|^2` by these weights.
pub(crate) type Sums = [f64; 3];

impl Probability {
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let within = |what: &str, value: f64| {
            if value > 0.0 && value <= 1.0 {
                return Ok(());
            }
            Err(Error::invalid(what, value, "a probability above 0 and at most 1"))
        };
        match self {
            Self::Fixed(q) => within("q", q)?,
            Self::Subset(0) => return Err(Error::invalid("subset", 0, "1 or more tasks")),
            Self::Subset(_) => {}
            Self::Adaptive { floor, decay } | Self::PaperCode { floor, decay } => {
                within("floor", floor)?;
                if !(decay > 0.0 && decay < 1.0) {
                    return Err(Error::invalid("decay", decay, "a number above 0 and below 1"));
                }
            }
        }
        Ok(self)
    }

    /// Whether it learns.
    pub(crate) fn adapts(self) -> bool {
        matches!(self, Self::Adaptive { .. } | Self::PaperCode { .. })
    }

    /// The `q` of the next call, if it learns, where a call costs `c1` and a hit `c2` more.
    pub(crate) fn next(self, [weight, d2, v2]: Sums, [c1, c2]: [f64; 2]) -> f64 {
        match self {
            Self::PaperCode { floor, .. } if weight == 0.0 => floor,
            Self::PaperCode { floor, .. } => {
                optimal_probability(d2 / 10.0, v2, c1, c2, 2.0).max(floor)
            }
            Self::Adaptive { floor, .. } if weight > 0.0 => {
                optimal_probability(d2, v2, c1, c2, 1.0).max(floor)
            }
            _ => 1.0,
        }
    }

    /// Adds a task that was seen with `q`: `|g - g_0|^2` and `|g|^2` of a hit.
    pub(crate) fn learn(self, sums: &mut Sums, q: f64, hit: Option<[f64; 2]>) {
        let (decay, weight, scale) = match self {
            Self::Adaptive { decay, .. } => (decay, q.recip(), 1.0),
            Self::PaperCode { decay, .. } if hit.is_some() => {
                (decay, 1.0, (1.0 - q.recip()).powi(2))
            }
            _ => return,
        };
        let [d2, v2] = hit.unwrap_or_default();
        let weight = if hit.is_some() { weight } else { 0.0 };
        for (sum, new) in sums.iter_mut().zip([1.0, scale * d2, v2]) {
            *sum = decay * *sum + weight * new;
        }
    }
}
