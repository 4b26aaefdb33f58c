//! `Equation`: the linear system of an implicit estimate where an inner loop ended, by its products.
//!
//! ```text
//! minimum       H v = df/dw                              x_bar = df/dx - B^T v
//! fixed point   v = df/ds + (dT/ds)^T v,  s = T(s, x)    x_bar = df/dx + (dT/dx)^T v
//! ```
//!
//! The second is that of a rule whose steps `T` come to rest elsewhere than where `dg/dw = 0`, such as those of a proximal
//! map: `A v = df/ds` with `A = I - (dT/ds)^T`, by the pull-back of a step (Blondel et al. 2022; at kinks, the derivative is
//! that of the rule). Its state `s` is `w` and what the rule remembers, as the loop left them, and `T` is the step after the
//! last, with its index: a rule that remembers, or goes by the index, is taken to have come to rest in that too.
//!
//! Cost of a product: one with the Hessian; of a fixed point also the pull-back of an update, and once for each inner step
//! whose loss is asked for a gradient.

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::error::Error;
use crate::inner::InnerLoop;
use crate::linear::Operator;
use crate::oracle::Oracle;
use crate::params::norm;
use crate::rollout::Task;

/// The system at the state in which an inner loop ended.
pub(crate) struct Equation<'o, 'p, 'v, T> {
    pub(crate) oracle: &'o mut Oracle<'p, T>,
    at: Task<'v, T>,
    state: &'v [T],
    pull: Option<Pull<T>>,
}

/// What the pull-back of a step needs.
struct Pull<T> {
    /// Where the gradient is taken, if not at `w`.
    ahead: Vec<T>,
    gradient: Vec<T>,
    /// The inner step whose gradient that is.
    of: Option<usize>,
    /// The adjoint of the gradient, and its product with the Hessian.
    u: Vec<T>,
    product: Vec<T>,
    /// A mixed product, or an adjoint of `x` that nobody asked for.
    mixed: Vec<T>,
}

impl<'o, 'p, 'v, T: Element> Equation<'o, 'p, 'v, T> {
    pub(crate) fn new(
        oracle: &'o mut Oracle<'p, T>,
        at: Task<'v, T>,
        state: &'v [T],
    ) -> Result<Self, Error> {
        let mut pull = None;
        if !oracle.stationary() {
            let p = oracle.inner_dim();
            let mut ahead = oracle.take(p)?;
            let step = at.step(at.inner.steps());
            if !oracle.query(at.x, state, step, &mut ahead)? {
                oracle.give(std::mem::take(&mut ahead));
            }
            let (gradient, of) = (oracle.take(p)?, None);
            let (u, product, mixed) = (oracle.take(p)?, oracle.take(p)?, oracle.take(at.x.len())?);
            pull = Some(Pull { ahead, gradient, of, u, product, mixed });
        }
        Ok(Self { oracle, at, state, pull })
    }

    /// Whether it is that of a fixed point, whose matrix is not symmetric.
    pub(crate) fn is_fixed_point(&self) -> bool {
        self.pull.is_some()
    }

    /// The number `c` for which `v <- v + c (b - A v)` is an iteration by inner steps.
    pub(crate) fn step(&self) -> f64 {
        if self.pull.is_some() { 1.0 } else { self.at.inner.lr() }
    }

    /// Whether the rule itself goes by `x`, as one with a learned threshold does.
    pub(crate) fn rule_sees_x(&mut self) -> Result<bool, Error> {
        self.know_gradient(self.at.inner.steps())?;
        let Self { oracle, at, state, pull: Some(pull) } = self else { return Ok(false) };
        let mut bar = oracle.take(state.len())?;
        bar.fill(T::nan());
        pull.mixed.fill(T::zero());
        let step = at.step(at.inner.steps());
        let from = (*state, &pull.gradient[..]);
        oracle.pull(at.x, from, step, [&mut bar, &mut pull.u, &mut pull.mixed])?;
        oracle.give(bar);
        // What the adjoint of the step goes into is NaN by now.
        Ok(!all_finite(&pull.mixed))
    }

