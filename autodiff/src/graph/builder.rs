//! `Builder`: a graph that is built node by node. Each node is checked and simplified when it is added.
//!
//! An operation on constants becomes a constant, unless the result is not finite, or has more than 64 entries and more
//! than any operand. An operation that is already in the graph is not added again. Nodes that no output needs are
//! dropped at the end.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::tensor::Tensor;
use crate::array::{Array, List};
use crate::graph::error::GraphError;
use crate::graph::operations::Op;
use crate::graph::setting::{At, Indices, Window};
use crate::graph::{Graph, ListInput, NamedInput, Node};
use crate::shape::Shape;

/// Greatest number of nodes of a graph.
pub const MOST_NODES: usize = 1 << 16;

/// Greatest number of entries of a folded constant if no operand has more.
const SMALL: usize = 64;

/// A graph under construction. Nodes are numbered from 0 in the order in which they are added.
///
/// ```
/// use hypertape_autodiff::graph::{Builder, Op};
/// use hypertape_autodiff::Shape;
/// let mut builder = Builder::<f64>::new();
/// let x = builder.input("x", Shape::new(3, 4))?;
/// let w = builder.input("w", Shape::column(5))?;
/// let product = Op::Matmul { left_transposed: false, right_transposed: false };
/// let error = builder.push(product, &[x, w]).unwrap_err().to_string();
/// assert_eq!(error, "node 2, matmul: shapes 3x4 and 5x1 do not match");
/// # Ok::<(), hypertape_autodiff::graph::GraphError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder<T> {
    inputs: Vec<NamedInput>,
    lists: Vec<ListInput>,
    constants: Vec<Vec<T>>,
    nodes: Vec<Node>,
    /// Numbers of the nodes, by a description of what they compute.
    known: HashMap<String, usize>,
    /// Stands for named lists while shapes are checked.
    zeros: Vec<u32>,
}

impl<T: Element> Builder<T> {
    /// Creates a builder without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array as an input of the graph, under a unique name, and returns the number of its node.
    ///
    /// # Errors
    /// Returns [`GraphError`] if the name is empty, longer than 200 bytes or in use, or if the shape has more than
    /// `u32::MAX` entries.
    pub fn input(&mut self, name: &str, shape: Shape) -> Result<usize, GraphError> {
        self.free(name)?;
        self.inputs.push(NamedInput { name: name.to_owned(), shape });
        self.add(Op::Input(self.inputs.len() - 1), &[], shape, false)
    }

    /// Adds a list of `len` whole numbers, such as labels, as an input of the graph, under a unique name. Returns its
    /// number for [`Indices::Named`].
    ///
    /// # Errors
    /// Returns [`GraphError`] if the name is not allowed by [`input`](Self::input) or the list is empty.
    pub fn list(&mut self, name: &str, len: usize) -> Result<usize, GraphError> {
        self.free(name)?;
        if len == 0 || u32::try_from(len).is_err() {
            let expected = format!("1 to {}", u32::MAX);
            return Err(GraphError::invalid(format!("length of list {name:?}"), len, expected));
        }
        self.zeros.resize(self.zeros.len().max(len), 0);
        self.lists.push(ListInput { name: name.to_owned(), len });
        Ok(self.lists.len() - 1)
    }

    /// Adds a constant with entries in row-major order, and returns the number of its node.
    ///
    /// # Errors
    /// Returns [`GraphError`] if the number of values is not that of `shape`.
    pub fn constant(&mut self, shape: Shape, values: &[T]) -> Result<usize, GraphError> {
        if values.len() != shape.len() {
            let (node, operation) = (self.nodes.len(), "constant".to_owned());
            let found = format!("{} values", values.len());
            let expected = format!("{} for shape {shape}", shape.len());
            return Err(GraphError::Operand { node, operation, found, expected });
        }
        let mut key = format!("constant {shape}");
        for value in values {
            let _ = write!(key, " {value:?}");
        }
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        self.constants.push(values.to_vec());
        let made = self.add(Op::Constant(self.constants.len() - 1), &[], shape, false)?;
        self.known.insert(key, made);
        Ok(made)
    }

    /// Adds an operation on the nodes `of`, and returns the number of its node.
    ///
    /// # Errors
    /// Returns [`GraphError`] if an operand does not exist, there are too many or too few, or their shapes do not
    /// match; if a named list does not exist; and if there would be more than [`MOST_NODES`] nodes.
    pub fn push(&mut self, op: Op, of: &[usize]) -> Result<usize, GraphError> {
        self.push_rows(op, of, false)
    }

