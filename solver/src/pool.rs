//! `Pool`: vectors that calls reuse, counted while they are in use.

use hypertape_autodiff::Element;

use crate::cost::Meter;
use crate::error::Error;

/// Vectors for the next call, and the meter that counts them.
#[derive(Debug, Default)]
pub(crate) struct Pool<T> {
    pub(crate) meter: Meter,
    spare: Vec<Vec<T>>,
}

impl<T: Element> Pool<T> {
    /// A vector with values of earlier use: the smallest that has room, or a new one. It counts as used, and is kept for
    /// later calls, once given back.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the system has no memory for it.
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
}
