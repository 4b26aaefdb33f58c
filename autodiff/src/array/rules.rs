//! Slopes as factors of whole arrays: those of functions of one number as the table of `functions.rs` states them, those of functions of
//! two numbers here, and adjoints of the factors of products.

use crate::array::Array;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::Bilinear;
use crate::functions::rule::{Rule, Slope, Term};

impl<'a, A: Array<'a>> Term<'a> for A {
    fn of(self, f: impl Rule) -> Self {
        self.unary(f.unary())
    }

    fn by(self, other: Self) -> Self {
        self * other
    }
}

impl<R> Slope<R> {
    /// `self * direction`, or `None` where that is identically zero.
    pub(crate) fn times<'a>(self, direction: R) -> Option<R>
    where
        R: Array<'a>,
    {
        match self {
            Self::Zero => None,
            Self::One => Some(direction),
            Self::Number(c) if c.is_normal() => Some(direction * c),
            Self::Over(c) if c.is_normal() => Some(direction / c),
            Self::Number(c) => Some(direction.binary(direction.scalar(c), Binary::Passed)),
            Self::Over(c) => Some(direction.binary(direction.scalar(c.recip()), Binary::Passed)),
            Self::Piecewise(slope) | Self::Varying(slope) => {
                Some(direction.binary(slope, Binary::Passed))
            }
            Self::Adjoint(adjoint) => Some(adjoint.binary(direction, Binary::Passed)),
        }
    }
}

impl Binary {
    /// `dy/da` and `dy/db`; only the one that is asked for is computed.
    pub(crate) fn slope<'a, A: Array<'a>>(self, first: bool, a: A, b: A, y: A) -> Slope<A> {
        Slope::Varying(match (self, first) {
            (Self::Add, _) | (Self::Sub, true) => return Slope::One,
            (Self::Sub, false) => return Slope::Number(-1.0),
            (Self::AtLeast, _) => return Slope::Zero,
            (Self::Passed, false) => return Slope::Adjoint(a),
            (Self::Mul | Self::Passed, true) => b,
            (Self::Mul, false) => a,
            (Self::Div, true) => b.recip(),
            (Self::Div, false) => -(y / b),
            (Self::Max, true) => return Slope::Piecewise(a.binary(b, Self::AtLeast)),
            (Self::Max, false) => return Slope::Piecewise(-a.binary(b, Self::AtLeast) + 1.0),
            (Self::Min, true) => return Slope::Piecewise((-a).binary(-b, Self::AtLeast)),
            (Self::Min, false) => return Slope::Piecewise(-(-a).binary(-b, Self::AtLeast) + 1.0),
        })
    }
}

impl Bilinear {
    /// What the adjoint `c` of a product adds to that of its first or second factor, given the other.
    pub(crate) fn part<'a, A: Array<'a>>(self, first: bool, c: A, other: A) -> A {
        match (self, first) {
            (Self::Dot | Self::RowDot, _) => c * other,
            (Self::Convolve(map, role), true) => other.convolve_for(c, map, role.next()),
            (Self::Convolve(map, role), false) => c.convolve_for(other, map, role.next().next()),
        }
    }
}
