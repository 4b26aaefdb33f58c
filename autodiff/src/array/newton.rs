//! Derivatives of a solution that was computed on plain numbers.
//!
//! Let `y_0` solve `r(y, x) = 0` at the values `x_0`, and let `J` be an invertible matrix of plain numbers that equals
//! `-dr/dy` there. Then each step of Newton's iteration with `J` in place of the true Jacobian,
//!
//! ```text
//! y <- y + J^-1 r(y, x)
//! ```
//!
//! starting at `y_0` without derivatives, makes the derivatives of one more order exact (Griewank and Walther (2008),
//! chapter 15), in every mode: a gradient takes one step, a Hessian-vector product two. Only `J^-1` is a new operation,
//! and it is a constant map.

use crate::array::Array;
use crate::array::linear::LinearOperator;
use crate::scalar::real::Scalar;

/// Gives a solution `y` without derivatives, which consists of columns, the derivatives that follow from the
/// `residual`.
///
/// The value of the residual is rounding error and is left out, so that all modes return the same bits for `y`.
pub(crate) fn lift<'a, A: Array<'a>>(
    y: A,
    inverse: &'a dyn LinearOperator<A::Elem>,
    residual: impl FnMut(A) -> A,
) -> A {
    improve(y, residual, |rest| rest.linear(inverse, false))
}

/// As [`lift`], with any map as the inverse.
pub(crate) fn improve<'a, A: Array<'a>>(
    mut y: A,
    mut residual: impl FnMut(A) -> A,
    inverse: impl Fn(A) -> A,
) -> A {
    for _ in 0..A::ORDER {
        let rest = residual(y);
        y = y + inverse(rest - rest.detach());
    }
    y
}

/// As [`lift`], for scalars; `inverse` is in row-major order.
pub(crate) fn lift_scalars<R: Scalar>(
    y: &[R::Plain],
    inverse: &[R::Plain],
    residual: impl Fn(&[R]) -> Vec<R>,
) -> Vec<R> {
    let mut y: Vec<R> = y.iter().copied().map(R::constant).collect();
    for _ in 0..R::ORDER {
        let moved: Vec<R> = residual(&y).into_iter().map(|rest| rest - rest.primal()).collect();
        for (y, row) in y.iter_mut().zip(inverse.chunks_exact(moved.len().max(1))) {
            *y += R::linear(row, &moved);
        }
    }
    y
}
