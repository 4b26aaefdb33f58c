//! What evaluations cost: vectors taken and given back, counts, bytes, notes.

use std::iter::Chain;
use std::ops::Range;

use hypertape_autodiff::Element;

use crate::adjoint::Itinerary;
use crate::cost::Cost;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::pool::{Pool, Slots};
use crate::report::Report;

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

    /// The reports since then, as one.
    pub fn report(&self) -> Option<Report> {
        self.pool.meter.report
    }

    /// The steepest step since then, see [`Estimate::sensitivity`](crate::Estimate::sensitivity).
    pub fn sensitivity(&self) -> f64 {
        self.pool.meter.sensitivity
    }

    /// Takes note of what an implicit estimate rests on: of several, the worst in each field.
    pub fn note(&mut self, report: Report) {
        self.pool.meter.note(report);
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
