//! Outer optimisers: how a hypergradient becomes a step of the outer variables.

use std::fmt;

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::params::{Params, scale};
use crate::spelling::{Range, Spelled, spelled};
use crate::text::plain;

/// An outer optimiser: its settings, and how they update a point and the moments that a run keeps for it.
///
/// ```
/// use hypertape_autodiff::{Element, Shape};
/// use hypertape_solver::{Outer, Params};
///
/// /// A step of `lr` against the sign of each entry, smoothed by a momentum of 1/2.
/// #[derive(Debug)]
/// struct Signs { lr: f64 }
/// impl<T: Element> Outer<T> for Signs {
///     fn name(&self) -> String { format!("signs {}", self.lr) }
///     fn moments(&self, dim: usize) -> Params<T> {
///         Params::new().with("mean", Shape::column(u32::try_from(dim).unwrap()), vec![T::zero(); dim])
///     }
///     fn step(&self, _: usize, moments: &mut Params<T>, x: &mut [T], gradient: &[T]) {
///         for ((x, &g), m) in x.iter_mut().zip(gradient).zip(moments.values_mut()) {
///             *m = (*m + g) * T::from_f64(0.5);
///             *x = *x - m.signum() * T::from_f64(self.lr);
///         }
///     }
/// }
///
/// let (signs, mut x) = (Signs { lr: 0.1 }, [1.0, 1.0]);
/// let mut moments = signs.moments(2);
/// signs.step(1, &mut moments, &mut x, &[3.0, -0.01]);
/// assert_eq!((x, moments.values()), ([0.9, 1.1], &[1.5, -0.005][..]));
/// ```
pub trait Outer<T: Element>: fmt::Debug + Send + Sync {
    /// Name of the optimiser with its settings, for example [`Spelled::text`](crate::Spelled::text).
    ///
    /// A saved run can be continued only with an optimiser of the same name.
    fn name(&self) -> String;

    /// Returns the moments before the first step of `dim` variables; none by default.
    ///
    /// A run saves the moments and continues from them bit for bit.
    fn moments(&self, _dim: usize) -> Params<T> {
        Params::new()
    }

    /// Moves `x` by step `k`, counted from 1, and updates the moments, given the gradient at `x`.
    fn step(&self, k: usize, moments: &mut Params<T>, x: &mut [T], gradient: &[T]);
}

spelled! {
    /// The outer optimisers of this crate, as values for every precision.
    ///
    /// ```
    /// use hypertape_solver::{Optimiser, Outer};
    /// let (adam, mut x) = (Optimiser::adam(0.1)?, [1.0, 1.0]);
    /// let mut moments = adam.moments(2);
    /// adam.step(1, &mut moments, &mut x, &[3.0, -0.01]);
    /// // The first step of Adam is `lr` in the direction of the sign, up to eps.
    /// assert!((x[0] - 0.9_f64).abs() < 1e-9 && (x[1] - 1.1_f64).abs() < 1e-6);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[non_exhaustive]
    pub enum Optimiser {
        /// `x <- x - lr / k^power g` at step `k`, counted from 1.
        Sgd: "sgd", "x <- x - lr / k^power g at step k", "" {
            /// Step size of the first step.
            lr (needed): f64 = 0.1, Range::POSITIVE, "step size";
            /// Power by which the step size decays; 0 for a constant step size.
            power (quiet): f64 = 0.0, Range::NOT_NEGATIVE, "power by which the step size decays";
        }
        /// Heavy ball (Polyak 1964, undamped): `v <- momentum v + g`, `x <- x - lr v`.
        Momentum: "momentum", "v <- momentum v + g, x <- x - lr v", "" {
            /// Step size.
            lr (needed): f64 = 0.1, Range::POSITIVE, "step size";
            /// Decay of `v`.
            momentum: f64 = 0.9, Range::FRACTION, "decay of v";
        }
        /// Adam (Kingma and Ba 2015, algorithm 1): bias-corrected, with `eps` outside the root.
        Adam: "adam", "Adam: steps scaled by running means of the gradient and its square", "" {
            /// Step size.
            lr (needed): f64 = 0.1, Range::POSITIVE, "step size";
            /// Decay of the running mean of the gradient.
            beta1 as "b1" (quiet): f64 = 0.9, Range::FRACTION,
                "decay of the running mean of the gradient";
            /// Decay of the running mean of the squared gradient.
            beta2 as "b2" (quiet): f64 = 0.999, Range::FRACTION,
                "decay of the running mean of the squared gradient";
            /// Number added to the root of the mean square.
            eps (quiet): f64 = 1e-8, Range::POSITIVE, "added to the root of the mean square";
        }
    }
}

