//! Measurement of a [`Profile`].

use std::time::Instant;

use hypertape_autodiff::Element;

use crate::adjoint::Chain;
use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::estimator::exact::Exact;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point, TOGETHER};
use crate::profile::{Evaluation, KeptSteps, Profile};
use crate::rollout::{Rollout, Task};
use crate::schedule::{Keep, Schedule};
use crate::spill::Spill;
use crate::stats::quantile;

/// Smallest number of steps that are timed one after the other.
const STEPS: usize = 8;

/// Largest number of bytes of tapes that are timed, about twice the last cache of large processors.
const FAR: u64 = 64 << 20;

impl Profile {
    /// Measures each part for the first task of `draw`, on one thread, or on all threads if they share the blocks of a
    /// task.
    ///
    /// Each is repeated `repeat` times after a first execution that is not timed.
    ///
    /// Cost: `repeat + 1` executions of each part, in total about 5 gradients and 4 products; and, if times are
    /// measured (`repeat > 0`), of as many kept tapes as a run would hold within the oracle's memory limit, at most 64
    /// MiB.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails, and [`Error::Spill`] if the disk is timed and fails.
    pub fn measure<T: Element>(
        oracle: &Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
        repeat: usize,
    ) -> Result<Self, Error> {
        let draw = draw.for_task(oracle.task(draw, 0));
        let room = oracle.memory().unwrap_or(u64::MAX).min(FAR);
        let oracle = &mut oracle.for_task();
        let (p, d, n) = (oracle.inner_dim(), oracle.outer_dim(), oracle.state_dim());
        let (mut w, mut b, mut x_bar) =
            (vec![T::zero(); p], vec![T::zero(); p], vec![T::zero(); d]);
        let columns = TOGETHER.min(d);
        let (dx, mut dg) = (vec![T::one(); columns * d], vec![T::zero(); columns * p]);
        let mut dw = dg.clone();
        let init = piece(oracle, repeat, |o| o.init(x, draw, &mut w))?;
        let point = Point { w: &w, x, draw };
        let mut profile = Self {
            value: size_of::<T>() as u64,
            inner: p as u64,
            outer: d as u64,
            state: n as u64,
            init,
            products: piece(oracle, repeat, |o| {
                o.inner_products(point, 0, &w, &mut b, &mut x_bar)
            })?,
            hessian: piece(oracle, repeat, |o| o.hessian_product(point, 0, &w, &mut b))?,
            push_init: piece(oracle, 0, |o| o.push_init(x, draw, &dx, &mut dw))?,
            push_gradient: piece(oracle, 0, |o| {
                o.push_gradient(point, 0, [&dw, &dx], &mut b, &mut dg)
            })?,
            outer_gradient: piece(oracle, repeat, |o| {
                o.outer_gradient(point, &mut b, &mut x_bar).map(|_| ())
            })?,
            pull_init: piece(oracle, repeat, |o| o.pull_init(x, draw, &w, &mut x_bar))?,
            tape: oracle.keep_gradient(point, 0, 0, &mut b)?,
            ..Self::default()
        };
        oracle.pull_kept(0, &w, &mut b, &mut x_bar)?;
        if repeat > 0 {
            let gradient =
                piece(oracle, repeat, |o| o.inner_gradient(point, 0, &mut b).map(|_| ()))?;
            let most = tapes_within(oracle, inner, (x, draw), room)?.min(inner.steps());
            let mut time = |steps: usize, tapes| {
                let steps = steps.min(inner.steps());
                measure_steps(oracle, Task { inner, x, draw, slot: 0 }, repeat, (steps, tapes))
            };
            // Short steps are faster once caches are warm; many long ones would only take time.
            let long = |&steps: &usize| steps as f64 * gradient.seconds > 0.01;
            let steps = (STEPS..8 * STEPS).step_by(STEPS).find(long).unwrap_or(8 * STEPS);
            [profile.step_seconds, profile.reverse_seconds] = time(steps, false)?;
            let mut kept = |tapes: usize| {
                let [record, pull] = time(tapes, true)?;
                Ok::<_, Error>(KeptSteps { tapes, record, pull })
            };
            profile.near = kept(STEPS.min(most))?;
            profile.far = kept(most)?;
            let mut spill = Spill::new(n)?;
            let mut state = vec![T::zero(); n];
            profile.write = piece(oracle, repeat, |_| spill.write(0, &state))?;
            profile.read = piece(oracle, repeat, |_| spill.read(0, &mut state))?;
        }
        Ok(profile)
    }
}

