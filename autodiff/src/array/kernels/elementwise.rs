//! The elementwise functions by name, and those of two numbers at one entry. Loops: `maps.rs`.

use crate::array::kernels::number::Number;
use crate::conventions;
use crate::functions::functions;
use crate::functions::rule::{Rule, Slope, Term, with_rule};
use crate::scalar::real::Scalar;

macro_rules! unary {
    ({} $($(#[$doc:meta])* $Name:ident $(($c:ident: $number:ty))? $method:ident $rule:tt)*) => {
        /// A function of one number, applied to each entry.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Unary {
            $($(#[$doc])* $Name $(($number))?,)*
        }
    };
}

functions!(all crate::array::kernels::elementwise::unary);
pub(crate) use unary;

macro_rules! every {
    ({} $($(#[$doc:meta])* $Name:ident $method:ident $rule:tt)*) => {
        &[$(Self::$Name),*]
    };
}
pub(crate) use every;

impl Unary {
    /// Those without a number.
    #[doc(hidden)]
    pub const ALL: &[Self] = functions!(named crate::array::kernels::elementwise::every);

    /// The value at a scalar, with the derivatives that it carries.
    #[doc(hidden)]
    pub fn of_scalar<R: Scalar>(self, x: R) -> R {
        with_rule!(self, |f| f.on(x))
    }

    /// The name used in messages.
    pub fn name(self) -> &'static str {
        with_rule!(self, |f| f.name())
    }

    /// `dy/dx` at `x`, where `y` is the value there.
    pub(crate) fn slope<'a, R: Term<'a>>(self, x: R, y: R) -> Slope<R> {
        with_rule!(self, |f| f.tail(x, y))
    }

    /// Whether the slope changes with where.
    pub(crate) fn bends(self) -> bool {
        matches!(self.slope((), ()), Slope::Varying(()))
    }

    /// Whether the slope is the same everywhere.
    pub(crate) fn is_linear(self) -> bool {
        !matches!(self.slope((), ()), Slope::Varying(()) | Slope::Piecewise(()))
    }
}

/// Stands for a term when only the kind of a slope is asked for.
impl Term<'_> for () {
    fn of(self, _: impl Rule) -> Self {}

    fn by(self, (): Self) -> Self {}
}

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
            Self::Mul => "multiply",
            Self::Div => "divide",
            Self::Max => "max",
            Self::Min => "min",
            Self::AtLeast => "at_least",
            Self::Passed => "multiply",
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
            Self::Max => if a >= b || b.is_nan() { a } else { b },
            Self::Min => if a <= b || b.is_nan() { a } else { b },
            Self::AtLeast => conventions::at_least(a, b),
            Self::Passed => conventions::passed(b, a),
        }
    }
}
