//! Steps scaled by a running mean of squared gradients: Adam (Kingma and Ba 2015, algorithm 1), `AdamW` (Loshchilov and
//! Hutter 2019, algorithm 2) and `RMSProp` (Tieleman and Hinton 2012).
//!
//! ```text
//! Adam      m' = b1 m + (1 - b1) g      q' = b2 q + (1 - b2) g^2
//!           w' = w - lr (m' / (1 - b1^t)) / (sqrt(q' / (1 - b2^t)) + eps),    t = 1, 2, ...
//! AdamW     the same, and w' -= lr decay w
//! RMSProp   q' = b2 q + (1 - b2) g^2    w' = w - lr g / (sqrt(q') + eps)
//! ```
//!
//! `eps` is added outside the root, and the root has slope 0 at zero, so a step at a zero gradient has the finite
//! derivative `-lr / eps`. It is large nevertheless, which [`Soundness::sensitivity`](crate::Soundness::sensitivity)
//! reports.

use hypertape_autodiff::{Array, Element, List};

use crate::error::Error;
use crate::rule::{Rule, Step};
use crate::spelling::{Range, Spelled, spelled};

const MEAN_SQUARE: &str = "decay of the running mean of the squared gradient";
const ADDED: &str = "added to the root of the mean square";

spelled! {
    /// Adam and `AdamW`.
    ///
    /// ```
    /// use hypertape_solver::{Adam, Named};
    /// let rule = Adam::new(0.9, 0.999, 1e-8)?.with_decay(0.01)?;
    /// assert_eq!(Named::name(&rule), "adam:b1=0.9,b2=0.999,eps=1e-8,decay=0.01");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug)]
    pub struct Adam: "adam", "Adam; with decay, AdamW", "2 vectors beside w" {
        b1: f64 = 0.9, Range::FRACTION, "decay of the running mean of the gradient";
        b2: f64 = 0.999, Range::FRACTION, MEAN_SQUARE;
        eps: f64 = 1e-8, Range::POSITIVE, ADDED;
        decay (quiet): f64 = 0.0, Range::NOT_NEGATIVE, "decoupled weight decay: subtracts lr decay w";
    }
}

impl Adam {
    /// Creates Adam without weight decay.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `b1` and `b2` are in `[0, 1)` and `eps` is positive and finite.
    pub fn new(b1: f64, b2: f64, eps: f64) -> Result<Self, Error> {
        Self { b1, b2, eps, ..Self::default() }.checked()
    }

    /// Adds decoupled weight decay (`AdamW`).
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `decay` is finite and not negative.
    pub fn with_decay(self, decay: f64) -> Result<Self, Error> {
        Self { decay, ..self }.checked()
    }
}

impl<T: Element> Rule<T> for Adam {
    fn adaptive(&self) -> bool {
        true
    }

    fn entrywise(&self) -> bool {
        true
    }

    fn memory(&self) -> usize {
        2
    }

    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let Self { b1, b2, eps, decay } = *self;
        let t = (step.index + 1) as f64;
        let (c1, c2) = (1.0 - b1.powf(t), 1.0 - b2.powf(t));
        let mean = s[1] * b1 + g * (1.0 - b1);
        let square = s[2] * b2 + g.square() * (1.0 - b2);
        let scaled = mean * (step.lr / c1) / ((square / c2).sqrt() + eps);
        let kept = if decay > 0.0 { s[0] * (1.0 - step.lr * decay) } else { s[0] };
        List::from_slice(&[kept - scaled, mean, square])
    }

    /// With weight decay, the fixed points are not those where the gradient vanishes.
    fn stationary(&self) -> bool {
        self.decay == 0.0
    }
}

spelled! {
    /// `RMSProp`.
    #[derive(Clone, Copy, Debug)]
    pub struct RmsProp: "rmsprop",
        "gradients divided by the root of their running mean square",
        "1 vector beside w" {
        b2: f64 = 0.99, Range::FRACTION, MEAN_SQUARE;
        eps: f64 = 1e-8, Range::POSITIVE, ADDED;
    }
}

impl RmsProp {
    /// Creates `RMSProp` with decay `b2` of the mean square.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `b2` is in `[0, 1)` and `eps` is positive and finite.
    pub fn new(b2: f64, eps: f64) -> Result<Self, Error> {
        Self { b2, eps }.checked()
    }
}

impl<T: Element> Rule<T> for RmsProp {
    fn adaptive(&self) -> bool {
        true
    }

    fn entrywise(&self) -> bool {
        true
    }

    fn memory(&self) -> usize {
        1
    }

    fn update<'a, A: Array<'a, Elem = T>>(&self, s: &[A], g: A, _: &[A], step: Step) -> List<A> {
        let square = s[1] * self.b2 + g.square() * (1.0 - self.b2);
        let scaled = g * step.lr / (square.sqrt() + self.eps);
        List::from_slice(&[s[0] - scaled, square])
    }
}
