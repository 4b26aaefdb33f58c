//! What passes hand out: values, adjoints, faults.

use hypertape_autodiff::{Adjoints, Array, Element, Fault, Var, axpy};

use crate::error::Error;

/// Names the function that a fault occurred in.
pub(crate) fn in_function(function: &'static str) -> impl Fn(Fault) -> Error {
    move |fault| Error::Function { function, fault }
}

/// The value of a loss, which must be a scalar.
pub(crate) fn scalar<'a, A: Array<'a>>(loss: A) -> Result<A::Elem, Fault> {
    match loss.values() {
        [value] => Ok(*value),
        values => Err(Fault::Length { what: "a loss", expected: 1, found: values.len() }),
    }
}

/// Writes, or adds unless `first`, one plane of the adjoints of `leaves`, zero where there is none, to consecutive pieces
/// of `out`, unless it is empty.
pub(crate) fn collect<'a, T: Element, A: Array<'a, Elem = T>, B: Array<'a, Elem = T>>(
    adjoints: &Adjoints<'a, A>,
    leaves: &[Var<'a, A>],
    plane: impl Fn(A) -> Option<B>,
    first: bool,
    out: &mut [T],
) {
    if out.is_empty() {
        return;
    }
    let mut rest = out;
    for leaf in leaves {
        let (piece, others) = rest.split_at_mut(leaf.shape().len());
        rest = others;
        match leaf.id().and_then(|id| adjoints.get(id)).and_then(&plane) {
            Some(adjoint) if first => piece.copy_from_slice(adjoint.values()),
            Some(adjoint) => axpy(piece, T::one(), adjoint.values()),
            None if first => piece.fill(T::zero()),
            None => {}
        }
    }
}
