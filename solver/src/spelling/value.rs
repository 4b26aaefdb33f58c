//! The values that a setting may have: `Range` and `Value`.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::text::{plain, short};

/// The numbers that a setting may have.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Description of the range, as after "expected".
    pub expected: &'static str,
    /// Whether a number is in the range.
    pub holds: fn(f64) -> bool,
}

impl Range {
    /// Any number, including infinities.
    pub const NUMBER: Self = Self::new("a number", |v| !v.is_nan());
    /// Finite numbers above 0.
    pub const POSITIVE: Self = Self::new("a positive finite number", |v| v > 0.0 && v.is_finite());
    /// Finite numbers of at least 0.
    pub const NOT_NEGATIVE: Self =
        Self::new("a finite number, 0 or more", |v| v >= 0.0 && v.is_finite());
    /// Probabilities in (0, 1].
    pub const PROBABILITY: Self =
        Self::new("a probability above 0 and at most 1", |v| v > 0.0 && v <= 1.0);
    /// Numbers in (0, 1].
    pub const UP_TO_ONE: Self =
        Self::new("a number above 0 and at most 1", |v| v > 0.0 && v <= 1.0);
    /// Numbers in (0, 1).
    pub const BELOW_ONE: Self = Self::new("a number above 0 and below 1", |v| v > 0.0 && v < 1.0);
    /// Numbers in [0, 1).
    pub const FRACTION: Self = Self::new("a number from 0 to below 1", |v| (0.0..1.0).contains(&v));
    /// All whole numbers.
    pub const COUNT: Self = Self::new("a whole number, 0 or more", |_| true);
    /// All whole numbers except 0.
    pub const ONE_OR_MORE: Self = Self::new("a whole number, 1 or more", |v| v >= 1.0);
    /// Values of a switch, on or off.
    pub const SWITCH: Self = Self::new("0 or 1", |_| true);

    /// The numbers for which `holds` returns true.
    pub const fn new(expected: &'static str, holds: fn(f64) -> bool) -> Self {
        Self { expected, holds }
    }

    /// Checks that `what` may have this `value`.
    ///
    /// ```
    /// use hypertape_solver::Range;
    /// let why = |range: Range, value| range.check("q", value).unwrap_err().to_string();
    /// assert_eq!(why(Range::POSITIVE, -0.1 - 0.2), "q: found -0.3, expected a positive finite number");
    /// // Digits that are what is wrong are shown.
    /// assert!(why(Range::PROBABILITY, 1.0 + f64::EPSILON).starts_with("q: found 1.0000000000000002, "));
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the value is out of range.
    pub fn check(&self, what: &str, value: f64) -> Result<(), Error> {
        if (self.holds)(value) {
            return Ok(());
        }
        Err(Error::invalid(what, self.shown(value), self.expected))
    }

    /// A value out of range for a message, without the digits of rounding unless they are what is wrong.
    pub(super) fn shown(&self, value: f64) -> String {
        let (text, few) = (plain(value), short(value));
        if text.len() > LONG && !(self.holds)(few) { plain(few) } else { text }
    }
}

/// The most characters of a number that a person writes.
pub(super) const LONG: usize = 15;

/// Returns an error if a number becomes zero or infinite in the precision of `T`.
///
/// ```
/// use hypertape_solver::expect_in;
/// assert_eq!(expect_in::<f32>("lr", 1e-60).unwrap_err().to_string(), "lr: 1e-60 is 0 in f32");
/// assert!(expect_in::<f64>("lr", 1e-60).is_ok());
/// ```
///
/// # Errors
/// Returns [`Error::Told`] with the number before and after rounding.
pub fn expect_in<T: Element>(what: &str, value: f64) -> Result<(), Error> {
    let rounded = T::from_f64(value).as_f64();
    if (rounded == 0.0) == (value == 0.0) && rounded.is_finite() == value.is_finite() {
        return Ok(());
    }
    Err(Error::told(format!("{what}: {} is {rounded} in {}", plain(value), T::NAME)))
}

/// The value of a setting: a number, a whole number, a switch, or one of these that may be missing.
pub trait Value: Copy {
    /// Parses the text after `=`, which may be missing. Returns `None` if it is invalid.
    fn read(typed: Option<&str>) -> Option<Self>;
    /// Returns the value as a number; `None` if it is missing.
    fn number(self) -> Option<f64>;
    /// Whether it is printed.
    fn shown(self) -> bool {
        true
    }
    /// Returns the value as it is typed.
    fn print(self) -> Option<String> {
        self.number().map(plain)
    }
}

impl Value for f64 {
    fn read(typed: Option<&str>) -> Option<Self> {
        typed?.parse().ok()
    }

    fn number(self) -> Option<f64> {
        Some(self)
    }
}

impl Value for usize {
    fn read(typed: Option<&str>) -> Option<Self> {
        typed?.parse().ok()
    }

    fn number(self) -> Option<f64> {
        Some(self as f64)
    }

    fn print(self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for bool {
    fn read(typed: Option<&str>) -> Option<Self> {
        match typed {
            None | Some("1") => Some(true),
            Some("0") => Some(false),
            _ => None,
        }
    }

    fn number(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }

    fn shown(self) -> bool {
        self
    }
}

impl<V: Value> Value for Option<V> {
    fn read(typed: Option<&str>) -> Option<Self> {
        V::read(typed).map(Some)
    }

    fn number(self) -> Option<f64> {
        self.and_then(V::number)
    }

    fn shown(self) -> bool {
        self.is_some()
    }

    fn print(self) -> Option<String> {
        self.and_then(V::print)
    }
}
