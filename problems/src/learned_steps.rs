//! `LearnedSteps`: learns the step sizes of gradient descent on a loss for which the best ones are known.
//!
//! ```text
//! g(w) = f(w) = sum_i h_i w_i^2 / 2        w_{t+1} = w_t - s_t h w_t,    s_t = lr e^{x_t}
//! ```
//!
//! from `w_0 = (1, ..., 1)`, with the inner rule [`GradientDescent::learned(0)`](hypertape_solver::GradientDescent).
//! `x` has one entry per step or is a scalar, `w` has `p` entries. With `e_i = prod_t (1 - s_t h_i)` the loss and its
//! gradient are
//!
//! ```text
//! F = sum_i h_i e_i^2 / 2        dF/dx_t = -s_t sum_i h_i^2 e_i^2 / (1 - s_t h_i)
//! ```
//!
//! and `p` steps of sizes `1 / h_i`, in any order, give `F = 0`.

use hypertape_autodiff::{Array, Element, List};
use hypertape_solver::{Bilevel, Draw, InnerLoop, Metric, Params, Rows};

use crate::samples::{column, convert};

/// A diagonal quadratic, whose step sizes are the outer variables.
#[derive(Clone, Debug)]
pub struct LearnedSteps<T> {
    curvature: Vec<T>,
    sizes: usize,
}

impl<T: Element> LearnedSteps<T> {
    /// Creates the problem with the curvatures `h` and `sizes` step sizes, which start at `x_t = t / 10`. Equal sizes
    /// have equal slopes and would stay equal.
    ///
    /// ```
    /// use hypertape_problems::LearnedSteps;
    /// use hypertape_solver::{Draw, Estimator, Exact, GradientDescent, InnerLoop, Oracle};
    /// let mut oracle = Oracle::<f64>::new(LearnedSteps::new(&[1.0, 0.5], 2))?;
    /// oracle.set_rule(GradientDescent::learned(0));
    /// let (inner, mut gradient) = (InnerLoop::new(2, 0.5)?, [0.0; 2]);
    /// let (x, draw) = ([0.0, 2.0_f64.ln()], Draw::new(0, 0));
    /// // Sizes 1/2 and 1: e = (0, 3/8)
    /// let found = Exact::default().estimate(&mut oracle, &inner, &x, draw, &mut gradient)?;
    /// assert_eq!(found.loss, 0.25 * 0.140625);
    /// assert!((gradient[0] - -0.5 * 0.25 * 0.140625 / 0.75).abs() < 1e-16);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    pub fn new(curvature: &[f64], sizes: usize) -> Self {
        Self { curvature: convert(curvature), sizes }
    }
}

impl<T: Element> Bilevel<T> for LearnedSteps<T> {
    fn start(&self) -> Params<T> {
        let start: Vec<T> = (0..self.sizes).map(|t| T::from_f64(t as f64 / 10.0)).collect();
        Params::new().with_column("log_factor", &start)
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0).broadcast_to(column(&self.curvature))])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].constant(column(&self.curvature), &self.curvature).dot(w[0].square()) * 0.5
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        self.inner(w, x, draw, rows)
    }

    /// Reports the largest entry of `|w|`, which is 0 at the solution.
    fn metrics(&self, w: &Params<T>, _: &Params<T>, _: &InnerLoop) -> Vec<Metric> {
        let most = w.values().iter().fold(0.0, |most: f64, w| most.max(w.as_f64().abs()));
        vec![Metric { name: "max |w|", value: most }]
    }
}
