//! Errors as exceptions, with the same line as their text and the numbers as attributes.

use hypertape::Error;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// An `ht.InputError` with this text.
pub(crate) fn invalid(py: Python<'_>, why: impl Into<String>) -> PyErr {
    raised(py, "InputError", &why.into(), &PyDict::new(py))
}

/// An `ht.RunError` with this text.
pub(crate) fn failed(py: Python<'_>, why: impl Into<String>) -> PyErr {
    raised(py, "RunError", &why.into(), &PyDict::new(py))
}

/// Converts an error to the exception that Python raises.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    exception_of(py, error, ("the call", None))
}

/// The same for a call in which `what`, such as an estimator, needs memory under a schedule.
pub(crate) fn exception_of(
    py: Python<'_>,
    error: &Error,
    (what, schedule): (&str, Option<&str>),
) -> PyErr {
    let cause = if let Error::Iteration { cause, .. } = error { cause } else { error };
    let mut why = error.to_string();
    if let Error::Memory { advice, .. } = cause {
        // Without advice, the bytes are the least of all schedules.
        let schedule = schedule.filter(|_| advice.is_some());
        let under = schedule.map_or(String::new(), |schedule| format!(" with {schedule}"));
        why = why.replacen("needs ", &format!("{what}{under} needs "), 1);
    }
    let numbers = PyDict::new(py);
    match numbered(error, &numbers) {
        Ok(class) => raised(py, class, &why, &numbers),
        Err(failed) => failed,
    }
}

fn raised(py: Python<'_>, class: &str, why: &str, numbers: &Bound<'_, PyDict>) -> PyErr {
    let made = py
        .import("hypertape.errors")
        .and_then(|errors| errors.getattr(class))
        .and_then(|class| class.call((why,), Some(numbers)));
    made.map_or_else(|failed| failed, PyErr::from_value)
}

/// Returns the exception class of an error, and stores its numbers in `to`.
fn numbered(error: &Error, to: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    Ok(match error {
        Error::Invalid { what, found, expected } => {
            to.set_item("what", what)?;
            to.set_item("found", found)?;
            to.set_item("expected", expected)?;
            "InputError"
        }
        Error::Spelling { .. } | Error::Told { .. } | Error::State { .. } => "InputError",
        Error::FirstOrderVanishes | Error::ImplicitVanishes => "InputError",
        Error::Memory { limit, needed, advice } => {
            to.set_item("limit", limit)?;
            to.set_item("needed", needed)?;
            to.set_item("schedule", advice.as_ref().map(|(schedule, _)| schedule))?;
            "RunError"
        }
        Error::NonFinite { quantity, step, lr } => {
            to.set_item("quantity", quantity)?;
            to.set_item("step", step)?;
            to.set_item("lr", lr)?;
            "RunError"
        }
        Error::Indefinite { iteration, curvature } => {
            to.set_item("solver_iteration", iteration)?;
            to.set_item("curvature", curvature)?;
            "RunError"
        }
        Error::Singular { pivot, least } => {
            to.set_item("pivot", pivot)?;
            to.set_item("least", least)?;
            "RunError"
        }
        Error::Unsolved { residual, iterations } => {
            to.set_item("residual", residual)?;
            to.set_item("solver_iterations", iterations)?;
            "RunError"
        }
        Error::Diverged { loss, limit } => {
            to.set_item("loss", loss)?;
            to.set_item("limit", limit)?;
            "RunError"
        }
        Error::Overflow { entry, rule } => {
            to.set_item("entry", entry)?;
            to.set_item("rule", rule)?;
            "RunError"
        }
        Error::Iteration { iteration, cause } => {
            let class = numbered(cause, to)?;
            to.set_item("iteration", iteration)?;
            class
        }
        _ => "RunError",
    })
}
