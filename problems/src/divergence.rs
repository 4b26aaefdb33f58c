//! `Divergence`: two one-dimensional tasks on which first-order meta-learning does not converge to a stationary point.
//!
//! The inner and the outer loss of a task are the same function, a parabola with centre `c = b/a` that turns into a
//! cubic at distance `A` and into a line at distance `A + 1`. With `d = x - c`,
//!
//! ```text
//! f(x) = a/2 (d^2 - u^3/3 - t - t^2),    e = max(|d| - A, 0),  t = max(e - 1, 0),  u = e - t
//! ```
//!
//! This function is `C^2`, with `|f'| <= a (A + 1/2)` and `0 <= f'' <= a` (Likhosherstov et al. 2021, synthetic
//! experiments). The outer variable is the start of the inner loop, `w_0 = x`, and each task has probability 1/2.
//!
//! `x` and `w` hold `n` independent starts, `n x 1`. Losses are sums over the starts, so that the gradient has one
//! entry per start. Each start draws its own task, which it keeps for a whole outer iteration. Cost of an evaluation:
//! `O(n)`.

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, InnerLoop, Level, Metric, Params, Rows};
use rand::RngExt;

use crate::generator::Stream;
use crate::samples::convert;

/// The two task losses and their known properties, in double precision and without automatic differentiation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwoTasks {
    /// Curvatures of the parabolas.
    pub a: [f64; 2],
    /// Negative slopes at 0; the centres are `b/a`.
    pub b: [f64; 2],
    /// Half the width of the parabolas, `A`.
    pub reach: f64,
}

/// The gradient of one task's outer loss through the inner loop, and its first-order part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gradients {
    /// `f'(w_r) prod_t (1 - lr f''(w_t))`
    pub exact: f64,
    /// `f'(w_r)`
    pub first_order: f64,
}

impl TwoTasks {
    /// Returns the pair with `b_1 = 0` on which first-order descent through `steps` steps of size `lr` has a limit
    /// point with `|M'| = sqrt(2 target)`.
    ///
    /// ```
    /// use hypertape_problems::TwoTasks;
    /// let tasks = TwoTasks::diverging(0.06, 10, 0.1, [0.5, 1.5]);
    /// assert!((tasks.b[1] - 17.395_269_970).abs() < 1e-8);
    /// assert!((tasks.first_order_limit(10, 0.1) - 5.758_866_912).abs() < 1e-8);
    /// assert!((tasks.stationary_point(10, 0.1) - 2.840_281_802).abs() < 1e-8);
    /// ```
    ///
    /// # Panics
    /// Panics if both entries of `a` are equal or one of them is zero, as no such pair exists then.
    pub fn diverging(target: f64, steps: usize, lr: f64, a: [f64; 2]) -> Self {
        let [p1, p2] = a.map(|a| contraction(a, steps, lr));
        let slope_at_limit =
            (a[0] * p1 * p1 + a[1] * p2 * p2) * p2 / (a[0] * p1 + a[1] * p2) - p2 * p2;
        let b = [0.0, 2.0 * (2.0 * target).sqrt() / slope_at_limit.abs()];
        assert!(b[1].is_finite() && a[0] != 0.0, "curvatures {a:?} give no diverging pair");
        Self { a, b, reach: (b[0] / a[0] - b[1] / a[1]).abs() + 1.0 }
    }

    /// The pair of the experiments on cost: centres 0 and 20/3, with parabolas up to distance 400.
    pub fn wide() -> Self {
        Self { a: [0.5, 1.5], b: [0.0, 10.0], reach: 400.0 }
    }

    /// Returns the centres of the two parabolas.
    pub fn centres(&self) -> [f64; 2] {
        [0, 1].map(|i| self.b[i] / self.a[i])
    }

