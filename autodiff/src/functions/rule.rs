//! The types that the table of functions becomes, one per function so that loops are compiled for one function at a
//! time, and the language in which slopes are written.

use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LOG2_E, LOG10_E};
use std::ops::{Add, Mul, Neg};

use Slope::{Number, One, Zero};

use crate::array::kernels::elementwise::Binary;
use crate::array::kernels::number::Number as Plain;
use crate::array::kernels::{gamma, math};
use crate::conventions;
use crate::functions::functions;

/// A function of one number.
pub trait Rule: Copy {
    /// Whether the function has a [`tail`](Self::tail).
    const TAILED: bool;
    /// The function as a variant of `Unary`.
    fn unary(self) -> Unary;
    /// Its name in messages.
    fn name(self) -> &'static str;
    /// The value at `x`.
    fn at<const FMA: bool, T: Plain>(self, x: T) -> T;
    /// The value for a scalar without derivatives. Functions of [`Float`](num_traits::Float) are those of the standard
    /// library.
    fn plain<T: Plain>(self, x: T) -> T;
    /// Whether the function has no derivative at `x`.
    fn kinks<T: Plain>(self, x: T) -> bool;
    /// `dy/dx` at `x`, where `y` is the value there.
    fn slope<'a, R: Term<'a>>(self, x: R, y: R) -> Slope<R>;
    /// Whether the rounding error of the value `y` would cost digits of the slope.
    fn in_tail<T: Plain>(self, y: T) -> bool;
    /// The slope in a form that does not lose these digits, but costs more.
    fn tail<'a, R: Term<'a>>(self, x: R, y: R) -> Slope<R>;
}

/// The operands that a slope is written over. `'a` is the lifetime of array handles.
pub trait Term<'a>: Copy {
    /// Applies a function.
    fn of(self, f: impl Rule) -> Self;
    /// Multiplies.
    fn by(self, other: Self) -> Self;
}

/// A factor by which a tangent or an adjoint is multiplied.
#[derive(Clone, Copy, Debug)]
pub enum Slope<R> {
    /// Zero: nothing passes.
    Zero,
    /// One: the tangent or adjoint passes unchanged.
    One,
    /// A constant.
    Number(f64),
    /// One over a constant.
    Over(f64),
    /// A factor that depends on the argument but is locally constant.
    Piecewise(R),
    /// A factor that varies with the argument.
    Varying(R),
    /// A factor that is an adjoint; it multiplies the tangent of a slope.
    Adjoint(R),
    /// A factor with a mask, by [`Binary::Keep`] or [`Binary::Drop`]: where the mask excludes an entry, nothing passes,
    /// not even `NaN`.
    Masked(R, Binary),
}

/// A term that has operators, and the functions as methods.
#[derive(Clone, Copy)]
pub(crate) struct Expr<R>(R);

#[inline(always)]
fn varying<R>(slope: Expr<R>) -> Slope<R> {
    Slope::Varying(slope.0)
}

#[inline(always)]
fn piecewise<R>(slope: Expr<R>) -> Slope<R> {
    Slope::Piecewise(slope.0)
}

impl<'a, R: Term<'a>> Mul for Expr<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.0.by(other.0))
    }
}

impl<'a, R: Term<'a>> Mul<f64> for Expr<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, c: f64) -> Self {
        self.scale(c)
    }
}

impl<'a, R: Term<'a>> Add<f64> for Expr<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, c: f64) -> Self {
        self.shift(c)
    }
}

impl<'a, R: Term<'a>> Neg for Expr<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.scale(-1.0)
    }
}

/// Evaluates an expression with `$f` bound to the rule of `$unary`, whose type differs from function to function.
macro_rules! with_rule {
    ($unary:expr, |$f:ident| $body:expr) => {
        $crate::functions::functions!(all crate::functions::rule::arms; $unary, $f, $body)
    };
}

