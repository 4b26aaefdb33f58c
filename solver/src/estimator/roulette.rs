//! `Roulette`: reverse mode through a random number of the last steps, unbiased.
//!
//! With `g_K` the gradient through the last `K` steps, those before taken as the identity (`g_0` is first-order, `g_r` exact), depths
//! `K_0 < ... < K_L = r` and a random level `N` with `P(N >= i) = P_i`,
//!
//! ```text
//! G = g_{K_0} + sum_{i <= N} (g_{K_i} - g_{K_{i-1}}) / P_i
//! ```
//!
//! (Beatson and Adams 2019, for depths of one sweep.) No bias; second moment, expected cost and the best `P_i` are those of
//! [`Levels`]. With the depths 0 and `r` it is [`Ufom`](crate::Ufom); with all depths it is never worse, at the best `P_i`.
//!
//! The level is drawn before the forward run, which keeps nothing until `K_N` steps are left; these run under any schedule. One
//! sweep computes the sum: where level `i + 1` begins the adjoint is multiplied by `P_i / P_{i+1}`, after the share that ends
//! there went through the start.
//!
//! Cost: `r - K_N` and the schedule's plain steps for `K_N`, `K_N` products, at most `L` pull-backs of the start. Memory: the largest
//! of all levels, that of [`Exact`](crate::Exact) for the whole run.

use hypertape_autodiff::{Element, axpy, dot};
use rand::RngExt;

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::estimator::{Estimator, exact, named};
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::params::scale;
use crate::profile::Profile;
use crate::rollout::{Rollout, Task};
use crate::schedule::Schedule;
use crate::variance::Levels;

/// The gradient through a random depth. Copies of a problem in one share the level.
#[derive(Clone, Debug)]
pub struct Roulette {
    /// Depths, with the probability that they are reached.
    levels: Vec<(usize, f64)>,
    schedule: Schedule,
    forced: Option<usize>,
}

impl Roulette {
    /// With `levels` of depth and probability; the last one is that of the whole run, whatever its depth beyond.
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
    /// [`Error::Invalid`] unless depths rise, and probabilities are positive, do not rise, and begin with 1.
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
        Ok(Self { levels, schedule: Schedule::default(), forced: None })
    }

    /// Depths 0, 1, 2, 4, ..., `steps`, each reached from the one before with probability `survival`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless that is a probability above 0.
    pub fn doubling(steps: usize, survival: f64) -> Result<Self, Error> {
        let powers = std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|&k| k < steps);
        let last = (steps > 0).then_some(steps);
        let depths = std::iter::once(0).chain(powers).chain(last);
        Self::new(
            depths
                .enumerate()
                .map(|(i, depth)| (depth, survival.powf(i as f64)))
                .collect::<Vec<_>>(),
        )
    }

    /// With what `schedule` stores of the last steps.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Self { schedule, ..self }
    }

    /// The same depths with other probabilities of level 1, 2, ..., such as [`Levels::survival`].
    ///
    /// # Errors
    /// As [`new`](Self::new), and for another number of levels.
    pub fn with_survival(self, survival: &[f64]) -> Result<Self, Error> {
        if survival.len() + 1 != self.levels.len() {
            return Err(Error::length(
                "the survival of roulette",
                self.levels.len() - 1,
                survival.len(),
            ));
        }
        let chances = std::iter::once(&1.0).chain(survival);
        let levels = self.levels.iter().zip(chances).map(|(&(depth, _), &p)| (depth, p));
        Ok(Self::new(levels.collect::<Vec<_>>())?.with_schedule(self.schedule))
    }

    /// The depths, from the least on.
    pub(crate) fn depths(&self) -> impl Iterator<Item = usize> {
        self.levels.iter().map(|&(depth, _)| depth)
    }

    /// The same estimate without the levels that the next one is always reached with.
    pub(crate) fn pooled(mut self) -> Self {
        self.levels.reverse();
        self.levels.dedup_by_key(|&mut (_, p)| p);
        self.levels.reverse();
        self
    }

    /// Replaces the random level (for tests that enumerate the outcomes), or brings it back.
    pub fn force(&mut self, level: Option<usize>) {
        self.forced = level;
    }

    /// Second moments and costs of the levels, from all tasks of the meta-batches of `draws` at `x`: what
    /// [`with_survival`](Self::with_survival) is planned with. Costs count inner gradients, a product as `product` of them.
    ///
    /// Cost: `L + 1` forward runs and a sweep to every depth, for each task.
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
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
        let costs = self.levels.iter().map(cost).collect::<Result<Vec<_>, Error>>()?;
        Ok(Levels::new(mean[0], &mean[1..], &costs))
    }

    /// `E|g|^2` and `E|R_1|^2, ..., E|R_L|^2` over tasks.
    pub(crate) fn squares<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draws: impl IntoIterator<Item = Draw>,
    ) -> Result<Vec<f64>, Error> {
        let (mut squares, mut tasks) = (vec![0.0; self.levels.len()], 0.0);
        for draw in draws {
            for slot in 0..oracle.batch() {
                let at = Task { x, draw: draw.for_task(oracle.task(draw, slot)), slot };
                let found = self.squares_of(oracle, inner, at)?;
                squares.iter_mut().zip(found).for_each(|(sum, square)| *sum += square);
                tasks += 1.0;
            }
        }
        Ok(squares.iter().map(|square| square / tasks).collect())
    }

    /// The same of a task.
    fn squares_of<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
    ) -> Result<Vec<f64>, Error> {
        let levels = self.levels.iter().map(|&(depth, _)| (depth, 1.0)).collect();
        let mut plain = Self { levels, ..self.clone() };
        let [mut g, mut part] = [(); 2].map(|()| vec![T::zero(); at.x.len()]);
        plain.force(Some(self.levels.len() - 1));
        plain.task(oracle, inner, at, &mut g)?;
        let mut squares = vec![dot(&g, &g).as_f64()];
        for level in 0..self.levels.len() - 1 {
            plain.force(Some(level));
            plain.task(oracle, inner, at, &mut part)?;
            axpy(&mut part, -T::one(), &g);
            squares.push(dot(&part, &part).as_f64());
        }
        Ok(squares)
    }

    /// The level of a task.
    fn level(&self, at: Task<impl Element>) -> usize {
        let u: f64 = at.draw.at(Level::Coin, at.slot).stream().random();
        self.forced.unwrap_or_else(|| self.levels[1..].iter().take_while(|&&(_, p)| u < p).count())
    }
}

