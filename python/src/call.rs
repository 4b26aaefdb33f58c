//! Parts that all calls share: their options, the estimator that they name, and the numbers that they return.

use std::sync::Arc;

use hypertape::{Cost, Draw, Error, Estimator, InnerLoop, Oracle, Profile, Soundness, plan};
use numpy::{PyArray1, PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::CHOICES;
use crate::failure::exception_of;
use crate::patience::Patience;
use crate::problem::{Number, Problem};
use crate::rule::Rule;

/// An inner rule, by name or as a traced function.
#[derive(Clone, Debug, FromPyObject)]
pub(crate) enum AnyRule {
    Text(String),
    Function(Rule),
}

impl AnyRule {
    /// The name that distinguishes the rule from others.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Function(rule) => rule.name(),
        }
    }
}

/// Options of a call, checked and completed by the Python code.
#[derive(Clone, Debug, Default, FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    pub(crate) steps: usize,
    /// The step size, or `None` to choose it from the curvature.
    pub(crate) lr: Option<f64>,
    pub(crate) tolerance: Option<f64>,
    pub(crate) rule: Option<AnyRule>,
    pub(crate) schedule: Option<String>,
    pub(crate) memory: Option<u64>,
    pub(crate) seed: u64,
    pub(crate) data_seed: Option<u64>,
    pub(crate) threads: usize,
    pub(crate) init: Option<Vec<f64>>,
    pub(crate) single: bool,
}

impl Options {
    pub(crate) fn inner(&self) -> Result<InnerLoop, Error> {
        let auto = || Ok(InnerLoop::auto(self.steps));
        let inner = self.lr.map_or_else(auto, |lr| InnerLoop::new(self.steps, lr))?;
        self.tolerance.map_or(Ok(inner), |tolerance| inner.until(tolerance))
    }

    /// Returns the inner loop with its step size chosen at `x`, for calls that evaluate only this point.
    pub(crate) fn inner_at<T: Number>(
        &self,
        oracle: &mut Oracle<T>,
        x: &[T],
    ) -> Result<InnerLoop, Error> {
        self.inner()?.settled(oracle, x, Draw::new(self.seed, 0))
    }

    /// Returns the estimator that `text` names, with the requested schedule. `auto` is the fastest one that fits, by
    /// measured times. If no schedule is requested, it is the estimator's own, or checkpoints that fit if the former
    /// exceeds the memory limit.
    pub(crate) fn estimator<T: Number>(
        &self,
        text: &str,
        oracle: &mut Oracle<T>,
        (inner, x): (&InnerLoop, &[T]),
    ) -> Result<Box<dyn Estimator<T>>, Error> {
        let made = CHOICES.registry::<T>().estimators.parse(text)?;
        let draw = Draw::new(self.seed, 0);
        let schedule = match self.schedule.as_deref() {
            Some("auto") if made.schedule().is_some() => {
                let profile = Profile::measure(oracle, inner, x, draw, 5)?;
                let memory = self.memory.unwrap_or(u64::MAX);
                Some(plan(&*made, oracle, inner, &profile, memory)?[0].schedule)
            }
            Some("auto") => None,
            Some(given) => Some(given.parse()?),
            None if self.memory.is_none() => None,
            None => match made.admit(oracle, inner, x, draw) {
                Err(Error::Memory { advice: Some((schedule, _)), .. }) => Some(schedule.parse()?),
                admitted => admitted.map(|_| None)?,
            },
        };
        Ok(schedule.and_then(|schedule| made.under(schedule)).unwrap_or(made))
    }
}

/// Returns a point of the outer variables, which is the problem's start if `x` is `None`.
pub(crate) fn point<T: Number>(oracle: &Oracle<T>, x: Option<&[f64]>) -> Result<Vec<T>, Error> {
    let Some(x) = x else { return Ok(oracle.start().values().to_vec()) };
    if x.len() != oracle.outer_dim() {
        let (found, expected) = (format!("{} values", x.len()), oracle.outer_dim().to_string());
        return Err(Error::invalid("x", found, expected));
    }
    Ok(x.iter().map(|&x| T::from_f64(x)).collect())
}

/// An outer point as Python passes it.
pub(crate) type Given<'py> = Option<PyReadonlyArray1<'py, f64>>;

pub(crate) fn given(x: Given) -> PyResult<Option<Vec<f64>>> {
    Ok(x.map(|x| x.as_slice().map(<[f64]>::to_vec)).transpose()?)
}

/// Calls `work` with an oracle while the lock is released. Raises the exception of `work` or of Ctrl-C. `what` is the
/// estimator, or whatever else may need more memory than is allowed.
pub(crate) fn call<T: Number, R: Send>(
    py: Python<'_>,
    problem: &Problem,
    (what, options): (&str, &Options),
    work: impl FnOnce(&mut Oracle<'static, T>, &Arc<Patience>) -> Result<R, Error> + Send,
) -> PyResult<R> {
    let patience = Patience::new();
    let result = py.detach(|| {
        problem.with_oracle(options, |oracle| {
            oracle.set_stop(Some(patience.stop()));
            work(oracle, &patience)
        })
    });
    match (patience.raised(), result) {
        (Some(raised), _) => Err(raised),
        (None, result) => {
            result.map_err(|error| exception_of(py, &error, (what, options.schedule.as_deref())))
        }
    }
}

/// Converts values to an array.
pub(crate) fn array<'py, T: Number>(py: Python<'py>, values: &[T]) -> Bound<'py, PyArray1<T>> {
    values.to_pyarray(py)
}

/// The cost of an estimate, by name.
pub(crate) fn cost<'py>(py: Python<'py>, cost: &Cost) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("plain_steps", cost.plain_steps)?;
    told.set_item("inner_gradients", cost.inner_gradients)?;
    told.set_item("hvps", cost.hvps)?;
    told.set_item("mixed", cost.mixed)?;
    told.set_item("outer_gradients", cost.outer_gradients)?;
    told.set_item("samples", cost.samples)?;
    told.set_item("bytes_measured", cost.bytes_measured)?;
    told.set_item("seconds", cost.time.as_secs_f64())?;
    Ok(told)
}

/// The report of an implicit estimate, by name; `None` for other estimates.
pub(crate) fn report<'py>(
    py: Python<'py>,
    soundness: &Soundness,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(report) = soundness.report else { return Ok(None) };
    let told = PyDict::new(py);
    told.set_item("residual", report.residual)?;
    told.set_item("iterations", report.iterations)?;
    told.set_item("inner_norm", report.inner_norm)?;
    told.set_item("inner_ratio", report.inner_ratio)?;
    told.set_item("solution_error", report.solution_error)?;
    Ok(Some(told))
}
