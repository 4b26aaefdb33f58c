//! The extension module `hypertape._core`: problems, and operations on them, over flat arrays of numbers.
//!
//! It contains no mathematics. Each function forwards to the solver or the command line. Names, shapes and the display
//! of results are handled by the Python code around it.

mod call;
mod choices;
mod failure;
mod function;
mod measures;
mod patience;
mod problem;
mod rule;
mod run;
mod stated;

use std::ffi::OsString;
use std::sync::LazyLock;

use hypertape::cli::{self, App};
use hypertape::problems::{catalogue, digits};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::failure::invalid;
use crate::function::Function;
use crate::problem::Problem;
use crate::rule::Rule;

/// The built-in estimators, rules and other choices by name.
static CHOICES: LazyLock<App<'static>> = LazyLock::new(|| App::new(&[]));

/// Run the command line, which starts itself again as `program`, and return its exit status.
#[pyfunction]
fn main(py: Python<'_>, arguments: Vec<OsString>, program: Vec<OsString>) -> u8 {
    py.detach(|| App::new(&catalogue()).program(program).main_with(arguments))
}

/// Return the bytes of a text such as `64MiB`.
#[pyfunction]
fn bytes(py: Python<'_>, text: &str) -> PyResult<u64> {
    cli::bytes(text).map_err(|why| invalid(py, format!("memory: found '{text}', {why}")))
}

/// Return the pixels of the embedded digits, one image after the other, and their labels.
#[pyfunction]
#[pyo3(name = "digits")]
fn embedded_digits(py: Python<'_>) -> (Bound<'_, PyArray1<f64>>, Vec<u32>) {
    let pixels = (0..digits::COUNT).flat_map(digits::pixels).map(|&p| f64::from(p));
    (PyArray1::from_iter(py, pixels), digits::labels())
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Problem>()?;
    module.add_class::<Function>()?;
    module.add_class::<Rule>()?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(bytes, module)?)?;
    module.add_function(wrap_pyfunction!(embedded_digits, module)?)?;
    module.add_function(wrap_pyfunction!(choices::choices, module)?)?;
    module.add_function(wrap_pyfunction!(problem::catalogued, module)?)?;
    module.add_function(wrap_pyfunction!(stated::stated, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