impl Optimiser {
    /// Gradient descent.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn sgd(lr: f64) -> Result<Self, Error> {
        Self::decaying_sgd(lr, 0.0)
    }

    /// Gradient descent with steps `lr / k^power`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lr` is positive and finite and `power` is finite and not negative.
    pub fn decaying_sgd(lr: f64, power: f64) -> Result<Self, Error> {
        Self::Sgd { lr, power }.checked()
    }

    /// Gradient descent with momentum.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lr` is positive and finite and `momentum` is at least 0 and below 1.
    pub fn momentum(lr: f64, momentum: f64) -> Result<Self, Error> {
        Self::Momentum { lr, momentum }.checked()
    }

    /// Adam with decays 0.9 and 0.999 and `eps` 1e-8.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn adam(lr: f64) -> Result<Self, Error> {
        Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 }.checked()
    }
}

impl fmt::Display for Optimiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sgd { lr, power: 0.0 } => write!(f, "sgd {}", plain(*lr)),
            Self::Sgd { lr, power } => write!(f, "sgd {}/k^{power}", plain(*lr)),
            Self::Momentum { lr, momentum } => write!(f, "momentum {}, {momentum}", plain(*lr)),
            Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 } => {
                write!(f, "adam {}", plain(*lr))
            }
            _ => f.write_str(&self.text()),
        }
    }
}

impl<T: Element> Outer<T> for Optimiser {
    fn name(&self) -> String {
        self.to_string()
    }

    fn moments(&self, dim: usize) -> Params<T> {
        let names: &[_] = match self {
            Self::Sgd { .. } => &[],
            Self::Momentum { .. } => &["mean"],
            Self::Adam { .. } => &["mean", "square"],
        };
        let zeros = vec![T::zero(); dim];
        names.iter().fold(Params::new(), |all, &name| all.with_column(name, &zeros))
    }

    fn step(&self, k: usize, moments: &mut Params<T>, x: &mut [T], gradient: &[T]) {
        let whole = i32::try_from(k).unwrap_or(i32::MAX);
        match *self {
            Self::Sgd { lr, power } => {
                axpy(x, T::from_f64(-decayed(lr, k, power)), gradient);
            }
            Self::Momentum { lr, momentum } => {
                let mean = moments.values_mut();
                scale(mean, T::from_f64(momentum));
                axpy(mean, T::one(), gradient);
                axpy(x, T::from_f64(-lr), mean);
            }
            Self::Adam { lr, beta1, beta2, eps } => {
                let [b1, b2, eps] = [beta1, beta2, eps].map(T::from_f64);
                let lr = T::from_f64(lr / (1.0 - beta1.powi(whole)));
                let square_scale = T::from_f64((1.0 - beta2.powi(whole)).recip());
                let (mean, square) = moments.values_mut().split_at_mut(x.len());
                let moments = mean.iter_mut().zip(square);
                for ((x, &g), (m, q)) in x.iter_mut().zip(gradient).zip(moments) {
                    *m = b1 * *m + (T::one() - b1) * g;
                    *q = b2 * *q + (T::one() - b2) * g * g;
                    *x = *x - lr * *m / ((*q * square_scale).sqrt() + eps);
                }
            }
        }
    }
}

/// Returns `size / k^power`.
pub(crate) fn decayed(size: f64, k: usize, power: f64) -> f64 {
    let k = k as f64;
    // A root takes a third of the time of a power.
    size / if power == 0.5 { k.sqrt() } else { k.powf(power) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes eight steps from 1.5.
    fn eight(outer: Optimiser, gradient: impl Fn(f64) -> f64) -> f64 {
        let (mut z, mut moments) = ([1.5], outer.moments(1));
        for k in 1..=8 {
            let g = [gradient(z[0])];
            outer.step(k, &mut moments, &mut z, &g);
        }
        z[0]
    }

    /// bilevel T12: eight steps of momentum on `z^2`, with a known end point.
    #[test]
    fn momentum_known_answer() {
        let z = eight(Optimiser::momentum(0.1, 0.5).unwrap(), |z| 2.0 * z);
        assert!((z - -0.098_145_21_f64).abs() < 1e-15, "{z}");
        let refused = [1.0, f64::NAN].map(|momentum| Optimiser::momentum(0.1, momentum).is_err());
        assert_eq!(refused, [true; 2]);
    }

    /// bilevel T12: eight steps of Adam on `z^2 + 0.25 z`, with a known end point.
    #[test]
    fn adam_known_answer() {
        let z = eight(Optimiser::adam(0.1).unwrap(), |z| 2.0 * z + 0.25);
        // 1 - beta2^t loses three digits at the first steps.
        assert!((z - 0.716_592_849_672_917_5_f64).abs() < 1e-13, "{z}");
    }
}
