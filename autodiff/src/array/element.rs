//! What an array is made of: `f32` or `f64`.

use std::fmt::{Debug, Display};
use std::ops::AddAssign;

use num_traits::Float;

/// A floating-point type that arrays hold. Implemented by `f32` and `f64`.
pub trait Element: Float + AddAssign + Debug + Display + Default + Send + Sync + 'static {
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The same value, widened.
    fn as_f64(self) -> f64;
}

impl Element for f64 {
    const NAME: &'static str = "f64";
    fn from_f64(value: f64) -> Self {
        value
    }
    fn as_f64(self) -> f64 {
        self
    }
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}
