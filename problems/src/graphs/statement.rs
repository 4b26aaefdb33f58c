//! `GraphStatement`: two losses as graphs, with their variables, data and defaults.

use std::fmt::Display;

use hypertape_autodiff::{Element, Graph};
use hypertape_solver::{Error, Params};

use crate::samples::DataMatrix;

/// A bilevel problem as data, from which a [`GraphProblem`](crate::GraphProblem) is made. Problem files contain a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphStatement {
    /// The first outer point.
    pub x: Params<f64>,
    /// Start of the inner loop.
    pub start: InnerStart,
    /// The inner loss, a scalar.
    pub inner: Graph<f64>,
    /// The outer loss, a scalar.
    pub outer: Graph<f64>,
    /// A loss for the final evaluation, a scalar, reported as the metric `test loss`.
    pub test: Option<Graph<f64>>,
    /// Data by full name, shared by problems in double precision. Data with a leading task axis contain the rows of all
    /// tasks, one task after the other.
    pub arrays: Vec<(String, DataMatrix<f64>)>,
    /// Lists of whole numbers, such as labels, by full name, in the same layout.
    pub lists: Vec<(String, Vec<u32>)>,
    /// Names of the data whose first axis (after the task axis, if any) runs over samples.
    pub samples: Vec<String>,
    /// Number of tasks, and names of the data that have one part per task.
    pub tasks: (usize, Vec<String>),
    /// Default number of inner steps.
    pub steps: usize,
    /// Default inner step size.
    pub lr: f64,
}

/// Start of the inner loop.
#[derive(Clone, Debug, PartialEq)]
pub enum InnerStart {
    /// These arrays.
    Given(Params<f64>),
    /// The results of a graph, with their names.
    Graph(Vec<String>, Graph<f64>),
}

impl GraphStatement {
    /// Creates a statement of two losses, without variables and data, with the defaults of 100 steps of size 0.1.
    pub fn new(inner: Graph<f64>, outer: Graph<f64>) -> Self {
        Self {
            x: Params::new(),
            start: InnerStart::Given(Params::new()),
            inner,
            outer,
            test: None,
            arrays: Vec::new(),
            lists: Vec::new(),
            samples: Vec::new(),
            tasks: (1, Vec::new()),
            steps: 100,
            lr: 0.1,
        }
    }
}

pub(super) fn told(what: &str, why: impl Display) -> Error {
    Error::told(format!("{what}: {why}"))
}

/// Converts arrays to another precision, in which all values must be finite.
pub(super) fn finite<T: Element>(name: &str, values: &[T]) -> Result<(), Error> {
    let Some(i) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    Err(told(&format!("array {name:?}"), format!("value {i} is not finite in {}", T::NAME)))
}
