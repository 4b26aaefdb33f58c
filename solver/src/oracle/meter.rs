//! The costs of evaluations: vectors taken and given back, counts, bytes, notes.

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
    /// Returns a vector of `len` unspecified values, which is counted as used until it is [given back](Self::give).
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    pub fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.pool.take(len)
    }

    /// Returns `N` vectors of `len` values.
    ///
    /// # Errors
    /// Returns the errors of [`take`](Self::take).
    pub fn vectors<const N: usize>(&mut self, len: usize) -> Result<[Vec<T>; N], Error> {
        let mut all = [(); N].map(|()| Vec::new());
        for vector in &mut all {
            *vector = self.take(len)?;
        }
        Ok(all)
    }

    /// Gives a vector back for later calls.
    pub fn give(&mut self, vector: Vec<T>) {
        self.pool.give(vector);
    }

    /// Gives several vectors back.
    pub fn give_all(&mut self, vectors: impl IntoIterator<Item = Vec<T>>) {
        vectors.into_iter().for_each(|vector| self.give(vector));
    }

    /// Returns `count` numbered vectors of `length` values, which are counted likewise.
    ///
    /// Use them if their number grows with the number of steps: a rehearsal counts all of them but allocates one.
    ///
    /// # Errors
    /// Returns the errors of [`take`](Self::take).
    pub fn take_slots(&mut self, count: usize, length: usize) -> Result<Slots<T>, Error> {
        self.pool.take_slots(count, length)
    }

    /// Gives numbered vectors back.
    pub fn give_slots(&mut self, slots: Slots<T>) {
        self.pool.give_slots(slots);
    }

    /// Whether an estimate is only rehearsed to count its bytes.
    ///
    /// Evaluations then return zeros, except for the start, for `H v`, which is `v`, and for `df/dw`, which is a vector
    /// of ones.
    pub fn rehearses(&self) -> bool {
        self.pool.rehearsal
    }

    /// Iterates over `all`, for example the steps of a loop.
    ///
    /// In a rehearsal, only the first two and the last two are visited.
    pub fn each(&self, all: Range<usize>) -> Chain<Range<usize>, Range<usize>> {
        self.pool.each(all)
    }

    /// Counts bytes of the caller's own memory that are in use from here on.
    pub fn hold(&mut self, bytes: usize) {
        self.pool.meter.hold(bytes);
    }

    /// Counts bytes that were [held](Self::hold) and are no longer in use.
    pub fn release(&mut self, bytes: usize) {
        self.pool.meter.release(bytes);
    }

    /// The source of vectors, and the meter.
    pub(crate) fn pool(&mut self) -> &mut Pool<T> {
        &mut self.pool
    }

    /// Number of bytes in use between two calls, which should be zero.
    pub(crate) fn left(&self) -> u64 {
        self.pool.meter.held()
    }

    /// Resets the peak of bytes to those in use now.
    pub(crate) fn mark(&mut self) {
        self.pool.meter.cost.bytes_measured = 0;
        self.pool.meter.hold(0);
    }

    /// Resets all counts.
    pub fn begin(&mut self) {
        self.pool.meter.reset();
    }

    /// Returns the counts since [`begin`](Self::begin).
    pub fn cost(&self) -> Cost {
        self.pool.meter.cost
    }

    /// Returns what a reader of an estimate since [`begin`](Self::begin) should know.
    pub fn soundness(&self) -> Soundness {
        self.pool.meter.soundness
    }

    /// Records what a reader of the estimate should know. Of several notes, the worst value of each field is kept.
    pub fn note(&mut self, soundness: Soundness) {
        self.pool.meter.note(soundness);
    }

    /// Records the growth of an adjoint from the end of a loop, where its largest entry was `before`, to the start of
    /// the loop.
    pub(crate) fn note_growth(&mut self, before: f64, bar: &[T]) {
        let growth = if before > 0.0 { largest(bar) / before } else { 0.0 };
        self.note(Soundness { growth, ..Soundness::default() });
    }

    /// The first inner variable whose adjoint was clipped since [`begin`](Self::begin).
    pub(crate) fn bounded(&self) -> Option<usize> {
        self.pool.meter.bounded
    }

    /// Clips the adjoint of a state to a bound far enough below the largest number that a further step back can be
    /// taken, and records where it was larger. Under an adaptive rule, the adjoint of a weight on which the losses
    /// hardly depend grows by `lr / eps` per step, although it may not influence the result: infinity times a
    /// derivative of 0 is not 0.
    pub(crate) fn keep_within(&mut self, bar: &mut [T]) {
        let share = if self.halved { 0.5e-16 } else { 1e-16 };
        let most = T::max_value() * T::from_f64(share);
        let p = self.inner_dim().max(1);
        for (i, bar) in bar.iter_mut().enumerate().filter(|(_, bar)| bar.abs() > most) {
            *bar = bar.signum() * most;
            self.pool.meter.bounded.get_or_insert(i % p);
        }
    }

    /// Counts a forward step.
    pub fn count_step(&mut self) {
        self.pool.meter.cost.plain_steps += 1;
    }

    /// The actions of the last schedule, for reuse.
    pub(crate) fn itinerary(&mut self) -> &mut Option<Itinerary> {
        let rehearsal = usize::from(self.rehearses());
        &mut self.known.found.itineraries[rehearsal]
    }
}
