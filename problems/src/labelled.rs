//! `Labelled`: samples with one class each, dense or sparse, with the losses of a model on them and mini-batches.

use std::ops::Range;
use std::sync::Arc;

use hypertape_autodiff::{Array, Csr, Element, RowLoss};
use hypertape_solver::stats::moments;
use hypertape_solver::{Draw, Error, Rows, Samples as Seen};
use rand::RngExt;

use crate::samples::{DataMatrix, pass_rows};

/// The values of the samples, one row per sample.
#[derive(Clone, Debug)]
enum Features<T> {
    Dense(DataMatrix<T>),
    Sparse(Arc<Csr<T>>),
}

/// Samples with one class each: rows `X_i` and labels `y_i`. Use them to build a problem of your own.
///
/// The loss of a linear model on a mini-batch is a matrix product, followed by the losses of its rows and their mean:
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
/// use hypertape_problems::Labelled;
/// use hypertape_solver::{Draw, Rows};
/// let samples = Labelled::dense(vec![1.0, 2.0, 3.0, 4.0], vec![0, 1])?;
/// assert_eq!((samples.len(), samples.width(), samples.row(1)), (2, 2, vec![3.0, 4.0]));
///
/// let arena = Arena::new();
/// let w = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 0.0, 0.0, 1.0]);
/// let batch = samples.batch(None, Draw::new(0, 0)); // all of them, without a size
/// let range = batch.rows(Rows::all(samples.len()));
/// let scores = samples.times(w, range.clone());
/// assert_eq!(scores.values(), [1.0, 2.0, 3.0, 4.0]);
/// // Cross-entropy: ln(1 + e^{2 - 1}) of class 0, ln(1 + e^{3 - 4}) of class 1.
/// let loss = samples.losses(scores, range).sum() / batch.divisor;
/// assert!((loss.values()[0] - (1.0_f64.exp().ln_1p() + (-1.0_f64).exp().ln_1p()) / 2.0).abs() < 1e-15);
/// assert_eq!(samples.error_rate(scores.values()), 0.5);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Labelled<T> {
    features: Features<T>,
    labels: Vec<u32>,
    /// -1 for class 0 and 1 for all others: the signs in the logistic loss of a single column of scores.
    signs: Vec<T>,
}

