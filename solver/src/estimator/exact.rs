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
//! mixed products, one outer gradient. Memory: `(r + 2) p` values (the states, `w_bar` and one product), `p` more forward
//! (the running state) and `d` more backward (a mixed product), and the arenas of one sweep. No bias.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::{Oracle, Point};
use crate::rollout;
use crate::rule::InnerLoop;

/// The exact hypergradient, all states stored.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Exact {}

impl<T: Element> Estimator<T> for Exact {
    fn name(&self) -> String {
        "exact".into()
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        with_first_order(oracle, inner, at, gradient, None)
    }
}

/// The exact gradient and, on request, the first-order one, which costs one more pull-back of the start.
pub(crate) fn with_first_order<T: Element>(
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
    let store = |t: usize, w: &[T]| states[t * p..(t + 1) * p].copy_from_slice(w);
    let (loss, [mut w_bar, mut product]) =
        rollout::outer_gradient(oracle, inner, x, draw, gradient, store)?;
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
