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
    tolerance: Option<f64>,
}

impl InnerLoop {
    /// `steps` steps of size `lr`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn new(steps: usize, lr: f64) -> Result<Self, Error> {
        if lr > 0.0 && lr.is_finite() {
            Ok(Self { steps, lr, tolerance: None })
        } else {
            Err(Error::invalid("lr", lr, "a positive finite number"))
        }
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
