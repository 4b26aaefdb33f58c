//! The passes over a problem of scalars: `View` of a [`ScalarBilevel`].
//!
//! Gradients by reverse mode, products by forward over reverse, along up to [`TOGETHER`] directions. A kept tape is the
//! point that it was taken at: a product from there costs 1.5 gradients, less than to record the sweep as well. A whole
//! run is reverse over reverse, under rules that multiply the gradient by a number.

use std::sync::Arc;

use hypertape_autodiff::scalar::{Dual, Real, Scalar, Var};
use hypertape_autodiff::{Element, Shape};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::results::in_function;
use crate::oracle::scratch::Sweep;
use crate::oracle::stepper::Stepper;
use crate::oracle::view::{Loss, Point, StepTape, TOGETHER, View};
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
}

/// A number of a flat point with those of the directions that `moving` holds one after the other.
fn duals<'v, T: Scalar>(
    at: &'v [T],
    moving: &'v [T],
) -> impl ExactSizeIterator<Item = Dual<T, TOGETHER>> + 'v {
    at.iter().enumerate().map(|(i, &value)| {
        let tangent = |k: usize| moving.get(k * at.len() + i).copied().unwrap_or_else(T::zero);
        Dual::new(value, std::array::from_fn(tangent))
    })
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
        sweep.point.clear();
        sweep.point.extend(duals(x, dx));
        sweep.results.clear();
        sweep.results.resize(p, Dual::new(T::zero(), [T::zero(); TOGETHER]));
        self.problem.init(&sweep.point, draw, &mut sweep.results);
        for (k, dw) in dw.chunks_exact_mut(p.max(1)).enumerate() {
            dw.iter_mut().zip(&sweep.results).for_each(|(dw, w)| *dw = w.tangents()[k]);
        }
        memory.note((x.len() + p) * size_of::<Dual<T, TOGETHER>>());
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

    fn gradient(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        Point { w, x, draw }: Point<T>,
        w_bar: &mut [T],
        x_bar: Option<&mut [T]>,
    ) -> Result<T, Error> {
        let sweep = &mut memory.scratch().values;
        let value = if let Some(x_bar) = x_bar {
            let both = w.iter().chain(x).copied();
            let value = sweep.gradient(both, [].into_iter(), |both, _| {
                let (w, x) = both.split_at(w.len());
                self.eval(loss, w, x, draw)
            });
            x_bar.copy_from_slice(&sweep.bars[w.len()..]);
            value
        } else {
            let (w, x) = (w.iter().copied(), x.iter().copied());
            sweep.gradient(w, x, |w, x| self.eval(loss, w, x, draw))
        };
        w_bar.copy_from_slice(&sweep.bars[..w.len()]);
        let bytes = sweep.used();
        memory.note(bytes);
        value.map_err(in_function(loss.name()))
    }

    fn products(
        &self,
        memory: &mut Workspaces<T>,
        Point { w, x, draw }: Point<T>,
        v: &[T],
        [gradient, hessian_product, mixed_product]: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let loss = Loss::Inner;
        let sweep = &mut memory.scratch().tangent;
        let moving = w.iter().zip(v).map(|(&w, &v)| Dual::new(w, [v]));
        let fixed = x.iter().map(|&x| Dual::new(x, [T::zero()]));
        let value = if mixed_product.is_empty() {
            sweep.gradient(moving, fixed, |w, x| self.eval(loss, w, x, draw))
        } else {
            sweep.gradient(moving.chain(fixed), [].into_iter(), |both, _| {
                let (w, x) = both.split_at(w.len());
                self.eval(loss, w, x, draw)
            })
        };
        let _ = value.map_err(in_function(loss.name()))?;
        let (of_w, of_x) = sweep.bars.split_at(w.len());
        gradient.iter_mut().zip(of_w).for_each(|(g, bar)| *g = bar.value());
        for (product, bars) in [(hessian_product, of_w), (mixed_product, of_x)] {
            product.iter_mut().zip(bars).for_each(|(product, bar)| *product = bar.tangents()[0]);
        }
        let bytes = sweep.used();
        memory.note(bytes);
        Ok(())
    }

    fn push_gradient(
        &self,
        memory: &mut Workspaces<T>,
        Point { w, x, draw }: Point<T>,
        [dw, dx]: [&[T]; 2],
        gradient: &mut [T],
        pushed: &mut [T],
    ) -> Result<(), Error> {
        let loss = Loss::Inner;
        let sweep = &mut memory.scratch().tangents;
        let value = sweep.gradient(duals(w, dw), duals(x, dx), |w, x| self.eval(loss, w, x, draw));
        let _ = value.map_err(in_function(loss.name()))?;
        gradient.iter_mut().zip(&sweep.bars).for_each(|(g, bar)| *g = bar.value());
        for (k, pushed) in pushed.chunks_exact_mut(w.len().max(1)).enumerate() {
            pushed.iter_mut().zip(&sweep.bars).for_each(|(dg, bar)| *dg = bar.tangents()[k]);
        }
        let bytes = sweep.used();
        memory.note(bytes);
        Ok(())
    }

    fn tape<'v>(self: Arc<Self>) -> Box<dyn StepTape<T> + 'v>
    where
        Self: 'v,
    {
        Box::new(Kept { view: self, w: Vec::new(), x: Vec::new(), draw: Draw::new(0, 0) })
    }

    fn whole_run(
        &self,
        memory: &mut Workspaces<T>,
        (inner, rule): (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        (x, draw): (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let step = |index| rule.multiple(Step { index, lr: inner.lr() });
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
struct Kept<P, T> {
    view: Arc<Scalars<P, T>>,
    w: Vec<T>,
    x: Vec<T>,
    draw: Draw,
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> StepTape<T> for Kept<P, T> {
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
