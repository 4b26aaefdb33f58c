//! Estimators of the hypergradient: one trait, one file each.

pub(crate) mod exact;

use std::fmt;

use hypertape_autodiff::Element;

use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::rule::InnerLoop;

/// What an estimator returns besides the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate<T> {
    /// The outer loss after the inner loop.
    pub loss: T,
    /// What the call cost.
    pub cost: Cost,
}

/// A way to compute, or estimate, `dF/dx` for `F(x) = f(x, w_r(x))`.
pub trait Estimator<T: Element>: fmt::Debug {
    /// The name under which it is chosen, with its settings.
    fn name(&self) -> String;

    /// Writes the gradient at `x` into `gradient`. `draw` names the outer iteration.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if a quantity is not finite, [`Error::Function`] if the problem fails,
    /// [`Error::Invalid`] if a length does not match.
    fn estimate(
        &mut self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
        gradient: &mut [T],
    ) -> Result<Estimate<T>, Error>;
}
