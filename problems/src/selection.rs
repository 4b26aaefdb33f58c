//! `Selection`: choice of regularisation. A linear classifier is trained under penalties that are chosen such that it
//! does well on validation data. There is one penalty, one per class (the `covtype` problem of the bilevel benchmark of
//! Dagréou et al. 2022) or one per feature (20 Newsgroups in Ji et al. 2021, section 6).
//!
//! ```text
//! g(x, W) = 1/n sum_i CE(X_i W, y_i) + 1/2 sum_jc e^{x_k(j, c)} W_jc^2        k(j, c) = 0, c or j
//! f(x, W) = 1/m sum_i CE(V_i W, u_i)
//! ```
//!
//! Shapes: `W` is features by classes, without a bias; `x` is a scalar, a row with one entry per class, or a column
//! with one entry per feature. With two classes, `W` has one column and the loss is the logistic loss
//! `ln(1 + e^{-y z})`. The penalty is a sum over the weights. If it were divided by the number of weights, as in Ji et
//! al., then at the size of 20 Newsgroups `x` would move by 1e-5 per step, and effectively nothing would be chosen.

use std::str::FromStr;

use hypertape_autodiff::{Arena, Array, Element, List, Shape, Tensor};
use hypertape_solver::text::either;
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Params, Range, Rows};

use crate::entry::Given;
use crate::labelled::{ContiguousBatch, Labelled, trained_and_validated};
use crate::sets::Sets;
use crate::setting::{Kind, Setting, settings};

/// Number of penalties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalties {
    /// One for all weights.
    One,
    /// One per class.
    Class,
    /// One per feature.
    Feature,
}

impl Penalties {
    /// What has a penalty of its own, in the order of the variants.
    const WORDS: [&str; 3] = ["one", "class", "feature"];

    /// The settings that a catalogue entry offers for a [`Selection`]. Penalties start at `penalty` by default.
    pub fn settings(penalty: f64) -> [Setting; 3] {
        settings! {
            "penalty" = penalty, Kind::NOT_NEGATIVE,
                "strength of the penalties at the start of the run";
            "penalties" = "feature", Kind::Word(&Self::WORDS),
                "what has a penalty of its own: all weights together, each class or each feature";
            + Setting::batch()
        }
    }
}

impl FromStr for Penalties {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let place = Self::WORDS.iter().position(|word| *word == text);
        let found = place.map(|place| [Self::One, Self::Class, Self::Feature][place]);
        found.ok_or_else(|| Error::invalid("penalties", text, either(&Self::WORDS)))
    }
}

/// Choice of regularisation of a linear classifier.
#[derive(Clone, Debug)]
pub struct Selection<T> {
    train: Labelled<T>,
    valid: Labelled<T>,
    test: Labelled<T>,
    penalties: Penalties,
    start: Params<T>,
    init: (Shape, Vec<T>),
    batch: Option<usize>,
}

impl<T: Element> Selection<T> {
    /// Creates the problem on `sets`, with penalties that start at `penalty`, in mini-batches of `batch` samples or
    /// with all samples.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the labels are numbers, and [`Error::Invalid`] if `penalty` is not positive and
    /// finite, or a batch is larger than the training and the validation part.
    pub fn new(
        sets: Sets<T>,
        penalties: Penalties,
        penalty: f64,
        batch: Option<usize>,
    ) -> Result<Self, Error> {
        Range::POSITIVE.check("penalty", penalty)?;
        let ([train, valid, test], classes) = sets.into_classes()?;
        ContiguousBatch::check(batch, train.len().max(valid.len()))?;
        let columns = if classes == 2 { 1 } else { classes };
        let shape = match penalties {
            Penalties::One => Shape::SCALAR,
            Penalties::Class => Shape::new(1, columns),
            Penalties::Feature => Shape::column(train.width()),
        };
        let log = vec![T::from_f64(penalty.ln()); shape.len()];
        let weights = Shape::new(train.width(), columns);
        Ok(Self {
            train,
            valid,
            test,
            penalties,
            start: Params::new().with("log_penalty", shape, log),
            init: (weights, vec![T::zero(); weights.len()]),
            batch,
        })
    }

    /// Creates the problem on `sets` with the settings [`Penalties::settings`] of a catalogue entry.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new), and [`Error::Invalid`] if a setting is missing.
    pub fn given(sets: Sets<T>, given: &Given<T>) -> Result<Self, Error> {
        Self::new(sets, given.get("penalties")?, given.get("penalty")?, given.batch()?)
    }

    /// Returns the mean loss of a mini-batch, or the part of it that belongs to `rows`.
    fn fit<'a, A: Array<'a, Elem = T>>(
        &self,
        w: A,
        part: &'a Labelled<T>,
        draw: Draw,
        rows: Rows,
    ) -> A {
        let batch = part.batch(self.batch, draw);
        part.loss(w, batch.rows(rows), None) / batch.divisor
    }
}

impl<T: Element> Bilevel<T> for Selection<T> {
    fn start(&self) -> Params<T> {
        self.start.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(self.init.0, &self.init.1)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        let fit = self.fit(w[0], &self.train, draw, rows);
        if !rows.carries_rest() {
            return fit;
        }
        let squares = match self.penalties {
            Penalties::One => w[0].dot(w[0]),
            Penalties::Class => w[0].square().sum_rows(),
            Penalties::Feature if w[0].shape().cols == 1 => w[0].square(),
            Penalties::Feature => w[0].row_dot(w[0]),
        };
        fit + x[0].exp().dot(squares) * 0.5
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, rows: Rows) -> A {
        self.fit(w[0], &self.valid, draw, rows)
    }

    trained_and_validated!(|problem| problem.batch);

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["W"]
    }

    fn metrics(&self, w: &Params<T>, _: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let (arena, all) = (Arena::new(), 0..self.test.len());
        let scores = self.test.times(Tensor::new(&arena, self.init.0, w.values()), all.clone());
        let (error, losses) =
            (self.test.error_rate(scores.values()), self.test.losses(scores, all));
        let loss = losses.mean().values().first().map_or(f64::NAN, |loss| loss.as_f64());
        [("test loss", loss), ("test error", error)]
            .map(|(name, value)| Metric { name, value })
            .to_vec()
    }
}
