//! Estimators of the hypergradient: one trait, one file each.

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

use std::fmt;
use std::time::Instant;

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::fingerprint::fingerprint;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::params::{Params, scale};
use crate::report::Soundness;
use crate::rollout::Task;
use crate::schedule::Schedule;
use crate::spelling::Named;

/// What an estimator returns besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The outer loss after the inner loop.
    pub loss: T,
    /// What the call cost.
    pub cost: Cost,
    /// What its reader should know.
    pub soundness: Soundness,
}

/// A way to compute, or estimate, `dF/dx` for `F(x) = E_task f(x, w_r(x))`.
///
/// Workers share an estimator: what it computes with belongs to their oracles.
pub trait Estimator<T: Element>: Named + fmt::Debug + Sync {
    /// What it stores of an unrolled run, if it unrolls one.
    fn schedule(&self) -> Option<Schedule> {
        None
    }

    /// The same estimator under another schedule, if it unrolls the inner run.
    fn under(&self, _schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        None
    }

    /// What it keeps from one call to the next, by name: with it an interrupted run goes on as if it had not stopped.
    fn state(&self) -> Params<T> {
        Params::new()
    }

    /// Goes on from what [`state`](Self::state) gave; nothing, `Params::new()`, starts afresh.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is not a state of this estimator.
    fn set_state(&mut self, state: &Params<T>) -> Result<(), Error> {
        let found = state.names().len();
        if found == 0 {
            return Ok(());
        }
        Err(Error::invalid("the state of an estimator", format!("{found} arrays"), "none"))
    }

    /// Decides what the tasks of a call have in common, from what earlier calls learned.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings that do not fit the problem.
    fn prepare(&mut self, _oracle: &Oracle<T>, _inner: &InnerLoop) -> Result<(), Error> {
        Ok(())
    }

    /// Learns from the tasks of a call, after its gradient is made.
    fn learn(&mut self) {}

    /// Writes the gradient of one task's outer loss at `at.x` into `gradient` and returns that loss.
    ///
    /// It is also run on an oracle that [rehearses](Oracle::rehearses), perhaps before [`prepare`](Self::prepare), to know its
    /// bytes, which are all that comes of it. Loops go over [`Oracle::each`] of their steps, and states that are stored lie in
    /// [`Oracle::take_slots`], so that a loop of any length is rehearsed at once. What ends by what it finds, as an iteration
    /// does, needs no care; where a coin decides, a rehearsal does all outcomes that may take most.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error>;

    /// Whether it makes random choices of its own, beside those of tasks and mini-batches.
    fn chance(&self) -> bool {
        false
    }

