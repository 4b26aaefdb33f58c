//! [`RowLoss`]: losses of linear models, `sum_i p_i l(X_i W, y_i)` over the rows of a constant matrix, as one operation.
//!
//! ```text
//! value       sum_i p_i l_i                      l_i = l(X_i W, y_i)
//! by W        X' S                               S_i = p_i l'(X_i W, y_i)
//! by p        l
//! tangents    X' dS                              dS_i = p_i l''(X_i W, y_i) X_i dW + dp_i l'(X_i W, y_i)
//! ```
//!
//! A sum is a scalar, so its gradient is known up to a factor when it is evaluated: a tape computes both then, so that a row
//! is read once, and its sweep only multiplies. [`Tensor`] and its tangents have a way of their own; every other type takes
//! the formulas above by operations that it has.

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::kernels::linear_loss::{Planes, ScoreLoss};
use crate::array::kernels::product::Operand;
use crate::array::tensor::Tensor;
use crate::array::{Array, List, Side};
use crate::fault::Fault;
use crate::shape::Shape;

pub(crate) const NAME: &str = "linear_loss";

/// The loss of a row of scores `z`, for targets one a row.
#[derive(Clone, Copy, Debug)]
pub enum RowLoss<'a, T> {
    /// `(z - y)^2` of one score.
    Squared(&'a [T]),
    /// `ln(1 + e^{-y z})` of one score, for `y` of -1 and 1.
    Logistic(&'a [T]),
    /// `ln sum_c e^{z_c} - z_y` of a score a class `0, 1, ...`, for the class `y`.
    CrossEntropy(&'a [u32]),
}

impl<T> RowLoss<'_, T> {
    /// Number of targets.
    pub fn rows(&self) -> usize {
        match self {
            Self::Squared(targets) | Self::Logistic(targets) => targets.len(),
            Self::CrossEntropy(labels) => labels.len(),
        }
    }
}

/// The rows of a matrix, and their loss.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a, T> {
    pub samples: &'a [T],
    pub loss: RowLoss<'a, T>,
}

/// What is asked for beside the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Value,
    /// The tangents of the gradient, moved up by one place.
    Tangents,
    /// The gradient.
    Gradient,
}

/// What there is to know of a loss.
#[derive(Clone, Copy, Debug)]
pub struct Parts<A> {
    /// `sum_i p_i l_i`
    pub value: A,
    /// `X' S`, as it was asked for.
    pub gradient: Option<A>,
    /// `l`, a column.
    pub losses: A,
}

/// What a record refers to.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a, A, T> {
    pub(crate) of: Fitted<'a, T>,
    pub(crate) w: A,
    pub(crate) p: Option<A>,
    pub(crate) parts: Parts<A>,
}

impl<'a, T: Element, A: Array<'a, Elem = T>> Kept<'a, A, T> {
    /// With every array replaced.
    pub(crate) fn map(&self, f: impl Fn(A) -> A) -> Self {
        let Parts { value, gradient, losses } = self.parts;
        let parts = Parts { value: f(value), gradient: gradient.map(&f), losses: f(losses) };
        Self { of: self.of, w: f(self.w), p: self.p.map(f), parts }
    }

    /// The tangents of the adjoint of `w`, moved up, where that of the value is `c`. Only they were asked for: where `c` moves
    /// too, the gradient is computed once more.
    pub(crate) fn tangents_up(&self, c: A) -> Option<A> {
        if c.tangents_up().is_none() {
            return self.parts.gradient.map(|gradient| gradient * c.detach());
        }
        let parts = self.w.linear_loss_parts(self.of, self.p, Asked::Gradient);
        parts.gradient.and_then(|gradient| (gradient * c).tangents_up())
    }
}

impl<'a, T: Element> Fitted<'a, T> {
    /// The shape of the rows for `w`, if all fit.
    fn shape<A: Array<'a, Elem = T>>(self, w: A, p: Option<A>) -> Result<Shape, Fault> {
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

    /// By operations that every type has.
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
            Asked::Tangents => x.product_tangents_up(true, Side::Left, slope, false),
            _ => Some(x.matmul_transposed(true, slope, false)),
        });
        Parts { value, gradient, losses }
    }
}

impl<'a, T: Element> RowLoss<'a, T> {
    /// The loss of each row of `scores`, a column.
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

    /// The same and, if wanted, its slope by the scores.
    fn composed<A: Array<'a, Elem = T>>(self, z: A, slope: bool) -> (A, Option<A>) {
        match self {
            Self::Squared(targets) => {
                let gap = z - z.constant(z.shape(), targets);
                (gap.square(), slope.then(|| gap * 2.0))
            }
            Self::Logistic(targets) => {
                let y = z.constant(z.shape(), targets);
                let margin = -(z * y);
                (margin.softplus(), slope.then(|| margin.sigmoid() * -y))
            }
            Self::CrossEntropy(labels) => {
                let (sums, shares) = z.softmax_parts();
                let hits = || z.scalar(1.0).broadcast_to(sums.shape());
                let slope = slope.then(|| shares - hits().place(labels, z.shape().cols));
                (sums - z.pick(labels), slope)
            }
        }
    }
}

/// What a fault leaves behind.
fn faulty<'a, A: Array<'a>>(w: A, fault: Fault) -> Parts<A> {
    w.arena().raise(fault);
    let empty = w.constant(Shape::EMPTY, &[]);
    Parts { value: empty, gradient: None, losses: empty }
}

/// Directions in which `w` and `p` move; none of them is absent from both.
pub(crate) type Moving<'k, A> = &'k [(Option<A>, Option<A>)];

