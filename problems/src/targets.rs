//! `Targets`: samples with one number each, dense or sparse, and the squared error of a linear model on them.

use std::ops::Range;

use hypertape_autodiff::{Arena, Array, Element, RowLoss, Shape, Tensor};
use hypertape_solver::{Draw, Error, Metric, Rows};

use crate::labelled::{ContiguousBatch, Labelled};
use crate::samples::{DataMatrix, column, convert};

/// Samples with one number each to predict: rows `X_i` and numbers `y_i`.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
/// use hypertape_problems::Targets;
/// use hypertape_solver::Rows;
/// let line = Targets::new("points", (&[1.0, 0.0, 1.0, 1.0, 1.0, 2.0], &[1.0, 0.0, 2.0]), 2)?;
/// let arena = Arena::new();
/// let w = Tensor::new(&arena, Shape::column(2), &[0.5, 1.0]);
/// let [scores, numbers] = line.scores(w, 1..3);
/// assert_eq!((scores.values(), numbers.values()), (&[1.5, 2.5][..], &[0.0, 2.0][..]));
/// // (0.25 + 2.25 + 0.25) / 3
/// assert_eq!(line.error(w, Rows::all(line.len())).values(), [2.75 / 3.0]);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Targets<T> {
    samples: Labelled<T>,
    numbers: Vec<T>,
}

impl<T: Element> Targets<T> {
    /// Creates samples from the rows, each of `width` values, and the numbers in `data`. Errors call them `what`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there are no rows, or they do not all have `width` values and one number.
    pub fn new(what: &str, data: (&[f64], &[f64]), width: usize) -> Result<Self, Error> {
        let (rows, numbers) = data;
        if !numbers.is_empty() && width > 0 && rows.len() == numbers.len() * width {
            return Ok(Self::of(data, width));
        }
        Err(Error::invalid(
            what,
            format!("{} values for {} targets", rows.len(), numbers.len()),
            format!("one target or more, {width} values for each"),
        ))
    }

    /// [`new`](Self::new) for rows that are known to fit.
    pub(crate) fn of((rows, numbers): (&[f64], &[f64]), width: usize) -> Self {
        let samples = Labelled::of(DataMatrix::new(convert(rows), width), vec![0; numbers.len()]);
        Self { samples, numbers: convert(numbers) }
    }

    /// Replaces the labels of `samples` by the numbers at these indices.
    pub(crate) fn labelled(samples: Labelled<T>, numbers: &[f64]) -> Self {
        let number = |&label: &u32| T::from_f64(numbers[label as usize]);
        Self { numbers: samples.labels().iter().map(number).collect(), samples }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Always false, as there is at least one sample.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Number of values per sample.
    pub fn width(&self) -> u32 {
        self.samples.width()
    }

    /// Returns the values of sample `i`, zeros included.
    ///
    /// # Panics
    /// Panics if `i` is out of range.
    pub fn row(&self, i: usize) -> Vec<T> {
        self.samples.row(i)
    }

    /// The number of each sample.
    pub fn numbers(&self) -> &[T] {
        &self.numbers
    }

    /// Samples per block of a loss, for [`Bilevel::block`](hypertape_solver::Bilevel::block): more than
    /// [`Labelled::block_rows`], because the loss of one score per sample reads dense samples once.
    pub fn block_rows(&self) -> usize {
        self.samples.block_rows_of_one_score()
    }

    /// Number of mini-batches of `size` samples; see [`Labelled::batches`].
    pub fn batches(&self, size: Option<usize>) -> usize {
        self.samples.batches(size)
    }

    /// Returns the mini-batch of `size` samples that `draw` chooses; see [`Labelled::batch`].
    pub fn batch(&self, size: Option<usize>, draw: Draw) -> ContiguousBatch {
        self.samples.batch(size, draw)
    }

    /// Returns the scores `X_i w` of a linear model on the samples in `range`, and the numbers of these samples.
    pub fn scores<'a, A: Array<'a, Elem = T>>(&'a self, w: A, range: Range<usize>) -> [A; 2] {
        let numbers = &self.numbers[range.clone()];
        [self.samples.times(w, range), w.constant(column(numbers), numbers)]
    }

    /// Returns the mean of the squares `(X_i w - y_i)^2`, or the part of it that belongs to `rows`.
    pub fn error<'a, A: Array<'a, Elem = T>>(&'a self, w: A, rows: Rows) -> A {
        self.loss(w, rows.range(), RowLoss::Squared) / self.len() as f64
    }

    /// Returns the sum of the losses of a linear model on the samples in `range`, with their numbers as targets.
    pub fn loss<'a, A: Array<'a, Elem = T>>(
        &'a self,
        w: A,
        range: Range<usize>,
        loss: fn(&'a [T]) -> RowLoss<'a, T>,
    ) -> A {
        self.samples.total(w, range.clone(), loss(&self.numbers[range]), None)
    }

    /// Returns the mean squared error of the plain weights `w` as the metric `test error`.
    pub fn metric(&self, w: &[T]) -> Metric {
        let arena = Arena::new();
        let error =
            self.error(Tensor::new(&arena, Shape::column(self.width()), w), Rows::all(self.len()));
        Metric {
            name: "test error",
            value: error.values().first().map_or(f64::NAN, |e| e.as_f64()),
        }
    }
}
