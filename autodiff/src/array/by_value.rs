//! [`ByValue`]: operations that look at values to know what to compute. Their derivatives are those of what was computed; tracing
//! takes them down by name.

use crate::fault::Fault;
use crate::shape::{Axis, Shape};

/// How a matrix is factored, or which part of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Any matrix: elimination with partial pivoting.
    Lu,
    /// Symmetric positive definite matrices: [`Fault::Asymmetric`] where the triangles differ by more than rounding. Values
    /// come from the lower triangle, derivatives are those of all entries.
    Cholesky,
    /// The lower triangle, diagonal included. Entries above it must be finite and do not count.
    Lower,
    /// The upper triangle, likewise.
    Upper,
}

impl Method {
    /// What faults call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lu => "lu",
            Self::Cholesky => "cholesky",
            Self::Lower | Self::Upper => "triangle",
        }
    }

    /// Columns that are read of row `i` of `n`.
    pub(crate) fn reads(self, i: usize, n: usize) -> std::ops::Range<usize> {
        match self {
            Self::Lu | Self::Cholesky => 0..n,
            Self::Lower => 0..i + 1,
            Self::Upper => i..n,
        }
    }
}

/// What each does: the method of [`Operations`](crate::Operations) of that name.
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
}

impl ByValue {
    /// The shape of the result for arrays of these shapes.
    ///
    /// # Errors
    /// [`Fault::NotSquare`] for what is no square matrix, [`Fault::Shapes`] for a right-hand side that does not fit.
    pub(crate) fn result(self, of: &[Shape]) -> Result<Shape, Fault> {
        let (operation, result) = match self {
            Self::Sorted(_) => return Ok(of[0]),
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