impl<T: Element> Estimator<T> for Roulette {
    fn name(&self) -> String {
        let (last, survival) = (self.levels[self.levels.len() - 1].0, self.levels.get(1));
        let survival = survival.map_or(0.5, |&(_, p)| p);
        if Self::doubling(last, survival).is_ok_and(|doubling| doubling.levels == self.levels) {
            return named("roulette", &[("survival", Some(survival))]);
        }
        let levels: Vec<_> = self.levels.iter().map(|(depth, p)| format!("{depth}:{p}")).collect();
        format!("roulette:{}", levels.join(","))
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(self.clone().with_schedule(schedule)))
    }

    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        let mut peak = 0;
        for (n, &(depth, _)) in self.levels.iter().enumerate() {
            let pairs = self.levels[..=n].windows(2).filter(|pair| pair[0].1 > pair[1].1);
            let ends: Vec<_> = pairs.map(|pair| pair[0].0).collect();
            let depths = (depth.min(steps), steps);
            peak = peak.max(exact::bytes(profile, self.schedule, depths, 0, &ends)?);
        }
        Ok(peak)
    }

    fn excess(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
    ) -> Result<Option<f64>, Error> {
        let squares = self.squares_of(oracle, inner, at)?;
        let survival: Vec<f64> = self.levels[1..].iter().map(|&(_, p)| p).collect();
        let levels = Levels::new(squares[0], &squares[1..], &vec![1.0; squares.len()]);
        Ok(Some(levels.second_moment(&survival) - squares[0]))
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        inner.expect_known("roulette")?;
        let deepest = self.levels[self.levels.len() - 1].0;
        if deepest < inner.steps() {
            let expected = format!("{} or more, the steps of the inner loop", inner.steps());
            return Err(Error::invalid("the last depth of roulette", deepest, expected));
        }
        let levels = &self.levels[..=self.level(at)];
        let mut ends = levels.windows(2).map(|pair| (pair[0].0, pair[0].1 / pair[1].1)).peekable();
        let depth = Some(levels[levels.len() - 1].0);
        let mut look = |run: &mut Rollout<T>, k: usize, bar: &mut [T], x_bar: &mut [T]| {
            while let Some((_, ratio)) = ends.next_if(|&(depth, _)| depth == k) {
                if ratio > 1.0 {
                    scale(bar, T::from_f64(1.0 - ratio));
                    run.pull_start(bar, x_bar)?;
                    scale(bar, T::from_f64(ratio / (1.0 - ratio)));
                }
            }
            Ok(())
        };
        exact::evaluate(oracle, inner, self.schedule, depth, at, gradient, Some(&mut look))
    }
}
