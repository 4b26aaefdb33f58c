//! `Roulette`: reverse mode through a random number of the last steps, unbiased.
//!
//! Let `g_K` be the gradient through the last `K` steps, where earlier steps count as the identity (`g_0` is
//! first-order, `g_r` is exact). For depths `K_0 < ... < K_L = r` and a random level `N` with `P(N >= i) = P_i`, the
//! estimate is
//!
//! ```text
//! G = g_{K_0} + sum_{i <= N} (g_{K_i} - g_{K_{i-1}}) / P_i
//! ```
//!
//! (Beatson and Adams 2019, for depths of one sweep). It has no bias; its second moment, expected cost and best `P_i`
//! are those of [`Levels`]. With the depths 0 and `r` it is [`Ufom`](crate::Ufom); with all depths and the best `P_i`
//! it is never worse.
//!
//! The level is drawn before the forward run, which stores nothing until `K_N` steps remain; those run under any
//! schedule. One sweep computes the sum: where level `i + 1` begins, the adjoint is multiplied by `P_i / P_{i+1}`,
//! after the part that ends there has been pulled back through the start.
//!
//! Cost: `r - K_N` plain steps and those of the schedule for `K_N` steps, `K_N` products, and at most `L` pull-backs of
//! the start. Memory: that of the largest level, which is that of [`Exact`](crate::Exact) for the whole run.

use std::borrow::Cow;

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::estimator::{Estimator, exact, first_order};
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::params::scale;
use crate::rollout::{Rollout, Task};
use crate::schedule::{COVERED, Schedule};
use crate::spelling::{About, Range, Spelled, Visit};
use crate::stats::square;
use crate::variance::Levels;

/// The gradient through a random depth.
///
/// Independent copies in one problem ([`Bilevel::replicas`](crate::Bilevel::replicas)) share the level.
#[derive(Clone, Debug)]
pub struct Roulette {
    depths: Depths,
    schedule: Schedule,
    forced: Option<usize>,
}

#[derive(Clone, Debug)]
enum Depths {
    /// Depths, with the probabilities that they are reached.
    Given(Vec<(usize, f64)>),
    /// Depths for any number of steps, with the probability of continuing from one to the next.
    Doubling(f64),
}

impl Default for Roulette {
    /// Uses depths that double, with probability 0.5 of continuing from one to the next.
    fn default() -> Self {
        Self { depths: Depths::Doubling(0.5), schedule: Schedule::default(), forced: None }
    }
}

impl Spelled for Roulette {
    fn about(&self) -> About {
        About {
            name: "roulette",
            summary: "reverse mode to a random depth (0, 1, 2, 4, ... or as given); unbiased",
            cost: "r gradients, a random number of HVPs",
        }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let (survival, levels) = match &self.depths {
            Depths::Doubling(survival) => (Some(*survival), None),
            Depths::Given(levels) => {
                let levels = levels.iter().map(|(depth, p)| format!("{depth}:{p}"));
                (None, Some(levels.collect::<Vec<_>>().join(",")))
            }
        };
        let help = "probability of going on from each depth to the next";
        let survival = settings.get("survival", survival, Range::PROBABILITY, help);
        let help = "depths, each with the probability that it is reached";
        let typed = settings.bare("depth:probability,...", levels, help);
        settings
            .at_most_one(&[settings.given("survival"), !typed.is_empty()], "survival or levels");
        if typed.is_empty() {
            return Ok(match survival {
                Some(survival) => Self { depths: Depths::Doubling(survival), ..self.clone() },
                None => self.clone(),
            });
        }
        let level = |level: &&str| {
            let (depth, p) = level.split_once(':')?;
            Some((depth.parse().ok()?, p.parse().ok()?))
        };
        let levels = typed.iter().map(level).collect::<Option<Vec<_>>>().ok_or_else(|| {
            Error::invalid("levels of roulette", typed.join(","), "depth:probability,...")
        })?;
        Ok(Self::new(levels)?.with_schedule(self.schedule))
    }
}

