//! `StochasticNeumann`: implicit estimates by a Neumann series with random factors, in three variants.
//!
//! ```text
//! v = lr sum_k c_k (I - lr H_k) ... (I - lr H_1) df/dw,    x_bar = df/dx - B^T v    all at w_r
//! ```
//!
//! Every factor and `B` use a separate mini-batch: that of inner step `r` for `B`, and those of `r + 1, r + 2, ...` for
//! the factors. The mean of a product is therefore the product of the means, and
//! `E v = lr sum_k E c_k (I - lr H)^k df/dw`. One mini-batch for all factors would be biased.
//!
//! - `stocBiO` (Ji, Yang and Liang 2021, algorithm 2): `c_k = 1` for `k < terms`. Factor `j` averages
//!   `batches decay^(j-1)` mini-batches, at least one. The first factor occurs in all partial products, so it gets the
//!   most. The paper has `decay = 1 - lr mu` and `batches = B Q`. The bias is at most `(1 - lr mu)^terms |df/dw| / mu`.
//! - single draw (Ghadimi and Wang 2018, algorithm 3): `c_k = terms` for one `k` that is uniform below `terms`, else 0.
//!   The mean is the same; there are `(terms - 1)/2` products on average, and the variance in one dimension is
//!   `terms sum rho^2k - (sum rho^k)^2`, `rho = 1 - lr H`.
//! - roulette: `c_k = s^-k` for `k <= N`, where `P(N >= k) = s^k`. There is no bias with respect to `H^-1 df/dw`, and
//!   `s/(1 - s)` products on average. The variance is finite only if `E|(I - lr H_j) u|^2 < s |u|^2`, which is
//!   enforced.
//!
//! For rules with other fixed points than `dg/dw = 0`, a factor is the pull-back of an inner step on a separate
//! mini-batch, `lr` is 1 by default, and `B` is the pull-back of a step to `x`, as in [`Implicit`](crate::Implicit).
//! Each factor then takes a further inner gradient for each of its mini-batches.
//!
//! Cost: `r + 1` inner gradients, one outer gradient, the products, and one sweep that computes the mixed product.
//! Memory: a state, the larger of `5 p` and `3 p + d` values, and the arenas of one sweep.

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::draw::Level;
use crate::error::Error;
use crate::estimator::{Estimator, implicit};
use crate::oracle::Oracle;
use crate::params::norm;
use crate::rollout::Task;
use crate::spelling::{About, Range, Spelled, Visit, spelled};

/// Largest ratio between the mini-batches that a factor averages and those that exist.
const MOST: usize = 1024;

spelled! {
    /// Which terms of the series are summed, and with which weights.
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[non_exhaustive]
    pub enum Terms {
        /// The first `terms` terms.
        StocBio: "stocbio",
            "implicit, by a Neumann series with fresh mini-batches in every factor",
            "r + 1 gradients, one HVP per mini-batch" {
            /// Number of terms, one more than the number of factors.
            terms: usize = 20, Range::ONE_OR_MORE, TERMS;
            /// Number of mini-batches of the first factor.
            batches: f64 = 1.0, Range::POSITIVE, "number of mini-batches in the first factor";
            /// Ratio of the numbers of mini-batches of successive factors; 1 for the same number in each.
            decay: f64 = 1.0, Range::UP_TO_ONE,
                "ratio of the number of mini-batches in a factor to that in the one before";
        }
        /// One of the first `terms` terms.
        Single: "single-draw",
            "implicit, by one random term of the series of stocbio, with the same mean",
            "r + 1 gradients, (terms + 1)/2 HVPs on average" {
            /// Number of terms to choose from.
            terms: usize = 20, Range::ONE_OR_MORE, TERMS;
        }
        /// A random number of terms.
        Roulette: "roulette-neumann",
            "implicit, by the Neumann series ended at random; unbiased for the system at w_r",
            "r + 1 gradients, 1/(1 - survival) HVPs on average" {
            /// Probability of each further factor.
            survival: f64 = 0.9,
                Range::new("a probability above 0 and below 1", Range::BELOW_ONE.holds),
                "probability of each further factor";
            /// Strong convexity of the inner loss. Without it, an infinite variance is detected only when a factor
            /// shows it.
            mu: Option<f64> = None, Range::POSITIVE,
                "strong convexity of the inner loss; if given, an infinite variance is refused at once";
            /// `sigma` such that `E|(H_j - H) u|^2 <= sigma^2 |u|^2`; 0 if all mini-batches have the same Hessian.
            noise (quiet): f64 = 0.0, Range::NOT_NEGATIVE,
                "norm of the deviation of mini-batch Hessians from their mean";
        }
    }
}

const TERMS: &str = "number of terms of the series";

/// The estimate by a Neumann series with random factors.
#[derive(Clone, Debug)]
pub struct StochasticNeumann {
    terms: Terms,
    lr: Option<f64>,
    forced: Option<usize>,
}

impl StochasticNeumann {
    /// Creates the estimator with factors `I - lr H_j`. If `lr` is `None`, that of the inner loop is used.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if a setting is out of range.
    pub fn new(terms: Terms, lr: Option<f64>) -> Result<Self, Error> {
        Self { terms, lr, forced: None }.checked()
    }

