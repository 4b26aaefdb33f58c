//! `weigh`: the best unbiased estimator under a memory budget, determined from a pilot run.
//!
//! If steps are tuned to the noise, the number of iterations of a run is proportional to the second moment, so the
//! quantity to minimise is
//!
//! ```text
//! J = seconds E|G|^2,    E|G|^2 = E|g|^2 + E|G - g|^2
//! ```
//!
//! The moments come from a few exact gradients and corrections, the seconds from the parts of a [`Profile`], and the
//! best probabilities for both from [`Levels`]. Each estimator computes its exact part under the fastest [`plan`] that
//! fits, and roulette under the best one. A thinned sweep has as many slots as it seldom exceeds. More memory therefore
//! only adds choices.

use hypertape_autodiff::Element;

use crate::certify::{Estimates, predicted};
use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::estimator::exact::Exact;
use crate::estimator::forward_gradient::ForwardGradient;
use crate::estimator::jump::{Jump, LANCZOS};
use crate::estimator::roulette::Roulette;
use crate::estimator::thinned::Thinned;
use crate::estimator::ufom::{Cheap, Ufom};
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, TOGETHER};
use crate::plan::{Alternative, plan, seconds};
use crate::profile::Profile;
use crate::schedule::Schedule;
use crate::stats::{difference, mean, square};
use crate::variance::Levels;

/// Lower bound of the probability of a correction. A moment that is small in a few draws need not stay small, and is
/// multiplied by `1/q`.
const FLOOR: f64 = 0.05;

/// Ratio to which `J` must decrease for noise to be worth it; measured times have errors of some tenths.
const GAIN: f64 = 0.8;

/// An estimator and its predicted efficiency.
#[derive(Debug)]
#[non_exhaustive]
pub struct Weighed<T> {
    /// The estimator with its best settings and schedule.
    pub estimator: Box<dyn Estimator<T>>,
    /// Predicted bytes.
    pub bytes: u64,
    /// Predicted mean seconds of one estimate.
    pub seconds: f64,
    /// `E|G|^2`.
    pub second_moment: f64,
    /// Standard error of `second_moment` if the estimator's random choices were sampled, infinite for a single draw; 0
    /// if a formula was used.
    pub standard_error: f64,
}

impl<T> Weighed<T> {
    /// Time times second moment; smaller is better.
    pub fn product(&self) -> f64 {
        self.seconds * self.second_moment
    }
}

/// Returns the unbiased estimators that fit into `memory` bytes, the best first.
///
/// A random estimator precedes the exact gradient only if its `J` is smaller by a fifth. Considered are the exact
/// gradient, first-order and [`Jump`] made unbiased by a coin ([`Ufom`]), [`Roulette`], [`Thinned`], and
/// [`ForwardGradient`]. Estimators that cannot run at `x` are omitted, such as a thinned sweep that is not stable there
/// or a jump with Adam. The second list has those without a finite `E|G|^2` at `x`, for example because the loop
/// diverges. `profile` must contain times.
///
/// Cost: about 25 exact gradients per draw. If neither tasks nor mini-batches are sampled, one draw gives exact
/// moments, except for [`Thinned`] and [`ForwardGradient`], whose random choices are sampled.
///
/// # Errors
/// Returns [`Error::Memory`] if no exact gradient fits, [`Error::Invalid`] if there are no draws, and the errors of
/// [`Estimator::estimate`] for the exact gradients.
pub fn weigh<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    profile: &Profile,
    memory: u64,
    draws: &[Draw],
) -> Result<[Vec<Weighed<T>>; 2], Error> {
    if draws.is_empty() {
        return Err(Error::invalid("draws of the pilot", 0, "1 or more"));
    }
    let Alternative { schedule, bytes, seconds, .. } =
        plan(&Exact::default(), oracle, inner, profile, memory)?[0];
    let mut exact = Exact::new(schedule);
    let known = gradients(&mut exact, oracle, inner, x, draws)?;
    let second_moment = known.iter().map(|g| square(g)).sum::<f64>() / draws.len() as f64;
    let mut pilot = Pilot { oracle, inner, x, profile, memory, draws, known, base: second_moment };
    let jump = |anchors, degree| Cheap::Jump(Jump { anchors, degree });
    let cheap = [Cheap::FirstOrder, jump(1, 6), jump(3, 6), jump(10, 2), jump(10, 6)];
    let mut tried: Vec<_> = cheap.into_iter().map(|cheap| pilot.coin(cheap)).collect();
    tried.push(pilot.roulette());
    for q in [0.1, 0.3] {
        tried.extend([false, true].map(|anchored| pilot.thinned(q, anchored)));
    }
    tried.push(pilot.forward_gradient());
    let exact = Box::new(exact);
    let exact = Weighed { estimator: exact, bytes, seconds, second_moment, standard_error: 0.0 };
    let mut found: Vec<_> = tried.into_iter().flatten().flatten().collect();
    found.sort_by(|a, b| a.product().total_cmp(&b.product()).then(a.bytes.cmp(&b.bytes)));
    let gains = |other: &Weighed<T>| other.product() < GAIN * exact.product();
    found.insert(found.partition_point(gains), exact);
    let (finite, others) = found.into_iter().partition(|weighed| weighed.second_moment.is_finite());
    Ok([finite, others])
}

