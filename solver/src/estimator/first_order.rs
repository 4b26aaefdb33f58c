//! `FirstOrder`: the estimate that drops the second derivatives of the inner loss.
//!
//! ```text
//! x_bar = df/dx + (dw_0/dx)^T df/dw    at w_r
//! ```
//!
//! (FOMAML: Finn, Abbeel and Levine 2017; for general bilevel problems Likhosherstov et al. 2021.) With step size `lr`,
//! and with bounds `L` of the inner Hessians, `G` of the outer gradients and `M` of the derivative of the start, its
//! bias is at most `(1 + M) G ((1 + lr L)^r - 1)`.
//!
//! Cost: `r` inner gradients and one outer gradient. Memory: a state and `p` values, for any `r`. If neither the start
//! nor the outer loss contains `x`, the estimate is identically zero, and requesting it is an error.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::report::Soundness;
use crate::rollout::{Rollout, Task};
use crate::spelling::spelled;

/// The first-order estimate.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstOrder;

/// Computes the estimate even if it vanishes identically, and records in the report whether it does.
pub(crate) fn evaluate<T: Element>(
    oracle: &mut Oracle<T>,
    at: Task<T>,
    gradient: &mut [T],
) -> Result<T, Error> {
    note_vanishing(oracle)?;
    let (mut run, mut state) = Rollout::start(oracle, at)?;
    run.forward(&mut state, |_, _| ())?;
    let loss = run.turn(&mut state, gradient)?;
    run.pull_start(&state, gradient)?;
    run.close([state]);
    Ok(loss)
}

/// Records whether the first-order estimate vanishes identically, for estimators that use it as their cheap part.
pub(crate) fn note_vanishing<T: Element>(oracle: &mut Oracle<T>) -> Result<(), Error> {
    let vanishing = oracle.first_order_vanishes()?;
    oracle.note(Soundness { vanishing, ..Soundness::default() });
    Ok(())
}

spelled! {
    FirstOrder: "first-order",
        "drops the second derivatives of the inner loss (FOM); biased",
        "r gradients, 3 states";
}

impl<T: Element> Estimator<T> for FirstOrder {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        if oracle.first_order_vanishes()? {
            return Err(Error::FirstOrderVanishes);
        }
        evaluate(oracle, at, gradient)
    }
}
