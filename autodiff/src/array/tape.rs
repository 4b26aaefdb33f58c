//! The tape: records of array operations in the arena, and the reverse sweep over them.
//!
//! A [`Tape`] is recorded through [`Var`](crate::Var) handles. [`Tape::finish`] turns it into a [`Recording`], which is
//! immutable and can be pulled back any number of times, with adjoints in a separate arena that may be reset in
//! between. Pull-backs are written once, for any array type. The sweep of a tape of `Dual`s therefore carries the
//! tangents of adjoints, and the sweep of a tape of `Var`s is itself recorded.
//!
//! Memory of a record: a whole number of cache lines for the node, in addition to the values that it refers to.

use std::cell::Cell;
use std::fmt;

use crate::arena::Arena;
use crate::array::dual::add_present;
use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::array::linear_loss::{Kept, NAME};
use crate::array::primitives::SELECT;
use crate::array::rules::{dot_over, factor_adjoint};
use crate::array::waiting::Waiting;
use crate::array::{Array, Side};
use crate::custom::{Custom, Product};
use crate::fault::Fault;
use crate::functions::rule::Slope;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};
use crate::tally::Event;

/// A record: its position on the tape, and the part of its adjoint that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId {
    position: usize,
    wanted: Wanted,
}

impl NodeId {
    pub(crate) fn wanted(self) -> Wanted {
        self.wanted
    }
}

/// The part of an adjoint that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    All,
    /// Only its tangents, which move up by one place.
    Tangents,
}

impl Wanted {
    /// Returns the wanted part of a whole adjoint.
    fn of<'a, A: Array<'a>>(self, adjoint: A) -> Option<A> {
        match self {
            Self::All => Some(adjoint),
            Self::Tangents => adjoint.tangents_only(),
        }
    }
}

/// One record.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a, A, T> {
    id: NodeId,
    previous: Option<&'a Node<'a, A, T>>,
    op: Op<'a, A, T>,
}

impl<A, T> Node<'_, A, T> {
    pub(crate) fn id(&self) -> NodeId {
        self.id
    }
}

/// The operation of a record: the ids of its active operands, and the values that its pull-back needs.
///
/// `T` is the element type of `A`. It is a parameter of its own because a projection `A::Elem` would make the type
/// invariant in `A`, so that a recording could not be swept into an arena with a shorter lifetime.
#[derive(Clone, Copy)]
pub(crate) enum Op<'a, A, T> {
    Leaf,
    Unary {
        of: NodeId,
        f: Unary,
        x: A,
        y: A,
    },
    /// `f'(x) c`, where `y = f(x)`, as a function of `c` and `x`.
    Chain {
        of: [Option<NodeId>; 2],
        f: Unary,
        x: A,
        y: A,
        c: A,
    },
    Binary {
        of: [Option<NodeId>; 2],
        f: Binary,
        a: A,
        b: A,
        y: A,
    },
    /// The first operand where the mask is not 0, and the second where it is.
    Chosen {
        of: [Option<NodeId>; 2],
        mask: A,
    },
    /// `op(a) op(b)`, each transposed on request, plus an array of shape `onto`.
    Product {
        of: [Option<NodeId>; 3],
        a: A,
        b: A,
        transposed: [bool; 2],
        onto: Shape,
    },
    Bilinear {
        of: [Option<NodeId>; 2],
        a: A,
        b: A,
        f: Bilinear,
    },
    /// A linear operation on an operand of shape `from`.
    Linear {
        of: NodeId,
        f: Linear<'a, T>,
        from: Shape,
    },
    /// An assembly. For each operand: how it is spread over the result, and its shape.
    Assembled {
        of: &'a [(Option<NodeId>, Linear<'a, T>, Shape)],
    },
    LogSumExp {
        of: NodeId,
        shares: A,
    },
    Softmax {
        of: NodeId,
        shares: A,
        axis: Axis,
    },
    /// A loss of a linear model as a function of `w` and the weights.
    LinearLoss {
        of: [Option<NodeId>; 2],
        kept: &'a Kept<'a, A, T>,
    },
    /// A product with a derivative of `f` at `x`. Its operands are `x` and the factor.
    Custom {
        of: [Option<NodeId>; 2],
        f: &'a dyn Custom<T>,
        x: A,
        at: Product<A>,
    },
}

impl<A, T: Element> Op<'_, A, T> {
    /// Returns the name in a [`Tally`](crate::Tally).
    fn name(&self) -> &'static str {
        match self {
            Self::Leaf => "variable",
            Self::Unary { f, .. } | Self::Chain { f, .. } => f.name(),
            Self::Binary { f, .. } => f.name(),
            Self::Chosen { .. } => SELECT,
            Self::Product { .. } => "matmul",
            Self::Bilinear { f, .. } => f.name(),
            Self::Linear { f, .. } => f.name(),
            Self::Assembled { .. } => "stack",
            Self::LogSumExp { .. } => "log_sum_exp",
            Self::Softmax { .. } => "softmax",
            Self::LinearLoss { .. } => NAME,
            Self::Custom { f, .. } => f.name(),
        }
    }
}

