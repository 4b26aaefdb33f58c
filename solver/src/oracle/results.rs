//! Faults of passes, together with the function in which they occurred.

use hypertape_autodiff::Fault;

use crate::error::Error;

/// Adds the name of the function to a fault.
pub(crate) fn in_function(function: &'static str) -> impl Fn(Fault) -> Error {
    move |fault| Error::Function { function, fault }
}

/// Executes a pass over a function.
pub(crate) fn pass<R>(
    function: &'static str,
    act: impl FnOnce() -> Result<R, Fault>,
) -> Result<R, Error> {
    act().map_err(in_function(function))
}
