//! `Maml`: few-shot regression with a small network whose start is learned (Finn, Abbeel and Levine 2017).
//!
//! ```text
//! w_0 = x
//! g_task(w) = mean over support points of (net_w(s) - y)^2
//! f_task(w) = mean over query points of (net_w(s) - y)^2
//! net_w(s) = tanh(tanh(s W1 + b1) W2 + b2) W3 + b3
//! ```
//!
//! With a prior of weight `l`, as in implicit MAML (Rajeswaran, Finn, Kakade and Levine 2019, equation 3), `g_task` has
//! the additional term `l |w - x|^2 / 2`. For many steps the hypergradient then tends to `l (H + l I)^-1 df/dw`, where
//! `H` is the Hessian of the first term.
//!
//! `x` and `w` are the six arrays of a 1-h-h-1 network. Peer workload `w3` has 25 tasks, and every batch contains all
//! of them; `sinusoid.rs` makes the larger task family of the paper, sampled in batches.

use hypertape_autodiff::{Array, Element, List};
use hypertape_solver::{Bilevel, Draw, InnerLoop, Metric, Params, Rows};

use crate::generator::W3;
use crate::samples::{convert, shape};

/// Names of the network's arrays.
const NAMES: [&str; 6] = ["W1", "b1", "W2", "b2", "W3", "b3"];

/// Points of all tasks, one task after the other, with the same number in each.
#[derive(Clone, Debug)]
pub(crate) struct Points<T> {
    pub(crate) inputs: Vec<T>,
    pub(crate) targets: Vec<T>,
}

impl<T: Element> Points<T> {
    pub(crate) fn new(inputs: &[f64], targets: &[f64]) -> Self {
        Self { inputs: convert(inputs), targets: convert(targets) }
    }

    /// Returns the inputs and targets of the task of `draw`, one of `tasks`, one row per point.
    pub(crate) fn of<'a, A: Array<'a, Elem = T>>(
        &'a self,
        like: A,
        tasks: usize,
        draw: Draw,
    ) -> [A; 2] {
        let task = usize::try_from(draw.task).unwrap_or(usize::MAX).min(tasks - 1);
        let count = self.targets.len() / tasks;
        [&self.inputs, &self.targets].map(|values| {
            let each = values.len() / tasks;
            like.constant(shape(count, each / count), &values[task * each..][..each])
        })
    }
}

/// Regression tasks and a learned start.
#[derive(Clone, Debug)]
pub struct Maml<T> {
    tasks: usize,
    batch: usize,
    support: Points<T>,
    query: Points<T>,
    start: Params<T>,
    prior: f64,
}

impl<T: Element> Maml<T> {
    /// Peer workload `w3`, to be run with steps of size 0.002.
    pub fn workload(seed: u64) -> Self {
        Self::workload_of(seed, W3::TASKS)
    }

    /// The same workload with another number of tasks, all of which are in every meta-batch.
    pub(crate) fn workload_of(seed: u64, tasks: usize) -> Self {
        let data = W3::sized(seed, tasks);
        let sets = [Points::new(&data.x, &data.y), Points::new(&data.x_query, &data.y_query)];
        let start = data.start.each_ref().map(|a| convert(a));
        Self::new([tasks; 2], sets, W3::HIDDEN, start)
    }

    /// Creates the problem with `[tasks, tasks per batch]`, `[support, query]` points and the initial start.
    pub(crate) fn new(
        [tasks, batch]: [usize; 2],
        [support, query]: [Points<T>; 2],
        hidden: usize,
        start: [Vec<T>; 6],
    ) -> Self {
        Self { tasks, batch, support, query, start: network(hidden, start), prior: 0.0 }
    }

    /// Adds a prior of weight `weight` around the learned start.
    #[must_use]
    pub fn with_prior(self, weight: f64) -> Self {
        Self { prior: weight, ..self }
    }

    /// Returns the mean squared error of the network on the points of the task of `draw`.
    fn error<'a, A: Array<'a, Elem = T>>(&self, w: &[A], points: &'a Points<T>, draw: Draw) -> A {
        let [inputs, targets] = points.of(w[0], self.tasks, draw);
        let hidden = inputs.affine(w[0], w[1]).tanh();
        let hidden = hidden.affine(w[2], w[3]).tanh();
        hidden.affine(w[4], w[5]).squared_error(targets) / targets.shape().len() as f64
    }
}

/// The arrays of a 1-h-h-1 network by name.
fn network<T: Element>(h: usize, arrays: [Vec<T>; 6]) -> Params<T> {
    let shapes = [(1, h), (1, h), (h, h), (1, h), (h, 1), (1, 1)];
    NAMES.into_iter().zip(shapes).zip(arrays).fold(Params::new(), |params, ((name, s), values)| {
        params.with(name, shape(s.0, s.1), values)
    })
}

impl<T: Element> Bilevel<T> for Maml<T> {
    fn start(&self) -> Params<T> {
        self.start.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(x)
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let error = self.error(w, &self.support, draw);
        if self.prior == 0.0 {
            return error;
        }
        let gaps = w.iter().zip(x).map(|(&w, &x)| w.squared_error(x));
        gaps.fold(error, |sum, gap| sum + gap * (0.5 * self.prior))
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, _: Rows) -> A {
        self.error(w, &self.query, draw)
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn inner_names(&self) -> Vec<&'static str> {
        NAMES.to_vec()
    }

    /// Reports how far the weights of a task move from the start.
    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let gaps = w.values().iter().zip(x.values()).map(|(&w, &x)| (w - x).as_f64().powi(2));
        vec![Metric { name: "|w - x|", value: gaps.sum::<f64>().sqrt() }]
    }
}

#[cfg(test)]
mod tests {
    use hypertape_solver::linear::Dense;
    use hypertape_solver::{Estimator, Exact, Implicit, Oracle};

    use super::*;

    #[test]
    fn many_steps_under_a_prior_give_the_gradient_of_implicit_maml() {
        // Two tasks of three points each, and one unit per layer, so that there are six weights.
        let points = |shift: f64| {
            let inputs: Vec<f64> = (0..6).map(|i| f64::from(i) * 0.7 - 2.0 + shift).collect();
            let targets = inputs.iter().map(|s| (1.3 * s + 0.2).sin()).collect();
            Points { inputs, targets }
        };
        let start = [0.8, 0.1, -0.6, 0.2, 1.1, -0.3].map(|w| vec![w]);
        let problem =
            Maml::<f64>::new([2, 2], [points(0.0), points(0.4)], 1, start).with_prior(2.0);
        let mut oracle = Oracle::new(problem).unwrap();
        let x = oracle.start().values().to_vec();
        let mut of = |estimator: &mut dyn Estimator<f64>| {
            let (inner, mut gradient) = (InnerLoop::new(400, 0.2).unwrap(), [0.0; 6]);
            let draw = Draw::new(0, 0);
            estimator.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
            gradient
        };
        let unrolled = of(&mut Exact::default());
        let limit = of(&mut Implicit::new(Dense).unwrap());
        let scale = unrolled.iter().fold(0.0_f64, |s, g| s.max(g.abs()));
        for (unrolled, limit) in unrolled.iter().zip(limit) {
            // What remains after 400 steps is below rounding.
            assert!((unrolled - limit).abs() < 1e-14 * scale, "{unrolled} {limit}");
        }
    }
}
