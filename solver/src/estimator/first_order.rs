//! `FirstOrder`: second derivatives of the inner loss are dropped.
//!
//! ```text
//! x_bar = df/dx + (dw_0/dx)^T df/dw    at w_r
//! ```
//!
//! (FOMAML: Finn, Abbeel and Levine 2017; for general bilevel problems Likhosherstov et al. 2021.) With step `lr` and
//! inner Hessians bounded by `L`, outer gradients by `G`, the start's slope by `M`, its bias is at most
//! `(1 + M) G ((1 + lr L)^r - 1)`.
//!
//! Cost: `r` inner gradients, one outer gradient. Memory: `3 p` values, whatever `r`. Where neither the start nor the
//! outer loss contains `x`, the estimate is identically zero, and asking for it is an error.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::{At, Estimator};
use crate::oracle::Oracle;
use crate::rollout;
use crate::rule::InnerLoop;

/// The first-order estimate.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstOrder;

/// The estimate, zero or not.
pub(crate) fn evaluate<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    At { x, draw, .. }: At<T>,
    gradient: &mut [T],
) -> Result<T, Error> {
    let (loss, [w_bar, product]) =
        rollout::outer_gradient(oracle, inner, x, draw, gradient, |oracle, point, t, g| {
            oracle.inner_gradient(point, t, g)
        })?;
    oracle.pull_init(x, draw, &w_bar, gradient)?;
    oracle.give(product);
    oracle.give(w_bar);
    Ok(loss)
}

impl<T: Element> Estimator<T> for FirstOrder {
    fn name(&self) -> String {
        "first-order".into()
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        if oracle.first_order_vanishes()? {
            return Err(Error::FirstOrderVanishes);
        }
        evaluate(oracle, inner, at, gradient)
    }
}
