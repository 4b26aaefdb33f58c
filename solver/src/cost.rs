//! The cost of an estimate: gradients, products, bytes, time.

use std::ops::{Add, AddAssign};
use std::time::Duration;

use crate::breakdown::Breakdown;
use crate::ranks::Ranks;
use crate::report::Soundness;

/// Totals of one call or of several. Counts and times add up; of bytes the maximum is taken.
///
/// Bytes are the peak of used bytes in arenas and state slots during the call, including padding of the arenas, above
/// what was in use before it. The caller's data and parameters are not counted. With several threads, the peaks of all
/// of them are added although they may occur at different times. The sum is an upper bound, and the same in every call.
/// ```
/// use hypertape_solver::Cost;
/// let cost = |hvps, bytes_measured| { let mut cost = Cost::default(); (cost.hvps, cost.bytes_measured) = (hvps, bytes_measured); cost };
/// let mut both = cost(3, 400);
/// both += cost(4, 200);
/// assert_eq!((both.hvps, both.bytes_measured), (7, 400));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Cost {
    /// Steps of the inner loop executed forward, including recomputed ones.
    pub plain_steps: u64,
    /// Gradients of the inner loss evaluated outside Hessian-vector products.
    pub inner_gradients: u64,
    /// Products with the inner Hessian. The gradient evaluated in the same sweep is not counted separately.
    pub hvps: u64,
    /// Products with the mixed derivative `d2g/dw dx`. One sweep computes both products.
    pub mixed: u64,
    /// Gradients of the outer loss.
    pub outer_gradients: u64,
    /// Samples seen: the sum of [`Bilevel::samples`](crate::Bilevel::samples) over all evaluations of a loss. A sweep
    /// counts once, whatever it computes: a value, a gradient, products, products along several directions, or the
    /// pull-back of a kept tape.
    pub samples: u64,
    /// Peak of used bytes.
    pub bytes_measured: u64,
    /// Wall time.
    #[cfg_attr(feature = "serde", serde(rename = "seconds", with = "crate::serial::seconds"))]
    pub time: Duration,
}

impl Add for Cost {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.add_counts(other);
        self.bytes_measured = self.bytes_measured.max(other.bytes_measured);
        self.time += other.time;
    }
}

impl Cost {
    fn add_counts(&mut self, mut other: Self) {
        self.counts().into_iter().zip(other.counts()).for_each(|(sum, n)| *sum += *n);
    }

    /// The counts, in a fixed order.
    fn counts(&mut self) -> [&mut u64; 6] {
        let Self { plain_steps, inner_gradients, hvps, mixed, outer_gradients, samples, .. } = self;
        [plain_steps, inner_gradients, hvps, mixed, outer_gradients, samples]
    }

    /// Sums the counts over all ranks, and takes the largest of each of the given numbers among them.
    pub(crate) fn over(mut self, ranks: &dyn Ranks, largest: [f64; 3]) -> (Self, [f64; 3]) {
        let mut own = self.counts().map(|n| *n as f64).to_vec();
        own.extend(largest);
        let each = own.len();
        let mut told = own.repeat(ranks.count());
        ranks.gather(&mut told, &vec![each; ranks.count()]);
        let of = |k| told.iter().skip(k).step_by(each);
        for (k, count) in self.counts().into_iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let sum = of(k).sum::<f64>() as u64;
            *count = sum;
        }
        let largest = [each - 3, each - 2, each - 1].map(|k| of(k).copied().fold(0.0, f64::max));
        (self, largest)
    }
}

/// Accumulates the counts and the peak while a call runs.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) cost: Cost,
    /// The worst soundness noted so far.
    pub(crate) soundness: Soundness,
    /// The first inner variable whose adjoint was clipped to a bound.
    pub(crate) bounded: Option<usize>,
    /// Breakdown of time and bytes, if it was requested.
    pub(crate) breakdown: Option<Breakdown>,
    held: u64,
}

impl Meter {
    /// Resets all counts.
    pub(crate) fn reset(&mut self) {
        let breakdown = self.breakdown.as_ref().map(|_| Breakdown::default());
        *self = Self { breakdown, ..Self::default() };
    }

    /// Counts `bytes` of state that stay in use from here on.
    pub(crate) fn hold(&mut self, bytes: usize) {
        // A rehearsal may count more bytes than the machine has.
        self.held = self.held.saturating_add(bytes as u64);
        if let Some(breakdown) = &mut self.breakdown {
            breakdown.held = breakdown.held.max(self.held);
        }
        self.observe(0);
    }

    /// Counts `bytes` of state that are no longer in use.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes as u64);
    }

    /// Bytes of state in use now.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Adds the costs of workers that ran in parallel.
    pub(crate) fn join(&mut self, workers: impl Iterator<Item = Cost>) {
        let mut bytes = 0;
        for cost in workers {
            self.cost.add_counts(cost);
            bytes += cost.bytes_measured;
        }
        self.cost.bytes_measured = self.cost.bytes_measured.max(self.held + bytes);
    }

    /// Records what a reader of the result should know, in addition to what was recorded before.
    pub(crate) fn note(&mut self, soundness: Soundness) {
        self.soundness = self.soundness.worst(soundness);
    }

    /// Counts `bytes` used in arenas in addition to what is held.
    pub(crate) fn observe(&mut self, bytes: usize) {
        self.cost.bytes_measured =
            self.cost.bytes_measured.max(self.held.saturating_add(bytes as u64));
    }
}
