//! Errors of the evaluation of functions, as data.
//!
//! Operators never panic on a user's data. The arena keeps the first fault of a pass; the operation that raised it and
//! all later ones return an empty array, and the driver returns the fault as `Err`.

use std::error::Error;
use std::fmt;

use crate::shape::Shape;

/// The first error of a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The shapes of two operands do not match.
    Shapes {
        /// The operation.
        operation: &'static str,
        /// Shape of the left operand.
        left: Shape,
        /// Shape of the right operand, or the shape that was requested.
        right: Shape,
    },
    /// A result was not finite while [`Arena::check_finite`](crate::Arena::check_finite) was on.
    NonFinite {
        /// The operation.
        operation: &'static str,
        /// Row-major position of the first entry that is not finite.
        index: usize,
        /// Value of that entry.
        value: f64,
    },
    /// An index is out of range.
    Index {
        /// The operation.
        operation: &'static str,
        /// The index.
        index: usize,
        /// Number of valid indices.
        length: usize,
    },
    /// An allocation would exceed the byte limit of an arena.
    Memory {
        /// Bytes in use.
        used: usize,
        /// Additional bytes requested.
        requested: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Variables of different tapes met in one operation.
    ForeignTape {
        /// The operation.
        operation: &'static str,
    },
    /// A derivative does not exist or is not finite, and the scalar tape is strict.
    Singular {
        /// The operation.
        operation: &'static str,
    },
    /// A setting, or a size that follows from settings, is out of range.
    Range {
        /// The operation.
        operation: &'static str,
        /// The setting or size.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The least and the greatest value allowed.
        within: [usize; 2],
    },
    /// A matrix that should be square is not.
    NotSquare {
        /// The factorisation.
        operation: &'static str,
        /// Shape of the matrix.
        shape: Shape,
    },
    /// A matrix cannot be factored because it is singular or, for Cholesky, not positive definite.
    Pivot {
        /// The factorisation.
        operation: &'static str,
        /// Row of the first pivot that is zero or not finite or, for Cholesky, not positive.
        index: usize,
        /// Value of the pivot.
        value: f64,
    },
    /// A matrix that should be symmetric is not.
    Asymmetric {
        /// The factorisation.
        operation: &'static str,
        /// Row of an entry below the diagonal that differs from its mirror image.
        row: usize,
        /// Column of that entry.
        column: usize,
        /// Both entries, the one below the diagonal first.
        values: [f64; 2],
    },
    /// An iteration did not converge: it reached its limit of steps, or its iterates are no longer finite.
    NotConverged {
        /// The iteration.
        operation: &'static str,
        /// Number of steps taken.
        steps: usize,
        /// Length of the last step relative to the iterate; `NaN` if the iterate is not finite.
        change: f64,
    },
    /// The function that was traced cannot be expressed as a graph of operations on arrays.
    Trace {
        /// What the function does that cannot be traced.
        what: &'static str,
    },
    /// A custom function does not provide the derivatives of this order.
    Order {
        /// The function.
        operation: &'static str,
        /// Order of the derivatives.
        order: u32,
    },
    /// Points that are evaluated side by side took different branches, see [`Lanes`](crate::scalar::Lanes).
    Branches,
    /// Sparse derivatives have a different pattern at this point than the plan does. The check compares two products of
    /// the derivatives with random numbers.
    Pattern {
        /// Row in which the products differ, or column if the plan works by rows.
        index: usize,
        /// The product computed by the function.
        found: f64,
        /// The product computed from the entries of the plan.
        expected: f64,
    },
    /// A buffer or point passed to a driver has the wrong length.
    Length {
        /// What was passed.
        what: &'static str,
        /// Number of values expected.
        expected: usize,
        /// Number of values found.
        found: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Shapes { operation, left, right } => {
                write!(f, "{operation}: shapes {left} and {right} do not match")
            }
            Self::NonFinite { operation, index, value } => {
                write!(f, "{operation}: entry {index} is {value}, expected a finite number")
            }
            Self::Index { operation, index, length } => {
                write!(f, "{operation}: index {index} is out of range, expected less than {length}")
            }
            Self::Memory { used, requested, limit } => write!(
                f,
                "memory limit reached: {used} bytes in use, {requested} more asked for, limit {limit}"
            ),
            Self::ForeignTape { operation } => {
                write!(f, "{operation}: the operands were recorded on different tapes")
            }
            Self::Singular { operation } => {
                write!(f, "{operation}: no finite derivative here, and the tape is strict")
            }
            Self::Range { operation, what, found, within: [least, most] } => {
                let (side, end) = if found < least { ("least", least) } else { ("most", most) };
                write!(f, "{operation}: {what} is {found}, expected at {side} {end}")
            }
            Self::NotSquare { operation, shape } => {
                write!(f, "{operation}: shape {shape}, expected a square matrix")
            }
            Self::Pivot { operation, index, value } => {
                let least = if operation == "cholesky" { "above" } else { "other than" };
                write!(f, "{operation}: pivot {index} is {value}, expected a finite one {least} 0")
            }
            Self::Asymmetric { operation, row, column, values: [lower, upper] } => write!(
                f,
                "{operation}: entries ({row}, {column}) and ({column}, {row}) are {lower} and {upper}, expected a \
                 symmetric matrix"
            ),
            Self::NotConverged { operation, steps, change } => {
                write!(
                    f,
                    "{operation}: no convergence in {steps} steps, the last one is {change:e}"
                )
            }
            Self::Trace { what } => write!(f, "a function that {what} cannot be traced"),
            Self::Order { operation, order } => {
                write!(f, "{operation}: derivatives of order {order} are not given in this mode")
            }
            Self::Branches => {
                f.write_str("points side by side take different branches: evaluate them one by one")
            }
            Self::Pattern { index, found, expected } => write!(
                f,
                "the pattern of a sparse plan does not hold at this point: product {index} is {found}, the entries \
                 give {expected}"
            ),
            Self::Length { what, expected, found } => {
                write!(f, "{what}: found {found} values, expected {expected}")
            }
        }
    }
}

impl Error for Fault {}

/// Returns [`Fault::Length`] if the two lengths differ.
pub(crate) fn expect_length(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Length { what, expected, found }) }
}
