//! A problem that fails for chosen tasks or samples.

use std::ops::Range;

use hypertape::{Array, Bilevel, Draw, Level, List, Params, Rows, Shape};

/// `g = f = sum_i |w|^2/2` over 20 tasks, or over 20 samples in blocks of one, some of which fail.
pub(crate) struct Failing {
    pub(crate) tasks: usize,
    pub(crate) samples: usize,
    pub(crate) fail: Range<u64>,
}

impl Bilevel<f64> for Failing {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::SCALAR, [1.0])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0)])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], d: Draw, r: Rows) -> A {
        let place = d.task + r.start() as u64;
        if !self.fail.contains(&place) {
            return w[0].square() * 0.5;
        }
        // Two columns that cannot be added: one of 2 values and one of `place` values.
        let column = |n: u64| w[0].broadcast_to(Shape::column(u32::try_from(n).unwrap()));
        (column(2) + column(place)).sum()
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        w[0].square() * 0.5 * x[0]
    }
    fn tasks(&self) -> usize {
        self.tasks
    }
    fn samples(&self, draw: Draw) -> usize {
        if draw.level == Level::Inner { self.samples } else { 0 }
    }
    fn block(&self, _: Level) -> usize {
        1
    }
}