    /// `E|G|^2 - |g|^2` of one task: what chance adds, by the estimator's formula, where it has one. Cost: that of an
    /// exact and a cheap estimate.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    fn excess(&self, _oracle: &mut Oracle<T>, _at: Task<T>) -> Result<Option<f64>, Error> {
        Ok(None)
    }

    /// Whether a call is so short that a run looks at the clock and at flags between calls alone, and need not know where one began.
    fn brief(&self) -> bool {
        false
    }

    /// Whether tasks leave something behind beside their gradients: what is kept for later calls, a [`Report`](crate::Report). Each of
    /// several processes then does all tasks.
    fn remembers(&self) -> bool {
        false
    }

    /// The peak of used bytes of [`estimate`](Self::estimate), before it runs: [`task`](Self::task) is rehearsed. Cost: one evaluation of
    /// each kind the first time; later some passes over its vectors, whatever the number of steps.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    fn predict(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
    ) -> Result<u64, Error> {
        let mut gradient = vec![T::zero(); x.len()];
        let task = oracle.rehearsed(draw, |oracle, draw| {
            let inner = &inner.settled(oracle, x, draw)?;
            self.task(oracle, Task { inner, x, draw, slot: 0 }, &mut gradient)
        })?;
        Ok(oracle.bytes_over_tasks(task, x.len()))
    }

    /// [`predict`](Self::predict), if that is within the oracle's memory limit.
    ///
    /// # Errors
    /// [`Error::Memory`] if it is not, with the fastest schedule that would be; as [`estimate`](Self::estimate).
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
        // The most states that fit, by bisection.
        let (mut low, mut high, mut least, mut advice) = (0, inner.steps().max(2), needed, None);
        while high - low > 1 {
            let c = low + (high - low) / 2;
            let online = inner.tolerance().is_some();
            let schedule = if online { Schedule::Online { c } } else { Schedule::Binomial { c } };
            let Some(other) = self.under(schedule) else { break };
            let bytes = other.predict(oracle, inner, x, draw)?;
            least = least.min(bytes);
            if bytes <= limit {
                (low, advice) = (c, Some((schedule.to_string(), bytes)));
            } else {
                high = c;
            }
        }
        let needed = if advice.is_some() { needed } else { least };
        Err(Error::Memory { limit, needed, advice })
    }

    /// Writes the mean gradient over the meta-batch of `draw` at `x` into `gradient`.
    ///
    /// Memory: on each thread that of one task, and one more gradient where there are more than 8 tasks; together one
    /// gradient where there are several tasks on one thread, at most 7 on more.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if a quantity is not finite, [`Error::Function`] if the problem fails,
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
        expect_length("the outer point", oracle.outer_dim(), x.len())?;
        expect_length("the gradient buffer", x.len(), gradient.len())?;
        if oracle.memory().is_some() {
            self.admit(oracle, inner, x, draw)?;
        }
        oracle.begin();
        let inner = &inner.settled(oracle, x, draw)?;
        self.prepare(oracle, inner)?;
        let loss = mean(self, oracle, inner, (x, draw), gradient)?;
        if let Some(entry) = oracle.bounded() {
            // Where nothing comes of what was kept within a bound, half the bound gives the same bits.
            let first = bits(gradient);
            oracle.halved = true;
            let again = mean(self, oracle, inner, (x, draw), gradient);
            oracle.halved = false;
            if again? != loss || bits(gradient) != first || !all_finite(gradient) {
                let (entry, rule) = (oracle.inner_start().entry(entry), oracle.rule());
                return Err(Error::Overflow { entry, rule });
            }
        }
        if !all_finite(gradient) {
            let quantity = "the hypergradient";
            return Err(Error::NonFinite { quantity, step: None, lr: inner.lr() });
        }
        self.learn();
        oracle.note(Soundness { loss: loss.as_f64().abs(), ..Soundness::default() });
        let mut cost = oracle.cost();
        cost.time = clock.elapsed();
        Ok(Estimate { loss, cost, soundness: oracle.soundness() })
    }
}

/// The same of the same bits.
fn bits<T: Element>(values: &[T]) -> u64 {
    fingerprint(values.iter().flat_map(|v| v.as_f64().to_le_bytes()))
}

/// The mean over a meta-batch.
fn mean<T: Element, E: Estimator<T> + ?Sized>(
    estimator: &E,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    (x, draw): (&[T], Draw),
    gradient: &mut [T],
) -> Result<T, Error> {
    let share = T::from_f64((oracle.batch() as f64).recip());
    oracle.over_tasks(draw, !estimator.remembers(), gradient, |oracle, slot, draw, first, sum| {
        let at = Task { inner, x, draw, slot };
        if first {
            let loss = estimator.task(oracle, at, sum)?;
            expect_end(estimator, oracle, draw)?;
            scale(sum, share);
            return Ok(share * loss);
        }
        let mut part = oracle.take(x.len())?;
        let loss = estimator.task(oracle, at, &mut part)?;
        expect_end(estimator, oracle, draw)?;
        axpy(sum, share, &part);
        oracle.give(part);
        Ok(share * loss)
    })
}

/// A warm start needs `w_r`, which is not seen of a run on one tape.
fn expect_end<T: Element, E: Estimator<T> + ?Sized>(
    estimator: &E,
    oracle: &Oracle<T>,
    draw: Draw,
) -> Result<(), Error> {
    if oracle.lacks_end(draw) {
        let expected = "one that knows where the inner loop ended";
        return Err(Error::invalid("the estimator under warm starts", estimator.name(), expected));
    }
    Ok(())
}

fn expect_length(what: &str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::length(what, expected, found)) }
}
