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
use crate::oracle::{Oracle, Point};
use crate::rollout;
use crate::rule::InnerLoop;

/// The first-order estimate.
#[derive(Clone, Debug, Default)]
pub struct FirstOrder<T> {
    w: Vec<T>,
    w_bar: Vec<T>,
    product: Vec<T>,
}

impl<T: Element> FirstOrder<T> {
    /// The estimate, zero or not.
    pub(crate) fn evaluate(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        At { x, draw, .. }: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let p = oracle.inner_dim();
        for vector in [&mut self.w, &mut self.w_bar, &mut self.product] {
            vector.resize(p, T::zero());
        }
        oracle.hold(3 * p);
        let Self { w, w_bar, product } = self;
        rollout::forward(oracle, inner, x, draw, w, product, |_, _| {})?;
        let loss = oracle.outer_gradient(Point { w, x, draw }, w_bar, gradient)?;
        let loss = rollout::finite_loss(loss, inner)?;
        oracle.pull_init(x, draw, w_bar, gradient)?;
        Ok(loss)
    }
}

impl<T: Element> Estimator<T> for FirstOrder<T> {
    fn name(&self) -> String {
        "first-order".into()
    }

    fn task(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        if oracle.first_order_vanishes()? {
            return Err(Error::FirstOrderVanishes);
        }
        self.evaluate(oracle, inner, at, gradient)
    }
}