macro_rules! arms {
    ({$unary:expr, $f:ident, $body:expr} $($(#[$doc:meta])* $Name:ident $(($c:ident: $number:ty))? $method:ident $rule:tt)*) => {
        match $unary {
            $(Unary::$Name $(($c))? => { let $f = $crate::functions::rule::$Name $(($c))?; $body })*
        }
    };
}

/// From here to 1, the difference of 1 and a value has lost ten bits.
const FLAT: f64 = 1.0 - 1.0 / 1024.0;

macro_rules! rules {
    ($std:tt $($(#[$doc:meta])* $Name:ident $(($c:ident: $number:ty))? $method:ident $body:tt)*) => {
        $(rule! { $std $Name ($($c: $number)?) $method $body })*
    };
}

macro_rules! first {
    ({} $a:tt [$b:expr]) => {
        $b
    };
    ({$some:tt} [$a:expr] $b:tt) => {
        $a
    };
}

macro_rules! rule {
    ($std:tt $Name:ident ($($c:ident: $number:ty)?) $method:ident {
        |$x:ident| $value:expr;
        |$at:ident, $y:ident| $slope:expr;
        $(kink |$k:ident| $kink:expr;)?
        $(tail |$t:ident| $tail:expr => $exact:expr;)?
    }) => {
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $Name $((pub(crate) $number))?;

        #[allow(unused_variables, reason = "not every function needs all that it is given")]
        impl Rule for $Name {
            const TAILED: bool = !stringify!($($t)?).is_empty();

            #[inline(always)]
            fn unary(self) -> Unary {
                $(let Self($c) = self;)?
                Unary::$Name $(($c))?
            }

            fn name(self) -> &'static str {
                stringify!($method)
            }

            #[inline(always)]
            fn at<const FMA: bool, T: Plain>(self, $x: T) -> T {
                $(let Self($c) = self;)?
                $value
            }

            #[inline(always)]
            fn plain<T: Plain>(self, x: T) -> T {
                first!($std [x.$method()] [self.at::<false, T>(x)])
            }

            #[inline(always)]
            fn kinks<T: Plain>(self, x: T) -> bool {
                $(let Self($c) = self;)?
                false $(|| { let $k = x; $kink })?
            }

            #[inline(always)]
            fn slope<'a, R: Term<'a>>(self, $at: R, $y: R) -> Slope<R> {
                $(let Self($c) = self;)?
                let ($at, $y) = (Expr($at), Expr($y));
                $slope
            }

            #[inline(always)]
            fn in_tail<T: Plain>(self, y: T) -> bool {
                false $(|| { let $t = y; $tail })?
            }

            #[inline(always)]
            fn tail<'a, R: Term<'a>>(self, $at: R, $y: R) -> Slope<R> {
                $(let Self($c) = self;)?
                let ($at, $y) = (Expr($at), Expr($y));
                first!({$($t)?} [$($exact)?] [$slope])
            }
        }
    };
}

functions!(float crate::functions::rule::rules; std);
functions!(scalar crate::functions::rule::rules);
functions!(number crate::functions::rule::rules);

macro_rules! names {
    ({} $($(#[$doc:meta])* $Name:ident $(($c:ident: $number:ty))? $method:ident $body:tt)*) => {
        /// A function of one number, which is applied to each entry.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Unary {
            $($(#[$doc])* $Name $(($number))?,)*
        }

        #[allow(dead_code, reason = "slopes are made of a few of them")]
        impl<'a, R: Term<'a>> Expr<R> {$(
            #[inline(always)]
            fn $method(self $(, $c: $number)?) -> Self {
                Self(self.0.of($Name $(($c))?))
            }
        )*}
    };
}

functions!(all crate::functions::rule::names);

macro_rules! every {
    ({} $($(#[$doc:meta])* $Name:ident $method:ident $rule:tt)*) => {
        &[$(Self::$Name),*]
    };
}

impl Unary {
    /// All functions without a parameter.
    #[doc(hidden)]
    pub const ALL: &[Self] = functions!(named crate::functions::rule::every);

    /// Returns the name that messages use.
    pub fn name(self) -> &'static str {
        with_rule!(self, |f| f.name())
    }

    /// Returns `dy/dx` at `x`, where `y` is the value there.
    pub(crate) fn slope<'a, R: Term<'a>>(self, x: R, y: R) -> Slope<R> {
        with_rule!(self, |f| f.tail(x, y))
    }

    /// Whether the slope varies with the argument.
    pub(crate) fn is_curved(self) -> bool {
        matches!(self.slope((), ()), Slope::Varying(()))
    }

    /// Whether the slope is the same everywhere.
    pub(crate) fn is_linear(self) -> bool {
        !matches!(self.slope((), ()), Slope::Varying(()) | Slope::Piecewise(()))
    }
}

/// Stands for a term when only the kind of a slope is needed.
impl Term<'_> for () {
    fn of(self, _: impl Rule) -> Self {}

    fn by(self, (): Self) -> Self {}
}

pub(crate) use {arms, every, names, rules, with_rule};
