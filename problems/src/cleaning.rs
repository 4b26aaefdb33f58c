//! `Cleaning`: data hyper-cleaning. A softmax regression is trained on samples some of whose labels are wrong; one
//! weight a training sample, through a sigmoid, is chosen so that the trained model does well on clean validation data
//! (Franceschi et al. 2017, section 5.1).
//!
//! ```text
//! g(x, W) = 1/n sum_i sigmoid(x_i) CE(X_i W, y_i) + penalty/2 |W|^2
//! f(x, W) = 1/m sum_i CE(V_i W, u_i)
//! ```
//!
//! Shapes: `x` is `n x 1`, `W` is features by classes, without a bias. Peer workload `w2`, and `digits-clean` on the
//! embedded digits.

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, InnerLoop, Level, Metric, Params, Rows};

use crate::digits;
use crate::generator::W2;
use crate::labels::{InvalidArgument, corrupt};
use crate::samples::{Samples, convert};

/// Logit of a control's weights: the sigmoid of it is 1 to rounding, that of its negative is 4e-18.
const CERTAIN: f64 = 40.0;

/// Settings of `digits-clean`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DigitsSettings {
    /// Sizes of the training, validation and test parts.
    pub sizes: [usize; 3],
    /// Share of training labels that are wrong.
    pub corruption: f64,
    /// Factor of `|W|^2 / 2`.
    pub penalty: f64,
    /// Seed of split and corruption.
    pub seed: u64,
}

impl Default for DigitsSettings {
    fn default() -> Self {
        Self { sizes: [900, 400, 497], corruption: 0.4, penalty: 1e-3, seed: 0 }
    }
}

/// Labelled samples.
#[derive(Clone, Debug)]
struct Labelled<T> {
    samples: Samples<T>,
    labels: Vec<u32>,
}

/// What a solution is judged by beside its losses.
#[derive(Clone, Debug)]
struct Judge<T> {
    test: Labelled<T>,
    corrupted: Vec<bool>,
}

/// Data hyper-cleaning with a softmax regression.
#[derive(Clone, Debug)]
pub struct Cleaning<T> {
    train: Labelled<T>,
    valid: Labelled<T>,
    classes: u32,
    penalty: f64,
    start: Vec<T>,
    init: Vec<T>,
    judge: Option<Judge<T>>,
}

impl<T: Element> Cleaning<T> {
    /// Peer workload `w2`; 50 steps of size 0.1.
    pub fn workload(seed: u64) -> Self {
        let data = W2::new(seed);
        let labelled = |x: &[f64], labels: &[u32]| Labelled {
            samples: Samples::new(convert(x), W2::FEATURES),
            labels: labels.to_vec(),
        };
        Self {
            train: labelled(&data.x, &data.labels),
            valid: labelled(&data.x_valid, &data.labels_valid),
            classes: W2::CLASSES,
            penalty: 1e-3,
            start: convert(&data.logits),
            init: convert(&data.w0),
            judge: None,
        }
    }

    /// The embedded digits, pixels scaled to [0, 1], with a share of the training labels made wrong.
    ///
    /// # Errors
    /// [`InvalidArgument`] if the sizes exceed the set or the share is not in [0, 1].
    pub fn digits(settings: &DigitsSettings) -> Result<Self, InvalidArgument> {
        let split = digits::split(settings.sizes, settings.seed)?;
        let part = |indices: &[usize]| {
            let scaled = |&pixel: &u8| T::from_f64(f64::from(pixel) / 16.0);
            let pixels = indices.iter().flat_map(|&i| digits::pixels(i)).map(scaled).collect();
            let labels = indices.iter().map(|&i| digits::label(i)).collect();
            Labelled { samples: Samples::new(pixels, digits::PIXELS), labels }
        };
        let mut train = part(&split.train);
        let corruption =
            corrupt(&train.labels, digits::CLASSES, settings.corruption, settings.seed)?;
        train.labels = corruption.labels;
        Ok(Self {
            start: vec![T::zero(); train.labels.len()],
            init: vec![T::zero(); digits::PIXELS * digits::CLASSES as usize],
            train,
            valid: part(&split.valid),
            classes: digits::CLASSES,
            penalty: settings.penalty,
            judge: Some(Judge { test: part(&split.test), corrupted: corruption.corrupted }),
        })
    }

    /// Cross-entropy of each sample of `rows`, a column.
    fn losses<'a, A: Array<'a, Elem = T>>(w: A, part: &'a Labelled<T>, rows: Rows) -> A {
        part.samples.block(w, rows).matmul(w).cross_entropy(rows.of(&part.labels, 1))
    }

    fn x_with(&self, logits: impl IntoIterator<Item = T>) -> Params<T> {
        let count = u32::try_from(self.train.labels.len()).expect("labels are counted by u32");
        Params::new().with("weight_logit", Shape::column(count), logits)
    }

    /// Share of `part` whose largest score is not at its label.
    fn error_rate(&self, w: &[T], part: &Labelled<T>) -> f64 {
        let classes = self.classes as usize;
        let wrong = part.labels.iter().enumerate().filter(|&(i, &label)| {
            let mut scores = vec![T::zero(); classes];
            for (&x, row) in part.samples.row(i).iter().zip(w.chunks_exact(classes)) {
                for (score, &w) in scores.iter_mut().zip(row) {
                    *score += x * w;
                }
            }
            let best =
                (0..classes).fold(0, |best, c| if scores[c] > scores[best] { c } else { best });
            best != label as usize
        });
        wrong.count() as f64 / part.labels.len() as f64
    }
}

/// Precision, recall and F1 of the samples found by weights below one half; `NaN` where nothing was found.
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
        self.x_with(self.start.iter().copied())
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let shape = Shape::new(self.train.samples.width(), self.classes);
        List::from_slice(&[x[0].constant(shape, &self.init)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let weights = x[0].slice(rows.start(), Shape::column(rows.count())).sigmoid();
        let losses = Self::losses(w[0], &self.train, rows);
        let fit = weights.dot(losses) / self.train.labels.len() as f64;
        if rows.carries_rest() { fit + w[0].dot(w[0]) * (self.penalty / 2.0) } else { fit }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        Self::losses(w[0], &self.valid, rows).sum() / self.valid.labels.len() as f64
    }

    fn samples(&self, level: Level) -> usize {
        match level {
            Level::Inner => self.train.labels.len(),
            Level::Outer => self.valid.labels.len(),
            _ => 0,
        }
    }

    fn block(&self, _: Level) -> usize {
        self.train.samples.block_rows()
    }

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["W"]
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let Some(judge) = &self.judge else { return Vec::new() };
        let [precision, recall, f1] = found(x.values(), &judge.corrupted);
        let test_error = self.error_rate(w.values(), &judge.test);
        [("test error", test_error), ("precision", precision), ("recall", recall), ("F1", f1)]
            .map(|(name, value)| Metric { name, value })
            .to_vec()
    }

    fn controls(&self, _: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        let Some(judge) = &self.judge else { return Vec::new() };
        let certain = |&wrong: &bool| T::from_f64(if wrong { -CERTAIN } else { CERTAIN });
        let oracle = self.x_with(judge.corrupted.iter().map(certain));
        vec![("weights frozen", self.start()), ("only clean samples", oracle)]
    }
}
