//! A whole bilevel optimisation, with a callback, which can be saved and resumed.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hypertape::cli::data_hash;
use hypertape::{
    Error, Estimator, Joint, Limits, Observer, Record, Run, RunState, Saved, Saving, Settings,
    Spelled,
};
use numpy::{PyArray1, ToPyArray};
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::CHOICES;
use crate::call::{Given, Options, array, call, given, point};
use crate::measures::{in_precision, named};
use crate::patience::Patience;
use crate::problem::{Number, Problem};

/// The method, the limits and the files of a run.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
struct Plan {
    estimator: String,
    /// A single-loop algorithm, which replaces the estimator.
    algorithm: Option<String>,
    iterations: usize,
    record_every: usize,
    /// The outer optimiser; that of the algorithm if `None`.
    outer: Option<String>,
    coupling: String,
    gradient_norm: Option<f64>,
    oracle_calls: Option<u64>,
    time: Option<f64>,
    /// The file of the state.
    state: Option<PathBuf>,
    every: usize,
    resume: bool,
}

#[pymethods]
impl Problem {
    /// Run from `x`. `callback` receives the numbers and the point of each iteration.
    fn run<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        plan: Plan,
        callback: Option<Py<PyAny>>,
        options: Options,
    ) -> PyResult<Bound<'py, PyDict>> {
        let x = given(x)?;
        in_precision!(options, run(py, self, x, &plan, callback, &options))
    }
}

/// The numbers that are reported per iteration: whole numbers first, then others.
const COUNTS: [&str; 7] =
    ["iteration", "plain_steps", "inner_gradients", "hvps", "mixed", "outer_gradients", "samples"];
const NUMBERS: [&str; 3] = ["loss", "gradient_norm", "seconds"];

fn counts(record: &Record) -> [u64; 7] {
    let (cost, iteration) = (&record.cost, record.iteration as u64);
    let [steps, gradients] = [cost.plain_steps, cost.inner_gradients];
    [iteration, steps, gradients, cost.hvps, cost.mixed, cost.outer_gradients, cost.samples]
}

fn numbers(record: &Record) -> [f64; 3] {
    [record.loss, record.gradient_norm, record.elapsed.as_secs_f64()]
}

/// Calls the Python function, and ends the run if it raises an exception or Ctrl-C was pressed.
struct Watcher<'a> {
    callback: Option<Py<PyAny>>,
    patience: &'a Arc<Patience>,
}

impl<T: Number> Observer<T> for Watcher<'_> {
    fn stop(&self) -> Option<Arc<dyn Fn() -> bool + Send + Sync>> {
        Some(self.patience.stop())
    }

    fn record(&mut self, record: &Record, x: &[T]) -> ControlFlow<()> {
        let Some(callback) = &self.callback else { return ControlFlow::Continue(()) };
        let called = Python::attach(|py| {
            let told = PyDict::new(py);
            for (name, count) in COUNTS.iter().zip(counts(record)) {
                told.set_item(name, count)?;
            }
            for (name, number) in NUMBERS.iter().zip(numbers(record)) {
                told.set_item(name, number)?;
            }
            told.set_item("warnings", record.soundness.warnings())?;
            match callback.call1(py, (told, array(py, x))) {
                Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                    Ok(ControlFlow::Break(()))
                }
                called => called.map(|_| ControlFlow::Continue(())),
            }
        });
        called.unwrap_or_else(|error| {
            self.patience.end(error);
            ControlFlow::Break(())
        })
    }
}

/// The results of a run.
struct Left<T> {
    state: RunState<T>,
    records: Vec<Record>,
    estimator: (String, Option<String>),
}

fn run<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    plan: &Plan,
    callback: Option<Py<PyAny>>,
    options: &Options,
) -> PyResult<Bound<'py, PyDict>> {
    let what = plan.algorithm.as_ref().unwrap_or(&plan.estimator);
    let left = call::<T, _>(py, problem, (what, options), |oracle, patience| {
        let x = point(oracle, x.as_deref())?;
        let choices = CHOICES.registry::<T>();
        let (inner, own) = (options.inner()?, problem.entry.outer.text());
        let (mut estimator, default): (Box<dyn Estimator<T>>, _) = match &plan.algorithm {
            None => (options.estimator(&plan.estimator, oracle, (&inner, &x))?, own),
            Some(text) => {
                let algorithm = choices.algorithms.parse(text)?;
                let outer = algorithm.outer().text();
                (Box::new(Joint::from(algorithm)), outer)
            }
        };
        let longest = |s: f64| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX);
        let run = Run {
            inner,
            outer: choices.outers.parse(plan.outer.as_ref().unwrap_or(&default))?.into(),
            iterations: plan.iterations,
            seed: options.seed,
            coupling: choices.couplings.parse(&plan.coupling)?.into(),
            limits: Limits {
                gradient_norm: plan.gradient_norm,
                oracle_calls: plan.oracle_calls,
                time: plan.time.map(longest),
            },
            record_every: plan.record_every,
        };
        let (mut state, mut records) = (RunState::new(x), Vec::new());
        let mut saving = None;
        if let Some(path) = &plan.state {
            let settings = Settings::new(&run, oracle, &*estimator)
                .with("problem", &*problem.entry.name)
                .with("hash of the data", data_hash(oracle, options.seed)?);
            if plan.resume && path.exists() {
                (state, records) = resumed(path, &settings)?;
            }
            saving = Some(Saving::to(path, plan.every, settings).after(records.clone()));
        }
        let mut watcher = Watcher { callback, patience };
        let mut observers: Vec<&mut dyn Observer<T>> = vec![&mut watcher];
        observers.extend(saving.as_mut().map(|saving| saving as &mut dyn Observer<T>));
        let new = run.observe(oracle, &mut *estimator, &mut state, &mut observers);
        records.extend(new?);
        Ok(Left { state, records, estimator: named(&*estimator) })
    })?;
    told(py, &left)
}

fn resumed<T: Number>(
    path: &Path,
    settings: &Settings,
) -> Result<(RunState<T>, Vec<Record>), Error> {
    let refuse = |e| Error::told(format!("resume {}: {e}", path.display()));
    let Saved { state, records, .. } = Saved::load(path, settings).map_err(refuse)?;
    Ok((state, records))
}

/// Returns the point and the records, as one column per number.
fn told<'py, T: Number>(py: Python<'py>, left: &Left<T>) -> PyResult<Bound<'py, PyDict>> {
    let Left { state, records, estimator } = left;
    let columns = PyDict::new(py);
    for (k, name) in COUNTS.iter().enumerate() {
        let column: Vec<u64> = records.iter().map(|record| counts(record)[k]).collect();
        columns.set_item(name, column.to_pyarray(py))?;
    }
    for (k, name) in NUMBERS.iter().enumerate() {
        let column: Vec<f64> = records.iter().map(|record| numbers(record)[k]).collect();
        columns.set_item(name, PyArray1::from_vec(py, column))?;
    }
    let warned: Vec<_> = records.iter().map(|record| record.soundness.warnings()).collect();
    let told = PyDict::new(py);
    told.set_item("x", array(py, &state.x))?;
    told.set_item("best", array(py, &state.best))?;
    told.set_item("best_loss", state.best_loss)?;
    told.set_item("iterations", state.iteration)?;
    told.set_item("ended", state.end.map(|end| end.to_string()))?;
    told.set_item("records", columns)?;
    told.set_item("warnings", warned)?;
    told.set_item("estimator", &estimator.0)?;
    told.set_item("schedule", &estimator.1)?;
    Ok(told)
}
