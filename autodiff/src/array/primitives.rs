//! [`Primitives`]: the operations that differentiation itself needs, in addition to those that users call.

use crate::array::element::Element;
use crate::array::kernels::convolution::{Convolution, Role};
use crate::array::linear::{Bilinear, Linear, LinearOperator};
use crate::array::linear_loss::{Asked, Fitted, Moving, Parts};
use crate::custom::{Custom, Product};
use crate::functions::rule::Unary;
use crate::shape::Shape;
use smallvec::SmallVec;

/// A short list of arrays; up to six need no system allocation.
pub type List<A> = SmallVec<[A; 6]>;

/// The side of its partners on which a shared operand stands in `products`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `shared * other`
    Left,
    /// `other * shared`
    Right,
}

/// Operations that rules are written in, each with one rule for forward and one for reverse mode. No one outside of this crate
/// implements or calls them.
pub trait Primitives<'a, T: Element>: Copy {
    /// Returns `f'(x) self`, where `y = f(x)`: one step of the chain rule, in one pass where the type allows it. `None`
    /// stands for identically zero. All operands have the same shape.
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self>;
    /// The derivative of [`chain`](Self::chain) when `x` moves by `dx` and `self` by `d_self`:
    /// `f''(x) dx self + f'(x) d_self`.
    fn chain_tangent(
        self,
        f: Unary,
        x: Self,
        y: Self,
        dx: Self,
        d_self: Option<Self>,
    ) -> Option<Self>;
    /// `out_i = self others_i` or `out_i = others_i self`, reading `self` once where the type allows it.
    /// `transposed` is about `self`, `others_transposed` about each of `others`. `out` is as long as `others`.
    fn products(
        self,
        transposed: bool,
        side: Side,
        others: &[Self],
        others_transposed: bool,
        out: &mut [Self],
    );
    /// The tangents alone, moved up by one place: the first stands where the value was. `None` if there are none.
    fn tangents_only(self) -> Option<Self> {
        None
    }
    /// [`tangents_only`](Self::tangents_only) of the product of `self` and `other`, whose value is not computed. The
    /// arguments are those of [`products`](Self::products).
    fn product_tangents_only(
        self,
        transposed: bool,
        side: Side,
        other: Self,
        other_transposed: bool,
    ) -> Option<Self> {
        let _ = (transposed, side, other, other_transposed);
        None
    }
    /// Applies a linear operation.
    fn map_linear(self, f: Linear<'a, T>) -> Self;
    /// Applies an operator, transposed or not, to arrays of the same shape, in one pass over the operator where the
    /// type allows it.
    fn operate(planes: &mut [Self], map: &'a dyn LinearOperator<T>, transposed: bool) {
        for plane in planes {
            *plane = plane.map_linear(Linear::Operator(map, transposed));
        }
    }
    /// Multiplies two arrays.
    fn bilinear(self, other: Self, f: Bilinear) -> Self;
    /// Returns `ln sum_j e^{x_j}` of each row, as a column, and the shares `e^{x_j} / sum_k e^{x_k}`.
    fn softmax_parts(self) -> (Self, Self);
    /// Returns the value of a custom function at `self`, as a column, or a product with its derivatives.
    fn custom_product(self, f: &'a dyn Custom<T>, product: Product<Self>) -> Self;
    /// Returns the sum, of shape `shape`, of the results of linear operations on `parts` that spread entries over a
    /// larger array, in one pass over the parts. If no two parts overlap (`apart`), entries are written instead of
    /// added.
    fn assemble(self, parts: &[(Self, Linear<'a, T>)], shape: Shape, apart: bool) -> Self;
    /// Returns `linear_loss` with the values that its derivatives need.
    fn linear_loss_parts(self, of: Fitted<'a, T>, p: Option<Self>, asked: Asked) -> Parts<Self>;
    /// As [`linear_loss_parts`](Self::linear_loss_parts) along several directions, for types that have a kernel for it:
    /// first the parts of the value, then those of each direction.
    fn linear_loss_along(
        self,
        of: Fitted<'a, T>,
        p: Option<Self>,
        moving: Moving<Self>,
        asked: Asked,
    ) -> Option<List<Parts<Self>>> {
        let _ = (of, p, moving, asked);
        None
    }
    /// Returns the array that a convolution has in `role`, computed from those in the two other roles. `self` has the
    /// role that follows `role` in cyclic order.
    fn convolve_for(self, other: Self, map: Convolution, role: Role) -> Self {
        self.bilinear(other, Bilinear::Convolve(map, role))
    }
}
