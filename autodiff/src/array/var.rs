//! `Var`: reverse mode. A value with its record on a [`Tape`], or without one if it is passive.

use std::fmt;

use crate::arena::Arena;
use crate::array::dual::chain_tangent;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::array::linear_loss::{Asked, Fitted, Kept, NAME, Parts, RowLoss};
use crate::array::primitives::{Primitives, ProductForm, SELECT};
use crate::array::tape::{Node, NodeId, Op, Tape, Wanted};
use crate::array::{Array, operators};
use crate::custom::{Custom, Product};
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};

/// A handle to an array that is recorded or passive.
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
    /// Creates a variable whose adjoint is wanted.
    pub fn variable(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: self.record(Op::Leaf, Wanted::All), tape: self }
    }

    /// Creates a variable of whose adjoint only the tangents are wanted. They move up by one place, so that the first
    /// one is the value of the adjoint. This computes a Hessian-vector product without the gradient, and skips work
    /// that only serves the gradient.
    #[doc(hidden)]
    pub fn variable_of_tangents(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: self.record(Op::Leaf, Wanted::Tangents), tape: self }
    }

    /// Creates an array that is not differentiated.
    pub fn passive(&'a self, value: A) -> Var<'a, A> {
        Var { value, node: None, tape: self }
    }
}

impl<'a, A: Array<'a>> Var<'a, A> {
    /// Returns the value, in the type that was recorded.
    pub fn value(self) -> A {
        self.value
    }

    /// Returns the record, or `None` if the array is passive.
    pub fn id(self) -> Option<NodeId> {
        self.node.map(Node::id)
    }

    /// Makes the result of an operation on one operand.
    fn one(self, value: A, op: impl FnOnce(NodeId) -> Op<'a, A, A::Elem>) -> Self {
        let node = self.id().and_then(|of| self.tape.record(op(of), Wanted::All));
        Var { value, node, tape: self.tape }
    }

    /// Makes the result of an operation on two operands.
    fn two(
        self,
        other: Self,
        operation: &'static str,
        value: A,
        op: impl FnOnce([Option<NodeId>; 2]) -> Op<'a, A, A::Elem>,
    ) -> Self {
        self.several([Some(self), Some(other)], operation, value, op)
    }

    /// Makes the result of an operation on the operands that are present, of which `self` is one.
    fn several<const N: usize>(
        self,
        operands: [Option<Self>; N],
        operation: &'static str,
        value: A,
        op: impl FnOnce([Option<NodeId>; N]) -> Op<'a, A, A::Elem>,
    ) -> Self {
        if operands.iter().flatten().any(|other| !std::ptr::eq(self.tape, other.tape)) {
            self.tape.arena().raise(Fault::ForeignTape { operation });
            return self.tape.passive(value);
        }
        let of = operands.map(|operand| operand.and_then(Self::id));
        let passive = of.iter().all(Option::is_none);
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

    fn binary(self, other: Self, f: Binary) -> Self {
        let (a, b) = (self.value, other.value);
        let y = a.binary(b, f);
        self.two(other, f.name(), y, |of| Op::Binary { of, f, a, b, y })
    }

    fn linear_loss(
        self,
        samples: &'a [A::Elem],
        loss: RowLoss<'a, A::Elem>,
        p: Option<Self>,
    ) -> Self {
        let (w, of) = (self.value, Fitted { samples, loss });
        let asked = match self.id().map(NodeId::wanted) {
            None => Asked::Value,
            Some(Wanted::Tangents) => Asked::Tangents,
            Some(Wanted::All) => Asked::Gradient,
        };
        let weights = p.map(|p| p.value);
        let parts = w.linear_loss_parts(of, weights, asked);
        let Ok(kept) = self.arena().put(Kept { of, w, p: weights, parts }) else {
            return self.tape.passive(parts.value);
        };
        match p {
            None => self.one(parts.value, |id| Op::LinearLoss { of: [Some(id), None], kept }),
            Some(p) => self.two(p, NAME, parts.value, |of| Op::LinearLoss { of, kept }),
        }
    }
}

impl<'a, A: Array<'a>> Primitives<'a, A::Elem> for Var<'a, A> {
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self> {
        if f.is_linear() {
            return f.slope(x, y).times(self);
        }
        let (c, x_value, y) = (self.value, x.value, y.value);
        let value = c.chain(f, x_value, y)?;
        Some(self.two(x, f.name(), value, |of| Op::Chain { of, f, x: x_value, y, c }))
    }

