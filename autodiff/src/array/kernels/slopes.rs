//! Slopes of the functions of one number, each stated once: over arrays, so that every mode uses the same one, and over
//! single entries with and without a tangent, so that a step of the chain rule is one pass over memory.
//!
//! Values at kinks and singular points: [`conventions`](crate::conventions).

use crate::array::element::Element;
use crate::array::kernels::elementwise::Unary;

/// What a slope is written over. `'a` is the lifetime of array handles.
pub(crate) trait Factor<'a>: Copy {
    /// A function of it.
    fn of(self, f: Unary) -> Self;
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

impl Unary {
    /// `dy/dx` at `x`, where `y` is the value there.
    #[inline(always)]
    pub(crate) fn slope<'a, R: Factor<'a>>(self, x: R, y: R) -> Slope<R> {
        Slope::Varying(match self {
            Self::Scale(c) => return Slope::Number(c),
            Self::Over(c) => return Slope::Over(c),
            Self::Shift(_) | Self::Power(1.0) => return Slope::One,
            Self::Sign | Self::Step | Self::Power(0.0) => return Slope::Zero,
            Self::Exp => y,
            Self::Ln => x.of(Self::Recip),
            Self::Log1p => x.of(Self::Shift(1.0)).of(Self::Recip),
            Self::Sqrt => y.of(Self::PowerOrZero(-1.0)).of(Self::Scale(0.5)),
            Self::Square => x.of(Self::Scale(2.0)),
            Self::Recip => y.of(Self::Square).of(Self::Scale(-1.0)),
            Self::Tanh => y.of(Self::Square).of(Self::Scale(-1.0)).of(Self::Shift(1.0)),
            // y (1 - y), whose second factor has no rounding error near y = 1.
            Self::Sigmoid => y.of(Self::Scale(-1.0)).of(Self::Shift(1.0)).by(y),
            Self::Softplus => x.of(Self::Sigmoid),
            Self::Relu => x.of(Self::Step),
            Self::Abs => x.of(Self::Sign),
            Self::Power(p) if p > 0.0 && p < 1.0 => {
                x.of(Self::PowerOrZero(p - 1.0)).of(Self::Scale(p))
            }
            Self::Power(p) => x.of(Self::Power(p - 1.0)).of(Self::Scale(p)),
            Self::PowerOrZero(p) => x.of(Self::PowerOrZero(p - 1.0)).of(Self::Scale(p)),
        })
    }
}

/// One entry.
#[derive(Clone, Copy)]
struct Lane<T, const FMA: bool>(T);

impl<T: Element, const FMA: bool> Factor<'_> for Lane<T, FMA> {
    #[inline(always)]
    fn of(self, f: Unary) -> Self {
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

impl<T: Element, const FMA: bool> Factor<'_> for DualLane<T, FMA> {
    #[inline(always)]
    fn of(self, f: Unary) -> Self {
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
pub(crate) fn chain<const FMA: bool, T: Element>(f: Unary, x: T, y: T, c: T) -> T {
    match f.slope(Lane::<T, FMA>(x), Lane(y)) {
        Slope::Zero => T::zero(),
        Slope::One => c,
        Slope::Number(factor) => c * T::from_f64(factor),
        Slope::Over(divisor) => c / T::from_f64(divisor),
        Slope::Varying(slope) => c * slope.0,
    }
}

/// `f''(x) dx c`, the tangent of [`chain`] for a constant `c`.
#[inline(always)]
pub(crate) fn bend<const FMA: bool, T: Element>(f: Unary, x: T, y: T, dx: T, c: T) -> T {
    let dy = chain::<FMA, T>(f, x, y, dx);
    let (x, y) = (DualLane { value: x, tangent: dx }, DualLane { value: y, tangent: dy });
    match f.slope::<DualLane<T, FMA>>(x, y) {
        Slope::Varying(slope) => c * slope.tangent,
        _ => T::zero(),
    }
}

impl Unary {
    /// Whether the slope changes with where.
    pub(crate) fn bends(self) -> bool {
        let stepwise = matches!(self, Self::Relu | Self::Abs);
        !stepwise && matches!(self.slope((), ()), Slope::Varying(()))
    }
}

/// Stands for a factor when only the kind of a slope is asked for.
impl Factor<'_> for () {
    fn of(self, _: Unary) -> Self {}

    fn by(self, (): Self) -> Self {}
}
