//! The inner run: forward steps from the start, checked as they go.

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::{Oracle, Point};
use crate::params::all_finite;
use crate::rule::InnerLoop;

/// Runs the inner loop from its start and leaves `w_r` in `w`; `visit(t, w_t)` sees every state before step `t`.
///
/// Cost: `r` steps and inner gradients. `gradient` is scratch.
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
    mut visit: impl FnMut(usize, &[T]),
) -> Result<(), Error> {
    oracle.init(x, draw, w)?;
    for t in 0..inner.steps() {
        visit(t, w);
        oracle.inner_gradient(Point { w, x, draw }, t, gradient)?;
        if !all_finite(gradient) {
            let quantity = "the gradient of the inner loss";
            return Err(Error::NonFinite { quantity, step: Some(t), lr: inner.lr() });
        }
        inner.step(w, gradient);
        oracle.count_step();
    }
    Ok(())
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
    let mut total = T::zero();
    for slot in 0..batch {
        let draw = draw.for_task(oracle.task(draw, slot));
        total += solve(oracle, inner, x, draw, w)?;
    }
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
    let mut gradient = vec![T::zero(); oracle.inner_dim()];
    w.resize(gradient.len(), T::zero());
    forward(oracle, inner, x, draw, w, &mut gradient, |_, _| {})?;
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