/// The data by which all estimators are compared.
struct Pilot<'a, 'p, T: Element> {
    oracle: &'a mut Oracle<'p, T>,
    inner: &'a InnerLoop,
    x: &'a [T],
    profile: &'a Profile,
    memory: u64,
    draws: &'a [Draw],
    /// Exact gradients of the draws.
    known: Vec<Vec<f64>>,
    /// Mean of their squared norms.
    base: f64,
}

impl<T: Element> Pilot<'_, '_, T> {
    /// Returns the schedules that fit, the fastest first.
    fn fitting(&mut self, estimator: &dyn Estimator<T>) -> Result<Vec<Alternative>, Error> {
        plan(estimator, self.oracle, self.inner, self.profile, self.memory)
    }

    /// Seconds of reverse mode through the last `depth` steps of a task.
    fn through(&self, depth: usize, schedule: Schedule) -> Result<f64, Error> {
        let before = (self.inner.steps() - depth) as f64 * self.profile.step_seconds;
        Ok(before + seconds(self.profile, &schedule.counts(depth)?, depth))
    }

    /// Returns the best probabilities of levels, with seconds and second moment.
    fn best(&self, tails: &[f64], costs: &[f64]) -> (Vec<f64>, f64, f64) {
        // Each task has its own coin, so the contribution of coins to the moment of a mean decreases with the number of
        // tasks.
        let tails: Vec<f64> = tails.iter().map(|tail| tail / self.oracle.batch() as f64).collect();
        let levels = Levels::new(self.base, &tails, costs);
        // Rounded, so that they can be typed.
        let survival: Vec<_> =
            levels.survival(FLOOR).iter().map(|p| (p * 1e4).round() / 1e4).collect();
        let seconds = self.oracle.longest() as f64 * levels.cost(&survival);
        let second_moment = levels.second_moment(&survival);
        (survival, seconds, second_moment)
    }

    /// A cheap estimate and a coin. Returns `None` if it is best to hit always, which is just the exact gradient.
    fn coin(&mut self, cheap: Cheap) -> Result<Option<Weighed<T>>, Error> {
        let made = |q, schedule| -> Result<Ufom, Error> {
            Ok(Ufom::new(q)?.with_cheap(cheap)?.with_schedule(schedule))
        };
        let Alternative { schedule, bytes, .. } =
            self.fitting(&made(0.5, Schedule::default())?)?[0];
        let mut half = made(0.5, schedule)?;
        let (first, exact) =
            (self.through(0, schedule)?, self.through(self.inner.steps(), schedule)?);
        let mut costs = [first, exact];
        if let Cheap::Jump(Jump { anchors, degree }) = cheap {
            // The jump learns its intervals from hits, and they widen for a while; its value in a long run is of
            // interest.
            gradients(&mut half, self.oracle, self.inner, self.x, self.draws)?;
            let Profile { hessian, products, .. } = self.profile;
            let steps = self.inner.steps();
            // A segment needs no more nodes than it has steps.
            let nodes = degree.min(steps.div_ceil(anchors).max(1));
            let each = (nodes - 1) as f64 * hessian.seconds + products.seconds;
            let segments = anchors.min(steps) as f64;
            let own = first + segments * each;
            costs = [own, own + exact + segments * LANCZOS as f64 * hessian.seconds];
        }
        // A coin of 1/2 contributes the squared error of the cheap estimate.
        let (batch, oracle) = (self.oracle.batch() as f64, &mut *self.oracle);
        let moment = predicted(&half, oracle, self.inner, self.x, self.draws, &self.known)?;
        let missed = (moment.unwrap_or(f64::NAN) - self.base) * batch;
        let (survival, seconds, second_moment) = self.best(&[missed], &costs);
        if survival == [1.0] {
            return Ok(None);
        }
        let estimator = Box::new(made(survival[0], schedule)?);
        Ok(Some(Weighed { estimator, bytes, seconds, second_moment, standard_error: 0.0 }))
    }

