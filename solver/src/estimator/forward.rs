//! `Forward`: the exact gradient by forward mode, which stores no steps.
//!
//! `Z_t = dw_t/dx` is computed along with the inner loop (Franceschi et al. 2017, algorithm 2):
//!
//! ```text
//! Z_0 = dw_0/dx,    Z_{t+1} = Z_t - lr (H_t Z_t + B_t),    dF/dx = df/dx + Z_r^T df/dw
//! ```
//!
//! for gradient descent. Other rules propagate tangents of their whole state. A tolerance ends the computation where it
//! ends the loop.
//!
//! `Z` is computed in blocks of four columns, each in a separate run. The sweep of the columns also computes the
//! gradient that the run needs, so repeating the run costs only the steps, and memory holds four columns instead of
//! `d`.
//!
//! Cost for `d` outer variables: `r d` Hessian-vector with `r d` mixed products in `r ceil(d/4)` sweeps, which evaluate
//! the inner gradients; `r ceil(d/4)` plain steps; and one outer gradient. Memory: `3 p + min(4, d) (2 p + d)` values
//! and the arenas of one sweep, for any `r`, and more for rules that do more than multiply a gradient. The estimate has
//! no bias. It is useful if `d` is small or memory is scarce.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::{Oracle, TOGETHER};
use crate::rollout::{Rollout, Task, finite_loss};
use crate::spelling::spelled;

/// The exact hypergradient by forward mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

spelled! {
    Forward: "forward",
        "exact, by forward mode, four outer directions at a time; stores no states",
        "r d HVPs, r d/4 sweeps";
}

impl<T: Element> Estimator<T> for Forward {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        let d = at.x.len();
        let units = |first: usize, dx: &mut [T]| {
            let columns = dx.chunks_exact_mut(d.max(1)).enumerate();
            columns.for_each(|(k, u)| u[first + k] = T::one());
        };
        along(oracle, at, gradient, d, units, None)
    }
}

/// Computes `df/dx + sum_u ((dw_r/dx u)^T df/dw) u`, a sum over `directions` directions. `fill(k, dx)` writes
/// directions `k, k + 1, ...` into `dx`, which is zero before, as many as fit. If the buffer `first_order` is given,
/// the sum is over the difference from the first-order gradient, and the first-order gradient is added.
pub(crate) fn along<T: Element>(
    oracle: &mut Oracle<T>,
    at: Task<T>,
    gradient: &mut [T],
    directions: usize,
    fill: impl Fn(usize, &mut [T]),
    mut first_order: Option<&mut [T]>,
) -> Result<T, Error> {
    let (p, n, d) = (oracle.inner_dim(), oracle.state_dim(), at.x.len());
    let most = TOGETHER.min(directions);
    let (mut dx, mut tangents) = (oracle.take(most * d)?, oracle.take(most * n)?);
    let mut w_bar = oracle.take(p)?;
    let mut loss = T::zero();
    for block in oracle.each(0..directions.max(1).div_ceil(TOGETHER)) {
        let first = block * TOGETHER;
        let columns = most.min(directions - first);
        let (dx, tangents) = (&mut dx[..columns * d], &mut tangents[..columns * n]);
        dx.fill(T::zero());
        fill(first, dx);
        let (mut run, mut state) = Rollout::start(oracle, at)?;
        run.push_start(dx, tangents)?;
        for t in run.oracle().each(0..at.inner.steps()) {
            run.push_step(t, &mut state, dx, tangents)?;
            if run.ended() {
                break;
            }
        }
        run.close([]);
        let w = &state[..p];
        if first == 0 {
            let found = oracle.outer_gradient(at.point(w), &mut w_bar, gradient)?;
            loss = finite_loss(found, at.inner)?;
            if let Some(start) = &mut first_order {
                start.fill(T::zero());
                oracle.pull_init(at.x, at.draw, &w_bar, start)?;
                axpy(gradient, T::one(), start);
            }
            oracle.keep_end(at.draw, w);
        }
        for (u, tangent) in dx.chunks_exact(d.max(1)).zip(tangents.chunks_exact(n.max(1))) {
            let known = first_order.as_ref().map_or(T::zero(), |start| dot(start, u));
            axpy(gradient, dot(&w_bar, &tangent[..p]) - known, u);
        }
        oracle.give(state);
    }
    oracle.give_all([w_bar, tangents, dx]);
    Ok(loss)
}
