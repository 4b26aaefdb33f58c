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
//! [`Exact`](crate::Exact) with `k` states: `k + 1` of them, `p + d` values and the arenas of one sweep.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::rollout::{Rollout, Task};
use crate::spelling::{About, Range, Spelled, Visit};

/// The hypergradient through the last `k` steps.
#[derive(Clone, Copy, Debug)]
pub struct Truncated {
    /// Steps that are reversed; all where there are fewer.
    pub k: usize,
}

impl Spelled for Truncated {
    fn about(&self) -> About {
        About {
            name: "truncated",
            summary: "reverse mode through the last k steps; biased below k = r",
            cost: "r gradients, k HVPs, k states",
        }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        Ok(Self { k: settings.get("k", self.k, Range::COUNT, "steps that are reversed") })
    }
}

impl<T: Element> Estimator<T> for Truncated {
    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        let Profile { value, inner, outer, state, extra, .. } = *profile;
        let stored = value * state * self.k.min(steps) as u64;
        let own = value * (state + inner * (1 + extra));
        let step = if steps > 0 { profile.gradient.bytes.max(profile.update.bytes) } else { 0 };
        let turn = stored + own + step.max(profile.outer_gradient.bytes).max(profile.query);
        let start = value * (state + inner) + profile.init.bytes;
        if self.k == 0 || steps == 0 {
            let end = if steps == 0 { profile.pull_init.bytes } else { 0 };
            return Ok(start.max(turn).max(own + end));
        }
        let again = if profile.again { profile.gradient.bytes } else { 0 };
        let back = profile.products.bytes.max(profile.pull_update.bytes).max(again);
        let end = if self.k >= steps { profile.pull_init.bytes } else { 0 };
        Ok(start.max(turn).max(stored + own + value * outer + back.max(end)))
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let (mut run, mut state) = Rollout::start(oracle, inner, at)?;
        let n = state.len();
        // A ring of the last states, since the number of steps may not be known.
        let room = self.k.min(inner.steps());
        let mut ring = run.oracle.take(room.saturating_mul(n))?;
        let mut steps = 0;
        while steps < inner.steps() && !run.ended() {
            if room > 0 {
                let slot = steps % room;
                ring[slot * n..(slot + 1) * n].copy_from_slice(&state);
            }
            run.step(steps, &mut state)?;
            steps += 1;
        }
        let loss = run.turn(&mut state, gradient)?;
        let first = steps.saturating_sub(self.k);
        for t in (first..steps).rev() {
            let slot = t % room;
            run.pull_step(t, &ring[slot * n..(slot + 1) * n], &mut state, gradient)?;
        }
        if first == 0 {
            run.pull_start(&state, gradient)?;
        }
        run.close([ring, state]);
        Ok(loss)
    }
}
