//! `Chain`: ten numbers, each coupled to the next, on scalars.

use hypertape_autodiff::scalar::{Real, Scalar};
use hypertape_autodiff::{Element, Shape};
use hypertape_solver::{Draw, Params, ScalarBilevel};

use crate::generator::W4;
use crate::samples::convert;

/// Workload 4 of the peer comparison, whose operations are too small for arrays:
///
/// ```text
/// g = sum_{i<9} e^{x_i} (w_{i+1} - sin w_i)^2 + sum_i [ ln(1 + e^{w_i x_i}) + w_i^2 / 2 + tanh(w_i - x_i) ] / 10
/// f = sum_i (w_i - t_i)^2
/// ```
#[derive(Clone, Debug)]
pub struct Chain<T> {
    start: Vec<T>,
    w0: Vec<T>,
    target: Vec<T>,
}

impl<T: Element> Chain<T> {
    /// The workload of the given seed; the peer comparison uses seed 4.
    ///
    /// ```
    /// use hypertape_problems::Chain;
    /// use hypertape_solver::Oracle;
    /// let oracle = Oracle::scalar(Chain::<f64>::workload(4));
    /// assert_eq!((oracle.outer_dim(), oracle.inner_start().values()[0]), (10, 1.20384095));
    /// ```
    pub fn workload(seed: u64) -> Self {
        let W4 { lambda, w0, target } = W4::new(seed);
        let [start, w0, target] = [lambda, w0, target].map(|a| convert(&a));
        Self { start, w0, target }
    }
}

impl<T: Element + Scalar<Plain = T>> ScalarBilevel<T> for Chain<T> {
    fn start(&self) -> Params<T> {
        Params::new().with("lambda", Shape::column(10), self.start.iter().copied())
    }

    fn inner_dim(&self) -> u32 {
        10
    }

    fn init<R: Real<T>>(&self, _: &[R], _: Draw, w: &mut [R]) {
        w.iter_mut().zip(&self.w0).for_each(|(w, &at)| *w = R::constant(at));
    }

    fn inner<R: Real<T>>(&self, w: &[R], x: &[R], _: Draw) -> R {
        let [tenth, half] = [0.1, 0.5].map(<T as Element>::from_f64);
        let own =
            |(&w, &x): (&R, &R)| ((w * x).softplus() + w.square() * half + (w - x).tanh()) * tenth;
        let coupled = |(w, &x): (&[R], &R)| x.exp() * (w[1] - w[0].sin()).square();
        let mut terms = [R::zero(); 2 * W4::SIZE - 1];
        let values = w.iter().zip(x).map(own).chain(w.windows(2).zip(x).map(coupled));
        terms.iter_mut().zip(values).for_each(|(term, value)| *term = value);
        R::sum_of(&terms)
    }

    fn outer<R: Real<T>>(&self, w: &[R], _: &[R], _: Draw) -> R {
        w.iter().zip(&self.target).map(|(&w, &t)| (w - t).square()).sum()
    }
}
