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
    /// 1 where `a < b`, otherwise 0.
    Less,
    /// 1 where `a <= b`, otherwise 0.
    AtMost,
    /// 1 where `a = b`, otherwise 0.
    Equal,
    /// `a` where `b` is not 0, otherwise 0.
    Keep,
    /// `a` where `b` is 0, otherwise 0.
    Drop,
    /// `(a^2 + b^2)^(1/2)`
    Hypot,
    /// The angle of the point `(b, a)`.
    Atan2,
    /// `a^b`
    Power,
    /// `b a^(b - 1)`, as the slope of `a^b`: 0 where `b = 0`, and at 0 for `b` between 0 and 1.
    #[doc(hidden)]
    PowerSlope,
    /// `a / b`, 0 where `b = 0`.
    #[doc(hidden)]
    Share,
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
            Self::Less => "less",
            Self::AtMost => "at_most",
            Self::Equal => "equal",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Hypot => "hypot",
            Self::Atan2 => "atan2",
            Self::Power | Self::PowerSlope => "power",
            Self::Share => "share",
            Self::AtLeast => "at_least",
        }
    }

    /// The value at `a` and `b`.
    #[inline(always)]
    pub(crate) fn at<T: Number>(self, a: T, b: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        let mask = |holds| if holds { one } else { zero };
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
            Self::Less => mask(a < b),
            Self::AtMost => mask(a <= b),
            Self::Equal => mask(a == b),
            Self::Keep => {
                if b.is_zero() {
                    zero
                } else {
                    a
                }
            }
            Self::Drop => {
                if b.is_zero() {
                    a
                } else {
                    zero
                }
            }
            Self::Hypot => a.hypot(b),
            Self::Atan2 => a.atan2(b),
            Self::Power => conventions::power_of(a, b),
            Self::PowerSlope => {
                let flat = b.is_zero() || (a.is_zero() && b > zero && b < one);
                if flat { zero } else { b * conventions::power_of(a, b - one) }
            }
            Self::Share => {
                if b.is_zero() {
                    zero
                } else {
                    a / b
                }
            }
            Self::AtLeast => conventions::at_least(a, b),
            Self::Passed => conventions::passed(b, a),
        }
    }
}
