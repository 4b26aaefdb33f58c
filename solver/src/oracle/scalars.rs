//! A problem over scalars as the oracle sees it.
//!
//! Gradients use reverse mode, products use forward over reverse, along up to [`TOGETHER`](crate::oracle::TOGETHER)
//! directions. A kept tape only stores its point: a product computed from there costs 1.5 gradients, which is less than
//! to record the sweep as well. A whole run uses reverse over reverse, for rules that multiply the gradient by a
//! number.

use std::iter::empty;
use std::sync::Arc;

use hypertape_autodiff::scalar::{Real, Scalar, Var};
use hypertape_autodiff::{Element, Shape};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::lens::Lens;
use crate::oracle::numbers::{NumberStages, Numbers};
use crate::oracle::passes::FIRST;
use crate::oracle::results::in_function;
use crate::oracle::scratch::Sweep;
use crate::oracle::stepper::Stepper;
use crate::oracle::view::{Point, StepTape, View};
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::rule::Step;
use crate::scalar::ScalarBilevel;

/// Creates a view of `problem`, whose start is evaluated once.
pub(crate) fn view<'p, T: Element + Scalar<Plain = T>>(
    problem: impl ScalarBilevel<T> + 'p,
) -> Arc<dyn View<T> + 'p> {
    let start = problem.start();
    let shape = Shape::column(problem.inner_dim());
    let mut w = vec![T::zero(); shape.len()];
    problem.init(start.values(), Draw::new(0, 0), &mut w);
    let inner_start = Params::new().with("w", shape, w);
    Arc::new(Numbers(Lens { problem, start, inner_start }))
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> NumberStages<T, Draw> for Lens<P, T> {
    fn arrays<R: Real<T>>(&self, draw: Draw, [_, x]: [&[R]; 2], w: &mut [R]) {
        if const { R::ORDER <= FIRST } && draw.level == Level::Init {
            self.problem.init(x, draw, w);
        }
    }

    fn scalar<R: Real<T>>(&self, draw: Draw, [w, x]: [&[R]; 2]) -> Option<R> {
        match draw.level {
            Level::Inner => Some(self.problem.inner(w, x, draw)),
            Level::Outer if const { R::ORDER <= FIRST } => Some(self.problem.outer(w, x, draw)),
            _ => None,
        }
    }
}

impl<T: Element + Scalar<Plain = T>, P: ScalarBilevel<T>> View<T> for Numbers<Lens<P, T>> {
    fn starts(&self) -> [&Params<T>; 2] {
        [&self.0.start, &self.0.inner_start]
    }

    fn tasks(&self) -> usize {
        self.0.problem.tasks()
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
        let step = |index| rule.stated().multiple(Step::new(index, inner.lr()));
        if step(0).is_none() {
            let expected = "a rule that multiplies the gradient by a number";
            return Err(Error::invalid("one tape over scalars", rule.stated().name(), expected));
        }
        let Lens { problem, inner_start, .. } = &self.0;
        let p = inner_start.values().len();
        let (mut result, mut bytes) = (Ok(()), 0);
        let sweep = &mut memory.scratch().values;
        let value = sweep.pull(empty(), x.iter().copied(), empty(), |x, _, _| {
            let mut w = vec![Var::from(T::zero()); p];
            match init {
                None => problem.init(x, draw.at(Level::Init, 0), &mut w),
                Some(init) => w.iter_mut().zip(init).for_each(|(w, &at)| *w = Var::from(at)),
            }
            // A tape whose sweep is recorded on that of the run.
            let mut each = Sweep::new(usize::MAX);
            for (t, multiple) in (0..inner.steps()).map_while(step).enumerate() {
                let draw = draw.at(Level::Inner, t);
                let (by, constants) = (<T as Element>::from_f64(multiple), x.iter().copied());
                let value = each.pull(empty(), w.iter().copied(), constants, |w, x, _| {
                    problem.inner(w, x, draw)
                });
                result = result.and(value.map(|_| ()));
                w.iter_mut().zip(&each.bars).for_each(|(w, &g)| *w += g * by);
            }
            bytes = each.used();
            problem.outer(&w, x, draw.at(Level::Outer, 0))
        });
        gradient.copy_from_slice(&sweep.bars);
        let bytes = bytes + sweep.used();
        memory.note(bytes);
        result.and(value).map_err(in_function("whole run"))
    }
}

/// The point of a step, from which products are recomputed.
struct Replayed<P, T> {
    view: Arc<Numbers<Lens<P, T>>>,
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
        let view: &dyn View<T> = &*self.view;
        view.gradient(memory, point, [gradient, &mut []])
    }

    fn pull(&self, memory: &mut Workspaces<T>, v: &[T], out: [&mut [T]; 2]) -> Result<(), Error> {
        let point = Point { w: &self.w, x: &self.x, draw: self.draw };
        let view: &dyn View<T> = &*self.view;
        let [hessian_product, mixed_product] = out;
        view.products(memory, point, v, [&mut [], hessian_product, mixed_product])
    }

    fn bytes(&self) -> usize {
        (self.w.len() + self.x.len()) * size_of::<T>()
    }

    fn clear(&mut self) {
        self.w.clear();
        self.x.clear();
    }
}
