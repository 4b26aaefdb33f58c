//! [`Graph::fused`]: finds what is one operation of arrays: losses of linear models, and layers `A B + c`.
//!
//! A layer is a product that nothing else needs plus an array of its shape or one row. A loss is found if it has one of these forms, with scores `z = X w` that nothing else needs, and with data `X` and
//! `y`:
//!
//! | loss of a row | how it is written |
//! |---|---|
//! | `(z - y)^2` | the square of a difference, or its inner product with itself |
//! | `ln(1 + e^{-y z})`, `ln(1 + e^{y z})` | `softplus` of a product with data, of either sign |
//! | `ln sum_c e^{z_c} - z_y` | `logsumexp` minus the entries that labels pick |
//!
//! and is summed over the rows, or multiplied with weights by an inner product.

use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::functions::rule::Unary;
use crate::graph::builder::Builder;
use crate::graph::error::GraphError;
use crate::graph::fused::{Fused, Losses};
use crate::graph::operations::Op;
use crate::graph::{Graph, Node};
use crate::shape::Shape;

const PRODUCT: Op = Op::Matmul { left_transposed: false, right_transposed: false };

/// A column of losses that was found.
struct Found {
    losses: Losses,
    /// The node of the scores.
    z: usize,
    /// `y`
    targets: Option<usize>,
}

struct Search<'g> {
    nodes: &'g [Node],
    /// For each node, whether it depends only on data.
    data: Vec<bool>,
    /// The number of uses of each node.
    uses: Vec<usize>,
}

impl<T: Element> Graph<T> {
    /// Returns the graph with each loss of a linear model, and each layer, as one operation. `data` says which inputs are never
    /// differentiated. Results may differ in the last bits. Cost: one pass over the nodes.
    ///
    /// # Errors
    /// Returns [`GraphError`] if a node cannot be added, as described at [`Builder::push`].
    pub fn fused(&self, data: impl Fn(&str) -> bool) -> Result<Self, GraphError> {
        let mut search =
            Search { nodes: &self.nodes, data: Vec::new(), uses: vec![0; self.nodes.len()] };
        for node in &self.nodes {
            let own = match node.op {
                Op::Input(number) => data(&self.inputs[number].name),
                _ => node.of.iter().all(|&of| search.data[of]),
            };
            search.data.push(own);
        }
        let needed = self.nodes.iter().flat_map(|node| &node.of).chain(&self.outputs);
        needed.for_each(|&of| search.uses[of] += 1);
        let mut builder = self.declared()?;
        let mut place: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for (k, node) in self.nodes.iter().enumerate() {
            let made = match node.op {
                // Inputs are declared first, and in order.
                Op::Input(number) => number,
                Op::Constant(number) => builder.constant(node.shape, &self.constants[number])?,
                _ => {
                    if let Some((found, weights)) = search.total(k) {
                        search.push(&mut builder, &place, found, weights)?
                    } else if let Some(of) = search.layer(k) {
                        let of = of.map(|of| place[of]);
                        builder.push_rows(Op::Fused(Fused::Affine), &of, node.rows)?
                    } else {
                        let of: Vec<usize> = node.of.iter().map(|&of| place[of]).collect();
                        builder.push_rows(node.op.clone(), &of, node.rows)?
                    }
                }
            };
            place.push(made);
        }
        let outputs: Vec<usize> = self.outputs.iter().map(|&output| place[output]).collect();
        builder.finish(&outputs)
    }

    /// Whether all losses of samples are of linear models with one score per sample, as [`fused`](Self::fused) finds
    /// them. Such a loss reads its rows once, also where it is differentiated. `data` names the data. Cost: one pass
    /// over the nodes.
    pub fn reads_rows_once(&self, data: impl Fn(&str) -> bool) -> bool {
        let matrix = |of: usize| match self.nodes[of].op {
            Op::Input(number) => self.nodes[of].shape.cols > 1 && data(&self.inputs[number].name),
            _ => false,
        };
        let rows = |&of: &usize| match self.nodes[of].op {
            Op::Cut => matrix(self.nodes[of].of[0]),
            _ => matrix(of),
        };
        self.nodes.iter().all(|node| match &node.op {
            Op::Cut => true,
            Op::Fused(Fused::Loss { losses, .. }) => !matches!(losses, Losses::CrossEntropy(_)),
            _ => !node.of.iter().any(rows),
        })
    }
}

