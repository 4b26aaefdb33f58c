//! `Pool`: vectors that calls reuse, counted while they are in use.

use std::iter::Chain;
use std::ops::{Index, IndexMut, Range};

use hypertape_autodiff::Element;

use crate::cost::Meter;
use crate::error::Error;

/// Vectors for later calls, and the meter that counts them.
#[derive(Debug, Default)]
pub(crate) struct Pool<T> {
    pub(crate) meter: Meter,
    /// Whether operations are only counted.
    pub(crate) rehearsal: bool,
    spare: Vec<Vec<T>>,
}

/// Numbered vectors of one length. A rehearsal counts all of them but allocates one.
#[derive(Debug, Default)]
pub struct Slots<T> {
    values: Vec<T>,
    length: usize,
    /// Number of allocated vectors, and bytes of those that are only counted.
    kept: usize,
    counted: usize,
}

impl<T> Slots<T> {
    /// All vectors, one after the other.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    pub(crate) fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T> Index<usize> for Slots<T> {
    type Output = [T];

    fn index(&self, slot: usize) -> &[T] {
        &self.values[slot % self.kept * self.length..][..self.length]
    }
}

impl<T> IndexMut<usize> for Slots<T> {
    fn index_mut(&mut self, slot: usize) -> &mut [T] {
        &mut self.values[slot % self.kept * self.length..][..self.length]
    }
}

impl<T: Element> Pool<T> {
    /// Returns a vector with unspecified values: the smallest spare one that is large enough, or a new one. It counts
    /// as used until it is given back, and is then kept for later calls.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    pub(crate) fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        // From the end, where vectors of one size lie together.
        let mut best: Option<usize> = None;
        for (i, vector) in self.spare.iter().enumerate().rev() {
            let (room, least) =
                (vector.capacity(), best.map_or(usize::MAX, |b| self.spare[b].capacity()));
            if room >= len && room < least {
                best = Some(i);
            }
            if room == len {
                break;
            }
        }
        let best = best.map(|i| self.spare.swap_remove(i)).or_else(|| self.spare.pop());
        let mut vector = best.unwrap_or_default();
        vector.try_reserve_exact(len.saturating_sub(vector.len())).map_err(|_| {
            Error::invalid("a vector", format!("{len} values"), "as many as there is memory for")
        })?;
        vector.resize(len, T::zero());
        self.meter.hold(len * size_of::<T>());
        Ok(vector)
    }

    /// Gives a vector back.
    pub(crate) fn give(&mut self, vector: Vec<T>) {
        self.meter.release(vector.len() * size_of::<T>());
        self.spare.push(vector);
    }

    /// Iterates over `all`, in a rehearsal over the first two and the last two.
    pub(crate) fn each(&self, all: Range<usize>) -> Chain<Range<usize>, Range<usize>> {
        let few = if self.rehearsal { 2 } else { usize::MAX };
        let first = all.start..all.end.min(all.start.saturating_add(few));
        let last = first.end.max(all.end.saturating_sub(few))..all.end;
        first.chain(last)
    }

    /// Returns `count` vectors of `length` values.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    pub(crate) fn take_slots(&mut self, count: usize, length: usize) -> Result<Slots<T>, Error> {
        let kept = if self.rehearsal { count.min(1) } else { count };
        let values = self.take(kept.saturating_mul(length)).map_err(|_| {
            let found = format!("{count} vectors of {length} values");
            Error::invalid("stored states", found, "less than memory has room for")
        })?;
        let counted = (count - kept).saturating_mul(length * size_of::<T>());
        self.meter.hold(counted);
        Ok(Slots { values, length, kept, counted })
    }

    /// Gives the vectors back.
    pub(crate) fn give_slots(&mut self, slots: Slots<T>) {
        self.meter.release(slots.counted);
        self.give(slots.values);
    }
}
