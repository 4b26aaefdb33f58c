//! `Equation`: the linear system of an implicit estimate at the end of an inner loop, given by its products.
//!
//! ```text
//! minimum       H v = df/dw                              x_bar = df/dx - B^T v
//! fixed point   v = df/ds + (dT/ds)^T v,  s = T(s, x)    x_bar = df/dx + (dT/dx)^T v
//! ```
//!
//! The second system is for rules whose step `T` has other fixed points than `dg/dw = 0`, for example a proximal map:
//! `A v = df/ds` with `A = I - (dT/ds)^T`, through the pull-back of a step (Blondel et al. 2022; at kinks, the
//! derivative is that of the rule). The state `s` is `w` together with the rule's own variables at the end of the loop,
//! and `T` is the step after the last, with its index. The rule's own variables, and any dependence on the index, are
//! assumed to have converged as well.
//!
//! Cost of a product: one Hessian-vector product. A fixed point also takes the pull-back of an update, and one gradient
//! for each inner step whose loss is used.

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::error::Error;
use crate::inner::finite;
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

/// Working memory for the pull-back of a step.
struct Pull<T> {
    /// The point at which the gradient is taken, empty if that is `w`.
    ahead: Vec<T>,
    gradient: Vec<T>,
    /// The inner step to which `gradient` belongs.
    of: Option<usize>,
    /// The adjoint of the gradient, and its product with the Hessian.
    u: Vec<T>,
    product: Vec<T>,
    /// A mixed product, or an adjoint of `x` that is not needed.
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

    /// The number `c` for which `v <- v + c (b - A v)` iterates by inner steps.
    pub(crate) fn step(&self) -> f64 {
        if self.pull.is_some() { 1.0 } else { self.at.inner.lr() }
    }

    /// Whether the update itself depends on `x`, as with a learned threshold.
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
        // The adjoint of the step is NaN, so everything it contributes to has become NaN.
        Ok(!all_finite(&pull.mixed))
    }

    /// Returns the distance of the inner loop from its limit: `|dg/dw|`, or the length of the next step divided by
    /// `lr`. `scratch` has the length of the state, and its final content is unspecified. Cost: a gradient and, for a
    /// fixed point, one step.
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

    /// Evaluates the gradient of inner step `t`, if pull-backs need it and it is not the current one.
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

    /// Writes `A u` for the loss of inner step `t` into `au` and checks that it is finite. If `x_bar` is given, adds to
    /// it the contribution of `u`, taken as the solution `v`.
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

    /// Gives the vectors back to the oracle.
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
