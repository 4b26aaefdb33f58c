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

use hypertape_autodiff::{Element, dot};

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::{Oracle, Point, TOGETHER};
use crate::rollout;
use crate::rule::InnerLoop;

/// The exact hypergradient by forward mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

impl<T: Element> Estimator<T> for Forward {
    fn name(&self) -> String {
        "forward".into()
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        At { x, draw, .. }: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let (p, d) = (oracle.inner_dim(), x.len());
        let most = TOGETHER.min(d);
        let (mut w, mut g, mut w_bar) = (oracle.take(p)?, oracle.take(p)?, oracle.take(p)?);
        let (mut dw, mut dg) = (oracle.take(most * p)?, oracle.take(most * p)?);
        let mut dx = oracle.take(most * d)?;
        let mut loss = T::zero();
        for first in (0..d.max(1)).step_by(TOGETHER) {
            let columns = most.min(d - first);
            let (dw, dg) = (&mut dw[..columns * p], &mut dg[..columns * p]);
            let dx = &mut dx[..columns * d];
            dx.fill(T::zero());
            (0..columns).for_each(|k| dx[k * d + first + k] = T::one());
            oracle.push_init(x, draw, dx, dw)?;
            rollout::forward(oracle, inner, x, draw, &mut w, &mut g, |oracle, point, t, g| {
                oracle.push_gradient(point, t, [dw, dx], g, dg)?;
                inner.step(dw, dg);
                Ok(T::zero())
            })?;
            if first == 0 {
                loss = oracle.outer_gradient(Point { w: &w, x, draw }, &mut w_bar, gradient)?;
            }
            for (entry, column) in gradient[first..].iter_mut().zip(dw.chunks_exact(p.max(1))) {
                *entry += dot(&w_bar, column);
            }
        }
        for vector in [dx, dg, dw, w_bar, g, w] {
            oracle.give(vector);
        }
        rollout::finite_loss(loss, inner)
    }
}
