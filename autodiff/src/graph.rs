//! Graphs: a function of arrays as data.
//!
//! A [`Graph`] is a list of operations of [`Array`], each on results of earlier ones, with named inputs, constants and
//! checked shapes. It is built node by node ([`Builder`]), by running a function written over [`Array`] on a type that
//! records its operations ([`Tracer`]), or read from a file. Evaluated over any array, it is again the function, in
//! every mode; results and derivatives are bit for bit those of the function where nothing was folded or shared.
//!
//! ```
//! use hypertape_autodiff::graph::{Tracer, Window};
//! use hypertape_autodiff::{Arena, Array, Shape, Tensor};
//! // |X w - y|^2 / 4
//! let tracer = Tracer::<f64>::new();
//! let (w, data) = (tracer.input("w", Shape::column(2)), tracer.input("X", Shape::new(2, 2)));
//! let target = tracer.input("y", Shape::column(2));
//! let graph = tracer.finish(&[data.matmul(w).squared_error(target) / 4.0])?;
//!
//! let arena = Arena::new();
//! let column = |data| Tensor::new(&arena, Shape::column(2), data);
//! let data = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 2.0, 3.0, 4.0]);
//! let at = [column(&[1.0, -1.0]), data, column(&[1.0, 1.0])];
//! assert_eq!(graph.eval(at[0], &at, &[], Window::ALL)[0].values(), [2.0]); // (-2)^2 / 4 twice
//! # Ok::<(), hypertape_autodiff::graph::GraphError>(())
//! ```
//!
//! In addition to its operations, an evaluation costs a step through a list per node, and no system allocation as long
//! as at most 24 arrays are needed at a time.

mod affine;
mod builder;
mod entrywise;
mod error;
#[cfg(feature = "serde")]
mod fields;
mod fuse;
mod fused;
#[cfg(feature = "serde")]
mod json;
pub(crate) mod operations;
pub(crate) mod primitive;
mod samples;
mod setting;
mod tracer;

use smallvec::SmallVec;

use crate::array::element::Element;
use crate::array::{Array, List};
use crate::fault::Fault;
use crate::shape::Shape;

pub use builder::{Builder, MOST_NODES};
pub use error::GraphError;
#[cfg(feature = "serde")]
pub use fields::{Field, Fields};
#[cfg(feature = "serde")]
pub use json::VERSION;
pub use operations::Op;
pub use samples::Split;
pub use setting::{Indices, Window};
pub use tracer::{Traced, Tracer};

use setting::At;

/// An array that a graph takes as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedInput {
    /// Name of the input.
    pub name: String,
    /// Shape of the array.
    pub shape: Shape,
}

/// A list of whole numbers that a graph takes as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInput {
    /// Name of the list.
    pub name: String,
    /// Length of the list.
    pub len: usize,
}

/// An operation on earlier nodes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) of: SmallVec<[usize; 2]>,
    /// Shape of the result, with all samples.
    pub(crate) shape: Shape,
    /// Whether the rows of the result belong to samples, some of which may be outside the view of an evaluation.
    pub(crate) rows: bool,
}

/// A function of arrays as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph<T> {
    inputs: Vec<NamedInput>,
    lists: Vec<ListInput>,
    constants: Vec<Vec<T>>,
    nodes: Vec<Node>,
    outputs: Vec<usize>,
    /// The place in which an evaluation keeps the result of each node. Places are reused once a result is no longer
    /// needed.
    places: Vec<usize>,
    /// Number of places.
    width: usize,
}

impl<T: Element> Graph<T> {
    /// Creates a graph of nodes that are in order and all needed.
    fn new(
        inputs: Vec<NamedInput>,
        lists: Vec<ListInput>,
        constants: Vec<Vec<T>>,
        nodes: Vec<Node>,
        outputs: Vec<usize>,
    ) -> Self {
        let mut last: Vec<usize> = (0..nodes.len()).collect();
        for (i, node) in nodes.iter().enumerate() {
            node.of.iter().for_each(|&of| last[of] = i);
        }
        for &output in &outputs {
            last[output] = usize::MAX;
        }
        let (mut places, mut free, mut width) = (Vec::with_capacity(nodes.len()), Vec::new(), 0);
        for (i, node) in nodes.iter().enumerate() {
            places.push(free.pop().unwrap_or_else(|| {
                width += 1;
                width - 1
            }));
            let mut ended: SmallVec<[usize; 2]> = node.of.clone();
            ended.dedup();
            free.extend(ended.iter().filter(|&&of| last[of] == i).map(|&of| places[of]));
        }
        Self { inputs, lists, constants, nodes, outputs, places, width }
    }

