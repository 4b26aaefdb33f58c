//! Faults of passes, with the function that they occurred in.

use hypertape_autodiff::Fault;

use crate::error::Error;

/// Names the function that a fault occurred in.
pub(crate) fn in_function(function: &'static str) -> impl Fn(Fault) -> Error {
    move |fault| Error::Function { function, fault }
}

/// The result of a pass over a function.
pub(crate) fn pass<R>(
    function: &'static str,
    act: impl FnOnce() -> Result<R, Fault>,
) -> Result<R, Error> {
    act().map_err(in_function(function))
}
