//! `Labelled`: samples with a class each, dense or sparse, and mini-batches of them.

use std::ops::Range;
use std::sync::Arc;

use hypertape_autodiff::{Array, Csr, Element, Shape};
use hypertape_solver::{Draw, Error, Rows, Samples as Seen};
use rand::RngExt;

use crate::samples::Samples;

/// Values of samples, a row each.
#[derive(Clone, Debug)]
enum Features<T> {
    Dense(Samples<T>),
    Sparse(Arc<Csr<T>>),
}

/// Samples, each with a class.
///
/// ```
/// use hypertape_problems::Labelled;
/// let two = Labelled::dense(vec![1.0, 2.0, 3.0, 4.0], vec![0, 1])?;
/// assert_eq!((two.len(), two.width()), (2, 2));
/// assert_eq!(two.select(&[1, 1]).labels(), [1, 1]);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Labelled<T> {
    features: Features<T>,
    labels: Vec<u32>,
}

impl<T: Element> Labelled<T> {
    /// Rows of `values`, one a label.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are labels, and as many values for each, one at least.
    pub fn dense(values: Vec<T>, labels: Vec<u32>) -> Result<Self, Error> {
        let width = values.len().checked_div(labels.len()).unwrap_or(0);
        if width == 0 || width * labels.len() != values.len() || u32::try_from(width).is_err() {
            let found = format!("{} values for {} labels", values.len(), labels.len());
            return Err(Error::invalid(
                "samples",
                found,
                "one label or more, as many values for each",
            ));
        }
        Ok(Self::of(Samples::new(values, width), labels))
    }

    pub(crate) fn of(samples: Samples<T>, labels: Vec<u32>) -> Self {
        Self { features: Features::Dense(samples), labels }
    }

    /// Rows of a sparse matrix, one a label.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless there are as many labels as rows, and rows and columns at all.
    pub fn sparse(matrix: Csr<T>, labels: Vec<u32>) -> Result<Self, Error> {
        if labels.len() != matrix.rows() || labels.is_empty() || matrix.cols() == 0 {
            let (rows, cols, labels) = (matrix.rows(), matrix.cols(), labels.len());
            let found = format!("{rows} rows of {cols} columns for {labels} labels");
            return Err(Error::invalid("samples", found, "one label or more, a row for each"));
        }
        Ok(Self { features: Features::Sparse(Arc::new(matrix)), labels })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never: there is one sample at least.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values a sample.
    pub fn width(&self) -> u32 {
        match &self.features {
            Features::Dense(samples) => samples.width(),
            Features::Sparse(matrix) => matrix.cols(),
        }
    }

    /// The classes.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The samples at `indices`, in that order.
    ///
    /// # Panics
    /// If one is not there, or there are none.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let labels = indices.iter().map(|&i| self.labels[i]).collect();
        let made = match &self.features {
            Features::Dense(samples) => {
                let mut values = Vec::with_capacity(indices.len() * self.width() as usize);
                for &i in indices {
                    values.extend_from_slice(samples.row(i));
                }
                Self::dense(values, labels)
            }
            Features::Sparse(matrix) => {
                let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
                for &i in indices {
                    let (row, entries) = matrix.row(i);
                    columns.extend_from_slice(row);
                    values.extend_from_slice(entries);
                    starts.push(values.len());
                }
                let matrix = Csr::new(matrix.cols(), starts, columns, values);
                Self::sparse(matrix.expect("rows of a matrix are those of a matrix"), labels)
            }
        };
        made.expect("one sample or more")
    }

    /// Sparse samples with zeros after the values of each, `width` in all if that is more; dense ones as they are.
    pub(crate) fn widened(self, width: u32) -> Self {
        let features = match self.features {
            Features::Sparse(matrix) => {
                Features::Sparse(Arc::new(Arc::unwrap_or_clone(matrix).widened(width)))
            }
            dense @ Features::Dense(_) => dense,
        };
        Self { features, ..self }
    }

    /// With other labels, as many.
    pub(crate) fn relabelled(self, labels: Vec<u32>) -> Self {
        debug_assert_eq!(labels.len(), self.labels.len());
        Self { labels, ..self }
    }

    /// The product of the samples in `range` with the columns of `w`.
    pub(crate) fn times<'a, A: Array<'a, Elem = T>>(&'a self, w: A, range: Range<usize>) -> A {
        match &self.features {
            Features::Dense(samples) => samples.range(w, range).matmul(w),
            Features::Sparse(matrix) => matrix.times(range, w),
        }
    }

    /// Cross-entropy of each row of `scores`, which are those of the samples in `range`.
    pub(crate) fn cross_entropy<'a, A: Array<'a, Elem = T>>(
        &'a self,
        scores: A,
        range: Range<usize>,
    ) -> A {
        scores.cross_entropy(&self.labels[range])
    }

    /// Rows a block of a loss.
    pub(crate) fn block_rows(&self) -> usize {
        match &self.features {
            Features::Dense(samples) => samples.block_rows(),
            // The adjoint of a block has all columns, and should be no dearer than the block's own products.
            Features::Sparse(matrix) => {
                let least = BLOCK_COLUMNS * matrix.cols() as usize;
                (least * self.len()).div_ceil(matrix.entries().max(1)).max(16).min(self.len())
            }
        }
    }

