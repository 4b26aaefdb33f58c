//! `Exact`: the gradient of the unrolled inner loop, from stored states or kept tapes.
//!
//! Forward, each of the states `w_0 .. w_{r-1}` is stored, or the tape of the gradient there. Backward, with
//! `w_bar = df/dw` and `x_bar = df/dx` at `w_r`, each step from the last to the first takes one sweep, which gives both
//! products: forward over reverse at a stored state, the pull-back of a kept tape.
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
//! mixed products, one outer gradient. Memory: `2 p` values (`w_bar` and one product), `p` more forward (the running
//! state) and `d` more backward (a mixed product), the arenas of one sweep, and `r p` values for the states, or for each
//! tape `p + d` values and every value and record of one gradient. No bias. Tapes sum in another order than states, so
//! the two agree to rounding.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::{Oracle, Point};
use crate::rollout;
use crate::rule::InnerLoop;
use crate::schedule::{Keep, Schedule};

/// The exact hypergradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    schedule: Schedule,
}

impl Exact {
    /// With what `schedule` stores.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule }
    }
}

impl<T: Element> Estimator<T> for Exact {
    fn name(&self) -> String {
        "exact".into()
    }

    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        match self.schedule {
            Schedule::StoreAll { keep: Keep::States } => {
                from_states(oracle, inner, at, gradient, None)
            }
            Schedule::StoreAll { keep: Keep::Tapes } => from_tapes(oracle, inner, at, gradient),
        }
    }
}

/// From stored states, and on request the first-order gradient besides, which costs one more pull-back of the start.
pub(crate) fn from_states<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    At { x, draw, .. }: At<T>,
    gradient: &mut [T],
    first_order: Option<&mut [T]>,
) -> Result<T, Error> {
    let (steps, p) = (inner.steps(), oracle.inner_dim());
    let mut states = oracle.take(steps.saturating_mul(p)).map_err(|_| {
        let found = format!("{steps} steps of {p} values");
        Error::invalid("stored states", found, "less than memory has room for")
    })?;
    let (loss, [mut w_bar, mut product]) =
        rollout::outer_gradient(oracle, inner, x, draw, gradient, |oracle, point, t, gradient| {
            states[t * p..(t + 1) * p].copy_from_slice(point.w);
            oracle.inner_gradient(point, t, gradient)
        })?;
    if let Some(first_order) = first_order {
        first_order.copy_from_slice(gradient);
        oracle.pull_init(x, draw, &w_bar, first_order)?;
    }
    let mut mixed = oracle.take(x.len())?;
    for t in (0..steps).rev() {
        let point = Point { w: &states[t * p..(t + 1) * p], x, draw };
        oracle.inner_products(point, t, &w_bar, &mut product, &mut mixed)?;
        inner.pull(&mut w_bar, gradient, &product, &mixed);
    }
    oracle.pull_init(x, draw, &w_bar, gradient)?;
    for vector in [mixed, product, w_bar, states] {
        oracle.give(vector);
    }
    Ok(loss)
}

/// From kept tapes, one a step.
fn from_tapes<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    At { x, draw, .. }: At<T>,
    gradient: &mut [T],
) -> Result<T, Error> {
    let keep = |oracle: &mut Oracle<T>, point: Point<T>, t, gradient: &mut [T]| {
        oracle.keep_gradient(point, t, t, gradient)
    };
    let (loss, [mut w_bar, mut product]) =
        rollout::outer_gradient(oracle, inner, x, draw, gradient, keep)?;
    let mut mixed = oracle.take(x.len())?;
    for t in (0..inner.steps()).rev() {
        oracle.pull_kept(t, &w_bar, &mut product, &mut mixed)?;
        inner.pull(&mut w_bar, gradient, &product, &mixed);
    }
    oracle.pull_init(x, draw, &w_bar, gradient)?;
    for vector in [mixed, product, w_bar] {
        oracle.give(vector);
    }
    Ok(loss)
}
