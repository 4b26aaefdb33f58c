//! `Oracle`: a metered view of a problem through flat slices, the only thing that estimators see.
//!
//! It hides the generic losses behind an object-safe view, so everything above is compiled once per element type. One
//! virtual call covers a whole gradient or product.
//!
//! Threads share the tasks of a meta-batch or, where there is one task, the blocks of rows of a loss; bits do not depend
//! on their number (`lanes.rs`). Handles are not `Send`: each worker has arenas of its own.

mod lanes;
mod lens;
mod passes;
mod tapes;
mod view;
mod workspaces;

use std::fmt;
use std::sync::Arc;

use hypertape_autodiff::Element;

use crate::cost::{Cost, Meter};
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::oracle::lanes::{Plan, Team};
use crate::oracle::lens::Lens;
use crate::oracle::view::{Loss, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};
use crate::rule::InnerLoop;

pub(crate) use crate::oracle::view::Point;

/// A problem as estimators see it, with the memory that evaluations reuse and the meter that they run under.
pub struct Oracle<'p, T> {
    view: Arc<dyn View<T> + 'p>,
    init: Option<Arc<[T]>>,
    memory: Workspaces<T>,
    /// Vectors for the next call, the last given back on top.
    spare: Vec<Vec<T>>,
    /// Kept recordings of inner gradients, by slot.
    tapes: Vec<Box<dyn StepTape<T> + 'p>>,
    /// Oracles of the workers that share tasks, made when they are first needed.
    crew: Vec<Self>,
    meter: Meter,
    first_order_vanishes: Option<bool>,
}