impl Search<'_> {
    /// Returns the losses that node `k` sums, and the node of their weights.
    fn total(&self, k: usize) -> Option<(Found, Option<usize>)> {
        let node = &self.nodes[k];
        match (&node.op, &node.of[..]) {
            (Op::Sum { shape }, &[l]) if *shape == Shape::SCALAR => Some((self.losses(l)?, None)),
            (Op::Dot {}, &[a, b]) if a == b => Some((self.squared(a, 2)?, None)),
            (Op::Dot {}, &[a, b]) => {
                let weighted = |l, p| Some((self.losses(l)?, Some(p)));
                weighted(b, a).or_else(|| weighted(a, b))
            }
            _ => None,
        }
    }

    /// Returns node `k` as a column of losses.
    fn losses(&self, k: usize) -> Option<Found> {
        let node = self.used(k, 1)?;
        match (&node.op, &node.of[..]) {
            (Op::Unary(Unary::Square), &[gap]) => self.squared(gap, 1),
            (Op::Unary(Unary::Softplus), &[margin]) => {
                let (margin, negated) = self.signed(margin)?;
                let (&Op::Binary(Binary::Mul), &[a, b]) = (&margin.op, &margin.of[..]) else {
                    return None;
                };
                let of = |z: usize, y: usize| {
                    let (product, minus) = self.signed(z)?;
                    let z = if minus { self.nodes[z].of[0] } else { z };
                    let z = (product.shape == margin.shape).then_some(z)?;
                    let losses = if negated == minus { Losses::Softplus } else { Losses::Logistic };
                    self.found(losses, z, 1, Some(y))
                };
                of(a, b).or_else(|| of(b, a))
            }
            (Op::Binary(Binary::Sub), &[all, own]) => {
                let (all, own) = (self.used(all, 1)?, self.used(own, 1)?);
                let (Op::LogSumExp {}, Op::Pick { labels }) = (&all.op, &own.op) else {
                    return None;
                };
                (all.of == own.of).then_some(())?;
                self.found(Losses::CrossEntropy(labels.clone()), all.of[0], 2, None)
            }
            _ => None,
        }
    }

    /// Returns the squares of node `gap`, which must have `times` uses.
    fn squared(&self, gap: usize, times: usize) -> Option<Found> {
        let node = self.used(gap, times)?;
        let (&Op::Binary(Binary::Sub), &[a, b]) = (&node.op, &node.of[..]) else { return None };
        let of = |z: usize, y| {
            (self.nodes[z].shape == node.shape).then_some(())?;
            self.found(Losses::Squared, z, 1, Some(y))
        };
        of(a, b).or_else(|| of(b, a))
    }

    /// Returns the operands of node `k` as a layer.
    fn layer(&self, k: usize) -> Option<[usize; 3]> {
        let node = &self.nodes[k];
        let (Op::Binary(Binary::Add), &[a, b]) = (&node.op, &node.of[..]) else { return None };
        let of = |product: usize, added: usize| {
            let (product, added) = (self.used(product, 1)?, (added, self.nodes[added].shape));
            let fits = [node.shape, Shape::new(1, node.shape.cols)].contains(&added.1);
            let layer = product.op == PRODUCT && product.shape == node.shape && fits;
            layer.then(|| [product.of[0], product.of[1], added.0])
        };
        of(a, b).or_else(|| of(b, a))
    }

    /// Returns losses of the scores `z`, which must have `times` uses.
    fn found(
        &self,
        losses: Losses,
        z: usize,
        times: usize,
        targets: Option<usize>,
    ) -> Option<Found> {
        let scores = self.used(z, times)?;
        let fits = targets.is_none_or(|y| {
            self.data[y] && scores.shape.cols == 1 && self.nodes[y].shape == scores.shape
        });
        let whole = scores.op == PRODUCT && self.data[scores.of[0]] && fits;
        whole.then_some(Found { losses, z, targets })
    }

    /// Returns node `k` if it has `times` uses.
    fn used(&self, k: usize, times: usize) -> Option<&Node> {
        (self.uses[k] == times).then(|| &self.nodes[k])
    }

    /// Returns node `k`, or the node of which it is the negative, if these have one use.
    fn signed(&self, k: usize) -> Option<(&Node, bool)> {
        let node = self.used(k, 1)?;
        match node.op {
            Op::Unary(Unary::Scale(-1.0)) => Some((self.used(node.of[0], 1)?, true)),
            _ => Some((node, false)),
        }
    }

    /// Adds the operation to the builder.
    fn push<T: Element>(
        &self,
        builder: &mut Builder<T>,
        place: &[usize],
        Found { losses, z, targets }: Found,
        weights: Option<usize>,
    ) -> Result<usize, GraphError> {
        let scores = &self.nodes[z];
        let mut of: Vec<usize> = scores.of.iter().map(|&of| place[of]).collect();
        of.extend(targets.into_iter().chain(weights).map(|k| place[k]));
        let op = Op::Fused(Fused::Loss { losses, weighted: weights.is_some() });
        builder.push_rows(op, &of, scores.rows)
    }
}
