//! A crate with a bilevel problem of its own, and the whole command line for it.
//!
//! ```text
//! cargo run --release -p own-problem -- gradient prior --estimator exact --estimator full-tape
//! cargo run --release -p own-problem -- check prior
//! cargo run --release -p own-problem -- run prior
//! ```

use std::process::ExitCode;

use hypertape::problems::Entry;
use hypertape::{Array, Bilevel, Draw, Element, List, Oracle, Params, Rows, Shape};

/// Denoise a sequence: `g = |w - data|^2/2 + e^x |Dw|^2/2` with differences `D`, `f = |w - clean|^2/2`.
struct Prior<T> {
    data: Vec<T>,
    clean: Vec<T>,
}

const LENGTH: u32 = 16;

impl<T: Element> Prior<T> {
    fn new() -> Self {
        let clean = |i: u32| (0.4 * f64::from(i)).sin();
        let noise = |i: u32| 0.3 * (5.0 * f64::from(i)).cos();
        Self {
            data: (0..LENGTH).map(|i| T::from_f64(clean(i) + noise(i))).collect(),
            clean: (0..LENGTH).map(|i| T::from_f64(clean(i))).collect(),
        }
    }
}

impl<T: Element> Bilevel<T> for Prior<T> {
    fn start(&self) -> Params<T> {
        Params::new().with("log_strength", Shape::SCALAR, [T::zero()])
    }
    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(Shape::column(LENGTH), &self.data)])
    }
    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let data = w[0].constant(w[0].shape(), &self.data);
        let shape = Shape::column(LENGTH - 1);
        let steps = w[0].slice(1, shape) - w[0].slice(0, shape);
        (w[0].squared_error(data) + x[0].exp() * steps.dot(steps)) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].squared_error(w[0].constant(w[0].shape(), &self.clean)) * 0.5
    }
}

fn main() -> ExitCode {
    let summary = "strength of a smoothness prior";
    let double = |_: &_| Oracle::new(Prior::new());
    let single = |_: &_| Oracle::new(Prior::new());
    hypertape::cli::main(&[Entry::new("prior", summary, (60, 0.1), double).single(single)])
}
