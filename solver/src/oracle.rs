//! `Oracle`: a metered view of a problem through flat slices, the only thing that estimators see.
//!
//! It hides the generic losses behind an object-safe view, so everything above is compiled once per element type. One
//! virtual call covers a whole gradient or product.
//!
//! Threads share the tasks of a meta-batch or, where there is one task, the blocks of rows of a loss; bits do not depend
//! on their number (`lanes.rs`). Handles are not `Send`: each worker has arenas of its own.

mod calls;
mod lanes;
mod lens;
mod passes;
mod results;
mod scalars;
mod scratch;
pub(crate) mod stepper;
mod tapes;
mod view;
mod workspaces;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hypertape_autodiff::Element;
use hypertape_autodiff::scalar::Scalar;

use crate::adjoint::Plan as Actions;
use crate::breakdown::Breakdown;
use crate::by_place::ByPlace;
use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::lanes::{Sharing, Team};
use crate::oracle::lens::Lens;
use crate::oracle::scalars::Scalars;
use crate::oracle::stepper::{AnyRule, Stepper};
use crate::oracle::view::{Loss, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::pool::Pool;
use crate::problem::{Bilevel, Metric};
use crate::profile::Profile;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::rule::Rule;
use crate::rule::descent::GradientDescent;
use crate::scalar::ScalarBilevel;

pub(crate) use crate::oracle::scratch::{Packed, Sweep, join, store};
pub(crate) use crate::oracle::view::{Point, TOGETHER};

/// A problem as estimators see it, with the memory that evaluations reuse and the meter that they run under.
pub struct Oracle<'p, T> {
    view: Arc<dyn View<T> + 'p>,
    rule: Arc<dyn Stepper<T> + 'p>,
    init: Option<Arc<[T]>>,
    memory: Workspaces<T>,
    /// Vectors, and what is counted.
    pool: Pool<T>,
    /// Kept recordings of inner gradients, by slot.
    pub(crate) tapes: Vec<Box<dyn StepTape<T> + 'p>>,
    /// The actions of the last schedule.
    pub(crate) plan: Option<Actions>,
    /// Bytes that an estimate may take.
    limit: Option<u64>,
    /// Bytes of the pieces of an estimate, once measured.
    pub(crate) profile: Option<Profile>,
    /// Where inner loops ended, if the next ones start there.
    ends: Option<Arc<ByPlace<T>>>,
    /// The place in the meta-batch of the task that is worked on.
    place: Option<usize>,
    /// Oracles of the workers that share tasks, made when they are first needed.
    crew: Vec<Self>,
    first_order_vanishes: Option<bool>,
    implicit_vanishes: Option<bool>,
}

impl<T> fmt::Debug for Oracle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle").field("meter", &self.pool.meter).finish_non_exhaustive()
    }
}

impl<'p, T: Element> Oracle<'p, T> {
    /// A view of `problem`.
    ///
    /// # Errors
    /// [`Error::Function`] if `init` fails at the first outer point.
    pub fn new(problem: impl Bilevel<T> + 'p) -> Result<Self, Error> {
        let mut memory = Workspaces::new(Team::default(), 1);
        let lens = Lens::new(problem, &mut memory)?;
        Ok(Self::with(Arc::new(lens), Arc::new(GradientDescent::default()), memory))
    }

