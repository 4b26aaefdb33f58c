//! `Setting`: an option that a problem declares, with its name, default, kind and help text.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use hypertape_solver::text::either;
use hypertape_solver::{Error, Oracle};

/// The values that a setting accepts. An upper bound equal to the largest value of the type means no bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number within bounds.
    Number(RangeInclusive<f64>),
    /// A whole number within bounds.
    Count(RangeInclusive<usize>),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Anything without a comma.
    Text,
}

impl Kind {
    /// Any number that is not negative.
    pub const NOT_NEGATIVE: Self = Self::Number(0.0..=f64::MAX);

    /// Returns `text` in the normal form that is recorded, or `None` if it is not of this kind.
    fn recorded(&self, text: &str) -> Option<String> {
        match self {
            Self::Number(range) => {
                text.parse().ok().filter(|v| range.contains(v)).map(|v: f64| v.to_string())
            }
            Self::Count(range) => {
                text.parse().ok().filter(|n| range.contains(n)).map(|n: usize| n.to_string())
            }
            Self::Word(words) => words.contains(&text).then(|| text.to_owned()),
            Self::Text => (!text.contains(',')).then(|| text.to_owned()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bounds = |what, from: &dyn fmt::Display, to: Option<&dyn fmt::Display>| match to {
            Some(to) => write!(f, "{what} from {from} to {to}"),
            None => write!(f, "{what}, {from} or more"),
        };
        match self {
            Self::Number(range) => {
                let to = range.end();
                bounds("a number", range.start(), (*to < f64::MAX).then_some(to))
            }
            Self::Count(range) => {
                let to = range.end();
                bounds("a whole number", range.start(), (*to < usize::MAX).then_some(to))
            }
            Self::Word(words) => f.write_str(&either(words)),
            Self::Text => f.write_str("text without a comma"),
        }
    }
}

/// An option of a problem, given as `problem:name=value,...` on the command line and in studies.
///
/// ```
/// use hypertape_problems::{Kind, Setting};
/// let noise = Setting::new("noise", 0.3, Kind::Number(0.0..=1.0), "deviation of the noise");
/// assert_eq!(noise.get::<f64>()?, 0.3);
/// assert_eq!(noise.kind.to_string(), "a number from 0 to 1");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The name by which users set it.
    pub name: &'static str,
    /// The value if none is given.
    pub default: String,
    /// The values that it accepts.
    pub kind: Kind,
    /// Its purpose, in one line.
    pub help: &'static str,
    given: Option<String>,
}

impl Setting {
    /// Creates a setting that still has its default value.
    pub fn new(
        name: &'static str,
        default: impl fmt::Display,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        Self { name, default: default.to_string(), kind, help, given: None }
    }

    /// Creates the setting `batch`, the number of samples per mini-batch, which [`Given::batch`](crate::Given::batch)
    /// reads. The default is all samples.
    pub fn batch() -> Self {
        let help = "samples per mini-batch, of inner and outer loss; 0 for all";
        Self::new("batch", 0, Kind::Count(0..=usize::MAX), help)
    }

    /// Creates the setting `lanes`, which every problem has. Its value is the argument of
    /// [`Oracle::set_lanes`](hypertape_solver::Oracle::set_lanes).
    pub fn lanes() -> Self {
        let help =
            "parts of a sum over tasks or rows; at most as many threads or processes share it";
        Self::new("lanes", Oracle::<f64>::LANES, Kind::Count(1..=usize::MAX), help)
    }

    /// Returns the current value.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the value does not parse as a `V`.
    pub fn get<V: FromStr>(&self) -> Result<V, Error> {
        let text = self.given.as_ref().unwrap_or(&self.default);
        text.parse().map_err(|_| self.refuse(text))
    }

    pub(crate) fn give(&mut self, text: &str) -> Result<(), Error> {
        if self.given.is_some() {
            return Err(Error::told(format!("{} is given twice", self.name)));
        }
        self.given = Some(self.kind.recorded(text).ok_or_else(|| self.refuse(text))?);
        Ok(())
    }

    pub(crate) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Returns `name=value` if the value differs from the default.
    pub(crate) fn changed(&self) -> Option<String> {
        let given = self.given.as_ref().filter(|&given| *given != self.default);
        given.map(|given| format!("{}={given}", self.name))
    }

    fn refuse(&self, text: &str) -> Error {
        Error::invalid(self.name, format!("'{text}'"), self.kind.to_string())
    }
}

/// An array of settings, one in each row: name, default, values, help. Settings that stand elsewhere follow after `+`.
macro_rules! settings {
    ($($name:literal = $default:expr, $kind:expr, $help:expr;)* $(+ $more:expr)?) => {
        [$($crate::Setting::new($name, $default, $kind, $help),)* $($more)?]
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_kind() {
        let given = |kind: Kind, text| {
            let mut setting = Setting::new("a", "", kind, "");
            setting.give(text).map(|()| setting.given.unwrap()).map_err(|e| e.to_string())
        };
        let number = || Kind::Number(0.0..=f64::MAX);
        let count = || Kind::Count(1..=8);
        let word = || Kind::Word(&["up", "down"]);
        for (kind, text, recorded) in [
            (number(), "1e-3", "0.001"),
            (count(), "+8", "8"),
            (word(), "up", "up"),
            (Kind::Text, "a=b:c", "a=b:c"),
        ] {
            assert_eq!(given(kind, text), Ok(recorded.to_owned()));
        }
        for (kind, text, expected) in [
            (number(), "-1", "a number, 0 or more"),
            (number(), "inf", "a number, 0 or more"),
            (number(), "nan", "a number, 0 or more"),
            (count(), "9", "a whole number from 1 to 8"),
            (count(), "1.5", "a whole number from 1 to 8"),
            (word(), "left", "up or down"),
            (Kind::Text, "a,b", "text without a comma"),
        ] {
            assert_eq!(given(kind, text), Err(format!("a: found '{text}', expected {expected}")));
        }
    }
}
