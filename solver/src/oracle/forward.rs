//! Forward passes: up to [`TOGETHER`] directions at once, which share values, slopes and the data that they are read from.

use hypertape_autodiff::{Arena, Array, Dual, Element, Fault, List, Tape, Tensor};

use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::lens::Lens;
use crate::oracle::results::{collect, in_function, scalar};
use crate::oracle::view::{Loss, Point, TOGETHER};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;

/// How `w_0` moves along each of the directions in `dx`.
pub(crate) fn push_init<T: Element, P: Bilevel<T>>(
    lens: &Lens<P, T>,
    memory: &mut Workspaces<T>,
    (x, dx): (&[T], &[T]),
    draw: Draw,
    dw: &mut [T],
) -> Result<(), Error> {
    let fault = in_function("init");
    let (record, _) = memory.first().arenas();
    let x = duals(record, &lens.start, x, dx).map_err(&fault)?;
    let start = lens.problem.init(&x, draw);
    record.status().map_err(&fault)?;
    let p = lens.inner_start.values().len();
    dw.fill(T::zero());
    for (k, column) in dw.chunks_exact_mut(p.max(1)).enumerate() {
        let mut rest = column;
        for (array, shape) in start.iter().zip(lens.inner_start.shapes()) {
            let (piece, others) = rest.split_at_mut(shape.len());
            rest = others;
            if let Some(tangent) = array.tangents()[k] {
                piece.copy_from_slice(tangent.values());
            }
        }
    }
    Ok(())
}

/// Writes `dg/dw`, and how it moves when `w` and `x` move along each of the directions in `moving`, by a reverse sweep over
/// tangents.
pub(crate) fn push_gradient<T: Element, P: Bilevel<T>>(
    lens: &Lens<P, T>,
    memory: &mut Workspaces<T>,
    point: Point<T>,
    [dw, dx]: [&[T]; 2],
    out: [&mut [T]; 2],
) -> Result<(), Error> {
    let loss = Loss::Inner;
    let fault = in_function(loss.name());
    let p = point.w.len().max(1);
    let sum =
        memory.sum(lens.blocks(point.draw).len(), out, &|workspace, block, first, [g, pushed]| {
            let (record, sweep) = workspace.arenas();
            let tape = Tape::new(record).map_err(&fault)?;
            let w = duals(record, &lens.inner_start, point.w, dw).map_err(&fault)?;
            let w: List<_> = w.into_iter().map(|w| tape.variable(w)).collect();
            let x = duals(record, &lens.start, point.x, dx).map_err(&fault)?;
            let x: List<_> = x.into_iter().map(|x| tape.passive(x)).collect();
            let value = loss.eval(&lens.problem, &w, &x, point.draw, lens.block(point.draw, block));
            record.status().map_err(&fault)?;
            let total = scalar(value).map_err(&fault)?;
            let seed = value.value().within(sweep).scalar(1.0);
            let seeds: List<_> = value.id().map(|id| (id, seed)).into_iter().collect();
            let adjoints = tape.finish().pull(&seeds, sweep);
            sweep.status().map_err(&fault)?;
            collect(&adjoints, &w, |a| Some(a.value()), first, g);
            for (k, pushed) in pushed.chunks_exact_mut(p).enumerate() {
                collect(&adjoints, &w, |a| a.tangents()[k], first, pushed);
            }
            Ok(total)
        });
    sum.map(|_| ())
}

/// A flat point, cut like `params`, with the flat directions that `moving` holds one after the other.
fn duals<'a, T: Element>(
    arena: &'a Arena,
    params: &Params<T>,
    at: &'a [T],
    moving: &'a [T],
) -> Result<List<Dual<Tensor<'a, T>, TOGETHER>>, Fault> {
    let split = |flat| Tensor::split(arena, params.shapes(), flat);
    let mut duals: List<_> =
        split(at)?.into_iter().map(|a| Dual::new(a, [None; TOGETHER])).collect();
    for (k, direction) in moving.chunks_exact(at.len().max(1)).enumerate() {
        for (dual, tangent) in duals.iter_mut().zip(split(direction)?) {
            let mut tangents = dual.tangents();
            tangents[k] = Some(tangent);
            *dual = Dual::new(dual.value(), tangents);
        }
    }
    Ok(duals)
}
