//! `GraphProblem`: a bilevel problem whose start and losses are [graphs](hypertape_autodiff::graph) over named arrays.
//!
//! The name of an input up to the first dot says what the input is: `x.NAME` is an outer array, `w.NAME` is an inner
//! array, and any other name, such as `train.X`, is data. If a loss is recognised as a sum over the samples in its data
//! plus a rest, it can be evaluated in blocks of rows and in mini-batches. Any other loss is evaluated in one block,
//! and [`describe`](GraphProblem::describe) says why. Data with a leading task axis make a meta-learning problem.

#[cfg(feature = "data")]
mod file;
mod loss;
mod statement;

use hypertape_autodiff::{Arena, Array, Element, Graph, List, Shape, Tensor};
use hypertape_solver::{Bilevel, Draw, Error, InnerLoop, Level, Metric, Params, Rows};

#[cfg(feature = "data")]
pub use file::{read_problem, write_problem};
use loss::{Data, Function, Loss};
pub use statement::{GraphStatement, InnerStart};
use statement::{finite, told};

use crate::labelled::ContiguousBatch;

/// A bilevel problem whose losses are graphs.
///
/// ```
/// use hypertape_autodiff::graph::Tracer;
/// use hypertape_autodiff::{Array, Graph, Shape};
/// use hypertape_problems::{DataMatrix, GraphProblem, GraphStatement, InnerStart};
/// use hypertape_solver::{Draw, Estimator, Exact, InnerLoop, Oracle, Params};
/// // g = mean (a_i w - b_i)^2 / 2 + e^x w^2 / 2, f = mean (a_i w - b_i)^2 on other samples.
/// let error = |part: &str, penalty: bool| {
///     let tracer = Tracer::new();
///     let column = |name: &str| tracer.input(&format!("{part}.{name}"), Shape::column(2));
///     let (w, x) = (tracer.input("w.w", Shape::SCALAR), tracer.input("x.log_penalty", Shape::SCALAR));
///     let fit = (column("a") * w - column("b")).square().mean();
///     tracer.finish(&[if penalty { (fit + x.exp() * w.square()) * 0.5 } else { fit }])
/// };
/// let data = [("train.a", [1.0, 2.0]), ("train.b", [1.0, 1.0]), ("valid.a", [3.0, 1.0]), ("valid.b", [1.0, 2.0])];
/// let arrays = data.map(|(name, values)| (name.to_owned(), DataMatrix::new(values, 1))).to_vec();
/// let statement = GraphStatement {
///     x: Params::new().with("log_penalty", Shape::SCALAR, [0.0]),
///     start: InnerStart::Given(Params::new().with("w", Shape::SCALAR, [0.0])),
///     samples: data.iter().map(|(name, _)| (*name).to_owned()).collect(),
///     ..GraphStatement::new(error("train", true)?, error("valid", false)?)
/// };
/// let statement = GraphStatement { arrays, ..statement };
/// let problem = GraphProblem::<f64>::new(&statement, None)?;
/// assert_eq!(problem.describe(), "inner loss: a sum over 2 samples plus a rest; outer loss: a sum over 2 samples");
///
/// // w_1 = lr mean(a b) = 0.15 does not depend on x, w_2 does: dF/dx = -lr w_1 (df/dw)(w_2).
/// let (mut oracle, mut gradient) = (Oracle::new(problem)?, [0.0]);
/// Exact::default().estimate(&mut oracle, &InnerLoop::new(2, 0.1)?, &[0.0], Draw::new(0, 0), &mut gradient)?;
/// let w_2: f64 = 0.15 - 0.1 * (2.5 * 0.15 - 1.5 + 0.15);
/// assert!((gradient[0] + 0.1 * 0.15 * (10.0 * w_2 - 5.0)).abs() < 1e-16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GraphProblem<T> {
    x: Params<T>,
    /// Names of the inner arrays.
    names: Vec<String>,
    start: Start<T>,
    inner: Loss<T>,
    outer: Loss<T>,
    test: Option<Loss<T>>,
    data: Data<T>,
    batch: Option<usize>,
}

#[derive(Clone, Debug)]
enum Start<T> {
    Given(Params<T>),
    Graph(Function<T>),
}

fn cast<T: Element>(arrays: &Params<f64>) -> Result<Params<T>, Error> {
    let mut all = Params::new();
    for (name, shape, values) in arrays.iter() {
        let values: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
        finite(name, &values)?;
        all = all.with(name, shape, values);
    }
    Ok(all)
}

