//! `Probability`: how often a randomised estimate takes the exact gradient.
//!
//! An adaptive `q` is fixed before a call, from earlier calls alone, and its coins are tossed and weighted with that same `q`: the
//! estimate stays unbiased given the past. Nothing is clipped; `q` has a floor, since a correction is multiplied by `1/q`.

use crate::spelling::{Range, Visit};
use crate::variance::optimal_probability;

/// How `q` is chosen, for [`Ufom`](crate::Ufom).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probability {
    /// A coin of this probability for each task.
    Fixed(f64),
    /// The [`optimal_probability`] with exponent `p` for `d2 = E|g - g_0|^2` and `v2 = E|g|^2`, where a first-order estimate costs
    /// `r + 1` gradients and a hit `r` products more.
    Best {
        /// Mean square of what the cheap estimate misses.
        d2: f64,
        /// Mean square of the gradient.
        v2: f64,
        /// Exponent: 0.5, 1 or 2.
        p: f64,
    },
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

const EXPONENT: Range = Range::new("0.5, 1 or 2", |p| [0.5, 1.0, 2.0].contains(&p));

/// Sum of the weights, of `|g - g_0|^2` and of `|g|^2` by these weights.
pub(crate) type Sums = [f64; 3];

impl Probability {
    /// Its settings; those of [`Ufom`](crate::Ufom) with a cheap estimate that costs nothing `beside` the loop are more.
    pub(crate) fn spell(self, settings: &mut Visit, beside: bool) -> Self {
        let (mut q, mut subset, mut moments, mut p) = (None, None, [None; 2], 1.0);
        let (mut floor, mut decay) = (0.05, 0.99);
        match self {
            Self::Fixed(fixed) => q = Some(fixed),
            Self::Subset(tasks) => subset = Some(tasks),
            Self::Best { d2, v2, p: power } => (moments, p) = ([Some(d2), Some(v2)], power),
            Self::Adaptive { floor: least, decay: by }
            | Self::PaperCode { floor: least, decay: by } => {
                (floor, decay) = (least, by);
            }
        }
        let q = settings.get(
            "q",
            q,
            Range::PROBABILITY,
            "probability of taking the exact gradient of a task",
        );
        let many = "tasks per meta-batch that take the exact gradient, instead of a coin for each";
        let subset = settings.get("subset", subset, Range::ONE_OR_MORE, many);
        let mut paper = matches!(self, Self::PaperCode { .. });
        if !beside {
            let help =
                "mean of |g - g_0|^2 for the cheap estimate g_0; with v2 it determines the best q";
            moments[0] = settings.get("d2", moments[0], Range::POSITIVE, help);
            moments[1] = settings.get("v2", moments[1], Range::POSITIVE, "mean of |g|^2");
            let help = "with d2 and v2: the best q minimises time x (second moment)^p";
            p = settings.get_if(p != 1.0, "p", p, EXPONENT, help);
            let help = "learn q as the released code of Likhosherstov et al. (2021) does";
            paper = settings.get("paper-code", paper, Range::SWITCH, help);
        }
        let adaptive = matches!(self, Self::Adaptive { .. });
        let help = "learn the best q from earlier gradients";
        let adaptive = settings.get("adaptive", adaptive, Range::SWITCH, help);
        let learns = self.adapts();
        let help = "lower bound of a learned q";
        let floor = settings.get_if(learns, "floor", floor, Range::PROBABILITY, help);
        let help = "decay of the learned means from task to task";
        let decay = settings.get_if(learns, "decay", decay, Range::BELOW_ONE, help);
        let best = moments.iter().any(Option::is_some);
        let expected = "one of q, subset, adaptive, paper-code, or d2 with v2";
        let chosen = [settings.given("q"), subset.is_some(), adaptive, paper, best];
        settings.at_most_one(&chosen, expected);
        settings.at_most_one(&[best, moments.contains(&None)], expected);
        match (moments, subset, q) {
            ([Some(d2), Some(v2)], ..) => Self::Best { d2, v2, p },
            (_, Some(tasks), _) => Self::Subset(tasks),
            _ if adaptive => Self::Adaptive { floor, decay },
            _ if paper => Self::PaperCode { floor, decay },
            (.., q) => q.map_or(self, Self::Fixed),
        }
    }

    /// The probability that a loop of `steps` steps decides alone, if there is one.
    pub(crate) fn known(self, steps: usize) -> Option<f64> {
        let r = steps as f64;
        match self {
            Self::Fixed(q) => Some(q),
            Self::Best { d2, v2, p } => Some(optimal_probability(d2, v2, r + 1.0, r, p)),
            _ => None,
        }
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
