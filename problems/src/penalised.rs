//! `Penalised`: linear models with one penalty a feature, the penalties being the outer variables.
//!
//! ```text
//! g(x, w) = 1/n sum_i loss(X_i w, y_i) + 1/2 sum_j e^{x_j} w_j^2
//! f(x, w) = 1/m sum_i loss(V_i w, u_i)
//! ```
//!
//! with the squared error `loss(z, y) = (z - y)^2/2` or the logistic loss `loss(z, y) = ln(1 + e^{-y z})`. `x` and `w`
//! have one entry a feature. Peer workloads `w1-ridge` and `w1-logreg`.

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, Level, Params, Rows};

use crate::generator::W1;
use crate::samples::{Samples, convert};

/// The loss of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLoss {
    /// `(z - y)^2 / 2`
    Squared,
    /// `ln(1 + e^{-y z})` for labels of -1 and 1.
    Logistic,
}

/// A linear model with one log-penalty a feature.
#[derive(Clone, Debug)]
pub struct Penalised<T> {
    loss: SampleLoss,
    train: Samples<T>,
    train_targets: Vec<T>,
    valid: Samples<T>,
    valid_targets: Vec<T>,
    start: Vec<T>,
    init: Vec<T>,
}

impl<T: Element> Penalised<T> {
    /// Peer workload `w1-ridge`; 100 steps of size 0.5.
    pub fn ridge(seed: u64) -> Self {
        Self::from_workload(SampleLoss::Squared, &W1::ridge(seed))
    }

    /// Peer workload `w1-logreg`; 100 steps of size 1.
    pub fn logistic(seed: u64) -> Self {
        Self::from_workload(SampleLoss::Logistic, &W1::logistic(seed))
    }

    fn from_workload(loss: SampleLoss, data: &W1) -> Self {
        Self {
            loss,
            train: Samples::new(convert(&data.x), W1::FEATURES),
            train_targets: convert(&data.y),
            valid: Samples::new(convert(&data.x_valid), W1::FEATURES),
            valid_targets: convert(&data.y_valid),
            start: convert(&data.log_penalty),
            init: convert(&data.w0),
        }
    }

    /// The mean loss of `samples`, or the part of it that belongs to `rows`.
    fn fit<'a, A: Array<'a, Elem = T>>(
        &self,
        w: A,
        samples: &'a Samples<T>,
        targets: &'a [T],
        rows: Rows,
    ) -> A {
        let scores = samples.block(w, rows).matmul(w);
        let targets = w.constant(Shape::column(rows.count()), rows.of(targets, 1));
        let sum = match self.loss {
            SampleLoss::Squared => scores.squared_error(targets) * 0.5,
            SampleLoss::Logistic => scores.logistic_loss(targets).sum(),
        };
        sum / samples.len() as f64
    }
}

impl<T: Element> Bilevel<T> for Penalised<T> {
    fn start(&self) -> Params<T> {
        let shape = Shape::column(self.train.width());
        Params::new().with("log_penalty", shape, self.start.iter().copied())
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(x[0].shape(), &self.init)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let fit = self.fit(w[0], &self.train, &self.train_targets, rows);
        if rows.carries_rest() { fit + x[0].exp().dot(w[0].square()) * 0.5 } else { fit }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        self.fit(w[0], &self.valid, &self.valid_targets, rows)
    }

    fn samples(&self, level: Level) -> usize {
        match level {
            Level::Inner => self.train.len(),
            Level::Outer => self.valid.len(),
            _ => 0,
        }
    }

    fn block(&self, _: Level) -> usize {
        self.train.block_rows()
    }

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["w"]
    }
}
