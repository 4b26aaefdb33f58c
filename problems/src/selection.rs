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
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Metric, Params, Rows};

use crate::entry::Given;
use crate::labelled::{Labelled, trained_and_validated};
use crate::sets::Sets;
use crate::setting::{Kind, Setting};

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
    /// The settings that a catalogue entry offers for a [`Selection`]. Penalties start at `penalty` by default.
    pub fn settings(penalty: f64) -> [Setting; 3] {
        let kinds = Kind::Word(&["one", "class", "feature"]);
        let which =
            "what has a penalty of its own: all weights together, each class or each feature";
        [
            Setting::new(
                "penalty",
                penalty,
                Kind::NOT_NEGATIVE,
                "strength of the penalties at the start of the run",
            ),
            Setting::new("penalties", "feature", kinds, which),
            Setting::batch(),
        ]
    }
}

impl FromStr for Penalties {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "one" => Ok(Self::One),
            "class" => Ok(Self::Class),
            "feature" => Ok(Self::Feature),
            _ => Err(Error::invalid("penalties", text, "one, class or feature")),
        }
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
    /// finite.
    pub fn new(
        sets: Sets<T>,
        penalties: Penalties,
        penalty: f64,
        batch: Option<usize>,
    ) -> Result<Self, Error> {
        if !(penalty > 0.0 && penalty.is_finite()) {
            return Err(Error::invalid("penalty", penalty, "a positive finite number"));
        }
        let ([train, valid, test], classes) = sets.into_classes()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use hypertape_autodiff::Csr;
    use hypertape_solver::{Estimator, Exact, Oracle};

    fn gradient(
        selection: Selection<f64>,
        (steps, lr): (usize, f64),
        x: &[f64],
    ) -> (f64, Vec<f64>) {
        let mut oracle = Oracle::new(selection).unwrap();
        let mut gradient = vec![0.0; x.len()];
        let (inner, draw) = (InnerLoop::new(steps, lr).unwrap(), Draw::new(0, 0));
        let estimate = Exact::default().estimate(&mut oracle, &inner, x, draw, &mut gradient);
        (estimate.unwrap().loss, gradient)
    }

    #[test]
    fn two_steps_of_logistic_regression_in_closed_form() {
        let part = |x: &[f64]| Labelled::dense(x.to_vec(), vec![1, 0]).unwrap();
        let sets = Sets::new(part(&[1.0, -2.0]), part(&[2.0, 1.0]), part(&[1.0, 1.0])).unwrap();
        let (lr, x) = (0.5, -1.0_f64);
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        // The first step moves from 0 by the mean of y x / 2; the second step sees the penalty.
        let slope = |w: f64| (-sigmoid(-w) - 2.0 * sigmoid(-2.0 * w)) / 2.0;
        let w1 = lr * 1.5 / 2.0;
        let w2 = w1 - lr * (slope(w1) + x.exp() * w1);
        let loss = 0.5 * ((1.0 + (-2.0 * w2).exp()).ln() + (1.0 + w2.exp()).ln());
        let known = 0.5 * (sigmoid(w2) - 2.0 * sigmoid(-2.0 * w2)) * -lr * x.exp() * w1;
        for penalties in [Penalties::One, Penalties::Class, Penalties::Feature] {
            let selection = Selection::new(sets.clone(), penalties, 0.01, None).unwrap();
            let (found, gradient) = gradient(selection, (2, lr), &[x]);
            // A few rounding errors; 1e-16 is observed.
            assert!((found - loss).abs() < 1e-14 && (gradient[0] - known).abs() < 1e-14);
        }
    }

    /// Sets of dense or sparse samples with the same values.
    fn alike(sparse: bool) -> Sets<f64> {
        let part = |seed: u32| {
            let value = |i: u32, j: u32| f64::from((i * 7 + j * 5 + seed) % 4);
            let labels: Vec<u32> = (0..12).map(|i| (i + seed) % 3).collect();
            let rows = (0..12).flat_map(|i| (0..5).map(move |j| value(i, j)));
            if !sparse {
                return Labelled::dense(rows.collect(), labels).unwrap();
            }
            let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
            for i in 0..12 {
                for j in (0..5).filter(|&j| value(i, j) != 0.0) {
                    columns.push(j);
                    values.push(value(i, j));
                }
                starts.push(values.len());
            }
            Labelled::sparse(Csr::new(5, starts, columns, values).unwrap(), labels).unwrap()
        };
        Sets::new(part(0), part(1), part(2)).unwrap()
    }

    #[test]
    fn sparse_is_dense_and_penalties_add_up() {
        let of = |sparse, penalties, count| {
            let selection = Selection::new(alike(sparse), penalties, 0.01, None).unwrap();
            gradient(selection, (20, 0.1), &vec![-2.0; count])
        };
        let (loss, one) = of(false, Penalties::One, 1);
        for (penalties, count) in
            [(Penalties::One, 1), (Penalties::Class, 3), (Penalties::Feature, 5)]
        {
            let (dense, sparse) = (of(false, penalties, count), of(true, penalties, count));
            // The order of summation differs, over 20 steps; 1e-16 is observed.
            assert!((dense.0 - loss).abs() < 1e-14 && (sparse.0 - loss).abs() < 1e-14);
            assert!(dense.1.iter().zip(&sparse.1).all(|(a, b)| (a - b).abs() < 1e-14));
            assert!((dense.1.iter().sum::<f64>() - one[0]).abs() < 1e-14);
        }
    }

    #[test]
    fn penalties_are_positive() {
        let told = Selection::new(alike(false), Penalties::One, 0.0, None).unwrap_err().to_string();
        assert_eq!(told, "penalty: found 0, expected a positive finite number");
    }
}
