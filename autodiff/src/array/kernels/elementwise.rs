//! The elementwise functions by name, and those of two numbers at one entry. Values, slopes and names of those of one number:
//! `slopes.rs`. Loops: `maps.rs`.

use crate::array::kernels::number::Number;
use crate::conventions;

/// A function of one number, applied to each entry. Slopes: `slopes.rs`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Unary {
    /// `c x`
    Scale(f64),
    /// `x + c`
    Shift(f64),
    /// `x / c`, correctly rounded, which `x * (1 / c)` is not.
    Over(f64),
    /// `e^x`
    Exp,
    /// Natural logarithm.
    Ln,
    /// `ln(1 + x)`
    Log1p,
    /// Square root.
    Sqrt,
    /// `x^2`
    Square,
    /// `1 / x`
    Recip,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `ln(1 + e^x)`
    Softplus,
    /// `max(x, 0)`
    Relu,
    /// `|x|`
    Abs,
    /// `x^p`
    Power(f64),
    /// Slope of `abs`, see [`conventions::sign`].
    Sign,
    /// Slope of `relu`, see [`conventions::step`].
    Step,
    /// `x^p`, 0 at 0, see [`conventions::power_or_zero`].
    PowerOrZero(f64),
}

/// A function of two numbers, applied to each pair of entries. Slopes: `rules.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a b`
    Mul,
    /// `a / b`
    Div,
    /// The larger; `NaN` if either is.
    Max,
    /// The smaller; `NaN` if either is.
    Min,
    /// 1 where `a >= b`, otherwise 0, see [`conventions::at_least`].
    AtLeast,
}

impl Binary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "subtract",
            Self::Mul => "multiply",
            Self::Div => "divide",
            Self::Max => "max",
            Self::Min => "min",
            Self::AtLeast => "at_least",
        }
    }

    /// The value at `a` and `b`.
    #[inline(always)]
    pub(crate) fn at<T: Number>(self, a: T, b: T) -> T {
        let choose = |first: bool| {
            let chosen = if first { a } else { b };
            if a.is_nan() || b.is_nan() { T::nan() } else { chosen }
        };
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Max => choose(a >= b),
            Self::Min => choose(a <= b),
            Self::AtLeast => conventions::at_least(a, b),
        }
    }
}
