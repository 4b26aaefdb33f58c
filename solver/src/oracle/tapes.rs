//! `Kept`: the gradient of the inner loss at one step, recorded as it is computed, so that both of its products can
//! be had later without evaluating the loss again.
//!
//! The sweep that computes the gradient is recorded too (reverse over reverse), and its pull-back of `v` is
//! `d2g/dw2 v` at `w` and `(d2g/dw dx)^T v` at `x`. The same sums as forward over reverse, in another order.
//!
//! Memory: `w`, `x`, and every value and record of loss and sweep, in all blocks of rows. Linearisations belong to lanes,
//! so threads share recording and pulling as they share a gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hypertape_autodiff::{Arena, Array, Element, Linearisation, List, Piece, Tape, Tensor, axpy};

use crate::draw::Draw;
use crate::error::Error;
use crate::oracle::lanes::Plan;
use crate::oracle::lens::{Lens, each};
use crate::oracle::results::{collect, in_function, scalar};
use crate::oracle::view::{Loss, Point, StepTape};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;

/// What a recording borrows from: the problem and the point.
struct At<P, T> {
    lens: Arc<Lens<P, T>>,
    w: Vec<T>,
    x: Vec<T>,
}

/// The tape of one step of a problem.
pub(crate) struct Kept<'p, P, T: 'static> {
    at: Arc<At<P, T>>,
    lanes: Vec<Mutex<Linearisation<'p, T>>>,
}

impl<'p, T: Element, P: Bilevel<T> + 'p> Kept<'p, P, T> {
    /// Nothing recorded yet.
    pub(crate) fn new(lens: Arc<Lens<P, T>>) -> Self {
        let at = At { lens, w: Vec::new(), x: Vec::new() };
        Self { at: Arc::new(at), lanes: Vec::new() }
    }
}

/// A lane, also after a thread died with it: recording starts by emptying it.
fn lock<'l, 'd, T>(lane: &'l Mutex<Linearisation<'d, T>>) -> MutexGuard<'l, Linearisation<'d, T>> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'p, T: Element, P: Bilevel<T> + 'p> StepTape<T> for Kept<'p, P, T> {
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let blocks = self.at.lens.blocks(point.draw).len();
        let plan = Plan::new(blocks, memory.workers());
        self.lanes.resize_with(plan.lanes(), Mutex::default);
        self.clear();
        // The lanes have let go of the former point, so its memory can be written to.
        let lens = Arc::clone(&self.at.lens);
        match Arc::get_mut(&mut self.at) {
            Some(At { w, x, .. }) => {
                w.clear();
                w.extend_from_slice(point.w);
                x.clear();
                x.extend_from_slice(point.x);
            }
            None => self.at = Arc::new(At { lens, w: point.w.to_vec(), x: point.x.to_vec() }),
        }
        let (at, lanes) = (&self.at, &self.lanes);
        memory.sum(blocks, [gradient, &mut []], &|workspace, block, first, [out, _]| {
            let (home, _) = workspace.arenas();
            let mut value = T::zero();
            lock(&lanes[plan.lane(block)]).record(at, |at, arena| {
                home.lend_tally(arena);
                let recorded = record(at, point.draw, block, first, arena, out);
                arena.lend_tally(home);
                let (loss, piece) = recorded?;
                value = loss;
                Ok::<_, Error>(piece)
            })?;
            Ok(value)
        })
    }

    fn pull(
        &self,
        memory: &mut Workspaces<T>,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        let lens = &self.at.lens;
        let arrays = [&lens.inner_start, &lens.start].map(Params::shapes);
        let out = [hessian_product, mixed_product];
        let sum = memory.sum(self.lanes.len(), out, &|workspace, lane, _, [hv, bv]| {
            hv.fill(T::zero());
            bv.fill(T::zero());
            let (_, sweep) = workspace.arenas();
            let pulled = lock(&self.lanes[lane]).pull(v, sweep, |input, part| {
                let (out, shapes, i) = match input.checked_sub(arrays[0].len()) {
                    None => (&mut *hv, arrays[0], input),
                    Some(i) => (&mut *bv, arrays[1], i),
                };
                let start: usize = shapes[..i].iter().map(|shape| shape.len()).sum();
                axpy(&mut out[start..], T::one(), part);
            });
            pulled.map_err(in_function(Loss::Inner.name()))?;
            Ok(T::zero())
        });
        sum.map(|_| ())
    }

    fn bytes(&self) -> usize {
        let point = (self.at.w.len() + self.at.x.len()) * size_of::<T>();
        point + self.lanes.iter().map(|lane| lock(lane).used()).sum::<usize>()
    }

    fn clear(&mut self) {
        self.lanes.iter().for_each(|lane| lock(lane).clear());
    }
}

/// Records the gradient of one block of rows and adds it to `out`, or writes it there if it is the `first`.
fn record<'a, T: Element, P: Bilevel<T>>(
    at: &'a At<P, T>,
    draw: Draw,
    block: usize,
    first: bool,
    arena: &'a Arena,
    out: &mut [T],
) -> Result<(T, Piece<'a, T>), Error> {
    let fault = in_function(Loss::Inner.name());
    let lens = &*at.lens;
    let run = Tape::new(arena).map_err(&fault)?;
    let w = Tensor::split(arena, lens.inner_start.shapes(), &at.w).map_err(&fault)?;
    let x = Tensor::split(arena, lens.start.shapes(), &at.x).map_err(&fault)?;
    let w = each(&w, &|w| run.variable(w));
    let x = each(&x, &|x| run.variable(x));
    // The tape of the gradient, whose sweep is recorded on the tape of the run.
    let step = Tape::new(arena).map_err(&fault)?;
    let variables = each(&w, &|w| step.variable(w));
    let outer = each(&x, &|x| step.passive(x));
    let loss = lens.problem.inner(&variables, &outer, draw, lens.block(draw, block));
    arena.status().map_err(&fault)?;
    let value = scalar(loss).map_err(&fault)?;
    let seeds: List<_> = loss.id().map(|id| (id, loss.value().scalar(1.0))).into_iter().collect();
    let adjoints = step.finish().pull(&seeds, arena);
    arena.status().map_err(&fault)?;
    collect(&adjoints, &variables, Some, first, out);
    let outputs: List<_> = variables
        .iter()
        .map(|variable| {
            let adjoint = variable.id().and_then(|id| adjoints.get(id));
            adjoint.unwrap_or_else(|| run.passive(variable.value().value()))
        })
        .collect();
    let piece = Piece::new(run, w.into_iter().chain(x), outputs.into_iter());
    Ok((value, piece.map_err(&fault)?))
}
