//! `Var`: reverse mode. A value, and the record on a [`Tape`] of how it came about; passive if it has none.

use std::fmt;

use crate::arena::Arena;
use crate::array::dual::bend;
use crate::array::kernels::convolution::{Convolution, Role};
use crate::array::kernels::elementwise::{Binary, Unary};
use crate::array::kernels::slopes::Slope;
use crate::array::tape::{Node, NodeId, Op, Tape, Wanted};
use crate::array::{Array, LinearOperator, Side, operators};
use crate::custom::{Custom, Product};
use crate::fault::Fault;
use crate::shape::Shape;

/// A handle on a recorded, or passive, array.
#[must_use]
pub struct Var<'a, A: Array<'a>> {
    value: A,
    node: Option<&'a Node<'a, A, A::Elem>>,
    tape: &'a Tape<'a, A>,
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "a derive would ask for `A: Clone` on top")]
impl<'a, A: Array<'a>> Clone for Var<'a, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, A: Array<'a>> Copy for Var<'a, A> {}

impl<'a, A: Array<'a>> fmt::Debug for Var<'a, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Var").field("shape", &self.shape()).field("id", &self.id()).finish()
    }
}

impl<'a, A: Array<'a>> Tape<'a, A> {
    /// A variable whose adjoint is wanted.
    pub fn variable(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: self.record(Op::Leaf, Wanted::All), tape: self }
    }

    /// A variable of whose adjoint only the tangents are wanted, moved up by one place, so that the first is its value:
    /// of the gradient and the Hessian-vector product, only the product. What can be saved by that is not computed.
    pub fn variable_of_tangents(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: self.record(Op::Leaf, Wanted::Tangents), tape: self }
    }

    /// An array that is not differentiated.
    pub fn passive(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: None, tape: self }
    }
}

impl<'a, A: Array<'a>> Var<'a, A> {
    /// The value, in the type that was recorded.
    pub fn value(self) -> A {
        self.value
    }

    /// The record; `None` for a passive array.
    pub fn id(self) -> Option<NodeId> {
        self.node.map(Node::id)
    }

    /// The result of an operation on one operand.
    fn one(self, value: A, op: impl FnOnce(NodeId) -> Op<'a, A, A::Elem>) -> Self {
        let node = self.id().and_then(|of| self.tape.record(op(of), Wanted::All));
        Var { value, node, tape: self.tape }
    }

    /// The result of an operation that rearranges entries: of its adjoint the same is wanted.
    fn view(self, value: A, op: impl FnOnce(NodeId) -> Op<'a, A, A::Elem>) -> Self {
        let node = self.id().and_then(|of| self.tape.record(op(of), of.wanted()));
        Var { value, node, tape: self.tape }
    }

    /// The result of an operation on two operands.
    fn two(
        self,
        other: Self,
        operation: &'static str,
        value: A,
        op: impl FnOnce([Option<NodeId>; 2]) -> Op<'a, A, A::Elem>,
    ) -> Self {
        if !std::ptr::eq(self.tape, other.tape) {
            self.tape.arena().raise(Fault::ForeignTape { operation });
            return self.tape.passive(value);
        }
        let of = [self.id(), other.id()];
        let passive = of == [None, None];
        let node = if passive { None } else { self.tape.record(op(of), Wanted::All) };
        Var { value, node, tape: self.tape }
    }
}

impl<'a, A: Array<'a>> Array<'a> for Var<'a, A> {
    type Elem = A::Elem;
    const ORDER: u32 = A::ORDER + 1;

    fn shape(self) -> Shape {
        self.value.shape()
    }