impl<T: Element> Labelled<T> {
    /// Creates dense samples from the rows in `values`, one per label.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless there are labels, each with the same number of values, at least one.
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
        Ok(Self::of(DataMatrix::new(values, width), labels))
    }

    pub(crate) fn of(samples: DataMatrix<T>, labels: Vec<u32>) -> Self {
        Self::made(Features::Dense(samples), labels)
    }

    fn made(features: Features<T>, labels: Vec<u32>) -> Self {
        let sign = |&label: &u32| if label == 0 { -T::one() } else { T::one() };
        Self { features, signs: labels.iter().map(sign).collect(), labels }
    }

    /// Creates sparse samples from the rows of a matrix, one per label.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless there are as many labels as rows, and at least one row and one column.
    pub fn sparse(matrix: Csr<T>, labels: Vec<u32>) -> Result<Self, Error> {
        if labels.len() != matrix.rows() || labels.is_empty() || matrix.cols() == 0 {
            let (rows, cols, labels) = (matrix.rows(), matrix.cols(), labels.len());
            let found = format!("{rows} rows of {cols} columns for {labels} labels");
            return Err(Error::invalid("samples", found, "one label or more, a row for each"));
        }
        Ok(Self::made(Features::Sparse(Arc::new(matrix)), labels))
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false, as there is at least one sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of values per sample.
    pub fn width(&self) -> u32 {
        match &self.features {
            Features::Dense(samples) => samples.width(),
            Features::Sparse(matrix) => matrix.cols(),
        }
    }

    /// Returns the values of sample `i`, zeros included.
    ///
    /// # Panics
    /// Panics if `i` is out of range.
    pub fn row(&self, i: usize) -> Vec<T> {
        match &self.features {
            Features::Dense(samples) => samples.row(i).to_vec(),
            Features::Sparse(matrix) => {
                let mut values = vec![T::zero(); matrix.cols() as usize];
                let (columns, entries) = matrix.row(i);
                columns.iter().zip(entries).for_each(|(&j, &value)| values[j as usize] = value);
                values
            }
        }
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Returns the samples at `indices`, in that order.
    ///
    /// ```
    /// use hypertape_problems::Labelled;
    /// let two = Labelled::dense(vec![1.0, 2.0, 3.0, 4.0], vec![0, 1])?;
    /// assert_eq!(two.select(&[1, 1]).labels(), [1, 1]);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Panics
    /// Panics if an index is out of range, or `indices` is empty.
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

    /// Appends zeros to sparse samples up to `width` values each. Dense samples are not changed.
    pub(crate) fn widened(self, width: u32) -> Self {
        let features = match self.features {
            Features::Sparse(matrix) => {
                Features::Sparse(Arc::new(Arc::unwrap_or_clone(matrix).widened(width)))
            }
            dense @ Features::Dense(_) => dense,
        };
        Self { features, ..self }
    }

    /// Returns the mean and standard deviation of each column, or `None` for sparse samples.
    pub(crate) fn columns(&self) -> Option<Vec<[f64; 2]>> {
        let Features::Dense(samples) = &self.features else { return None };
        let column =
            |j: usize| (0..self.len()).map(|i| samples.row(i)[j].as_f64()).collect::<Vec<_>>();
        let moments = |j| moments(&column(j));
        let columns = (0..samples.width() as usize).map(moments);
        Some(columns.map(|[mean, variance]| [mean, variance.sqrt()]).collect())
    }

    /// Whether a column of dense samples is constant and not 0, so that its weight is an intercept.
    pub(crate) fn has_constant(&self) -> bool {
        let Features::Dense(samples) = &self.features else { return false };
        let first = samples.row(0);
        let constant = |j: usize| (1..self.len()).all(|i| samples.row(i)[j] == first[j]);
        (0..first.len()).filter(|&j| first[j] != T::zero()).any(constant)
    }

    /// Subtracts the mean in `columns` from each column of dense samples and divides by the deviation. A column without
    /// deviation is divided by its size, unless it is 0. Sparse samples are not changed.
    pub(crate) fn standardised(self, columns: &[[f64; 2]]) -> Self {
        let Features::Dense(samples) = &self.features else { return self };
        let scaled = |(&value, &[mean, deviation]): (&T, &[f64; 2])| {
            let (shift, size) = if deviation > 0.0 { (mean, deviation) } else { (0.0, mean.abs()) };
            if size > 0.0 { T::from_f64((value.as_f64() - shift) / size) } else { value }
        };
        let values = samples.rows(0..self.len()).chunks_exact(columns.len());
        let values: Vec<T> = values.flat_map(|row| row.iter().zip(columns).map(scaled)).collect();
        Self { features: Features::Dense(DataMatrix::new(values, columns.len())), ..self }
    }

    /// Replaces the labels by the same number of others.
    pub(crate) fn relabelled(self, labels: Vec<u32>) -> Self {
        debug_assert_eq!(labels.len(), self.labels.len());
        Self::made(self.features, labels)
    }

    /// Returns the product of the samples in `range`, one per row, with `w`, which has one row per feature. Cost: one
    /// multiplication per stored entry and column of `w`. Dense rows are borrowed.
    pub fn times<'a, A: Array<'a, Elem = T>>(&'a self, w: A, range: Range<usize>) -> A {
        match &self.features {
            Features::Dense(samples) => samples.range(w, range).matmul(w),
            Features::Sparse(matrix) => matrix.times(range, w),
        }
    }

    /// Returns one loss per row of `scores`, the scores of the samples in `range`. With one column per class it is the
    /// cross-entropy `ln sum_c e^{z_c} - z_y`; with a single column it is the logistic loss `ln(1 + e^{-s z})`, where
    /// `s` is -1 for class 0 and 1 for the others.
    pub fn losses<'a, A: Array<'a, Elem = T>>(&'a self, scores: A, range: Range<usize>) -> A {
        self.row_loss(scores.shape().cols, range).of(scores)
    }

    /// Returns the sum of the [`losses`](Self::losses) of the linear model `w` on the samples in `range`, weighted by
    /// the column `p` if there is one. Value and gradient take one pass over dense rows; see [`Array::linear_loss`].
    pub fn loss<'a, A: Array<'a, Elem = T>>(
        &'a self,
        w: A,
        range: Range<usize>,
        p: Option<A>,
    ) -> A {
        let loss = self.row_loss(w.shape().cols, range.clone());
        self.total(w, range, loss, p)
    }

    fn row_loss(&self, columns: u32, range: Range<usize>) -> RowLoss<'_, T> {
        match columns {
            1 => RowLoss::Logistic(&self.signs[range]),
            _ => RowLoss::CrossEntropy(&self.labels[range]),
        }
    }

    /// [`loss`](Self::loss) with any loss of rows.
    pub(crate) fn total<'a, A: Array<'a, Elem = T>>(
        &'a self,
        w: A,
        range: Range<usize>,
        loss: RowLoss<'a, T>,
        p: Option<A>,
    ) -> A {
        match &self.features {
            Features::Dense(samples) => w.linear_loss(samples.rows(range), loss, p),
            Features::Sparse(matrix) => {
                let losses = loss.of(matrix.times(range, w));
                p.map_or_else(|| losses.sum(), |p| p.dot(losses))
            }
        }
    }

    /// Samples per block of a loss, for [`Bilevel::block`](hypertape_solver::Bilevel::block): as many as stay in cache
    /// between the product and its adjoint.
    pub fn block_rows(&self) -> usize {
        match &self.features {
            Features::Dense(samples) => samples.block_rows(),
            // The adjoint of a block has all columns, and should cost no more than the products of the block itself.
            Features::Sparse(matrix) => {
                let least = BLOCK_COLUMNS * matrix.cols() as usize;
                (least * self.len()).div_ceil(matrix.entries().max(1)).max(16).min(self.len())
            }
        }
    }

    /// [`block_rows`](Self::block_rows) of a loss of one score per sample, which reads dense samples once.
    pub(crate) fn block_rows_of_one_score(&self) -> usize {
        match &self.features {
            Features::Dense(samples) => pass_rows::<T>(self.len(), samples.width() as usize),
            Features::Sparse(_) => self.block_rows(),
        }
    }

    /// Returns the share of all samples that `scores` classify wrongly. With one score per class, the prediction is the
    /// class with the largest score (the first of equal ones). With one score per sample, the score must be positive
    /// for all classes but 0.
    pub fn error_rate(&self, scores: &[T]) -> f64 {
        let classes = scores.len() / self.len();
        let wrong = self.labels.iter().zip(scores.chunks_exact(classes)).filter(|(label, row)| {
            let best = match row {
                [score] => usize::from(*score > T::zero()),
                _ => (0..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best }),
            };
            best != **label as usize
        });
        wrong.count() as f64 / self.len() as f64
    }

    /// Number of mini-batches of `size` samples; 1 if `size` is `None`.
    pub fn batches(&self, size: Option<usize>) -> usize {
        ContiguousBatch::count(self.len(), size)
    }

    /// Returns the mini-batch of `size` samples that `draw` chooses or names, or all samples if `size` is `None`.
    pub fn batch(&self, size: Option<usize>, draw: Draw) -> ContiguousBatch {
        ContiguousBatch::of(self.len(), size, draw)
    }
}

