//! The tasks of a meta-batch: how they are distributed, and the memory of their sum.

use std::sync::Arc;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::oracle::lanes::Team;
use crate::ranks::Ranks;
use crate::report::Soundness;

/// A function that adds the vector of a task to that of its lane, see [`Oracle::over_tasks`].
type AddTask<'f, T> =
    dyn Fn(&mut Oracle<T>, usize, Draw, bool, &mut [T]) -> Result<T, Error> + Sync + 'f;

impl<T: Element> Oracle<'_, T> {
    /// Writes the sum of the tasks' vectors over the meta-batch of `draw` into `out`, and returns the sum of their
    /// values.
    ///
    /// `add(oracle, slot, draw, first, out)` adds the vector of the task in place `slot` to `out`, or overwrites `out`
    /// if it is the `first` of its lane. The oracle may belong to a worker, for the same problem. Ranks share the tasks
    /// only if they `may`.
    ///
    /// # Errors
    /// Returns the error of the first task that fails.
    pub(crate) fn over_tasks(
        &mut self,
        draw: Draw,
        may: bool,
        out: &mut [T],
        add: &AddTask<T>,
    ) -> Result<T, Error> {
        let add = |oracle: &mut Self, slot, first, [out]: [&mut [T]; 1]| {
            oracle.place = Some(slot);
            let result = add(oracle, slot, draw.for_task(oracle.task(draw, slot)), first, out);
            oracle.place = None;
            result
        };
        let plan = self.memory.sharing(self.batch());
        let ranks = self.ranks_of_tasks().filter(|_| may && self.ends.is_none()).cloned();
        let message = ranks.as_ref().map_or(0, |_| plan.message(out.len()));
        let vectors = if ranks.is_some() { 0 } else { plan.vectors() };
        let mut spare = self.take(vectors * out.len())?;
        self.hold(message);
        let (out, alone) = ([out], !self.shares_tasks());
        let result = if alone {
            plan.sum(&Team::default(), std::slice::from_mut(self), &mut spare, out, &add)
        } else {
            let mut crew = std::mem::take(&mut self.known.found.crew);
            crew.resize_with(plan.workers(), || self.alone());
            for worker in &mut crew {
                worker.begin();
                worker.ends.clone_from(&self.ends);
                worker.halved = self.halved;
                worker.stop.clone_from(&self.stop);
            }
            let (result, cost) = if let Some(ranks) = &ranks {
                let result = plan.sum_over(&**ranks, &mut crew[0], out, &add);
                let (cost, most) =
                    crew[0].cost().over(&**ranks, crew[0].soundness().without_report());
                self.note(Soundness::of(most));
                (result, Some(cost))
            } else {
                (plan.sum(&self.memory.team, &mut crew, &mut spare, out, &add), None)
            };
            let costs = crew.iter().map(Self::cost).filter(|_| cost.is_none());
            self.pool.meter.join(costs.chain(cost));
            if let Some(breakdown) = &mut self.pool.meter.breakdown {
                crew.iter().filter_map(Self::breakdown).for_each(|other| breakdown.join(other));
            }
            for worker in &crew {
                self.note(worker.soundness());
                let bounded = &mut self.pool.meter.bounded;
                *bounded = bounded.or(worker.bounded());
            }
            self.known.found.crew = crew;
            result
        };
        self.release(message);
        self.give(spare);
        result
    }

    /// Creates another oracle for the same problem, rule and start, for one thread.
    pub(crate) fn alone(&self) -> Self {
        let memory = self.memory.alike(Team::default(), 1);
        let mut other = Self::with(self.known.clone(), memory);
        other.set_breakdown(self.pool.meter.breakdown.is_some());
        other
    }

    /// The processes that share tasks.
    fn ranks_of_tasks(&self) -> Option<&Arc<dyn Ranks>> {
        self.memory.ranks.as_ref().filter(|_| self.batch() > 1)
    }

    /// Whether threads or ranks share the tasks of a meta-batch, each with its own oracle.
    pub(crate) fn shares_tasks(&self) -> bool {
        let plan = self.memory.sharing(self.batch());
        plan.workers() > 1 || self.ranks_of_tasks().is_some()
    }

    /// Number of tasks of a meta-batch that are executed one after the other.
    pub(crate) fn longest(&self) -> usize {
        self.memory.sharing(self.batch()).longest()
    }

    /// Creates another oracle, without a memory limit, that executes a task as this one does, with as many threads as
    /// share a task.
    pub(crate) fn for_task(&self) -> Self {
        let mut other = self.alone();
        if !self.shares_tasks() {
            other.memory = self.memory.alike(self.memory.team.clone(), self.memory.workers());
            other.memory.ranks.clone_from(&self.memory.ranks);
        }
        other
    }

    /// Returns the peak of bytes of `act`, the task of an estimator, on the first task of `draw`, rehearsed on another
    /// oracle. The last result for a `known` estimator is kept.
    pub(crate) fn rehearsed(
        &mut self,
        known: Option<String>,
        (inner, draw): (&InnerLoop, Draw),
        act: &mut dyn FnMut(&mut Self, Draw) -> Result<T, Error>,
    ) -> Result<u64, Error> {
        let asked = known.map(|estimator| (estimator, *inner, draw));
        if let (Some(asked), Some((last, bytes))) = (&asked, &self.known.found.rehearsed)
            && asked == last
        {
            return Ok(*bytes);
        }
        let mut other = self.for_task();
        other.pool.rehearsal = true;
        std::mem::swap(&mut self.known.found, &mut other.known.found);
        let result = act(&mut other, draw.for_task(self.task(draw, 0)));
        if result.is_err() {
            // An evaluation may have failed before its peak of bytes.
            other.known.found.forms.clear();
            other.known.found.kept.clear();
        }
        std::mem::swap(&mut self.known.found, &mut other.known.found);
        let bytes = result.map(|_| other.cost().bytes_measured)?;
        self.known.found.rehearsed = asked.map(|asked| (asked, bytes));
        Ok(bytes)
    }

    /// Bytes of a sum over the meta-batch of vectors of `len` values, if a task uses `task` bytes.
    pub(crate) fn bytes_over_tasks(&self, task: u64, len: usize) -> u64 {
        let vector = (len * size_of::<T>()) as u64;
        let plan = self.memory.sharing(self.batch());
        let parts = |worker| u64::from(plan.adds(worker)) * vector;
        let workers = (0..plan.workers()).map(|worker| task.saturating_add(parts(worker)));
        // With ranks: a rank that executes all tasks needs no message, but its threads need vectors.
        let message = self.ranks_of_tasks().map_or(0, |_| plan.message(len)) as u64;
        workers.fold(plan.vectors() as u64 * vector + message, u64::saturating_add)
    }
}