    /// A view of a problem over single numbers, see [`ScalarBilevel`].
    pub fn scalar(problem: impl ScalarBilevel<T> + 'p) -> Self
    where
        T: Scalar<Plain = T>,
    {
        let memory = Workspaces::new(Team::default(), 1);
        Self::with(Arc::new(Scalars::new(problem)), Arc::new(GradientDescent::default()), memory)
    }

    fn with(
        view: Arc<dyn View<T> + 'p>,
        rule: Arc<dyn Stepper<T> + 'p>,
        memory: Workspaces<T>,
    ) -> Self {
        Self {
            view,
            rule,
            init: None,
            memory,
            pool: Pool::default(),
            tapes: Vec::new(),
            plan: None,
            limit: None,
            profile: None,
            ends: None,
            place: None,
            crew: Vec::new(),
            first_order_vanishes: None,
            implicit_vanishes: None,
        }
    }

    /// Lets `threads` threads, the caller's included, share the tasks of a meta-batch or, where there is one task, the
    /// blocks of rows of a loss. More than 8 have nothing to do. Results do not depend on the number, bit for bit, nor do
    /// counts; bytes do, see [`Cost`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for 0 threads, or more than the system starts.
    #[cfg(feature = "threads")]
    pub fn set_threads(&mut self, threads: usize) -> Result<(), Error> {
        if threads == 0 {
            return Err(Error::invalid("threads", threads, "1 or more"));
        }
        let workers = threads.min(lanes::LANES);
        let ranks = self.memory.ranks.clone();
        self.memory = Workspaces::new(Team::new(workers - 1)?, workers);
        self.memory.ranks = ranks;
        // The limit holds for the arenas of the new workers too, and so does the breakdown.
        self.set_memory(self.limit);
        self.break_down(self.pool.meter.breakdown.is_some());
        self.profile = None;
        Ok(())
    }

    /// Lets several processes share the tasks of a meta-batch or, where there is one task, the blocks of rows of a loss, in
    /// the 8 lanes that threads share, a thread each. Results and counts do not depend on their number, bit for bit; bytes
    /// and times are those of this process. Tasks of warm starts, and of estimators that
    /// [remember](crate::Estimator::remembers), are not shared: each rank does all, its threads with it.
    ///
    /// Every rank calls the same methods in the same order, but none that goes by times: [`plan`](crate::plan()),
    /// [`weigh`](crate::weigh()). An error of an item on one rank is an [`Error::Invalid`] on the others; whoever meets
    /// another error must end them.
    pub fn set_ranks(&mut self, ranks: Arc<dyn Ranks>) {
        self.memory.ranks = Some(ranks).filter(|ranks| ranks.count() > 1);
        self.crew.clear();
        self.profile = None;
    }

    /// `value` of the first rank, by which all decide.
    pub(crate) fn agree(&self, value: f64) -> f64 {
        let Some(ranks) = &self.memory.ranks else { return value };
        let mut told = [value];
        let lengths: Vec<_> = (0..ranks.count()).map(|rank| usize::from(rank == 0)).collect();
        ranks.gather(&mut told, &lengths);
        told[0]
    }

    /// The time of the first rank.
    pub(crate) fn agree_time(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(self.agree(time.as_secs_f64())).unwrap_or(time)
    }

    /// The processes that share tasks.
    fn ranks_of_tasks(&self) -> Option<&Arc<dyn Ranks>> {
        self.memory.ranks.as_ref().filter(|_| self.batch() > 1)
    }

    /// Whether estimates tell where their time and bytes go. Cost: two looks at the clock an evaluation, and one for each
    /// array operation, recorded or pulled back.
    pub fn break_down(&mut self, on: bool) {
        self.pool.meter.breakdown = on.then(Breakdown::default);
        self.memory.tally(on);
        self.crew.clear();
    }

    /// Where they went in the last estimate.
    pub fn breakdown(&self) -> Option<Breakdown> {
        self.pool.meter.breakdown.clone()
    }

    /// Sets the bytes that an estimate may take, which is then predicted before it runs, or lifts the limit.
    pub fn set_memory(&mut self, limit: Option<u64>) {
        self.limit = limit;
        let arena = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        self.memory.set_limit(arena);
    }

    /// The bytes that an estimate may take.
    pub fn memory(&self) -> Option<u64> {
        self.limit
    }

    /// Takes inner steps by `rule` instead of [`GradientDescent`].
    pub fn set_rule(&mut self, rule: impl Rule<T> + 'p) {
        self.set_any_rule(AnyRule::new(rule));
    }

    /// The same by a rule whose type is not known, such as one that was parsed.
    pub fn set_any_rule(&mut self, rule: AnyRule<'p, T>) {
        self.rule = rule.0;
        self.crew.clear();
        self.profile = None;
    }

    /// The name of the inner rule.
    pub fn rule(&self) -> String {
        self.rule.name()
    }

    /// The first outer point.
    pub fn start(&self) -> &Params<T> {
        self.view.start()
    }

    /// The inner variables at the first outer point.
    pub fn inner_start(&self) -> &Params<T> {
        self.view.inner_start()
    }

    /// Number of outer variables.
    pub fn outer_dim(&self) -> usize {
        self.start().values().len()
    }

    /// Number of inner variables.
    pub fn inner_dim(&self) -> usize {
        self.inner_start().values().len()
    }

    /// Values in the state of the inner loop: `w` and what the rule remembers.
    pub(crate) fn state_dim(&self) -> usize {
        (1 + self.rule.memory()) * self.inner_dim()
    }

    /// Starts every inner loop at `w` instead of the problem's own start.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the length is wrong, or if the problem's start depends on `x`: replacing it would change
    /// the hypergradient.
    pub fn set_init(&mut self, w: Vec<T>) -> Result<(), Error> {
        if w.len() != self.inner_dim() {
            return Err(Error::length("the inner start", self.inner_dim(), w.len()));
        }
        self.fixed_start("the inner start")?;
        self.init = Some(w.into());
        self.crew.clear();
        self.profile = None;
        Ok(())
    }

    fn fixed_start(&mut self, what: &str) -> Result<(), Error> {
        if self.view.init_depends(&mut self.memory, self.view.start().values())? {
            let found = "a problem whose start depends on the outer variables";
            return Err(Error::invalid(what, found, "one with a fixed start"));
        }
        Ok(())
    }

    /// Starts the inner loop of each task of a meta-batch where the last one that an estimate ran in the same place ended,
    /// if that was of the same task: from `ends` on, which [`warm`](Self::warm) gave, or nothing to start afresh. `None`
    /// brings the problem's own start back. Holds `p` values a task, which are not part of any estimate's bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the problem's start depends on `x`, or for what is not from [`warm`](Self::warm).
    pub fn set_warm(&mut self, ends: Option<&Params<T>>) -> Result<(), Error> {
        self.ends = match ends {
            None => None,
            Some(ends) => {
                self.fixed_start("the warm start")?;
                Some(Arc::new(ByPlace::read("w", ends)?))
            }
        };
        Ok(())
    }

    /// Where inner loops ended, as `w.PLACE.TASK`; nothing without warm starts.
    pub fn warm(&self) -> Params<T> {
        self.ends.as_ref().map_or_else(Params::new, |ends| ends.state("w"))
    }

    /// Takes note that the inner loop of an estimate ended at `w`.
    pub(crate) fn keep_end(&self, draw: Draw, w: &[T]) {
        if let (Some(ends), Some(place)) = (&self.ends, self.place) {
            ends.store(place, draw.task, w);
        }
    }

    /// Whether the end is missing of the task that is worked on.
    pub(crate) fn lacks_end(&self, draw: Draw) -> bool {
        let known = |ends: &Arc<ByPlace<T>>, place| ends.knows(place, draw.task);
        self.ends.as_ref().zip(self.place).is_some_and(|(ends, place)| !known(ends, place))
    }

    /// How good a solution is, beyond its losses.
    pub fn metrics(&self, w: &[T], x: &[T], inner: &InnerLoop) -> Vec<Metric> {
        let fill = |like: &Params<T>, values: &[T]| {
            let mut params = like.clone();
            params.values_mut().copy_from_slice(values);
            params
        };
        self.view.metrics(&fill(self.inner_start(), w), &fill(self.start(), x), inner)
    }

    /// Outer points to compare a result with.
    pub fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        self.view.controls(inner)
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.view.tasks()
    }

