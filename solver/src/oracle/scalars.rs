//! The passes over a problem of scalars: `View` of a [`ScalarBilevel`].
//!
//! Gradients by reverse mode, products by forward over reverse, along up to [`TOGETHER`](crate::oracle::TOGETHER) directions. A kept tape is the
//! point that it was taken at: a product from there costs 1.5 gradients, less than to record the sweep as well. A whole
//! run is reverse over reverse, under rules that multiply the gradient by a number.

use std::sync::Arc;

use hypertape_autodiff::scalar::{Real, Scalar, Var};
use hypertape_autodiff::{Element, Fault, Shape};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::results::in_function;
use crate::oracle::scratch::{Packed, Scratch, Sweep, join, store};
use crate::oracle::stepper::Stepper;
use crate::oracle::view::{Loss, Moving, Point, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::rule::Step;
use crate::scalar::ScalarBilevel;

/// A problem with its first point.
pub(crate) struct Scalars<P, T> {
    problem: P,
    start: Params<T>,
    inner_start: Params<T>,
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> Scalars<P, T> {
    /// A view of `problem`, whose start is evaluated once.
    pub(crate) fn new(problem: P) -> Self {
        let start = problem.start();
        let shape = Shape::column(problem.inner_dim());
        let mut w = vec![T::zero(); shape.len()];
        problem.init(start.values(), Draw::new(0, 0), &mut w);
        let inner_start = Params::new().with("w", shape, w);
        Self { problem, start, inner_start }
    }

    fn eval<R: Real<T>>(&self, loss: Loss, w: &[R], x: &[R], draw: Draw) -> R {
        match loss {
            Loss::Inner => self.problem.inner(w, x, draw),
            Loss::Outer => self.problem.outer(w, x, draw),
        }
    }

    /// [`View::sweep`] on one of the tapes; returns its bytes as well.
    fn sweep_on<S: Packed<T>>(
        &self,
        sweep: &mut Sweep<S>,
        loss: Loss,
        Point { w, x, draw }: Point<T>,
        [dw, dx]: [&[T]; 2],
        [w_bar, dw_bar, x_bar, dx_bar]: [&mut [T]; 4],
    ) -> Result<(T, usize), Fault> {
        let (at_w, at_x) = (join(w, dw), join(x, dx));
        let value = if x_bar.is_empty() && dx_bar.is_empty() {
            sweep.gradient(at_w, at_x, |w, x| self.eval(loss, w, x, draw))?
        } else {
            sweep.gradient(at_w.chain(at_x), [].into_iter(), |both, _| {
                let (w, x) = both.split_at(w.len());
                self.eval(loss, w, x, draw)
            })?
        };
        let (of_w, of_x) = sweep.bars.split_at(w.len());
        for (bars, [values, tangents]) in [(of_w, [w_bar, dw_bar]), (of_x, [x_bar, dx_bar])] {
            store(bars, values, tangents, |to, from| *to = from);
        }
        Ok((value.plane(0), sweep.used()))
    }
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> View<T> for Scalars<P, T> {
    fn start(&self) -> &Params<T> {
        &self.start
    }

    fn inner_start(&self) -> &Params<T> {
        &self.inner_start
    }

    fn tasks(&self) -> usize {
        self.problem.tasks()
    }

    fn init(&self, _: &mut Workspaces<T>, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error> {
        w.fill(T::zero());
        self.problem.init(x, draw, w);
        Ok(())
    }

    fn pull_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let sweep = &mut memory.scratch().values;
        sweep.seeds.clear();
        sweep.seeds.extend_from_slice(w_bar);
        let pulled = sweep.pull(x.iter().copied(), |x, w| self.problem.init(x, draw, w));
        pulled.map_err(in_function("init"))?;
        x_bar.iter_mut().zip(&sweep.bars).for_each(|(x_bar, &bar)| *x_bar += bar);
        let bytes = sweep.used();
        memory.note(bytes);
        Ok(())
    }

    fn init_depends(&self, memory: &mut Workspaces<T>, x: &[T]) -> Result<bool, Error> {
        let mut depends = false;
        let sweep = &mut memory.scratch().values;
        sweep.seeds.clear();
        sweep.seeds.resize(self.inner_start.values().len(), T::zero());
        let pulled = sweep.pull(x.iter().copied(), |x, w| {
            self.problem.init(x, Draw::new(0, 0), w);
            depends = w.iter().any(|w| !w.is_constant());
        });
        pulled.map(|()| depends).map_err(in_function("init"))
    }

    fn push_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        dx: &[T],
        dw: &mut [T],
    ) -> Result<(), Error> {
        let p = self.inner_start.values().len();
        let sweep = &mut memory.scratch().tangents;
        let bytes = sweep.evaluate(join(x, dx), p, |x, w| self.problem.init(x, draw, w));
        store(&sweep.results, &mut [], dw, |to, from| *to = from);
        memory.note(bytes);
        Ok(())
    }

    fn depends(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        Point { w, x, draw }: Point<T>,
    ) -> Result<bool, Error> {
        let mut depends = false;
        let (w, draw) = (w.iter().copied(), draw.at(loss.level(), 0));
        let value = memory.scratch().values.gradient(x.iter().copied(), w, |x, w| {
            let value = self.eval(loss, w, x, draw);
            depends = !value.is_constant();
            value
        });
        value.map(|_| depends).map_err(in_function(loss.name()))
    }

    fn value(
        &self,
        _: &mut Workspaces<T>,
        loss: Loss,
        Point { w, x, draw }: Point<T>,
    ) -> Result<T, Error> {
        Ok(self.eval(loss, w, x, draw))
    }

    fn sweep(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        moving: Moving<T>,
        out: [&mut [T]; 4],
    ) -> Result<T, Error> {
        let Scratch { values, tangent, tangents } = memory.scratch();
        let (value, bytes) = match moving {
            Moving::Nowhere => self.sweep_on(values, loss, point, [&[]; 2], out),
            Moving::Along(v) => self.sweep_on(tangent, loss, point, [v, &[]], out),
            Moving::Together(moving) => self.sweep_on(tangents, loss, point, moving, out),
        }
        .map_err(in_function(loss.name()))?;
        memory.note(bytes);
        Ok(value)
    }

    fn tape<'v>(self: Arc<Self>) -> Box<dyn StepTape<T> + 'v>
    where
        Self: 'v,
    {
        Box::new(Replayed { view: self, w: Vec::new(), x: Vec::new(), draw: Draw::new(0, 0) })
    }

    fn whole_run(
        &self,
        memory: &mut Workspaces<T>,
        (inner, rule): (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        (x, draw): (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let step = |index| rule.multiple(Step::new(index, inner.lr()));
        if step(0).is_none() {
            let expected = "a rule that multiplies the gradient by a number";
            return Err(Error::invalid("one tape over scalars", rule.name(), expected));
        }
        let p = self.inner_start.values().len();
        let (mut result, mut bytes) = (Ok(()), 0);
        let sweep = &mut memory.scratch().values;
        let value = sweep.gradient(x.iter().copied(), [].into_iter(), |x, _| {
            let mut w = vec![Var::from(T::zero()); p];
            match init {
                None => self.problem.init(x, draw.at(Level::Init, 0), &mut w),
                Some(init) => w.iter_mut().zip(init).for_each(|(w, &at)| *w = Var::from(at)),
            }
            // A tape whose sweep is recorded on that of the run.
            let mut each = Sweep::new(usize::MAX);
            for (t, multiple) in (0..inner.steps()).map_while(step).enumerate() {
                let draw = draw.at(Level::Inner, t);
                let (by, constants) = (<T as Element>::from_f64(multiple), x.iter().copied());
                let value = each
                    .gradient(w.iter().copied(), constants, |w, x| self.problem.inner(w, x, draw));
                result = result.and(value.map(|_| ()));
                w.iter_mut().zip(&each.bars).for_each(|(w, &g)| *w += g * by);
            }
            bytes = each.used();
            self.problem.outer(&w, x, draw.at(Level::Outer, 0))
        });
        gradient.copy_from_slice(&sweep.bars);
        let bytes = bytes + sweep.used();
        memory.note(bytes);
        result.and(value).map_err(in_function("whole run"))
    }
}

/// The point of a step.
struct Replayed<P, T> {
    view: Arc<Scalars<P, T>>,
    w: Vec<T>,
    x: Vec<T>,
    draw: Draw,
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> StepTape<T> for Replayed<P, T> {
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.clear();
        self.w.extend_from_slice(point.w);
        self.x.extend_from_slice(point.x);
        self.draw = point.draw;
        self.view.gradient(memory, Loss::Inner, point, gradient, None)
    }

    fn pull(
        &self,
        memory: &mut Workspaces<T>,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        let point = Point { w: &self.w, x: &self.x, draw: self.draw };
        self.view.products(memory, point, v, [&mut [], hessian_product, mixed_product])
    }

    fn bytes(&self) -> usize {
        (self.w.len() + self.x.len()) * size_of::<T>()
    }

    fn clear(&mut self) {
        self.w.clear();
        self.x.clear();
    }
}