    /// Returns `(1 - lr a)^steps` for each task, the factor by which the inner loop reduces the distance to the centre
    /// of a parabola.
    pub fn contractions(&self, steps: usize, lr: f64) -> [f64; 2] {
        self.a.map(|a| contraction(a, steps, lr))
    }

    /// Returns the point to which first-order descent converges if both inner loops stay within their parabolas.
    pub fn first_order_limit(&self, steps: usize, lr: f64) -> f64 {
        self.weighted(self.contractions(steps, lr))
    }

    /// Returns the point with `M' = 0` if both inner loops stay within their parabolas.
    pub fn stationary_point(&self, steps: usize, lr: f64) -> f64 {
        self.weighted(self.contractions(steps, lr).map(|p| p * p))
    }

    /// The zero of `sum_i q_i (a_i x - b_i)`.
    fn weighted(&self, q: [f64; 2]) -> f64 {
        let [a, b] = [self.a, self.b].map(|v| v[0] * q[0] + v[1] * q[1]);
        b / a
    }

    /// Returns the value and the first and second derivative of the loss of `task`, computed case by case.
    ///
    /// # Panics
    /// Panics unless `task` is 0 or 1.
    pub fn loss(&self, task: usize, x: f64) -> [f64; 3] {
        let (a, reach) = (self.a[task], self.reach);
        let d = x - self.b[task] / a;
        let z = d.abs();
        let e = z - reach;
        let (value, slope, curvature) = if e <= 0.0 {
            (z * z / 2.0, z, 1.0)
        } else if e <= 1.0 {
            let cubic = reach * reach / 2.0 + e * (reach + e * (0.5 - e / 6.0));
            (cubic, z - e * e / 2.0, 1.0 - e)
        } else {
            let knee = reach * reach / 2.0 + reach + 1.0 / 3.0;
            (knee + (reach + 0.5) * (e - 1.0), reach + 0.5, 0.0)
        };
        [a * value, a * slope * d.signum(), a * curvature]
    }

    /// Returns the gradients of `task` at `x`.
    ///
    /// # Panics
    /// Panics unless `task` is 0 or 1.
    pub fn gradients(&self, task: usize, x: f64, steps: usize, lr: f64) -> Gradients {
        let (mut w, mut product) = (x, 1.0);
        for _ in 0..steps {
            let [_, slope, curvature] = self.loss(task, w);
            product *= 1.0 - lr * curvature;
            w -= lr * slope;
        }
        let first_order = self.loss(task, w)[1];
        Gradients { exact: first_order * product, first_order }
    }

    /// Returns `M'(x)`, the mean of the exact gradient over the tasks.
    pub fn mean_gradient(&self, x: f64, steps: usize, lr: f64) -> f64 {
        let [g, h] = [0, 1].map(|task| self.gradients(task, x, steps, lr).exact);
        f64::midpoint(g, h)
    }
}

/// `(1 - lr a)^steps`
fn contraction(a: f64, steps: usize, lr: f64) -> f64 {
    // A loop, because `powi` takes an `i32`.
    (0..steps).fold(1.0, |p, _| p * (1.0 - lr * a))
}

/// Many independent starts of one outer loop on the same two tasks.
#[derive(Clone, Debug)]
pub struct Divergence<T> {
    tasks: TwoTasks,
    curvatures: [T; 2],
    centres: [T; 2],
    start: Vec<T>,
    fixed: Option<Vec<u32>>,
}

impl<T: Element> Divergence<T> {
    /// Creates the problem with the given starts.
    pub fn new(tasks: TwoTasks, starts: &[f64]) -> Self {
        Self {
            tasks,
            curvatures: tasks.a.map(T::from_f64),
            centres: tasks.centres().map(T::from_f64),
            start: convert(starts),
            fixed: None,
        }
    }

