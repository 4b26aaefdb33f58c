//! `FullTape`: the exact gradient by one tape over the whole run.
//!
//! The run, including its inner gradients, is recorded as one function of `x` and swept back once. This is the baseline
//! that most tools offer: exact, but memory holds every intermediate of every step. It sums in a different order from
//! [`Exact`](crate::Exact), so the two agree up to rounding.
//!
//! Cost: one recorded run of `r` inner gradients. Memory: the tape and its adjoints in the arenas, linear in `r` with a
//! large factor. It is predicted from runs of 2 to 10 steps.

use hypertape_autodiff::{ALIGNMENT, Element};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::rollout::{Task, finite_loss};
use crate::spelling::spelled;

/// Number of steps after which bytes grow as before: lists are rounded up to whole cache lines, of so many words.
const PERIOD: usize = ALIGNMENT / size_of::<u64>();

/// The exact hypergradient by one tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullTape;

spelled! {
    FullTape: "full-tape",
        "exact, by one tape over the whole loop, which stores every intermediate result",
        "one recorded run of r steps";
}

impl<T: Element> Estimator<T> for FullTape {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        at.inner.expect_known("full-tape")?;
        let steps = at.inner.steps();
        // No more steps than asked for: a rule may have arrays with an entry per step.
        if oracle.rehearses() && steps > PERIOD + 2 {
            let mut of = |steps| {
                oracle.mark();
                oracle.whole_run(&at.inner.with_steps(steps), at.x, at.draw, gradient)?;
                Ok(usize::try_from(oracle.cost().bytes_measured).unwrap_or(usize::MAX))
            };
            let (first, periods) = (3 + (steps - 3) % PERIOD, (steps - 3) / PERIOD);
            let more = of(PERIOD + 2)? - of(2)?;
            let bytes = of(first)?.saturating_add(more.saturating_mul(periods));
            oracle.hold(bytes);
            oracle.release(bytes);
            return Ok(T::zero());
        }
        let loss = oracle.whole_run(at.inner, at.x, at.draw, gradient)?;
        finite_loss(loss, at.inner)
    }
}
