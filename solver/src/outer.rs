//! Outer optimisers: what turns a hypergradient into a step of the outer variable.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;

/// An outer optimiser and its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outer {
    /// `x <- x - lr / k^power g` at step `k`, counted from 1.
    Sgd {
        /// Step size.
        lr: f64,
        /// Decay of the step size; 0 keeps it.
        power: f64,
    },
    /// Kingma and Ba (2015), algorithm 1: bias-corrected, `eps` outside the root.
    Adam {
        /// Step size.
        lr: f64,
        /// Decay of the mean gradient.
        beta1: f64,
        /// Decay of the mean square.
        beta2: f64,
        /// Added to the root of the mean square.
        eps: f64,
    },
}

impl Outer {
    /// Gradient descent.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn sgd(lr: f64) -> Result<Self, Error> {
        checked(lr).map(|lr| Self::Sgd { lr, power: 0.0 })
    }

    /// Gradient descent with steps `lr / k^power`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite and `power` is finite and not negative.
    pub fn decaying_sgd(lr: f64, power: f64) -> Result<Self, Error> {
        if power >= 0.0 && power.is_finite() {
            checked(lr).map(|lr| Self::Sgd { lr, power })
        } else {
            Err(Error::invalid("outer power", power, "a finite number, 0 or more"))
        }
    }

    /// Adam with decays 0.9 and 0.999 and `eps` 1e-8.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn adam(lr: f64) -> Result<Self, Error> {
        checked(lr).map(|lr| Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 })
    }
}

fn checked(lr: f64) -> Result<f64, Error> {
    if lr > 0.0 && lr.is_finite() {
        Ok(lr)
    } else {
        Err(Error::invalid("outer lr", lr, "a positive finite number"))
    }
}

/// An outer optimiser on its way.
///
/// ```
/// use hypertape_solver::{Outer, OuterState};
/// let mut x = [1.0, 1.0];
/// let mut state = OuterState::new(Outer::adam(0.1)?, 2);
/// state.step(&mut x, &[3.0, -0.01]);
/// // The first step of Adam is `lr` in the direction of the sign, up to eps.
/// assert!((x[0] - 0.9_f64).abs() < 1e-9 && (x[1] - 1.1_f64).abs() < 1e-6);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OuterState<T> {
    outer: Outer,
    steps: i32,
    mean: Vec<T>,
    square: Vec<T>,
}

impl<T: Element> OuterState<T> {
    /// At the start, for `dim` variables.
    pub fn new(outer: Outer, dim: usize) -> Self {
        let moments = match outer {
            Outer::Sgd { .. } => 0,
            Outer::Adam { .. } => dim,
        };
        Self { outer, steps: 0, mean: vec![T::zero(); moments], square: vec![T::zero(); moments] }
    }

    /// Moves `x` by one step, given the gradient there.
    pub fn step(&mut self, x: &mut [T], gradient: &[T]) {
        self.steps = self.steps.saturating_add(1);
        match self.outer {
            Outer::Sgd { lr, power } => {
                let lr = lr / f64::from(self.steps).powf(power);
                axpy(x, T::from_f64(-lr), gradient);
            }
            Outer::Adam { lr, beta1, beta2, eps } => {
                let [b1, b2, eps] = [beta1, beta2, eps].map(T::from_f64);
                let lr = T::from_f64(lr / (1.0 - beta1.powi(self.steps)));
                let square_scale = T::from_f64((1.0 - beta2.powi(self.steps)).recip());
                let moments = self.mean.iter_mut().zip(&mut self.square);
                for ((x, &g), (m, q)) in x.iter_mut().zip(gradient).zip(moments) {
                    *m = b1 * *m + (T::one() - b1) * g;
                    *q = b2 * *q + (T::one() - b2) * g * g;
                    *x = *x - lr * *m / ((*q * square_scale).sqrt() + eps);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// bilevel T12: eight steps of Adam on `z^2 + 0.25 z`, its known end point.
    #[test]
    fn adam_known_answer() {
        let mut z = [1.5];
        let mut state = OuterState::new(Outer::adam(0.1).unwrap(), 1);
        for _ in 0..8 {
            let gradient = [2.0 * z[0] + 0.25];
            state.step(&mut z, &gradient);
        }
        // 1 - beta2^t loses three digits at the first steps.
        assert!((z[0] - 0.716_592_849_672_917_5_f64).abs() < 1e-13, "{}", z[0]);
    }
}
