//! `ElasticNet`: sparse regression. The weights of its penalties are the outer variables.
//!
//! ```text
//! g(x, w) = |X w - y|^2 / 2n + sum_j e^{x_j} |w_j| + e^{x_2} |w|^2 / 2
//! f(w)    = |V w - u|^2 / m
//! ```
//!
//! with one weight of the first penalty for all features or one per feature (Lasso: Tibshirani 1996), and with or
//! without the second penalty (elastic net: Zou and Hastie 2005). The first penalty is applied by the inner rule,
//! [`Ista::learned(0)`](hypertape_solver::Ista); the inner loss of this type consists of the other terms. The step size
//! must be below `2 / (|X'X/n| + e^{x_2})`.
//!
//! Shapes: `X` is `n x p`, `w` has `p` entries, `log_l1` is a scalar or has `p` entries, `log_l2` is a scalar. In the
//! limit, with `S` the support of `w*`, `M = X_S'X_S/n + e^{x_2} I` and `u = M^-1 df/dw_S` (Bertrand et al. 2020,
//! proposition 1),
//!
//! ```text
//! dF/dx_j = -e^{x_j} u_j sign(w*_j) on S, else 0        dF/dx_2 = -e^{x_2} u'w*_S
//! ```

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Params, Range, Rows};

use crate::generator::{Stream, column_sum_product};
use crate::labelled::trained_and_validated;
use crate::samples::convert;
use crate::sets::Sets;
use crate::targets::Targets;

/// Sparse regression with training and validation samples.
#[derive(Clone, Debug)]
pub struct ElasticNet<T> {
    train: Targets<T>,
    valid: Targets<T>,
    /// Test samples for the final evaluation, if there are any.
    test: Option<Targets<T>>,
    start: Params<T>,
    /// The weights that generated the targets, if they are known.
    truth: Option<Vec<f64>>,
}

impl<T: Element> ElasticNet<T> {
    /// Creates the problem on the rows and targets of `train` and `valid`, with the log-weights `log_l1` of the first
    /// penalty (one, or one per feature), and that of the second penalty, if there is one. The inner loop starts at
    /// `w = 0`.
    ///
    /// ```
    /// use hypertape_problems::ElasticNet;
    /// use hypertape_solver::{Draw, Estimator, Exact, InnerLoop, Ista, Oracle};
    /// let train = ([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, -1.0, 0.5], [3.0, 1.0, 2.0, 2.2]);
    /// let valid = ([1.0, 0.5, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, -1.0], [2.0, 1.0, 1.5]);
    /// let lasso = ElasticNet::new((&train.0, &train.1), (&valid.0, &valid.1), 3, &[0.3_f64.ln()], None)?;
    /// let mut oracle = Oracle::<f64>::new(lasso)?;
    /// oracle.set_rule(Ista::learned(0));
    /// let (inner, mut gradient) = (InnerLoop::new(300, 0.6)?, [0.0]);
    /// let x = [0.3_f64.ln()];
    /// let found = Exact::default().estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut gradient)?;
    /// assert!((found.loss - 0.41 / 3.0).abs() < 1e-14);
    /// assert!((gradient[0] - 0.3 * 0.28 / 0.9).abs() < 1e-14);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless both sets have rows of `width` values and one target per row, and there is one
    /// log-weight or `width` of them.
    pub fn new(
        train: (&[f64], &[f64]),
        valid: (&[f64], &[f64]),
        width: usize,
        log_l1: &[f64],
        log_l2: Option<f64>,
    ) -> Result<Self, Error> {
        let train = Targets::new("training rows", train, width)?;
        let valid = Targets::new("validation rows", valid, width)?;
        if log_l1.len() != 1 && log_l1.len() != width {
            let expected = format!("1, or one for each of {width} features");
            return Err(Error::invalid("log-weights of the first penalty", log_l1.len(), expected));
        }
        Ok(Self::of(train, valid, (log_l1, log_l2)))
    }

