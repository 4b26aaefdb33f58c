//! `Oracle`: a metered view of a problem through flat slices, the only thing that estimators see.
//!
//! It hides the generic losses behind an object-safe view, so everything above is compiled once per element type. One
//! virtual call covers a whole gradient or product.

use std::fmt;
use std::marker::PhantomData;

use hypertape_autodiff::{
    Adjoints, Array, Dual, Element, Fault, List, NodeId, Shape, Tape, Tensor, Var, Workspace,
};

use crate::cost::{Cost, Meter};
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};
use crate::rows::Rows;
use crate::rule::InnerLoop;

/// A problem as estimators see it, with the memory that evaluations reuse and the meter that they run under.
pub struct Oracle<'p, T> {
    view: Box<dyn View<T> + 'p>,
    start: Params<T>,
    /// Names and shapes of the inner variables; the values are `w_0` at the first outer point.
    inner: Params<T>,
    init: Option<Vec<T>>,
    meter: Meter,
    scratch: Vec<T>,
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
        let start = problem.start();
        let mut lens = Lens {
            x_shapes: start.shapes().to_vec(),
            w_shapes: Vec::new(),
            problem,
            workspace: Workspace::new(),
            element: PhantomData,
        };
        let inner = lens.inner_params(start.values())?;
        lens.w_shapes = inner.shapes().to_vec();
        Ok(Self {
            view: Box::new(lens),
            start,
            inner,
            init: None,
            meter: Meter::default(),
            scratch: Vec::new(),
            first_order_vanishes: None,
        })
    }

    /// The first outer point.
    pub fn start(&self) -> &Params<T> {
        &self.start
    }

    /// The inner variables at the first outer point.
    pub fn inner_start(&self) -> &Params<T> {
        &self.inner
    }

    /// Number of outer variables.
    pub fn outer_dim(&self) -> usize {
        self.start.values().len()
    }

    /// Number of inner variables.
    pub fn inner_dim(&self) -> usize {
        self.inner.values().len()
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
        if self.view.init_depends(self.start.values())? {
            return Err(Error::invalid(
                "the inner start",
                "a problem whose start depends on the outer variables",
                "one with a fixed start",
            ));
        }
        self.init = Some(w);
        Ok(())
    }

    /// How good a solution is, beyond its losses.
    pub fn metrics(&self, w: &[T], x: &[T], inner: &InnerLoop) -> Vec<Metric> {
        let fill = |like: &Params<T>, values: &[T]| {
            let mut params = like.clone();
            params.values_mut().copy_from_slice(values);
            params
        };
        self.view.metrics(&fill(&self.inner, w), &fill(&self.start, x), inner)
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

    /// Whether neither the inner start nor the outer loss contains `x`, so that a first-order gradient is zero.
    pub(crate) fn first_order_vanishes(&mut self) -> Result<bool, Error> {
        if let Some(known) = self.first_order_vanishes {
            return Ok(known);
        }
        let (w, x, draw) = (self.inner.values(), self.start.values(), Draw::new(0, 0));
        let in_start = self.init.is_none() && self.view.init_depends(x)?;
        let vanishes = !in_start && !self.view.outer_depends(Point { w, x, draw })?;
        // The evaluations above are not part of any estimate.
        self.view.take_peak();
        self.first_order_vanishes = Some(vanishes);
        Ok(vanishes)
    }

    /// A vector that is kept between calls, taken note of as held.
    pub(crate) fn take_scratch(&mut self, len: usize) -> Vec<T> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(len, T::zero());
        self.hold(len);
        scratch
    }

    /// Gives a vector back for the next call.
    pub(crate) fn return_scratch(&mut self, scratch: Vec<T>) {
        self.scratch = scratch;
    }

    pub(crate) fn held(&self) -> u64 {
        self.meter.held()
    }

    pub(crate) fn release_to(&mut self, held: u64) {
        self.meter.release_to(held);
    }

    /// Starts counting afresh.
    pub(crate) fn begin(&mut self) {
        self.meter.reset();
    }

    /// What was counted since [`begin`](Self::begin).
    pub(crate) fn cost(&self) -> Cost {
        self.meter.cost
    }

    /// Takes note of state that stays in use until the next [`begin`](Self::begin).
    pub(crate) fn hold(&mut self, values: usize) {
        self.meter.hold(values * size_of::<T>());
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
        let result = self.view.init(x, draw.at(Level::Init, 0), w);
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
        let result = self.view.pull_init(x, draw.at(Level::Init, 0), w_bar, x_bar);
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
        let result = self.view.gradient(Loss::Inner, point, gradient, None);
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
        let result = self.view.products(point, v, hessian_product, mixed_product);
        self.metered(result)
    }

    /// `df/dw` and `df/dx`; returns `f`.
    pub(crate) fn outer_gradient(
        &mut self,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        let result = self.view.gradient(Loss::Outer, point.at(Level::Outer, 0), w_bar, Some(x_bar));
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
        let result = self.view.whole_run(inner, self.init.as_deref(), (x, draw), gradient);
        self.metered(result)
    }

    /// `g` at inner step `step`
    pub(crate) fn inner_value(&mut self, point: Point<T>, step: usize) -> Result<T, Error> {
        let result = self.view.value(Loss::Inner, point.at(Level::Inner, step));
        self.metered(result)
    }

    /// `f`
    pub(crate) fn outer_value(&mut self, point: Point<T>) -> Result<T, Error> {
        let result = self.view.value(Loss::Outer, point.at(Level::Outer, 0));
        self.metered(result)
    }

    fn metered<R>(&mut self, result: Result<R, Error>) -> Result<R, Error> {
        self.meter.observe(self.view.take_peak());
        result
    }
}

