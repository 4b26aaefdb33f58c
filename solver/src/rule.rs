//! The inner update rule and the inner loop that it is applied in.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;

/// `r` steps of gradient descent, `w_{t+1} = w_t - lr dg/dw(w_t, x)`.
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
}

impl InnerLoop {
    /// `steps` steps of size `lr`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn new(steps: usize, lr: f64) -> Result<Self, Error> {
        if lr > 0.0 && lr.is_finite() {
            Ok(Self { steps, lr })
        } else {
            Err(Error::invalid("lr", lr, "a positive finite number"))
        }
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Step size.
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// One step, given the gradient at `w`.
    pub(crate) fn step<T: Element>(&self, w: &mut [T], gradient: &[T]) {
        axpy(w, T::from_f64(-self.lr), gradient);
    }

    /// The reverse of one step: `w_bar -= lr H w_bar` and `x_bar -= lr B^T w_bar`, given the two products.
    pub(crate) fn pull<T: Element>(
        &self,
        w_bar: &mut [T],
        x_bar: &mut [T],
        hessian_product: &[T],
        mixed_product: &[T],
    ) {
        let minus_lr = T::from_f64(-self.lr);
        axpy(w_bar, minus_lr, hessian_product);
        axpy(x_bar, minus_lr, mixed_product);
    }
}
