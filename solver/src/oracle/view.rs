//! `View`: the object-safe side of a problem, in flat slices.

use std::sync::Arc;

use hypertape_autodiff::Element;
use hypertape_autodiff::passes::Group;

use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::passes::{Along, At, Passes};
use crate::oracle::stepper::Stepper;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::problem::Bilevel;

/// The point at which a loss is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Point<'v, T> {
    /// The inner variables, array after array.
    pub w: &'v [T],
    /// The outer variables, array after array.
    pub x: &'v [T],
    /// Task, random numbers and samples. The evaluation sets level and step.
    pub draw: Draw,
}

impl<T> Point<'_, T> {
    pub(crate) fn at(self, level: Level, step: usize) -> Self {
        Self { draw: self.draw.at(level, step), ..self }
    }
}

/// The object-safe side of a problem: its start and its losses, selected by the level of a draw, as [`Passes`] with the
/// arguments `[w, x]`, and its properties. Evaluations receive the memory that they use.
pub(crate) trait View<T: Element>: Passes<T, Draw> {
    /// The first outer point and `w_0` there, with names and shapes.
    fn starts(&self) -> [&Params<T>; 2];
    /// The problem itself, for its properties, if it is one over arrays.
    fn stated(&self) -> Option<&dyn Bilevel<T>> {
        None
    }
    fn tasks(&self) -> usize;
    /// Creates a tape for the gradient of the inner loss at one step.
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

impl<T: Element> dyn View<T> + '_ {
    /// Number of samples that an evaluation of the loss at the level of `draw` uses.
    pub(crate) fn samples(&self, draw: Draw) -> usize {
        self.stated().map_or(0, |problem| problem.samples(draw))
    }

    /// Arguments for the loss at the level of the draw.
    pub(crate) fn loss<'v>(&'v self, Point { w, x, draw }: Point<'v, T>) -> At<'v, T, Draw> {
        let [of_x, of_w] = self.starts().map(Params::shapes);
        At::new(draw, [Group::new(of_w, w), Group::new(of_x, x), Group::NONE], Group::NONE)
    }

    /// Writes the gradients of the loss with respect to `w` and `x`, except to empty slices, and returns the loss.
    pub(crate) fn gradient(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        [w_bar, x_bar]: [&mut [T]; 2],
    ) -> Result<T, Error> {
        let out = [w_bar, &mut [], x_bar, &mut [], &mut [], &mut []];
        self.pull(memory, self.loss(point), out)
    }

    /// Writes `dg/dw`, `d2g/dw2 v` and `(d2g/dw dx)^T v`, except to empty slices, from one sweep. Without the gradient,
    /// work that it alone needs is saved.
    pub(crate) fn products(
        &self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        v: &[T],
        [gradient, hessian_product, mixed_product]: [&mut [T]; 3],
    ) -> Result<(), Error> {
        let at = self.loss(point).moving(Along::One, [v, &[]]);
        let out = [gradient, hessian_product, &mut [], mixed_product, &mut [], &mut []];
        self.pull(memory, at, out).map(|_| ())
    }

    /// Arguments for the start.
    pub(crate) fn init<'v>(&'v self, x: &'v [T], draw: Draw) -> At<'v, T, Draw> {
        let [of_x, of_w] = self.starts().map(Params::shapes);
        let groups = [Group::NONE, Group::new(of_x, x), Group::NONE];
        At::new(draw.at(Level::Init, 0), groups, Group::new(of_w, &[]))
    }
}

/// A recorded gradient of the inner loss.
pub(crate) trait StepTape<T>: Send {
    /// Writes `dg/dw` at `point`, replaces the kept recording by that of this evaluation, and returns `g`.
    fn record(
        &mut self,
        memory: &mut Workspaces<T>,
        point: Point<T>,
        gradient: &mut [T],
    ) -> Result<T, Error>;
    /// Writes `d2g/dw2 v` and `(d2g/dw dx)^T v` at the recorded point.
    fn pull(&self, memory: &mut Workspaces<T>, v: &[T], out: [&mut [T]; 2]) -> Result<(), Error>;
    /// Number of bytes kept.
    fn bytes(&self) -> usize;
    /// Discards the recording, and keeps its memory for the next one.
    fn clear(&mut self);
}

#[cfg(test)]
mod tests {
    use hypertape_autodiff::scalar::Real;
    use hypertape_autodiff::{Array, List, Shape};

    use super::*;
    use crate::oracle::lanes::Team;
    use crate::oracle::{arrays, scalars};
    use crate::problem::Bilevel;
    use crate::rows::Rows;
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
            [arrays::view(Cube, &mut memory).unwrap(), scalars::view(Cube)];
        let point = Point { w: &[2.0], x: &[3.0], draw: Draw::new(0, 0) }.at(Level::Inner, 0);
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
