//! The inner loop: how many steps, of which size.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::text::plain;

/// `r` inner steps of size `lr`, taken by the [`Rule`](crate::Rule) of the oracle.
///
/// ```
/// use hypertape_solver::InnerLoop;
/// let inner = InnerLoop::new(100, 0.1)?;
/// assert_eq!((inner.steps(), inner.lr()), (100, 0.1));
/// let error = InnerLoop::new(100, f64::NAN).unwrap_err();
/// assert_eq!(error.to_string(), "lr: found NaN, expected a positive finite number");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InnerLoop {
    steps: usize,
    lr: f64,
    auto: bool,
    tolerance: Option<f64>,
}

impl InnerLoop {
    /// `steps` steps of size `lr`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn new(steps: usize, lr: f64) -> Result<Self, Error> {
        if lr > 0.0 && lr.is_finite() {
            Ok(Self { steps, lr, auto: false, tolerance: None })
        } else {
            Err(Error::invalid("lr", lr, "a positive finite number"))
        }
    }

    /// `steps` steps of a size that [`settled`](Self::settled) chooses by the curvature, afresh for each estimate. [`lr`](Self::lr) is
    /// 1 before.
    ///
    /// ```
    /// use hypertape_autodiff::{Shape, scalar::Real};
    /// use hypertape_solver::{Draw, InnerLoop, Oracle, Params, ScalarBilevel};
    ///
    /// /// `g = w^2/2 + x w^2`, of curvature `1 + 2 x`.
    /// struct Line;
    /// impl ScalarBilevel<f64> for Line {
    ///     fn start(&self) -> Params<f64> {
    ///         Params::new().with("x", Shape::SCALAR, [0.5])
    ///     }
    ///     fn inner_dim(&self) -> u32 {
    ///         1
    ///     }
    ///     fn init<R: Real>(&self, _: &[R], _: Draw, w: &mut [R]) {
    ///         w[0] = R::constant(1.0);
    ///     }
    ///     fn inner<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
    ///         w[0].square() * 0.5 + x[0] * w[0].square()
    ///     }
    ///     fn outer<R: Real>(&self, w: &[R], _: &[R], _: Draw) -> R {
    ///         w[0]
    ///     }
    /// }
    /// let mut oracle = Oracle::scalar(Line);
    /// let inner = InnerLoop::auto(10).settled(&mut oracle, &[1.5], Draw::new(0, 0))?;
    /// assert_eq!((inner.steps(), inner.lr()), (10, 0.25));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    pub fn auto(steps: usize) -> Self {
        Self { steps, lr: 1.0, auto: true, tolerance: None }
    }

    /// Whether the step size is still to be chosen.
    pub fn is_auto(&self) -> bool {
        self.auto
    }

    /// The same loop with steps of size `lr`, which is positive.
    pub(crate) fn with_lr(self, lr: f64) -> Self {
        Self { lr, auto: false, ..self }
    }

    /// At most so many steps: the loop ends with the first step of length `|w' - w| <= tolerance lr`, which for gradient
    /// descent is a gradient of norm `tolerance`. Derivatives are those of the steps that were taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless the tolerance is positive and finite.
    pub fn until(self, tolerance: f64) -> Result<Self, Error> {
        if tolerance > 0.0 && tolerance.is_finite() {
            Ok(Self { tolerance: Some(tolerance), ..self })
        } else {
            Err(Error::invalid("tolerance", tolerance, "a positive finite number"))
        }
    }

    /// The number at which the loop ends before its last step, if it has one.
    pub fn tolerance(&self) -> Option<f64> {
        self.tolerance
    }

    /// An error that names `what` unless the number of steps is known.
    pub(crate) fn expect_known(&self, what: &str) -> Result<(), Error> {
        let Some(tolerance) = self.tolerance else { return Ok(()) };
        let tolerance = plain(tolerance);
        Err(Error::told(format!(
            "{what} needs a known number of inner steps, and the loop ends by its tolerance {tolerance}"
        )))
    }

    /// An error unless `what` can go through all steps, one by one, while somebody waits.
    ///
    /// # Errors
    /// [`Error::Told`] for more than 10^8.
    pub fn expect_countable(&self, what: &str) -> Result<(), Error> {
        const MOST: usize = 100_000_000;
        if self.steps <= MOST {
            return Ok(());
        }
        let steps = self.steps;
        let why = format!("{what} goes through all steps: {steps} are too many, at most {MOST}");
        Err(Error::told(why))
    }

    /// The same loop with steps `factor` as long, which is positive.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { lr: self.lr * factor, ..self }
    }

    /// The same loop with another number of steps.
    #[must_use]
    pub fn with_steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Number of steps; the largest, where the loop has a tolerance.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Step size.
    pub fn lr(&self) -> f64 {
        self.lr
    }
}

/// Passes a finite outer loss on.
///
/// # Errors
/// [`Error::NonFinite`] for another.
pub fn finite_loss<T: Element>(loss: T, inner: &InnerLoop) -> Result<T, Error> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::NonFinite { quantity: "the outer loss", step: None, lr: inner.lr() })
    }
}