    fn chain_tangent(self, f: Unary, at: [Self; 2], dx: Self, dc: Option<Self>) -> Option<Self> {
        chain_tangent(self, f, at, dx, dc)
    }

    fn products(self, form: ProductForm, others: &[Self], onto: &[Option<Self>], out: &mut [Self]) {
        for (i, (out, &other)) in out.iter_mut().zip(others).enumerate() {
            let onto = onto.get(i).copied().flatten();
            let mut value = [self.value];
            let added = [onto.map(|onto| onto.value)];
            self.value.products(form, &[other.value], &added, &mut value);
            let ([left, right], transposed) = form.factors(self, other);
            let (a, b, shape) = (left.value, right.value, onto.map(Self::shape));
            *out = self.several([Some(left), Some(right), onto], "matmul", value[0], |of| {
                Op::Product { of, a, b, transposed, onto: shape.unwrap_or(Shape::EMPTY) }
            });
        }
    }

    fn choose(self, a: Self, b: Self) -> Self {
        let mask = self.value;
        a.two(b, SELECT, mask.choose(a.value, b.value), |of| Op::Chosen { of, mask })
    }

    fn map_linear(self, f: Linear<'a, A::Elem>) -> Self {
        let (value, from) = (self.value.map_linear(f), self.shape());
        let node = self.id().and_then(|of| {
            // The adjoint of a rearranged array is wanted to the same extent.
            let wanted = if f.shares() { of.wanted() } else { Wanted::All };
            self.tape.record(Op::Linear { of, f, from }, wanted)
        });
        Var { value, node, tape: self.tape }
    }

    fn assemble(self, parts: &[(Self, Linear<'a, A::Elem>)], shape: Shape, apart: bool) -> Self {
        if parts.iter().any(|(part, _)| !std::ptr::eq(self.tape, part.tape)) {
            self.tape.arena().raise(Fault::ForeignTape { operation: "stack" });
        }
        let arena = self.tape.arena();
        let values = parts.iter().map(|&(part, f)| (part.value, f));
        let Ok(values) = arena.collect(parts.len(), values) else { return self };
        let value = self.value.assemble(values, shape, apart);
        if parts.iter().all(|(part, _)| part.node.is_none()) {
            return self.tape.passive(value);
        }
        let each = parts.iter().map(|&(part, f)| (part.id(), f, part.shape()));
        let of = arena.collect(parts.len(), each);
        let node = of.ok().and_then(|of| self.tape.record(Op::Assembled { of }, Wanted::All));
        Var { value, node, tape: self.tape }
    }

    fn bilinear(self, other: Self, f: Bilinear) -> Self {
        let (a, b) = (self.value, other.value);
        self.two(other, f.name(), a.bilinear(b, f), |of| Op::Bilinear { of, a, b, f })
    }

    fn softmax_parts(self, axis: Axis) -> (Self, Self) {
        let (sum, shares) = self.value.softmax_parts(axis);
        let sum = self.one(sum, |of| Op::LogSumExp { of, shares });
        (sum, self.one(shares, |of| Op::Softmax { of, shares, axis }))
    }

    fn custom_product(self, f: &'a dyn Custom<A::Elem>, product: Product<Self>) -> Self {
        let (x, at) = (self.value, product.map(|a| a.value));
        let y = x.custom_product(f, at);
        match product {
            Product::Value => self.one(y, |of| Op::Custom { of: [Some(of), None], f, x, at }),
            Product::Jvp(a) | Product::Vjp(a) => {
                self.two(a, f.name(), y, |of| Op::Custom { of, f, x, at })
            }
            Product::Hvp(v, c) => {
                if [self, v, c].iter().any(|a| a.node.is_some()) {
                    self.arena().raise(Fault::Order { operation: f.name(), order: 3 });
                }
                self.tape.passive(y)
            }
        }
    }

    fn linear_loss_parts(
        self,
        of: Fitted<'a, A::Elem>,
        p: Option<Self>,
        asked: Asked,
    ) -> Parts<Self> {
        of.composed(self, p, asked)
    }
}

operators!(Var<'a, A>, 'a, A: Array<'a>);
