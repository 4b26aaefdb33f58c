//! `Targets`: samples with a number each, dense or sparse, and the squared error of a linear model on them.

use hypertape_autodiff::{Arena, Array, Element, Shape, Tensor};
use hypertape_solver::{Error, Metric, Rows};

use crate::labelled::Labelled;
use crate::samples::{Samples, convert};
use crate::sets::Sets;

/// Samples with a number each.
#[derive(Clone, Debug)]
pub(crate) struct Targets<T> {
    samples: Labelled<T>,
    numbers: Vec<T>,
}

impl<T: Element> Targets<T> {
    /// Refuses rows that do not have `width` values and a number each, or that are none.
    pub(crate) fn new(what: &str, data: (&[f64], &[f64]), width: usize) -> Result<Self, Error> {
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

    /// Rows that fit.
    pub(crate) fn of((rows, numbers): (&[f64], &[f64]), width: usize) -> Self {
        let samples = Labelled::of(Samples::new(convert(rows), width), vec![0; numbers.len()]);
        Self { samples, numbers: convert(numbers) }
    }

    /// Training, validation and test part of `sets` of numbers.
    pub(crate) fn parts(sets: Sets<T>) -> Result<[Self; 3], Error> {
        let Sets { train, valid, test, numbers, .. } = sets.labelled_by("numbers")?;
        Ok([train, valid, test].map(|samples| {
            let number = |&label: &u32| T::from_f64(numbers[label as usize]);
            Self { numbers: samples.labels().iter().map(number).collect(), samples }
        }))
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn width(&self) -> u32 {
        self.samples.width()
    }

    pub(crate) fn block_rows(&self) -> usize {
        self.samples.block_rows()
    }

    /// Scores of a linear model on `rows`, and the numbers there.
    pub(crate) fn scores<'a, A: Array<'a, Elem = T>>(&'a self, w: A, rows: Rows) -> [A; 2] {
        let numbers = w.constant(Shape::column(rows.count()), rows.of(&self.numbers, 1));
        [self.samples.times(w, rows.range()), numbers]
    }

    /// The mean of squares `(X_i w - y_i)^2`, or the part of it that belongs to `rows`.
    pub(crate) fn error<'a, A: Array<'a, Elem = T>>(&'a self, w: A, rows: Rows) -> A {
        let [scores, numbers] = self.scores(w, rows);
        scores.squared_error(numbers) / self.len() as f64
    }

    /// The same of plain weights.
    pub(crate) fn metric(&self, w: &[T]) -> Metric {
        let arena = Arena::new();
        let error =
            self.error(Tensor::new(&arena, Shape::column(self.width()), w), Rows::all(self.len()));
        Metric {
            name: "test error",
            value: error.values().first().map_or(f64::NAN, |e| e.as_f64()),
        }
    }
}
