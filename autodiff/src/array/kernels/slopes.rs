//! The functions of one number: their values, and their slopes, each stated once. A slope is written over arrays, so that
//! every mode uses the same one, and over single entries with and without a tangent, so that a step of the chain rule is
//! one pass over memory.
//!
//! Each function is a type of its own, so that loops are compiled for one function at a time. Values at kinks and
//! singular points: [`conventions`](crate::conventions).

use crate::array::kernels::elementwise::Unary;
use crate::array::kernels::math;
use crate::array::kernels::number::Number;
use crate::conventions;

/// A function of one number.
pub(crate) trait Rule: Copy {
    /// Its name among others.
    fn unary(self) -> Unary;
    /// Its name in messages.
    fn name(self) -> &'static str;
    /// The value at `x`.
    fn at<const FMA: bool, T: Number>(self, x: T) -> T;
    /// `dy/dx` at `x`, where `y` is the value there.
    fn slope<'a, R: Factor<'a>>(self, x: R, y: R) -> Slope<R>;
}

/// What a slope is written over. `'a` is the lifetime of array handles.
pub(crate) trait Factor<'a>: Copy {
    /// A function of it.
    fn of(self, f: impl Rule) -> Self;
    /// The product.
    fn by(self, other: Self) -> Self;
}

/// A factor by which a tangent or an adjoint is multiplied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slope<R> {
    /// Nothing passes.
    Zero,
    /// It passes as it is.
    One,
    /// A number.
    Number(f64),
    /// One over a number.
    Over(f64),
    /// It depends on where.
    Varying(R),
}
use Slope::Varying;

/// The types of the functions: each with its number if it has one, its name, its value at `x`, its slope at `x`, where it is `y`.
macro_rules! rules {
    ($($f:ident $(($c:ident: $number:ty))? $name:literal: |$x:ident| $value:expr, |$at:pat_param, $y:pat_param| $slope:expr;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $f $((pub(crate) $number))?;

        impl Rule for $f {
            #[inline(always)]
            fn unary(self) -> Unary {
                $(let Self($c) = self;)?
                Unary::$f $(($c))?
            }

            fn name(self) -> &'static str {
                $name
            }

            #[inline(always)]
            fn at<const FMA: bool, T: Number>(self, $x: T) -> T {
                $(let Self($c) = self;)?
                $value
            }

            #[inline(always)]
            fn slope<'a, R: Factor<'a>>(self, $at: R, $y: R) -> Slope<R> {
                $(let Self($c) = self;)?
                $slope
            }
        }
    )*};
}

rules! {
    Scale(c: f64) "scale": |x| x * T::of(c), |_, _| Slope::Number(c);
    Shift(c: f64) "shift": |x| x + T::of(c), |_, _| { let _ = c; Slope::One };
    Over(c: f64) "divide": |x| x / T::of(c), |_, _| Slope::Over(c);
    Exp "exp": |x| math::exp::<FMA, T>(x), |_, y| Varying(y);
    Ln "ln": |x| x.ln(), |x, _| Varying(x.of(Recip));
    Log1p "log1p": |x| math::log1p::<FMA, T>(x), |x, _| Varying(x.of(Shift(1.0)).of(Recip));
    Sqrt "sqrt": |x| x.sqrt(), |_, y| Varying(y.of(PowerOrZero(-1.0)).of(Scale(0.5)));
    Square "square": |x| x * x, |x, _| Varying(x.of(Scale(2.0)));
    Recip "recip": |x| x.recip(), |_, y| Varying(y.of(Square).of(Scale(-1.0)));
    Tanh "tanh": |x| math::tanh::<FMA, T>(x),
        |_, y| Varying(y.of(Square).of(Scale(-1.0)).of(Shift(1.0)));
    // y (1 - y), whose second factor has no rounding error near y = 1.
    Sigmoid "sigmoid": |x| math::sigmoid::<FMA, T>(x),
        |_, y| Varying(y.of(Scale(-1.0)).of(Shift(1.0)).by(y));
    Softplus "softplus": |x| math::softplus::<FMA, T>(x), |x, _| Varying(x.of(Sigmoid));
    Relu "relu": |x| if x <= T::zero() { T::zero() } else { x }, |x, _| Varying(x.of(Step));
    Abs "abs": |x| x.abs(), |x, _| Varying(x.of(Sign));
    Power(p: f64) "power": |x| conventions::power(x, p), |x, _| match p {
        0.0 => Slope::Zero,
        1.0 => Slope::One,
        _ if p > 0.0 && p < 1.0 => Varying(x.of(PowerOrZero(p - 1.0)).of(Scale(p))),
        _ => Varying(x.of(Power(p - 1.0)).of(Scale(p))),
    };
    Sign "sign": |x| conventions::sign(x), |_, _| Slope::Zero;
    Step "step": |x| conventions::step(x), |_, _| Slope::Zero;
    PowerOrZero(p: f64) "power_or_zero": |x| conventions::power_or_zero(x, p),
        |x, _| Varying(x.of(PowerOrZero(p - 1.0)).of(Scale(p)));
}

