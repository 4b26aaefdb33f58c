//! The functions of two numbers at one entry. Loops: `maps.rs`.

use crate::array::kernels::number::Number;
use crate::conventions;

/// A function of two numbers, applied to each pair of entries. Slopes: `array/rules.rs`.
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
    /// The larger; of a number and `NaN` the number.
    Max,
    /// The smaller; likewise.
    Min,
    /// 1 where `a >= b`, otherwise 0, see [`conventions::at_least`].
    #[doc(hidden)]
    AtLeast,
    /// `a b` for an adjoint or tangent `a` and a slope `b`, with zeros as [`conventions::passed`] takes them.
    #[doc(hidden)]
    Passed,
}

impl Binary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "subtract",
            Self::Mul | Self::Passed => "multiply",
            Self::Div => "divide",
            Self::Max => "max",
            Self::Min => "min",
            Self::AtLeast => "at_least",
        }
    }

    /// The value at `a` and `b`.
    #[inline(always)]
    pub(crate) fn at<T: Number>(self, a: T, b: T) -> T {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Max => {
                if a >= b || b.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::Min => {
                if a <= b || b.is_nan() {
                    a
                } else {
                    b
                }
            }
            Self::AtLeast => conventions::at_least(a, b),
            Self::Passed => conventions::passed(b, a),
        }
    }
}
