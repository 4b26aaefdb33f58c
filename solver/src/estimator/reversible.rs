//! `Reversible`: runs the heavy-ball method backwards exactly, without stored states.
//!
//! ```text
//! m' = (a/b) m + g(w)        w' = w - lr m'        in whole multiples of 2^-40
//! ```
//!
//! Multiplying an integer by `a/b < 1` loses information. The remainder of the division by `b` is therefore stored in
//! an integer buffer beside each entry, and the buffer's own remainder modulo `a` fills the digits that multiplication
//! by `a` frees. Both operations can be undone, and with them every step, bit for bit (Maclaurin, Duvenaud and Adams
//! 2015, algorithm 3). The adjoint is that of the heavy-ball method at the recovered states:
//!
//! ```text
//! u = m_bar - lr w_bar    w_bar += H u    x_bar += B^T u    m_bar = (a/b) u
//! ```
//!
//! Cost: `2 r` inner gradients, `r` Hessian-vector and mixed products. Memory: `5 p + d` values, three 8-byte integers
//! for each of the `p` entries, and one more for every `k` steps, where `k` is about `60 / log2(b/a)`: 376 for a
//! momentum of 0.9. The estimate has no bias; it differs from [`Exact`](crate::Exact) with
//! [`Momentum`](crate::Momentum) by rounding to 2^-40.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::{Oracle, Point};
use crate::rollout::{Task, finite_gradient, finite_loss};
use crate::rule::Step;
use crate::spelling::{About, Range, Spelled, Visit};

/// Value of the integer 1.
const UNIT: f64 = 1.0 / (1_u64 << 40) as f64;
/// Denominator of the momentum before the fraction is reduced.
const PARTS: i64 = 1000;

/// The exact hypergradient of the heavy-ball method by exact reversal.
#[derive(Clone, Copy, Debug)]
pub struct Reversible {
    momentum: f64,
    /// Numerator and denominator of the momentum, reduced.
    a: i64,
    b: i64,
    /// Number of steps after which the buffer may overflow.
    room: usize,
}

impl Reversible {
    /// Creates the estimator for the momentum of the inner rule, a multiple of 0.001.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `momentum` is a multiple of 0.001 between 0 and 1.
    pub fn new(momentum: f64) -> Result<Self, Error> {
        let Self { momentum, .. } = Self { momentum, ..Self::default() }.checked()?;
        #[expect(clippy::cast_possible_truncation, reason = "in range")]
        let parts = (momentum * PARTS as f64).round() as i64;
        let divisor = gcd(parts, PARTS);
        let (a, b) = (parts / divisor, PARTS / divisor);
        // After a step the buffer is at most (before + 1) b / a, and before the division by a it is below (before + 1)
        // b.
        let (mut most, mut room) = (0_i128, 0);
        while (most + 1) * i128::from(b) < 1 << 63 {
            most = (most + 1) * i128::from(b) / i128::from(a);
            room += 1;
        }
        Ok(Self { momentum, a, b, room })
    }

    /// Number of times that the buffers are set aside in `steps` steps.
    fn spills(&self, steps: usize) -> usize {
        steps.saturating_sub(1) / self.room
    }
}

/// Multiples of `1 / PARTS` between 0 and 1.
const MULTIPLES: Range = Range::new("a multiple of 0.001 between 0 and 1", |momentum| {
    let parts = momentum * PARTS as f64;
    parts >= 1.0 && parts < PARTS as f64 && (parts - parts.round()).abs() < 1e-9
});

impl Default for Reversible {
    /// Uses momentum 0.9.
    fn default() -> Self {
        Self { momentum: 0.9, a: 9, b: 10, room: 376 }
    }
}

impl Spelled for Reversible {
    fn about(&self) -> About {
        About {
            name: "reversible",
            summary: "exact, for rule heavy-ball:momentum=M only: steps are undone, no states stored",
            cost: "2 r gradients, r HVPs, no states",
        }
    }