impl<T: Element> GraphProblem<T> {
    /// Creates the problem of `statement`, in mini-batches of `batch` samples at both levels if there is a `batch`.
    ///
    /// # Errors
    /// Returns [`Error::Told`], in one line, if an input of a graph is missing or has another shape, if a result does
    /// not have the required shape, if data cannot be divided equally among the tasks, or if mini-batches are requested
    /// of a loss that is not a sum over samples.
    pub fn new(statement: &GraphStatement, batch: Option<usize>) -> Result<Self, Error> {
        let (x, data) = (cast(&statement.x)?, Data::new(statement)?);
        let (names, start, shapes) = match &statement.start {
            InnerStart::Given(w) => {
                let (names, shapes) = (w.names().to_vec(), w.shapes().to_vec());
                (names, Start::Given(cast(w)?), shapes)
            }
            InnerStart::Graph(names, graph) => {
                let shapes: Vec<Shape> = graph.outputs().collect();
                if names.len() != shapes.len() {
                    let (found, n) = (shapes.len(), names.len());
                    return Err(told("init", format!("found {found} results for {n} names")));
                }
                let none = Params::<f64>::new();
                let made = Function::new("init", graph.cast(), [&none, &statement.x], &data)?;
                (names.clone(), Start::Graph(made), shapes)
            }
        };
        if names.is_empty() || statement.x.names().is_empty() {
            return Err(told("variables", "found none, expected an outer and an inner array"));
        }
        let mut w = Params::<f64>::new();
        for (name, &shape) in names.iter().zip(&shapes) {
            if w.get(name).is_some() {
                return Err(told("inner arrays", format!("two are called {name:?}")));
            }
            w = w.with(name, shape, std::iter::repeat_n(0.0, shape.len()));
        }
        let loss = |what, graph: &Graph<f64>| {
            Loss::new(what, graph.cast(), [&w, &statement.x], &data, &statement.samples)
        };
        let (inner, outer) =
            (loss("inner loss", &statement.inner)?, loss("outer loss", &statement.outer)?);
        let test = statement.test.as_ref().map(|test| loss("test loss", test)).transpose()?;
        if test.is_some() && data.tasks() > 1 {
            return Err(told("test loss", "found one beside tasks, expected none"));
        }
        for loss in [&inner, &outer] {
            if let (Some(_), Err(why)) = (batch, &loss.split) {
                return Err(Error::told(format!(
                    "batch: the {} is not a sum or mean over samples, because there is {why}; without batch it is \
                     evaluated on all samples",
                    loss.name()
                )));
            }
        }
        ContiguousBatch::check(batch, inner.samples.max(outer.samples))?;
        Ok(Self { x, names, start, inner, outer, test, data, batch })
    }

    /// Describes how the losses are evaluated, and why.
    pub fn describe(&self) -> String {
        let losses = format!("{}; {}", self.inner.describe(), self.outer.describe());
        match self.data.tasks() {
            1 => losses,
            tasks => format!("{losses}; {tasks} tasks"),
        }
    }

    fn at(&self, level: Level) -> Option<&Loss<T>> {
        match level {
            Level::Inner => Some(&self.inner),
            Level::Outer => Some(&self.outer),
            _ => None,
        }
    }
}

impl<T: Element> Bilevel<T> for GraphProblem<T> {
    fn start(&self) -> Params<T> {
        self.x.clone()
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], draw: Draw) -> List<A> {
        match &self.start {
            Start::Graph(graph) => graph.whole(&self.data, [&[], x], draw),
            Start::Given(w) => {
                let constant = |(_, shape, values)| x[0].constant(shape, values);
                w.iter().map(constant).collect()
            }
        }
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        self.inner.eval(&self.data, [w, x], draw, rows, self.batch)
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        self.outer.eval(&self.data, [w, x], draw, rows, self.batch)
    }

    fn tasks(&self) -> usize {
        self.data.tasks()
    }

    fn mini_batches(&self, level: Level) -> usize {
        self.at(level).map_or(1, |loss| loss.batches(self.batch))
    }

    fn samples(&self, draw: Draw) -> usize {
        self.at(draw.level).map_or(0, |loss| loss.seen(self.batch, draw))
    }

    fn block(&self, level: Level) -> usize {
        self.at(level).map_or(usize::MAX, |loss| loss.block)
    }

    fn inner_names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let Some(test) = &self.test else { return Vec::new() };
        let arena = Arena::new();
        let [w, x] = [w, x].map(|of| Tensor::split(&arena, of.shapes(), of.values()));
        // The shapes were checked when the problem was made.
        let (Ok(w), Ok(x)) = (w, x) else { return Vec::new() };
        let all = Rows::all(test.samples);
        let value = test.eval(&self.data, [&w, &x], Draw::new(0, 0), all, None);
        let value = value.values().first().map_or(f64::NAN, |v| v.as_f64());
        vec![Metric { name: "test loss", value }]
    }
}
