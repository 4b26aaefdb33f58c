//! The table of functions of two numbers, each of which is one row: the variant, its name in files of graphs and, if it
//! differs, its name in messages, and its value at one entry. The loops are in `maps.rs`, the slopes in
//! `array/rules.rs`.

use std::hint::select_unpredictable;

use crate::array::kernels::math;
use crate::array::kernels::number::Number;
use crate::conventions;

/// Passes the rows to a macro.
macro_rules! pairs {
    ($($then:ident)::+ $(; $($with:tt)*)?) => {
        $($then)::+! { {$($($with)*)?}
            /// `a + b`
            Add add |a, b| a + b;
            /// `a - b`
            Sub subtract |a, b| a - b;
            /// `a b`
            Mul multiply |a, b| a * b;
            /// `a / b`
            Div divide |a, b| a / b;
            /// The larger; a number is chosen over `NaN`.
            Max max |a, b| preferred(a >= b, a, b);
            /// The smaller; a number is chosen over `NaN`.
            Min min |a, b| preferred(a <= b, a, b);
            /// 1 where `a < b`, otherwise 0.
            Less less |a, b| mask(a < b);
            /// 1 where `a <= b`, otherwise 0.
            AtMost at_most |a, b| mask(a <= b);
            /// 1 where `a = b`, otherwise 0.
            Equal equal |a, b| mask(a == b);
            // Chosen without a condition, for which AVX2 loops would read `a` entry by entry where `b` asks for it.
            /// `a` where `b` is not 0, otherwise 0.
            Keep keep |a, b| select_unpredictable(b.is_zero(), T::zero(), a);
            /// `a` where `b` is 0, otherwise 0.
            Drop drop |a, b| select_unpredictable(b.is_zero(), a, T::zero());
            /// `(a^2 + b^2)^(1/2)`
            Hypot hypot |a, b| math::hypot(a, b);
            /// The polar angle of the point `(b, a)`.
            Atan2 atan2 |a, b| a.atan2(b);
            /// `a^b`
            Power power |a, b| conventions::power_of(a, b);
            /// `b a^(b - 1)`, as the slope of `a^b`: 0 where `b = 0`, and at `a = 0` for `b` between 0 and 1.
            #[doc(hidden)]
            PowerSlope power_slope / "power" |a, b| {
                let flat = b.is_zero() || (a.is_zero() && b > T::zero() && b < T::one());
                if flat { T::zero() } else { b * conventions::power_of(a, b - T::one()) }
            };
            /// `a / b`, 0 where `b = 0`.
            #[doc(hidden)]
            Share share |a, b| select_unpredictable(b.is_zero(), T::zero(), a / b);
            /// 1 where `a >= b`, otherwise 0, see [`conventions::at_least`].
            #[doc(hidden)]
            AtLeast at_least |a, b| conventions::at_least(a, b);
            /// `a b` for an adjoint or tangent `a` and a slope `b`, where zeros absorb as in [`conventions::passed`].
            #[doc(hidden)]
            Passed passed / "multiply" |a, b| conventions::passed(b, a);
        }
    };
}

macro_rules! define {
    ({} $($(#[$doc:meta])* $Name:ident $file:ident $(/ $name:literal)? |$a:ident, $b:ident| $value:expr;)*) => {
        /// A function of two numbers, which is applied to each pair of entries.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Binary {
            $($(#[$doc])* $Name,)*
        }

        impl Binary {
            /// All functions of two numbers.
            #[cfg(feature = "serde")]
            pub(crate) const ALL: &[Self] = &[$(Self::$Name),*];

            /// Returns the name that messages use.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Name => [$($name,)? stringify!($file)][0],)*
                }
            }

            /// Returns the name that files use.
            pub(crate) fn file_name(self) -> &'static str {
                match self {
                    $(Self::$Name => stringify!($file),)*
                }
            }

            /// Returns the value at `a` and `b`.
            #[inline(always)]
            pub(crate) fn at<T: Number>(self, a: T, b: T) -> T {
                match self {
                    $(Self::$Name => {
                        let ($a, $b) = (a, b);
                        $value
                    })*
                }
            }
        }
    };
}
pairs!(define);

/// The first of two numbers if `first`, otherwise the second, unless that is `NaN`. Two choices instead of a
/// condition of two parts, which would be a branch.
#[inline(always)]
fn preferred<T: Number>(first: bool, a: T, b: T) -> T {
    let best = if first { a } else { b };
    if b.is_nan() { a } else { best }
}

#[inline(always)]
fn mask<T: Number>(holds: bool) -> T {
    if holds { T::one() } else { T::zero() }
}

/// Runs a body with a function of two numbers as a closure. The body is compiled for each function, so that its loops
/// are vectorised.
macro_rules! with_pair {
    ($chosen:expr, |$f:ident| $body:expr) => {
        $crate::array::kernels::elementwise::pairs!(
            $crate::array::kernels::elementwise::each_pair; $chosen, $f, $body
        )
    };
}
pub(crate) use with_pair;

macro_rules! each_pair {
    (
        { $chosen:expr, $bound:ident, $body:expr }
        $($(#[$doc:meta])* $f:ident $file:ident $(/ $name:literal)? |$a:ident, $b:ident| $value:expr;)*
    ) => {
        match $chosen {
            $(Binary::$f => {
                let $bound = |a, b| Binary::$f.at(a, b);
                $body
            })*
        }
    };
}
pub(crate) use each_pair;

pub(crate) use pairs;