    /// Roulette with doubling depths. Returns `None` if all levels are always reached.
    fn roulette(&mut self) -> Result<Option<Weighed<T>>, Error> {
        let steps = self.inner.steps();
        let plain = Roulette::default().for_steps(steps);
        let draws = self.draws.iter().copied();
        let squares = plain.squares(self.oracle, self.inner, self.x, draws)?;
        let mut found = Vec::new();
        for Alternative { schedule, bytes, .. } in self.fitting(&plain)? {
            let costs = plain.depths(steps).into_iter().map(|depth| self.through(depth, schedule));
            let costs = costs.collect::<Result<Vec<_>, _>>()?;
            let (survival, seconds, second_moment) = self.best(&squares[1..], &costs);
            if survival.iter().all(|&p| p == 1.0) {
                continue;
            }
            let planned = plain.clone().with_survival(&survival)?.pooled().with_schedule(schedule);
            let (estimator, standard_error) = (Box::new(planned), 0.0);
            found.push(Weighed { estimator, bytes, seconds, second_moment, standard_error });
        }
        found.sort_by(|a, b| a.product().total_cmp(&b.product()));
        Ok(found.into_iter().next())
    }

    /// Reverse mode that visits steps with probability `q`.
    fn thinned(&mut self, q: f64, anchored: bool) -> Result<Option<Weighed<T>>, Error> {
        let steps = self.inner.steps();
        let r = steps as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to r")]
        let slots = (q * r + 2.0 * (q * (1.0 - q) * r).sqrt()).ceil().min(r) as usize;
        let plain = Thinned::new(q)?.with_slots(slots.max(1))?;
        let made = if anchored { plain.anchored() } else { plain };
        let reversed = (q + f64::from(u8::from(anchored))) * r * self.profile.reverse_seconds;
        let seconds = self.through(0, Schedule::default())? + reversed;
        self.sampled(Box::new(made), seconds)
    }

    /// As many directions as one forward run propagates.
    fn forward_gradient(&mut self) -> Result<Option<Weighed<T>>, Error> {
        let made = ForwardGradient::new(TOGETHER.min(self.x.len()).max(1))?;
        let Profile { init, push_init, push_gradient, outer_gradient, pull_init, .. } =
            self.profile;
        let once = [init, push_init, outer_gradient, pull_init].map(|piece| piece.seconds);
        let steps = self.inner.steps() as f64 * push_gradient.seconds;
        self.sampled(Box::new(made), once.iter().sum::<f64>() + steps)
    }

    /// Evaluates an estimator that takes `task` seconds per task, by sampling its random choices. `E|G - g|^2` is
    /// sampled more accurately than `E|G|^2`, and is positive.
    fn sampled(
        &mut self,
        mut estimator: Box<dyn Estimator<T>>,
        task: f64,
    ) -> Result<Option<Weighed<T>>, Error> {
        let bytes = estimator.predict(self.oracle, self.inner, self.x, self.draws[0])?;
        if bytes > self.memory {
            return Err(Error::Memory { limit: self.memory, needed: bytes, advice: None });
        }
        let found = gradients(&mut *estimator, self.oracle, self.inner, self.x, self.draws)?;
        let gaps = found.iter().zip(&self.known).map(|(found, g)| square(&difference(found, g)));
        let [excess, error] = mean(&gaps.collect::<Vec<_>>());
        let standard_error = if self.draws.len() > 1 { error } else { f64::INFINITY };
        let (second_moment, seconds) = (self.base + excess, self.oracle.longest() as f64 * task);
        Ok(Some(Weighed { estimator, bytes, seconds, second_moment, standard_error }))
    }
}

/// Computes one estimate per draw.
fn gradients<T: Element>(
    estimator: &mut dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draws: &[Draw],
) -> Result<Vec<Vec<f64>>, Error> {
    let mut found = Estimates::in_turn(&mut [estimator], oracle, inner, x, draws)?;
    Ok(found.swap_remove(0).gradients)
}
