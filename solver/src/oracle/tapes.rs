//! `GradientTape`: the gradient of the inner loss at one step, recorded while it is computed, so that both of its
//! products can be computed later without evaluating the loss again.
//!
//! The sweep that computes the gradient is recorded too (reverse over reverse). Its pull-back of `v` is `d2g/dw2 v` at
//! `w` and `(d2g/dw dx)^T v` at `x`. The sums are those of forward over reverse in a different order.
//!
//! Memory: `w`, `x`, and every value and record of loss and sweep, in all blocks of rows. Linearisations belong to
//! lanes, so threads share recording and pulling as they share a gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hypertape_autodiff::passes::{Bars, Group, Recorded, Wanted};
use hypertape_autodiff::{
    Arena, Array, Element, Fault, Linearisation, List, Piece, Tape, Var, axpy,
};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::oracle::passes::InMode;
use crate::oracle::results::{in_function, pass};
use crate::oracle::stepper::Taped;
use crate::oracle::view::{Point, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::rows::{Blocks, Rows};

/// A value on the tape of a gradient, whose sweep is recorded.
pub(crate) type Twice<'a, T> = Var<'a, Taped<'a, T>>;

/// A problem over the arrays of tapes. Recordings use it as a trait object, and so are compiled once, not per problem.
pub(crate) trait OnTapes<T: Element>:
    View<T> + for<'a> InMode<'a, Taped<'a, T>, Draw> + for<'a> InMode<'a, Twice<'a, T>, Draw>
{
    /// Returns the blocks of rows over which a loss is a sum.
    fn blocks(&self, draw: Draw) -> Blocks;
}

/// Returns the loss of a problem, the sum of its parts.
pub(crate) fn total<'a, A: Array<'a>>(parts: impl Iterator<Item = A>) -> Result<A, Fault> {
    let none = Fault::Length { what: "a loss", expected: 1, found: 0 };
    parts.reduce(|a, b| a + b).ok_or(none)
}

/// What a recording borrows: the problem and the point.
#[derive(Clone)]
struct Origin<'p, T> {
    problem: Arc<dyn OnTapes<T> + 'p>,
    w: Vec<T>,
    x: Vec<T>,
}

/// The tape of one step of a problem.
pub(crate) struct GradientTape<'p, T: 'static> {
    at: Arc<Origin<'p, T>>,
    lanes: Vec<Mutex<Linearisation<'p, T>>>,
}

impl<'p, T: Element> GradientTape<'p, T> {
    /// Creates a tape with nothing recorded.
    pub(crate) fn new(problem: Arc<dyn OnTapes<T> + 'p>) -> Self {
        let at = Origin { problem, w: Vec::new(), x: Vec::new() };
        Self { at: Arc::new(at), lanes: Vec::new() }
    }
}

/// Locks a lane, also after a thread panicked while it held the lock: recording starts by clearing the lane.
fn lock<'l, 'd, T>(lane: &'l Mutex<Linearisation<'d, T>>) -> MutexGuard<'l, Linearisation<'d, T>> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Element> StepTape<T> for GradientTape<'_, T> {
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let blocks = memory.cut(self.at.problem.blocks(point.draw));
        let plan = memory.sharing(blocks.len());
        self.lanes.resize_with(plan.lanes(), Mutex::default);
        self.clear();
        // The lanes no longer refer to the previous point, so its memory is overwritten, not copied.
        let Origin { w, x, .. } = Arc::make_mut(&mut self.at);
        w.clear();
        w.extend_from_slice(point.w);
        x.clear();
        x.extend_from_slice(point.x);
        let (at, lanes) = (&self.at, &self.lanes);
        memory.sum(blocks.len(), [gradient, &mut []], &|workspace, block, first, [out, _]| {
            let (home, _) = workspace.arenas();
            let mut value = T::zero();
            lock(&lanes[plan.lane(block)]).record(at, |at, arena| {
                home.lend_tally(arena);
                let rows = blocks.nth(block);
                let recorded = pass(Level::Inner.function(), || {
                    let out = Bars::new(at.problem.starts()[1].shapes(), out, &mut []);
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
        let [of_x, of_w] = self.at.problem.starts().map(Params::shapes);
        let sum = memory.sum(self.lanes.len(), out, &|workspace, lane, _, [hv, bv]| {
            hv.fill(T::zero());
            bv.fill(T::zero());
            let (_, sweep) = workspace.arenas();
            let pulled = lock(&self.lanes[lane]).pull(v, sweep, |input, part| {
                let (out, shapes, i) = match input.checked_sub(of_w.len()) {
                    None => (&mut *hv, of_w, input),
                    Some(i) => (&mut *bv, of_x, i),
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

impl<T: Element> Origin<'_, T> {
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
        let [of_x, of_w] = self.problem.starts();
        let (w, x) = (variables(of_w, &self.w)?, variables(of_x, &self.x)?);
        // The tape of the gradient, whose sweep is recorded on the tape of the run.
        let groups = [(&w[..], Wanted::All), (&x[..], Wanted::Nothing)];
        let (step, loss) =
            Recorded::new(arena, groups, |[w, x]| self.problem.scalar(draw, rows, [w, x, &[]]))?;
        let (value, pulled) = step.pull_scalar("a loss", total(loss.into_iter())?, arena)?;
        pulled.write([out, Bars::new(&[], &mut [], &mut [])]);
        let adjoints = pulled.of(0).zip(&w);
        let outputs =
            adjoints.map(|(adjoint, w)| adjoint.unwrap_or_else(|| run.passive(w.value())));
        let outputs: List<_> = outputs.collect();
        Ok((value, Piece::new(run, w.into_iter().chain(x), outputs.into_iter())?))
    }
}
