//! `Ufom`: the first-order estimate, made unbiased by an exact gradient on the toss of a coin.
//!
//! ```text
//! G = g0 + (xi / q) (g - g0),    xi = 1 with probability q, else 0
//! ```
//!
//! with `g0` first-order and `g` exact for the same task and mini-batches (Likhosherstov et al. 2021). `E G = g`, and
//! `E |G|^2 = |g|^2 + (1/q - 1) |g - g0|^2`. One coin a task of the meta-batch, tossed before the forward pass, so that
//! states are stored only when they are needed.
//!
//! Cost a task: `r` inner gradients, and `r` Hessian-vector and mixed products with probability `q`. Memory: that of
//! [`Exact`](crate::Exact) and one gradient on a hit, of [`FirstOrder`](crate::FirstOrder) otherwise; the peak is the
//! larger one. No bias.
//!
//! Where neither the start nor the outer loss contains `x`, `g0` is zero: the estimate stays unbiased, but an exact
//! gradient is then never worse.

use hypertape_autodiff::Element;
use rand::RngExt;

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::estimator::{Estimator, exact, first_order};
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::rollout::At;
use crate::schedule::Schedule;

/// The probability that minimises `(C1 + q C2) (V^2 - D^2 + D^2/q)^p` over `(0, 1]`.
///
/// `d2` is `E|g - g0|^2`, `v2` is `E|g|^2`, `c1` what every call costs, `c2` what a hit adds. The exponent `p` says how
/// the number of iterations depends on the second moment: 2 for steps `k^-1/2`, 1 for steps tuned to it, 1/2 in the
/// synthetic experiments of Likhosherstov et al. (2021). The minimum is at `q = 1` iff
/// `d2 >= c2 v2 / (p (c1 + c2))`, otherwise at the root in (0, 1) of
/// `c2 (v2 - d2) q^2 + (1 - p) c2 d2 q - p c1 d2 = 0`.
///
/// ```
/// use hypertape_solver::optimal_probability;
/// let q = optimal_probability(53.212, 2229.3, 11.0, 10.0, 0.5);
/// assert!((q - 0.110).abs() < 5e-4);
/// assert_eq!(optimal_probability(2.0, 2.0, 11.0, 10.0, 1.0), 1.0);
/// ```
pub fn optimal_probability(d2: f64, v2: f64, c1: f64, c2: f64, p: f64) -> f64 {
    if d2 >= c2 * v2 / (p * (c1 + c2)) {
        return 1.0;
    }
    // a q^2 + b q - c = 0 with a, c > 0, in the form that does not cancel for b > 0.
    let (a, b, c) = (c2 * (v2 - d2), (1.0 - p) * c2 * d2, p * c1 * d2);
    let root = (b * b + 4.0 * a * c).sqrt();
    if b > 0.0 { 2.0 * c / (b + root) } else { (root - b) / (2.0 * a) }
}

/// The unbiased first-order estimate.
#[derive(Clone, Debug)]
pub struct Ufom {
    q: f64,
    schedule: Schedule,
    forced: Option<Vec<bool>>,
}

impl Ufom {
    /// With coins of probability `q`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `q` is in (0, 1].
    pub fn new(q: f64) -> Result<Self, Error> {
        if q > 0.0 && q <= 1.0 {
            Ok(Self { q, schedule: Schedule::default(), forced: None })
        } else {
            Err(Error::invalid("q", q, "a probability above 0 and at most 1"))
        }
    }

    /// With what `schedule` stores on a hit.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Replaces the coins by `coins[slot]` (for tests that enumerate the outcomes), or brings them back.
    pub fn force(&mut self, coins: Option<Vec<bool>>) {
        self.forced = coins;
    }

    /// The coins of the replicas, the same in every call.
    fn coins(&self, replicas: usize, draw: Draw, slot: usize) -> impl Iterator<Item = bool> {
        let forced = self.forced.as_ref().and_then(|coins| coins.get(slot).copied());
        let (q, mut stream) = (self.q, draw.at(Level::Coin, slot).stream());
        (0..replicas).map(move |_| forced.unwrap_or_else(|| stream.random_bool(q)))
    }
}

impl<T: Element> Estimator<T> for Ufom {
    fn name(&self) -> String {
        format!("ufom:q={}", self.q)
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(self.clone().with_schedule(schedule)))
    }

    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        let hit = exact::bytes(profile, self.schedule, steps, profile.value * profile.outer)?;
        Ok(first_order::bytes(profile, steps).max(hit))
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let replicas = oracle.replicas();
        let coins = || self.coins(replicas, at.draw, at.slot);
        if !coins().any(|hit| hit) {
            return first_order::evaluate(oracle, inner, at, gradient);
        }
        let mut cheap = oracle.take(at.x.len())?;
        let loss = exact::evaluate(oracle, inner, self.schedule, at, gradient, Some(&mut cheap))?;
        let weight = T::from_f64(self.q.recip());
        let width = (at.x.len() / replicas.max(1)).max(1);
        let copies = gradient.chunks_mut(width).zip(cheap.chunks(width));
        for ((g, g0), hit) in copies.zip(coins()) {
            for (g, &g0) in g.iter_mut().zip(g0) {
                *g = if hit { g0 + weight * (*g - g0) } else { g0 };
            }
        }
        oracle.give(cheap);
        Ok(loss)
    }
}
