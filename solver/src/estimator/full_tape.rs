//! `FullTape`: the exact gradient by one tape over the whole run.
//!
//! The run, inner gradients included, is recorded as one function of `x` and swept back once. This is the baseline that
//! most tools offer: exact, but memory holds every intermediate of every step. It sums in another order than
//! [`Exact`](crate::Exact), so the two agree to rounding.
//!
//! Cost: one recorded run of `r` inner gradients. Memory: the tape, linear in `r` with a large factor, in the arenas.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::Oracle;
use crate::rollout;
use crate::rule::InnerLoop;

/// The exact hypergradient by one tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullTape;

impl<T: Element> Estimator<T> for FullTape {
    fn name(&self) -> String {
        "full-tape".into()
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let loss = oracle.whole_run(inner, at.x, at.draw, gradient)?;
        rollout::finite_loss(loss, inner)
    }
}
