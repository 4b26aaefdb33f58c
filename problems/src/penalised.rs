//! `Penalised`: linear models with one penalty per feature. The penalties are the outer variables.
//!
//! ```text
//! g(x, w) = 1/n sum_i loss(X_i w, y_i) + 1/2 sum_j e^{x_j} w_j^2
//! f(x, w) = 1/m sum_i loss(V_i w, u_i)
//! ```
//!
//! with half the squared error `loss(z, y) = (z - y)^2/2`, the logistic loss `loss(z, y) = ln(1 + e^{-y z})`, or, in
//! `f` only, the squared error itself. `w` has one entry per feature, and so has `x`, unless groups of features share a
//! penalty. The type covers the peer workloads `w1-ridge` and `w1-logreg`, and ridge regression on your own data. Its
//! limit for many steps has a closed form: with `M = X'X/n + diag(e^x)`,
//!
//! ```text
//! w* = M^-1 X'y/n        dF/dx_j = -e^{x_j} w*_j (M^-1 df/dw(w*))_j
//! ```

use hypertape_autodiff::{Array, Element, List, RowLoss, Shape};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Params, Rows};

use crate::generator::W1;
use crate::labelled::trained_and_validated;
use crate::samples::convert;
use crate::sets::Sets;
use crate::targets::Targets;

/// The loss of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLoss {
    /// `(z - y)^2 / 2`
    HalfSquared,
    /// `(z - y)^2`
    Squared,
    /// `ln(1 + e^{-y z})` for labels of -1 and 1.
    Logistic,
}

/// A linear model with one log-penalty per feature.
#[derive(Clone, Debug)]
pub struct Penalised<T> {
    inner_loss: SampleLoss,
    outer_loss: SampleLoss,
    train: Targets<T>,
    valid: Targets<T>,
    /// Test samples for the final evaluation, if there are any.
    test: Option<Targets<T>>,
    start: Vec<T>,
    init: Vec<T>,
}

impl<T: Element> Penalised<T> {
    /// Peer workload `w1-ridge`, to be run with 100 steps of size 0.5.
    pub fn ridge(seed: u64) -> Self {
        Self::from_workload(SampleLoss::HalfSquared, &W1::ridge(seed))
    }

    /// Peer workload `w1-logreg`, to be run with 100 steps of size 1.
    pub fn logistic(seed: u64) -> Self {
        Self::from_workload(SampleLoss::Logistic, &W1::logistic(seed))
    }

    /// Ridge or logistic regression on generated data with the sizes `[samples, features, penalties]`. Each penalty is
    /// shared by the same number of consecutive features.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if a size is 0, if `features` is not a multiple of `penalties`, or if
    /// `samples * features` exceeds 2^28.
    pub fn sized(
        loss: SampleLoss,
        seed: u64,
        [n, p, penalties]: [usize; 3],
    ) -> Result<Self, Error> {
        if n == 0 || p == 0 || penalties == 0 || !p.is_multiple_of(penalties) {
            let found = format!("{penalties} for {p} features of {n} samples");
            return Err(Error::invalid("penalties", found, "as many features for each"));
        }
        if n.saturating_mul(p) > 1 << 28 {
            let expected = "268435456 numbers at most";
            return Err(Error::invalid("samples and features", format!("{n} x {p}"), expected));
        }
        let data = match loss {
            SampleLoss::Logistic => W1::sized_logistic(seed, [n, p]),
            _ => W1::sized_ridge(seed, [n, p]),
        };
        let mut problem = Self::from_workload(loss, &data);
        problem.start.truncate(penalties);
        Ok(problem)
    }

    /// Four training and three validation points on a line, with two features; 300 steps of size 0.4 reach the limit.
    pub fn small_ridge() -> Self {
        let train = ([1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0], [1.0, 0.0, 2.0, 1.5]);
        let valid = ([1.0, 0.5, 1.0, 1.5, 1.0, 2.5], [0.5, 1.2, 1.4]);
        let [train, valid] =
            [(&train.0[..], &train.1[..]), (&valid.0, &valid.1)].map(|part| Targets::of(part, 2));
        Self::ridge_from(train, valid, &[-2.0, -1.0])
    }