    /// How far the inner loop is from rest: `|dg/dw|`, or the length of the next step over `lr`. Leaves anything in `scratch`,
    /// which has the length of the state. Cost: a gradient, and where it is that of a fixed point, a step.
    pub(crate) fn unrest(&mut self, scratch: &mut [T]) -> Result<T, Error> {
        let next = self.at.inner.steps();
        self.know_gradient(next)?;
        let (Task { inner, x, .. }, p) = (self.at, self.oracle.inner_dim());
        let (w, quantity) = (&self.state[..p], "the gradient of the inner loss");
        let Some(pull) = &self.pull else {
            self.oracle.inner_gradient(self.at.point(w), next, scratch)?;
            finite(scratch, quantity, inner)?;
            return Ok(norm(scratch));
        };
        scratch.copy_from_slice(self.state);
        self.oracle.advance(x, scratch, &pull.gradient, self.at.step(next))?;
        self.oracle.count_step();
        let moved = &mut scratch[..p];
        axpy(moved, -T::one(), w);
        finite(moved, "a step of the inner loop", inner)?;
        Ok(norm(moved) / T::from_f64(inner.lr()))
    }

    /// Evaluates the gradient of inner step `t`, where pull-backs go by it and it is not at hand.
    fn know_gradient(&mut self, t: usize) -> Result<(), Error> {
        let Self { oracle, at, state, pull: Some(pull) } = self else { return Ok(()) };
        if pull.of == Some(t) {
            return Ok(());
        }
        let mut w = &state[..pull.gradient.len()];
        if !pull.ahead.is_empty() {
            oracle.query(at.x, state, at.step(t), &mut pull.ahead)?;
            w = &pull.ahead;
        }
        oracle.inner_gradient(at.point(w), t, &mut pull.gradient)?;
        pull.of = Some(t);
        finite(&pull.gradient, "the gradient of the inner loss", at.inner)
    }

    /// `A u` with the loss of inner step `t`, finite; on request also adds to `x_bar` what `u` for `v` says to `x`.
    pub(crate) fn apply(
        &mut self,
        t: usize,
        u: &[T],
        au: &mut [T],
        x_bar: Option<&mut [T]>,
    ) -> Result<(), Error> {
        self.know_gradient(t)?;
        let Self { oracle, at, state, pull } = self;
        let Task { inner, x, .. } = *at;
        let Some(Pull { ahead, gradient, u: of_gradient, product, mixed, .. }) = pull else {
            let point = at.point(state);
            let Some(x_bar) = x_bar else {
                oracle.hessian_product(point, t, u, au)?;
                return finite(au, "a product with the inner Hessian", inner);
            };
            let mut mixed = oracle.take(x_bar.len())?;
            oracle.inner_products(point, t, u, au, &mut mixed)?;
            axpy(x_bar, -T::one(), &mixed);
            oracle.give(mixed);
            return Ok(());
        };
        let step = at.step(t);
        let w = if ahead.is_empty() { &state[..gradient.len()] } else { &ahead[..] };
        let (point, from) = (at.point(w), (*state, &gradient[..]));
        au.copy_from_slice(u);
        if let Some(x_bar) = x_bar {
            oracle.pull(x, from, step, [au, of_gradient, x_bar])?;
            oracle.inner_products(point, t, of_gradient, product, mixed)?;
            axpy(x_bar, T::one(), mixed);
        } else {
            oracle.pull(x, from, step, [au, of_gradient, mixed])?;
            oracle.hessian_product(point, t, of_gradient, product)?;
        }
        if ahead.is_empty() {
            axpy(&mut au[..product.len()], T::one(), product);
        } else {
            oracle.pull_query(x, state, step, product, au)?;
        }
        for (au, &u) in au.iter_mut().zip(u) {
            *au = u - *au;
        }
        finite(au, "the pull-back of an inner step", inner)
    }

    /// Gives its vectors back.
    pub(crate) fn close(self) {
        let Some(Pull { ahead, gradient, u, product, mixed, .. }) = self.pull else { return };
        for vector in [mixed, product, u, gradient, ahead].into_iter().filter(|v| !v.is_empty()) {
            self.oracle.give(vector);
        }
    }
}

impl<T: Element> Operator<T> for Equation<'_, '_, '_, T> {
    fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error> {
        self.apply(self.at.inner.steps(), u, au, None)
    }

    fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.oracle.take(len)
    }

    fn give(&mut self, vector: Vec<T>) {
        self.oracle.give(vector);
    }
}

pub(crate) fn finite<T: Element>(
    a: &[T],
    quantity: &'static str,
    inner: &InnerLoop,
) -> Result<(), Error> {
    if all_finite(a) {
        return Ok(());
    }
    Err(Error::NonFinite { quantity, step: None, lr: inner.lr() })
}
