//! Heavy ball (Polyak 1964) and Nesterov's accelerated gradient (1983), as
//!
//! ```text
//! heavy ball   m' = b m + g(w)               w' = w - lr m'
//! Nesterov     m' = b m + g(w - lr b m)      w' = w - lr m'
//! ```

use hypertape_autodiff::{Array, Element, List};

use crate::error::Error;
use crate::rule::{Rule, RuleForm, Step};
use crate::spelling::{About, Range, Spelled, Visit};

/// Gradient descent with momentum `b`, with the gradient at `w` (heavy ball) or ahead of it (Nesterov).
///
/// ```
/// use hypertape_solver::{Momentum, Named};
/// assert_eq!(Named::name(&Momentum::nesterov(0.9)?), "nesterov:momentum=0.9");
/// let error = Momentum::heavy_ball(1.0).unwrap_err();
/// assert_eq!(error.to_string(), "momentum of heavy-ball: found 1, expected a number from 0 to below 1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Momentum {
    b: f64,
    ahead: bool,
}

impl Momentum {
    /// The heavy-ball method.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless the momentum is in `[0, 1)`.
    pub fn heavy_ball(momentum: f64) -> Result<Self, Error> {
        Self { b: momentum, ahead: false }.checked()
    }

    /// Nesterov's accelerated gradient.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless the momentum is in `[0, 1)`.
    pub fn nesterov(momentum: f64) -> Result<Self, Error> {
        Self { b: momentum, ahead: true }.checked()
    }

    /// Both kinds with their default settings.
    pub(crate) const LISTED: [Self; 2] =
        [Self { b: 0.9, ahead: false }, Self { b: 0.9, ahead: true }];
}

impl Spelled for Momentum {
    fn about(&self) -> About {
        let (name, summary) = if self.ahead {
            ("nesterov", "m' = b m + g(w - lr b m), w' = w - lr m'")
        } else {
            ("heavy-ball", "m' = b m + g(w), w' = w - lr m'")
        };
        About { name, summary, cost: "1 vector beside w" }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let b = settings.get("momentum", self.b, Range::FRACTION, "b, the decay of m");
        Ok(Self { b, ..*self })
    }
}

impl<T: Element> Rule<T> for Momentum {
    fn memory(&self) -> usize {
        1
    }

    fn query<'a, A: Array<'a, Elem = T>>(&self, state: &[A], step: Step) -> Option<A> {
        self.ahead.then(|| state[0] - state[1] * (step.lr * self.b))
    }

    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let momentum = s[1] * self.b + g;
        List::from_slice(&[s[0] - momentum * step.lr, momentum])
    }

    fn entrywise(&self) -> bool {
        true
    }

    fn form(&self) -> RuleForm {
        RuleForm::Affine
    }
}
