//! [`ByValue`]: operations whose computation depends on the values of their operands. Their derivatives are those of
//! the computation that was chosen; tracing records them by name.

use crate::fault::Fault;
use crate::shape::{Axis, Shape};

/// How a matrix is factored, or which triangle of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// LU elimination with partial pivoting, for any invertible matrix.
    Lu,
    /// Cholesky factorisation of a symmetric positive definite matrix. Raises [`Fault::Asymmetric`] if the triangles
    /// differ by more than rounding. The value comes from the lower triangle, the derivatives are those of all entries.
    Cholesky,
    /// The lower triangle with the diagonal. Entries above it are ignored, but must be finite.
    Lower,
    /// The upper triangle with the diagonal. Entries below it are ignored, but must be finite.
    Upper,
}

impl Method {
    /// Returns the name that faults use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lu => "lu",
            Self::Cholesky => "cholesky",
            Self::Lower | Self::Upper => "triangle",
        }
    }

    /// Returns the columns that are read of row `i` of a matrix of order `n`.
    pub(crate) fn reads(self, i: usize, n: usize) -> std::ops::Range<usize> {
        match self {
            Self::Lu | Self::Cholesky => 0..n,
            Self::Lower => 0..i + 1,
            Self::Upper => i..n,
        }
    }
}

/// An operation: the method of [`Operations`](crate::Operations) of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByValue {
    /// `solve`
    Solve(Method),
    /// `log_det`
    LogDet(Method),
    /// `det_sign`
    DetSign(Method),
    /// `cholesky`
    Cholesky,
    /// `sorted`
    Sorted(Axis),
    /// `max_over`
    MaxOver(Axis),
    /// `min_over`
    MinOver(Axis),
}

impl ByValue {
    /// Returns the shape of the result for operands of these shapes.
    ///
    /// # Errors
    /// Returns [`Fault::NotSquare`] if the matrix is not square, and [`Fault::Shapes`] if a right-hand side does not
    /// match it.
    pub(crate) fn result(self, of: &[Shape]) -> Result<Shape, Fault> {
        let (operation, result) = match self {
            Self::Sorted(_) => return Ok(of[0]),
            Self::MaxOver(axis) | Self::MinOver(axis) => return Ok(of[0].over(axis)),
            Self::Solve(method) => (method.name(), of[1]),
            Self::LogDet(method) | Self::DetSign(method) => (method.name(), Shape::SCALAR),
            Self::Cholesky => (Method::Cholesky.name(), of[0]),
        };
        if of[0].rows != of[0].cols {
            return Err(Fault::NotSquare { operation, shape: of[0] });
        }
        if matches!(self, Self::Solve(_)) && of[1].rows != of[0].rows {
            return Err(Fault::Shapes { operation: "solve", left: of[0], right: of[1] });
        }
        Ok(result)
    }
}
