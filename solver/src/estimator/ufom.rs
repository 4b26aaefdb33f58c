//! `Ufom`: a cheap estimate, made unbiased by an exact gradient at random.
//!
//! ```text
//! G = g0 + (xi / q) (g - g0),    xi = 1 with probability q, else 0
//! ```
//!
//! Here `g` is the exact gradient and `g0` a [`Cheap`] estimate, first-order by default, for the same task and
//! mini-batches (Likhosherstov et al. 2021). `E G = g` and `E |G|^2 = |g|^2 + (1/q - 1) |g - g0|^2` for any `g0` that
//! does not depend on the coin. One coin per task of the meta-batch is tossed before the forward pass, so that states
//! are stored only when they are needed.
//!
//! Cost per task: that of the cheap estimate and, with probability `q`, the additional cost of the exact one. Memory:
//! that of [`Exact`](crate::Exact) and one gradient on a hit, and that of the cheap estimate otherwise; the peak is the
//! larger of the two. Learned values are kept between calls: three numbers, or two per segment of a jump. The estimate
//! has no bias.
//!
//! If neither the start nor the outer loss contains `x`, the first-order estimate is zero. An exact gradient is then
//! never worse, unless another cheap estimate is chosen.

mod settings;

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::by_place::ByPlace;
use crate::draw::Level;
use crate::error::Error;
use crate::estimator::jump::{self, Jump};
use crate::estimator::probability::{Probability, Sums};
use crate::estimator::{Estimator, exact, first_order};
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::params::{Params, scale};
use crate::rollout::{Rollout, Task};
use crate::schedule::Schedule;
use crate::spelling::Spelled;
use crate::stats::square;

/// The estimate that every call computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cheap {
    /// As [`FirstOrder`](crate::FirstOrder), but permitted also if that is identically zero.
    FirstOrder,
    /// Reverse mode through the last `k` steps, where earlier steps count as the identity.
    Truncated {
        /// Number of steps that are reversed.
        k: usize,
    },
    /// The first-order estimate plus `r` times the mixed term `-lr (d2g/dw dx)^T df/dw` of the last step. Products with
    /// the Hessian are dropped.
    Mixed,
    /// A coarse adjoint, see [`Jump`].
    Jump(Jump),
}

/// The unbiased estimate.
#[derive(Clone, Debug)]
pub struct Ufom {
    probability: Probability,
    cheap: Cheap,
    schedule: Schedule,
    /// Cost of a product in inner gradients.
    product: f64,
    forced: Option<Vec<bool>>,
    /// A number of steps, and the plain steps that the schedule takes for it.
    plain: Option<(usize, usize)>,
    /// `q` of each copy in this call, if it is learned.
    chances: Vec<f64>,
    /// Sums from which `q` is learned.
    sums: Vec<Sums>,
    /// Spectral intervals of the segments of a jump, the widest so far.
    intervals: Vec<[f64; 2]>,
    /// Results of the tasks of this call: `|g - g0|^2` and `|g|^2` of each copy, NaN without a hit, and intervals.
    found: ByPlace<f64>,
}

impl Ufom {
    /// Creates the estimator with coins of probability `q`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `q` is in (0, 1].
    pub fn new(q: f64) -> Result<Self, Error> {
        Self::with(Probability::Fixed(q))
    }

    /// Creates the estimator with a probability of any kind.
    ///
    /// ```
    /// use hypertape_solver::{Probability, Ufom};
    /// assert!(Ufom::with(Probability::Adaptive { floor: 0.05, decay: 0.99 }).is_ok());
    /// let error = Ufom::with(Probability::Adaptive { floor: 0.0, decay: 0.99 }).unwrap_err();
    /// assert_eq!(error.to_string(), "floor of ufom: found 0, expected a probability above 0 and at most 1");
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if a setting is out of range.
    pub fn with(probability: Probability) -> Result<Self, Error> {
        Self { probability, ..Self::default() }.checked()
    }

    /// Replaces the cheap estimate.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for a jump without segments or nodes.
    pub fn with_cheap(self, cheap: Cheap) -> Result<Self, Error> {
        Self { cheap, ..self }.checked()
    }

