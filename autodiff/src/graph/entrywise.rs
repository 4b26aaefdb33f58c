//! Recognises graphs that treat all entries of some inputs alike, so that arrays may be joined to one.

use crate::array::element::Element;
use crate::graph::Graph;
use crate::graph::operations::Op;
use crate::shape::Shape;

impl<T: Element> Graph<T> {
    /// Returns whether each entry of a result is the same function of the entries at its place of the inputs that
    /// `moving` names, and of numbers that depend on other inputs alone.
    ///
    /// Such a graph may be evaluated on several arrays that are joined to one. The answer follows from the operations:
    /// `true` is certain. Cost: one pass over the nodes.
    ///
    /// ```
    /// use hypertape_autodiff::graph::Tracer;
    /// use hypertape_autodiff::{Array, Shape};
    /// let tracer = Tracer::<f64>::new();
    /// let [w, g] = ["w", "g"].map(|name| tracer.input(name, Shape::new(3, 2)));
    /// let x = tracer.input("x", Shape::column(5));
    /// let descent = tracer.finish(&[w - g * x.sum().exp()])?;
    /// assert!(descent.is_entrywise(|name| name != "x"));
    ///
    /// let tracer = Tracer::<f64>::new();
    /// let [w, g] = ["w", "g"].map(|name| tracer.input(name, Shape::new(3, 2)));
    /// let normalised = tracer.finish(&[w - g / g.norm()])?;
    /// assert!(!normalised.is_entrywise(|_| true));
    /// # Ok::<(), hypertape_autodiff::graph::GraphError>(())
    /// ```
    pub fn is_entrywise(&self, moving: impl Fn(&str) -> bool) -> bool {
        let mut shapes = self.inputs.iter().filter(|input| moving(&input.name)).map(|i| i.shape);
        let Some(shape) = shapes.next().filter(|&first| shapes.all(|other| other == first)) else {
            return false;
        };
        let mut moves = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let (found, alike) = match &node.op {
                Op::Input(number) => (moving(&self.inputs[*number].name), true),
                op => {
                    let entrywise = matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Select {});
                    let fits = |&of: &usize| moves[of] || self.nodes[of].shape == Shape::SCALAR;
                    let alike = entrywise && node.shape == shape && node.of.iter().all(fits);
                    (node.of.iter().any(|&of| moves[of]), alike)
                }
            };
            if found && !alike {
                return false;
            }
            moves.push(found);
        }
        self.outputs.iter().all(|&output| moves[output])
    }
}
