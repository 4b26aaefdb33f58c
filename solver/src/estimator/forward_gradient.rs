//! `ForwardGradient`: the first-order gradient, corrected along random directions by forward mode.
//!
//! ```text
//! G = g_0 + sum_j ((g - g_0)^T u_j) u_j,    j = 1, ..., k
//! ```
//!
//! `u_j` has a random sign at every `k`-th outer variable, starting at the `j`-th, and zeros elsewhere, so
//! `E sum_j u_j u_j^T` is the identity and `E G = g` is the exact gradient. `E|G - g|^2` is the sum over `j` of
//! `d_j - 1` times the squared norm of `g - g_0` restricted to the nonzero entries of `u_j`, of which there are `d_j`.
//! This is about `(d/k - 1) |g - g_0|^2`, and zero for `k = d`. (Forward gradients: Baydin et al. 2022. Without `g_0`,
//! the factor would apply to all of `g`.)
//!
//! Cost: that of [`Forward`](crate::Forward) for `k` outer variables, and one pull-back of the start. Memory: the same
//! plus `d` values; it does not grow with the number of steps.

use hypertape_autodiff::Element;
use rand::RngExt;

use crate::draw::Level;
use crate::error::Error;
use crate::estimator::{Estimator, forward};
use crate::oracle::Oracle;
use crate::rollout::Task;
use crate::spelling::{Range, Spelled, spelled};

spelled! {
    /// The gradient along random directions.
    ///
    /// Independent copies in one problem ([`Bilevel::replicas`](crate::Bilevel::replicas)) share these directions.
    #[derive(Clone, Debug)]
    pub struct ForwardGradient: "forward-gradient",
        "first-order, corrected along random directions by forward mode; unbiased",
        "r HVPs per direction, no stored states" {
        directions: usize = 1, Range::ONE_OR_MORE, "number of random directions";
    } beside {
        forced: Option<Vec<bool>> = None;
    }
}

impl ForwardGradient {
    /// Creates the estimator with this number of directions.
    ///
    /// More directions than outer variables have no further effect.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `directions` is zero.
    pub fn new(directions: usize) -> Result<Self, Error> {
        Self { directions, ..Self::default() }.checked()
    }

    /// Replaces the sign of variable `i` by plus if `signs[i]` and by minus otherwise (for tests that enumerate the
    /// outcomes).
    ///
    /// `None` restores random signs.
    pub fn force(&mut self, signs: Option<Vec<bool>>) {
        self.forced = signs;
    }
}

impl<T: Element> Estimator<T> for ForwardGradient {
    fn chance(&self) -> bool {
        true
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        let (d, coin) = (at.x.len(), at.draw.at(Level::Coin, at.slot));
        let directions = self.directions.min(d);
        let signs = |first: usize, dx: &mut [T]| {
            let (mut stream, columns) = (coin.stream(), dx.len() / d.max(1));
            for i in 0..d {
                let drawn = stream.random_bool(0.5);
                let positive = self.forced.as_ref().and_then(|signs| signs.get(i).copied());
                let positive = positive.unwrap_or(drawn);
                let column = (i % directions).wrapping_sub(first);
                if column < columns {
                    dx[column * d + i] = if positive { T::one() } else { -T::one() };
                }
            }
        };
        let mut start = oracle.take(d)?;
        let loss = forward::along(oracle, at, gradient, directions, signs, Some(&mut start))?;
        oracle.give(start);
        Ok(loss)
    }
}
