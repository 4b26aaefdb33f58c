//! Lists of what can be chosen by name.

use hypertape::problems::catalogue;
use hypertape::{Schedule, Spellings};
use pyo3::prelude::*;

use crate::CHOICES;
use crate::failure::invalid;

/// Return the name and the summary of each choice of a kind.
#[pyfunction]
pub(crate) fn choices(py: Python<'_>, kind: &str) -> PyResult<Vec<(String, String)>> {
    fn told<M>(spellings: &Spellings<M>) -> Vec<(String, String)> {
        let line = |about: hypertape::About| (about.name.to_owned(), about.summary.to_owned());
        spellings.lines().iter().map(|spelling| line(spelling.about())).collect()
    }
    let registry = CHOICES.registry::<f64>();
    Ok(match kind {
        "problems" => catalogue().iter().map(|e| (e.name.clone(), e.summary.to_owned())).collect(),
        "estimators" => told(&registry.estimators),
        "algorithms" => told(&registry.algorithms),
        "rules" => told(&registry.rules),
        "optimisers" => told(&registry.outers),
        "couplings" => told(&registry.couplings),
        "schedules" => told(&Schedule::spellings()),
        _ => return Err(invalid(py, format!("choices: found '{kind}'"))),
    })
}
