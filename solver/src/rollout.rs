//! The inner run: forward steps from the start, checked as they go.

use std::sync::Mutex;

use hypertape_autodiff::{Element, all_finite};

use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::{Oracle, Point};
use crate::rule::InnerLoop;

/// Runs the inner loop from its start and leaves `w_r` in `w`. `evaluate(oracle, point, t, gradient)` writes the inner
/// gradient at the state before step `t`, and may keep what it needs of it.
///
/// Cost: `r` steps and what is evaluated. `gradient` is scratch.
///
/// # Errors
/// [`Error::NonFinite`] at the first step whose gradient is not finite.
pub(crate) fn forward<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut [T],
    gradient: &mut [T],
    mut evaluate: impl FnMut(&mut Oracle<T>, Point<T>, usize, &mut [T]) -> Result<T, Error>,
) -> Result<(), Error> {
    oracle.init(x, draw, w)?;
    for t in 0..inner.steps() {
        evaluate(oracle, Point { w, x, draw }, t, gradient)?;
        if !all_finite(gradient) {
            let quantity = "the gradient of the inner loss";
            return Err(Error::NonFinite { quantity, step: Some(t), lr: inner.lr() });
        }
        inner.step(w, gradient);
        oracle.count_step();
    }
    Ok(())
}

/// Runs the inner loop, writes `df/dx` at its end into `gradient`, and returns the outer loss there, `df/dw`, and a
/// vector of the same length to go on with; both are to be given back. `evaluate` is that of [`forward`].
///
/// Cost: `r` steps and what is evaluated, one outer gradient. Memory: `3 p` values, `2 p` of them returned.
///
/// # Errors
/// As [`solve`].
pub(crate) fn outer_gradient<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    gradient: &mut [T],
    evaluate: impl FnMut(&mut Oracle<T>, Point<T>, usize, &mut [T]) -> Result<T, Error>,
) -> Result<(T, [Vec<T>; 2]), Error> {
    let p = oracle.inner_dim();
    let (mut w_bar, mut product, mut w) = (oracle.take(p)?, oracle.take(p)?, oracle.take(p)?);
    forward(oracle, inner, x, draw, &mut w, &mut product, evaluate)?;
    let loss = oracle.outer_gradient(Point { w: &w, x, draw }, &mut w_bar, gradient)?;
    oracle.give(w);
    Ok((finite_loss(loss, inner)?, [w_bar, product]))
}

/// Runs the inner loop of every task in the meta-batch of `draw`: the mean outer loss, and `w_r` of the last task in
/// `w`. This is what an estimate costs without any derivative: `r` steps and inner gradients a task.
///
/// # Errors
/// As [`solve`].
pub fn mean_loss<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let batch = oracle.batch();
    let last = Mutex::new(w);
    let total = oracle.over_tasks(draw, &mut [], |oracle, slot, draw, _, _| {
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

/// Runs the inner loop of the task of `draw`: `w_r` in `w`, the outer loss there as result. Cost: `r` steps and inner gradients.
///
/// # Errors
/// [`Error::NonFinite`] if a gradient or the outer loss is not finite, [`Error::Function`] if the problem fails.
pub fn solve<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let mut gradient = oracle.take(oracle.inner_dim())?;
    w.resize(gradient.len(), T::zero());
    forward(oracle, inner, x, draw, w, &mut gradient, |oracle, point, t, g| {
        oracle.inner_gradient(point, t, g)
    })?;
    oracle.give(gradient);
    let loss = oracle.outer_value(Point { w, x, draw })?;
    finite_loss(loss, inner)
}

/// Passes a finite outer loss on.
pub(crate) fn finite_loss<T: Element>(loss: T, inner: &InnerLoop) -> Result<T, Error> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::NonFinite { quantity: "the outer loss", step: None, lr: inner.lr() })
    }
}
