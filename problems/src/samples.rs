//! `Samples`: a dense data matrix, one sample per row, read in blocks of rows.

use std::ops::Range;
use std::sync::Arc;

use hypertape_autodiff::{Array, Element, Shape};

/// Bytes of data per block of rows. A block is read forward and again in reverse, and should then still be in the
/// second level of cache.
const BLOCK_BYTES: usize = 1 << 19;

/// A data matrix, from the start of a cache line on: loads that straddle two lines would cost a gradient a tenth more.
#[derive(Clone, Debug)]
pub(crate) struct Samples<T> {
    // Shared by clones: a copy would lie elsewhere, and so would its first cache line.
    padded: Arc<Vec<T>>,
    start: usize,
    width: usize,
}

impl<T: Element> Samples<T> {
    /// Rows of `width` values.
    pub(crate) fn new(data: Vec<T>, width: usize) -> Self {
        const LINE: usize = 64;
        assert!(width > 0 && data.len().is_multiple_of(width), "rows of one width");
        let mut padded: Vec<T> = Vec::with_capacity(data.len() + LINE / size_of::<T>());
        let start = padded.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        padded.resize(start, T::zero());
        padded.extend(data);
        Self { padded: Arc::new(padded), start, width }
    }

    fn data(&self) -> &[T] {
        &self.padded[self.start..]
    }

    /// Values per sample, as an array dimension.
    pub(crate) fn width(&self) -> u32 {
        u32::try_from(self.width).expect("arrays have at most u32::MAX columns")
    }

    /// One sample.
    pub(crate) fn row(&self, i: usize) -> &[T] {
        &self.data()[i * self.width..(i + 1) * self.width]
    }

    /// The samples in `range` as a constant of the type of `like`.
    pub(crate) fn range<'a, A: Array<'a, Elem = T>>(&'a self, like: A, range: Range<usize>) -> A {
        let rows = u32::try_from(range.len()).expect("arrays have at most u32::MAX rows");
        like.constant(Shape::new(rows, self.width()), self.rows(range))
    }

    /// The values of the samples in `range`, one sample after the other.
    pub(crate) fn rows(&self, range: Range<usize>) -> &[T] {
        &self.data()[range.start * self.width..range.end * self.width]
    }

    /// Rows per block of these samples.
    pub(crate) fn block_rows(&self) -> usize {
        block_rows::<T>(self.width)
    }
}

/// Rows per block of samples with `width` values.
pub(crate) fn block_rows<T>(width: usize) -> usize {
    (BLOCK_BYTES / (width.max(1) * size_of::<T>())).max(16)
}

/// Converts values to another precision.
pub(crate) fn convert<T: Element>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}
