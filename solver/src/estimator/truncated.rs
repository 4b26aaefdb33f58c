//! `Truncated`: reverse mode through only the last `k` inner steps.
//!
//! The recursion of [`Exact`](crate::Exact), stopped after `k` steps (Shaban, Cheng, Hatch and Boots 2019, section 3):
//!
//! ```text
//! x_bar = df/dx - lr sum_{t = r-k}^{r-1} B_t^T (I - lr H_{t+1}) ... (I - lr H_{r-1}) df/dw(w_r)
//! ```
//!
//! For `k >= r` the gradient is exact, including the start; for smaller `k` the start is treated as fixed. If inner
//! Hessians are at least `mu > 0` and `lr` is below `1/|H|`, the bias decreases like `(1 - lr mu)^k`. On a quadratic
//! the estimate equals the Neumann series of `k` terms at `w_r`. For `k = 0` it is `df/dx`.
//!
//! Cost: `r` inner gradients, `k` Hessian-vector products with `k` mixed products, and one outer gradient. Memory: that
//! of [`Exact`](crate::Exact) with `k` states: `k + 1` of them, `p + d` values and the arenas of one sweep.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::rollout::{Rollout, Task};
use crate::spelling::{Range, spelled};

spelled! {
    /// The hypergradient through the last `k` steps.
    #[derive(Clone, Copy, Debug)]
    pub struct Truncated: "truncated",
        "reverse mode through the last k steps; biased unless k = r",
        "r gradients, k HVPs, k states" {
        /// Number of steps that are reversed, or all if there are fewer.
        pub k: usize = 5, Range::COUNT, "number of steps that are reversed";
    }
}

impl<T: Element> Estimator<T> for Truncated {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        let (mut run, mut state) = Rollout::start(oracle, at)?;
        let n = state.len();
        // A ring of the last states, because the number of steps may be unknown.
        let room = self.k.min(at.inner.steps());
        let mut ring = run.oracle.take_slots(room, n)?;
        let mut steps = 0;
        for t in run.oracle.each(0..at.inner.steps()) {
            if room > 0 {
                ring[t % room].copy_from_slice(&state);
            }
            run.step(t, &mut state)?;
            steps = t + 1;
            if run.ended() {
                break;
            }
        }
        let loss = run.turn(&mut state, gradient)?;
        let first = steps.saturating_sub(self.k);
        for t in run.oracle.each(first..steps).rev() {
            run.pull_step(t, &ring[t % room], &mut state, gradient)?;
        }
        if first == 0 {
            run.pull_start(&state, gradient)?;
        }
        run.oracle.give_slots(ring);
        run.close([state]);
        Ok(loss)
    }
}
