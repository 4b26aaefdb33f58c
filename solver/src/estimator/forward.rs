//! `Forward`: the exact gradient by forward mode, which stores no steps.
//!
//! `Z_t = dw_t/dx` runs along with the inner loop (Franceschi et al. 2017, algorithm 2):
//!
//! ```text
//! Z_0 = dw_0/dx,    Z_{t+1} = Z_t - lr (H_t Z_t + B_t),    dF/dx = df/dx + Z_r^T df/dw
//! ```
//!
//! Four columns of `Z` at a time, each block of them in a run of its own: the gradient that the run needs comes with
//! the sweep of its columns, so running again costs nothing but the steps, and memory holds four columns, not `d`.
//!
//! Cost for `d` outer variables: `r d` Hessian-vector with `r d` mixed products in `r ceil(d/4)` sweeps, which evaluate the
//! inner gradients; `r ceil(d/4)` plain steps; one outer gradient. Memory: `3 p + min(4, d) (2 p + d)` values and the
//! arenas of one sweep, whatever `r`. No bias. It pays where `d` is small or memory is.

use hypertape_autodiff::{Element, all_finite, axpy, dot};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point, TOGETHER};
use crate::rollout::{Task, finite_loss};
use crate::rule::Step;
use crate::spelling::without_settings;

/// The exact hypergradient by forward mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

without_settings! {
    Forward: "forward",
        "the same by forward mode, four outer directions at a time; no bias, no stored states",
        "r d HVPs, r d/4 sweeps";
}

impl<T: Element> Estimator<T> for Forward {
    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let d = at.x.len();
        let units = |first: usize, dx: &mut [T]| {
            let columns = dx.chunks_exact_mut(d.max(1)).enumerate();
            columns.for_each(|(k, u)| u[first + k] = T::one());
        };
        along(oracle, inner, at, gradient, d, units, None)
    }
}

/// `df/dx + sum_u ((dw_r/dx u)^T df/dw) u`, a sum over so many directions. `fill(k, dx)` writes directions `k, k + 1, ...`, as
/// many as `dx` has room for, where zeros are. With `first_order`, a buffer, the sum is of what differs from the first-order
/// gradient, which is added.
pub(crate) fn along<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    Task { x, draw, .. }: Task<T>,
    gradient: &mut [T],
    directions: usize,
    fill: impl Fn(usize, &mut [T]),
    mut first_order: Option<&mut [T]>,
) -> Result<T, Error> {
    if inner.tolerance().is_some() {
        return Err(refused("a tolerance"));
    }
    let (p, d) = (oracle.inner_dim(), x.len());
    let most = TOGETHER.min(directions);
    let (mut w, mut g, mut w_bar) = (oracle.take(p)?, oracle.take(p)?, oracle.take(p)?);
    let (mut dw, mut dg) = (oracle.take(most * p)?, oracle.take(most * p)?);
    let mut dx = oracle.take(most * d)?;
    let mut loss = T::zero();
    for block in oracle.each(0..directions.max(1).div_ceil(TOGETHER)) {
        let first = block * TOGETHER;
        let columns = most.min(directions - first);
        let (dw, dg) = (&mut dw[..columns * p], &mut dg[..columns * p]);
        let dx = &mut dx[..columns * d];
        dx.fill(T::zero());
        fill(first, dx);
        oracle.init(x, draw, &mut w)?;
        oracle.push_init(x, draw, dx, dw)?;
        for t in oracle.each(0..inner.steps()) {
            let step = Step::new(t, inner.lr());
            let Some(c) = oracle.multiple(step) else {
                return Err(refused(oracle.rule()));
            };
            oracle.push_gradient(Point { w: &w, x, draw }, t, [dw, dx], &mut g, dg)?;
            if !all_finite(&g) {
                let quantity = "the gradient of the inner loss";
                return Err(Error::NonFinite { quantity, step: Some(t), lr: inner.lr() });
            }
            axpy(&mut w, T::from_f64(c), &g);
            axpy(dw, T::from_f64(c), dg);
            oracle.count_step();
        }
        if first == 0 {
            loss = oracle.outer_gradient(Point { w: &w, x, draw }, &mut w_bar, gradient)?;
            if let Some(start) = &mut first_order {
                start.fill(T::zero());
                oracle.pull_init(x, draw, &w_bar, start)?;
                axpy(gradient, T::one(), start);
            }
        }
        for (u, column) in dx.chunks_exact(d.max(1)).zip(dw.chunks_exact(p.max(1))) {
            let known = first_order.as_ref().map_or(T::zero(), |start| dot(start, u));
            axpy(gradient, dot(&w_bar, column) - known, u);
        }
    }
    oracle.keep_end(draw, &w);
    for vector in [dx, dg, dw, w_bar, g, w] {
        oracle.give(vector);
    }
    finite_loss(loss, inner)
}

fn refused(found: impl std::fmt::Display) -> Error {
    Error::invalid("the inner loop of forward mode", found, "gradient descent of so many steps")
}
