//! What evaluations cost: vectors taken and given back, counts, bytes, notes.

use std::iter::Chain;
use std::ops::Range;

use hypertape_autodiff::Element;

use crate::adjoint::Itinerary;
use crate::cost::Cost;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::params::largest;
use crate::pool::{Pool, Slots};
use crate::report::Soundness;

impl<T: Element> Oracle<'_, T> {
    /// A vector of `len` values, which are those of earlier use, counted as used until it is [given back](Self::give).
    ///
    /// # Errors
    /// [`Error::Invalid`] if the system has no memory for it.
    pub fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.pool.take(len)
    }

    /// As many vectors of `len` values.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn vectors<const N: usize>(&mut self, len: usize) -> Result<[Vec<T>; N], Error> {
        let mut all = [(); N].map(|()| Vec::new());
        for vector in &mut all {
            *vector = self.take(len)?;
        }
        Ok(all)
    }

    /// Gives a vector back, for later calls.
    pub fn give(&mut self, vector: Vec<T>) {
        self.pool.give(vector);
    }

    /// Gives several back.
    pub fn give_all<const N: usize>(&mut self, vectors: [Vec<T>; N]) {
        for vector in vectors {
            self.give(vector);
        }
    }

    /// `count` vectors of `length` values, by number, likewise counted: for what grows with the number of steps, since a
    /// rehearsal counts all of them and has one.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_slots(&mut self, count: usize, length: usize) -> Result<Slots<T>, Error> {
        self.pool.take_slots(count, length)
    }

    /// Gives them back.
    pub fn give_slots(&mut self, slots: Slots<T>) {
        self.pool.give_slots(slots);
    }

    /// Whether an estimate is only rehearsed, for its bytes: evaluations give zeros then, but for the start, for `H v` that is `v`,
    /// and for `df/dw`, which are ones.
    pub fn rehearses(&self) -> bool {
        self.pool.rehearsal
    }

    /// Each of `all` in turn, such as the steps of a loop; in a rehearsal the first two and the last two.
    pub fn each(&self, all: Range<usize>) -> Chain<Range<usize>, Range<usize>> {
        self.pool.each(all)
    }

    /// Takes note of bytes of one's own that are in use from here on.
    pub fn hold(&mut self, bytes: usize) {
        self.pool.meter.hold(bytes);
    }

    /// Takes note that bytes that were [held](Self::hold) are no longer in use.
    pub fn release(&mut self, bytes: usize) {
        self.pool.meter.release(bytes);
    }

    /// Where vectors come from, and what is counted.
    pub(crate) fn pool(&mut self) -> &mut Pool<T> {
        &mut self.pool
    }

    /// Bytes that are in use between two calls, and should not be.
    pub(crate) fn left(&self) -> u64 {
        self.pool.meter.held()
    }

    /// Starts counting bytes from what is in use.
    pub(crate) fn mark(&mut self) {
        self.pool.meter.cost.bytes_measured = 0;
        self.pool.meter.hold(0);
    }

    /// Starts counting afresh.
    pub fn begin(&mut self) {
        self.pool.meter.reset();
    }

    /// What was counted since [`begin`](Self::begin).
    pub fn cost(&self) -> Cost {
        self.pool.meter.cost
    }

    /// What the reader of an estimate since then should know.
    pub fn soundness(&self) -> Soundness {
        self.pool.meter.soundness
    }

    /// Takes note of such: of several, the worst in each field.
    pub fn note(&mut self, soundness: Soundness) {
        self.pool.meter.note(soundness);
    }

    /// Takes note of by how much an adjoint grew from the end of a loop, where its largest entry was `before`, to its start.
    pub(crate) fn note_growth(&mut self, before: f64, bar: &[T]) {
        let growth = if before > 0.0 { largest(bar) / before } else { 0.0 };
        self.note(Soundness { growth, ..Soundness::default() });
    }

    /// The first inner variable whose adjoint was kept within a bound since then.
    pub(crate) fn bounded(&self) -> Option<usize> {
        self.pool.meter.bounded
    }

    /// Keeps the adjoint of a state so far below the largest number that a step back can be taken from there, and takes note of
    /// where it was larger. The adjoint of a weight that the losses hardly depend on grows by `lr / eps` a step of an adaptive
    /// rule, though nothing may come of it: infinity times a derivative of 0 is not 0.
    pub(crate) fn keep_within(&mut self, bar: &mut [T]) {
        let share = if self.halved { 0.5e-16 } else { 1e-16 };
        let most = T::max_value() * T::from_f64(share);
        let p = self.inner_dim().max(1);
        for (i, bar) in bar.iter_mut().enumerate().filter(|(_, bar)| bar.abs() > most) {
            *bar = bar.signum() * most;
            self.pool.meter.bounded.get_or_insert(i % p);
        }
    }

    /// Takes note of a forward step.
    pub fn count_step(&mut self) {
        self.pool.meter.cost.plain_steps += 1;
    }

    /// The actions of the last schedule, to be used again.
    pub(crate) fn itinerary(&mut self) -> &mut Option<Itinerary> {
        let rehearsal = usize::from(self.rehearses());
        &mut self.found().itineraries[rehearsal]
    }
}
