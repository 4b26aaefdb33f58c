//! `Scales`: a linear classifier on scaled features. The scales are chosen such that it does well on validation data.
//!
//! ```text
//! g(x, W) = 1/n sum_i loss(X_i (e^x o W), y_i) + penalty/2 |W|^2        f(x, W) = 1/m sum_i loss(V_i (e^x o W), u_i)
//! ```
//!
//! `W` is features by classes, or one column for two classes; `x` has one entry per feature, which scales its row of
//! `W`.

use hypertape::prelude::*;

pub(crate) struct Scales<T> {
    /// Training, validation and test samples, from `--train` or digits.
    parts: [Labelled<T>; 3],
    weights: Shape,
    penalty: f64,
    /// Samples per mini-batch at both levels.
    batch: Option<usize>,
}

impl<T: Element> Scales<T> {
    pub(crate) fn new(given: &Given<T>) -> Result<Self, Error> {
        let sets = given.sets_or(|seed| Sets::digits([300, 300, 600], seed))?;
        let (parts, classes) = sets.into_classes()?;
        let weights = Shape::new(parts[0].width(), if classes == 2 { 1 } else { classes });
        Ok(Self { parts, weights, penalty: given.get("penalty")?, batch: given.batch()? })
    }

    /// The mean loss of a mini-batch of `part`, or the part of it that belongs to `rows`.
    fn loss<'a, A>(&'a self, part: usize, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A
    where
        A: Array<'a, Elem = T>,
    {
        let batch = self.parts[part].batch(self.batch, draw);
        let range = batch.rows(rows);
        let scores = self.parts[part].times(x[0].exp() * w[0], range.clone());
        self.parts[part].losses(scores, range).sum() / batch.divisor
    }
}

impl<T: Element> Bilevel<T> for Scales<T> {
    fn start(&self) -> Params<T> {
        let features = self.weights.rows as usize;
        Params::new().with("log_scale", Shape::column(self.weights.rows), vec![T::zero(); features])
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0).broadcast_to(self.weights)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        let loss = self.loss(0, w, x, draw, rows);
        if rows.carries_rest() { loss + w[0].dot(w[0]) * (self.penalty / 2.0) } else { loss }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        self.loss(1, w, x, draw, rows)
    }

    fn mini_batches(&self, level: Level) -> usize {
        self.parts[usize::from(level == Level::Outer)].batches(self.batch)
    }

    fn samples(&self, draw: Draw) -> usize {
        self.parts[usize::from(draw.level == Level::Outer)].batch(self.batch, draw).len()
    }

    fn block(&self, _: Level) -> usize {
        self.parts[0].block_rows()
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let (arena, test) = (Arena::new(), &self.parts[2]);
        let w = Tensor::new(&arena, self.weights, w.values());
        let x = Tensor::new(&arena, Shape::column(self.weights.rows), x.values());
        let scores = test.times(x.exp() * w, 0..test.len());
        vec![Metric { name: "test error", value: test.error_rate(scores.values()) }]
    }
}
