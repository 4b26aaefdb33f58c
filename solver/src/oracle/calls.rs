//! The evaluations that estimators ask for: each counted, metered, and told which draw it belongs to.

use std::sync::Arc;
use std::time::Instant;

use hypertape_autodiff::{Element, Fault, Workspace};

use crate::breakdown::Part;
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::oracle::results::in_function;
use crate::oracle::stepper::{Cut, Stepper};
use crate::oracle::view::{Loss, Point, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::{Params, largest};
use crate::rule::Step;

impl<T: Element> Oracle<'_, T> {
    /// `w_0`
    pub(crate) fn init(&mut self, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error> {
        if let (Some(ends), Some(place)) = (&self.ends, self.place)
            && ends.load(place, draw.task, w)
        {
            return Ok(());
        }
        if let Some(init) = &self.init {
            w.copy_from_slice(init);
            return Ok(());
        }
        self.evaluate(Part::Start, |view, memory| view.init(memory, x, draw.at(Level::Init, 0), w))
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
        self.evaluate(Part::PullStart, |view, memory| {
            view.pull_init(memory, x, draw.at(Level::Init, 0), w_bar, x_bar)
        })
    }

    /// `dg/dw` at inner step `step`; returns `g`.
    pub(crate) fn inner_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.pool.meter.cost.inner_gradients += 1;
        let point = point.at(Level::Inner, step);
        self.evaluate(Part::InnerGradient, |view, memory| {
            view.gradient(memory, Loss::Inner, point, gradient, None)
        })
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
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        let point = point.at(Level::Inner, step);
        let out = [&mut [], hessian_product, mixed_product];
        self.evaluate(Part::Products, |view, memory| view.products(memory, point, v, out))
    }

    /// `d2g/dw2 v` alone at inner step `step`.
    pub(crate) fn hessian_product(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.pool.meter.cost.hvps += 1;
        let point = point.at(Level::Inner, step);
        let out = [&mut [], product, &mut []];
        self.evaluate(Part::Products, |view, memory| view.products(memory, point, v, out))
    }

    /// `dg/dw` at inner step `step`, and how it moves when `w` and `x` move along the directions that `moving` holds one
    /// after the other, at most [`TOGETHER`]: a Hessian-vector and a mixed product for each.
    pub(crate) fn push_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        moving: [&[T]; 2],
        gradient: &mut [T],
        pushed: &mut [T],
    ) -> Result<(), Error> {
        let directions = (pushed.len() / gradient.len().max(1)) as u64;
        self.pool.meter.cost.hvps += directions;
        self.pool.meter.cost.mixed += directions;
        let point = point.at(Level::Inner, step);
        self.evaluate(Part::Push, |view, memory| {
            view.push_gradient(memory, point, moving, gradient, pushed)
        })
    }

    /// How `w_0` moves when `x` moves along the directions that `dx` holds one after the other.
    pub(crate) fn push_init(
        &mut self,
        x: &[T],
        draw: Draw,
        dx: &[T],
        dw: &mut [T],
    ) -> Result<(), Error> {
        if self.init.is_some() {
            dw.fill(T::zero());
            return Ok(());
        }
        self.evaluate(Part::Push, |view, memory| {
            view.push_init(memory, x, draw.at(Level::Init, 0), dx, dw)
        })
    }

    /// As [`inner_gradient`](Self::inner_gradient), and keeps the recording in `slot` until it is let go; returns its bytes.
    pub(crate) fn keep_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        slot: usize,
        gradient: &mut [T],
    ) -> Result<u64, Error> {
        self.pool.meter.cost.inner_gradients += 1;
        let view = &self.view;
        if self.tapes.len() <= slot {
            self.tapes.resize_with(slot + 1, || Arc::clone(view).tape());
        }
        let point = point.at(Level::Inner, step);
        let clock = self.clock();
        let tape = &mut self.tapes[slot];
        let result = tape.record(&mut self.memory, point, gradient);
        let bytes = tape.bytes();
        self.pool.meter.hold(bytes);
        self.metered(Part::Record, clock, result.map(|_| bytes as u64))
    }

    /// As [`inner_products`](Self::inner_products) where the gradient in `slot` was recorded, and lets it go.
    pub(crate) fn pull_kept(
        &mut self,
        slot: usize,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        let clock = self.clock();
        let tape = &mut self.tapes[slot];
        let result = tape.pull(&mut self.memory, v, hessian_product, mixed_product);
        let bytes = tape.bytes();
        tape.clear();
        let result = self.metered(Part::PullTape, clock, result);
        self.pool.meter.release(bytes);
        result
    }

    /// The number that the rule multiplies the gradient of a step by, if that is all it does.
    pub(crate) fn multiple(&self, step: Step) -> Option<f64> {
        self.rule.multiple(step)
    }

    /// Whether steps come to rest where the gradient of the inner loss is zero.
    pub(crate) fn stationary(&self) -> bool {
        self.rule.stationary()
    }

    /// Whether reversing a step takes the value of its gradient.
    pub(crate) fn nonlinear(&self) -> bool {
        self.rule.nonlinear()
    }

    /// Does something of a step in the arenas.
    fn stepping<R>(
        &mut self,
        x: &[T],
        act: impl FnOnce(&dyn Stepper<T>, &mut Workspace, Cut<T>) -> Result<R, Fault>,
    ) -> Result<R, Error> {
        let [inner, outer] = [self.view.inner_start(), self.view.start()].map(Params::shapes);
        let clock = self.clock();
        let result = act(&*self.rule, self.memory.first(), Cut { inner, outer, x });
        self.metered(Part::Update, clock, result.map_err(in_function("step rule")))
    }

    /// Writes the point at which the gradient of a step is taken into `y`, or says that it is `w`.
    pub(crate) fn query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y: &mut [T],
    ) -> Result<bool, Error> {
        self.stepping(x, |rule, memory, cut| rule.query(memory, cut, state, step, y))
    }

    /// Adds the pull-back of `y_bar` through that point to `state_bar`.
    pub(crate) fn pull_query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y_bar: &[T],
        state_bar: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| {
            rule.pull_query(memory, cut, state, step, y_bar, state_bar)
        })
    }

    /// Takes a step, given its gradient.
    pub(crate) fn advance(
        &mut self,
        x: &[T],
        state: &mut [T],
        gradient: &[T],
        step: Step,
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| rule.advance(memory, cut, state, gradient, step))
    }

    /// Replaces the adjoint of the state after a step by that of the state before, apart from what goes through the
    /// gradient, whose adjoint it writes into `u`; adds to that of `x`.
    pub(crate) fn pull(
        &mut self,
        x: &[T],
        (state, gradient): (&[T], &[T]),
        step: Step,
        state_bar: &mut [T],
        u: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let before = largest(state_bar) * step.lr;
        self.stepping(x, |rule, memory, cut| {
            rule.pull(memory, cut, (state, gradient), step, state_bar, u, x_bar)
        })?;
        if before > 0.0 {
            self.pool.meter.note_sensitivity(largest(u) / before);
        }
        Ok(())
    }

    /// `df/dw` and `df/dx`; returns `f`.
    pub(crate) fn outer_gradient(
        &mut self,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        self.evaluate(Part::Outer, |view, memory| {
            view.gradient(memory, Loss::Outer, point.at(Level::Outer, 0), w_bar, Some(x_bar))
        })
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
        self.pool.meter.cost.plain_steps += steps;
        self.pool.meter.cost.inner_gradients += steps;
        let (rule, init) = (Arc::clone(&self.rule), self.init.clone());
        self.evaluate(Part::WholeRun, |view, memory| {
            view.whole_run(memory, (inner, &*rule), init.as_deref(), (x, draw), gradient)
        })
    }

    /// `g` at inner step `step`
    pub(crate) fn inner_value(&mut self, point: Point<T>, step: usize) -> Result<T, Error> {
        self.evaluate(Part::InnerGradient, |view, memory| {
            view.value(memory, Loss::Inner, point.at(Level::Inner, step))
        })
    }

    /// `f`
    pub(crate) fn outer_value(&mut self, point: Point<T>) -> Result<T, Error> {
        self.evaluate(Part::Outer, |view, memory| {
            view.value(memory, Loss::Outer, point.at(Level::Outer, 0))
        })
    }

    /// One evaluation of the problem, counted.
    fn evaluate<R>(
        &mut self,
        part: Part,
        act: impl FnOnce(&dyn View<T>, &mut Workspaces<T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let clock = self.clock();
        let result = act(&*self.view, &mut self.memory);
        self.metered(part, clock, result)
    }

    /// The time, if anybody wants to know.
    fn clock(&self) -> Option<Instant> {
        self.pool.meter.breakdown.as_ref().map(|_| Instant::now())
    }

    fn metered<R>(
        &mut self,
        part: Part,
        clock: Option<Instant>,
        result: Result<R, Error>,
    ) -> Result<R, Error> {
        let bytes = self.memory.take_peak();
        self.pool.meter.observe(bytes);
        if let (Some(breakdown), Some(clock)) = (&mut self.pool.meter.breakdown, clock) {
            breakdown.add(part, clock.elapsed(), bytes as u64, self.memory.take_tally());
        }
        result
    }
}
