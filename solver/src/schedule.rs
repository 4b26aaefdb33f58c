//! What the forward run stores for the way back.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What is stored of each inner step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The state before it. On the way back loss and gradient are evaluated again, with their tangents.
    #[default]
    States,
    /// The tape of its gradient, which is pulled back without evaluating anything again: faster, for the memory of every
    /// intermediate value.
    Tapes,
}

/// Which steps of an unrolled run are stored, and how.
///
/// ```
/// use hypertape_solver::{Keep, Schedule};
/// assert_eq!(Schedule::default().to_string(), "store-all");
/// let tapes: Schedule = "store-all:keep=tapes".parse()?;
/// assert_eq!(tapes, Schedule::StoreAll { keep: Keep::Tapes });
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// Every step.
    StoreAll {
        /// What is stored of it.
        keep: Keep,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::StoreAll { keep: Keep::States }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreAll { keep: Keep::States } => f.write_str("store-all"),
            Self::StoreAll { keep: Keep::Tapes } => f.write_str("store-all:keep=tapes"),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let keep = match text {
            "store-all" | "store-all:keep=states" => Keep::States,
            "store-all:keep=tapes" => Keep::Tapes,
            _ => {
                let expected = "store-all, store-all:keep=states or store-all:keep=tapes";
                return Err(Error::invalid("schedule", text, expected));
            }
        };
        Ok(Self::StoreAll { keep })
    }
}
