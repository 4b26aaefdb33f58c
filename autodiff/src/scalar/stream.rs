//! [`Stream`]: the lists into which a tape is written.

use std::mem;

use crate::pages::advise;

/// A list that grows by chunks, each three times as long as all before it together. Entries are never copied, and
/// memory is touched only when it is used, because the first touch of a page costs more than a pass over it. Chunks are
/// kept and reused.
#[derive(Debug)]
pub(super) struct Stream<E> {
    full: Vec<Vec<E>>,
    /// The chunk that is being written.
    pub(super) last: Vec<E>,
    /// Empty chunks; the last of them is used next.
    spare: Vec<Vec<E>>,
    /// Number of entries in full chunks.
    before: usize,
}

impl<E> Default for Stream<E> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new(), spare: Vec::new(), before: 0 }
    }
}

impl<E: Copy> Stream<E> {
    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.before + self.last.len()
    }

    /// Returns the number of entries before the chunk that is being written.
    pub(super) fn before(&self) -> usize {
        self.before
    }

    /// Clears the list and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.close();
        for mut chunk in self.full.drain(..).rev() {
            chunk.clear();
            self.spare.push(chunk);
        }
        self.before = 0;
        self.last = self.spare.pop().unwrap_or_default();
    }

    /// Continues with the next chunk: a spare one, or a new one of `more` entries if there is none. Returns whether the
    /// system has memory for it.
    pub(super) fn open(&mut self, more: usize) -> bool {
        let mut next = self.spare.pop().unwrap_or_default();
        if next.capacity() == 0 {
            if next.try_reserve_exact(more).is_err() {
                return false;
            }
            advise(next.as_ptr(), next.capacity());
        }
        self.close();
        self.last = next;
        // Reserves the space into which `clear` moves chunks, so that it does not allocate.
        self.full.reserve(1);
        self.spare.reserve(self.full.len() + 1);
        true
    }

    fn close(&mut self) {
        let last = mem::take(&mut self.last);
        self.before += last.len();
        if last.capacity() > 0 {
            self.full.push(last);
        }
    }

    /// Returns the chunks from the last to the first, each with the number of entries before it.
    pub(super) fn backwards(&self) -> impl Iterator<Item = (usize, &[E])> {
        let mut before = self.len();
        std::iter::once(&self.last).chain(self.full.iter().rev()).map(move |chunk| {
            before -= chunk.len();
            (before, &chunk[..])
        })
    }
}
