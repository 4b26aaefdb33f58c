//! [`Split`]: recognises a graph that is a sum over samples, and divides it into two graphs that serve for any block of
//! samples.
//!
//! Some inputs have samples along their rows. The nodes are visited in order, and each is found to be one of the
//! following:
//!
//! - *free*: it does not depend on samples;
//! - *in rows*: its rows belong to samples, and each row is a function of the same rows of operands that are in rows,
//!   and of free operands. A free array with as many rows counts as in rows where it meets such rows, so that a weight
//!   per sample is cut as data is;
//! - *a total*: a sum over samples `sum_i p_i` plus a free rest `r`. Totals arise where operands in rows are summed
//!   over all rows: by sums, by inner products and by products with the left factor transposed. Linear operations on a
//!   total apply to `p` and `r` separately;
//! - *mixed*: anything else, for instance the square of a total.
//!
//! The graph is a sum over samples if its result is a total. Cost: one pass over the nodes.

use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::functions::rule::Unary;
use crate::graph::Graph;
use crate::graph::builder::Builder;
use crate::graph::error::GraphError;
use crate::graph::operations::Op;
use crate::graph::setting::Indices;
use crate::shape::{Axis, Shape};

/// A scalar graph as a sum over samples plus a rest: `f = sum over windows of part + rest`. Both graphs take the inputs
/// of the whole.
///
/// ```
/// use hypertape_autodiff::graph::{Tracer, Window};
/// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
/// // The mean of four numbers x_i w, plus w^2.
/// let tracer = Tracer::<f64>::new();
/// let (w, x) = (tracer.input("w", Shape::SCALAR), tracer.input("x", Shape::column(4)));
/// let graph = tracer.finish(&[(x * w).mean() + w.square()])?;
/// let split = graph.split(4, |name| name == "x")?;
///
/// let arena = Arena::new();
/// let at = [Tensor::new(&arena, Shape::SCALAR, &[10.0]), Tensor::new(&arena, Shape::column(4), &[1.0, 2.0, 3.0, 6.0])];
/// let part = |range| split.part.eval(at[0], &at, &[], Window::new(range, 4))[0].values()[0];
/// assert_eq!([part(0..1), part(1..4)], [2.5, 27.5]);
/// assert_eq!(split.rest.as_ref().unwrap().eval(at[0], &at, &[], Window::ALL)[0].values(), [100.0]);
/// # Ok::<(), hypertape_autodiff::graph::GraphError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Split<T> {
    /// The part that depends on the samples in view.
    pub part: Graph<T>,
    /// The part that does not depend on samples; `None` if there is none.
    pub rest: Option<Graph<T>>,
}

/// A total over samples: nodes of `part` and `rest`.
type Total = (Option<usize>, Option<usize>);

/// The classification of a node.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Whether it depends on samples.
    seen: bool,
    /// Its nodes in `part` and in `rest`, if it is free.
    free: Option<[usize; 2]>,
    /// Its node in `part`, if it is in rows.
    rows: Option<usize>,
    /// Its parts, if it depends on samples and is a total.
    total: Option<Total>,
}

struct Splitter<'g, T> {
    graph: &'g Graph<T>,
    samples: u32,
    part: Builder<T>,
    rest: Builder<T>,
    known: Vec<Known>,
}

impl<T: Element> Graph<T> {
    /// Divides the graph into a sum over `samples` samples and a rest. `sampled` says, by name, which inputs and lists
    /// have samples along their rows.
    ///
    /// # Errors
    /// Returns [`GraphError::Invalid`] if the graph is not such a sum, with the first operation that is the reason, or
    /// if there are fewer than two samples.
    pub fn split(
        &self,
        samples: u32,
        sampled: impl Fn(&str) -> bool,
    ) -> Result<Split<T>, GraphError> {
        let not = |found: String| GraphError::invalid("a loss", found, "a sum over samples");
        if samples < 2 {
            return Err(not(format!("{samples} samples")));
        }
        let &[output] = &self.outputs[..] else {
            return Err(not(format!("{} results", self.outputs.len())));
        };
        let builder = self.declared()?;
        let known = vec![Known::default(); self.nodes.len()];
        let mut splitter =
            Splitter { graph: self, samples, part: builder.clone(), rest: builder, known };
        let mut reasons: Vec<Option<usize>> = vec![None; self.nodes.len()];
        for i in 0..self.nodes.len() {
            let known = splitter.look(i, &sampled)?;
            if known.seen && known.rows.is_none() && known.total.is_none() {
                reasons[i] = self.nodes[i].of.iter().find_map(|&of| reasons[of]).or(Some(i));
            }
            splitter.known[i] = known;
        }
        match splitter.known[output].total {
            Some((Some(part), rest)) if self.nodes[output].shape == Shape::SCALAR => Ok(Split {
                part: splitter.part.finish(&[part])?,
                rest: rest.map(|rest| splitter.rest.finish(&[rest])).transpose()?,
            }),
            _ => Err(not(match reasons[output] {
                Some(node) => {
                    let name = self.nodes[node].op.name();
                    format!("{name} (node {node}) of what several samples contribute to")
                }
                None if splitter.known[output].seen => "one result per sample".to_owned(),
                None => "no sample in it".to_owned(),
            })),
        }
    }