/// Implements sampling for a problem with losses on `train` and `valid`, with mini-batches of `$size` samples, or all
/// samples in blocks.
macro_rules! trained_and_validated {
    (|$problem:ident| $size:expr) => {
        fn mini_batches(&self, level: hypertape_solver::Level) -> usize {
            let $problem = self;
            match level {
                hypertape_solver::Level::Inner => $problem.train.batches($size),
                hypertape_solver::Level::Outer => $problem.valid.batches($size),
                _ => 1,
            }
        }

        fn samples(&self, draw: Draw) -> usize {
            let $problem = self;
            match draw.level {
                hypertape_solver::Level::Inner => $problem.train.batch($size, draw).len(),
                hypertape_solver::Level::Outer => $problem.valid.batch($size, draw).len(),
                _ => 0,
            }
        }

        fn block(&self, _: hypertape_solver::Level) -> usize {
            self.train.block_rows()
        }
    };
}

pub(crate) use trained_and_validated;

/// Least number of sparse entries per column in a block of rows.
const BLOCK_COLUMNS: usize = 4;

/// A mini-batch of consecutive samples, drawn uniformly from `k = ceil(n / size)` blocks, the last of which may be
/// shorter. Sums over a batch are divided by `n / k`, so that their mean over the draws is exactly the mean over all
/// samples.
#[derive(Clone, Debug, PartialEq)]
pub struct ContiguousBatch {
    range: Range<usize>,
    /// The divisor of sums over the batch.
    pub divisor: f64,
}

