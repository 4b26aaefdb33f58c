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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::primitives::Primitives as _;
    use crate::{Arena, Dual, Tape, Tensor};

    /// A 7 x 5 matrix with an empty row and an empty column, and its dense form. Entries are small integers, so that
    /// sums are exact in every order.
    fn example() -> (Csr<f64>, Vec<f64>) {
        let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut dense = vec![0.0; 35];
        for i in (0..7_u32).filter(|&i| i != 3) {
            for j in (0..5).filter(|j| (i + 2 * j) % 3 == 0 && *j != 2) {
                let value = f64::from(i * 5 + j) - 15.0;
                columns.push(j);
                values.push(value);
                dense[(i * 5 + j) as usize] = value;
            }
            starts.push(values.len());
            if i == 2 {
                starts.push(values.len());
            }
        }
        (Csr::new(5, starts, columns, values).unwrap(), dense)
    }

    fn wave(len: usize, seed: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7 + seed) % 11) as f64 - 5.0).collect()
    }

    #[test]
    fn products_and_their_derivatives_are_those_of_the_dense_matrix() {
        let (sparse, dense) = example();
        assert_eq!((sparse.rows(), sparse.cols(), sparse.row(3).0.len()), (7, 5, 0));
        for columns in [1, 2, 9] {
            for rows in [0..7, 2..5, 3..4, 4..4] {
                let shape = Shape::new(5, columns);
                let count = u32::try_from(rows.len()).unwrap();
                let (w, dw) = (wave(shape.len(), 1), wave(shape.len(), 4));
                let seed = [
                    wave(rows.len() * columns as usize, 2),
                    wave(rows.len() * columns as usize, 3),
                ];
                let arena = Arena::new();
                let tensor = |shape, data| Tensor::new(&arena, shape, data);
                let results = [false, true].map(|is_sparse| {
                    let tape = Tape::new(&arena).unwrap();
                    let w = tape.variable(Dual::new(tensor(shape, &w), [Some(tensor(shape, &dw))]));
                    let out = if is_sparse {
                        sparse.times(rows.clone(), w)
                    } else {
                        let data = &dense[5 * rows.start..5 * rows.end];
                        w.constant(Shape::new(count, 5), data).matmul(w)
                    };
                    let [bar, d_bar] = [0, 1].map(|i| tensor(Shape::new(count, columns), &seed[i]));
                    let bar = Dual::new(bar, [Some(d_bar)]);
                    let adjoints = tape.finish().pull(&[(out.id().unwrap(), bar)], &arena);
                    let w_bar = adjoints.get(w.id().unwrap()).unwrap();
                    [out.value(), w_bar]
                        .map(|d| [d.value(), d.tangents()[0].unwrap()].map(Array::values))
                });
                arena.status().unwrap();
                assert_eq!(results[0], results[1], "{rows:?}, {columns} columns");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_company() {
        let (sparse, _) = example();
        let arena = Arena::new();
        for shape in [Shape::column(5), Shape::new(5, 9)] {
            let data: Vec<Vec<f64>> = (0..4)
                .map(|k| wave(shape.len(), k).iter().map(|v| (v * 0.37).sin()).collect())
                .collect();
            let mut together: Vec<_> = data.iter().map(|d| Tensor::new(&arena, shape, d)).collect();
            let alone: Vec<_> = together.iter().map(|&x| sparse.times(0..7, x).values()).collect();
            let view = Rows { of: &sparse, starts: &sparse.starts };
            let view = arena.put(view).unwrap();
            Tensor::operate(&mut together, view, false);
            assert_eq!(together.iter().map(|t| t.values()).collect::<Vec<_>>(), alone);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let told = |cols, starts: &[usize], columns: &[u32], values: &[f64]| {
            Csr::new(cols, starts.to_vec(), columns.to_vec(), values.to_vec())
                .unwrap_err()
                .to_string()
        };
        assert!(told(2, &[], &[], &[]).contains("precedes the first row"));
        assert!(told(2, &[1, 1], &[0], &[1.0]).contains("precedes the first row"));
        assert!(
            told(2, &[0, 2], &[0], &[1.0, 2.0])
                .contains("columns of a sparse matrix has 1 values, expected 2")
        );
        assert!(
            told(2, &[0, 1], &[0], &[])
                .contains("entries of a sparse matrix has 0 values, expected 1")
        );
        assert!(
            told(2, &[0, 2, 1, 2], &[0, 1], &[1.0, 2.0])
                .contains("index 2 is out of range, expected less than 2")
        );
        assert!(told(2, &[0, 1], &[2], &[1.0]).contains("column of a sparse matrix: index 2"));
        let (sparse, _) = example();
        let arena = Arena::new();
        let x = Tensor::new(&arena, Shape::column(5), &[0.0; 5]);
        assert!(sparse.times(5..8, x).values().is_empty());
        let fault = Fault::Index { operation: "rows of a sparse matrix", index: 8, length: 8 };
        assert_eq!(arena.status(), Err(fault));
    }
}