/// [`Parts`] of plain values, and of each direction, of which there are fewer than [`PLANES`].
pub(crate) fn of_tensors<'a, T: Element>(
    fitted: Fitted<'a, T>,
    w: Tensor<'a, T>,
    p: Option<Tensor<'a, T>>,
    moving: Moving<Tensor<'a, T>>,
    asked: Asked,
) -> List<Parts<Tensor<'a, T>>> {
    computed(fitted, (w, p), moving, asked)
        .unwrap_or_else(|fault| List::from_elem(faulty(w, fault), 1 + moving.len()))
}

fn computed<'a, T: Element>(
    Fitted { samples, loss }: Fitted<'a, T>,
    (w, p): (Tensor<'a, T>, Option<Tensor<'a, T>>),
    moving: Moving<Tensor<'a, T>>,
    asked: Asked,
) -> Result<List<Parts<Tensor<'a, T>>>, Fault> {
    let (arena, shape) = (w.arena(), Fitted { samples, loss }.shape(w, p)?);
    let count = 1 + moving.len();
    let wanted = match asked {
        Asked::Value => 0,
        Asked::Tangents => moving.len(),
        Asked::Gradient => count,
    };
    // What does not move: `w` along zeros, `p` along nothing.
    let still: &[T] = match moving.iter().all(|(dw, _)| dw.is_some()) {
        true => &[],
        false => arena.fill(w.shape().len(), T::zero())?,
    };
    let plane = |plane: Option<Tensor<'a, T>>, still: &'a [T]| plane.map_or(still, Array::values);
    let first = std::iter::once((Some(w), p));
    let all = || first.clone().chain(moving.iter().copied());
    let ws: List<&[T]> = all().map(|(w, _)| plane(w, still)).collect();
    let ps: List<&[T]> = all().map(|(_, p)| plane(p, &[])).collect();
    let mut losses = zeros(arena, count, loss.rows())?;
    let mut gradients = zeros(arena, wanted, w.shape().len())?;
    let of_scores = |loss, targets, losses, gradients| {
        let planes = Planes { w: &ws, p: &ps, losses, gradients };
        T::linear_losses(loss, samples, targets, planes);
    };
    match loss {
        RowLoss::Squared(y) => of_scores(ScoreLoss::Squared, y, &mut losses, &mut gradients),
        RowLoss::Logistic(y) => of_scores(ScoreLoss::Logistic, y, &mut losses, &mut gradients),
        RowLoss::CrossEntropy(labels) => {
            let x = Operand { data: samples, shape, transposed: false };
            of_classes(arena, (x, w.shape()), labels, [&ws, &ps], (&mut losses, &mut gradients))?;
        }
    }
    let sum = |p: &[T], losses: &[T]| if p.is_empty() { T::sum(losses) } else { T::dot(p, losses) };
    let (losses, mut gradients) =
        (losses.into_iter().map(|l| &*l).collect::<List<&[T]>>(), gradients.into_iter());
    let mut parts = List::new();
    for k in 0..count {
        let mut value = sum(ps[0], losses[k]);
        if k > 0 && !ps[k].is_empty() {
            value += T::dot(ps[k], losses[0]);
        }
        let made = |shape, data| Tensor::result(arena, NAME, shape, Ok(data));
        let gradient = (k + wanted >= count).then(|| gradients.next()).flatten();
        parts.push(Parts {
            value: made(Shape::SCALAR, arena.fill(1, value)?),
            gradient: gradient.map(|gradient| made(w.shape(), gradient)),
            losses: made(Shape::column(shape.rows), losses[k]),
        });
    }
    Ok(parts)
}

/// So many vectors of zeros.
fn zeros<T: Element>(arena: &Arena, count: usize, len: usize) -> Result<List<&mut [T]>, Fault> {
    let mut all = List::new();
    for _ in 0..count {
        all.push(arena.fill(len, T::zero())?);
    }
    Ok(all)
}

/// Cross-entropies of the rows of `x`, with a column of `w` a class.
fn of_classes<T: Element>(
    arena: &Arena,
    (x, of): (Operand<T>, Shape),
    labels: &[u32],
    [w, p]: [&[&[T]]; 2],
    (losses, gradients): (&mut [&mut [T]], &mut [&mut [T]]),
) -> Result<(), Fault> {
    let length = of.cols as usize;
    if let Some(&index) = labels.iter().find(|&&label| label >= of.cols) {
        return Err(Fault::Index { operation: NAME, index: index as usize, length });
    }
    let operand = |shape| move |data| Operand { data, shape, transposed: false };
    let mut scores = zeros(arena, w.len(), labels.len() * length)?;
    let factors: List<Operand<T>> = w.iter().copied().map(operand(of)).collect();
    T::products(x, true, &factors, &mut scores);
    if scores[0].is_empty() {
        return Ok(());
    }
    let shares = arena.fill(scores[0].len(), T::zero())?;
    T::softmax_rows(scores[0], length, losses[0], shares);
    for (loss, (row, &label)) in losses[0].iter_mut().zip(scores[0].chunks(length).zip(labels)) {
        *loss = *loss - row[label as usize];
    }
    scores[0] = shares;
    T::class_slopes(labels, &mut scores, p, losses);
    let shape = Shape::new(x.shape.rows, of.cols);
    let skipped = w.len() - gradients.len();
    let slopes: List<Operand<T>> =
        scores[skipped..].iter().map(|slope| operand(shape)(&**slope)).collect();
    T::products(Operand { transposed: true, ..x }, true, &slopes, gradients);
    Ok(())
}

#[cfg(test)]
mod tests;