impl Roulette {
    /// Creates the estimator from `levels` of depth and probability.
    ///
    /// The last level is that of the whole run; its depth may exceed the number of steps.
    ///
    /// ```
    /// use hypertape_solver::Roulette;
    /// assert!(Roulette::new([(0, 1.0), (5, 0.5), (20, 0.2)]).is_ok());
    /// let error = Roulette::new([(0, 1.0), (5, 0.1), (20, 0.2)]).unwrap_err().to_string();
    /// assert_eq!(error, "level 2 of roulette: found depth 20 with probability 0.2, expected \
    ///                    more than depth 5 with a probability above 0, at most 0.1");
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless depths increase, and probabilities start at 1, are positive and do not
    /// increase.
    pub fn new(levels: impl Into<Vec<(usize, f64)>>) -> Result<Self, Error> {
        let levels = levels.into();
        if levels.first().is_none_or(|&(_, p)| p != 1.0) {
            let found = levels.first().map_or("none".into(), |(_, p)| format!("probability {p}"));
            return Err(Error::invalid("level 0 of roulette", found, "probability 1"));
        }
        for (i, pair) in levels.windows(2).enumerate() {
            let [(shallow, before), (depth, p)] = [pair[0], pair[1]];
            if depth <= shallow || !(p > 0.0 && p <= before) {
                let (what, found) = (
                    format!("level {} of roulette", i + 1),
                    format!("depth {depth} with probability {p}"),
                );
                let expected = format!(
                    "more than depth {shallow} with a probability above 0, at most {before}"
                );
                return Err(Error::invalid(what, found, expected));
            }
        }
        Ok(Self { depths: Depths::Given(levels), ..Self::default() })
    }

    /// Creates the estimator with the depths 0, 1, 2, 4, ..., and that of the whole run.
    ///
    /// Each is reached from the one before with probability `survival`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `survival` is in (0, 1].
    pub fn doubling(survival: f64) -> Result<Self, Error> {
        Self { depths: Depths::Doubling(survival), ..Self::default() }.checked()
    }

    /// Replaces doubling depths by the list of levels for a loop of `steps` steps.
    #[must_use]
    pub fn for_steps(self, steps: usize) -> Self {
        Self { depths: Depths::Given(self.levels(steps).into_owned()), ..self }
    }

    /// Returns the depths and the probabilities that they are reached, for a loop of `steps` steps.
    fn levels(&self, steps: usize) -> Cow<'_, [(usize, f64)]> {
        let survival = match &self.depths {
            Depths::Given(levels) => return Cow::Borrowed(levels),
            Depths::Doubling(survival) => survival,
        };
        let powers = std::iter::successors(Some(1_usize), |k| k.checked_mul(2));
        let powers = powers.take_while(|&k| k < steps);
        let depths = std::iter::once(0).chain(powers).chain((steps > 0).then_some(steps));
        depths.enumerate().map(|(i, depth)| (depth, survival.powf(i as f64))).collect()
    }

    /// Replaces the schedule for the last steps.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// Replaces the probabilities of levels 1, 2, ..., for example by [`Levels::survival`], and keeps the depths.
    ///
    /// Doubling depths must first be listed with [`for_steps`](Self::for_steps).
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new), and [`Error::Invalid`] if the number of levels differs.
    pub fn with_survival(self, survival: &[f64]) -> Result<Self, Error> {
        let levels = self.levels(0);
        Error::expect_length("the survival of roulette", levels.len() - 1, survival.len())?;
        let chances = std::iter::once(&1.0).chain(survival);
        let levels = levels.iter().zip(chances).map(|(&(depth, _), &p)| (depth, p));
        Ok(Self::new(levels.collect::<Vec<_>>())?.with_schedule(self.schedule))
    }

    /// Returns the depths for a loop of `steps` steps in increasing order.
    pub(crate) fn depths(&self, steps: usize) -> Vec<usize> {
        self.levels(steps).iter().map(|&(depth, _)| depth).collect()
    }

    /// Removes the levels from which the next one is always reached; the estimate stays the same.
    pub(crate) fn pooled(mut self) -> Self {
        if let Depths::Given(levels) = &mut self.depths {
            levels.reverse();
            levels.dedup_by_key(|&mut (_, p)| p);
            levels.reverse();
        }
        self
    }

    /// Replaces the random level (for tests that enumerate the outcomes); `None` restores it.
    pub fn force(&mut self, level: Option<usize>) {
        self.forced = level;
    }

    /// Computes second moments and costs of the levels from all tasks of the meta-batches of `draws` at `x`.
    ///
    /// They serve to choose the probabilities for [`with_survival`](Self::with_survival). Costs are counted in inner
    /// gradients, where a product counts as `product` of them.
    ///
    /// Cost: `L + 1` forward runs and a sweep to every depth, for each task.
    ///
    /// # Errors
    /// Returns the errors of [`Estimator::estimate`].
    pub fn pilot<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draws: impl IntoIterator<Item = Draw>,
        product: f64,
    ) -> Result<Levels, Error> {
        let mean = self.squares(oracle, inner, x, draws)?;
        let cost = |&(depth, _): &(usize, f64)| {
            let depth = depth.min(inner.steps());
            let plain = inner.steps() - depth + self.schedule.counts(depth)?.plain_steps;
            Ok(plain as f64 + 1.0 + product * depth as f64)
        };
        let costs =
            self.levels(inner.steps()).iter().map(cost).collect::<Result<Vec<_>, Error>>()?;
        Ok(Levels::new(mean[0], &mean[1..], &costs))
    }

    /// Returns `E|g|^2` and `E|R_1|^2, ..., E|R_L|^2` over tasks.
    pub(crate) fn squares<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draws: impl IntoIterator<Item = Draw>,
    ) -> Result<Vec<f64>, Error> {
        let (mut squares, mut tasks) = (vec![0.0; self.levels(inner.steps()).len()], 0.0);
        for draw in draws {
            for slot in 0..oracle.batch() {
                let at = Task { inner, x, draw: draw.for_task(oracle.task(draw, slot)), slot };
                let found = self.squares_of(oracle, at)?;
                squares.iter_mut().zip(found).for_each(|(sum, square)| *sum += square);
                tasks += 1.0;
            }
        }
        Ok(squares.iter().map(|square| square / tasks).collect())
    }

    /// Returns the same quantities for one task.
    fn squares_of<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        at: Task<T>,
    ) -> Result<Vec<f64>, Error> {
        let known = self.levels(at.inner.steps());
        let levels = known.iter().map(|&(depth, _)| (depth, 1.0)).collect();
        let mut plain = Self { depths: Depths::Given(levels), ..self.clone() };
        let [mut g, mut part] = [(); 2].map(|()| vec![T::zero(); at.x.len()]);
        plain.force(Some(known.len() - 1));
        plain.task(oracle, at, &mut g)?;
        let mut squares = vec![square(&g)];
        for level in 0..known.len() - 1 {
            plain.force(Some(level));
            plain.task(oracle, at, &mut part)?;
            axpy(&mut part, -T::one(), &g);
            squares.push(square(&part));
        }
        Ok(squares)
    }

    /// Returns the level of a task.
    fn level(&self, levels: &[(usize, f64)], at: Task<impl Element>) -> usize {
        let u: f64 = at.draw.at(Level::Coin, at.slot).stream().random();
        self.forced.unwrap_or_else(|| levels[1..].iter().take_while(|&&(_, p)| u < p).count())
    }
}

