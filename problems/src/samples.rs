//! `DataMatrix`: a dense data matrix with one sample per row, read in blocks of rows.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use hypertape_autodiff::{Array, Element, Shape};

/// Bytes of data per block of rows. A block is read forward and again in reverse, and should then still be in the
/// second level of cache.
const BLOCK_BYTES: usize = 1 << 19;

/// The same for a loss that reads each row once, from wherever it is. A block takes about a microsecond more than the
/// pass over its rows, and two threads need two.
const PASS_BYTES: usize = 2 << 20;

/// A dense data matrix with one sample per row. Clones share the values. The values start on a cache line, because
/// loads that straddle two lines would make gradients about 10 % slower.
///
/// ```
/// use hypertape_problems::DataMatrix;
/// let samples = DataMatrix::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
/// assert_eq!((samples.shape().to_string(), samples.clone().values()[3]), ("2x3".to_owned(), 4.0));
/// ```
#[derive(Clone, Debug)]
pub struct DataMatrix<T> {
    // Shared by clones, because a copy would start elsewhere in a cache line.
    padded: Arc<Vec<T>>,
    start: usize,
    width: usize,
}

impl<T: Element> PartialEq for DataMatrix<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.values()) == (other.width, other.values())
    }
}

impl<T: Element> DataMatrix<T> {
    /// Creates a matrix whose rows have `width` values each. Cost: one copy of the values.
    ///
    /// # Panics
    /// Panics if `width` is 0, or if the number of values is not a multiple of `width`.
    #[track_caller]
    pub fn new<I>(values: I, width: usize) -> Self
    where
        I: IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    {
        const LINE: usize = 64;
        let data = values.into_iter();
        assert!(width > 0 && data.len().is_multiple_of(width), "rows of one width");
        let mut padded: Vec<T> = Vec::with_capacity(data.len() + LINE / size_of::<T>());
        let start = padded.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        padded.resize(start, T::zero());
        padded.extend(data);
        Self { padded: Arc::new(padded), start, width }
    }

    /// Returns the values in another precision; in the same precision, they are shared.
    pub(crate) fn cast<U: Element>(&self) -> DataMatrix<U> {
        let same = (self as &dyn Any).downcast_ref::<DataMatrix<U>>();
        let other = || self.values().iter().map(|v| U::from_f64(v.as_f64()));
        same.cloned().unwrap_or_else(|| DataMatrix::new(other(), self.width))
    }

    /// Returns all values, row by row.
    pub fn values(&self) -> &[T] {
        &self.padded[self.start..]
    }

    /// Returns the number of samples by the number of values per sample.
    ///
    /// # Panics
    /// Panics if there are more than `u32::MAX` samples.
    pub fn shape(&self) -> Shape {
        shape(self.values().len() / self.width, self.width)
    }

    /// Number of values per sample, as an array dimension.
    pub(crate) fn width(&self) -> u32 {
        shape(0, self.width).cols
    }

    /// Returns one sample.
    pub(crate) fn row(&self, i: usize) -> &[T] {
        &self.values()[i * self.width..(i + 1) * self.width]
    }

    /// Returns the samples in `range` as a constant of the type of `like`.
    pub(crate) fn range<'a, A: Array<'a, Elem = T>>(&'a self, like: A, range: Range<usize>) -> A {
        like.constant(shape(range.len(), self.width), self.rows(range))
    }

    /// Returns the values of the samples in `range`, one sample after the other.
    pub(crate) fn rows(&self, range: Range<usize>) -> &[T] {
        &self.values()[range.start * self.width..range.end * self.width]
    }

    /// Number of rows per block of these samples.
    pub(crate) fn block_rows(&self) -> usize {
        block_rows::<T>(self.width)
    }
}

/// The shape of an array with so many rows and columns.
pub(crate) fn shape(rows: usize, cols: usize) -> Shape {
    let size = |n| u32::try_from(n).expect("arrays have at most u32::MAX rows and columns");
    Shape::new(size(rows), size(cols))
}

/// The shape of these values as a column.
pub(crate) fn column<T>(values: &[T]) -> Shape {
    shape(values.len(), 1)
}

/// Number of rows per block of samples with `width` values.
pub(crate) fn block_rows<T>(width: usize) -> usize {
    (BLOCK_BYTES / (width.max(1) * size_of::<T>())).max(16)
}

/// Number of rows per block, in blocks of the same size, for a loss that reads each of `rows` once.
pub(crate) fn pass_rows<T>(rows: usize, width: usize) -> usize {
    let blocks = rows.saturating_mul(width * size_of::<T>()).div_ceil(PASS_BYTES);
    rows.div_ceil(blocks.max(1)).max(16)
}

/// Converts values to another precision.
pub(crate) fn convert<T: Element>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&v| T::from_f64(v)).collect()
}
