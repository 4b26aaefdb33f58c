//! `Thinned`: unbiased reverse mode that visits each step with a given probability and by default recomputes no step.
//!
//! ```text
//! x_bar <- x_bar - lr (b_t/q) (d2g/dw dx)^T w_bar,    w_bar <- w_bar - lr (b_t/q) d2g/dw2 w_bar
//! ```
//!
//! with independent coins `b_t` of probability `q`. They are tossed before the forward run, which stores only the
//! states that will be visited. A step is linear in `w_bar`, and its coin is independent of those of the later steps,
//! so `E x_bar` is the exact gradient.
//!
//! **Stability.** Along an eigenvector of `d2g/dw2` with eigenvalue `h` a step multiplies the mean square of `w_bar` by
//! [`mean_square_factor`](crate::mean_square_factor), `1 - 2 lr h + (lr h)^2 / q`, so it grows without bound if
//! `q < lr h / 2`. Such a `q` is an error. It is reported before the run if the smoothness is given, and otherwise as
//! soon as `|H v| / |v|` at a visited step reveals it.
//!
//! **Anchored.** Every step uses the Hessian at the last state visited in the reverse pass (`w_r` at first), and a
//! visited step adds `1/q` times the difference from its own Hessian. The anchor depends only on the coins of later
//! steps, so this is unbiased as well; the nearest visited state on either side would not be. The factor `1/q` then
//! applies only to the change of the Hessian.
//!
//! Cost for `r` steps: `r` inner gradients, and on average `q r` products, or `(1 + q) r` if anchored. If more than
//! `slots` states are to be visited, the forward run is repeated for each further `slots` of them. Memory: `slots`
//! states, two vectors of `p` and one of `d` values, two further states if `slots < r` and two if anchored, `8 r`
//! bytes, and the arenas of one sweep.

use hypertape_autodiff::{Element, axpy};
use rand::RngExt;

use crate::draw::Level;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::oracle::Oracle;
use crate::params::norm;
use crate::rollout::{Rollout, Task};
use crate::spelling::{Range, Spelled, spelled};
use crate::variance::mean_square_factor;

spelled! {
    /// The gradient from a random subset of the steps.
    ///
    /// Independent copies in one problem ([`Bilevel::replicas`](crate::Bilevel::replicas)) share the coins.
    #[derive(Clone, Debug)]
    pub struct Thinned: "thinned",
        "reverse mode that visits each step with probability q; unbiased",
        "r gradients, q r HVPs and states" {
        q: f64 = 0.3, Range::PROBABILITY, "probability that a step is visited";
        slots: Option<usize> = None, Range::ONE_OR_MORE,
            "states stored at a time; as many as are visited if not given";
        smoothness: Option<f64> = None, Range::POSITIVE,
            "bound on the norm of inner Hessians; if given, too small a q is refused at once";
        anchored: bool = false, Range::SWITCH,
            "steps in between use the Hessian of the last visited state";
    } beside {
        forced: Option<Vec<bool>> = None;
    }
}

impl Thinned {
    /// Creates the estimator with coins of probability `q`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `q` is in (0, 1].
    pub fn new(q: f64) -> Result<Self, Error> {
        Self { q, ..Self::default() }.checked()
    }

    /// Uses the Hessian of the last visited state at the steps that are not visited.
    #[must_use]
    pub fn anchored(self) -> Self {
        Self { anchored: true, ..self }
    }

    /// Stores at most `slots` states at a time; `q r + 2 sqrt(q (1 - q) r)` are seldom too few.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `slots` is 0.
    pub fn with_slots(self, slots: usize) -> Result<Self, Error> {
        Self { slots: Some(slots), ..self }.checked()
    }

    /// Declares that inner Hessians have norm `smoothness` or less.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `smoothness` is positive and finite.
    pub fn smooth(self, smoothness: f64) -> Result<Self, Error> {
        Self { smoothness: Some(smoothness), ..self }.checked()
    }

    /// Replaces the coin of step `t` by `coins[t]` (for tests that enumerate the outcomes); `None` restores random
    /// coins.
    pub fn force(&mut self, coins: Option<Vec<bool>>) {
        self.forced = coins;
    }

    /// Returns an error if `q` lets the mean square grow along an eigenvector with `lr h = x`, beyond the rounding of
    /// norms. For `q = 1` the sweep is exact.
    fn enforce(&self, x: f64, shown: impl FnOnce() -> String) -> Result<(), Error> {
        let factor = mean_square_factor(1.0, x, self.q);
        let grows = factor > 1.0 + 1e-6;
        if self.anchored || self.q == 1.0 || !grows {
            return Ok(());
        }
        if x > 2.0 {
            let why = format!(
                "thinned cannot run here: {} is {x:.6}, above 2, where steps diverge; a smaller lr is needed",
                shown()
            );
            return Err(Error::told(why));
        }
        let expected = format!(
            "{:.6} or more, half of {}: the mean square of the adjoint grows by {factor:.6} a step",
            x / 2.0,
            shown()
        );
        Err(Error::invalid("q of thinned", self.q, expected))
    }