impl<T: Element> Estimator<T> for Roulette {
    fn chance(&self) -> bool {
        true
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(self.clone().with_schedule(schedule)))
    }

    fn excess(&self, oracle: &mut Oracle<T>, at: Task<T>) -> Result<Option<f64>, Error> {
        let squares = self.squares_of(oracle, at)?;
        let survival: Vec<f64> =
            self.levels(at.inner.steps())[1..].iter().map(|&(_, p)| p).collect();
        let levels = Levels::new(squares[0], &squares[1..], &vec![1.0; squares.len()]);
        Ok(Some(levels.second_moment(&survival) - squares[0]))
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        at.inner.expect_known("roulette")?;
        let levels = self.levels(at.inner.steps());
        let deepest = levels[levels.len() - 1].0;
        if deepest < at.inner.steps() {
            let expected = format!("{} or more, the steps of the inner loop", at.inner.steps());
            return Err(Error::invalid("the last depth of roulette", deepest, expected));
        }
        if levels[0].0 == 0 && levels.len() > 1 {
            first_order::note_vanishing(oracle)?;
        }
        if oracle.rehearses() && self.forced.is_none() {
            // The level that uses the most memory depends on the schedule, but only among those covered by tables.
            let deepest = levels.len() - 1;
            let covered = |&level: &usize| level == deepest || levels[level].0 <= COVERED;
            for level in (0..=deepest).filter(covered) {
                let one = Self { forced: Some(level), ..self.clone() };
                one.task(oracle, at, gradient)?;
            }
            return Ok(T::zero());
        }
        let levels = &levels[..=self.level(&levels, at)];
        let ends = levels.windows(2).map(|pair| (pair[0].0, pair[0].1 / pair[1].1));
        let ends: Vec<_> = ends.filter(|&(_, ratio)| ratio > 1.0).collect();
        let depth = Some(levels[levels.len() - 1].0);
        let mut look = |run: &mut Rollout<T>, bar: &mut [T], x_bar: &mut [T]| {
            if let Some(&(_, ratio)) = ends.iter().find(|&&(depth, _)| run.reached(depth)) {
                scale(bar, T::from_f64(1.0 - ratio));
                run.pull_start(bar, x_bar)?;
                scale(bar, T::from_f64(ratio / (1.0 - ratio)));
            }
            Ok(())
        };
        exact::evaluate(oracle, self.schedule, depth, at, gradient, Some(&mut look))
    }
}
