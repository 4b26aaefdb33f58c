//! `FullTape`: the exact gradient by one tape over the whole run.
//!
//! The run, inner gradients included, is recorded as one function of `x` and swept back once. This is the baseline that
//! most tools offer: exact, but memory holds every intermediate of every step. It sums in another order than
//! [`Exact`](crate::Exact), so the two agree to rounding.
//!
//! Cost: one recorded run of `r` inner gradients. Memory: the tape and its adjoints,
//! linear in `r` with a large factor, in the arenas; predicted from runs of 2, 3 and 10 steps, at most two cache lines too much.

use hypertape_autodiff::{ALIGNMENT, Element};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::rollout::{Task, finite_loss};
use crate::spelling::spelled;

/// The exact hypergradient by one tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullTape;

spelled! {
    FullTape: "full-tape",
        "the same by one tape over the whole run; no bias, memory of every intermediate",
        "one recorded run";
}

impl<T: Element> Estimator<T> for FullTape {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        at.inner.expect_known("full-tape")?;
        let steps = at.inner.steps();
        if oracle.rehearses() && steps > 3 {
            // A table of all records ends in a whole cache line: over 8 steps lines do not matter, at the end one may.
            let mut of = |steps| {
                oracle.mark();
                oracle.whole_run(&at.inner.with_steps(steps), at.x, at.draw, gradient)?;
                Ok(usize::try_from(oracle.cost().bytes_measured).unwrap_or(usize::MAX))
            };
            let (eight, three) = (of(10)? - of(2)?, of(3)?);
            let bytes = three + eight.saturating_mul(steps - 3) / 8 + ALIGNMENT;
            oracle.hold(bytes);
            oracle.release(bytes);
            return Ok(T::zero());
        }
        let loss = oracle.whole_run(at.inner, at.x, at.draw, gradient)?;
        finite_loss(loss, at.inner)
    }
}
