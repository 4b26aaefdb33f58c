//! The inner loop: number and size of its steps.

use hypertape_autodiff::{Element, all_finite};

use crate::error::Error;
use crate::spelling::Range;
use crate::text::plain;

/// An inner loop of `r` steps of size `lr`, taken by the [`Rule`](crate::Rule) of the oracle.
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
    /// Creates a loop of `steps` steps of size `lr`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn new(steps: usize, lr: f64) -> Result<Self, Error> {
        Range::POSITIVE.check("lr", lr)?;
        Ok(Self { steps, lr, auto: false, tolerance: None })
    }

    /// Creates a loop of `steps` steps whose size is chosen from the curvature by [`settled`](Self::settled), anew for
    /// each estimate.
    ///
    /// Until then [`lr`](Self::lr) is 1.
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

    /// Whether the step size has yet to be chosen.
    pub fn is_auto(&self) -> bool {
        self.auto
    }

    /// Returns the same loop with steps of size `lr`, which must be positive.
    pub(crate) fn with_lr(self, lr: f64) -> Self {
        Self { lr, auto: false, ..self }
    }

    /// Returns the same loop with an early end: it ends with the first step of length `|w' - w| <= tolerance lr`, which
    /// for gradient descent is a gradient of norm `tolerance`.
    ///
    /// Derivatives are those of the steps that were taken.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless the tolerance is positive and finite.
    pub fn until(self, tolerance: f64) -> Result<Self, Error> {
        Range::POSITIVE.check("tolerance", tolerance)?;
        Ok(Self { tolerance: Some(tolerance), ..self })
    }

    /// The tolerance at which the loop ends early, if it has one.
    pub fn tolerance(&self) -> Option<f64> {
        self.tolerance
    }

    /// Returns an error that mentions `what` unless the number of steps is known.
    pub(crate) fn expect_known(&self, what: &str) -> Result<(), Error> {
        let Some(tolerance) = self.tolerance else { return Ok(()) };
        let tolerance = plain(tolerance);
        Err(Error::told(format!(
            "{what} needs a known number of inner steps, and the loop ends by its tolerance {tolerance}"
        )))
    }

    /// Returns an error unless the steps are few enough for `what` to visit them one by one in reasonable time.
    ///
    /// # Errors
    /// Returns [`Error::Told`] for more than 10^8 steps.
    pub fn expect_countable(&self, what: &str) -> Result<(), Error> {
        const MOST: usize = 100_000_000;
        if self.steps <= MOST {
            return Ok(());
        }
        let steps = self.steps;
        let why = format!("{what} goes through all steps: {steps} are too many, at most {MOST}");
        Err(Error::told(why))
    }

    /// Returns the same loop with the step size multiplied by `factor`, which must be positive.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { lr: self.lr * factor, ..self }
    }

    /// Returns the same loop with another number of steps.
    #[must_use]
    pub fn with_steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// Number of steps, or the largest number if the loop has a tolerance.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Step size.
    pub fn lr(&self) -> f64 {
        self.lr
    }
}

/// Returns the outer loss if it is finite.
///
/// # Errors
/// Returns [`Error::NonFinite`] otherwise.
pub fn finite_loss<T: Element>(loss: T, inner: &InnerLoop) -> Result<T, Error> {
    finite(&[loss], "the outer loss", inner).map(|()| loss)
}

/// Returns an error unless all values of a quantity are finite.
pub(crate) fn finite<T: Element>(
    values: &[T],
    quantity: &'static str,
    inner: &InnerLoop,
) -> Result<(), Error> {
    if all_finite(values) {
        return Ok(());
    }
    Err(Error::NonFinite { quantity, step: None, lr: inner.lr() })
}
