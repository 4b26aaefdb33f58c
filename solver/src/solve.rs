//! The inner loop alone, without derivatives.

use std::sync::Mutex;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point};
use crate::rollout::{Rollout, Task, finite_loss};

/// Runs the inner loop of every task in the meta-batch of `draw`, returns the mean outer loss, and writes `w_r` of the
/// last task into `w`.
///
/// The cost, `r` steps and inner gradients per task, is that of an estimate without its derivatives.
///
/// # Errors
/// Returns the errors of [`solve`].
pub fn mean_loss<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let (batch, inner) = (oracle.batch(), &inner.settled(oracle, x, draw)?);
    let last = Mutex::new(w);
    let total = oracle.over_tasks(draw, false, &mut [], &|oracle, slot, draw, _, _| {
        if slot + 1 == batch
            && let Ok(mut w) = last.lock()
        {
            return solve(oracle, inner, x, draw, &mut w);
        }
        let mut w = oracle.take(oracle.inner_dim())?;
        let loss = solve(oracle, inner, x, draw, &mut w);
        oracle.give(w);
        loss
    })?;
    Ok(total / T::from_f64(batch as f64))
}

/// Runs the inner loop of the task of `draw`, writes `w_r` into `w`, and returns the outer loss there.
///
/// Cost: `r` steps and inner gradients.
///
/// # Errors
/// Returns [`Error::NonFinite`] if a gradient or the outer loss is not finite, and [`Error::Function`] if the problem
/// fails.
pub fn solve<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let state = final_state(oracle, Task { inner, x, draw, slot: 0 })?;
    w.clear();
    w.extend_from_slice(&state[..oracle.inner_dim()]);
    oracle.give(state);
    let loss = oracle.outer_value(Point { w, x, draw })?;
    finite_loss(loss, inner)
}

/// Runs the inner loop of a task of an estimate, and returns its final state, to be [given back](Oracle::give).
///
/// The next warm start continues from it. Cost: `r` steps and inner gradients.
///
/// # Errors
/// Returns [`Error::NonFinite`] if a gradient is not finite, and [`Error::Function`] if the problem fails.
pub fn final_state<T: Element>(oracle: &mut Oracle<T>, at: Task<T>) -> Result<Vec<T>, Error> {
    let (mut run, mut state) = Rollout::start(oracle, at)?;
    run.forward(&mut state, |_, _| ())?;
    run.close([]);
    oracle.keep_end(at.draw, &state[..oracle.inner_dim()]);
    Ok(state)
}
