//! What a setting may be: `Range` and `Value`.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::text::plain;

/// Which numbers a setting may have.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// In words, as after "expected".
    pub expected: &'static str,
    /// Whether it may be this number.
    pub holds: fn(f64) -> bool,
}

impl Range {
    /// Any number, infinities included.
    pub const NUMBER: Self = Self::new("a number", |v| !v.is_nan());
    /// Above 0.
    pub const POSITIVE: Self = Self::new("a positive finite number", |v| v > 0.0 && v.is_finite());
    /// 0 or above.
    pub const NOT_NEGATIVE: Self =
        Self::new("a finite number, 0 or more", |v| v >= 0.0 && v.is_finite());
    /// (0, 1]
    pub const PROBABILITY: Self =
        Self::new("a probability above 0 and at most 1", |v| v > 0.0 && v <= 1.0);
    /// (0, 1]
    pub const UP_TO_ONE: Self =
        Self::new("a number above 0 and at most 1", |v| v > 0.0 && v <= 1.0);
    /// (0, 1)
    pub const BELOW_ONE: Self = Self::new("a number above 0 and below 1", |v| v > 0.0 && v < 1.0);
    /// [0, 1)
    pub const FRACTION: Self = Self::new("a number from 0 to below 1", |v| (0.0..1.0).contains(&v));
    /// Of whole numbers: all.
    pub const COUNT: Self = Self::new("a whole number, 0 or more", |_| true);
    /// Of whole numbers: all but 0.
    pub const ONE_OR_MORE: Self = Self::new("a whole number, 1 or more", |v| v >= 1.0);
    /// Of what is on or off.
    pub const SWITCH: Self = Self::new("0 or 1", |_| true);

    /// Those for which `holds`.
    pub const fn new(expected: &'static str, holds: fn(f64) -> bool) -> Self {
        Self { expected, holds }
    }

    /// That `what` may be `value`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with both.
    pub fn check(&self, what: &str, value: f64) -> Result<(), Error> {
        if (self.holds)(value) { Ok(()) } else { Err(Error::invalid(what, value, self.expected)) }
    }
}

/// Refuses a number that is none but zero or infinite in the precision of `T`.
///
/// ```
/// use hypertape_solver::expect_in;
/// assert_eq!(expect_in::<f32>("lr", 1e-60).unwrap_err().to_string(), "lr: 1e-60 is 0 in f32");
/// assert!(expect_in::<f64>("lr", 1e-60).is_ok());
/// ```
///
/// # Errors
/// [`Error::Told`] with both.
pub fn expect_in<T: Element>(what: &str, value: f64) -> Result<(), Error> {
    let rounded = T::from_f64(value).as_f64();
    if (rounded == 0.0) == (value == 0.0) && rounded.is_finite() == value.is_finite() {
        return Ok(());
    }
    Err(Error::told(format!("{what}: {} is {rounded} in {}", plain(value), T::NAME)))
}

/// What a setting may be: a number, a whole number, on or off, or one of these where it may be missing.
pub trait Value: Copy {
    /// From what stands behind `=`; without one, `None`.
    fn read(typed: Option<&str>) -> Option<Self>;
    /// As a number; `None` if it is missing.
    fn number(self) -> Option<f64>;
    /// Whether it is printed.
    fn shown(self) -> bool {
        true
    }
    /// As it is typed.
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