    /// [`new`](Self::new) for samples that are known to fit each other.
    fn of(train: Targets<T>, valid: Targets<T>, (log_l1, log_l2): (&[f64], Option<f64>)) -> Self {
        let start = Params::new().with_column("log_l1", &convert(log_l1));
        let start = match log_l2 {
            None => start,
            Some(log) => start.with("log_l2", Shape::SCALAR, [T::from_f64(log)]),
        };
        Self { train, valid, test: None, start, truth: None }
    }

    /// Sets the initial weights of the first penalty to `weight`: one for all features, or one per feature if `each`.
    pub(crate) fn weighted(self, weight: f64, each: bool) -> Result<Self, Error> {
        Range::POSITIVE.check("penalty", weight)?;
        let count = if each { self.train.width() as usize } else { 1 };
        let log_l2 = self.start.get("log_l2").map(|log| log[0].as_f64());
        let net = Self::of(self.train, self.valid, (&vec![weight.ln(); count], log_l2));
        Ok(Self { test: self.test, truth: self.truth, ..net })
    }

    /// Creates the problem on dense or sparse `sets` of numbers, with or without the second penalty. The weights start
    /// at `e^-2` and `e^-4`.
    pub(crate) fn on(sets: Sets<T>, second: bool) -> Result<Self, Error> {
        let [train, valid, test] = sets.into_numbers()?;
        let net = Self::of(train, valid, (&[-2.0], second.then_some(-4.0)));
        Ok(Self { test: Some(test), ..net })
    }

    /// 60 training and 60 validation samples with 30 features, of which every sixth matters, and noise of standard
    /// deviation 1/2, with or without the second penalty. To be run with 200 steps of size 0.3. Streams 0 to 3 of the
    /// data seed give rows and noise.
    pub fn workload(seed: u64, second: bool) -> Self {
        const SIZES: [usize; 2] = [60, 30];
        const WEIGHTS: [f64; 5] = [2.0, -1.5, 1.0, -0.75, 0.5];
        let [n, p] = SIZES;
        let truth: Vec<f64> =
            (0..p).map(|j| if j % 6 == 0 { WEIGHTS[j / 6] } else { 0.0 }).collect();
        let set = |stream| {
            let rows = Stream::new(seed, stream).gausses(n * p);
            let noise = Stream::new(seed, stream + 1).gausses(n);
            let clean = column_sum_product(&rows, p, &truth);
            let targets: Vec<f64> = clean.iter().zip(noise).map(|(y, e)| y + 0.5 * e).collect();
            Targets::of((&rows, &targets), p)
        };
        let net = Self::of(set(0), set(2), (&[-2.0], second.then_some(-4.0)));
        Self { truth: Some(truth), ..net }
    }
}

impl<T: Element> Bilevel<T> for ElasticNet<T> {
    fn start(&self) -> Params<T> {
        self.start.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let zero = x[0].scalar(0.0).broadcast_to(Shape::column(self.train.width()));
        List::from_slice(&[zero])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let fit = self.train.error(w[0], rows) * 0.5;
        match x.get(1) {
            Some(log_l2) if rows.carries_rest() => fit + log_l2.exp() * w[0].dot(w[0]) * 0.5,
            _ => fit,
        }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        self.valid.error(w[0], rows)
    }

    trained_and_validated!(|problem| None);

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["w"]
    }

    /// Reports the size of the support, the number of features wrongly in or out of it if the truth is known, and the
    /// mean squared error on the test samples, if there are any.
    fn metrics(&self, w: &Params<T>, _: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let used = || w.values().iter().map(|w| !w.is_zero());
        let count = |name, n: usize| Metric { name, value: n as f64 };
        let support = count("support", used().filter(|&used| used).count());
        let wrong = self.truth.as_ref().map(|truth| {
            let wrong = used().zip(truth).filter(|&(used, &t)| used != (t != 0.0));
            count("wrong features", wrong.count())
        });
        let test = self.test.as_ref().map(|test| test.metric(w.values()));
        [support].into_iter().chain(wrong).chain(test).collect()
    }
}
