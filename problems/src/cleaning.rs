//! `Cleaning`: data hyper-cleaning. A softmax regression is trained on samples, some of which have wrong labels. One
//! weight per training sample, the sigmoid of an outer variable, is chosen such that the trained model does well on
//! clean validation data (Franceschi et al. 2017, section 5.1).
//!
//! ```text
//! g(x, W) = 1/n sum_i sigmoid(x_i) CE(X_i W, y_i) + penalty/2 |W|^2
//! f(x, W) = 1/m sum_i CE(V_i W, u_i)
//! ```
//!
//! Shapes: `x` is `n x 1`, `W` is features by classes, without a bias. The type covers peer workload `w2`, and
//! `digits-clean` on the embedded digits or on your own data. With a hidden layer, the scores `X W` become those of a
//! network, `tanh(X W1 + b1) W2 + b2`, and all of its weights are penalised.

use std::ops::Range;

use hypertape_autodiff::{Arena, Array, Element, List, Shape, Tensor};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Params, Rows};

use crate::generator::{Stream, W2};
use crate::labelled::{ContiguousBatch, Labelled, trained_and_validated};
use crate::labels::corrupt;
use crate::samples::{DataMatrix, convert, shape};
use crate::sets::Sets;

/// Logit of certain weights in the controls: its sigmoid rounds to 1, and the sigmoid of its negative is 4e-18.
const CERTAIN: f64 = 40.0;

/// Settings of data hyper-cleaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleaningSettings {
    /// Share of the training labels to be replaced by wrong ones.
    pub corruption: f64,
    /// Factor of `|W|^2 / 2`.
    pub penalty: f64,
    /// Units of the hidden layer, or `None` for no hidden layer.
    pub hidden: Option<u32>,
    /// Samples per mini-batch at both levels, or `None` for all samples.
    pub batch: Option<usize>,
    /// Seed of the corruption and of the initial weights.
    pub seed: u64,
}

impl Default for CleaningSettings {
    fn default() -> Self {
        Self { corruption: 0.4, penalty: 1e-3, hidden: None, batch: None, seed: 0 }
    }
}

/// Data by which a solution is judged, in addition to its losses.
#[derive(Clone, Debug)]
struct Judge<T> {
    test: Labelled<T>,
    corrupted: Vec<bool>,
}

/// Data hyper-cleaning.
#[derive(Clone, Debug)]
pub struct Cleaning<T> {
    train: Labelled<T>,
    valid: Labelled<T>,
    penalty: f64,
    start: Vec<T>,
    /// Initial values of the inner arrays: `W`, or `W1`, `b1`, `W2` and `b2`.
    init: Vec<(Shape, Vec<T>)>,
    batch: Option<usize>,
    judge: Option<Judge<T>>,
}

impl<T: Element> Cleaning<T> {
    /// Peer workload `w2`, to be run with 50 steps of size 0.1.
    pub fn workload(seed: u64) -> Self {
        let data = W2::new(seed);
        let labelled = |x: &[f64], labels: &[u32]| {
            Labelled::of(DataMatrix::new(convert(x), W2::FEATURES), labels.to_vec())
        };
        let train = labelled(&data.x, &data.labels);
        Self {
            init: vec![(Shape::new(train.width(), W2::CLASSES), convert(&data.w0))],
            train,
            valid: labelled(&data.x_valid, &data.labels_valid),
            penalty: 1e-3,
            start: convert(&data.logits),
            batch: None,
            judge: None,
        }
    }

    /// The problem `digits-clean` of the catalogue: 900, 400 and 497 embedded digits, with 40 % of the training labels
    /// made wrong.
    ///
    /// # Errors
    /// Returns no error that depends on the seed.
    pub fn digits(seed: u64) -> Result<Self, Error> {
        let settings = CleaningSettings { seed, ..CleaningSettings::default() };
        Self::new(Sets::digits([900, 400, 497], seed)?, &settings)
    }

    /// Creates the problem on `sets`, with a share of the training labels made wrong. All weights start at one half.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the labels are numbers, and [`Error::Invalid`] if the share is not in [0, 1], the
    /// penalty is negative or not finite, or a batch is larger than the training and the validation part.
    pub fn new(sets: Sets<T>, settings: &CleaningSettings) -> Result<Self, Error> {
        let &CleaningSettings { corruption, penalty, hidden, batch, seed } = settings;
        let ([train, valid, test], classes) = sets.into_classes()?;
        ContiguousBatch::check(batch, train.len().max(valid.len()))?;
        let corruption = corrupt(train.labels(), classes, corruption, seed)?;
        hypertape_solver::Range::NOT_NEGATIVE.check("penalty", penalty)?;
        let zeros =
            |rows, cols| (Shape::new(rows, cols), vec![T::zero(); rows as usize * cols as usize]);
        let init = match hidden {
            None => vec![zeros(train.width(), classes)],
            Some(hidden) => {
                // The variance is 1 over the number of inputs, so that scores have the size of the inputs.
                let layer = |stream, rows: u32, cols| {
                    let (shape, scale) = (Shape::new(rows, cols), f64::from(rows).sqrt().recip());
                    let values = Stream::new(seed, stream).gausses(shape.len());
                    (shape, values.iter().map(|z| T::from_f64(z * scale)).collect())
                };
                let (first, last) = (layer(0, train.width(), hidden), layer(1, hidden, classes));
                vec![first, zeros(1, hidden), last, zeros(1, classes)]
            }
        };
        Ok(Self {
            start: vec![T::zero(); train.len()],
            train: train.relabelled(corruption.labels),
            valid,
            penalty,
            init,
            batch,
            judge: Some(Judge { test, corrupted: corruption.corrupted }),
        })
    }