    fn values(self) -> &'a [A::Elem] {
        self.value.values()
    }

    fn arena(self) -> &'a Arena {
        self.tape.arena()
    }

    fn within(self, _: &'a Arena) -> Self {
        self
    }

    fn constant(self, shape: Shape, data: &'a [A::Elem]) -> Self {
        self.tape.passive(self.value.constant(shape, data))
    }

    fn unary(self, f: Unary) -> Self {
        let (x, y) = (self.value, self.value.unary(f));
        self.one(y, |of| Op::Unary { of, f, x, y })
    }

    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self> {
        if !matches!(f.slope((), ()), Slope::Varying(())) {
            return f.slope(x, y).times(self);
        }
        let (c, x_value, y) = (self.value, x.value, y.value);
        let value = c.chain(f, x_value, y)?;
        Some(self.two(x, f.name(), value, |of| Op::Chain { of, f, x: x_value, y, c }))
    }

    fn bend(self, f: Unary, x: Self, y: Self, dx: Self, d_self: Option<Self>) -> Option<Self> {
        bend(self, f, (x, y), dx, d_self)
    }

    fn binary(self, other: Self, f: Binary) -> Self {
        let (a, b) = (self.value, other.value);
        let y = a.binary(b, f);
        self.two(other, f.name(), y, |of| Op::Binary { of, f, a, b, y })
    }

    fn products(
        self,
        transposed: bool,
        side: Side,
        others: &[Self],
        others_transposed: bool,
        out: &mut [Self],
    ) {
        for (out, &other) in out.iter_mut().zip(others) {
            let mut value = [self.value];
            let partner = [other.value];
            self.value.products(transposed, side, &partner, others_transposed, &mut value);
            let (left, right, transposed) = match side {
                Side::Left => (self, other, [transposed, others_transposed]),
                Side::Right => (other, self, [others_transposed, transposed]),
            };
            let (a, b) = (left.value, right.value);
            *out = left.two(right, "matmul", value[0], |of| Op::Product { of, a, b, transposed });
        }
    }

    fn sum_to(self, shape: Shape) -> Self {
        let from = self.shape();
        if shape == from {
            return self;
        }
        self.one(self.value.sum_to(shape), |of| Op::SumTo { of, from })
    }

    fn broadcast_to(self, shape: Shape) -> Self {
        let from = self.shape();
        if shape == from {
            return self;
        }
        self.one(self.value.broadcast_to(shape), |of| Op::BroadcastTo { of, from })
    }

    fn dot(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        self.two(other, "dot", a.dot(b), |of| Op::Dot { of, a, b })
    }

    fn row_dot(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        self.two(other, "row_dot", a.row_dot(b), |of| Op::RowDot { of, a, b })
    }

    fn softmax_parts(self) -> (Self, Self) {
        let (sum, shares) = self.value.softmax_parts();
        let sum = self.one(sum, |of| Op::LogSumExp { of, shares });
        (sum, self.one(shares, |of| Op::Softmax { of, shares }))
    }

    fn pick(self, labels: &'a [u32]) -> Self {
        let cols = self.shape().cols;
        self.one(self.value.pick(labels), |of| Op::Pick { of, labels, cols })
    }

    fn place(self, labels: &'a [u32], cols: u32) -> Self {
        self.one(self.value.place(labels, cols), |of| Op::Place { of, labels })
    }

    fn gather_rows(self, indices: &'a [u32]) -> Self {
        let rows = self.shape().rows;
        self.one(self.value.gather_rows(indices), |of| Op::Gather { of, indices, rows })
    }

    fn scatter_rows(self, indices: &'a [u32], rows: u32) -> Self {
        self.one(self.value.scatter_rows(indices, rows), |of| Op::Scatter { of, indices })
    }

    fn slice(self, start: usize, shape: Shape) -> Self {
        let from = self.shape();
        self.view(self.value.slice(start, shape), |of| Op::Slice { of, start, from })
    }

    fn embed(self, start: usize, shape: Shape) -> Self {
        let from = self.shape();
        self.one(self.value.embed(start, shape), |of| Op::Embed { of, start, from })
    }

    fn reshape(self, shape: Shape) -> Self {
        let from = self.shape();
        self.view(self.value.reshape(shape), |of| Op::Reshape { of, from })
    }

    fn linear(self, map: &'a dyn LinearOperator<A::Elem>, transposed: bool) -> Self {
        self.one(self.value.linear(map, transposed), |of| Op::Linear { of, map, transposed })
    }

    fn custom_product(self, f: &'a dyn Custom<A::Elem>, product: Product<Self>) -> Self {
        let (x, at) = (self.value, product.map(|a| a.value));
        let y = x.custom_product(f, at);
        match product {
            Product::Value => self.one(y, |of| Op::Custom { of: [Some(of), None], f, x, at }),
            Product::Jvp(a) | Product::Vjp(a) => {
                self.two(a, f.name(), y, |of| Op::Custom { of, f, x, at })
            }
            Product::Bend(v, c) => {
                if [self, v, c].iter().any(|a| a.node.is_some()) {
                    self.arena().raise(Fault::Order { operation: f.name(), order: 3 });
                }
                self.tape.passive(y)
            }
        }
    }

    fn convolve_for(self, other: Self, map: Convolution, role: Role) -> Self {
        let (a, b) = (self.value, other.value);
        let value = a.convolve_for(b, map, role);
        self.two(other, "convolve", value, |of| Op::Convolve { of, a, b, map, role })
    }
}

operators!(Var<'a, A>, 'a, A: Array<'a>);
