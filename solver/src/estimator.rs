//! Estimators of the hypergradient: one trait, one file each.

pub(crate) mod exact;
pub(crate) mod first_order;
pub(crate) mod full_tape;
pub(crate) mod ufom;

use std::fmt;
use std::time::Instant;

use hypertape_autodiff::Element;

use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::params::{all_finite, axpy};
use crate::rule::InnerLoop;

/// What an estimator returns besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The outer loss after the inner loop.
    pub loss: T,
    /// What the call cost.
    pub cost: Cost,
}

/// A way to compute, or estimate, `dF/dx` for `F(x) = E_task f(x, w_r(x))`.
pub trait Estimator<T: Element>: fmt::Debug {
    /// The name under which it is chosen, with its settings.
    fn name(&self) -> String;

    /// Writes the gradient of one task's outer loss at `at.x` into `gradient` and returns that loss.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    fn task(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error>;

    /// Writes the mean gradient over the meta-batch of `draw` at `x` into `gradient`.
    ///
    /// Memory: that of one task, and one more gradient where there are several.
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
        oracle.begin();
        let batch = oracle.batch();
        let loss = if batch == 1 {
            let draw = draw.for_task(oracle.task(draw, 0));
            self.task(oracle, inner, At { x, draw, slot: 0 }, gradient)?
        } else {
            mean(self, oracle, inner, (x, draw), gradient)?
        };
        if !all_finite(gradient) {
            let quantity = "the hypergradient";
            return Err(Error::NonFinite { quantity, step: None, lr: inner.lr() });
        }
        let mut cost = oracle.cost();
        cost.time = clock.elapsed();
        Ok(Estimate { loss, cost })
    }
}

/// The mean over a meta-batch, task after task.
fn mean<T: Element, E: Estimator<T> + ?Sized>(
    estimator: &mut E,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    (x, draw): (&[T], Draw),
    gradient: &mut [T],
) -> Result<T, Error> {
    let batch = oracle.batch();
    let share = T::from_f64((batch as f64).recip());
    let mut part = oracle.take_scratch(x.len());
    gradient.fill(T::zero());
    let mut loss = T::zero();
    for slot in 0..batch {
        let draw = draw.for_task(oracle.task(draw, slot));
        let held = oracle.held();
        loss += share * estimator.task(oracle, inner, At { x, draw, slot }, &mut part)?;
        oracle.release_to(held);
        axpy(gradient, share, &part);
    }
    oracle.return_scratch(part);
    Ok(loss)
}

/// What one task's gradient is about.
#[derive(Clone, Copy, Debug)]
pub struct At<'v, T> {
    /// The outer point.
    pub x: &'v [T],
    /// The outer iteration and the task.
    pub draw: Draw,
    /// The task's place in the meta-batch.
    pub slot: usize,
}

fn expect_length(what: &str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::length(what, expected, found)) }
}
