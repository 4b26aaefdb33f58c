//! `Maml`: few-shot regression by a small network whose start is learned (Finn, Abbeel and Levine 2017).
//!
//! ```text
//! w_0 = x
//! g_task(w) = mean over support points of (net_w(s) - y)^2
//! f_task(w) = mean over query points of (net_w(s) - y)^2
//! net_w(s) = tanh(tanh(s W1 + b1) W2 + b2) W3 + b3
//! ```
//!
//! `x` and `w` are the six arrays of a 1-h-h-1 network. Peer workload `w3` has 25 tasks, all of them in every batch;
//! `sinusoid.rs` makes the larger family of the paper, sampled in batches.

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, Params, Rows};

use crate::generator::W3;
use crate::samples::convert;

/// Names of the network's arrays.
const NAMES: [&str; 6] = ["W1", "b1", "W2", "b2", "W3", "b3"];

/// Points of all tasks, task by task, as many in each.
#[derive(Clone, Debug)]
pub(crate) struct Points<T> {
    pub(crate) inputs: Vec<T>,
    pub(crate) targets: Vec<T>,
}

/// Regression tasks and a learned start.
#[derive(Clone, Debug)]
pub struct Maml<T> {
    tasks: usize,
    batch: usize,
    support: Points<T>,
    query: Points<T>,
    start: Params<T>,
}

impl<T: Element> Maml<T> {
    /// Peer workload `w3`; steps of size 0.002.
    pub fn workload(seed: u64) -> Self {
        let data = W3::new(seed);
        let points = |x: &[f64], y: &[f64]| Points { inputs: convert(x), targets: convert(y) };
        let sets = [points(&data.x, &data.y), points(&data.x_query, &data.y_query)];
        let start = data.start.each_ref().map(|a| convert(a));
        Self::new([W3::TASKS, W3::TASKS], sets, W3::HIDDEN, start)
    }

    /// `[tasks, tasks a batch]` on `[support, query]` points and the first start.
    pub(crate) fn new(
        [tasks, batch]: [usize; 2],
        [support, query]: [Points<T>; 2],
        hidden: usize,
        start: [Vec<T>; 6],
    ) -> Self {
        Self { tasks, batch, support, query, start: network(hidden, start) }
    }

    /// Mean squared error of the network on a task's points.
    fn error<'a, A: Array<'a, Elem = T>>(&self, w: &[A], points: &'a Points<T>, draw: Draw) -> A {
        let each = points.inputs.len() / self.tasks;
        let task = usize::try_from(draw.task).unwrap_or(usize::MAX).min(self.tasks - 1);
        let range = task * each..(task + 1) * each;
        let shape = Shape::column(u32::try_from(each).expect("few points a task"));
        let inputs = w[0].constant(shape, &points.inputs[range.clone()]);
        let targets = w[0].constant(shape, &points.targets[range]);
        let hidden = (inputs.matmul(w[0]) + w[1]).tanh();
        let hidden = (hidden.matmul(w[2]) + w[3]).tanh();
        (hidden.matmul(w[4]) + w[5]).squared_error(targets) / each as f64
    }
}

/// The arrays of a 1-h-h-1 network by name.
fn network<T: Element>(hidden: usize, arrays: [Vec<T>; 6]) -> Params<T> {
    let h = u32::try_from(hidden).expect("few units");
    let shapes = [(1, h), (1, h), (h, h), (1, h), (h, 1), (1, 1)];
    NAMES.into_iter().zip(shapes).zip(arrays).fold(Params::new(), |params, ((name, s), values)| {
        params.with(name, Shape::new(s.0, s.1), values)
    })
}

impl<T: Element> Bilevel<T> for Maml<T> {
    fn start(&self) -> Params<T> {
        self.start.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(x)
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, _: Rows) -> A {
        self.error(w, &self.support, draw)
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
}
