//! `View`: the object-safe side of a problem, in flat slices.

use std::sync::Arc;

use hypertape_autodiff::{Array, Element};

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::stepper::Stepper;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::{Bilevel, Metric};
use crate::rows::Rows;

pub(crate) use crate::oracle::scratch::TOGETHER;

/// Where a loss is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Point<'v, T> {
    /// The inner variables, array after array.
    pub w: &'v [T],
    /// The outer variables, array after array.
    pub x: &'v [T],
    /// Task, random numbers and samples. Its level and step are set by what is asked for.
    pub draw: Draw,
}

impl<T> Point<'_, T> {
    pub(crate) fn at(self, level: Level, step: usize) -> Self {
        Self { draw: self.draw.at(level, step), ..self }
    }
}

/// The directions that a point moves along.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moving<'v, T> {
    Nowhere,
    /// One of `w`.
    Along(&'v [T]),
    /// Up to [`TOGETHER`] of `w` and of `x`, one after the other.
    Together([&'v [T]; 2]),
}

/// Which of a problem's losses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Inner,
    Outer,
}

impl Loss {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner loss",
            Self::Outer => "outer loss",
        }
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Self::Inner => Level::Inner,
            Self::Outer => Level::Outer,
        }
    }

    pub(crate) fn eval<'a, T: Element, P: Bilevel<T>, A: Array<'a, Elem = T>>(
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

/// The object-safe side of a [`Bilevel`] problem. Whatever evaluates is given the memory to do it in.
pub(crate) trait View<T: Element>: Send + Sync {
    fn start(&self) -> &Params<T>;
    fn inner_start(&self) -> &Params<T>;
    fn tasks(&self) -> usize;
    fn batch(&self) -> usize {
        self.tasks()
    }
    fn task(&self, _draw: Draw, slot: usize) -> usize {
        slot
    }
    fn replicas(&self) -> usize {
        1
    }
    /// Samples that an evaluation of the loss at the level of `draw` sees.
    fn samples(&self, _draw: Draw) -> usize {
        0
    }
    fn mini_batches(&self, _level: Level) -> usize {
        1
    }
    fn metrics(&self, _w: &Params<T>, _x: &Params<T>, _inner: &InnerLoop) -> Vec<Metric> {
        Vec::new()
    }
    fn controls(&self, _inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        Vec::new()
    }
    fn init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w: &mut [T],
    ) -> Result<(), Error>;
    fn pull_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error>;
    fn init_depends(&self, memory: &mut Workspaces<T>, x: &[T]) -> Result<bool, Error>;
    /// How `w_0` moves along each of the directions in `dx`.
    fn push_init(
        &self,
        memory: &mut Workspaces<T>,
        x: &[T],
        draw: Draw,
        dx: &[T],
        dw: &mut [T],
    ) -> Result<(), Error>;
    /// Whether a loss contains `x`.
    fn depends(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
    ) -> Result<bool, Error>;
    fn value(&self, memory: &mut Workspaces<T>, loss: Loss, point: Point<T>) -> Result<T, Error>;
    /// The same as a sum over so many blocks of samples, where blocks may be cut.
    fn value_in(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        _blocks: usize,
    ) -> Result<T, Error> {
        self.value(memory, loss, point)
    }
    /// One sweep over a loss, whose value it returns: writes its gradient by `w`, how that moves along each of the
    /// directions, and both for `x`. What has an empty slice is not wanted, and not computed where that can be saved.
    fn sweep(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        moving: Moving<T>,
        out: [&mut [T]; 4],
    ) -> Result<T, Error>;
    fn gradient(
        &self,
        memory: &mut Workspaces<T>,
        loss: Loss,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: Option<&mut [T]>,
    ) -> Result<T, Error> {
        let out = [w_bar, &mut [], x_bar.unwrap_or_default(), &mut []];
        self.sweep(memory, loss, point, Moving::Nowhere, out)
    }
    /// Writes `dg/dw`, `d2g/dw2 v` and `(d2g/dw dx)^T v`, each unless its slice is empty, by one sweep. Without the
    /// gradient, what can be saved by that is not computed.
    fn products(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        v: &[T],
        [gradient, hessian_product, mixed_product]: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let out = [gradient, hessian_product, &mut [], mixed_product];
        self.sweep(memory, Loss::Inner, point, Moving::Along(v), out).map(|_| ())
    }
    /// Writes `dg/dw`, and how it moves when `w` and `x` move along each of the directions in `moving`.
    fn push_gradient(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        moving: [&[T]; 2],
        gradient: &mut [T],
        pushed: &mut [T],
    ) -> Result<(), Error> {
        let out = [gradient, pushed, &mut [], &mut []];
        self.sweep(memory, Loss::Inner, point, Moving::Together(moving), out).map(|_| ())
    }
    /// A tape for the gradient of the inner loss at one step.
    fn tape<'v>(self: Arc<Self>) -> Box<dyn StepTape<T> + 'v>
    where
        Self: 'v;
    fn whole_run(
        &self,
        memory: &mut Workspaces<T>,
        inner: (&InnerLoop, &dyn Stepper<T>),
        init: Option<&[T]>,
        at: (&[T], Draw),
        gradient: &mut [T],
    ) -> Result<T, Error>;
}