/// Evaluates an expression with `$f` bound to the rule of `$unary`, which has another type for each function.
macro_rules! with_rule {
    ($unary:expr, |$f:ident| $body:expr) => {
        with_rule!(@arms $unary, $f, $body;
            Exp Ln Log1p Sqrt Square Recip Tanh Sigmoid Softplus Relu Abs Sign Step;
            Scale Shift Over Power PowerOrZero)
    };
    (@arms $unary:expr, $f:ident, $body:expr; $($plain:ident)*; $($with:ident)*) => {
        match $unary {
            $(Unary::$plain => { let $f = $crate::array::kernels::slopes::$plain; $body })*
            $(Unary::$with(c) => { let $f = $crate::array::kernels::slopes::$with(c); $body })*
        }
    };
}
pub(crate) use with_rule;

/// One entry.
#[derive(Clone, Copy)]
struct Lane<T, const FMA: bool>(T);

impl<T: Number, const FMA: bool> Factor<'_> for Lane<T, FMA> {
    #[inline(always)]
    fn of(self, f: impl Rule) -> Self {
        Self(f.at::<FMA, T>(self.0))
    }

    #[inline(always)]
    fn by(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

/// One entry and its tangent.
#[derive(Clone, Copy)]
struct DualLane<T, const FMA: bool> {
    value: T,
    tangent: T,
}

impl<T: Number, const FMA: bool> Factor<'_> for DualLane<T, FMA> {
    #[inline(always)]
    fn of(self, f: impl Rule) -> Self {
        let value = f.at::<FMA, T>(self.value);
        let tangent = chain::<FMA, T>(f, self.value, value, self.tangent);
        Self { value, tangent }
    }

    #[inline(always)]
    fn by(self, other: Self) -> Self {
        let tangent = self.tangent * other.value + self.value * other.tangent;
        Self { value: self.value * other.value, tangent }
    }
}

/// `f'(x) c`, where `y = f(x)`.
#[inline(always)]
pub(crate) fn chain<const FMA: bool, T: Number>(f: impl Rule, x: T, y: T, c: T) -> T {
    match f.slope(Lane::<T, FMA>(x), Lane(y)) {
        Slope::Zero => T::zero(),
        Slope::One => c,
        Slope::Number(factor) => c * T::of(factor),
        Slope::Over(divisor) => c / T::of(divisor),
        Varying(slope) => c * slope.0,
    }
}

/// `f''(x) dx c`, the tangent of [`chain`] for a constant `c`.
#[inline(always)]
pub(crate) fn bend<const FMA: bool, T: Number>(f: impl Rule, x: T, y: T, dx: T, c: T) -> T {
    let dy = chain::<FMA, T>(f, x, y, dx);
    let (x, y) = (DualLane { value: x, tangent: dx }, DualLane { value: y, tangent: dy });
    match f.slope::<DualLane<T, FMA>>(x, y) {
        Varying(slope) => c * slope.tangent,
        _ => T::zero(),
    }
}

impl Unary {
    /// The name used in messages.
    pub fn name(self) -> &'static str {
        with_rule!(self, |f| f.name())
    }

    /// `dy/dx` at `x`, where `y` is the value there.
    pub(crate) fn slope<'a, R: Factor<'a>>(self, x: R, y: R) -> Slope<R> {
        with_rule!(self, |f| f.slope(x, y))
    }

    /// Whether the slope changes with where.
    pub(crate) fn bends(self) -> bool {
        let stepwise = matches!(self, Self::Relu | Self::Abs);
        !stepwise && matches!(self.slope((), ()), Varying(()))
    }
}

/// Stands for a factor when only the kind of a slope is asked for.
impl Factor<'_> for () {
    fn of(self, _: impl Rule) -> Self {}

    fn by(self, (): Self) -> Self {}
}
