//! Slopes as factors of whole arrays, and adjoints of the factors of products. The slopes of functions of one number
//! come from the table of `functions.rs`; those of functions of two numbers are here.

use crate::array::Array;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::Bilinear;
use crate::array::primitives::{ProductForm, Side};
use crate::functions::rule::{Rule, Slope, Term};
use crate::shape::Axis;

impl<'a, A: Array<'a>> Term<'a> for A {
    fn of(self, f: impl Rule) -> Self {
        self.unary(f.unary())
    }

    fn by(self, other: Self) -> Self {
        self * other
    }
}

/// Returns the sums of `a_ij b_ij` along an axis.
pub(crate) fn dot_over<'a, A: Array<'a>>(a: A, b: A, axis: Axis) -> A {
    match axis {
        Axis::Columns => a.row_dot(b),
        Axis::Rows => (a * b).sum_rows(),
    }
}

impl<R> Slope<R> {
    /// Returns `self * direction`, or `None` if that is identically zero.
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
            Self::Masked(mask, by) => Some(direction.binary(mask, by)),
            Self::Adjoint(adjoint) => Some(adjoint.binary(direction, Binary::Passed)),
        }
    }
}

impl Binary {
    /// Whether the slopes are operands or numbers, for which nothing is computed.
    pub(crate) fn slopes_are_operands(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Keep | Self::Drop)
    }

    /// Returns `dy/da` if `first`, otherwise `dy/db`. Only that one is computed.
    pub(crate) fn slope<'a, A: Array<'a>>(self, first: bool, a: A, b: A, y: A) -> Slope<A> {
        let over = |a: A, b| a.binary(b, Self::Share);
        Slope::Varying(match (self, first) {
            (Self::Add, _) | (Self::Sub, true) => return Slope::One,
            (Self::Sub, false) => return Slope::Number(-1.0),
            (Self::AtLeast | Self::Less | Self::AtMost | Self::Equal, _)
            | (Self::Keep | Self::Drop, false) => return Slope::Zero,
            (Self::Keep | Self::Drop, true) => return Slope::Masked(b, self),
            (Self::Passed, false) => return Slope::Adjoint(a),
            (Self::Mul | Self::Passed, true) => b,
            (Self::Mul, false) => a,
            (Self::Div, true) => b.recip(),
            (Self::Div, false) => -(y / b),
            (Self::Share, true) => b.recip_or_zero(),
            (Self::Share, false) => -over(y, b),
            (Self::Hypot, true) => over(a, y),
            (Self::Hypot, false) => over(b, y),
            // One quotient at a time, because squares would overflow.
            (Self::Atan2, true) => {
                let r = a.binary(b, Self::Hypot);
                over(over(b, r), r)
            }
            (Self::Atan2, false) => {
                let r = a.binary(b, Self::Hypot);
                -over(over(a, r), r)
            }
            (Self::Power, true) => a.binary(b, Self::PowerSlope),
            (Self::Power, false) => y.binary(a.ln(), Self::Passed),
            (Self::PowerSlope, true) => a.binary(b - 1.0, Self::PowerSlope).binary(b, Self::Mul),
            (Self::PowerSlope, false) => {
                a.binary(b - 1.0, Self::Power) + y.binary(a.ln(), Self::Passed)
            }
            (Self::Max, true) => return Slope::Piecewise(a.binary(b, Self::AtLeast)),
            (Self::Max, false) => return Slope::Piecewise(-a.binary(b, Self::AtLeast) + 1.0),
            (Self::Min, true) => return Slope::Piecewise((-a).binary(-b, Self::AtLeast)),
            (Self::Min, false) => return Slope::Piecewise(-(-a).binary(-b, Self::AtLeast) + 1.0),
        })
    }
}

impl Bilinear {
    /// Returns the contribution of the adjoint `c` of a product to the adjoint of its first or second factor, given the
    /// other factor.
    pub(crate) fn part<'a, A: Array<'a>>(self, first: bool, c: A, other: A) -> A {
        match (self, first) {
            (Self::Dot | Self::RowDot, _) => c * other,
            // For each pair of factors as for a matrix product.
            (Self::Batched(count, [left, right]), true) if left => {
                other.bilinear(c, Self::Batched(count, [right, true]))
            }
            (Self::Batched(count, [_, right]), true) => {
                c.bilinear(other, Self::Batched(count, [false, !right]))
            }
            (Self::Batched(count, [left, right]), false) if right => {
                c.bilinear(other, Self::Batched(count, [true, left]))
            }
            (Self::Batched(count, [left, _]), false) => {
                other.bilinear(c, Self::Batched(count, [!left, false]))
            }
            (Self::Convolve(map, role), true) => other.convolve_for(c, map, role.next()),
            (Self::Convolve(map, role), false) => c.convolve_for(other, map, role.next().next()),
        }
    }
}

/// Returns the adjoint of one factor of `y = op(a) op(b)`: `c` times the other factor, which is on `side` of `c` and
/// enters as `op`, or the transpose of that product if the factor itself entered transposed. Unless `all` of it is
/// wanted, only its tangents, which move up by one place.
///
/// The other factor is the shared operand, so that it is read once for all planes of `c`.
pub(crate) fn factor_adjoint<'a, A: Array<'a>>(
    c: A,
    side: Side,
    (other, op): (A, bool),
    flipped: bool,
    all: bool,
) -> Option<A> {
    // (c M)^T = M^T c^T
    let opposite = if side == Side::Left { Side::Right } else { Side::Left };
    let (transposed, side) = if flipped { (!op, opposite) } else { (op, side) };
    let form = ProductForm { side, transposed, others_transposed: flipped };
    if !all {
        return other.product_tangents_only(form, c);
    }
    let mut out = [c];
    other.products(form, &[c], &[], &mut out);
    Some(out[0])
}
