//! `Tracer` and `Traced`: an array that records the operations on it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use crate::arena::Arena;
use crate::array::by_value::ByValue;
use crate::array::dual::chain_tangent;
use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::array::linear_loss::{Asked, Fitted, Parts};
use crate::array::primitives::{Primitives, ProductForm};
use crate::array::{Array, operators};
use crate::custom::{Custom, Product};
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::graph::Graph;
use crate::graph::builder::Builder;
use crate::graph::error::GraphError;
use crate::graph::operations::Op;
use crate::graph::primitive::Primitive;
use crate::graph::setting::addresses;
use crate::shape::{Axis, Shape};

/// Records the operations on its arrays as a graph.
///
/// Some functions cannot be traced: those that read [`values`](Array::values), which do not exist, and those that call
/// a [`Custom`] function or a linear map given by code:
///
/// ```
/// use hypertape_autodiff::graph::Tracer;
/// use hypertape_autodiff::{Array, Shape};
/// fn tried<'a, A: Array<'a>>(x: A) -> A {
///     if x.values().iter().all(|v| v.as_f64() > 0.0) { x.ln().sum() } else { x.sum() }
/// }
/// # use hypertape_autodiff::Element;
/// let tracer = Tracer::<f64>::new();
/// let error = tracer.finish(&[tried(tracer.input("x", Shape::column(3)))]).unwrap_err();
/// assert_eq!(error.to_string(), "a function that looks at values cannot be traced");
/// ```
#[derive(Default)]
pub struct Tracer<T> {
    arena: Arena,
    builder: RefCell<Builder<T>>,
    error: RefCell<Option<GraphError>>,
    /// The addresses of the named lists.
    lists: RefCell<Vec<Range<usize>>>,
}

impl<T: Element> fmt::Debug for Tracer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl<T: Element> Tracer<T> {
    /// Creates a tracer that has recorded nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array as an input of the graph. [`finish`](Self::finish) returns an error if it is not valid.
    pub fn input(&self, name: &str, shape: Shape) -> Traced<'_, T> {
        let made = self.builder.borrow_mut().input(name, shape);
        self.traced(made)
    }

    /// Adds a list of whole numbers, such as labels, as an input of the graph. The list that is returned is a
    /// placeholder: operations must take it whole, and its numbers are out of range for every array.
    /// [`finish`](Self::finish) returns an error if it is not valid.
    pub fn list(&self, name: &str, len: usize) -> &[u32] {
        if let Err(error) = self.builder.borrow_mut().list(name, len) {
            self.refuse(error);
            return &[];
        }
        let list: &[u32] = self.arena.fill(len, u32::MAX).map_or(&[], |list| list);
        self.lists.borrow_mut().push(addresses(list));
        list
    }

    /// Returns the graph of the nodes that `outputs` need.
    ///
    /// # Errors
    /// Returns the first error of the tracing.
    pub fn finish(&self, outputs: &[Traced<T>]) -> Result<Graph<T>, GraphError> {
        self.status()?;
        let outputs: Option<Vec<usize>> = outputs.iter().map(|output| output.node).collect();
        let none = || GraphError::invalid("output of a graph", "nothing", "an array");
        self.builder.borrow().clone().finish(&outputs.ok_or_else(none)?)
    }

    /// Returns `Ok` if there was no error so far.
    ///
    /// # Errors
    /// Returns the first error of the tracing.
    pub fn status(&self) -> Result<(), GraphError> {
        if let Some(error) = &*self.error.borrow() {
            return Err(error.clone());
        }
        self.arena.status().map_err(GraphError::Traced)
    }

    /// Keeps the first error, because later ones may be its consequences.
    fn refuse(&self, error: GraphError) {
        if self.status().is_ok() {
            self.error.replace(Some(error));
        }
    }

    fn traced(&self, made: Result<usize, GraphError>) -> Traced<'_, T> {
        let made = made.and_then(|node| Ok((node, self.builder.borrow().shape(node)?)));
        match made {
            Ok((node, shape)) => Traced { tracer: self, node: Some(node), shape },
            Err(error) => {
                self.refuse(error);
                Traced { tracer: self, node: None, shape: Shape::EMPTY }
            }
        }
    }

    fn note(&self, primitive: Primitive<T>, of: &[Traced<T>]) -> Traced<'_, T> {
        let nodes: Option<Vec<usize>> = of.iter().map(|of| of.node).collect();
        let Some(nodes) = nodes else {
            // The error that left an operand without a node was already recorded.
            return Traced { tracer: self, node: None, shape: Shape::EMPTY };
        };
        let op = Op::of(primitive, &self.lists.borrow()).map_err(GraphError::Traced);
        let made = op.and_then(|op| self.builder.borrow_mut().push(op, &nodes));
        self.traced(made)
    }

    fn cannot(&self, what: &'static str) -> Traced<'_, T> {
        self.traced(Err(GraphError::Traced(Fault::Trace { what })))
    }
}

