//! Recognises graphs that are affine in some of their inputs, so that the derivatives with respect to these do not
//! depend on their values.

use crate::array::element::Element;
use crate::array::kernels::elementwise::Binary;
use crate::functions::rule::Unary;
use crate::graph::Graph;
use crate::graph::operations::Op;

/// How a node depends on the inputs that move.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Dependence {
    Fixed,
    Affine,
    Other,
}

use Dependence::{Affine, Fixed, Other};

impl<T: Element> Graph<T> {
    /// Returns whether all results are affine in the inputs that `moving` names, taken together, with the others fixed.
    ///
    /// The answer follows from the operations: `true` is certain, and `false` means that some result passes through an
    /// operation that is not affine as it stands, although the whole may be. Cost: one pass over the nodes.
    ///
    /// ```
    /// use hypertape_autodiff::graph::Tracer;
    /// use hypertape_autodiff::{Array, Shape};
    /// // A step of gradient descent whose size is e^x.
    /// let tracer = Tracer::<f64>::new();
    /// let [w, g, x] = ["w", "g", "x"].map(|name| tracer.input(name, Shape::SCALAR));
    /// let graph = tracer.finish(&[w - x.exp() * g])?;
    /// assert!(graph.is_affine(|name| name != "x"));
    /// assert!(!graph.is_affine(|name| name != "w")); // a product of x and g
    /// # Ok::<(), hypertape_autodiff::graph::GraphError>(())
    /// ```
    pub fn is_affine(&self, moving: impl Fn(&str) -> bool) -> bool {
        let mut known = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of = |k: usize| node.of.get(k).map_or(Fixed, |&of| known[of]);
            let either = node.of.iter().map(|&of| known[of]).max().unwrap_or(Fixed);
            known.push(match &node.op {
                Op::Input(number) if moving(&self.inputs[*number].name) => Affine,
                _ if either == Fixed => Fixed,
                Op::Cut | Op::Binary(Binary::Add | Binary::Sub) | Op::Unary(Unary::Shift(_)) => {
                    either
                }
                op if op.is_linear() => either,
                Op::Select {} if of(0) == Fixed => either,
                op if op.is_bilinear() && of(0).min(of(1)) == Fixed => either,
                // These are linear in the first operand.
                Op::Binary(
                    Binary::Div | Binary::Keep | Binary::Drop | Binary::Share | Binary::Passed,
                ) if of(1) == Fixed => either,
                _ => Other,
            });
        }
        self.outputs.iter().all(|&output| known[output] != Other)
    }
}