    /// Returns the arrays that an evaluation takes, in order.
    pub fn inputs(&self) -> &[NamedInput] {
        &self.inputs
    }

    /// Returns the lists of whole numbers that an evaluation takes, in order.
    pub fn lists(&self) -> &[ListInput] {
        &self.lists
    }

    /// Returns the number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the shapes of the results, in order.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Shape> {
        self.outputs.iter().map(|&output| self.nodes[output].shape)
    }

    /// Returns the same graph with constants in another precision.
    pub fn cast<U: Element>(&self) -> Graph<U> {
        let cast = |values: &Vec<T>| values.iter().map(|v| U::from_f64(v.as_f64())).collect();
        let constants = self.constants.iter().map(cast).collect();
        let (nodes, outputs) = (self.nodes.clone(), self.outputs.clone());
        Graph::new(self.inputs.clone(), self.lists.clone(), constants, nodes, outputs)
    }

    /// Evaluates the graph at `inputs` and `lists`. If the graph is the part of a [`Split`] that belongs to samples,
    /// `window` says which samples are in view; inputs are passed whole all the same.
    ///
    /// `like` is any array of the mode, from which constants are made. Operations raise their own faults. Inputs or
    /// lists that do not match their [declarations](Self::inputs) raise [`Fault::Length`] or [`Fault::Shapes`], and the
    /// list of results is empty.
    pub fn eval<'a, A: Array<'a, Elem = T>>(
        &'a self,
        like: A,
        inputs: &[A],
        lists: &[&'a [u32]],
        window: Window,
    ) -> List<A> {
        if let Err(fault) = self.fits(inputs, lists) {
            like.arena().raise(fault);
            return List::new();
        }
        let mut results = SmallVec::<[A; 24]>::from_elem(like, self.width);
        for (i, node) in self.nodes.iter().enumerate() {
            let of: List<A> = node.of.iter().map(|&of| results[self.places[of]]).collect();
            let window = if node.rows { window } else { Window::ALL };
            results[self.places[i]] = match &node.op {
                Op::Input(number) => inputs[*number],
                Op::Constant(number) => like.constant(node.shape, &self.constants[*number]),
                Op::Cut if window.is_all() => of[0],
                Op::Cut => {
                    let start = window.of_rows(node.shape.rows as usize).start;
                    of[0].slice(start * node.shape.cols as usize, window.cut(node.shape))
                }
                Op::Fused(fused) => fused.eval(&of, &At { lists, window }),
                op => match op.primitive(&At { lists, window }) {
                    Some(primitive) => primitive.apply(&of),
                    None => of[0],
                },
            };
        }
        self.outputs.iter().map(|&output| results[self.places[output]]).collect()
    }

    fn fits<'a, A: Array<'a>>(&self, inputs: &[A], lists: &[&[u32]]) -> Result<(), Fault> {
        let length = |what, expected, found| Fault::Length { what, expected, found };
        if inputs.len() != self.inputs.len() {
            return Err(length("list of inputs of a graph", self.inputs.len(), inputs.len()));
        }
        if lists.len() != self.lists.len() {
            return Err(length("list of lists of a graph", self.lists.len(), lists.len()));
        }
        for (declared, list) in self.lists.iter().zip(lists) {
            if list.len() != declared.len {
                return Err(length("named list of a graph", declared.len, list.len()));
            }
        }
        for (declared, input) in self.inputs.iter().zip(inputs) {
            let [left, right] = [declared.shape, input.shape()];
            if left != right {
                return Err(Fault::Shapes { operation: "input of a graph", left, right });
            }
        }
        Ok(())
    }
}