    /// Number of tasks in a meta-batch.
    pub fn batch(&self) -> usize {
        self.view.batch()
    }

    /// The task in place `slot` of a meta-batch.
    pub fn task(&self, draw: Draw, slot: usize) -> usize {
        self.view.task(draw, slot)
    }

    /// Number of independent copies of the problem in `x`.
    pub fn replicas(&self) -> usize {
        self.view.replicas()
    }

    /// Sums over the meta-batch of `draw`: writes the sum of the tasks' vectors into `out`, returns that of their values.
    ///
    /// `add(oracle, slot, draw, first, out)` adds the vector of the task in place `slot` to `out`, or writes it there if
    /// it is the `first` of its lane. The oracle may be another one on the same problem, for a worker. Ranks share the tasks
    /// if they `may`.
    ///
    /// # Errors
    /// That of the first task that fails.
    pub(crate) fn over_tasks(
        &mut self,
        draw: Draw,
        may: bool,
        out: &mut [T],
        add: impl Fn(&mut Self, usize, Draw, bool, &mut [T]) -> Result<T, Error> + Sync,
    ) -> Result<T, Error> {
        let view = Arc::clone(&self.view);
        let add = |oracle: &mut Self, slot, first, [out]: [&mut [T]; 1]| {
            oracle.place = Some(slot);
            let result = add(oracle, slot, draw.for_task(view.task(draw, slot)), first, out);
            oracle.place = None;
            result
        };
        let plan = Sharing::new(view.batch(), self.memory.workers());
        let ranks = self.ranks_of_tasks().filter(|_| may && self.ends.is_none()).cloned();
        let message = ranks.as_ref().map_or(0, |_| plan.message(out.len()));
        let vectors = if ranks.is_some() { 0 } else { plan.vectors() };
        let mut spare = self.take(vectors * out.len())?;
        self.hold(message);
        let (out, alone) = ([out], !self.shares_tasks());
        let result = if alone {
            plan.sum(&Team::default(), std::slice::from_mut(self), &mut spare, out, &add)
        } else {
            let mut crew = std::mem::take(&mut self.crew);
            crew.resize_with(plan.workers(), || self.alone());
            for worker in &mut crew {
                worker.begin();
                worker.ends.clone_from(&self.ends);
            }
            let (result, cost) = if let Some(ranks) = &ranks {
                let result = plan.sum_over(&**ranks, &mut crew[0], out, &add);
                let (cost, sensitivity) = crew[0].cost().over(&**ranks, crew[0].sensitivity());
                self.pool.meter.note_sensitivity(sensitivity);
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
                worker.report().into_iter().for_each(|report| self.pool.meter.note(report));
                self.pool.meter.note_sensitivity(worker.sensitivity());
            }
            self.crew = crew;
            result
        };
        self.release(message);
        self.give(spare);
        result
    }

