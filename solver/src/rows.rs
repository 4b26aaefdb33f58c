//! The samples on which a loss is evaluated.

use std::ops::Range;

/// A block of samples of a loss that is a sum over samples.
///
/// For a block, a loss returns the block's part of the sum, with the same divisor as the whole loss. It adds terms that
/// do not depend on samples (penalties) exactly if [`carries_rest`](Self::carries_rest) is true. The blocks of one
/// evaluation cover every sample once, and one of them carries the rest, so their values add up to the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    start: usize,
    end: usize,
    carries_rest: bool,
}

impl Rows {
    /// All of `samples` in one block, which carries the terms that do not depend on samples.
    pub fn all(samples: usize) -> Self {
        Self { start: 0, end: samples, carries_rest: true }
    }

    /// Divides samples into blocks of at most `block`; the first block carries the rest.
    ///
    /// ```
    /// use hypertape_solver::Rows;
    /// let lengths: Vec<usize> = Rows::blocks(10, 4).map(|rows| rows.len()).collect();
    /// assert_eq!(lengths, [4, 4, 2]);
    /// ```
    pub fn blocks(samples: usize, block: usize) -> impl ExactSizeIterator<Item = Self> {
        Blocks { samples, block }.iter()
    }

    /// Index of the first sample.
    pub fn start(self) -> usize {
        self.start
    }

    /// Number of samples.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Number of samples as an array dimension.
    ///
    /// # Panics
    /// Panics if there are more than `u32::MAX`.
    pub fn count(self) -> u32 {
        u32::try_from(self.len()).expect("arrays have at most u32::MAX rows")
    }

    /// Whether there are no samples.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The samples as a range.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Whether this block adds the terms that do not depend on samples.
    pub fn carries_rest(self) -> bool {
        self.carries_rest
    }

    /// Returns the rows of these samples in a matrix with `columns` columns.
    ///
    /// # Panics
    /// Panics if `data` has fewer rows.
    pub fn of<T>(self, data: &[T], columns: usize) -> &[T] {
        &data[self.start * columns..self.end * columns]
    }
}

/// How samples are divided into [blocks](Rows::blocks).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    pub(crate) samples: usize,
    pub(crate) block: usize,
}

impl Blocks {
    /// The single block of a function that does not depend on samples.
    pub(crate) const ONE: Self = Self { samples: 0, block: usize::MAX };

    /// Number of blocks; one if there are no samples.
    pub(crate) fn len(self) -> usize {
        self.samples.div_ceil(self.block.max(1)).max(1)
    }

    /// The `i`-th block.
    pub(crate) fn nth(self, i: usize) -> Rows {
        let block = self.block.max(1);
        let end = self.samples.min((i + 1).saturating_mul(block));
        Rows { start: i * block, end, carries_rest: i == 0 }
    }

    /// Iterates over the blocks in order.
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Rows> {
        (0..self.len()).map(move |i| self.nth(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_each_sample_once_and_the_rest_once() {
        for samples in 0..20 {
            for block in 0..25 {
                let blocks: Vec<Rows> = Rows::blocks(samples, block).collect();
                let covered: Vec<usize> = blocks.iter().flat_map(|b| b.range()).collect();
                assert_eq!(covered, (0..samples).collect::<Vec<_>>());
                assert_eq!(blocks.iter().filter(|b| b.carries_rest()).count(), 1);
            }
        }
    }
}