/// A tape that is being recorded. An operation is not recorded if all its operands are passive.
pub struct Tape<'a, A: Array<'a>> {
    arena: &'a Arena,
    last: Cell<Option<&'a Node<'a, A, A::Elem>>>,
    count: Cell<usize>,
}

impl<'a, A: Array<'a>> fmt::Debug for Tape<'a, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("records", &self.count.get()).finish_non_exhaustive()
    }
}

impl<'a, A: Array<'a>> Tape<'a, A> {
    /// Creates an empty tape in `arena`.
    ///
    /// # Errors
    /// Returns [`Fault::Memory`] if the limit of the arena would be exceeded.
    pub fn new(arena: &'a Arena) -> Result<&'a Self, Fault> {
        arena.put(Self { arena, last: Cell::new(None), count: Cell::new(0) })
    }

    /// Records an operation. Returns `None` at the limit of the arena.
    pub(crate) fn record(
        &self,
        op: Op<'a, A, A::Elem>,
        wanted: Wanted,
    ) -> Option<&'a Node<'a, A, A::Elem>> {
        let position = self.count.get();
        let id = NodeId { position, wanted };
        let node = self.arena.put(Node { id, previous: self.last.get(), op }).ok()?;
        self.last.set(Some(node));
        self.count.set(position + 1);
        self.arena.note(Event::Recorded, || node.op.name());
        Some(node)
    }

    pub(crate) fn arena(&self) -> &'a Arena {
        self.arena
    }

    /// Ends the recording.
    pub fn finish(&self) -> Recording<'a, A, A::Elem> {
        Recording { last: self.last.get(), count: self.count.get() }
    }
}

/// A finished tape of arrays of type `A` with elements of type `T`.
#[derive(Clone, Copy)]
pub struct Recording<'a, A, T> {
    last: Option<&'a Node<'a, A, T>>,
    count: usize,
}

impl<A, T> fmt::Debug for Recording<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("records", &self.count).finish_non_exhaustive()
    }
}

impl<'a, T: Element, A: Array<'a, Elem = T>> Recording<'a, A, T> {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Runs the reverse sweep: computes the adjoints of all records, given those of some outputs. Adjoints and
    /// intermediate results are allocated in `arena`, and faults are raised there.
    ///
    /// A recording of `Tensor`s or `Dual`s may be swept into an arena that is reset before the recording is dropped.
    pub fn pull(self, seeds: &[(NodeId, A)], arena: &'a Arena) -> Adjoints<'a, A> {
        let Ok(table) = arena.fill(self.count, None) else { return Adjoints { table: &[] } };
        for &(id, seed) in seeds {
            match table.get_mut(id.position) {
                Some(adjoint) => {
                    *adjoint = add_present(*adjoint, id.wanted.of(seed));
                }
                None => arena.raise(Fault::ForeignTape { operation: "pull" }),
            }
        }
        arena.note(Event::Other, || "adjoints");
        let mut sweep = Sweep { arena, table, waiting: Waiting::default() };
        let mut next = self.last;
        while let Some(node) = next {
            next = node.previous;
            if let Some(adjoint) = sweep.complete(node.id) {
                sweep.pull(node, adjoint);
                arena.note(Event::PulledBack, || node.op.name());
            }
        }
        Adjoints { table: sweep.table }
    }
}

/// The adjoints that a sweep computed.
#[derive(Debug)]
pub struct Adjoints<'a, A> {
    table: &'a [Option<A>],
}

impl<A: Copy> Adjoints<'_, A> {
    /// Returns the adjoint of a record; `None` stands for zero.
    pub fn get(&self, id: NodeId) -> Option<A> {
        self.at(id.position)
    }

    /// Returns the adjoint of the record at a position.
    pub(crate) fn at(&self, position: usize) -> Option<A> {
        self.table.get(position).copied().flatten()
    }
}

/// A reverse sweep in progress.
struct Sweep<'a, A, T> {
    arena: &'a Arena,
    table: &'a mut [Option<A>],
    waiting: Waiting<'a, A, T>,
}