/// A recorded gradient of the inner loss.
pub(crate) trait StepTape<T>: Send {
    /// Writes `dg/dw` at `point`, and keeps its recording in place of what was kept before; returns `g`.
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error>;
    /// Writes `d2g/dw2 v` and `(d2g/dw dx)^T v` at the recorded point.
    fn pull(
        &self,
        memory: &mut Workspaces<T>,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error>;
    /// Bytes kept.
    fn bytes(&self) -> usize;
    /// Forgets the recording. The memory is kept for the next.
    fn clear(&mut self);
}

#[cfg(test)]
mod tests {
    use hypertape_autodiff::scalar::Real;
    use hypertape_autodiff::{List, Shape};

    use super::*;
    use crate::oracle::lanes::Team;
    use crate::oracle::lens::Lens;
    use crate::oracle::scalars::Scalars;
    use crate::scalar::ScalarBilevel;

    /// `g = x w^3`
    struct Cube;

    impl Bilevel<f64> for Cube {
        fn start(&self) -> Params<f64> {
            Params::new().with("x", Shape::SCALAR, [3.0])
        }
        fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
            List::from_slice(&[x[0].scalar(2.0)])
        }
        fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
            x[0] * w[0].powi(3)
        }
        fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
            w[0]
        }
    }

    impl ScalarBilevel<f64> for Cube {
        fn start(&self) -> Params<f64> {
            Bilevel::start(self)
        }
        fn inner_dim(&self) -> u32 {
            1
        }
        fn init<R: Real>(&self, _: &[R], _: Draw, w: &mut [R]) {
            w[0] = R::constant(2.0);
        }
        fn inner<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
            x[0] * w[0].powi(3)
        }
        fn outer<R: Real>(&self, w: &[R], _: &[R], _: Draw) -> R {
            w[0]
        }
    }

    #[test]
    fn any_of_gradient_and_products_come_of_one_sweep() {
        let mut memory = Workspaces::new(Team::default(), 1);
        let views: [Arc<dyn View<f64>>; 2] =
            [Arc::new(Lens::new(Cube, &mut memory).unwrap()), Arc::new(Scalars::new(Cube))];
        let point = Point { w: &[2.0], x: &[3.0], draw: Draw::new(0, 0) };
        // 3 x w^2, 6 x w v, 3 w^2 v
        let known = [36.0, 180.0, 60.0];
        for (view, wanted) in views.iter().flat_map(|view| (0..8).map(move |wanted| (view, wanted)))
        {
            let mut found = [f64::NAN; 3];
            let mut out = found.each_mut().map(std::slice::from_mut);
            let unwanted = (0..3).filter(|k| wanted >> k & 1 == 0);
            unwanted.for_each(|k| out[k] = &mut []);
            view.products(&mut memory, point, &[5.0], out).unwrap();
            for k in 0..3 {
                let known = if wanted >> k & 1 == 1 { known[k] } else { f64::NAN };
                assert_eq!(found[k].to_bits(), known.to_bits(), "{k} of {wanted:b}");
            }
        }
    }
}
