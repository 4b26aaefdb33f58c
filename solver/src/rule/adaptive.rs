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
//! `eps` stands outside the root, and the root of zero has slope 0, so a step at a zero gradient has the finite
//! derivative `-lr / eps`. It is large all the same: [`Estimate::sensitivity`](crate::Estimate::sensitivity) tells.

use hypertape_autodiff::{Array, Element, List};

use crate::error::{Error, positive};
use crate::rule::momentum::fraction;
use crate::rule::{Rule, Step};

/// Adam and `AdamW`.
///
/// ```
/// use hypertape_solver::{Adam, Rule};
/// let rule = Adam::new(0.9, 0.999, 1e-8)?.with_decay(0.01)?;
/// assert_eq!(Rule::<f64>::name(&rule), "adam:b1=0.9,b2=0.999,eps=0.00000001,decay=0.01");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    b1: f64,
    b2: f64,
    eps: f64,
    decay: f64,
}

impl Adam {
    /// Without weight decay.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `b1` and `b2` are in `[0, 1)` and `eps` is positive and finite.
    pub fn new(b1: f64, b2: f64, eps: f64) -> Result<Self, Error> {
        let (b1, b2) = (fraction("b1", b1)?, fraction("b2", b2)?);
        Ok(Self { b1, b2, eps: positive("eps", eps)?, decay: 0.0 })
    }

    /// With decoupled weight decay (`AdamW`).
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is positive and finite.
    pub fn with_decay(self, decay: f64) -> Result<Self, Error> {
        Ok(Self { decay: positive("decay", decay)?, ..self })
    }
}

impl<T: Element> Rule<T> for Adam {
    fn name(&self) -> String {
        let Self { b1, b2, eps, decay } = self;
        let decay = if *decay > 0.0 { format!(",decay={decay}") } else { String::new() };
        format!("adam:b1={b1},b2={b2},eps={eps}{decay}")
    }

    fn memory(&self) -> usize {
        2
    }

    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        _: &[A],
        step: Step,
    ) -> List<A> {
        let Self { b1, b2, eps, decay } = *self;
        let t = (step.index + 1) as f64;
        let (c1, c2) = (1.0 - b1.powf(t), 1.0 - b2.powf(t));
        let mean = state[1] * b1 + gradient * (1.0 - b1);
        let square = state[2] * b2 + gradient.square() * (1.0 - b2);
        let scaled = mean * (step.lr / c1) / ((square / c2).sqrt() + eps);
        let kept = if decay > 0.0 { state[0] * (1.0 - step.lr * decay) } else { state[0] };
        List::from_slice(&[kept - scaled, mean, square])
    }

    /// Decay moves the point of rest.
    fn stationary(&self) -> bool {
        self.decay == 0.0
    }
}

/// `RMSProp`.
#[derive(Clone, Copy, Debug)]
pub struct RmsProp {
    b2: f64,
    eps: f64,
}

impl RmsProp {
    /// With the mean of squares decaying by `b2`.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `b2` is in `[0, 1)` and `eps` is positive and finite.
    pub fn new(b2: f64, eps: f64) -> Result<Self, Error> {
        Ok(Self { b2: fraction("b2", b2)?, eps: positive("eps", eps)? })
    }
}

impl<T: Element> Rule<T> for RmsProp {
    fn name(&self) -> String {
        format!("rmsprop:b2={},eps={}", self.b2, self.eps)
    }

    fn memory(&self) -> usize {
        1
    }

    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        _: &[A],
        step: Step,
    ) -> List<A> {
        let square = state[1] * self.b2 + gradient.square() * (1.0 - self.b2);
        let scaled = gradient * step.lr / (square.sqrt() + self.eps);
        List::from_slice(&[state[0] - scaled, square])
    }
}
