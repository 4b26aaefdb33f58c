//! `Exact`: the gradient of the unrolled inner loop, from stored states.
//!
//! Forward, the states `w_0 .. w_{r-1}` are stored. Backward, with `w_bar = df/dw` and `x_bar = df/dx` at `w_r`, each
//! step from the last to the first takes one forward-over-reverse sweep at its stored state, which gives both products:
//!
//! ```text
//! x_bar <- x_bar - lr (d2g/dw dx)^T w_bar
//! w_bar <- w_bar - lr d2g/dw2 w_bar
//! ```
//!
//! and at the start `x_bar <- x_bar + (dw_0/dx)^T w_bar` (reverse-mode unrolling: Maclaurin, Duvenaud and Adams 2015;
//! Franceschi et al. 2017, algorithm 1).
//!
//! Cost for `r` steps, `p` inner and `d` outer variables: `r` inner gradients, `r` Hessian-vector products with `r`
//! mixed products, one outer gradient. Memory: `(r + 3) p + d` values (the states, the running state, `w_bar`, one
//! product, and a mixed product) and the arenas of one sweep. No bias.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::{Oracle, Point};
use crate::rollout;
use crate::rule::InnerLoop;

/// The exact hypergradient, all states stored.
#[derive(Clone, Debug, Default)]
pub struct Exact<T> {
    states: Vec<T>,
    w: Vec<T>,
    w_bar: Vec<T>,
    product: Vec<T>,
    mixed: Vec<T>,
}

impl<T: Element> Estimator<T> for Exact<T> {
    fn name(&self) -> String {
        "exact".into()
    }

    fn task(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.with_first_order(oracle, inner, at, gradient, None)
    }
}

impl<T: Element> Exact<T> {
    /// The exact gradient and, on request, the first-order one, which costs one more pull-back of the start.
    pub(crate) fn with_first_order(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        At { x, draw, .. }: At<T>,
        gradient: &mut [T],
        first_order: Option<&mut [T]>,
    ) -> Result<T, Error> {
        let p = oracle.inner_dim();
        self.resize(inner.steps(), p, x.len())?;
        oracle.hold(self.states.len() + 3 * p + x.len());

        let Self { states, w, w_bar, product, mixed } = self;
        let store = |t: usize, w: &[T]| states[t * p..(t + 1) * p].copy_from_slice(w);
        rollout::forward(oracle, inner, x, draw, w, product, store)?;
        let loss = oracle.outer_gradient(Point { w, x, draw }, w_bar, gradient)?;
        let loss = rollout::finite_loss(loss, inner)?;
        if let Some(first_order) = first_order {
            first_order.copy_from_slice(gradient);
            oracle.pull_init(x, draw, w_bar, first_order)?;
        }
        for t in (0..inner.steps()).rev() {
            let point = Point { w: &states[t * p..(t + 1) * p], x, draw };
            oracle.inner_products(point, t, w_bar, product, mixed)?;
            inner.pull(w_bar, gradient, product, mixed);
        }
        oracle.pull_init(x, draw, w_bar, gradient)?;
        Ok(loss)
    }

    fn resize(&mut self, steps: usize, p: usize, d: usize) -> Result<(), Error> {
        let states = steps.checked_mul(p).filter(|n| n.checked_mul(size_of::<T>()).is_some());
        let states = states.ok_or_else(|| {
            Error::invalid(
                "stored states",
                format!("{steps} steps of {p} values"),
                "less than memory can address",
            )
        })?;
        let grow = states.saturating_sub(self.states.len());
        self.states.try_reserve_exact(grow).map_err(|_| {
            let bytes = states * size_of::<T>();
            Error::invalid(
                "stored states",
                format!("{bytes} bytes for {steps} steps"),
                "memory that the system gives",
            )
        })?;
        self.states.resize(states, T::zero());
        for (vector, len) in
            [(&mut self.w, p), (&mut self.w_bar, p), (&mut self.product, p), (&mut self.mixed, d)]
        {
            vector.resize(len, T::zero());
        }
        Ok(())
    }
}
