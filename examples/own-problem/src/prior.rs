//! `Prior`: smooths a noisy sequence with a prior whose strength is learned.
//!
//! ```text
//! g(x, w) = |w - data|^2/2 + e^x |Dw|^2/2        f(w) = |w - clean|^2/2        (Dw)_i = w_{i+1} - w_i
//! ```

use hypertape::prelude::*;

pub(crate) struct Prior {
    data: Vec<f64>,
    clean: Vec<f64>,
    shape: Shape,
}

impl Prior {
    /// Adds uniform noise of at most `noise` to `clean`.
    pub(crate) fn new(clean: &[f64], noise: f64, seed: u64) -> Self {
        let mut random = Draw::new(seed, 0).stream();
        let data = clean.iter().map(|c| c + noise * random.random_range(-1.0..1.0)).collect();
        let shape = Shape::column(u32::try_from(clean.len()).expect("a short sequence"));
        Self { data, clean: clean.to_vec(), shape }
    }
}

/// The problem is implemented for `f64` only.
impl Bilevel<f64> for Prior {
    fn start(&self) -> Params<f64> {
        Params::new().with("log_strength", Shape::SCALAR, [0.0])
    }

    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(self.shape, &self.data)])
    }

    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let shorter = Shape::column(self.shape.rows - 1);
        let steps = w[0].slice(1, shorter) - w[0].slice(0, shorter);
        let data = w[0].constant(self.shape, &self.data);
        (w[0].squared_error(data) + x[0].exp() * steps.dot(steps)) * 0.5
    }

    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].squared_error(w[0].constant(self.shape, &self.clean)) * 0.5
    }
}
