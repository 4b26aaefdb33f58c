//! The outer loop: estimate, step, record, stop, resume.
//!
//! A run that was stopped continues bit for bit, because its state is a [`RunState`] and random choices are identified
//! by the iteration.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypertape_autodiff::Element;

use crate::coupling::{Cold, Coupling};
use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::limits::{End, Limits};
use crate::oracle::{Oracle, Stop};
use crate::outer::Outer;
use crate::params::norm;
use crate::progress::{Observer, Record, RunState};

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Run<T> {
    /// The inner loop.
    pub inner: InnerLoop,
    /// The outer optimiser.
    pub outer: Arc<dyn Outer<T>>,
    /// Number of outer iterations.
    pub iterations: usize,
    /// Seed of all random choices.
    pub seed: u64,
    /// How each inner loop continues the previous one.
    pub coupling: Arc<dyn Coupling>,
    /// Conditions that end the run before its last iteration.
    pub limits: Limits,
    /// Number of iterations per record, 1 by default. A record has the loss and the gradient norm of its first
    /// iteration, and the total cost. For an estimator that is [brief](Estimator::brief), an iteration between two
    /// records allocates nothing.
    pub record_every: usize,
}

/// A run has diverged if the outer loss exceeds `max(1, |first loss|)` by this factor.
const DIVERGED: f64 = 1e6;

impl<T: Element> Run<T> {
    /// Creates a run without limits whose inner loops start at the problem's own start.
    pub fn new(
        inner: InnerLoop,
        outer: impl Outer<T> + 'static,
        iterations: usize,
        seed: u64,
    ) -> Self {
        let (outer, coupling, limits) = (Arc::new(outer), Arc::new(Cold), Limits::default());
        Self { inner, outer, iterations, seed, coupling, limits, record_every: 1 }
    }

    /// Sets the coupling of inner loops.
    #[must_use]
    pub fn coupled(self, coupling: impl Coupling + 'static) -> Self {
        Self { coupling: Arc::new(coupling), ..self }
    }

    /// Runs from `x`, which finally holds the last point.
    ///
    /// `callback` receives each record and its point, and may end the run. The estimator starts afresh.
    ///
    /// # Errors
    /// Returns [`Error::Iteration`] with the iteration and the cause: divergence, a quantity that is not finite, or a
    /// problem that fails. `x` is then the last point that was reached.
    pub fn go(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        x: &mut [T],
        callback: impl FnMut(&Record, &[T]) -> ControlFlow<()>,
    ) -> Result<Vec<Record>, Error> {
        let mut state = RunState::new(x.to_vec());
        let result = self.go_on(oracle, estimator, &mut state, callback);
        x.copy_from_slice(&state.x);
        result
    }

    /// Continues a run from `state`, which is updated to its end; otherwise like [`go`](Self::go).
    ///
    /// Returns the records of the iterations executed by this call, none if a limit had been reached before. Afterwards
    /// the oracle has the warm starts of the state.
    ///
    /// ```
    /// use hypertape_solver::{Exact, InnerLoop, Optimiser, Oracle, Run, RunState};
    /// use std::ops::ControlFlow::Continue;
    /// # use hypertape_autodiff::{Array, Element, List, Shape};
    /// # use hypertape_solver::{Bilevel, Draw, Params, Rows};
    /// # struct Scalar;
    /// # impl<T: Element> Bilevel<T> for Scalar {
    /// #     fn start(&self) -> Params<T> { Params::new().with("x", Shape::SCALAR, [T::from_f64(0.5)]) }
    /// #     fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> { List::from_slice(&[x[0].scalar(1.0)]) }
    /// #     fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A { w[0].square() * 0.5 + x[0] * w[0] }
    /// #     fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A { w[0].square() }
    /// # }
    /// # let mut oracle = Oracle::<f64>::new(Scalar)?;
    /// let run = |iterations| Ok::<_, hypertape_solver::Error>(
    ///     Run::new(InnerLoop::new(10, 0.1)?, Optimiser::adam(0.1)?, iterations, 0));
    /// let (mut once, mut twice) = (RunState::new(vec![0.5]), RunState::new(vec![0.5]));
    /// run(9)?.go_on(&mut oracle, &mut Exact::default(), &mut once, |_, _| Continue(()))?;
    /// run(4)?.go_on(&mut oracle, &mut Exact::default(), &mut twice, |_, _| Continue(()))?;
    /// run(9)?.go_on(&mut oracle, &mut Exact::default(), &mut twice, |_, _| Continue(()))?;
    /// assert_eq!((once.x, once.iteration), (twice.x, 9));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`go`](Self::go), and [`Error::Invalid`] for a state of other settings. Only `x` of the
    /// state is then meaningful.
    pub fn go_on(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        state: &mut RunState<T>,
        mut callback: impl FnMut(&Record, &[T]) -> ControlFlow<()>,
    ) -> Result<Vec<Record>, Error> {
        self.observe(oracle, estimator, state, &mut [&mut callback])
    }