/// Where a loss is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'v, T> {
    pub(crate) w: &'v [T],
    pub(crate) x: &'v [T],
    pub(crate) draw: Draw,
}

impl<T> Point<'_, T> {
    fn at(self, level: Level, step: usize) -> Self {
        Self { draw: self.draw.at(level, step), ..self }
    }
}

/// Which of a problem's losses.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Inner,
    Outer,
}

/// The object-safe side of a [`Bilevel`] problem.
trait View<T> {
    fn init(&mut self, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error>;
    fn pull_init(&mut self, x: &[T], draw: Draw, w_bar: &[T], x_bar: &mut [T])
    -> Result<(), Error>;
    fn init_depends(&mut self, x: &[T]) -> Result<bool, Error>;
    fn outer_depends(&mut self, point: Point<T>) -> Result<bool, Error>;
    fn tasks(&self) -> usize;
    fn batch(&self) -> usize;
    fn task(&self, draw: Draw, slot: usize) -> usize;
    fn replicas(&self) -> usize;
    fn whole_run(
        &mut self,
        inner: &InnerLoop,
        init: Option<&[T]>,
        at: (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error>;
    fn value(&mut self, loss: Loss, point: Point<T>) -> Result<T, Error>;
    fn gradient(
        &mut self,
        loss: Loss,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: Option<&mut [T]>,
    ) -> Result<T, Error>;
    fn products(
        &mut self,
        point: Point<T>,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error>;
    /// Most bytes used at once in the arenas since the last call.
    fn take_peak(&mut self) -> usize;
    fn metrics(&self, w: &Params<T>, x: &Params<T>, inner: &InnerLoop) -> Vec<Metric>;
    fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)>;
}

/// A problem, the memory that its evaluations reuse, and the shapes that cut its flat points.
struct Lens<P, T> {
    problem: P,
    workspace: Workspace,
    x_shapes: Vec<Shape>,
    w_shapes: Vec<Shape>,
    element: PhantomData<fn(T)>,
}

impl Loss {
    fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner loss",
            Self::Outer => "outer loss",
        }
    }

    fn level(self) -> Level {
        match self {
            Self::Inner => Level::Inner,
            Self::Outer => Level::Outer,
        }
    }

    fn eval<'a, T: Element, P: Bilevel<T>, A: Array<'a, Elem = T>>(
        self,
        problem: &'a P,
        w: &[A],
        x: &[A],
        draw: Draw,
        rows: Rows,
    ) -> A {
        match self {
            Self::Inner => problem.inner(w, x, draw, rows),
            Self::Outer => problem.outer(w, x, draw, rows),
        }
    }
}

impl<T: Element, P: Bilevel<T>> Lens<P, T> {
    /// `w_0` at `x`, with names and shapes.
    fn inner_params(&mut self, x: &[T]) -> Result<Params<T>, Error> {
        let (record, _) = self.workspace.arenas();
        let x = Tensor::split(record, &self.x_shapes, x).map_err(in_function("init"))?;
        let w = self.problem.init(&x, Draw::new(0, 0));
        record.status().map_err(in_function("init"))?;
        let names = self.problem.inner_names();
        let mut params = Params::new();
        for (i, w) in w.iter().enumerate() {
            let name = names.get(i).map_or_else(|| format!("w{i}"), ToString::to_string);
            params = params.with(name, w.shape(), w.values().iter().copied());
        }
        Ok(params)
    }