/// Number of tapes that fit into `room` bytes, at least one.
fn tapes_within<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    (x, draw): (&[T], Draw),
    room: u64,
) -> Result<usize, Error> {
    let exact = Exact::new(Schedule::StoreAll { keep: Keep::Tapes });
    let mut of = |steps| exact.predict(oracle, &inner.with_steps(steps), x, draw);
    // No step beyond the last: a rule may have arrays with an entry per step.
    let few = inner.steps().min(5).saturating_sub(1);
    let (fewer, more) = (of(few)?, of(few + 1)?);
    let each = (more - fewer).max(1);
    let tapes = (room.saturating_add(few as u64 * each)).saturating_sub(fewer) / each;
    Ok(usize::try_from(tapes).unwrap_or(usize::MAX).max(1))
}

/// Times whole steps, one after the other as in a run, forward and in reverse, from states or from tapes. The result
/// for one step is the mean over groups of steps of the median of the repeats, so that interruptions by other processes
/// do not count.
fn measure_steps<T: Element>(
    oracle: &mut Oracle<T>,
    at: Task<T>,
    repeat: usize,
    (steps, tapes): (usize, bool),
) -> Result<[f64; 2], Error> {
    let mut x_bar = vec![T::zero(); at.x.len()];
    let groups: Vec<_> = (0..steps).step_by(STEPS).map(|t| t..(t + STEPS).min(steps)).collect();
    let mut seconds = vec![[Vec::new(), Vec::new()]; groups.len()];
    for _ in 0..=repeat {
        oracle.begin();
        let (mut run, mut state) = Rollout::start(oracle, at)?;
        let n = state.len();
        let mut bar = vec![T::one(); n];
        run.keep_tapes(if tapes { steps } else { 0 })?;
        let mut states = vec![T::zero(); if tapes { 0 } else { steps * n }];
        for (group, seconds) in groups.iter().zip(&mut seconds) {
            let clock = Instant::now();
            for t in group.clone() {
                if tapes {
                    run.record(t, t, &mut state)?;
                } else {
                    states[t * n..(t + 1) * n].copy_from_slice(&state);
                    run.step(t, &mut state)?;
                }
            }
            seconds[0].push(clock.elapsed().as_secs_f64());
        }
        for (group, seconds) in groups.iter().zip(&mut seconds).rev() {
            let clock = Instant::now();
            for t in group.clone().rev() {
                if tapes {
                    run.pull(t, t, [&mut bar, &mut x_bar])?;
                } else {
                    run.pull_step(t, &states[t * n..(t + 1) * n], &mut bar, &mut x_bar)?;
                }
            }
            seconds[1].push(clock.elapsed().as_secs_f64());
        }
        run.close([state]);
    }
    let of = |k: usize| {
        let median = |group: &mut [Vec<f64>; 2]| quantile(&mut group[k][1..], 0.5);
        seconds.iter_mut().map(median).sum::<f64>() / steps.max(1) as f64
    };
    Ok([0, 1].map(of))
}

/// Measures the bytes and seconds of `act`.
fn piece<T: Element>(
    oracle: &mut Oracle<T>,
    repeat: usize,
    mut act: impl FnMut(&mut Oracle<T>) -> Result<(), Error>,
) -> Result<Evaluation, Error> {
    let mut least = Evaluation { bytes: 0, seconds: f64::INFINITY };
    for round in 0..=repeat {
        oracle.begin();
        let clock = Instant::now();
        act(oracle)?;
        least.bytes = oracle.cost().bytes_measured;
        if round > 0 || repeat == 0 {
            least.seconds = least.seconds.min(clock.elapsed().as_secs_f64());
        }
    }
    Ok(least)
}