    fn room(&self, steps: usize) -> usize {
        self.slots.unwrap_or(steps).min(steps)
    }
}

impl<T: Element> Estimator<T> for Thinned {
    fn chance(&self) -> bool {
        true
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        at.inner.expect_known("thinned")?;
        if let Some(smoothness) = self.smoothness {
            self.enforce(at.inner.lr() * smoothness, || "lr times the smoothness".into())?;
        }
        let (steps, mut stream) = (at.inner.steps(), at.draw.at(Level::Coin, at.slot).stream());
        let rehearsal = oracle.rehearses();
        let mut coin = |t| match &self.forced {
            _ if rehearsal => true,
            Some(coins) => coins.get(t).is_some_and(|&coin| coin),
            None => stream.random_bool(self.q),
        };
        let noted = steps.saturating_mul(size_of::<usize>());
        oracle.hold(noted);
        let mut visits = Vec::new();
        visits.try_reserve_exact(oracle.each(0..steps).count()).map_err(|_| {
            Error::invalid("notes of visited steps", steps, "as many as there is memory for")
        })?;
        visits.extend(oracle.each(0..steps).filter(|&t| coin(t)));
        let (mut run, mut bar) = Rollout::start(oracle, at)?;
        run.multiple_of(0)?;
        let (n, room) = (bar.len(), self.room(steps));
        let mut ring = run.oracle.take_slots(room, n)?;
        let again = if room < steps { n } else { 0 };
        let beside = if self.anchored { n } else { 0 };
        let [mut start, mut state] = [run.oracle.take(again)?, run.oracle.take(again)?];
        let [mut anchor, mut product] = [run.oracle.take(beside)?, run.oracle.take(beside)?];
        start.copy_from_slice(&bar[..again]);
        let share = self.q.recip();
        let (mut end, mut loss) = (steps, None);
        loop {
            let (left, chunk) = visits.split_at(visits.len() - visits.len().min(room));
            let last = if loss.is_none() { steps } else { chunk[chunk.len() - 1] };
            let running = if loss.is_none() { &mut bar } else { &mut state };
            if loss.is_some() {
                running.copy_from_slice(&start);
            }
            let mut slots = chunk.iter().enumerate().peekable();
            for t in run.oracle.each(0..last.saturating_add(1)) {
                if let Some((slot, _)) = slots.next_if(|&(_, &visit)| visit == t) {
                    ring[slot].copy_from_slice(running);
                }
                if t < last {
                    run.step(t, running)?;
                }
            }
            if loss.is_none() {
                anchor.copy_from_slice(&bar[..beside]);
                loss = Some(run.turn(&mut bar, gradient)?);
            }
            let from = if left.is_empty() { 0 } else { chunk[0] };
            let mut slots = chunk.iter().enumerate().rev().peekable();
            for t in run.oracle.each(from..end).rev() {
                let visit = slots.next_if(|&(_, &visit)| visit == t);
                let weight = if visit.is_some() { 1.0 - share } else { 1.0 };
                let mut c = 0.0;
                if self.anchored && weight != 0.0 {
                    let (multiple, found) =
                        run.products(t, (&anchor, &bar), Some((weight, &mut *gradient)))?;
                    product.copy_from_slice(found);
                    c = weight * multiple;
                }
                if let Some((slot, _)) = visit {
                    let state = &ring[slot];
                    let (multiple, found) =
                        run.products(t, (state, &bar), Some((share, &mut *gradient)))?;
                    let ratio = multiple.abs() * (norm(found) / norm(&bar)).as_f64();
                    // In a rehearsal the Hessian is unknown.
                    let ratio = if rehearsal { 0.0 } else { ratio };
                    self.enforce(ratio, || format!("lr |H v| / |v| at step {t}"))?;
                    axpy(&mut bar, T::from_f64(share * multiple), found);
                    anchor.copy_from_slice(&state[..beside]);
                }
                if c != 0.0 {
                    axpy(&mut bar, T::from_f64(c), &product);
                }
            }
            if left.is_empty() {
                break;
            }
            end = from;
            visits.truncate(left.len());
        }
        run.pull_start(&bar, gradient)?;
        run.oracle.release(noted);
        run.oracle.give_slots(ring);
        run.close([product, anchor, state, start, bar]);
        Ok(loss.unwrap_or(T::nan()))
    }
}