    /// Continues a run like [`go_on`](Self::go_on), and notifies each of `observers` in their order.
    ///
    /// Where one of them saves, the run ends and continues from its own state, so that resuming takes no separate code
    /// path.
    ///
    /// # Errors
    /// Returns the errors of [`go_on`](Self::go_on) and of the observers.
    pub fn observe(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        state: &mut RunState<T>,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<Vec<Record>, Error> {
        observers.iter_mut().try_for_each(|observer| observer.begin(state))?;
        let (first, mut records) = (state.iteration, Vec::new());
        loop {
            let before = state.iteration - first;
            let next = |every: usize| (before / every + 1).saturating_mul(every);
            let parts = observers.iter().map(|observer| next(observer.every().max(1)));
            let until = first.saturating_add(parts.min().unwrap_or(usize::MAX));
            // Runs are saved where a record ends.
            let until = until.checked_next_multiple_of(self.record_every.max(1)).unwrap_or(until);
            records.extend(self.part(oracle, estimator, state, until, observers)?);
            if state.end.is_some() {
                break;
            }
            let done = state.iteration - first;
            for observer in &mut *observers {
                if done / observer.every().max(1) > before / observer.every().max(1) {
                    observer.save(state)?;
                }
            }
        }
        observers.iter_mut().try_for_each(|observer| observer.end(state))?;
        Ok(records)
    }

    /// Runs from `state` to the end of the run, or to the iteration `until` if that comes first; `state.end` is then
    /// `None`.
    fn part(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        state: &mut RunState<T>,
        until: usize,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<Vec<Record>, Error> {
        estimator.set_state(&state.estimator)?;
        oracle.set_warm(self.coupling.warm().then_some(&state.ends))?;
        let moments = self.outer.moments(state.x.len());
        let fresh = state.iteration == 0 && state.moments.names().is_empty();
        if !fresh && !moments.is_like(&state.moments) {
            let (found, expected) = (&state.moments, moments.declared());
            return Err(Error::invalid(
                "moments of the outer optimiser",
                found.declared(),
                expected,
            ));
        }
        state.elapsed = oracle.agree_time(state.elapsed);
        // The norm belongs to the point of the state only if no step was taken from there.
        let stayed = state.end == Some(End::GradientNorm);
        let norm = if stayed { state.gradient_norm } else { f64::INFINITY };
        state.end = self.limits.reached(norm, state.oracle_calls, state.elapsed);
        if state.end.is_some() {
            return Ok(Vec::new());
        }
        if fresh {
            state.moments = moments;
        }
        let (records, stopped) = self.iterate(oracle, estimator, state, until, observers)?;
        let over = (state.iteration >= self.iterations).then_some(End::Iterations);
        state.end = stopped.or(records.last().and_then(|r| r.end)).or(over);
        state.estimator = estimator.state();
        state.ends = oracle.warm();
        Ok(records)
    }

    /// Returns the function that requests an end within an iteration, for observers and the time limit. With several
    /// processes there is none: they end together, after an iteration.
    fn stop(&self, asked: &[Stop], elapsed: Duration) -> Option<Stop> {
        let deadline = self
            .limits
            .time
            .and_then(|limit| Instant::now().checked_add(limit.saturating_sub(elapsed)));
        if asked.is_empty() && deadline.is_none() {
            return None;
        }
        let asked = asked.to_vec();
        Some(Arc::new(move || {
            asked.iter().any(|stop| stop())
                || deadline.is_some_and(|deadline| Instant::now() >= deadline)
        }))
    }

    fn iterate(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        state: &mut RunState<T>,
        until: usize,
        observers: &mut [&mut dyn Observer<T>],
    ) -> Result<(Vec<Record>, Option<End>), Error> {
        let asked: Vec<_> = observers.iter().filter_map(|observer| observer.stop()).collect();
        let mut gradient = vec![T::zero(); state.x.len()];
        let mut records: Vec<Record> = Vec::new();
        // The unfinished record, and its point.
        let (mut open, mut point) = (None::<Record>, Vec::new());
        let (brief, every) = (estimator.brief(), self.record_every.max(1));
        // Start of the time that is not in the state yet. Reading the clock takes a hundredth of the shortest
        // iterations.
        let mut clock = Instant::now();
        while state.iteration < self.iterations.min(until) {
            let iteration = state.iteration;
            let failed = |cause| Error::Iteration { iteration, cause: Box::new(cause) };
            let draw = Draw::new(self.seed, iteration as u64);
            let inner = self.coupling.inner(&self.inner, iteration);
            let within = !brief && !oracle.has_ranks();
            let stop = within.then(|| self.stop(&asked, state.elapsed + clock.elapsed())).flatten();
            // The state at the beginning of the iteration, which is restored if the iteration is stopped.
            let before = stop.is_some().then(|| (estimator.state(), oracle.warm()));
            oracle.set_stop(stop);
            let estimate = estimator.estimate(oracle, &inner, &state.x, draw, &mut gradient);
            oracle.set_stop(None);
            if let (Err(Error::Stopped), Some((kept, ends))) = (&estimate, before) {
                estimator.set_state(&kept)?;
                oracle.set_warm(self.coupling.warm().then_some(&ends))?;
                state.elapsed += clock.elapsed();
                let over = self.limits.time.is_some_and(|limit| state.elapsed >= limit);
                return Ok((records, Some(if over { End::Time } else { End::Callback })));
            }
            let estimate = estimate.map_err(failed)?;
            let (loss, cost, soundness) =
                (estimate.loss.as_f64(), estimate.cost, estimate.soundness);
            let limit = DIVERGED * state.first_loss.get_or_insert(loss).abs().max(1.0);
            if loss > limit {
                return Err(failed(Error::Diverged { loss, limit }));
            }
            if loss < state.best_loss && !brief {
                state.best_loss = loss;
                state.best.clone_from(&state.x);
            }
            state.gradient_norm = norm(&gradient).as_f64();
            state.oracle_calls += cost.inner_gradients + cost.hvps;
            let now = Instant::now();
            let elapsed = oracle.agree_time(state.elapsed + now.duration_since(clock));
            (state.elapsed, clock) = (elapsed, now);
            let gradient_norm = state.gradient_norm;
            let last = (iteration + 1 == self.iterations).then_some(End::Iterations);
            let end = self.limits.reached(gradient_norm, state.oracle_calls, elapsed).or(last);
            let mut record =
                Record { iteration, loss, gradient_norm, cost, elapsed, soundness, end };
            if let Some(open) = open.take() {
                let cost = open.cost + cost;
                let soundness = open.soundness.worst(soundness);
                record = Record { cost, elapsed, soundness, end, ..open };
            } else if every > 1 {
                point.clone_from(&state.x);
            }
            let mut stop = !within && asked.iter().any(|stop| stop());
            let whole = (iteration + 1).is_multiple_of(every) || iteration + 1 == until;
            if whole || stop || end.is_some() {
                let x = if every > 1 { &point } else { &state.x };
                for observer in &mut *observers {
                    stop |= observer.record(&record, x).is_break();
                }
                clock = Instant::now();
            }
            if oracle.agree(f64::from(u8::from(stop))) != 0.0 {
                record.end = record.end.or(Some(End::Callback));
            }
            if whole || record.end.is_some() {
                records.push(record);
            } else {
                open = Some(record);
            }
            if record.end != Some(End::GradientNorm) {
                state.iteration += 1;
                let RunState { iteration, moments, x, .. } = &mut *state;
                self.outer.step(*iteration, moments, x, &gradient);
            }
            if record.end.is_some() {
                break;
            }
        }
        state.elapsed += clock.elapsed();
        Ok((records, None))
    }
}
