//! What can go wrong while an array function is evaluated, as data.
//!
//! Operators never panic on a user's data. The first fault of a pass is kept by the arena; the operation that met it
//! and all later ones return an empty array, and the driver returns the fault as `Err`.

use std::error::Error;
use std::fmt;

use crate::shape::Shape;

/// The first thing that went wrong in a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Two operands do not fit together.
    Shapes {
        /// The operation.
        operation: &'static str,
        /// Shape of the left operand.
        left: Shape,
        /// Shape of the right operand, or the shape that was asked for.
        right: Shape,
    },
    /// A result was not finite while [`Arena::check_finite`](crate::Arena::check_finite) was on.
    NonFinite {
        /// The operation.
        operation: &'static str,
        /// Row-major position of the first such entry.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// An index lies outside its array.
    Index {
        /// The operation.
        operation: &'static str,
        /// The index.
        index: usize,
        /// Number of valid indices.
        length: usize,
    },
    /// The byte limit of an arena would be passed.
    Memory {
        /// Bytes in use.
        used: usize,
        /// Bytes asked for on top.
        requested: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Two variables of different tapes met in one operation.
    ForeignTape {
        /// The operation.
        operation: &'static str,
    },
    /// A derivative does not exist or is not finite, on a scalar tape that is strict.
    Singular {
        /// The operation.
        operation: &'static str,
    },
    /// A setting, or a size that follows from settings, is out of range.
    Range {
        /// The operation.
        operation: &'static str,
        /// What it is of.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The least, and the most, that it may be.
        within: [usize; 2],
    },
    /// A matrix that should be square is not.
    NotSquare {
        /// The factorisation.
        operation: &'static str,
        /// Its shape.
        shape: Shape,
    },
    /// A matrix cannot be factored: it is singular, or not positive definite.
    Pivot {
        /// The factorisation.
        operation: &'static str,
        /// Row of the first pivot that is zero, not finite, or for Cholesky not positive.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A matrix that should be symmetric is not.
    Asymmetric {
        /// The factorisation.
        operation: &'static str,
        /// Row of an entry below the diagonal that differs from its mirror image.
        row: usize,
        /// Its column.
        column: usize,
        /// Both entries, the lower one first.
        values: [f64; 2],
    },
    /// An iteration did not converge: it ran to its limit, or out of the numbers.
    NotConverged {
        /// The iteration.
        operation: &'static str,
        /// Steps that were taken.
        steps: usize,
        /// Length of the last one relative to the iterate; `NaN` beyond the numbers.
        change: f64,
    },
    /// A function was traced that is no graph of operations on arrays.
    Trace {
        /// What it does.
        what: &'static str,
    },
    /// Derivatives of a custom function that it does not give.
    Order {
        /// The function.
        operation: &'static str,
        /// Their order.
        order: u32,
    },
    /// Points side by side took different branches, see [`Lanes`](crate::scalar::Lanes).
    Branches,
    /// Sparse derivatives have another pattern at this point than their plan has.
    Pattern {
        /// Row, or column where the plan goes by rows, of a product with random numbers that the entries do not give.
        index: usize,
        /// The product by the function.
        found: f64,
        /// The product by the entries.
        expected: f64,
    },
    /// A buffer or point handed to a driver has the wrong number of values.
    Length {
        /// What was handed over.
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
                write!(f, "{what} has {found} values, expected {expected}")
            }
        }
    }
}

impl Error for Fault {}

/// [`Fault::Length`] unless the two agree.
pub(crate) fn expect_length(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), Fault> {
    if expected == found { Ok(()) } else { Err(Fault::Length { what, expected, found }) }
}