    /// As [`push`](Self::push), where `rows` says that the rows of the node belong to samples, some of which may be
    /// outside the view of an evaluation.
    pub(crate) fn push_rows(
        &mut self,
        op: Op,
        of: &[usize],
        rows: bool,
    ) -> Result<usize, GraphError> {
        let node = self.nodes.len();
        let wrong = |found: String, expected: String| {
            let operation = op.name().to_owned();
            Err(GraphError::Operand { node, operation, found, expected })
        };
        let operands = op.operands();
        if of.len() != operands {
            return wrong(format!("{} operands", of.len()), operands.to_string());
        }
        if let Some(late) = of.iter().find(|&&id| id >= node) {
            return wrong(format!("node {late}"), format!("one before node {node}"));
        }
        let lists: Vec<&[u32]> = self.lists.iter().map(|list| &self.zeros[..list.len]).collect();
        if let Some(Indices::Named(number)) = op.indices()
            && *number >= lists.len()
        {
            return wrong(format!("list {number}"), format!("one of {}", lists.len()));
        }
        let shapes: List<Shape> = of.iter().map(|&id| self.nodes[id].shape).collect();
        let at = At { lists: &lists, window: Window::ALL };
        let shape = match op.primitive::<T>(&at) {
            Some(primitive) => primitive.result(&shapes),
            None if op == Op::Cut => Ok(shapes[0]),
            None => match &op {
                Op::Fused(fused) => Ok(fused.result(&shapes)),
                _ => return wrong("a node of its own kind".to_owned(), "an operation".to_owned()),
            },
        };
        let shape = shape.map_err(|fault| GraphError::Operation { node, fault })?;
        if let Some(values) = self.folded(&op, of, shape) {
            return self.constant(shape, &values);
        }
        let key = format!("{op:?} {of:?} {rows}");
        if let Some(&known) = self.known.get(&key) {
            return Ok(known);
        }
        let made = self.add(op, of, shape, rows)?;
        self.known.insert(key, made);
        Ok(made)
    }

    /// Returns the shape of a node.
    ///
    /// # Errors
    /// Returns [`GraphError`] if the node does not exist.
    pub fn shape(&self, id: usize) -> Result<Shape, GraphError> {
        let missing = || GraphError::invalid("node", id, format!("less than {}", self.nodes.len()));
        self.nodes.get(id).map(|node| node.shape).ok_or_else(missing)
    }

    /// Returns the graph of the nodes that `outputs` need. Inputs come first; the other nodes keep their order.
    ///
    /// # Errors
    /// Returns [`GraphError`] if an output does not exist.
    pub fn finish(self, outputs: &[usize]) -> Result<Graph<T>, GraphError> {
        let mut needed = vec![false; self.nodes.len()];
        for &output in outputs {
            self.shape(output)?;
            needed[output] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if needed[i] {
                self.nodes[i].of.iter().for_each(|&of| needed[of] = true);
            }
        }
        let mut constants = self.constants;
        let (mut place, mut kept, mut values) = (vec![0; needed.len()], Vec::new(), Vec::new());
        let needed = self.nodes.into_iter().enumerate().filter(|(i, _)| needed[*i]);
        let is_input = |(_, node): &(usize, Node)| matches!(node.op, Op::Input(_));
        let (first, then): (Vec<_>, Vec<_>) = needed.partition(is_input);
        for (i, mut node) in first.into_iter().chain(then) {
            place[i] = kept.len();
            node.of.iter_mut().for_each(|of| *of = place[*of]);
            if let Op::Constant(number) = &mut node.op {
                values.push(std::mem::take(&mut constants[*number]));
                *number = values.len() - 1;
            }
            kept.push(node);
        }
        let outputs = outputs.iter().map(|&output| place[output]).collect();
        Ok(Graph::new(self.inputs, self.lists, values, kept, outputs))
    }

    fn free(&self, name: &str) -> Result<(), GraphError> {
        let taken = self.inputs.iter().map(|input| &input.name);
        let mut taken = taken.chain(self.lists.iter().map(|list| &list.name));
        if name.is_empty() || name.len() > 200 || taken.any(|other| other == name) {
            let found = format!("{:?}", name.chars().take(200).collect::<String>());
            let expected = "one of its own, 1 to 200 bytes";
            return Err(GraphError::invalid("name of an input", found, expected));
        }
        Ok(())
    }

    fn add(&mut self, op: Op, of: &[usize], shape: Shape, rows: bool) -> Result<usize, GraphError> {
        if u32::try_from(shape.len()).is_err() {
            let (node, operation) = (self.nodes.len(), op.name().to_owned());
            let (found, expected) =
                (format!("shape {shape}"), format!("{} entries or fewer", u32::MAX));
            return Err(GraphError::Operand { node, operation, found, expected });
        }
        if self.nodes.len() == MOST_NODES {
            return Err(GraphError::invalid("nodes", "more", format!("{MOST_NODES} or fewer")));
        }
        self.nodes.push(Node { op, of: of.into(), shape, rows });
        Ok(self.nodes.len() - 1)
    }

    /// Returns the value of an operation on constants if it is worth keeping.
    fn folded(&self, op: &Op, of: &[usize], shape: Shape) -> Option<Vec<T>> {
        if matches!(op, Op::Cut) || matches!(op.indices(), Some(Indices::Named(_))) {
            return None;
        }
        let arena = Arena::new();
        let mut room = SMALL;
        let mut operands = List::new();
        for &id in of {
            let Node { op: Op::Constant(number), shape, .. } = &self.nodes[id] else { return None };
            room = room.max(shape.len());
            operands.push(Tensor::new(&arena, *shape, &self.constants[*number]));
        }
        if shape.len() > room {
            return None;
        }
        let at = At { lists: &[], window: Window::ALL };
        let values = op.primitive(&at)?.apply(&operands).values().to_vec();
        (arena.status().is_ok() && T::all_finite(&values)).then_some(values)
    }
}