    /// The estimator `jump` with its default settings.
    pub(crate) fn jump() -> Self {
        Self { cheap: Cheap::Jump(Jump { anchors: 3, degree: 6 }), ..Self::default() }
    }

    /// Replaces the schedule that is used on a hit.
    #[must_use]
    pub fn with_schedule(self, schedule: Schedule) -> Self {
        Self { schedule, plain: None, ..self }
    }

    /// Sets the cost of a product in inner gradients, 2 by default, which determines a learned `q`.
    #[must_use]
    pub fn with_product(self, product: f64) -> Self {
        Self { product, ..self }
    }

    /// Replaces the coins by `coins[slot]` (for tests that enumerate the outcomes); `None` restores random coins.
    pub fn force(&mut self, coins: Option<Vec<bool>>) {
        self.forced = coins;
    }

    /// Returns `q` of a copy in the call prepared last, in meta-batches of `batch` tasks.
    ///
    /// A jump without known intervals begins with a hit.
    pub fn chance(&self, copy: usize, batch: usize) -> f64 {
        match self.probability {
            _ if self.blind() => 1.0,
            Probability::Fixed(q) => q,
            Probability::Subset(m) => m as f64 / batch as f64,
            _ => self.chances.get(copy).copied().unwrap_or(1.0),
        }
    }

    fn blind(&self) -> bool {
        matches!(self.cheap, Cheap::Jump(_)) && self.intervals.is_empty()
    }

    /// Returns the coins of the copies, which are the same in every call.
    fn coins(&self, batch: usize, copies: usize, at: Task<impl Element>) -> Vec<bool> {
        if let Some(&coin) = self.forced.as_ref().and_then(|coins| coins.get(at.slot)) {
            return vec![coin; copies];
        }
        if let (Probability::Subset(m), false) = (self.probability, self.blind()) {
            // All tasks share a stream. Each in turn is chosen with probability (tasks still to choose) / (tasks left).
            let mut stream = at.draw.for_task(0).at(Level::Coin, batch).stream();
            let mut take =
                |left: usize, i: usize| stream.random::<f64>() * ((batch - i) as f64) < left as f64;
            let left = (0..at.slot).fold(m, |left, i| left - usize::from(take(left, i)));
            return vec![take(left, at.slot); copies];
        }
        let mut stream = at.draw.at(Level::Coin, at.slot).stream();
        (0..copies).map(|copy| stream.random_bool(self.chance(copy, batch))).collect()
    }

    /// Largest number of steps that the cheap estimate reverses.
    fn depth(&self) -> usize {
        match self.cheap {
            Cheap::Truncated { k } => k,
            Cheap::Mixed => 1,
            Cheap::FirstOrder | Cheap::Jump(_) => 0,
        }
    }

    /// Computes the cheap estimate alone.
    fn cheap<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        at: Task<T>,
        gradient: &mut [T],
        ritz: Option<&mut Vec<f64>>,
    ) -> Result<T, Error> {
        let (mixed, r) = (self.cheap == Cheap::Mixed, T::from_f64(at.inner.steps() as f64));
        match self.cheap {
            Cheap::FirstOrder => first_order::evaluate(oracle, at, gradient),
            Cheap::Jump(jump) => jump::evaluate(oracle, jump, &self.intervals, at, gradient, ritz),
            Cheap::Truncated { .. } | Cheap::Mixed => {
                let mut look = |run: &mut Rollout<T>, bar: &mut [T], x_bar: &mut [T]| {
                    if mixed && run.reached(0) {
                        run.pull_start(bar, x_bar)?;
                        scale(bar, r);
                    } else if mixed && run.reached(1) {
                        // The start has already received its share.
                        bar.fill(T::zero());
                    }
                    Ok(())
                };
                let depth = Some(self.depth());
                exact::evaluate(oracle, self.schedule, depth, at, gradient, Some(&mut look))
            }
        }
    }

    /// Computes the exact gradient and the cheap estimate.
    fn both<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        at: Task<T>,
        (gradient, cheap): (&mut [T], &mut [T]),
        ritz: &mut Vec<f64>,
    ) -> Result<T, Error> {
        let r = T::from_f64(at.inner.steps() as f64);
        let depth = self.depth().min(at.inner.steps());
        let separate = matches!(self.cheap, Cheap::Jump(_));
        if separate {
            self.cheap(oracle, at, cheap, Some(ritz))?;
        }
        let mixed = self.cheap == Cheap::Mixed;
        let mut look = |run: &mut Rollout<T>, bar: &mut [T], x_bar: &mut [T]| {
            if mixed && run.reached(1) {
                axpy(cheap, r, x_bar);
            } else if !separate && run.reached(if mixed { 0 } else { depth }) {
                cheap.copy_from_slice(x_bar);
                if mixed {
                    scale(cheap, T::one() - r);
                }
                run.pull_start(bar, cheap)?;
            }
            Ok(())
        };
        exact::evaluate(oracle, self.schedule, None, at, gradient, Some(&mut look))
    }
}

