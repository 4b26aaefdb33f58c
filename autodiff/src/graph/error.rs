//! Errors of graphs, each printed as one line.

use std::error::Error;
use std::fmt;

use crate::fault::Fault;

/// An error in the construction of a graph.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum GraphError {
    /// An operation does not fit its operands.
    Operation {
        /// Number of the node.
        node: usize,
        /// The fault that its evaluation would raise.
        fault: Fault,
    },
    /// An operation has the wrong number of operands or values, too large a result, or an operand that does not come before
    /// it.
    Operand {
        /// Number of the node.
        node: usize,
        /// The operation.
        operation: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// Any other error.
    Invalid {
        /// What is wrong.
        what: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A function cannot be traced.
    Traced(Fault),
}

impl GraphError {
    pub(crate) fn invalid(
        what: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Invalid { what: what.into(), found: found.to_string(), expected: expected.into() }
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { node, fault } => write!(f, "node {node}, {fault}"),
            Self::Operand { node, operation, found, expected } => {
                write!(f, "node {node}, {operation}: found {found}, expected {expected}")
            }
            Self::Invalid { what, found, expected } => {
                write!(f, "{what}: found {found}, expected {expected}")
            }
            Self::Traced(fault) => write!(f, "{fault}"),
        }
    }
}

impl Error for GraphError {}