    /// Whether neither the inner start nor the outer loss contains `x`, so that a first-order gradient is zero.
    pub(crate) fn first_order_vanishes(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.first_order_vanishes {
            return Ok(known);
        }
        let Self { view, memory, init, .. } = self;
        let (w, x, draw) = (view.inner_start().values(), view.start().values(), Draw::new(0, 0));
        let in_start = init.is_none() && view.init_depends(memory, x)?;
        let vanishes = !in_start && !view.depends(memory, Loss::Outer, Point { w, x, draw })?;
        // The evaluations above are not part of any estimate.
        memory.take_peak();
        self.first_order_vanishes = Some(vanishes);
        Ok(vanishes)
    }

    /// Whether neither loss contains `x`, so that an implicit gradient is zero.
    pub(crate) fn implicit_vanishes(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.implicit_vanishes {
            return Ok(known);
        }
        let Self { view, memory, .. } = self;
        let (w, x, draw) = (view.inner_start().values(), view.start().values(), Draw::new(0, 0));
        let mut depends = |loss| view.depends(memory, loss, Point { w, x, draw });
        let vanishes = !depends(Loss::Outer)? && !depends(Loss::Inner)?;
        // The evaluations above are not part of any estimate.
        memory.take_peak();
        self.implicit_vanishes = Some(vanishes);
        Ok(vanishes)
    }

    /// A vector with values of earlier use, counted as used.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the system has no memory for it.
    pub(crate) fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.pool.take(len)
    }

    /// Gives a vector back.
    pub(crate) fn give(&mut self, vector: Vec<T>) {
        self.pool.give(vector);
    }

    /// Another oracle on the same problem, with the same rule and start, for one thread.
    pub(crate) fn alone(&self) -> Self {
        let memory = Workspaces::new(Team::default(), 1);
        let other = Self::with(Arc::clone(&self.view), Arc::clone(&self.rule), memory);
        let mut other = Self { init: self.init.clone(), ..other };
        other.break_down(self.pool.meter.breakdown.is_some());
        other
    }

    /// Whether threads or ranks share the tasks of a meta-batch, each with an oracle of its own.
    pub(crate) fn shares_tasks(&self) -> bool {
        let plan = Sharing::new(self.batch(), self.memory.workers());
        plan.workers() > 1 || self.ranks_of_tasks().is_some()
    }

    /// Tasks of a meta-batch that are done one after the other.
    pub(crate) fn longest(&self) -> usize {
        Sharing::new(self.batch(), self.memory.workers()).longest()
    }

    /// Bytes of a sum over the meta-batch of vectors of `len` values, where a task takes `task` bytes.
    pub(crate) fn bytes_over_tasks(&self, task: u64, len: usize) -> u64 {
        let vector = (len * size_of::<T>()) as u64;
        let plan = Sharing::new(self.batch(), self.memory.workers());
        let parts = |worker| u64::from(plan.adds(worker)) * vector;
        let workers = (0..plan.workers()).map(|worker| task + parts(worker));
        // Of ranks: where one does all tasks, it needs no message, but its threads do.
        let message = self.ranks_of_tasks().map_or(0, |_| plan.message(len)) as u64;
        plan.vectors() as u64 * vector + message + workers.sum::<u64>()
    }

    /// Takes note of bytes that are in use from here on.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.pool.meter.hold(bytes);
    }

    /// Takes note that they are no longer.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.pool.meter.release(bytes);
    }

    /// Starts counting bytes from what is in use.
    pub(crate) fn mark(&mut self) {
        self.pool.meter.cost.bytes_measured = 0;
        self.pool.meter.hold(0);
    }

    /// Starts counting afresh.
    pub(crate) fn begin(&mut self) {
        self.pool.meter.reset();
    }

    /// What was counted since [`begin`](Self::begin).
    pub(crate) fn cost(&self) -> Cost {
        self.pool.meter.cost
    }

    /// The reports since then, as one.
    pub(crate) fn report(&self) -> Option<Report> {
        self.pool.meter.report
    }

    /// The steepest step since then, see [`Estimate::sensitivity`](crate::Estimate::sensitivity).
    pub(crate) fn sensitivity(&self) -> f64 {
        self.pool.meter.sensitivity
    }

    /// Takes note of what an implicit estimate rests on.
    pub(crate) fn note(&mut self, report: Report) {
        self.pool.meter.note(report);
    }

    /// Takes note of a forward step.
    pub(crate) fn count_step(&mut self) {
        self.pool.meter.cost.plain_steps += 1;
    }
}