impl<T: Element> Estimator<T> for Ufom {
    fn chance(&self) -> bool {
        true
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(self.clone().with_schedule(schedule)))
    }

    /// Returns `weight`, `d2` and `v2` of each copy, and `low` and `high` of each segment.
    fn state(&self) -> Params<T> {
        let sums = ["weight", "d2", "v2"].into_iter().enumerate();
        let sums = sums.map(|(k, name)| (name, self.sums.iter().map(|s| s[k]).collect::<Vec<_>>()));
        let ends = ["low", "high"].into_iter().enumerate();
        let ends = ends.map(|(k, name)| (name, self.intervals.iter().map(|s| s[k]).collect()));
        let known = sums.chain(ends).filter(|(_, values)| !values.is_empty());
        known.fold(Params::new(), |state, (name, values)| {
            state.with_column(name, &values.into_iter().map(T::from_f64).collect::<Vec<_>>())
        })
    }

    fn set_state(&mut self, state: &Params<T>) -> Result<(), Error> {
        let column = |name| state.get(name).unwrap_or_default();
        let [weight, d2, v2, low, high] = ["weight", "d2", "v2", "low", "high"].map(column);
        let [own, ends] = [weight.len(), low.len()];
        let whole = weight.len() == d2.len() && own == v2.len() && ends == high.len();
        let known = 3 * usize::from(own > 0) + 2 * usize::from(ends > 0);
        let fits = (own == 0 || self.probability.adapts())
            && (ends == 0 || matches!(self.cheap, Cheap::Jump(_)));
        if !(whole && fits && state.names().len() == known) {
            let found = format!("{:?}", state.names());
            return Err(Error::invalid("what ufom learned", found, "what its settings learn"));
        }
        let at = |values: &[T], i: usize| values[i].as_f64();
        self.sums = (0..own).map(|i| [at(weight, i), at(d2, i), at(v2, i)]).collect();
        self.intervals = (0..ends).map(|i| [at(low, i), at(high, i)]).collect();
        Ok(())
    }

    fn remembers(&self) -> bool {
        self.probability.adapts()
    }

    /// Returns `(1/q - 1) |g - g0|^2` if the probability of the coins is known.
    fn excess(&self, oracle: &mut Oracle<T>, at: Task<T>) -> Result<Option<f64>, Error> {
        let Some(q) = self.probability.known(at.inner.steps()) else { return Ok(None) };
        let [mut g, mut cheap] = [(); 2].map(|()| vec![T::zero(); at.x.len()]);
        self.both(oracle, at, (&mut g, &mut cheap), &mut Vec::new())?;
        axpy(&mut g, -T::one(), &cheap);
        Ok(Some((1.0 / q - 1.0) * square(&g)))
    }

    fn prepare(&mut self, oracle: &Oracle<T>, inner: &InnerLoop) -> Result<(), Error> {
        if self.cheap != Cheap::FirstOrder {
            inner.expect_known(&self.text())?;
        }
        let batch = oracle.batch();
        if let Probability::Subset(m) = self.probability
            && m > batch
        {
            return Err(Error::invalid("subset", m, format!("{batch} or fewer, the meta-batch")));
        }
        let steps = inner.steps();
        if let Some(q) = self.probability.known(steps) {
            self.chances.clear();
            self.chances.resize(oracle.replicas(), q);
        }
        if !self.probability.adapts() {
            return Ok(());
        }
        let plain = match self.plain {
            Some((known, plain)) if known == steps => plain,
            _ => self.schedule.counts(steps)?.plain_steps,
        };
        self.plain = Some((steps, plain));
        let products = match self.cheap {
            Cheap::Jump(jump) => jump.anchors.min(steps).saturating_mul(jump.degree),
            _ => self.depth().min(steps),
        };
        let cheap = (steps + 1) as f64 + self.product * products as f64;
        let exact = (plain + 1) as f64 + self.product * steps as f64;
        let more = match self.cheap {
            Cheap::Jump(jump) => {
                exact + self.product * (jump.anchors.min(steps) * jump::LANCZOS) as f64
            }
            _ => exact - cheap,
        };
        self.sums.resize(oracle.replicas(), [0.0; 3]);
        self.chances = self.sums.iter().map(|&s| self.probability.next(s, [cheap, more])).collect();
        Ok(())
    }

    fn learn(&mut self) {
        let round = |value: &mut f64| *value = T::from_f64(*value).as_f64();
        let (blind, copies) = (self.blind(), self.sums.len());
        let mut found = std::mem::take(&mut self.found);
        for task in found.drain() {
            let (squares, ritz) = task.split_at(2 * copies);
            let hits = squares.chunks_exact(2).map(|s| (!s[0].is_nan()).then_some([s[0], s[1]]));
            // Without an interval, results do not show how good a jump is.
            let hits = hits.take(if blind { 0 } else { copies });
            for ((sums, hit), &q) in self.sums.iter_mut().zip(hits).zip(&self.chances) {
                self.probability.learn(sums, q, hit);
                sums.iter_mut().for_each(round);
            }
            if !ritz.is_empty() {
                self.intervals.resize(ritz.len() / 2, [f64::INFINITY, f64::NEG_INFINITY]);
            }
            // Segments are listed from the last to the first.
            for (interval, ends) in self.intervals.iter_mut().rev().zip(ritz.chunks_exact(2)) {
                *interval = [interval[0].min(ends[0]), interval[1].max(ends[1])];
                interval.iter_mut().for_each(round);
            }
        }
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        if oracle.rehearses() {
            // Rehearses a hit and a miss: which of them uses more memory depends on the schedule.
            let mut cheap = oracle.take(at.x.len())?;
            self.both(oracle, at, (&mut *gradient, &mut cheap), &mut Vec::new())?;
            oracle.give(cheap);
            return self.cheap(oracle, at, gradient, None);
        }
        let (copies, batch) = (oracle.replicas(), oracle.batch());
        let coins = self.coins(batch, copies, at);
        let (mut ritz, mut squares) = (Vec::new(), Vec::new());
        let loss = if coins.contains(&true) {
            let mut cheap = oracle.take(at.x.len())?;
            let loss = self.both(oracle, at, (gradient, &mut cheap), &mut ritz)?;
            let width = (at.x.len() / copies.max(1)).max(1);
            let parts = gradient.chunks_mut(width).zip(cheap.chunks(width)).zip(&coins);
            for (copy, ((g, g0), &hit)) in parts.enumerate() {
                let weight = T::from_f64(self.chance(copy, batch).recip());
                let mut square = [T::zero(); 2];
                for (g, &g0) in g.iter_mut().zip(g0) {
                    let (exact, gap) = (*g, *g - g0);
                    square = [square[0] + gap * gap, square[1] + exact * exact];
                    *g = if hit { g0 + weight * gap } else { g0 };
                }
                squares.extend(square.map(|s| if hit { s.as_f64() } else { f64::NAN }));
            }
            oracle.give(cheap);
            loss
        } else {
            squares.resize(2 * copies, f64::NAN);
            self.cheap(oracle, at, gradient, None)?
        };
        squares.truncate(2 * self.sums.len());
        squares.append(&mut ritz);
        if !squares.is_empty() {
            self.found.store(at.slot, at.draw.task, &squares);
        }
        Ok(loss)
    }
}
