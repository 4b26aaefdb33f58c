//! [`Primitives`]: the operations that differentiation itself needs, in addition to those that users call.

use crate::array::element::Element;
use crate::array::kernels::convolution::{Convolution, Role};
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear, LinearOperator};
use crate::array::linear_loss::{Asked, Fitted, Moving, Parts};
use crate::custom::{Custom, Product};
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};
use smallvec::SmallVec;

/// The name of [`Primitives::choose`] in messages.
pub(crate) const SELECT: &str = "select";

/// A short list of arrays; up to six need no system allocation.
pub type List<A> = SmallVec<[A; 6]>;

/// The side of the other factors on which a shared operand is in `products`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `shared * other`
    Left,
    /// `other * shared`
    Right,
}

/// How a shared operand is combined with others in matrix products.
#[derive(Clone, Copy, Debug)]
pub struct ProductForm {
    /// The side on which the shared operand is.
    pub side: Side,
    /// Whether the shared operand enters transposed.
    pub transposed: bool,
    /// Whether the others enter transposed.
    pub others_transposed: bool,
}

impl ProductForm {
    /// The form of `shared` times others, with either transposed on request.
    pub(crate) fn left(transposed: bool, others_transposed: bool) -> Self {
        Self { side: Side::Left, transposed, others_transposed }
    }

    /// Returns the factors of a product from left to right, and which of them enter transposed.
    pub(crate) fn factors<A>(self, shared: A, other: A) -> ([A; 2], [bool; 2]) {
        let Self { side, transposed, others_transposed } = self;
        match side {
            Side::Left => ([shared, other], [transposed, others_transposed]),
            Side::Right => ([other, shared], [others_transposed, transposed]),
        }
    }
}

/// The operations in which derivatives are expressed, each with one rule for forward and one for reverse mode. Nothing
/// outside of this crate implements or calls them.
pub trait Primitives<'a, T: Element>: Copy {
    /// Returns `f'(x) self`, where `y = f(x)`: one step of the chain rule, in one pass where the type allows it. `None`
    /// means identically zero. All operands have the same shape.
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self>;
    /// Returns the derivative of [`chain`](Self::chain) when `x` of `at = [x, y]` moves by `dx` and `self` by `dc`:
    /// `f''(x) dx self + f'(x) dc`.
    fn chain_tangent(self, f: Unary, at: [Self; 2], dx: Self, dc: Option<Self>) -> Option<Self>;
    /// Computes `out_i = self others_i + onto_i` or `out_i = others_i self + onto_i`, and reads `self` once where the type
    /// allows it. `out` is as long as `others`, and so is `onto`, unless nothing is added and it is empty. An array that
    /// is added is of the shape of the product, or one row that is added to each row.
    fn products(self, form: ProductForm, others: &[Self], onto: &[Option<Self>], out: &mut [Self]);
    /// Returns the tangents alone, which move up by one place, so that the first is where the value was. `None` if
    /// there are none.
    fn tangents_only(self) -> Option<Self> {
        None
    }
    /// Returns [`tangents_only`](Self::tangents_only) of the product of `self` and `other`, whose value is not
    /// computed.
    fn product_tangents_only(self, form: ProductForm, other: Self) -> Option<Self> {
        let _ = (form, other);
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
    /// Returns the entries of `a` where those of the mask `self` are not 0, and those of `b` where they are. All have the
    /// same shape.
    fn choose(self, a: Self, b: Self) -> Self;
    /// Joins all entries along an axis by `f`, which is `Max`, `Min` or `Mul`, for types that have a kernel for it. `None`
    /// also if there are no entries.
    fn folded(self, axis: Axis, f: Binary) -> Option<Self> {
        let _ = (axis, f);
        None
    }
    /// Returns `ln sum_j e^{x_j}` along an axis, and the shares `e^{x_j} / sum_k e^{x_k}`.
    fn softmax_parts(self, axis: Axis) -> (Self, Self);
    /// Returns the value of a custom function at `self`, as a column, or a product with its derivatives.
    fn custom_product(self, f: &'a dyn Custom<T>, product: Product<Self>) -> Self;
    /// Returns the sum, of shape `shape`, of the results of linear operations on `parts` that spread entries over a
    /// larger array, in one pass over the parts. If no two parts overlap (`apart`), entries are written instead of
    /// added.
    fn assemble(self, parts: &[(Self, Linear<'a, T>)], shape: Shape, apart: bool) -> Self;
    /// Returns `linear_loss` with the values that its derivatives need.
    fn linear_loss_parts(self, of: Fitted<'a, T>, p: Option<Self>, asked: Asked) -> Parts<Self>;
    /// Computes [`linear_loss_parts`](Self::linear_loss_parts) along several directions, for types that have a kernel
    /// for it. Returns the parts of the value, followed by those of each direction.
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