impl<'a, T: Element, A: Array<'a, Elem = T>> Sweep<'a, A, T> {
    /// Adds `part` to the adjoint of a record.
    fn add(&mut self, id: NodeId, part: Option<A>) {
        let adjoint = &mut self.table[id.position];
        *adjoint = add_present(*adjoint, part);
    }

    /// Adds the result of a linear operation on `part` to the adjoint of a record: at once, or when the sweep reaches
    /// the record.
    fn add_linear(&mut self, id: NodeId, part: A, f: Linear<'a, T>) {
        if f.spreads() {
            self.waiting.push(self.arena, self.table.len(), id.position, (part, f));
        } else {
            self.add(id, Some(part.map_linear(f)));
        }
    }

    /// Returns the adjoint of a record to which nothing more will be added.
    fn complete(&mut self, id: NodeId) -> Option<A> {
        let rest = self.waiting.take(self.arena, id.position);
        self.add(id, rest);
        self.table[id.position]
    }

    /// Adds the contributions of a record with adjoint `c` to the adjoints of its operands.
    fn pull(&mut self, node: &Node<'a, A, T>, c: A) {
        let (here, arena) = (node.id.wanted, self.arena);
        // Tangents that were moved up already stay in their places.
        let moved =
            |id: NodeId, part: A| if id.wanted == here { Some(part) } else { part.tangents_only() };
        let mut give = |id: NodeId, part: Option<A>| {
            self.add(id, part.and_then(|part| moved(id, part)));
        };
        // Operations put their results into the arena of their first operand.
        let near = |a: A| a.within(arena);
        match node.op {
            Op::Leaf => {}
            Op::Unary { of, f, x, y } => give(of, c.chain(f, x, y)),
            Op::Chain { of, f, x, y, c: factor } => {
                if let Some(of) = of[0] {
                    give(of, c.chain(f, x, y));
                }
                if let Some(of) = of[1] {
                    give(of, near(factor).chain_tangent(f, [x, y], c, None));
                }
            }
            Op::Binary { of, f, a, b, y } => {
                let own = f.slopes_are_operands();
                let [a, b, y] = if own { [a, b, y] } else { [a, b, y].map(near) };
                for (of, first, shape) in [(of[0], true, a.shape()), (of[1], false, b.shape())] {
                    if let Some(of) = of {
                        let part = f.slope(first, a, b, y).times(c);
                        give(of, part.map(|p: A| p.sum_to(shape)));
                    }
                }
            }
            Op::Chosen { of, mask } => {
                for (of, by) in of.into_iter().zip([Binary::Keep, Binary::Drop]) {
                    if let Some(of) = of {
                        give(of, Some(c.binary(near(mask), by)));
                    }
                }
            }
            Op::Product { of: [left, right, added], a, b, transposed: [ta, tb], onto } => {
                if let Some(of) = added {
                    give(of, Some(c.sum_to(onto)));
                }
                let left = left.map(|of| (of, Side::Right, (near(b), !tb), ta));
                let right = right.map(|of| (of, Side::Left, (near(a), !ta), tb));
                for (of, side, other, flipped) in left.into_iter().chain(right) {
                    let all = of.wanted == Wanted::All;
                    self.add(of, factor_adjoint(c, side, other, flipped, all));
                }
            }
            // The square of an array: both parts are equal, and their sum is exact.
            Op::Bilinear { of: [Some(of), Some(same)], a, f: Bilinear::Dot, .. } if of == same => {
                give(of, Some((c * 2.0) * near(a)));
            }
            Op::Bilinear { of, a, b, f } => {
                for (of, first, other) in [(of[0], true, b), (of[1], false, a)] {
                    if let Some(of) = of {
                        give(of, Some(f.part(first, c, near(other))));
                    }
                }
            }
            Op::Linear { of, f, from } => {
                // Taken before the transpose, so that nothing is computed for the value where it is not wanted.
                if let Some(c) = moved(of, c) {
                    self.add_linear(of, c, f.transposed(from));
                }
            }
            Op::Assembled { of } => {
                for &(of, f, from) in of {
                    if let Some((of, c)) = of.and_then(|of| Some((of, moved(of, c)?))) {
                        self.add_linear(of, c, f.transposed(from));
                    }
                }
            }
            Op::LogSumExp { of, shares } => give(of, Slope::Varying(near(shares)).times(c)),
            Op::Softmax { of, shares, axis } => {
                let shares = near(shares);
                give(of, Some((c - dot_over(c, shares, axis)) * shares));
            }
            Op::LinearLoss { of, kept } => {
                let kept = kept.map(near);
                if let Some(of) = of[0] {
                    let part = match of.wanted {
                        Wanted::All => kept.parts.gradient.map(|gradient| gradient * c),
                        Wanted::Tangents => kept.tangents_only(c),
                    };
                    self.add(of, part);
                }
                if let Some(of) = of[1] {
                    self.add(of, of.wanted.of(kept.parts.losses * c));
                }
            }
            Op::Custom { of, f, x, at } => {
                let by = match at.map(near) {
                    Product::Value => [Some(Product::Vjp(c)), None],
                    Product::Jvp(v) => [Some(Product::Hvp(v, c)), Some(Product::Vjp(c))],
                    Product::Vjp(y_bar) => [Some(Product::Hvp(c, y_bar)), Some(Product::Jvp(c))],
                    // Products with second derivatives are not recorded.
                    Product::Hvp(..) => [None; 2],
                };
                for (of, by) in of.into_iter().zip(by) {
                    if let (Some(of), Some(by)) = (of, by) {
                        give(of, Some(near(x).custom_product(f, by)));
                    }
                }
            }
        }
    }
}