    /// `n` starts in `[-10, 30)` on the pair with `a = (0.5, 1.5)` and target 0.06, made for 10 steps of size 0.1. With
    /// another inner loop the pair is the same, but its known properties no longer hold.
    pub fn diverging(seed: u64, n: usize) -> Self {
        let tasks = TwoTasks::diverging(0.06, 10, 0.1, [0.5, 1.5]);
        Self::new(tasks, &Stream::new(seed, 0).uniforms_between(n, -10.0, 30.0))
    }

    /// `n` starts in `[-50, 50)` on the [wide](TwoTasks::wide) pair.
    pub fn wide(seed: u64, n: usize) -> Self {
        Self::new(TwoTasks::wide(), &Stream::new(seed, 0).uniforms_between(n, -50.0, 50.0))
    }

    /// Gives every start a fixed task, 0 or 1, for all iterations, instead of a random task for each.
    #[must_use]
    pub fn with_fixed_tasks(self, tasks: Vec<u32>) -> Self {
        Self { fixed: Some(tasks), ..self }
    }

    /// Returns the sum over the starts of the loss of each start's task.
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, w: A, draw: Draw) -> A {
        let chosen = match &self.fixed {
            Some(fixed) => fixed,
            None => self.draw_tasks(w, draw),
        };
        let pair = Shape::column(2);
        let curvature = w.constant(pair, &self.curvatures).gather_rows(chosen);
        let centre = w.constant(pair, &self.centres).gather_rows(chosen);
        let d = w - centre;
        let e = (d.abs() - self.tasks.reach).relu();
        let t = (e - 1.0).relu();
        let u = e - t;
        let twice = d.square() - u.square() * u / 3.0 - t - t.square();
        curvature.dot(twice) * 0.5
    }

    /// Draws one bit per start, the same at all levels and steps of an iteration.
    fn draw_tasks<'a, A: Array<'a, Elem = T>>(&self, w: A, draw: Draw) -> &'a [u32] {
        let mut stream = draw.at(Level::Task, 0).stream();
        let mut bits = 0_u64;
        w.indices(self.start.len(), |i| {
            bits = if i % 64 == 0 { stream.random() } else { bits >> 1 };
            u32::from(bits & 1 == 1)
        })
    }
}

impl<T: Element> Bilevel<T> for Divergence<T> {
    fn start(&self) -> Params<T> {
        Params::new().with_column("theta", &self.start)
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0]])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, _: Rows) -> A {
        self.loss(w[0], draw)
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, _: Rows) -> A {
        self.loss(w[0], draw)
    }

    fn replicas(&self) -> usize {
        self.start.len()
    }

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["phi"]
    }

    /// Reports, over the starts, the mean of `|M'|` and of its square for the inner loop `inner`, and the mean and the
    /// standard deviation of the outer variable.
    fn metrics(&self, _: &Params<T>, x: &Params<T>, inner: &InnerLoop) -> Vec<Metric> {
        let theta: Vec<f64> = x.values().iter().map(|x| x.as_f64()).collect();
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / theta.len() as f64;
        let slope = |&x: &f64| self.tasks.mean_gradient(x, inner.steps(), inner.lr()).abs();
        let centre = mean(&mut theta.iter().copied());
        let variance = mean(&mut theta.iter().map(|x| (x - centre).powi(2)));
        vec![
            Metric { name: "|M'|", value: mean(&mut theta.iter().map(slope)) },
            Metric { name: "M'^2", value: mean(&mut theta.iter().map(|x| slope(x).powi(2))) },
            Metric { name: "theta", value: centre },
            Metric { name: "theta sd", value: variance.sqrt() },
        ]
    }

    /// The points to which first-order and exact descent converge.
    fn controls(&self, inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        let everywhere =
            |x: f64| Params::new().with_column("theta", &vec![T::from_f64(x); self.start.len()]);
        let (steps, lr) = (inner.steps(), inner.lr());
        vec![
            ("first-order limit", everywhere(self.tasks.first_order_limit(steps, lr))),
            ("stationary point", everywhere(self.tasks.stationary_point(steps, lr))),
        ]
    }
}
