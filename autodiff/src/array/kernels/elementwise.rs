//! The elementwise functions: their names and their values at one entry. Slopes: `slopes.rs`. Loops: `maps.rs`.

use crate::array::element::Element;
use crate::array::kernels::math;
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

impl Unary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scale(_) => "scale",
            Self::Shift(_) => "shift",
            Self::Over(_) => "divide",
            Self::Exp => "exp",
            Self::Ln => "ln",
            Self::Log1p => "log1p",
            Self::Sqrt => "sqrt",
            Self::Square => "square",
            Self::Recip => "recip",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Relu => "relu",
            Self::Abs => "abs",
            Self::Power(_) => "power",
            Self::Sign => "sign",
            Self::Step => "step",
            Self::PowerOrZero(_) => "power_or_zero",
        }
    }

    /// The value at `x`.
    #[inline(always)]
    pub(crate) fn at<const FMA: bool, T: Element>(self, x: T) -> T {
        match self {
            Self::Scale(c) => x * T::from_f64(c),
            Self::Shift(c) => x + T::from_f64(c),
            Self::Over(c) => x / T::from_f64(c),
            Self::Exp => math::exp::<FMA, T>(x),
            Self::Ln => x.ln(),
            Self::Log1p => math::log1p::<FMA, T>(x),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Recip => x.recip(),
            Self::Tanh => math::tanh::<FMA, T>(x),
            Self::Sigmoid => math::sigmoid::<FMA, T>(x),
            Self::Softplus => math::softplus::<FMA, T>(x),
            Self::Relu if x <= T::zero() => T::zero(),
            Self::Relu => x,
            Self::Abs => x.abs(),
            Self::Power(p) => conventions::power(x, p),
            Self::Sign => conventions::sign(x),
            Self::Step => conventions::step(x),
            Self::PowerOrZero(p) => conventions::power_or_zero(x, p),
        }
    }
}

/// Evaluates an expression with `$f` bound to `$unary`, once for each function, so that a loop in it is compiled, and
/// vectorised, for each on its own.
macro_rules! for_each_unary {
    ($unary:expr, |$f:ident| $body:expr) => {
        for_each_unary!(@arms $unary, $f, $body;
            Exp Ln Log1p Sqrt Square Recip Tanh Sigmoid Softplus Relu Abs Sign Step;
            Scale Shift Over Power PowerOrZero)
    };
    (@arms $unary:expr, $f:ident, $body:expr; $($plain:ident)*; $($with:ident)*) => {
        match $unary {
            $(Unary::$plain => { let $f = Unary::$plain; $body })*
            $(Unary::$with(c) => { let $f = Unary::$with(c); $body })*
        }
    };
}
pub(crate) use for_each_unary;

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
    pub(crate) fn at<T: Element>(self, a: T, b: T) -> T {
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
