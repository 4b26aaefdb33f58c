//! `Probability`: how often a randomised estimator computes the exact gradient.
//!
//! An adaptive `q` is determined before a call from earlier calls alone, and the coins of the call are tossed and
//! weighted with that same `q`. The estimate therefore stays unbiased given the past. Nothing is clipped; `q` has a
//! lower bound because a correction is multiplied by `1/q`.

use crate::spelling::{Range, Visit};
use crate::variance::optimal_probability;

/// How `q` is chosen, for [`Ufom`](crate::Ufom).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probability {
    /// A coin of this probability for each task.
    Fixed(f64),
    /// The [`optimal_probability`] with exponent `p` for `d2 = E|g - g_0|^2` and `v2 = E|g|^2`, where a first-order
    /// estimate costs `r + 1` gradients and a hit costs `r` further products.
    Best {
        /// Mean square of the error of the cheap estimate.
        d2: f64,
        /// Mean square of the gradient.
        v2: f64,
        /// Exponent: 0.5, 1 or 2.
        p: f64,
    },
    /// This number of tasks of each meta-batch, drawn without replacement. The variance of coins,
    /// `(1/q - 1) E|g - g_0|^2 / B`, is replaced by the same with the variance of `g - g_0` over the tasks, and every
    /// call costs the same.
    Subset(usize),
    /// The best `q` for learned means. Their weights are `1/q` for a hit and 0 otherwise, and shrink by `decay` per
    /// task:
    ///
    /// ```text
    /// D^2 = sum |g - g_0|^2 / sum 1,    V^2 = sum |g|^2 / sum 1,    q = max(floor, sqrt(c1 D^2 / (c2 (V^2 - D^2))))
    /// ```
    ///
    /// Before the first hit `q` is 1. This is exponent 1 of [`optimal_probability`], for time times second moment.
    /// Costs are counted in inner gradients.
    Adaptive {
        /// Lower bound of `q`.
        floor: f64,
        /// Factor of the weights from one task to the next.
        decay: f64,
    },
    /// The method of the released code of Likhosherstov et al. (2021), for comparison. Only hits have weights,
    /// `|g - g_0|^2` is replaced by `(1 - 1/q)^2 |g - g_0|^2` and its mean by a tenth, the exponent of
    /// [`optimal_probability`] is 2, and `q` is `floor` before the first hit. Tasks of a meta-batch share the `q`
    /// determined at its beginning.
    PaperCode {
        /// Lower bound of `q`.
        floor: f64,
        /// Factor of the weights from one hit to the next.
        decay: f64,
    },
}

const EXPONENT: Range = Range::new("0.5, 1 or 2", |p| [0.5, 1.0, 2.0].contains(&p));

/// Sums of the weights, of weighted `|g - g_0|^2`, and of weighted `|g|^2`.
pub(crate) type Sums = [f64; 3];

impl Probability {
    /// Visits the settings. There are more if the cheap estimate of [`Ufom`](crate::Ufom) costs nothing `beside` the
    /// loop.
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

    /// Returns the probability for a loop of `steps` steps, if it depends on nothing else.
    pub(crate) fn known(self, steps: usize) -> Option<f64> {
        let r = steps as f64;
        match self {
            Self::Fixed(q) => Some(q),
            Self::Best { d2, v2, p } => Some(optimal_probability(d2, v2, r + 1.0, r, p)),
            _ => None,
        }
    }

    /// Whether the probability is learned.
    pub(crate) fn adapts(self) -> bool {
        matches!(self, Self::Adaptive { .. } | Self::PaperCode { .. })
    }

    /// Returns a learned `q` for the next call, where a call costs `c1` and a hit costs `c2` in addition.
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

    /// Adds a task that was executed with `q`. A hit has `|g - g_0|^2` and `|g|^2`.
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
