//! Estimators of the hypergradient: one trait, and one file per estimator.

pub(crate) mod equation;
pub(crate) mod exact;
pub(crate) mod first_order;
pub(crate) mod forward;
pub(crate) mod forward_gradient;
pub(crate) mod full_tape;
pub(crate) mod implicit;
pub(crate) mod jump;
pub(crate) mod probability;
pub(crate) mod reversible;
pub(crate) mod roulette;
pub(crate) mod stochastic;
pub(crate) mod thinned;
pub(crate) mod truncated;
pub(crate) mod ufom;

use std::any::type_name;
use std::fmt;
use std::time::Instant;

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::fingerprint::fingerprint;
use crate::inner::{InnerLoop, finite};
use crate::oracle::Oracle;
use crate::params::{Params, scale};
use crate::report::Soundness;
use crate::rollout::Task;
use crate::schedule::Schedule;
use crate::spelling::Named;

/// What an estimator returns besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// Outer loss after the inner loop.
    pub loss: T,
    /// Cost of the call.
    pub cost: Cost,
    /// What a reader of the result should know about it.
    pub soundness: Soundness,
}

/// An algorithm that computes or estimates `dF/dx` for `F(x) = E_task f(x, w_r(x))`.
///
/// Threads share an estimator; its working memory belongs to their oracles.
pub trait Estimator<T: Element>: Named + fmt::Debug + Sync {
    /// Returns the schedule by which it stores the unrolled run, or `None` if it does not unroll one.
    fn schedule(&self) -> Option<Schedule> {
        None
    }

    /// Returns the same estimator with another schedule, or `None` if it does not unroll the inner run.
    fn under(&self, _schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        None
    }

    /// Returns by name what is kept from one call to the next.
    ///
    /// Restoring it continues an interrupted run as if it had not stopped.
    fn state(&self) -> Params<T> {
        Params::new()
    }

    /// Restores what [`state`](Self::state) returned. An empty state, `Params::new()`, starts afresh.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `state` is not a state of this estimator.
    fn set_state(&mut self, state: &Params<T>) -> Result<(), Error> {
        let found = state.names().len();
        if found == 0 {
            return Ok(());
        }
        Err(Error::invalid("the state of an estimator", format!("{found} arrays"), "none"))
    }

    /// Makes the decisions that the tasks of a call share, from what earlier calls learned.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the settings do not suit the problem.
    fn prepare(&mut self, _oracle: &Oracle<T>, _inner: &InnerLoop) -> Result<(), Error> {
        Ok(())
    }

    /// Learns from the tasks of a call, after its gradient has been computed.
    fn learn(&mut self) {}

    /// Writes the gradient of one task's outer loss at `at.x` into `gradient` and returns that loss.
    ///
    /// The method also runs on an oracle that [rehearses](Oracle::rehearses), perhaps before
    /// [`prepare`](Self::prepare). Only the bytes that it uses matter then. To make rehearsals of loops of any length
    /// fast, iterate over [`Oracle::each`] of the steps, and store states in [`Oracle::take_slots`]. Iterations that
    /// end depending on their values need no special care. Where a random choice decides, a rehearsal must execute
    /// every outcome that may use the most memory.
    ///
    /// # Errors
    /// Returns the errors of [`estimate`](Self::estimate).
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error>;

    /// Whether it makes random choices of its own, besides those of tasks and mini-batches.
    fn chance(&self) -> bool {
        false
    }

    /// Returns `E|G|^2 - |g|^2` of one task, the contribution of the random choices, if the estimator has a formula for
    /// it.
    ///
    /// Cost: that of an exact and a cheap estimate.
    ///
    /// # Errors
    /// Returns the errors of [`estimate`](Self::estimate).
    fn excess(&self, _oracle: &mut Oracle<T>, _at: Task<T>) -> Result<Option<f64>, Error> {
        Ok(None)
    }

    /// Whether a call is so short that a run checks the clock and flags only between calls, and need not know when a
    /// call began.
    fn brief(&self) -> bool {
        false
    }

    /// Returns all settings on which its bytes depend, so that a prediction is kept for the next call with the same.
    ///
    /// The default is `None`: each prediction is a rehearsal.
    fn settings(&self) -> Option<String> {
        None
    }

    /// Whether tasks produce more than gradients, such as values kept for later calls or a [`Report`](crate::Report).
    ///
    /// Each of several processes then executes all tasks.
    fn remembers(&self) -> bool {
        false
    }

    /// Predicts the peak of used bytes of [`estimate`](Self::estimate) by a rehearsal of [`task`](Self::task).
    ///
    /// Cost: one evaluation of each kind the first time; later a few passes over its vectors, for any number of steps.
    /// Nothing if the last prediction was for the same [settings](Self::settings), draw and loop.
    ///
    /// # Errors
    /// Returns the errors of [`estimate`](Self::estimate).
    fn predict(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
    ) -> Result<u64, Error> {
        let mut gradient = vec![T::zero(); x.len()];
        Error::expect_length("the outer point", oracle.outer_dim(), x.len())?;
        let known = self.settings().map(|settings| type_name::<Self>().to_owned() + &settings);
        let task = oracle.rehearsed(known, (inner, draw), &mut |oracle, draw| {
            let inner = &inner.settled(oracle, x, draw)?;
            self.task(oracle, Task { inner, x, draw, slot: 0 }, &mut gradient)
        })?;
        Ok(oracle.bytes_over_tasks(task, x.len()))
    }

