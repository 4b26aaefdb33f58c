//! `Problem`: a catalogue entry, with the oracles of earlier calls.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hypertape::cli::Precise;
use hypertape::problems::{Entry, GraphStatement, catalogue, read_problem};
use hypertape::{Error, Oracle, Params, find_by_name};
use numpy::{Element, PyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::CHOICES;
use crate::call::{AnyRule, Options};
use crate::failure::exception;
use crate::rule::Cast;

/// Number of oracles that are kept for later calls, per precision.
const KEPT: usize = 4;

/// An idle oracle, and the settings with which it was made.
pub(crate) struct Idle<T>(Made, Oracle<'static, T>);

/// The settings with which an oracle is made.
#[derive(Clone, PartialEq)]
struct Made {
    rule: Option<String>,
    threads: usize,
    data_seed: Option<u64>,
}

/// A precision that NumPy and hypertape support.
pub(crate) trait Number: Precise + Element + Cast {
    /// The idle oracles of this precision.
    fn idle(problem: &Problem) -> &Mutex<Vec<Idle<Self>>>;
}

impl Number for f64 {
    fn idle(problem: &Problem) -> &Mutex<Vec<Idle<Self>>> {
        &problem.doubles
    }
}

impl Number for f32 {
    fn idle(problem: &Problem) -> &Mutex<Vec<Idle<Self>>> {
        &problem.singles
    }
}

/// A problem by name, and its settings.
#[pyclass(frozen, module = "hypertape._core")]
pub(crate) struct Problem {
    pub(crate) entry: Entry,
    /// The statement from which the problem was made, if it is made of graphs.
    pub(crate) statement: Option<Arc<GraphStatement>>,
    doubles: Mutex<Vec<Idle<f64>>>,
    singles: Mutex<Vec<Idle<f32>>>,
}

impl Problem {
    pub(crate) fn new(entry: Entry) -> Self {
        Self { entry, statement: None, doubles: Mutex::default(), singles: Mutex::default() }
    }

    pub(crate) fn of_graphs(entry: Entry, statement: Arc<GraphStatement>) -> Self {
        Self { statement: Some(statement), ..Self::new(entry) }
    }

    /// Calls `work` with an oracle for these options. An idle one is used if there is one, so that nothing is made or
    /// rehearsed twice. Two threads that call at the same time have separate oracles.
    pub(crate) fn with_oracle<T: Number, R>(
        &self,
        options: &Options,
        work: impl FnOnce(&mut Oracle<'static, T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let Options { rule, threads, data_seed, .. } = options;
        let rule = rule.as_ref().map(|rule| rule.name().to_owned());
        let made = Made { rule, threads: *threads, data_seed: *data_seed };
        let idle = || T::idle(self).lock().unwrap_or_else(PoisonError::into_inner);
        let found = {
            let mut idle = idle();
            let place = idle.iter().position(|Idle(other, _)| *other == made);
            place.filter(|_| options.init.is_none()).map(|place| idle.swap_remove(place).1)
        };
        let mut oracle = match found {
            Some(oracle) => oracle,
            None => self.open(options)?,
        };
        oracle.set_memory(options.memory);
        let result = work(&mut oracle);
        oracle.set_stop(None);
        if options.init.is_none() {
            oracle.set_warm(None)?;
            let mut idle = idle();
            idle.truncate(KEPT - 1);
            idle.push(Idle(made, oracle));
        }
        result
    }

    fn open<T: Number>(&self, options: &Options) -> Result<Oracle<'static, T>, Error> {
        let mut oracle = self.entry.open::<T>(options.data_seed)?;
        if options.threads != 1 {
            oracle.set_threads(options.threads)?;
        }
        if let Some(rule) = &options.rule {
            match rule {
                AnyRule::Text(text) => {
                    oracle.set_any_rule(CHOICES.registry::<T>().rules.parse(text)?);
                }
                AnyRule::Function(rule) => oracle.set_rule(*rule),
            }
        }
        if let Some(init) = &options.init {
            oracle.set_init(init.iter().map(|&w| T::from_f64(w)).collect())?;
        }
        Ok(oracle)
    }
}

/// Name, rows, columns and values of an array.
type Named<'py> = (String, u32, u32, Bound<'py, PyArray1<f64>>);

fn named<'py>(py: Python<'py>, params: &Params<f64>) -> Vec<Named<'py>> {
    let each = params.iter().map(|(name, shape, values)| {
        (name.to_owned(), shape.rows, shape.cols, values.to_pyarray(py))
    });
    each.collect()
}

#[pymethods]
impl Problem {
    /// Return the defaults: steps, lr, iterations and the outer optimiser.
    fn defaults<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Entry { name, summary, steps, lr, outer, iterations, .. } = &self.entry;
        let told = PyDict::new(py);
        told.set_item("name", name)?;
        told.set_item("summary", summary)?;
        told.set_item("steps", steps)?;
        told.set_item("lr", lr)?;
        told.set_item("iterations", iterations)?;
        told.set_item("outer", hypertape::Spelled::text(outer))?;
        Ok(told)
    }

    /// Return the outer start and the inner start.
    fn starts<'py>(&self, py: Python<'py>) -> PyResult<[Vec<Named<'py>>; 2]> {
        let found = py.detach(|| {
            let Entry { steps, lr, .. } = self.entry;
            let options = Options { steps, lr, threads: 1, ..Options::default() };
            self.with_oracle::<f64, _>(&options, |oracle| {
                Ok([oracle.start().clone(), oracle.inner_start().clone()])
            })
        });
        Ok(found.map_err(|error| exception(py, &error))?.map(|params| named(py, &params)))
    }
}

/// Return the problem `name` of the catalogue, or the one in the file `name`, with settings by name and value.
#[pyfunction]
pub(crate) fn catalogued(
    py: Python<'_>,
    name: &str,
    settings: Vec<(String, String)>,
) -> PyResult<Problem> {
    let settings = || settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let path = Path::new(name);
    let made: Result<Problem, Error> = py.detach(|| {
        if path.extension().is_some_and(|end| end == "npz") {
            let statement = Arc::new(read_problem(path)?);
            let entry = Arc::clone(&statement).into_entry(name)?.with(settings())?;
            return Ok(Problem::of_graphs(entry, statement));
        }
        let all = catalogue();
        let entry = find_by_name("problem", name, &all, |entry| &entry.name)?;
        Ok(Problem::new(entry.clone().with(settings())?))
    });
    made.map_err(|error| exception(py, &error))
}