/// A node of a graph that is being traced. It is an array with a shape but without entries.
#[must_use]
pub struct Traced<'a, T> {
    tracer: &'a Tracer<T>,
    /// `None` after an error.
    node: Option<usize>,
    shape: Shape,
}

impl<T> Clone for Traced<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Traced<'_, T> {}

impl<T> fmt::Debug for Traced<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, shape, .. } = self;
        f.debug_struct("Traced").field("node", node).field("shape", shape).finish()
    }
}

impl<'a, T: Element> Array<'a> for Traced<'a, T> {
    type Elem = T;
    const ORDER: u32 = 0;

    fn shape(self) -> Shape {
        self.shape
    }

    fn values(self) -> &'a [T] {
        let _ = self.tracer.cannot("looks at values");
        &[]
    }

    fn arena(self) -> &'a Arena {
        &self.tracer.arena
    }

    fn within(self, _: &'a Arena) -> Self {
        self
    }

    fn constant(self, shape: Shape, data: &'a [T]) -> Self {
        let made = self.tracer.builder.borrow_mut().constant(shape, data);
        self.tracer.traced(made)
    }

    fn unary(self, f: Unary) -> Self {
        self.tracer.note(Primitive::Unary(f), &[self])
    }

    fn binary(self, other: Self, f: Binary) -> Self {
        self.tracer.note(Primitive::Binary(f), &[self, other])
    }

    fn by_value(of: &[Self], f: ByValue) -> Self {
        of[0].tracer.note(Primitive::ByValue(f), of)
    }

    fn detach(self) -> Self {
        self.tracer.note(Primitive::Detach, &[self])
    }

    fn norm(self) -> Self {
        self.tracer.note(Primitive::Norm, &[self])
    }
}

impl<'a, T: Element> Primitives<'a, T> for Traced<'a, T> {
    fn chain(self, f: Unary, x: Self, y: Self) -> Option<Self> {
        f.slope(x, y).times(self)
    }

    fn chain_tangent(self, f: Unary, at: [Self; 2], dx: Self, dc: Option<Self>) -> Option<Self> {
        chain_tangent(self, f, at, dx, dc)
    }

    fn products(self, form: ProductForm, others: &[Self], onto: &[Option<Self>], out: &mut [Self]) {
        for (i, (out, &other)) in out.iter_mut().zip(others).enumerate() {
            let (of, transposed) = form.factors(self, other);
            let product = self.tracer.note(Primitive::Product(transposed), &of);
            *out = onto.get(i).copied().flatten().map_or(product, |onto| product + onto);
        }
    }

    fn map_linear(self, f: Linear<'a, T>) -> Self {
        self.tracer.note(Primitive::Linear(f), &[self])
    }

    fn bilinear(self, other: Self, f: Bilinear) -> Self {
        self.tracer.note(Primitive::Bilinear(f), &[self, other])
    }

    fn choose(self, a: Self, b: Self) -> Self {
        self.tracer.note(Primitive::Choice, &[self, a, b])
    }

    fn softmax_parts(self, axis: Axis) -> (Self, Self) {
        let part = |primitive| self.tracer.note(primitive, &[self]);
        (part(Primitive::LogSumExp(axis)), part(Primitive::Softmax(axis)))
    }

    fn custom_product(self, _: &'a dyn Custom<T>, _: Product<Self>) -> Self {
        self.tracer.cannot("calls a custom function")
    }

    fn linear_loss_parts(self, of: Fitted<'a, T>, p: Option<Self>, asked: Asked) -> Parts<Self> {
        of.composed(self, p, asked)
    }

    fn assemble(self, parts: &[(Self, Linear<'a, T>)], shape: Shape, _: bool) -> Self {
        let spread = parts.iter().map(|&(part, f)| part.map_linear(f));
        spread.reduce(|sum, part| sum + part).unwrap_or_else(|| {
            let zeros = self.arena().fill(shape.len(), T::zero());
            self.constant(shape, zeros.map_or(&[], |zeros| zeros))
        })
    }
}

operators!(Traced<'a, T>, 'a, T: Element);
