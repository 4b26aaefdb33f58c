//! `Exact`: the gradient of the unrolled inner loop, from stored states or kept tapes.
//!
//! The forward pass stores each of the states `w_0 .. w_{r-1}`, or the tape of the gradient there. The backward pass
//! starts with `w_bar = df/dw` and `x_bar = df/dx` at `w_r`. Each step from the last to the first takes one sweep,
//! which computes both products: forward over reverse at a stored state, or the pull-back of a kept tape.
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
//! mixed products, and one outer gradient. Memory: `2 p` values (`w_bar` and one product), `p` more in the forward pass
//! (the current state) and `d` more in the backward pass (a mixed product), the arenas of one sweep, and `r p` values
//! for the states, or for each tape `p + d` values and every value and record of one gradient. The estimate has no
//! bias. Tapes sum in a different order from states, so the two agree up to rounding.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::rollout::{Look, Rollout, Task};
use crate::schedule::Schedule;
use crate::spelling::spelled;

/// The exact hypergradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    schedule: Schedule,
}

impl Exact {
    /// Creates the estimator with the given schedule.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule }
    }
}

spelled! {
    Exact: "exact",
        "exact gradient of the unrolled loop (ITD), from states that the schedule stores",
        "r gradients, r HVPs, r + 3 states";
}

impl<T: Element> Estimator<T> for Exact {
    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(Self::new(schedule)))
    }

    fn settings(&self) -> Option<String> {
        Some(self.schedule.to_string())
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        evaluate(oracle, self.schedule, None, at, gradient, None)
    }
}

/// Computes the gradient through the last `depth` steps, or through all for `None`. Steps before those count as the
/// identity, so that the start is always pulled back. `look(run, bar, x_bar)` sees the adjoint and the gradient so far.
pub(crate) fn evaluate<'v, T: Element>(
    oracle: &mut Oracle<T>,
    schedule: Schedule,
    depth: Option<usize>,
    at: Task<'v, T>,
    gradient: &mut [T],
    look: Option<Look<'v, T>>,
) -> Result<T, Error> {
    let (mut run, mut state) = Rollout::start(oracle, at)?;
    if let Some(depth) = depth {
        run.skip_to(depth, &mut state)?;
    }
    let (loss, bar) = run.reverse_under(schedule, &mut state, gradient, look)?;
    run.pull_start(&bar, gradient)?;
    run.close([bar, state]);
    Ok(loss)
}
