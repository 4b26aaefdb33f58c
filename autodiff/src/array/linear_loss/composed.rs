//! Losses of linear models by operations that every array type has.

use crate::array::element::Element;
use crate::array::linear_loss::{Asked, Fitted, Kept, NAME, Parts, RowLoss};
use crate::array::{Array, ProductForm};
use crate::fault::Fault;
use crate::shape::{Axis, Shape};

impl<'a, T: Element, A: Array<'a, Elem = T>> Kept<'a, A, T> {
    /// Returns the same with `f` applied to every array.
    pub(crate) fn map(&self, f: impl Fn(A) -> A) -> Self {
        let Parts { value, gradient, losses } = self.parts;
        let parts = Parts { value: f(value), gradient: gradient.map(&f), losses: f(losses) };
        Self { of: self.of, w: f(self.w), p: self.p.map(f), parts }
    }

    /// Returns the tangents of the adjoint of `w`, moved up by one place, where `c` is the adjoint of the value. Only
    /// the tangents were computed with the value, so if `c` has tangents too, the gradient is computed again.
    pub(crate) fn tangents_only(&self, c: A) -> Option<A> {
        if c.tangents_only().is_none() {
            return self.parts.gradient.map(|gradient| gradient * c.detach());
        }
        let parts = self.w.linear_loss_parts(self.of, self.p, Asked::Gradient);
        parts.gradient.and_then(|gradient| (gradient * c).tangents_only())
    }
}

impl<'a, T: Element> Fitted<'a, T> {
    /// Returns the shape of the rows for `w`, or a fault if something does not match.
    pub(super) fn shape<A: Array<'a, Elem = T>>(self, w: A, p: Option<A>) -> Result<Shape, Fault> {
        let (rows, of) = (u32::try_from(self.loss.rows()).unwrap_or(u32::MAX), w.shape());
        let shape = Shape::new(rows, of.rows);
        let one = matches!(self.loss, RowLoss::CrossEntropy(_)) || of.cols == 1;
        if shape.len() != self.samples.len() || !one {
            return Err(Fault::Shapes { operation: NAME, left: shape, right: of });
        }
        match p.map(Array::shape) {
            Some(found) if found != Shape::column(rows) => {
                Err(Fault::Shapes { operation: NAME, left: shape, right: found })
            }
            _ => Ok(shape),
        }
    }

    /// Computes the parts by operations that every type has.
    pub(crate) fn composed<A: Array<'a, Elem = T>>(
        self,
        w: A,
        p: Option<A>,
        asked: Asked,
    ) -> Parts<A> {
        let shape = match self.shape(w, p) {
            Ok(shape) => shape,
            Err(fault) => return faulty(w, fault),
        };
        let x = w.constant(shape, self.samples);
        let (losses, slope) = self.loss.composed(x.matmul(w), asked != Asked::Value);
        let value = p.map_or_else(|| losses.sum(), |p| p.dot(losses));
        let slope = slope.map(|slope| p.map_or(slope, |p| slope * p));
        let gradient = slope.and_then(|slope| match asked {
            Asked::Tangents => x.product_tangents_only(ProductForm::left(true, false), slope),
            _ => Some(x.matmul_transposed(true, slope, false)),
        });
        Parts { value, gradient, losses }
    }
}

impl<'a, T: Element> RowLoss<'a, T> {
    /// Returns the loss of each row of `scores`, as a column.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, RowLoss, Shape, Tensor};
    /// let arena = Arena::new();
    /// let scores = Tensor::new(&arena, Shape::column(2), &[1.0, 3.0]);
    /// assert_eq!(RowLoss::Squared(&[1.0, 5.0]).of(scores).values(), [0.0, 4.0]);
    /// ```
    pub fn of<A: Array<'a, Elem = T>>(self, scores: A) -> A {
        self.composed(scores, false).0
    }

    /// Returns the same and, if wanted, its slope in the scores.
    fn composed<A: Array<'a, Elem = T>>(self, z: A, slope: bool) -> (A, Option<A>) {
        match self {
            Self::Squared(targets) => {
                let gap = z - z.constant(z.shape(), targets);
                (gap.square(), slope.then(|| gap * 2.0))
            }
            Self::Logistic(targets) | Self::Softplus(targets) => {
                let y = z.constant(z.shape(), targets);
                let y = if matches!(self, Self::Logistic(_)) { -y } else { y };
                let margin = z * y;
                (margin.softplus(), slope.then(|| margin.sigmoid() * y))
            }
            Self::CrossEntropy(labels) => {
                let (sums, shares) = z.softmax_parts(Axis::Columns);
                let hits = || z.scalar(1.0).broadcast_to(sums.shape());
                let slope = slope.then(|| shares - hits().place(labels, z.shape().cols));
                (sums - z.pick(labels), slope)
            }
        }
    }
}

/// Raises a fault and returns empty parts.
pub(super) fn faulty<'a, A: Array<'a>>(w: A, fault: Fault) -> Parts<A> {
    w.arena().raise(fault);
    let empty = w.constant(Shape::EMPTY, &[]);
    Parts { value: empty, gradient: None, losses: empty }
}
