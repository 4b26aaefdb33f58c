//! Losses of linear models on plain numbers, by kernels.

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::kernels::linear_loss::{Planes, ScoreLoss};
use crate::array::kernels::product::Operand;
use crate::array::kernels::product::pack::places;
use crate::array::linear_loss::composed::faulty;
use crate::array::linear_loss::{Asked, Fitted, Moving, NAME, Parts, RowLoss};
use crate::array::tensor::Tensor;
use crate::array::{Array, List};
use crate::fault::Fault;
use crate::shape::Shape;

impl<'a, T: Element> Fitted<'a, T> {
    /// Returns the [`Parts`] of the values and of each direction, of which there are fewer than a kernel has planes.
    pub(crate) fn of_tensors(
        self,
        w: Tensor<'a, T>,
        p: Option<Tensor<'a, T>>,
        moving: Moving<Tensor<'a, T>>,
        asked: Asked,
    ) -> List<Parts<Tensor<'a, T>>> {
        computed(self, (w, p), moving, asked)
            .unwrap_or_else(|fault| List::from_elem(faulty(w, fault), 1 + moving.len()))
    }
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
    // Operands that do not move: `w` moves along zeros, `p` along an empty vector.
    let all = moving.iter().all(|(dw, _)| dw.is_some());
    let still: &[T] = if all { &[] } else { arena.fill(w.shape().len(), T::zero())? };
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
        RowLoss::Softplus(y) => of_scores(ScoreLoss::Softplus, y, &mut losses, &mut gradients),
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
        let made = |shape, data| Tensor::result(NAME, arena.form(shape), Some(data));
        let gradient = (k + wanted >= count).then(|| gradients.next()).flatten();
        parts.push(Parts {
            value: made(Shape::SCALAR, arena.fill(1, value)?),
            gradient: gradient.map(|gradient| made(w.shape(), gradient)),
            losses: made(Shape::column(shape.rows), losses[k]),
        });
    }
    Ok(parts)
}

/// Allocates `count` vectors of zeros.
fn zeros<T: Element>(arena: &Arena, count: usize, len: usize) -> Result<List<&mut [T]>, Fault> {
    let mut all = List::new();
    for _ in 0..count {
        all.push(arena.fill(len, T::zero())?);
    }
    Ok(all)
}

/// Computes the cross-entropies of the rows of `x`, where `w` has one column per class.
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
    multiply(x, &factors, &mut scores);
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
    multiply(Operand { transposed: true, ..x }, &slopes, gradients);
    Ok(())
}

/// Computes the products of `left` with each of `rights`.
fn multiply<T: Element>(left: Operand<T>, rights: &[Operand<T>], outs: &mut [&mut [T]]) {
    // SAFETY: products are numbers.
    let mut outs: List<_> = outs.iter_mut().map(|out| unsafe { places(out) }).collect();
    T::products(left, true, rights, &mut outs);
}