    /// The three variants with their default settings.
    pub(crate) fn listed() -> impl Iterator<Item = Self> {
        Terms::listed().into_iter().map(|terms| Self { terms, lr: None, forced: None })
    }

    /// Replaces the random number of factors (for tests that enumerate the outcomes); `None` restores it.
    pub fn force(&mut self, factors: Option<usize>) {
        self.forced = factors;
    }

    /// Returns the number of factors. In a rehearsal it is at most one, which uses as much memory as many.
    fn factors(&self, at: Task<impl Element>, rehearsal: bool) -> usize {
        let mut coin = at.draw.at(Level::Coin, at.slot).stream();
        let drawn = match self.terms {
            Terms::StocBio { terms, .. } => terms - 1,
            Terms::Single { terms } if rehearsal => terms - 1,
            Terms::Single { terms } => coin.random_range(0..terms),
            Terms::Roulette { .. } if rehearsal => 1,
            Terms::Roulette { survival, .. } => {
                std::iter::repeat_with(|| coin.random_bool(survival)).take_while(|&on| on).count()
            }
        };
        self.forced.unwrap_or(if rehearsal { drawn.min(1) } else { drawn })
    }

    /// Returns the weight of the term with `k` of `factors` factors.
    fn weight(&self, k: usize, factors: usize) -> f64 {
        match self.terms {
            Terms::StocBio { .. } => 1.0,
            Terms::Single { terms } if k == factors => terms as f64,
            Terms::Single { .. } => 0.0,
            Terms::Roulette { survival, .. } => survival.powf(-(k as f64)),
        }
    }

    /// Returns the number of mini-batches of factor `j`, counted from 0.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1")]
    fn batches(&self, j: usize) -> usize {
        match self.terms {
            Terms::StocBio { batches, decay, .. } => {
                (batches * decay.powf(j as f64)).round().max(1.0) as usize
            }
            _ => 1,
        }
    }

    /// Returns an error if a contraction `E|I - lr H_j|^2`, observed or known, makes the variance infinite.
    fn enforce(&self, contraction: f64) -> Result<(), Error> {
        let Terms::Roulette { survival, .. } = self.terms else { return Ok(()) };
        if contraction < survival {
            return Ok(());
        }
        let expected = format!(
            "more than the mean square of I - lr H_j, {contraction:.6} or more: the variance is infinite"
        );
        Err(Error::invalid("survival", survival, expected))
    }
}

impl Spelled for StochasticNeumann {
    fn about(&self) -> About {
        self.terms.about()
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let terms = self.terms.spell(settings)?;
        let help = "step size of the series; that of the inner loop if not given";
        let lr = settings.get("lr", self.lr, Range::POSITIVE, help);
        Ok(Self { terms, lr, ..self.clone() })
    }
}

impl<T: Element> Estimator<T> for StochasticNeumann {
    fn chance(&self) -> bool {
        true
    }

    fn remembers(&self) -> bool {
        true
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        // Step size of a factor `I - lr A`, and the same in units of the inner Hessian.
        let (lr, size) = if oracle.stationary() {
            let lr = self.lr.unwrap_or_else(|| at.inner.lr());
            (lr, lr)
        } else {
            let lr = self.lr.unwrap_or(1.0);
            (lr, lr * at.inner.lr())
        };
        // Whether the squared contraction of a single vector is a bound for all factors.
        let mut telling = false;
        if let Terms::Roulette { mu, noise, .. } = self.terms {
            telling = noise == 0.0 && !oracle.rehearses();
            mu.map_or(Ok(()), |mu| {
                self.enforce((1.0 - size * mu).powi(2) + (size * noise).powi(2))
            })?;
        }
        let most = MOST.saturating_mul(oracle.mini_batches(Level::Inner).max(1));
        if self.batches(0) > most {
            let expected = format!("at most {most}, {MOST} times those that there are");
            return Err(Error::invalid("batches of stocbio", self.batches(0), expected));
        }
        let factors = self.factors(at, oracle.rehearses());
        implicit::hypergradient(oracle, (at, None), gradient, |equation, b, v| {
            let p = v.len();
            let mut take = || equation.oracle.take(p);
            let (mut y, mut sum, mut hy) = (take()?, take()?, take()?);
            y.copy_from_slice(b);
            v.fill(T::zero());
            let mut step = at.inner.steps();
            for k in 0..=factors {
                axpy(v, T::from_f64(lr * self.weight(k, factors)), &y);
                if k == factors {
                    break;
                }
                sum.fill(T::zero());
                let batches = self.batches(k);
                for _ in equation.oracle.each(0..batches) {
                    step = step.wrapping_add(1);
                    equation.apply(step, &y, &mut hy, None)?;
                    axpy(&mut sum, T::one(), &hy);
                }
                let before = norm(&y);
                axpy(&mut y, T::from_f64(-lr / batches as f64), &sum);
                // Vectors dominated by rounding are no evidence.
                if telling && before > T::epsilon() * norm(b) {
                    self.enforce((norm(&y) / before).as_f64().powi(2))?;
                }
            }
            equation.oracle.give_all([hy, sum, y]);
            Ok((factors, None))
        })
    }
}