    /// Share of the samples whose largest of `scores`, one a class, the first of equals, is not at their label.
    pub(crate) fn error_rate(&self, scores: &[T]) -> f64 {
        let classes = scores.len() / self.len();
        let wrong = self.labels.iter().zip(scores.chunks_exact(classes)).filter(|(label, row)| {
            let best = (0..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
            best != **label as usize
        });
        wrong.count() as f64 / self.len() as f64
    }

    /// Number of mini-batches of `size` samples; 1 without a size.
    pub(crate) fn batches(&self, size: Option<usize>) -> usize {
        self.len().div_ceil(size.unwrap_or(usize::MAX).max(1))
    }

    /// The mini-batch of `size` samples that `draw` chooses, or names; all samples without a size.
    pub(crate) fn batch(&self, size: Option<usize>, draw: Draw) -> Batch {
        let (n, blocks) = (self.len(), self.batches(size));
        let size = match size {
            Some(size) if blocks > 1 && draw.samples != Seen::All => size,
            _ => return Batch { range: 0..n, divisor: n as f64 },
        };
        let start = size
            * match draw.samples {
                Seen::Batch(k) => usize::try_from(k % blocks as u64).unwrap_or(0),
                _ => draw.stream().random_range(0..blocks),
            };
        Batch { range: start..(start + size).min(n), divisor: n as f64 / blocks as f64 }
    }
}

/// Entries a column of a sparse matrix, in the least block of rows.
const BLOCK_COLUMNS: usize = 4;

/// Consecutive samples, drawn uniformly from the `k = ceil(n / size)` blocks of them, the last of which may be shorter.
/// Sums over a batch are divided by `n / k`, so that their mean over the draws is the mean over all samples, exactly.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    range: Range<usize>,
    pub(crate) divisor: f64,
}

impl Batch {
    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The samples of the batch that `rows` of it asks for.
    pub(crate) fn rows(&self, rows: Rows) -> Range<usize> {
        let at = |row: usize| (self.range.start + row).min(self.range.end);
        at(rows.start())..at(rows.range().end)
    }
}

/// The shape of a column with an entry a sample of `range`.
pub(crate) fn column(range: &Range<usize>) -> Shape {
    Shape::column(u32::try_from(range.len()).expect("arrays have at most u32::MAX rows"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypertape_autodiff::{Arena, Tensor};
    use hypertape_solver::Level;

    fn pair() -> [Labelled<f64>; 2] {
        let labels = vec![0, 1, 1, 0, 1];
        let dense = vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0, 4.0, 0.0, 5.0];
        let matrix =
            Csr::new(2, vec![0, 1, 2, 2, 4, 5], vec![0, 1, 0, 1, 1], vec![1.0, 2.0, 3.0, 4.0, 5.0]);
        let sparse = Labelled::sparse(matrix.unwrap(), labels.clone()).unwrap();
        [Labelled::dense(dense, labels).unwrap(), sparse]
    }

    #[test]
    fn sparse_and_dense_samples_are_alike() {
        let arena = Arena::new();
        let w = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 10.0, 100.0, 1000.0]);
        for samples in pair() {
            assert_eq!((samples.len(), samples.width()), (5, 2));
            assert_eq!(samples.times(w, 1..4).values(), [200.0, 2000.0, 0.0, 0.0, 403.0, 4030.0]);
            let some = samples.select(&[3, 0]);
            assert_eq!(some.times(w, 0..2).values(), [403.0, 4030.0, 1.0, 10.0]);
            assert_eq!(some.labels(), [0, 0]);
            // Scores 1 2, 0 0, 3 3 for the labels 0, 1, 1: the first of equals counts.
            let three = samples.select(&[0, 1, 2]);
            assert_eq!(three.error_rate(&[1.0, 2.0, 0.0, 0.0, 3.0, 3.0]), 1.0);
            assert_eq!(three.error_rate(&[2.0, 1.0, 0.0, 1.0, 3.0, 3.0]), 1.0 / 3.0);
        }
        let wide = pair()[1].clone().widened(3);
        let w = Tensor::new(&arena, Shape::column(3), &[1.0, 10.0, 100.0]);
        assert_eq!(wide.times(w, 0..5).values(), [1.0, 20.0, 0.0, 43.0, 50.0]);
    }

    #[test]
    fn batches_are_unbiased() {
        let [samples, _] = pair();
        let all = samples.batch(None, Draw::new(0, 0));
        assert_eq!((all.rows(Rows::all(5)), all.divisor), (0..5, 5.0));
        // Blocks of 2, 2 and 1: divided by 5/3, each sample counts 3/5 in one of three.
        let mut counts = [0; 3];
        for step in 0..3000 {
            let batch = samples.batch(Some(2), Draw::new(0, 0).at(Level::Inner, step));
            assert_eq!(batch.divisor, 5.0 / 3.0);
            let covered: Vec<usize> = Rows::blocks(2, 1).flat_map(|r| batch.rows(r)).collect();
            assert_eq!(covered, batch.range.clone().collect::<Vec<_>>());
            counts[batch.range.start / 2] += 1;
        }
        // Four standard deviations of a binomial are 103.
        assert!(counts.iter().all(|&c: &i32| c.abs_diff(1000) < 103), "{counts:?}");
    }

    #[test]
    fn samples_that_do_not_fit_are_refused() {
        let told = |values: &[f64], labels: &[u32]| {
            Labelled::dense(values.to_vec(), labels.to_vec()).unwrap_err().to_string()
        };
        for (values, labels) in [(&[1.0, 2.0, 3.0][..], &[0, 1][..]), (&[], &[0]), (&[1.0], &[])] {
            let expected = format!("{} values for {} labels", values.len(), labels.len());
            assert!(told(values, labels).contains(&expected));
        }
        let matrix = Csr::new(2, vec![0, 0], vec![], vec![0.0; 0]).unwrap();
        let message = Labelled::sparse(matrix, vec![]).unwrap_err().to_string();
        assert!(message.contains("1 rows of 2 columns for 0 labels"), "{message}");
    }
}