    /// Creates a builder with the inputs and lists of this graph, in order.
    pub(super) fn declared(&self) -> Result<Builder<T>, GraphError> {
        let mut builder = Builder::new();
        for input in &self.inputs {
            builder.input(&input.name, input.shape)?;
        }
        for list in &self.lists {
            builder.list(&list.name, list.len)?;
        }
        Ok(builder)
    }
}

impl<T: Element> Splitter<'_, T> {
    fn look(&mut self, i: usize, sampled: &impl Fn(&str) -> bool) -> Result<Known, GraphError> {
        let node = &self.graph.nodes[i];
        let listed = match node.op.indices() {
            Some(Indices::Named(number)) => sampled(&self.graph.lists[*number].name),
            _ => false,
        };
        let own = match node.op {
            Op::Input(number) => sampled(&self.graph.inputs[number].name),
            _ => listed || node.of.iter().any(|&of| self.known[of].seen),
        };
        let mut known = Known { seen: own, ..Known::default() };
        let whole = match node.op {
            // Inputs are declared first, and in order.
            Op::Input(number) => Some([number, number]),
            Op::Constant(number) => {
                let values = &self.graph.constants[number];
                let part = self.part.constant(node.shape, values)?;
                Some([part, self.rest.constant(node.shape, values)?])
            }
            _ if own => None,
            _ => {
                let of: Vec<_> = node.of.iter().filter_map(|&of| self.known[of].free).collect();
                let of = |side: usize| of.iter().map(|of| of[side]).collect::<Vec<_>>();
                let part = self.part.push(node.op.clone(), &of(0))?;
                Some([part, self.rest.push(node.op.clone(), &of(1))?])
            }
        };
        known.free = whole.filter(|_| !own);
        known.rows = self.rows(i, whole)?;
        if own && known.rows.is_none() {
            known.total = self.total(i, listed)?;
        }
        Ok(known)
    }

    fn divides(&self, rows: u32) -> bool {
        rows >= self.samples && rows.is_multiple_of(self.samples)
    }

    /// Whether row numbers stay within the rows of a sample, where all samples have `rows` rows, and are the same for
    /// each sample, as in pooling.
    fn alike(&self, list: &[u32], rows: u32) -> bool {
        let (own, each) = (rows / self.samples, list.len() / self.samples as usize);
        let of_first = |(i, &index): (usize, &u32)| {
            let (sample, first) = (i / each, list[i % each]);
            first < own && index as usize == sample * own as usize + first as usize
        };
        self.divides(rows) && list.iter().enumerate().all(of_first)
    }

    /// Returns the node in `part` if it is in rows.
    fn rows(&mut self, i: usize, whole: Option<[usize; 2]>) -> Result<Option<usize>, GraphError> {
        let node = &self.graph.nodes[i];
        if !self.divides(node.shape.rows) {
            return Ok(None);
        }
        let shape = |k: usize| self.graph.nodes[node.of[k]].shape;
        let rows = |k: usize| self.known[node.of[k]].rows;
        let free = |k: usize| self.known[node.of[k]].free.map(|[part, _]| part);
        // An operand with one row for each of the result, or one row for all.
        let each = |k: usize| if shape(k).rows == node.shape.rows { rows(k) } else { free(k) };
        let of: Option<Vec<usize>> = match &node.op {
            Op::Input(_) | Op::Constant(_) => {
                return whole
                    .map(|[part, _]| self.part.push_rows(Op::Cut, &[part], true))
                    .transpose();
            }
            Op::Unary(_) | Op::Detach {} | Op::Softmax {} | Op::LogSumExp {} => {
                rows(0).map(|a| vec![a])
            }
            Op::Pick { .. } | Op::Place { .. } | Op::Reshape { .. } => rows(0).map(|a| vec![a]),
            Op::Sum { .. } | Op::Broadcast { .. } => each(0).map(|a| vec![a]),
            Op::GatherRows { .. } if free(0).is_some() => free(0).map(|a| vec![a]),
            Op::GatherRows { indices: Indices::Given(list) } if self.alike(list, shape(0).rows) => {
                let op = Op::GatherRows { indices: Indices::Alike(list.clone()) };
                return rows(0).map(|a| self.part.push_rows(op, &[a], true)).transpose();
            }
            Op::Binary(_) | Op::RowDot {} => each(0).zip(each(1)).map(|(a, b)| vec![a, b]),
            Op::Select {} => (0..3).map(each).collect(),
            Op::CumulativeSum { across: true, .. }
            | Op::Sorted { axis: Axis::Columns }
            | Op::MaxOver { axis: Axis::Columns }
            | Op::MinOver { axis: Axis::Columns } => rows(0).map(|a| vec![a]),
            // Whole rows, or a part of each.
            Op::Block { row: 0, .. } | Op::Inset { row: 0, .. }
                if node.shape.rows == shape(0).rows =>
            {
                rows(0).map(|a| vec![a])
            }
            Op::Matmul { left_transposed: false, .. } => {
                rows(0).zip(free(1)).map(|(a, b)| vec![a, b])
            }
            &Op::Convolve { height, width, role, .. }
                if role == crate::Role::Output
                    && (shape(0).rows / self.samples).is_multiple_of(height * width) =>
            {
                rows(0).zip(free(1)).map(|(a, b)| vec![a, b])
            }
            _ => None,
        };
        of.map(|of| self.part.push_rows(node.op.clone(), &of, true)).transpose()
    }

    /// Returns the node as a total if it is one; `listed` says that it picks by labels of samples.
    fn total(&mut self, i: usize, listed: bool) -> Result<Option<Total>, GraphError> {
        let node = &self.graph.nodes[i];
        let (op, of) = (&node.op, &node.of);
        let known = |k: usize| self.known[of[k]];
        let in_rows = |k: usize| known(k).rows;
        let same = of.len() == 2 && {
            let [a, b] = [0, 1].map(|k| self.graph.nodes[of[k]].shape.rows);
            a == b
        };
        // Sums over all rows of operands in rows.
        let summed = match op {
            Op::Sum { shape } if shape.rows == 1 => in_rows(0).map(|a| vec![a]),
            Op::Dot {} | Op::Matmul { left_transposed: true, right_transposed: false } if same => {
                in_rows(0).zip(in_rows(1)).map(|(a, b)| vec![a, b])
            }
            _ => None,
        };
        if let Some(of) = summed {
            return Ok(Some((Some(self.part.push(op.clone(), &of)?), None)));
        }
        match op {
            _ if listed => Ok(None),
            _ if op.is_linear() || *op == (Op::Detach {}) => {
                self.mapped(op, known(0).total, |a, _| vec![a], [0, 0])
            }
            Op::Unary(Unary::Shift(_)) => {
                let Some((part, rest)) = known(0).total else { return Ok(None) };
                let rest = if let Some(rest) = rest {
                    rest
                } else {
                    let zero = self.rest.constant(Shape::SCALAR, &[T::zero()])?;
                    self.rest.push(Op::Broadcast { shape: node.shape }, &[zero])?
                };
                Ok(Some((part, Some(self.rest.push(op.clone(), &[rest])?))))
            }
            Op::Binary(Binary::Add | Binary::Sub) => {
                let term = |k: usize| match known(k) {
                    Known { total: Some(total), .. } => Some(total),
                    Known { free: Some([_, rest]), .. } => Some((None, Some(rest))),
                    _ => None,
                };
                let Some((a, b)) = term(0).zip(term(1)) else { return Ok(None) };
                let part = added(&mut self.part, op, [a.0, b.0], node.shape)?;
                Ok(Some((part, added(&mut self.rest, op, [a.1, b.1], node.shape)?)))
            }
            // Linear in each operand, or in the first.
            _ if op.is_bilinear() => match [0, 1].map(|k| (known(k).total, known(k).free)) {
                [(total, None), (None, Some(free))] => {
                    self.mapped(op, total, |a, b| vec![a, b], free)
                }
                [(None, Some(free)), (total, None)] => {
                    self.mapped(op, total, |a, b| vec![b, a], free)
                }
                _ => Ok(None),
            },
            Op::Binary(Binary::Div) => match (known(0).total, known(1).free) {
                (total, Some(free)) => self.mapped(op, total, |a, b| vec![a, b], free),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Applies an operation to each term of a total, together with the free operand.
    fn mapped(
        &mut self,
        op: &Op,
        total: Option<Total>,
        of: impl Fn(usize, usize) -> Vec<usize>,
        free: [usize; 2],
    ) -> Result<Option<Total>, GraphError> {
        let Some((part, rest)) = total else { return Ok(None) };
        let part = part.map(|part| self.part.push(op.clone(), &of(part, free[0]))).transpose()?;
        let rest = rest.map(|rest| self.rest.push(op.clone(), &of(rest, free[1]))).transpose()?;
        Ok(Some((part, rest)))
    }
}

/// Adds or subtracts terms, either of which may be missing, as an array of `shape`.
fn added<T: Element>(
    builder: &mut Builder<T>,
    op: &Op,
    terms: [Option<usize>; 2],
    shape: Shape,
) -> Result<Option<usize>, GraphError> {
    let alone = match terms {
        [Some(a), Some(b)] => return builder.push(op.clone(), &[a, b]).map(Some),
        [Some(a), None] => a,
        [None, Some(b)] if *op == Op::Binary(Binary::Sub) => {
            builder.push(Op::Unary(Unary::Scale(-1.0)), &[b])?
        }
        [None, Some(b)] => b,
        [None, None] => return Ok(None),
    };
    if builder.shape(alone)? == shape {
        return Ok(Some(alone));
    }
    builder.push(Op::Broadcast { shape }, &[alone]).map(Some)
}
