//! Evaluations for this crate's own estimators and checks: kept recordings, whole runs on one tape, and sums over other
//! blocks.

use std::sync::Arc;

use hypertape_autodiff::Element;

use crate::breakdown::Call;
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::oracle::passes::At;
use crate::oracle::view::Point;

impl<T: Element> Oracle<'_, T> {
    /// Computes [`inner_gradient`](Self::inner_gradient), keeps the recording in `slot` until it is released, and
    /// returns its bytes.
    pub(crate) fn keep_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        slot: usize,
        gradient: &mut [T],
    ) -> Result<u64, Error> {
        let (point, seen) = self.see(point, Level::Inner, step)?;
        self.pool.meter.cost.inner_gradients += 1;
        let slot = if self.rehearses() { 0 } else { slot };
        let (view, tapes) = (&self.known.view, self.known.found.tapes.len());
        if tapes <= slot {
            let new = (tapes..=slot).map(|_| (Arc::clone(view).tape(), 0)).collect::<Vec<_>>();
            self.known.found.tapes.extend(new);
        }
        let ((), bytes) =
            self.metered((Call::Record, 0, 0), |Self { known, memory, .. }| {
                let (tape, saw) = &mut known.found.tapes[slot];
                tape.record(memory, point, gradient)?;
                (*saw, known.found.kept) = (seen as u64, tape.bytes());
                Ok(())
            })?;
        if self.rehearses() {
            gradient.fill(T::zero());
        }
        let kept = self.known.found.kept;
        self.pool.meter.hold(kept);
        self.pool.meter.observe(bytes);
        Ok(kept as u64)
    }

    /// Computes [`inner_products`](Self::inner_products) at the point of the gradient recorded in `slot`, and releases
    /// the recording.
    pub(crate) fn pull_kept(
        &mut self,
        slot: usize,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        let slot = if self.rehearses() { 0 } else { slot };
        self.pool.meter.cost.samples += self.known.found.tapes[slot].1;
        self.metered((Call::PullTape, 0, 0), |Self { known, memory, .. }| {
            known.found.tapes[slot].0.pull(memory, v, [hessian_product, mixed_product])
        })?;
        let (tape, _) = &mut self.known.found.tapes[slot];
        let mut kept = tape.bytes();
        tape.clear();
        if self.rehearses() {
            hessian_product.copy_from_slice(v);
            mixed_product.fill(T::zero());
            kept = self.known.found.kept;
        }
        self.pool.meter.release(kept);
        Ok(())
    }

    /// Returns `g` at step `step`, or `f` for `None`, as a sum over `blocks` blocks of samples if a number is given.
    pub(crate) fn value_in(
        &mut self,
        point: Point<T>,
        step: Option<usize>,
        blocks: Option<usize>,
    ) -> Result<T, Error> {
        let (level, call) = match step {
            Some(_) => (Level::Inner, Call::InnerGradient),
            None => (Level::Outer, Call::Outer),
        };
        let (point, seen) = self.see(point, level, step.unwrap_or(0))?;
        self.evaluate((call, 2 + blocks.unwrap_or(0), seen), [], |view, memory, []| {
            view.value(memory, At { blocks, ..view.loss(point) })
        })
    }

    /// Records the whole run on one tape, writes `dF/dx` for one task, and returns its outer loss.
    pub(crate) fn whole_run(
        &mut self,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let (view, rule, init) =
            (Arc::clone(&self.known.view), Arc::clone(&self.known.rule), self.known.init.clone());
        let saw = |level, step| view.samples(draw.at(level, step)) as u64;
        let cost = &mut self.pool.meter.cost;
        cost.plain_steps += inner.steps() as u64;
        cost.inner_gradients += inner.steps() as u64;
        cost.outer_gradients += 1;
        cost.samples += (0..inner.steps()).map(|t| saw(Level::Inner, t)).sum::<u64>();
        cost.samples += saw(Level::Outer, 0);
        self.evaluate((Call::WholeRun, inner.steps(), 0), [gradient], |view, memory, [gradient]| {
            view.whole_run(memory, (inner, &*rule), init.as_deref(), (x, draw), gradient)
        })
    }
}