#[expect(clippy::len_without_is_empty, reason = "a batch has one sample or more")]
impl ContiguousBatch {
    /// Refuses batches larger than all `samples`.
    pub(crate) fn check(size: Option<usize>, samples: usize) -> Result<(), Error> {
        match size {
            Some(size) if size > samples => {
                let expected = format!("{samples} samples or fewer, as many as there are");
                Err(Error::invalid("batch", size, expected))
            }
            _ => Ok(()),
        }
    }

    /// Number of batches of `size` among `n` samples; 1 if `size` is `None`.
    pub(crate) fn count(n: usize, size: Option<usize>) -> usize {
        n.div_ceil(size.unwrap_or(usize::MAX).max(1))
    }

    /// Returns the batch of `size` out of `n` samples that `draw` chooses or names, or all of them if `size` is `None`.
    pub(crate) fn of(n: usize, size: Option<usize>, draw: Draw) -> Self {
        let (n, blocks) = (n, Self::count(n, size));
        let size = match size {
            Some(size) if blocks > 1 && draw.samples != Seen::All => size,
            _ => return Self { range: 0..n, divisor: n as f64 },
        };
        let start = size
            * match draw.samples {
                Seen::Batch(k) => usize::try_from(k % blocks as u64).unwrap_or(0),
                _ => draw.stream().random_range(0..blocks),
            };
        Self { range: start..(start + size).min(n), divisor: n as f64 / blocks as f64 }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Returns the samples that belong to `rows` of the batch.
    pub fn rows(&self, rows: Rows) -> Range<usize> {
        let at = |row: usize| (self.range.start + row).min(self.range.end);
        at(rows.start())..at(rows.range().end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypertape_autodiff::{Arena, Shape, Tensor};
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
            // The rows of scores are (1, 2), (0, 0) and (3, 3), and the labels are 0, 1 and 1. The first of equal
            // scores counts.
            let three = samples.select(&[0, 1, 2]);
            assert_eq!(three.error_rate(&[1.0, 2.0, 0.0, 0.0, 3.0, 3.0]), 1.0);
            assert_eq!(three.error_rate(&[2.0, 1.0, 0.0, 1.0, 3.0, 3.0]), 1.0 / 3.0);
            // A single score per sample is positive for class 1.
            assert_eq!(three.error_rate(&[-1.0, 0.0, 2.0]), 1.0 / 3.0);
            assert_eq!((samples.row(0), samples.row(3)), (vec![1.0, 0.0], vec![3.0, 4.0]));
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
        // There are blocks of 2, 2 and 1 samples. Sums are divided by 5/3, so each sample counts 3/5 in one of three
        // batches.
        let mut counts = [0; 3];
        for step in 0..3000 {
            let batch = samples.batch(Some(2), Draw::new(0, 0).at(Level::Inner, step));
            assert_eq!(batch.divisor, 5.0 / 3.0);
            let covered: Vec<usize> = Rows::blocks(2, 1).flat_map(|r| batch.rows(r)).collect();
            assert_eq!(covered, batch.range.clone().collect::<Vec<_>>());
            counts[batch.range.start / 2] += 1;
        }
        // Four standard deviations of a binomial distribution are 103.
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
