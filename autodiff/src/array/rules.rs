//! Slopes of the elementwise functions, each stated once over any array type, so every mode uses the same one.
//!
//! Values at kinks and singular points: [`conventions`](crate::conventions).

use crate::array::Array;
use crate::array::kernels::elementwise::{Binary, Unary};

/// A factor by which a tangent or an adjoint is multiplied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slope<A> {
    /// Nothing passes.
    Zero,
    /// It passes as it is.
    One,
    /// A number.
    Number(f64),
    /// One over a number.
    Over(f64),
    /// An array.
    Array(A),
}

impl<'a, A: Array<'a>> Slope<A> {
    /// `self * direction`, or `None` where that is identically zero.
    pub(crate) fn times(self, direction: A) -> Option<A> {
        match self {
            Self::Zero => None,
            Self::One => Some(direction),
            Self::Number(c) => Some(direction * c),
            Self::Over(c) => Some(direction / c),
            Self::Array(slope) => Some(direction * slope),
        }
    }
}

impl Unary {
    /// `dy/dx` at `x`, where `y` is the value there.
    pub(crate) fn slope<'a, A: Array<'a>>(self, x: A, y: A) -> Slope<A> {
        Slope::Array(match self {
            Self::Scale(c) => return Slope::Number(c),
            Self::Over(c) => return Slope::Over(c),
            Self::Shift(_) | Self::Power(1.0) => return Slope::One,
            Self::Sign | Self::Step | Self::Power(0.0) => return Slope::Zero,
            Self::Exp => y,
            Self::Ln => x.recip(),
            Self::Log1p => (x + 1.0).recip(),
            Self::Sqrt => y.unary(Unary::PowerOrZero(-1.0)) * 0.5,
            Self::Square => x * 2.0,
            Self::Recip => -y.square(),
            Self::Tanh => -y.square() + 1.0,
            Self::Sigmoid => y - y.square(),
            Self::Softplus => x.sigmoid(),
            Self::Relu => x.unary(Unary::Step),
            Self::Abs => x.unary(Unary::Sign),
            Self::Power(p) if p > 0.0 && p < 1.0 => x.unary(Unary::PowerOrZero(p - 1.0)) * p,
            Self::Power(p) => x.powf(p - 1.0) * p,
            Self::PowerOrZero(p) => x.unary(Unary::PowerOrZero(p - 1.0)) * p,
        })
    }
}

impl Binary {
    /// `dy/da` and `dy/db`; only the one that is asked for is computed.
    pub(crate) fn slope<'a, A: Array<'a>>(self, first: bool, a: A, b: A, y: A) -> Slope<A> {
        Slope::Array(match (self, first) {
            (Self::Add, _) | (Self::Sub, true) => return Slope::One,
            (Self::Sub, false) => return Slope::Number(-1.0),
            (Self::AtLeast, _) => return Slope::Zero,
            (Self::Mul, true) => b,
            (Self::Mul, false) => a,
            (Self::Div, true) => b.recip(),
            (Self::Div, false) => -(y / b),
            (Self::Max, true) => a.binary(b, Self::AtLeast),
            (Self::Max, false) => -a.binary(b, Self::AtLeast) + 1.0,
            (Self::Min, true) => b.binary(a, Self::AtLeast),
            (Self::Min, false) => -b.binary(a, Self::AtLeast) + 1.0,
        })
    }
}