    /// Returns [`predict`](Self::predict) if it is within the oracle's memory limit.
    ///
    /// # Errors
    /// Returns [`Error::Memory`] if it is not, with the fastest schedule that would fit, and the errors of
    /// [`estimate`](Self::estimate).
    fn admit(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
    ) -> Result<u64, Error> {
        let needed = self.predict(oracle, inner, x, draw)?;
        let limit = oracle.memory().unwrap_or(u64::MAX);
        if needed <= limit {
            return Ok(needed);
        }
        let (mut least, online) = (needed, inner.tolerance().is_some());
        let advice = largest(inner.steps().max(2) - 1, |c| {
            let schedule = if online { Schedule::Online { c } } else { Schedule::Binomial { c } };
            let Some(other) = self.under(schedule) else { return Ok(None) };
            let bytes = other.predict(oracle, inner, x, draw)?;
            least = least.min(bytes);
            Ok((bytes <= limit).then(|| (schedule.to_string(), bytes)))
        })?;
        let needed = if advice.is_some() { needed } else { least };
        Err(Error::Memory { limit, needed, advice })
    }

    /// Writes the mean gradient over the meta-batch of `draw` at `x` into `gradient`.
    ///
    /// Memory: on each thread that of one task, plus one gradient if there are more than 8 tasks. In addition, one
    /// gradient in total if several tasks run on one thread, and at most 7 if they run on several threads.
    ///
    /// # Errors
    /// Returns [`Error::NonFinite`] if a quantity is not finite, [`Error::Function`] if the problem fails, and
    /// [`Error::Invalid`] if a length does not match.
    fn estimate(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
        gradient: &mut [T],
    ) -> Result<Estimate<T>, Error> {
        let clock = Instant::now();
        Error::expect_length("the outer point", oracle.outer_dim(), x.len())?;
        Error::expect_length("the gradient buffer", x.len(), gradient.len())?;
        if oracle.memory().is_some() {
            self.admit(oracle, inner, x, draw)?;
        }
        oracle.begin();
        let inner = &inner.settled(oracle, x, draw)?;
        self.prepare(oracle, inner)?;
        let (may, estimator) = (!self.remembers(), &*self);
        let of_task = move |oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]| {
            let loss = estimator.task(oracle, at, gradient)?;
            if oracle.lacks_end(at.draw) {
                // A warm start needs `w_r`, which a run on one tape does not return.
                let (name, expected) =
                    (estimator.name(), "one that knows where the inner loop ended");
                return Err(Error::invalid("the estimator under warm starts", name, expected));
            }
            Ok(loss)
        };
        let loss = mean(&of_task, may, oracle, inner, (x, draw), gradient)?;
        if let Some(entry) = oracle.bounded() {
            // If the clipped values do not influence the result, half the bound gives the same bits.
            let first = bits(gradient);
            oracle.halved = true;
            let again = mean(&of_task, may, oracle, inner, (x, draw), gradient);
            oracle.halved = false;
            if again? != loss || bits(gradient) != first || !all_finite(gradient) {
                let (entry, rule) = (oracle.inner_start().entry(entry), oracle.rule());
                return Err(Error::Overflow { entry, rule });
            }
        }
        finite(gradient, "the hypergradient", inner)?;
        self.learn();
        // The first gradient of an algorithm whose vectors start at zero is zero, as it should be.
        let starts = self.brief() && draw.iteration == 0;
        let zero = !starts && !gradient.is_empty() && gradient.iter().all(|&g| g == T::zero());
        oracle.note(Soundness { loss: loss.as_f64().abs(), zero, ..Soundness::default() });
        let mut cost = oracle.cost();
        cost.time = clock.elapsed();
        Ok(Estimate { loss, cost, soundness: oracle.soundness() })
    }
}

/// Returns what `consider` makes of the largest number from 1 to `most` of which it makes something, by bisection: it
/// does so for all smaller numbers.
pub(crate) fn largest<R>(
    most: usize,
    mut consider: impl FnMut(usize) -> Result<Option<R>, Error>,
) -> Result<Option<R>, Error> {
    let (mut low, mut high, mut best) = (0, most + 1, None);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        match consider(middle)? {
            None => high = middle,
            found => (low, best) = (middle, found),
        }
    }
    Ok(best)
}

/// Returns a fingerprint of the bits of `values`.
fn bits<T: Element>(values: &[T]) -> u64 {
    fingerprint(values.iter().flat_map(|v| v.as_f64().to_le_bytes()))
}

/// Computes the gradient and loss of one task, as [`Estimator::task`] does, as a trait object.
type OfTask<'e, T> = dyn Fn(&mut Oracle<T>, Task<T>, &mut [T]) -> Result<T, Error> + Sync + 'e;

/// Computes the mean over a meta-batch. Ranks share its tasks if they `may`.
fn mean<T: Element>(
    of_task: &OfTask<T>,
    may: bool,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    (x, draw): (&[T], Draw),
    gradient: &mut [T],
) -> Result<T, Error> {
    let share = T::from_f64((oracle.batch() as f64).recip());
    oracle.over_tasks(draw, may, gradient, &|oracle, slot, draw, first, sum| {
        let at = Task { inner, x, draw, slot };
        if first {
            let loss = of_task(oracle, at, sum)?;
            scale(sum, share);
            return Ok(share * loss);
        }
        let mut part = oracle.take(x.len())?;
        let loss = of_task(oracle, at, &mut part)?;
        axpy(sum, share, &part);
        oracle.give(part);
        Ok(share * loss)
    })
}