    fn spell(&self, settings: &mut Visit) -> Result<Self, Error> {
        let momentum =
            settings.get("momentum", self.momentum, MULTIPLES, "momentum of the inner rule");
        if momentum == self.momentum { Ok(*self) } else { Self::new(momentum) }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Position and momentum in units, and the buffers of digits.
struct State {
    w: Vec<i64>,
    m: Vec<i64>,
    buffer: Vec<i64>,
    /// The full buffers that were set aside.
    aside: Vec<i64>,
}

impl State {
    /// Bytes of a state of `p` entries with `spills` buffers set aside.
    fn bytes(p: usize, spills: usize) -> usize {
        (8 * p).saturating_mul(3 + spills)
    }

    fn new<T: Element>(w: &[T], spills: usize) -> Result<Self, Error> {
        let p = w.len();
        let w = w.iter().map(|w| units(w.as_f64())).collect::<Result<_, _>>()?;
        let aside = Vec::with_capacity(p * spills);
        Ok(Self { w, m: vec![0; p], buffer: vec![0; p], aside })
    }

    fn position<T: Element>(&self, out: &mut [T]) {
        for (out, &w) in out.iter_mut().zip(&self.w) {
            *out = T::from_f64(w as f64 * UNIT);
        }
    }

    /// Takes the step after `t` steps, with the gradient at the current position.
    fn forward<T: Element>(
        &mut self,
        rule: &Reversible,
        g: &[T],
        lr: f64,
        t: usize,
    ) -> Result<(), Error> {
        if t > 0 && t.is_multiple_of(rule.room) {
            self.aside.extend_from_slice(&self.buffer);
            self.buffer.fill(0);
        }
        let (a, b) = (rule.a, rule.b);
        let entries = self.w.iter_mut().zip(&mut self.m).zip(&mut self.buffer);
        for (((w, m), buffer), g) in entries.zip(g) {
            let filled = *buffer * b + m.rem_euclid(b);
            *m = m.div_euclid(b) * a + filled % a;
            *buffer = filled / a;
            *m = m.checked_add(units(g.as_f64())?).ok_or_else(too_large)?;
            *w = w.checked_sub(units(lr * *m as f64 * UNIT)?).ok_or_else(too_large)?;
        }
        Ok(())
    }

    /// Restores the position before the last step.
    fn back_position(&mut self, lr: f64) -> Result<(), Error> {
        for (w, &m) in self.w.iter_mut().zip(&self.m) {
            *w += units(lr * m as f64 * UNIT)?;
        }
        Ok(())
    }

    /// Restores the momentum before the step after `t` steps, with the gradient at the restored position.
    fn back_momentum<T: Element>(
        &mut self,
        rule: &Reversible,
        g: &[T],
        t: usize,
    ) -> Result<(), Error> {
        let (a, b) = (rule.a, rule.b);
        for ((m, buffer), g) in self.m.iter_mut().zip(&mut self.buffer).zip(g) {
            *m -= units(g.as_f64())?;
            let filled = *buffer * a + m.rem_euclid(a);
            *m = m.div_euclid(a) * b + filled % b;
            *buffer = filled / b;
        }
        if t > 0 && t.is_multiple_of(rule.room) {
            let rest = self.aside.len() - self.buffer.len();
            self.buffer.copy_from_slice(&self.aside[rest..]);
            self.aside.truncate(rest);
        }
        Ok(())
    }
}

fn too_large() -> Error {
    Error::told(
        "reversible takes states up to 4e6, which 2^-40 resolves in 63 bits, and this one is larger",
    )
}

/// Rounds to the nearest multiple of the unit.
fn units(value: f64) -> Result<i64, Error> {
    let scaled = (value / UNIT).round_ties_even();
    // Half of the range, so that a sum of two does not overflow.
    if scaled.abs() < (1_u64 << 62) as f64 {
        #[expect(clippy::cast_possible_truncation, reason = "in range")]
        Ok(scaled as i64)
    } else {
        Err(too_large())
    }
}

impl<T: Element> Estimator<T> for Reversible {
    fn task(
        &self,
        oracle: &mut Oracle<T>,
        Task { inner, x, draw, .. }: Task<T>,
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        let rule = format!("heavy-ball:momentum={}", self.momentum);
        inner.expect_known("reversible")?;
        if oracle.rule() != rule {
            let found = oracle.rule();
            let why = format!("reversible reverses the rule {rule}, and the rule is {found}");
            return Err(Error::told(why));
        }
        let (p, lr, steps) = (oracle.inner_dim(), inner.lr(), inner.steps());
        let (mut w, mut product) = (oracle.take(p)?, oracle.take(p)?);
        oracle.init(x, draw, &mut w)?;
        let bytes = State::bytes(p, self.spills(steps));
        let spills = if oracle.rehearses() { 0 } else { self.spills(steps) };
        let mut state = State::new(&w, spills)?;
        oracle.hold(bytes);
        let (mut w_bar, mut m_bar) = (oracle.take(p)?, oracle.take(p)?);
        for t in oracle.each(0..steps) {
            state.position(&mut w);
            oracle.inner_gradient(Point { w: &w, x, draw }, t, &mut product)?;
            finite_gradient(&product, Step::new(t, lr))?;
            state.forward(self, &product, lr, t)?;
            oracle.count_step();
        }
        state.position(&mut w);
        oracle.keep_end(draw, &w);
        let loss = oracle.outer_gradient(Point { w: &w, x, draw }, &mut w_bar, x_bar)?;
        finite_loss(loss, inner)?;
        m_bar.fill(T::zero());
        let (mut u, mut mixed) = (oracle.take(p)?, oracle.take(x.len())?);
        for t in oracle.each(0..steps).rev() {
            state.back_position(lr)?;
            state.position(&mut w);
            let point = Point { w: &w, x, draw };
            oracle.inner_gradient(point, t, &mut product)?;
            state.back_momentum(self, &product, t)?;
            u.copy_from_slice(&m_bar);
            axpy(&mut u, T::from_f64(-lr), &w_bar);
            oracle.inner_products(point, t, &u, &mut product, &mut mixed)?;
            axpy(&mut w_bar, T::one(), &product);
            axpy(x_bar, T::one(), &mixed);
            let share = T::from_f64(self.momentum);
            m_bar.iter_mut().zip(&u).for_each(|(m, &u)| *m = share * u);
        }
        oracle.pull_init(x, draw, &w_bar, x_bar)?;
        oracle.give_all([mixed, u, m_bar, w_bar, product, w]);
        oracle.release(bytes);
        // Unless everything has returned to zero, the adjoint belongs to another run.
        if state.m.iter().chain(&state.buffer).any(|&digit| digit != 0) {
            let expected =
                "the start of the inner loop: its gradients must not change from call to call";
            return Err(Error::invalid("a state of reversible", "another state", expected));
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_undone_bit_for_bit() {
        for (momentum, steps) in [(0.9, 400), (0.5, 400), (0.99, 2000), (0.001, 40)] {
            let rule = Reversible::new(momentum).unwrap();
            let mut state = State::new(&[0.3, -1.7, 123.456], rule.spills(steps)).unwrap();
            let gradient = |w: &[i64]| -> Vec<f64> {
                w.iter().map(|&w| (w as f64 * UNIT * 3.0).sin() + 0.1).collect()
            };
            let mut seen = Vec::new();
            for t in 0..steps {
                seen.push((state.w.clone(), state.m.clone()));
                let g = gradient(&state.w);
                state.forward(&rule, &g, 0.01, t).unwrap();
            }
            assert_eq!(state.aside.len(), 3 * rule.spills(steps), "{momentum}");
            for t in (0..steps).rev() {
                state.back_position(0.01).unwrap();
                let g = gradient(&state.w);
                state.back_momentum(&rule, &g, t).unwrap();
                assert_eq!((&state.w, &state.m), (&seen[t].0, &seen[t].1), "{momentum} {t}");
            }
            assert!(state.buffer.iter().all(|&b| b == 0) && state.aside.is_empty());
        }
        assert_eq!(Reversible::new(0.9).unwrap().room, 376);
    }
}
