//! `GradientTape`: the gradient of the inner loss at one step, recorded as it is computed, so that both of its products can
//! be had later without evaluating the loss again.
//!
//! The sweep that computes the gradient is recorded too (reverse over reverse), and its pull-back of `v` is
//! `d2g/dw2 v` at `w` and `(d2g/dw dx)^T v` at `x`. The same sums as forward over reverse, in another order.
//!
//! Memory: `w`, `x`, and every value and record of loss and sweep, in all blocks of rows. Linearisations belong to lanes,
//! so threads share recording and pulling as they share a gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hypertape_autodiff::passes::{Bars, Group, Recorded, Wanted};
use hypertape_autodiff::{Arena, Element, Fault, Linearisation, List, Piece, Tape, Var, axpy};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::oracle::lens::Lens;
use crate::oracle::passes::{Arrays, Stages};
use crate::oracle::results::{in_function, pass};
use crate::oracle::view::{Point, StepTape};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;
use crate::rows::Rows;

/// What a recording borrows from: the problem and the point.
struct Origin<P, T> {
    lens: Arc<Arrays<Lens<P, T>>>,
    w: Vec<T>,
    x: Vec<T>,
}

/// The tape of one step of a problem.
pub(crate) struct GradientTape<'p, P, T: 'static> {
    at: Arc<Origin<P, T>>,
    lanes: Vec<Mutex<Linearisation<'p, T>>>,
}

impl<'p, T: Element, P: Bilevel<T> + 'p> GradientTape<'p, P, T> {
    /// Nothing recorded yet.
    pub(crate) fn new(lens: Arc<Arrays<Lens<P, T>>>) -> Self {
        let at = Origin { lens, w: Vec::new(), x: Vec::new() };
        Self { at: Arc::new(at), lanes: Vec::new() }
    }
}

/// A lane, also after a thread died with it: recording starts by emptying it.
fn lock<'l, 'd, T>(lane: &'l Mutex<Linearisation<'d, T>>) -> MutexGuard<'l, Linearisation<'d, T>> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'p, T: Element, P: Bilevel<T> + 'p> StepTape<T> for GradientTape<'p, P, T> {
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let blocks = memory.cut(self.at.lens.0.blocks(point.draw));
        let plan = memory.sharing(blocks.len());
        self.lanes.resize_with(plan.lanes(), Mutex::default);
        self.clear();
        // The lanes have let go of the former point, so its memory can be written to.
        let lens = Arc::clone(&self.at.lens);
        match Arc::get_mut(&mut self.at) {
            Some(Origin { w, x, .. }) => {
                w.clear();
                w.extend_from_slice(point.w);
                x.clear();
                x.extend_from_slice(point.x);
            }
            None => self.at = Arc::new(Origin { lens, w: point.w.to_vec(), x: point.x.to_vec() }),
        }
        let (at, lanes) = (&self.at, &self.lanes);
        memory.sum(blocks.len(), [gradient, &mut []], &|workspace, block, first, [out, _]| {
            let (home, _) = workspace.arenas();
            let mut value = T::zero();
            lock(&lanes[plan.lane(block)]).record(at, |at, arena| {
                home.lend_tally(arena);
                let rows = blocks.nth(block);
                let recorded = pass(Level::Inner.function(), || {
                    let out = Bars::new(at.lens.0.inner_start.shapes(), out, &mut []);
                    at.record(point.draw, rows, arena, out.added(!first))
                });
                arena.lend_tally(home);
                let (loss, piece) = recorded?;
                value = loss;
                Ok::<_, Error>(piece)
            })?;
            Ok(value)
        })
    }

    fn pull(&self, memory: &mut Workspaces<T>, v: &[T], out: [&mut [T]; 2]) -> Result<(), Error> {
        let lens = &self.at.lens;
        let arrays = [&lens.0.inner_start, &lens.0.start].map(Params::shapes);
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
            pulled.map_err(in_function(Level::Inner.function()))?;
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

impl<T: Element, P: Bilevel<T>> Origin<P, T> {
    /// Records the gradient of one block of rows.
    fn record<'a>(
        &'a self,
        draw: Draw,
        rows: Rows,
        arena: &'a Arena,
        out: Bars<T>,
    ) -> Result<(T, Piece<'a, T>), Fault> {
        let run = Tape::new(arena)?;
        let variables = |params: &'a Params<T>, values| {
            let arrays = Group::new(params.shapes(), values).load(arena)?;
            Ok(arrays.into_iter().map(|array| run.variable(array)).collect::<List<_>>())
        };
        let w = variables(&self.lens.0.inner_start, &self.w)?;
        let x = variables(&self.lens.0.start, &self.x)?;
        // The tape of the gradient, whose sweep is recorded on the tape of the run.
        let groups = [(&w[..], Wanted::All), (&x[..], Wanted::Nothing)];
        let f = |[w, x]: [&[Var<'a, _>]; 2]| self.lens.0.problem.inner(w, x, draw, rows);
        let (step, loss) = Recorded::new(arena, groups, f)?;
        let (value, pulled) = step.pull_scalar("a loss", loss, arena)?;
        pulled.write([out, Bars::new(&[], &mut [], &mut [])]);
        let adjoints = pulled.of(0).zip(&w);
        let outputs =
            adjoints.map(|(adjoint, w)| adjoint.unwrap_or_else(|| run.passive(w.value())));
        let outputs: List<_> = outputs.collect();
        Ok((value, Piece::new(run, w.into_iter().chain(x), outputs.into_iter())?))
    }
}
