//! `Csr`: a constant sparse matrix in compressed row storage, as a linear operator.

use std::ops::Range;

use crate::array::Array;
use crate::array::element::Element;
use crate::array::linear::LinearOperator;
use crate::fault::{Fault, expect_length};
use crate::shape::Shape;

/// A sparse matrix in compressed row storage: the entries of row `i` are `starts[i]..starts[i + 1]` of `columns` and
/// `values`.
///
/// A product with `c` columns costs `2 c` operations per entry, in one pass over the entries for a value and its
/// tangents. The result does not depend, bit for bit, on the number of planes that are multiplied together or, for
/// given blocks of rows, on the number of threads.
///
/// ```
/// use hypertape_autodiff::{Arena, Csr, Shape, Tensor};
/// // 1 0 2
/// // 0 3 0
/// let m = Csr::new(3, vec![0, 2, 3], vec![0, 2, 1], vec![1.0, 2.0, 3.0])?;
/// let arena = Arena::new();
/// let x = Tensor::new(&arena, Shape::column(3), &[1.0, 10.0, 100.0]);
/// assert_eq!(hypertape_autodiff::Array::values(m.times(0..2, x)), [201.0, 30.0]);
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Csr<T> {
    cols: u32,
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<T>,
}

impl<T: Element> Csr<T> {
    /// Creates a matrix of `starts.len() - 1` rows and `cols` columns. Entries of the same row and column are added.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if `starts` does not begin with 0 or does not end with the length of `columns` and of
    /// `values`, and [`Fault::Index`] if a row ends before it starts, a column is not below `cols`, or there are more
    /// rows than `u32::MAX`.
    pub fn new(
        cols: u32,
        starts: Vec<usize>,
        columns: Vec<u32>,
        values: Vec<T>,
    ) -> Result<Self, Fault> {
        let index = |operation, index, length| Err(Fault::Index { operation, index, length });
        let (Some(&0), Some(&last)) = (starts.first(), starts.last()) else {
            let what = "what precedes the first row of a sparse matrix";
            return Err(Fault::Length { what, expected: 0, found: 1 });
        };
        expect_length("the list of columns of a sparse matrix", last, columns.len())?;
        expect_length("the list of entries of a sparse matrix", last, values.len())?;
        if let Some(pair) = starts.windows(2).find(|pair| pair[0] > pair[1]) {
            return index("start of a row of a sparse matrix", pair[0], pair[1] + 1);
        }
        if let Some(&bad) = columns.iter().find(|&&column| column >= cols) {
            return index("column of a sparse matrix", bad as usize, cols as usize);
        }
        if u32::try_from(starts.len() - 1).is_err() {
            return index("last row of a sparse matrix", starts.len() - 2, u32::MAX as usize);
        }
        Ok(Self { cols, starts, columns, values })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Returns the number of columns.
    pub fn cols(&self) -> u32 {
        self.cols
    }

    /// Returns the number of stored entries.
    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// Appends columns of zeros, up to `cols` columns in all if there are fewer.
    #[must_use]
    pub fn widened(self, cols: u32) -> Self {
        Self { cols: self.cols.max(cols), ..self }
    }

    /// Returns the columns and the values of row `i`.
    ///
    /// # Panics
    /// Panics if there is no such row.
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let range = self.starts[i]..self.starts[i + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// Returns `M x`, where `M` is the given range of rows of this matrix. The view of the rows takes a cache line of
    /// the arena. Rows that do not exist raise [`Fault::Index`].
    pub fn times<'a, A: Array<'a, Elem = T>>(&'a self, rows: Range<usize>, x: A) -> A {
        let arena = x.arena();
        let view = match self.starts.get(rows.start..rows.end.saturating_add(1)) {
            Some(starts) if rows.start <= rows.end => arena.put(Rows { of: self, starts }),
            _ => {
                let (index, length) = (rows.end, self.rows() + 1);
                let fault = Fault::Index { operation: "rows of a sparse matrix", index, length };
                arena.raise(fault);
                Err(fault)
            }
        };
        match view {
            Ok(view) => x.linear(view, false),
            Err(_) => x.constant(Shape::EMPTY, &[]),
        }
    }
}

/// Consecutive rows of a matrix.
struct Rows<'a, T> {
    of: &'a Csr<T>,
    starts: &'a [usize],
}

impl<T: Element> LinearOperator<T> for Rows<'_, T> {
    fn rows(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).unwrap_or(u32::MAX)
    }

    fn cols(&self) -> u32 {
        self.of.cols
    }

    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]) {
        // A sparse product does not fail.
        let _ = self.apply_all(transposed, &mut [(x, y)], columns);
    }

    fn apply_all(
        &self,
        transposed: bool,
        planes: &mut [(&[T], &mut [T])],
        columns: usize,
    ) -> Result<(), Fault> {
        let entries = (&self.of.columns[..], &self.of.values[..]);
        T::sparse_products(self.starts, entries, transposed, columns, planes);
        Ok(())
    }
}
