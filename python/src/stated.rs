//! Problems whose losses are graphs.

use std::sync::Arc;

use hypertape::graph::Graph;
use hypertape::problems::{DataMatrix, GraphStatement, InnerStart, write_problem};
use hypertape::{Error, Params, Shape};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::failure::{exception, invalid};
use crate::problem::Problem;

/// Name, rows, columns and values of an array.
type Given<'py> = (String, u32, u32, PyReadonlyArray1<'py, f64>);

/// A problem as the Python code describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Statement<'py> {
    name: String,
    x: Vec<Given<'py>>,
    /// The inner start, or else the names of the results of `init`.
    w: Vec<Given<'py>>,
    names: Vec<String>,
    init: Option<String>,
    inner: String,
    outer: String,
    arrays: Vec<Given<'py>>,
    lists: Vec<(String, Vec<u32>)>,
    samples: Vec<String>,
    /// The number of tasks, and the data that have one part per task.
    tasks: (usize, Vec<String>),
    steps: usize,
    lr: f64,
}

/// Return the problem of a statement.
#[pyfunction]
pub(crate) fn stated(py: Python<'_>, statement: Statement) -> PyResult<Problem> {
    let graph = |text: &str| -> PyResult<Graph<f64>> {
        let value = serde_json::from_str(text).map_err(|e| invalid(py, e.to_string()))?;
        Graph::from_json(value).map_err(|e| invalid(py, e.to_string()))
    };
    let start = match &statement.init {
        None => InnerStart::Given(params(&statement.w)?),
        Some(init) => InnerStart::Graph(statement.names.clone(), graph(init)?),
    };
    let made = Arc::new(GraphStatement {
        x: params(&statement.x)?,
        start,
        arrays: statement.arrays.iter().map(data).collect::<PyResult<_>>()?,
        lists: statement.lists,
        samples: statement.samples,
        tasks: statement.tasks,
        steps: statement.steps,
        lr: statement.lr,
        ..GraphStatement::new(graph(&statement.inner)?, graph(&statement.outer)?)
    });
    let entry = Arc::clone(&made).into_entry(&statement.name);
    let entry = entry.map_err(|error| exception(py, &error))?;
    Ok(Problem::of_graphs(entry, made))
}

/// Copies data once, because Python may write to its arrays while Rust reads them, and the rows of NumPy's arrays do
/// not start on cache lines.
fn data((name, _, cols, values): &Given) -> PyResult<(String, DataMatrix<f64>)> {
    Ok((name.clone(), DataMatrix::new(values.as_slice()?.iter().copied(), *cols as usize)))
}

fn params(arrays: &[Given]) -> PyResult<Params<f64>> {
    let mut all = Params::new();
    for (name, rows, cols, values) in arrays {
        all = all.with(name, Shape::new(*rows, *cols), values.as_slice()?.iter().copied());
    }
    Ok(all)
}

#[pymethods]
impl Problem {
    /// Describe how the losses are evaluated, and why.
    fn describe(&self, py: Python<'_>) -> PyResult<&str> {
        self.graphs(py).map(|_| &*self.entry.summary)
    }

    /// Write the problem to a file.
    fn save(&self, py: Python<'_>, path: std::path::PathBuf) -> PyResult<()> {
        let statement = self.graphs(py)?;
        let written: Result<(), Error> = py.detach(|| write_problem(&path, statement));
        written.map_err(|error| exception(py, &error))
    }

    /// Return the same problem with settings, by name and value.
    #[pyo3(name = "with_settings")]
    fn with_settings(&self, py: Python<'_>, settings: Vec<(String, String)>) -> PyResult<Self> {
        let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let entry = self.entry.clone().with(settings);
        entry.map(Self::new).map_err(|error| exception(py, &error))
    }
}

impl Problem {
    fn graphs(&self, py: Python<'_>) -> PyResult<&GraphStatement> {
        let found = self.statement.as_deref();
        found.ok_or_else(|| invalid(py, format!("'{}' is not made of graphs", self.entry.name)))
    }
}