    fn rows(&self, loss: Loss) -> impl Iterator<Item = Rows> + use<P, T> {
        let level = loss.level();
        Rows::blocks(self.problem.samples(level), self.problem.block(level))
    }
}

/// Names the function that a fault occurred in.
fn in_function(function: &'static str) -> impl Fn(Fault) -> Error {
    move |fault| Error::Function { function, fault }
}

/// The value of a loss, which must be a scalar.
fn scalar<'a, A: Array<'a>>(loss: A) -> Result<A::Elem, Fault> {
    match loss.values() {
        [value] => Ok(*value),
        values => Err(Fault::Length { what: "a loss", expected: 1, found: values.len() }),
    }
}

/// The wanted part of the adjoint of a variable of tangents.
#[expect(clippy::unnecessary_wraps, reason = "one of several ways to read an adjoint")]
fn product<A: Copy>(dual: Dual<A>) -> Option<A> {
    Some(dual.value())
}

/// Writes, or adds unless `first`, one plane of the adjoints of `leaves` to consecutive pieces of `out`.
fn collect<'a, T: Element, A: Array<'a, Elem = T>>(
    adjoints: &Adjoints<'a, A>,
    leaves: &[Var<'a, A>],
    plane: impl Fn(A) -> Option<Tensor<'a, T>>,
    first: bool,
    out: &mut [T],
) {
    let mut rest = out;
    for leaf in leaves {
        let (piece, others) = rest.split_at_mut(leaf.shape().len());
        rest = others;
        match leaf.id().and_then(|id| adjoints.get(id)).and_then(&plane) {
            Some(adjoint) if first => piece.copy_from_slice(adjoint.values()),
            Some(adjoint) => piece.iter_mut().zip(adjoint.values()).for_each(|(p, &a)| *p += a),
            None if first => piece.fill(T::zero()),
            None => {}
        }
    }
}

impl<T: Element, P: Bilevel<T>> View<T> for Lens<P, T> {
    fn init(&mut self, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error> {
        let fault = in_function("init");
        let (record, _) = self.workspace.arenas();
        let x = Tensor::split(record, &self.x_shapes, x).map_err(&fault)?;
        let start = self.problem.init(&x, draw);
        record.status().map_err(&fault)?;
        let mut rest = w;
        for (array, shape) in start.iter().zip(&self.w_shapes) {
            let (piece, others) = rest.split_at_mut(shape.len());
            rest = others;
            if array.shape() != *shape {
                let (operation, left, right) = ("the start", *shape, array.shape());
                return Err(fault(Fault::Shapes { operation, left, right }));
            }
            piece.copy_from_slice(array.values());
        }
        Ok(())
    }

    fn pull_init(
        &mut self,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let fault = in_function("init");
        let (record, sweep) = self.workspace.arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, &self.x_shapes, x).map_err(&fault)?;
        let x: List<_> = x.into_iter().map(|x| tape.variable(x)).collect();
        let start = self.problem.init(&x, draw);
        let w_bar = Tensor::split(sweep, &self.w_shapes, w_bar).map_err(&fault)?;
        let seeds = start.iter().zip(w_bar).filter_map(|(w, bar)| Some((w.id()?, bar)));
        let adjoints = tape.finish().pull(&seeds.collect::<List<(NodeId, _)>>(), sweep);
        record.status().and(sweep.status()).map_err(&fault)?;
        collect(&adjoints, &x, Some, false, x_bar);
        Ok(())
    }

    fn init_depends(&mut self, x: &[T]) -> Result<bool, Error> {
        let fault = in_function("init");
        let (record, _) = self.workspace.arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, &self.x_shapes, x).map_err(&fault)?;
        let x: List<_> = x.into_iter().map(|x| tape.variable(x)).collect();
        let start = self.problem.init(&x, Draw::new(0, 0));
        record.status().map_err(&fault)?;
        Ok(start.iter().any(|w| w.id().is_some()))
    }

    fn outer_depends(&mut self, point: Point<T>) -> Result<bool, Error> {
        let fault = in_function(Loss::Outer.name());
        for rows in self.rows(Loss::Outer) {
            let (record, _) = self.workspace.arenas();
            let tape = Tape::new(record).map_err(&fault)?;
            let w = Tensor::split(record, &self.w_shapes, point.w).map_err(&fault)?;
            let w: List<_> = w.into_iter().map(|w| tape.passive(w)).collect();
            let x = Tensor::split(record, &self.x_shapes, point.x).map_err(&fault)?;
            let x: List<_> = x.into_iter().map(|x| tape.variable(x)).collect();
            let draw = point.draw.at(Level::Outer, 0);
            let value = Loss::Outer.eval(&self.problem, &w, &x, draw, rows);
            record.status().map_err(&fault)?;
            if value.id().is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tasks(&self) -> usize {
        self.problem.tasks()
    }

    fn batch(&self) -> usize {
        self.problem.batch()
    }

    fn task(&self, draw: Draw, slot: usize) -> usize {
        self.problem.task(draw, slot)
    }

    fn replicas(&self) -> usize {
        self.problem.replicas()
    }

    fn whole_run(
        &mut self,
        inner: &InnerLoop,
        init: Option<&[T]>,
        (x, draw): (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let fault = in_function("whole run");
        let (inner_rows, outer_rows) = (self.rows(Loss::Inner), self.rows(Loss::Outer));
        let inner_rows: List<Rows> = inner_rows.collect();
        let (record, sweep) = self.workspace.arenas();
        let tape = Tape::new(record).map_err(&fault)?;
        let x = Tensor::split(record, &self.x_shapes, x).map_err(&fault)?;
        let x: List<_> = x.into_iter().map(|x| tape.variable(x)).collect();
        let mut w: List<_> = match init {
            None => self.problem.init(&x, draw.at(Level::Init, 0)),
            Some(init) => {
                let init = Tensor::split(record, &self.w_shapes, init).map_err(&fault)?;
                init.into_iter().map(|w| tape.passive(w)).collect()
            }
        };
        for t in 0..inner.steps() {
            // The gradient of the inner loss, by a tape whose sweep is recorded on the tape of the run.
            let step = Tape::new(record).map_err(&fault)?;
            let variables: List<_> = w.iter().map(|&w| step.variable(w)).collect();
            let outer: List<_> = x.iter().map(|&x| step.passive(x)).collect();
            let draw = draw.at(Level::Inner, t);
            let part = |rows: &Rows| self.problem.inner(&variables, &outer, draw, *rows);
            let loss = inner_rows.iter().map(part).reduce(|a, b| a + b);
            record.status().map_err(&fault)?;
            let Some((loss, id)) = loss.and_then(|l| Some((l, l.id()?))) else { continue };
            scalar(loss).map_err(&fault)?;
            let adjoints = step.finish().pull(&[(id, loss.value().scalar(1.0))], record);
            for (w, variable) in w.iter_mut().zip(&variables) {
                if let Some(bar) = variable.id().and_then(|id| adjoints.get(id)) {
                    *w = *w - bar * inner.lr();
                }
            }
        }
        let part = |rows| self.problem.outer(&w, &x, draw.at(Level::Outer, 0), rows);
        let Some(loss) = outer_rows.map(part).reduce(|a, b| a + b) else { return Ok(T::zero()) };
        record.status().map_err(&fault)?;
        let value = scalar(loss.value()).map_err(&fault)?;
        let seed = loss.value().within(sweep).scalar(1.0);
        let seeds: List<_> = loss.id().map(|id| (id, seed)).into_iter().collect();
        let adjoints = tape.finish().pull(&seeds, sweep);
        sweep.status().map_err(&fault)?;
        collect(&adjoints, &x, Some, true, gradient);
        Ok(value)
    }

    fn value(&mut self, loss: Loss, point: Point<T>) -> Result<T, Error> {
        let fault = in_function(loss.name());
        let mut total = T::zero();
        for rows in self.rows(loss) {
            let (record, _) = self.workspace.arenas();
            let w = Tensor::split(record, &self.w_shapes, point.w).map_err(&fault)?;
            let x = Tensor::split(record, &self.x_shapes, point.x).map_err(&fault)?;
            let value = loss.eval(&self.problem, &w, &x, point.draw, rows);
            record.status().map_err(&fault)?;
            total += scalar(value).map_err(&fault)?;
        }
        Ok(total)
    }

    fn gradient(
        &mut self,
        loss: Loss,
        point: Point<T>,
        w_bar: &mut [T],
        mut x_bar: Option<&mut [T]>,
    ) -> Result<T, Error> {
        let fault = in_function(loss.name());
        let mut total = T::zero();
        for (block, rows) in self.rows(loss).enumerate() {
            let (record, sweep) = self.workspace.arenas();
            let tape = Tape::new(record).map_err(&fault)?;
            let w = Tensor::split(record, &self.w_shapes, point.w).map_err(&fault)?;
            let w: List<_> = w.into_iter().map(|w| tape.variable(w)).collect();
            let x = Tensor::split(record, &self.x_shapes, point.x).map_err(&fault)?;
            let wanted = x_bar.is_some();
            let variable = |x| if wanted { tape.variable(x) } else { tape.passive(x) };
            let x: List<_> = x.into_iter().map(variable).collect();
            let value = loss.eval(&self.problem, &w, &x, point.draw, rows);
            record.status().map_err(&fault)?;
            total += scalar(value.value()).map_err(&fault)?;
            let seed = value.value().within(sweep).scalar(1.0);
            let seeds: List<_> = value.id().map(|id| (id, seed)).into_iter().collect();
            let adjoints = tape.finish().pull(&seeds, sweep);
            sweep.status().map_err(&fault)?;
            collect(&adjoints, &w, Some, block == 0, w_bar);
            if let Some(x_bar) = &mut x_bar {
                collect(&adjoints, &x, Some, block == 0, x_bar);
            }
        }
        Ok(total)
    }

    fn products(
        &mut self,
        point: Point<T>,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        let loss = Loss::Inner;
        let fault = in_function(loss.name());
        for (block, rows) in self.rows(loss).enumerate() {
            let (record, sweep) = self.workspace.arenas();
            let tape = Tape::new(record).map_err(&fault)?;
            let w = Tensor::split(record, &self.w_shapes, point.w).map_err(&fault)?;
            let v = Tensor::split(record, &self.w_shapes, v).map_err(&fault)?;
            let moving = w.into_iter().zip(v).map(|(w, v)| Dual::new(w, [Some(v)]));
            let w: List<_> = moving.map(|w| tape.variable_of_tangents(w)).collect();
            let x = Tensor::split(record, &self.x_shapes, point.x).map_err(&fault)?;
            let still = x.into_iter().map(|x| Dual::new(x, [None]));
            let x: List<_> = still.map(|x| tape.variable_of_tangents(x)).collect();
            let value = loss.eval(&self.problem, &w, &x, point.draw, rows);
            record.status().map_err(&fault)?;
            scalar(value).map_err(&fault)?;
            let seed = value.value().within(sweep).scalar(1.0);
            let seeds: List<_> = value.id().map(|id| (id, seed)).into_iter().collect();
            let adjoints = tape.finish().pull(&seeds, sweep);
            sweep.status().map_err(&fault)?;
            collect(&adjoints, &w, product, block == 0, hessian_product);
            collect(&adjoints, &x, product, block == 0, mixed_product);
        }
        Ok(())
    }

    fn take_peak(&mut self) -> usize {
        self.workspace.take_peak()
    }

    fn metrics(&self, w: &Params<T>, x: &Params<T>, inner: &InnerLoop) -> Vec<Metric> {
        self.problem.metrics(w, x, inner)
    }

    fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        self.problem.controls(inner)
    }
}
