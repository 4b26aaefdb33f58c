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
        // A rehearsal does not record all steps that it pulls back.
        let slot = if self.rehearses() { 0 } else { slot };
        let (view, tapes) = (&self.known.view, self.known.found.tapes.len());
        if tapes <= slot {
            let new = (tapes..=slot).map(|_| (Arc::clone(view).tape(), 0)).collect::<Vec<_>>();
            self.known.found.tapes.extend(new);
        }
        self.known.found.tapes[slot].1 = seen;
        let (mut recorded, w, x) = (false, point.w.len(), point.x.len());
        let ((), bytes) =
            self.metered((Call::Record, 0, seen), |Self { known, memory, .. }| {
                recorded = true;
                known.found.tapes[slot].0.record(memory, point, gradient).map(|_| ())
            })?;
        let mut kept = self.known.found.tapes[slot].0.bytes();
        if self.rehearses() {
            gradient.fill(T::zero());
            if recorded {
                // Pulled at once, because the next recording takes its place.
                self.known.found.kept.push((seen, kept));
                let zeros = |n: usize| vec![T::zero(); n];
                let (v, [mut hessian_product, mut mixed_product]) = (zeros(w), [w, x].map(zeros));
                self.pull_slot((slot, seen), &v, [&mut hessian_product, &mut mixed_product])?;
            }
            kept = self.kept_bytes(seen);
        }
        self.pool.meter.hold(kept);
        self.pool.meter.observe(bytes);
        Ok(kept as u64)
    }

    /// Bytes of a rehearsed recording that saw so many samples.
    fn kept_bytes(&self, seen: usize) -> usize {
        let mut all = self.known.found.kept.iter();
        all.find(|kept| kept.0 == seen).map_or(0, |kept| kept.1)
    }

    /// Pulls back the recording in a slot and clears it.
    fn pull_slot(
        &mut self,
        (slot, seen): (usize, usize),
        v: &[T],
        out: [&mut [T]; 2],
    ) -> Result<(), Error> {
        self.metered((Call::PullTape, 0, seen), |Self { known, memory, .. }| {
            known.found.tapes[slot].0.pull(memory, v, out)
        })?;
        self.known.found.tapes[slot].0.clear();
        Ok(())
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
        let rehearses = self.rehearses();
        let slot = if rehearses { 0 } else { slot };
        let (tape, seen) = &self.known.found.tapes[slot];
        let (seen, bytes) = (*seen, tape.bytes());
        let kept = if rehearses { self.kept_bytes(seen) } else { bytes };
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        self.pool.meter.cost.samples += seen as u64;
        self.pull_slot((slot, seen), v, [&mut *hessian_product, &mut *mixed_product])?;
        if rehearses {
            hessian_product.copy_from_slice(v);
            mixed_product.fill(T::zero());
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
