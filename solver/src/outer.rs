//! Outer optimisers: what turns a hypergradient into a step of the outer variable.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::params::{Params, scale};
use crate::spelling::{About, Range, Settings, Spelled};

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
    /// Heavy ball (Polyak 1964, undamped): `v <- momentum v + g`, `x <- x - lr v`.
    Momentum {
        /// Step size.
        lr: f64,
        /// What remains of `v`.
        momentum: f64,
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
        Self::decaying_sgd(lr, 0.0)
    }

    /// Gradient descent with steps `lr / k^power`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite and `power` is finite and not negative.
    pub fn decaying_sgd(lr: f64, power: f64) -> Result<Self, Error> {
        Self::Sgd { lr, power }.checked()
    }

    /// Gradient descent with momentum.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite and `momentum` is at least 0 and below 1.
    pub fn momentum(lr: f64, momentum: f64) -> Result<Self, Error> {
        Self::Momentum { lr, momentum }.checked()
    }

    /// Adam with decays 0.9 and 0.999 and `eps` 1e-8.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `lr` is positive and finite.
    pub fn adam(lr: f64) -> Result<Self, Error> {
        Self::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 }.checked()
    }
}

impl Outer {
    /// One of each kind, as they are listed.
    pub(crate) fn listed() -> [Self; 3] {
        [
            Self::Sgd { lr: 0.1, power: 0.0 },
            Self::Momentum { lr: 0.1, momentum: 0.9 },
            Self::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        ]
    }
}

impl Spelled for Outer {
    fn about(&self) -> About {
        let (name, summary) = match self {
            Self::Sgd { .. } => ("sgd", "x <- x - lr / k^power g at step k"),
            Self::Momentum { .. } => ("momentum", "v <- momentum v + g, x <- x - lr v"),
            Self::Adam { .. } => ("adam", "steps scaled by a running mean of squared gradients"),
        };
        About { name, summary, cost: "" }
    }

    fn spell(&self, settings: &mut Settings) -> Result<Self, Error> {
        let mut size = |lr| settings.need("lr", lr, Range::POSITIVE, "step size");
        Ok(match *self {
            Self::Sgd { lr, power } => {
                let (lr, shown) = (size(lr), power != 0.0);
                let help = "power by which the step size decays";
                let power = settings.get_if(shown, "power", power, Range::NOT_NEGATIVE, help);
                Self::Sgd { lr, power }
            }
            Self::Momentum { lr, momentum } => {
                let lr = size(lr);
                let help = "what remains of v";
                let momentum = settings.get("momentum", momentum, Range::FRACTION, help);
                Self::Momentum { lr, momentum }
            }
            Self::Adam { lr, beta1, beta2, eps } => {
                let lr = size(lr);
                let help = "what remains of the mean gradient";
                let beta1 = settings.get_if(beta1 != 0.9, "b1", beta1, Range::FRACTION, help);
                let help = "what remains of the mean square";
                let beta2 = settings.get_if(beta2 != 0.999, "b2", beta2, Range::FRACTION, help);
                let help = "added to the root of the mean square";
                let eps = settings.get_if(eps != 1e-8, "eps", eps, Range::POSITIVE, help);
                Self::Adam { lr, beta1, beta2, eps }
            }
        })
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
        let (mean, square) = match outer {
            Outer::Sgd { .. } => (0, 0),
            Outer::Momentum { .. } => (dim, 0),
            Outer::Adam { .. } => (dim, dim),
        };
        Self { outer, steps: 0, mean: vec![T::zero(); mean], square: vec![T::zero(); square] }
    }

    /// What it remembers beside the number of steps: `mean` and `square`, as far as it has them.
    pub fn moments(&self) -> Params<T> {
        let named = [("mean", &self.mean), ("square", &self.square)];
        let own = named.into_iter().filter(|(_, v)| !v.is_empty());
        own.fold(Params::new(), |all, (name, v)| all.with_column(name, v))
    }

    /// After `steps` steps, with the [`moments`](Self::moments) that were then; none before the first.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what are not moments of this optimiser, or not of `dim` variables.
    pub fn after(
        outer: Outer,
        dim: usize,
        steps: usize,
        moments: &Params<T>,
    ) -> Result<Self, Error> {
        let fresh = Self::new(outer, dim);
        if steps == 0 && moments.names().is_empty() {
            return Ok(fresh);
        }
        let own = fresh.moments();
        if (own.names(), own.shapes()) != (moments.names(), moments.shapes()) {
            let text = |params: &Params<T>| {
                let each = params.names().iter().zip(params.shapes());
                format!(
                    "[{}]",
                    each.map(|(n, s)| format!("{n} {s}")).collect::<Vec<_>>().join(", ")
                )
            };
            return Err(Error::invalid(
                "moments of the outer optimiser",
                text(moments),
                text(&own),
            ));
        }
        let of = |name| moments.get(name).unwrap_or_default().to_vec();
        let steps = i32::try_from(steps).unwrap_or(i32::MAX);
        Ok(Self { steps, mean: of("mean"), square: of("square"), ..fresh })
    }

    /// Moves `x` by one step, given the gradient there.
    pub fn step(&mut self, x: &mut [T], gradient: &[T]) {
        self.steps = self.steps.saturating_add(1);
        match self.outer {
            Outer::Sgd { lr, power } => {
                let lr = lr / f64::from(self.steps).powf(power);
                axpy(x, T::from_f64(-lr), gradient);
            }
            Outer::Momentum { lr, momentum } => {
                scale(&mut self.mean, T::from_f64(momentum));
                axpy(&mut self.mean, T::one(), gradient);
                axpy(x, T::from_f64(-lr), &self.mean);
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

    /// bilevel T12: eight steps of momentum on `z^2`, its known end point; the same, interrupted after three.
    #[test]
    fn momentum_known_answer() {
        let outer = Outer::momentum(0.1, 0.5).unwrap();
        let (mut z, mut state) = ([1.5], OuterState::new(outer, 1));
        for k in 0..8 {
            if k == 3 {
                state = OuterState::after(outer, 1, k, &state.moments()).unwrap();
            }
            let gradient = [2.0 * z[0]];
            state.step(&mut z, &gradient);
        }
        assert!((z[0] - -0.098_145_21_f64).abs() < 1e-15, "{}", z[0]);
        let error =
            OuterState::after(Outer::adam(0.1).unwrap(), 1, 8, &state.moments()).unwrap_err();
        let expected =
            "moments of the outer optimiser: found [mean 1x1], expected [mean 1x1, square 1x1]";
        assert_eq!(error.to_string(), expected);
        assert!(Outer::momentum(0.1, 1.0).is_err() && Outer::momentum(0.1, f64::NAN).is_err());
    }

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