    /// Ridge regression on the rows and targets of `train` and `valid`, with the start `w = 0`:
    /// `g = |Xw - y|^2/2n + sum_j e^{x_j} w_j^2/2` on `train` and `f = |Vw - u|^2/m` on `valid`.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless both sets have rows, each with one value per penalty, and one target per row.
    pub fn ridge_on(
        train: (&[f64], &[f64]),
        valid: (&[f64], &[f64]),
        log_penalty: &[f64],
    ) -> Result<Self, Error> {
        let width = log_penalty.len();
        let train = Targets::new("training rows", train, width)?;
        let valid = Targets::new("validation rows", valid, width)?;
        Ok(Self::ridge_from(train, valid, log_penalty))
    }

    /// [`ridge_on`](Self::ridge_on) for samples that are known to fit each other.
    fn ridge_from(train: Targets<T>, valid: Targets<T>, log_penalty: &[f64]) -> Self {
        Self {
            inner_loss: SampleLoss::HalfSquared,
            outer_loss: SampleLoss::Squared,
            train,
            valid,
            test: None,
            start: convert(log_penalty),
            init: vec![T::zero(); log_penalty.len()],
        }
    }

    /// Ridge regression on dense or sparse `sets` of numbers, with penalties that start at 0.01.
    pub(crate) fn ridge_of(sets: Sets<T>) -> Result<Self, Error> {
        let [train, valid, test] = sets.into_numbers()?;
        let start = vec![0.01_f64.ln(); train.width() as usize];
        Ok(Self { test: Some(test), ..Self::ridge_from(train, valid, &start) })
    }

    fn from_workload(loss: SampleLoss, data: &W1) -> Self {
        Self {
            inner_loss: loss,
            outer_loss: loss,
            train: Targets::of((&data.x, &data.y), data.w0.len()),
            valid: Targets::of((&data.x_valid, &data.y_valid), data.w0.len()),
            test: None,
            start: convert(&data.log_penalty),
            init: convert(&data.w0),
        }
    }

    /// Number of penalties.
    fn penalties(&self) -> u32 {
        u32::try_from(self.start.len()).expect("no more than features")
    }

    /// Returns the mean `loss` of the samples, or the part of it that belongs to `rows`.
    fn fit<'a, A: Array<'a, Elem = T>>(
        loss: SampleLoss,
        w: A,
        part: &'a Targets<T>,
        rows: Rows,
    ) -> A {
        let sum = |loss| part.loss(w, rows.range(), loss);
        let sum = match loss {
            SampleLoss::HalfSquared => sum(RowLoss::Squared) * 0.5,
            SampleLoss::Squared => sum(RowLoss::Squared),
            SampleLoss::Logistic => sum(RowLoss::Logistic),
        };
        sum / part.len() as f64
    }
}

impl<T: Element> Bilevel<T> for Penalised<T> {
    fn start(&self) -> Params<T> {
        Params::new().with_column("log_penalty", &self.start)
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(Shape::column(self.train.width()), &self.init)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let fit = Self::fit(self.inner_loss, w[0], &self.train, rows);
        if !rows.carries_rest() {
            return fit;
        }
        let (squares, penalties) = (w[0].square(), self.penalties());
        let squares = match self.train.width() / penalties {
            1 => squares,
            shared => squares.reshape(Shape::new(penalties, shared)).sum_cols(),
        };
        fit + x[0].exp().dot(squares) * 0.5
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        Self::fit(self.outer_loss, w[0], &self.valid, rows)
    }

    trained_and_validated!(|problem| None);

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["w"]
    }

    /// Reports the mean squared error on the test samples, if there are any.
    fn metrics(&self, w: &Params<T>, _: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        self.test.iter().map(|test| test.metric(w.values())).collect()
    }
}
