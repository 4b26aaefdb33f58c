//! [`Trace`]: a number that records what it depends on, and which numbers it meets other than in sums.

use std::cell::RefCell;

use super::chain::{By, Chain, One, Partial, Statement};
use super::number::{number, statements};
use super::real::{Scalar, plain_fuse};

/// The dependences of a function on the numbers `0..inputs`. Numbers that depend on two others are numbered from there.
#[derive(Debug)]
pub(super) struct Graph {
    inputs: usize,
    /// Whether second derivatives are needed.
    second: bool,
    /// Pairs of numbers, each of which makes a number that depends on both.
    pub(super) joins: RefCell<Vec<[u32; 2]>>,
    /// Pairs of numbers from whose product, quotient or similar function second derivatives arise.
    pub(super) interactions: RefCell<Vec<[u32; 2]>>,
}

impl Graph {
    pub(super) fn new(inputs: usize, second: bool) -> Self {
        Self { inputs, second, joins: RefCell::default(), interactions: RefCell::default() }
    }

    fn join(&self, a: u32, b: u32) -> u32 {
        if a == b {
            return a;
        }
        let mut joins = self.joins.borrow_mut();
        if joins.last() != Some(&[a, b]) {
            if joins.len() == joins.capacity() {
                // Fourfold, as in tapes.
                let more = 3 * joins.len().max(64);
                joins.reserve_exact(more);
            }
            joins.push([a, b]);
        }
        u32::try_from(self.inputs + joins.len() - 1).unwrap_or(u32::MAX)
    }

    fn interact(&self, a: u32, b: u32) {
        if !self.second {
            return;
        }
        let mut interactions = self.interactions.borrow_mut();
        if interactions.last() != Some(&[a, b]) {
            interactions.push([a, b]);
        }
    }
}

#[derive(Clone, Copy, Debug)]
#[must_use]
pub(super) struct Trace<'g, T> {
    value: T,
    node: Node<'g>,
}

impl<'g, T> Trace<'g, T> {
    pub(super) fn variable(graph: &'g Graph, number: usize, value: T) -> Self {
        Self { value, node: Some((graph, u32::try_from(number).unwrap_or(u32::MAX))) }
    }

    pub(super) fn number(self) -> Option<u32> {
        self.node.map(|(_, number)| number)
    }
}

/// The number that a result depends on.
type Node<'g> = Option<(&'g Graph, u32)>;

fn joined<'g>(a: Node<'g>, b: Node<'g>) -> Node<'g> {
    match (a, b) {
        (Some((graph, a)), Some((_, b))) => Some((graph, graph.join(a, b))),
        (a, b) => a.or(b),
    }
}

fn is_constant<T: Scalar, A: Partial<T>>(_: A) -> bool {
    A::CONSTANT
}

impl<'g, T: Scalar> Chain for Trace<'g, T> {
    type Inner = T;
    type Statement = Joined<'g>;

    fn inner(self) -> T {
        self.value
    }

    fn passive(value: T) -> Self {
        Self { value, node: None }
    }

    fn is_passive(self) -> bool {
        self.node.is_none()
    }

    fn unary(self, _: &'static str, value: T, by: impl Partial<T>) -> Self {
        if let (false, Some((graph, a))) = (is_constant(by), self.node) {
            graph.interact(a, a);
        }
        Self { value, ..self }
    }

    fn binary(
        self,
        other: Self,
        name: &'static str,
        value: T,
        (by, by_other): (impl Partial<T>, impl Partial<T>),
    ) -> Self {
        if !(is_constant(by) && is_constant(by_other)) {
            match (self.node, other.node) {
                (Some((graph, a)), Some((_, b))) => {
                    graph.interact(a, b);
                    if name != "mul" {
                        graph.interact(b, b);
                    }
                    if name != "mul" && name != "div" {
                        graph.interact(a, a);
                    }
                }
                (Some((graph, a)), None) if name != "mul" && name != "div" => graph.interact(a, a),
                (None, Some((graph, b))) if name != "mul" => graph.interact(b, b),
                _ => {}
            }
        }
        Self { value, node: joined(self.node, other.node) }
    }

    fn add_product(self, a: Self, b: Self, value: T) -> Self {
        let product = a.binary(b, "mul", value, (By(b.value), By(a.value)));
        self.binary(product, "add", value, (One, One))
    }

    fn statement() -> Joined<'g> {
        Joined(None)
    }

    fn kink(self, _: &'static str) {}
}

/// The arguments of an open statement.
pub(super) struct Joined<'g>(Node<'g>);

impl<'g, T: Scalar> Statement<Trace<'g, T>> for Joined<'g> {
    fn argument(&mut self, argument: Trace<'g, T>, _: T) {
        self.0 = joined(self.0, argument.node);
    }

    fn product(&mut self, a: Trace<'g, T>, b: Trace<'g, T>) {
        self.argument(a.binary(b, "mul", a.value, (By(b.value), By(a.value))), a.value);
    }

    fn close(self, value: T) -> Trace<'g, T> {
        Trace { value, node: self.0 }
    }
}

number! { rules ['g, T: Scalar] Trace<'g, T> {
    statements! {}
    plain_fuse! {}
} }
