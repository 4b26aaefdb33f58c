//! Tasks with known moments, and single tasks.

use hypertape::{Array, Bilevel, Draw, List, Params, Rows, Shape};

/// Tasks whose exact and first-order gradients are known: `g = (w - a)'h(w - a)/2`, `f = |w - a - b|^2/2`, start `x`.
///
/// All entries of `a` are `+-1` and those of `b` `+-0.5`, with one task per combination of signs. Gradients are linear
/// in `a` and `b`, so their moments are those of independent Gaussian entries with these deviations.
pub(crate) struct Signs;

const CURVATURE: [f64; 3] = [0.1, 0.5, 1.0];

impl Bilevel<f64> for Signs {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(3), [0.0; 3])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(x)
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], d: Draw, _: Rows) -> A {
        let gap = w[0] - if d.task.is_multiple_of(2) { 1.0 } else { -1.0 };
        gap.square().dot(w[0].constant(Shape::column(3), &CURVATURE)) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], d: Draw, _: Rows) -> A {
        let a = if d.task.is_multiple_of(2) { 1.0 } else { -1.0 };
        let b = if d.task < 2 { 0.5 } else { -0.5 };
        (w[0] - (a + b)).square().sum() * 0.5
    }
    fn tasks(&self) -> usize {
        4
    }
}

/// A problem with a single one of the tasks of another.
pub(crate) struct Only<P>(pub(crate) P, pub(crate) u64);

impl<P: Bilevel<f64>> Bilevel<f64> for Only<P> {
    fn start(&self) -> Params<f64> {
        self.0.start()
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], d: Draw) -> List<A> {
        self.0.init(x, Draw { task: self.1, ..d })
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, r: Rows) -> A {
        self.0.inner(w, x, Draw { task: self.1, ..d }, r)
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, r: Rows) -> A {
        self.0.outer(w, x, Draw { task: self.1, ..d }, r)
    }
}