    /// Returns the sum of the losses of the samples in `range`, weighted if there are weights.
    fn loss<'a, A: Array<'a, Elem = T>>(
        w: &[A],
        part: &'a Labelled<T>,
        range: Range<usize>,
        weights: Option<A>,
    ) -> A {
        if let [w] = *w {
            return part.loss(w, range, weights);
        }
        let losses = part.losses(Self::scores(w, part, range.clone()), range);
        weights.map_or_else(|| losses.sum(), |weights| weights.dot(losses))
    }

    /// Returns the scores of the samples in `range`, one row per sample.
    fn scores<'a, A: Array<'a, Elem = T>>(
        w: &[A],
        part: &'a Labelled<T>,
        range: Range<usize>,
    ) -> A {
        let first = part.times(w[0], range);
        match *w {
            [_, b1, w2, b2] => (first + b1).tanh().affine(w2, b2),
            _ => first,
        }
    }
}

fn outer_point<T: Element>(logits: &[T]) -> Params<T> {
    Params::new().with_column("weight_logit", logits)
}

/// Returns precision, recall and F1 if weights below one half are taken to flag wrong labels. They are `NaN` where they
/// are undefined.
fn found<T: Element>(logits: &[T], corrupted: &[bool]) -> [f64; 3] {
    let (mut hits, mut found, mut there) = (0.0, 0.0, 0.0);
    for (&logit, &corrupted) in logits.iter().zip(corrupted) {
        let flagged = logit < T::zero();
        found += f64::from(flagged);
        there += f64::from(corrupted);
        hits += f64::from(flagged && corrupted);
    }
    [hits / found, hits / there, 2.0 * hits / (found + there)]
}

impl<T: Element> Bilevel<T> for Cleaning<T> {
    fn start(&self) -> Params<T> {
        outer_point(&self.start)
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        self.init.iter().map(|(shape, values)| x[0].constant(*shape, values)).collect()
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        let batch = self.train.batch(self.batch, draw);
        let range = batch.rows(rows);
        let weights = x[0].slice(range.start, shape(range.len(), 1)).sigmoid();
        let fit = Self::loss(w, &self.train, range, Some(weights)) / batch.divisor;
        if rows.carries_rest() {
            w.iter().fold(fit, |sum, &w| sum + w.dot(w) * (self.penalty / 2.0))
        } else {
            fit
        }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, rows: Rows) -> A {
        let batch = self.valid.batch(self.batch, draw);
        Self::loss(w, &self.valid, batch.rows(rows), None) / batch.divisor
    }

    trained_and_validated!(|problem| problem.batch);

    fn inner_names(&self) -> Vec<&'static str> {
        if self.init.len() == 1 { vec!["W"] } else { vec!["W1", "b1", "W2", "b2"] }
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let Some(judge) = &self.judge else { return Vec::new() };
        let [precision, recall, f1] = found(x.values(), &judge.corrupted);
        let arena = Arena::new();
        let Ok(w) = Tensor::split(&arena, w.shapes(), w.values()) else { return Vec::new() };
        let scores = Self::scores(&w, &judge.test, 0..judge.test.len());
        let test_error = judge.test.error_rate(scores.values());
        let mut metrics = vec![("test error", test_error)];
        if judge.corrupted.contains(&true) {
            metrics.extend([("precision", precision), ("recall", recall), ("F1", f1)]);
        } else {
            // It is not known which labels are wrong.
            let suspected = x.values().iter().filter(|&&logit| logit < T::zero()).count();
            metrics.push(("suspected", suspected as f64));
        }
        metrics.into_iter().map(|(name, value)| Metric { name, value }).collect()
    }

    fn controls(&self, _: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        let Some(judge) = &self.judge else { return Vec::new() };
        if !judge.corrupted.contains(&true) {
            return vec![("weights frozen", self.start())];
        }
        let certain = |&wrong: &bool| T::from_f64(if wrong { -CERTAIN } else { CERTAIN });
        let oracle: Vec<T> = judge.corrupted.iter().map(certain).collect();
        vec![("weights frozen", self.start()), ("only clean samples", outer_point(&oracle))]
    }
}
