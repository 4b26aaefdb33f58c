//! `Truncated`: reverse mode through the last `k` inner steps only.
//!
//! The recursion of [`Exact`](crate::Exact), stopped after `k` steps (Shaban, Cheng, Hatch and Boots 2019, section 3):
//!
//! ```text
//! x_bar = df/dx - lr sum_{t = r-k}^{r-1} B_t^T (I - lr H_{t+1}) ... (I - lr H_{r-1}) df/dw(w_r)
//! ```
//!
//! With `k >= r` steps it is exact, the start included; with fewer the start counts as fixed. Where inner Hessians are at
//! least `mu > 0` and `lr` is below `1/|H|`, the bias shrinks like `(1 - lr mu)^k`. On a quadratic it equals the Neumann
//! series of `k` terms at `w_r`. `k = 0` leaves `df/dx`.
//!
//! Cost: `r` inner gradients, `k` Hessian-vector with `k` mixed products, one outer gradient. Memory: that of
//! [`Exact`](crate::Exact) with `k` states, `(k + 2) p + max(p, d)` values and the arenas of one sweep.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::{Oracle, Point};
use crate::rollout;
use crate::rule::InnerLoop;

/// The hypergradient through the last `k` steps.
#[derive(Clone, Copy, Debug)]
pub struct Truncated {
    /// Steps that are reversed; all where there are fewer.
    pub k: usize,
}

impl<T: Element> Estimator<T> for Truncated {
    fn name(&self) -> String {
        format!("truncated:k={}", self.k)
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        At { x, draw, .. }: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let (steps, p) = (inner.steps(), oracle.inner_dim());
        let first = steps.saturating_sub(self.k);
        let mut states = oracle.take((steps - first).saturating_mul(p))?;
        let (loss, [mut w_bar, mut product]) =
            rollout::outer_gradient(oracle, inner, x, draw, gradient, |oracle, point, t, g| {
                if let Some(i) = t.checked_sub(first) {
                    states[i * p..(i + 1) * p].copy_from_slice(point.w);
                }
                oracle.inner_gradient(point, t, g)
            })?;
        let mut mixed = oracle.take(x.len())?;
        for t in (first..steps).rev() {
            let w = &states[(t - first) * p..(t - first + 1) * p];
            oracle.inner_products(Point { w, x, draw }, t, &w_bar, &mut product, &mut mixed)?;
            inner.pull(&mut w_bar, gradient, &product, &mixed);
        }
        if first == 0 {
            oracle.pull_init(x, draw, &w_bar, gradient)?;
        }
        for vector in [mixed, product, w_bar, states] {
            oracle.give(vector);
        }
        Ok(loss)
    }
}