impl<T> fmt::Debug for Oracle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle").field("meter", &self.meter).finish_non_exhaustive()
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
        Ok(Self::with(Arc::new(lens), None, memory))
    }

    fn with(view: Arc<dyn View<T> + 'p>, init: Option<Arc<[T]>>, memory: Workspaces<T>) -> Self {
        Self {
            view,
            init,
            memory,
            spare: Vec::new(),
            tapes: Vec::new(),
            crew: Vec::new(),
            meter: Meter::default(),
            first_order_vanishes: None,
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
        self.memory = Workspaces::new(Team::new(workers - 1)?, workers);
        self.crew.clear();
        Ok(())
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

    /// Starts every inner loop at `w` instead of the problem's own start.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the length is wrong, or if the problem's start depends on `x`: replacing it would change
    /// the hypergradient.
    pub fn set_init(&mut self, w: Vec<T>) -> Result<(), Error> {
        if w.len() != self.inner_dim() {
            return Err(Error::length("the inner start", self.inner_dim(), w.len()));
        }
        if self.view.init_depends(&mut self.memory, self.view.start().values())? {
            return Err(Error::invalid(
                "the inner start",
                "a problem whose start depends on the outer variables",
                "one with a fixed start",
            ));
        }
        self.init = Some(w.into());
        self.crew.clear();
        Ok(())
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
    /// it is the `first` of its lane. The oracle may be another one on the same problem, for a worker.
    ///
    /// # Errors
    /// That of the first task that fails.
    pub(crate) fn over_tasks(
        &mut self,
        draw: Draw,
        out: &mut [T],
        add: impl Fn(&mut Self, usize, Draw, bool, &mut [T]) -> Result<T, Error> + Sync,
    ) -> Result<T, Error> {
        let view = Arc::clone(&self.view);
        let add = |oracle: &mut Self, slot, first, [out, _]: [&mut [T]; 2]| {
            add(oracle, slot, draw.for_task(view.task(draw, slot)), first, out)
        };
        let plan = Plan::new(view.batch(), self.memory.workers());
        let mut spare = self.take(plan.vectors() * out.len())?;
        let out = [out, &mut []];
        let result = if plan.workers() == 1 {
            plan.sum(&Team::default(), std::slice::from_mut(self), &mut spare, out, &add)
        } else {
            let mut crew = std::mem::take(&mut self.crew);
            crew.resize_with(plan.workers(), || {
                let memory = Workspaces::new(Team::default(), 1);
                Self::with(Arc::clone(&view), self.init.clone(), memory)
            });
            crew.iter_mut().for_each(Self::begin);
            let result = plan.sum(&self.memory.team, &mut crew, &mut spare, out, &add);
            self.meter.join(crew.iter().map(Self::cost));
            self.crew = crew;
            result
        };
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
        let vanishes = !in_start && !view.outer_depends(memory, Point { w, x, draw })?;
        // The evaluations above are not part of any estimate.
        memory.take_peak();
        self.first_order_vanishes = Some(vanishes);
        Ok(vanishes)
    }

    /// A vector with values of earlier use. It counts as used, and is kept for later calls, once given back.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the system has no memory for it.
    pub(crate) fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        let mut vector = self.spare.pop().unwrap_or_default();
        vector.try_reserve_exact(len.saturating_sub(vector.len())).map_err(|_| {
            Error::invalid("a vector", format!("{len} values"), "as many as there is memory for")
        })?;
        vector.resize(len, T::zero());
        self.meter.hold(len * size_of::<T>());
        Ok(vector)
    }

    /// Gives a vector back, the last taken first.
    pub(crate) fn give(&mut self, vector: Vec<T>) {
        self.meter.release(vector.len() * size_of::<T>());
        self.spare.push(vector);
    }

    /// Starts counting afresh.
    pub(crate) fn begin(&mut self) {
        self.meter.reset();
    }

    /// What was counted since [`begin`](Self::begin).
    pub(crate) fn cost(&self) -> Cost {
        self.meter.cost
    }

    /// Takes note of a forward step.
    pub(crate) fn count_step(&mut self) {
        self.meter.cost.plain_steps += 1;
    }

    /// `w_0`
    pub(crate) fn init(&mut self, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error> {
        if let Some(init) = &self.init {
            w.copy_from_slice(init);
            return Ok(());
        }
        let result = self.view.init(&mut self.memory, x, draw.at(Level::Init, 0), w);
        self.metered(result)
    }

    /// Adds the pull-back of `w_0` to `x_bar`.
    pub(crate) fn pull_init(
        &mut self,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        if self.init.is_some() {
            return Ok(());
        }
        let result =
            self.view.pull_init(&mut self.memory, x, draw.at(Level::Init, 0), w_bar, x_bar);
        self.metered(result)
    }

    /// `dg/dw` at inner step `step`; returns `g`.
    pub(crate) fn inner_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.meter.cost.inner_gradients += 1;
        let point = point.at(Level::Inner, step);
        let result = self.view.gradient(&mut self.memory, Loss::Inner, point, gradient, None);
        self.metered(result)
    }

    /// `d2g/dw2 v` and `(d2g/dw dx)^T v` at inner step `step`.
    pub(crate) fn inner_products(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.meter.cost.hvps += 1;
        self.meter.cost.mixed += 1;
        let point = point.at(Level::Inner, step);
        let result = self.view.products(&mut self.memory, point, v, hessian_product, mixed_product);
        self.metered(result)
    }

    /// As [`inner_gradient`](Self::inner_gradient), and keeps the recording in `slot` until it is let go.
    pub(crate) fn keep_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        slot: usize,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.meter.cost.inner_gradients += 1;
        let view = &self.view;
        if self.tapes.len() <= slot {
            self.tapes.resize_with(slot + 1, || Arc::clone(view).tape());
        }
        let point = point.at(Level::Inner, step);
        let tape = &mut self.tapes[slot];
        let result = tape.record(&mut self.memory, point, gradient);
        self.meter.hold(tape.bytes());
        self.metered(result)
    }

    /// As [`inner_products`](Self::inner_products) where the gradient in `slot` was recorded, and lets it go.
    pub(crate) fn pull_kept(
        &mut self,
        slot: usize,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.meter.cost.hvps += 1;
        self.meter.cost.mixed += 1;
        let tape = &mut self.tapes[slot];
        let result = tape.pull(&mut self.memory, v, hessian_product, mixed_product);
        let bytes = tape.bytes();
        tape.clear();
        let result = self.metered(result);
        self.meter.release(bytes);
        result
    }

    /// `df/dw` and `df/dx`; returns `f`.
    pub(crate) fn outer_gradient(
        &mut self,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        let result = self.view.gradient(
            &mut self.memory,
            Loss::Outer,
            point.at(Level::Outer, 0),
            w_bar,
            Some(x_bar),
        );
        self.metered(result)
    }

    /// The whole run on one tape: writes `dF/dx` for one task and returns its outer loss.
    pub(crate) fn whole_run(
        &mut self,
        inner: &InnerLoop,
        x: &[T],
        draw: Draw,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let steps = inner.steps() as u64;
        self.meter.cost.plain_steps += steps;
        self.meter.cost.inner_gradients += steps;
        let result =
            self.view.whole_run(&mut self.memory, inner, self.init.as_deref(), (x, draw), gradient);
        self.metered(result)
    }

    /// `g` at inner step `step`
    pub(crate) fn inner_value(&mut self, point: Point<T>, step: usize) -> Result<T, Error> {
        let result = self.view.value(&mut self.memory, Loss::Inner, point.at(Level::Inner, step));
        self.metered(result)
    }

    /// `f`
    pub(crate) fn outer_value(&mut self, point: Point<T>) -> Result<T, Error> {
        let result = self.view.value(&mut self.memory, Loss::Outer, point.at(Level::Outer, 0));
        self.metered(result)
    }

    fn metered<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        self.meter.observe(self.memory.take_peak());
        result
    }
}
