//! `Regressions`: a hundred small regression tasks that share their start or their penalties, one of them drawn per
//! outer iteration.
//!
//! ```text
//! g_task(x, w) = |s(A w) - y|^2 / 2n    (+ 1/2 sum_j e^{x_j} w_j^2)
//! f_task(w)    = |s(B w) - z|^2 / 2n
//! ```
//!
//! with `s(v) = v` or `tanh v` and ten variables. `x` is the start `w_0` (Finn, Abbeel and Levine 2017), or the
//! log-penalties of a loop that starts at `w_0 = 0`. The data is synthetic, so that known properties of an estimator
//! can be seen without any other noise:
//!
//! - `maml_quadratic`: `n = 10`, `A'A/n = H = Q D Q'` with a random orthogonal `Q` per task and eigenvalues from 0.1 to
//!   1 at equal ratios, `y = A a`, `B'B/n = I`, `z = B (a + b)`, so that `f = |w - a - b|^2/2`; `a` and `b` are
//!   standard normal. With `R = (I - lr H)^r` the hypergradient is `R (w_r - a - b)`, where `w_r = a + R (x - a)`.
//! - `maml_tanh`, `log_ridge_tanh`: `n = 20`, rows of `A` and `B` normal with variance 1/2 (`maml_tanh`) or 1
//!   (`log_ridge_tanh`), `y = tanh(A a) + e`, `z = tanh(B a) + e'`, with `a`, `e` and `e'` standard normal. The losses
//!   are not convex.
//!
//! `x` starts near a stationary point of the mean outer loss, where noise dominates: a start at 0, which by symmetry is
//! stationary in expectation, and log-penalties at -1. Cost: `2 n p` multiplications per loss.

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, Params, Rows};

use crate::generator::{Stream, column_sum_product};
use crate::maml::Points;
use crate::quadratic::sampled::{basis, scales};

const TASKS: usize = 100;
const WIDTH: usize = 10;

/// Regressions on synthetic data.
#[derive(Clone, Debug)]
pub struct Regressions<T> {
    batch: usize,
    tanh: bool,
    penalised: bool,
    support: Points<T>,
    query: Points<T>,
    start: T,
}

impl<T: Element> Regressions<T> {
    /// Linear regressions that share a start, to be run with 50 steps of size 0.02.
    pub fn maml_quadratic(seed: u64) -> Self {
        let roots = scales(0.1, 1.0, WIDTH);
        let [own, shift] = [0, 1].map(|i| Stream::new(seed, i).gausses(TASKS * WIDTH));
        let length = (WIDTH as f64).sqrt();
        let [mut inputs, mut targets] = [Vec::new(), Vec::new()];
        for (task, a) in own.chunks_exact(WIDTH).enumerate() {
            let rows =
                basis(Stream::new(seed, 2 + task as u64), WIDTH, WIDTH).into_iter().zip(&roots);
            let rows: Vec<f64> =
                rows.flat_map(|(q, root)| q.into_iter().map(move |q| length * root * q)).collect();
            targets.extend(column_sum_product(&rows, WIDTH, a));
            inputs.extend(rows);
        }
        let unit = |i: usize| if i.is_multiple_of(WIDTH + 1) { length } else { 0.0 };
        let square = (0..TASKS).flat_map(|_| (0..WIDTH * WIDTH).map(unit)).collect::<Vec<_>>();
        let goals: Vec<f64> = own.iter().zip(&shift).map(|(a, b)| length * (a + b)).collect();
        Self {
            batch: 1,
            tanh: false,
            penalised: false,
            support: Points::new(&inputs, &targets),
            query: Points::new(&square, &goals),
            start: T::zero(),
        }
    }

    /// Regressions with one tanh unit that share a start, to be run with 40 steps of size 0.02.
    pub fn maml_tanh(seed: u64) -> Self {
        Self::units(seed, 0.5)
    }

    /// Regressions with one tanh unit that share one log-penalty per variable, to be run with 60 steps of size 0.1.
    pub fn log_ridge_tanh(seed: u64) -> Self {
        Self { penalised: true, start: -T::one(), ..Self::units(seed, 1.0) }
    }

    /// Tanh units on inputs of the given variance.
    fn units(seed: u64, variance: f64) -> Self {
        const ROWS: usize = 20;
        let weights = Stream::new(seed, 0).gausses(TASKS * WIDTH);
        let [support, query] = [1, 3].map(|stream| {
            let inputs = Stream::new(seed, stream).gausses(TASKS * ROWS * WIDTH);
            let inputs: Vec<f64> = inputs.into_iter().map(|v| variance.sqrt() * v).collect();
            let noise = Stream::new(seed, stream + 1).gausses(TASKS * ROWS);
            let tasks = inputs.chunks_exact(ROWS * WIDTH).zip(weights.chunks_exact(WIDTH));
            let scores = tasks.flat_map(|(rows, w)| column_sum_product(rows, WIDTH, w));
            let targets: Vec<f64> = scores.zip(noise).map(|(v, e)| v.tanh() + e).collect();
            Points::new(&inputs, &targets)
        });
        Self { batch: 1, tanh: true, penalised: false, support, query, start: T::zero() }
    }

    /// Sets the number of tasks per batch. With 100, each batch contains every task once.
    ///
    /// ```
    /// use hypertape_problems::Regressions;
    /// use hypertape_solver::{Draw, InnerLoop, Oracle, mean_loss};
    /// let mut oracle = Oracle::<f64>::new(Regressions::maml_quadratic(0).with_batch(100))?;
    /// let (none, mut w) = (InnerLoop::new(0, 0.02)?, Vec::new());
    /// // The mean of |a + b|^2/2 over the tasks: ten variables of variance 2, halved.
    /// let loss = mean_loss(&mut oracle, &none, &[0.0; 10], Draw::new(0, 0), &mut w)?;
    /// assert!((loss - 10.0).abs() < 4.0 * (20.0_f64 / 100.0).sqrt(), "{loss}");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    fn error<'a, A: Array<'a, Elem = T>>(&self, w: A, points: &'a Points<T>, draw: Draw) -> A {
        let [inputs, targets] = points.of(w, TASKS, draw);
        let scores = inputs.matmul(w);
        let scores = if self.tanh { scores.tanh() } else { scores };
        scores.squared_error(targets) * (0.5 / targets.shape().len() as f64)
    }
}

impl<T: Element> Bilevel<T> for Regressions<T> {
    fn start(&self) -> Params<T> {
        let name = if self.penalised { "log_penalty" } else { "w" };
        Params::new().with(name, Shape::column(10), [self.start; WIDTH])
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let zero = || x[0].scalar(0.0).broadcast_to(x[0].shape());
        List::from_slice(&[if self.penalised { zero() } else { x[0] }])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        let error = self.error(w[0], &self.support, draw);
        if self.penalised { error + x[0].exp().dot(w[0].square()) * 0.5 } else { error }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], draw: Draw, _: Rows) -> A {
        self.error(w[0], &self.query, draw)
    }

    fn tasks(&self) -> usize {
        TASKS
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn inner_names(&self) -> Vec<&'static str> {
        vec!["w"]
    }
}

#[cfg(test)]
mod tests {
    use hypertape_solver::{Estimator, Exact, InnerLoop, Oracle};

    use super::*;

    /// Returns the loss and the gradient of the mean over all tasks.
    fn exact(problem: Regressions<f64>, (steps, lr): (usize, f64), x: &[f64]) -> (f64, Vec<f64>) {
        let mut oracle = Oracle::new(problem.with_batch(TASKS)).unwrap();
        let (inner, mut g) = (InnerLoop::new(steps, lr).unwrap(), vec![0.0; WIDTH]);
        let (draw, mut estimator) = (Draw::new(0, 0), Exact::default());
        let found = estimator.estimate(&mut oracle, &inner, x, draw, &mut g).unwrap();
        (found.loss, g)
    }

    #[test]
    fn quadratic_tasks_have_the_known_gradient() {
        let (seed, steps, lr) = (3, 50, 0.02);
        let x: Vec<f64> = (0..WIDTH).map(|i| 0.1 * i as f64 - 0.3).collect();
        let (_, found) = exact(Regressions::maml_quadratic(seed), (steps, lr), &x);
        let (mut known, roots) = (vec![0.0; WIDTH], scales(0.1, 1.0, WIDTH));
        let [own, shift] = [0, 1].map(|i| Stream::new(seed, i).gausses(TASKS * WIDTH));
        for (task, (a, b)) in own.chunks(WIDTH).zip(shift.chunks(WIDTH)).enumerate() {
            let q = basis(Stream::new(seed, 2 + task as u64), WIDTH, WIDTH);
            for (q, root) in q.iter().zip(&roots) {
                let rho = (1.0 - lr * root * root).powi(50);
                let along = |v: &dyn Fn(usize) -> f64| (0..WIDTH).map(|i| q[i] * v(i)).sum::<f64>();
                // The known gradient is R (a + R (x - a) - a - b), taken along an eigenvector.
                let part = rho * (rho * along(&|i| x[i] - a[i]) - along(&|i| b[i]));
                known.iter_mut().zip(q).for_each(|(k, q)| *k += part * q / TASKS as f64);
            }
        }
        let gap = found.iter().zip(&known).map(|(f, k)| (f - k).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-14, "{gap:e}: sums of 100 numbers below 10"); // observed 1e-16
    }

    #[test]
    fn penalties_act_from_the_second_step_on() {
        let (lr, x) = (0.1, [-0.7; WIDTH]);
        let problem = Regressions::<f64>::log_ridge_tanh(1);
        assert_eq!(exact(problem.clone(), (1, lr), &x).1, [0.0; WIDTH]);
        // As w_1 = lr A'y/n, only w_2 depends on x: dF/dx = -lr e^x w_1 (df/dw)(w_2) for each task.
        let mut known = [0.0; WIDTH];
        let n = problem.support.targets.len() / TASKS;
        let slope = |points: &Points<f64>, task: usize, w: &[f64]| {
            let mut slope = vec![0.0; WIDTH];
            for i in task * n..(task + 1) * n {
                let row = &points.inputs[i * WIDTH..(i + 1) * WIDTH];
                let s = hypertape_autodiff::dot(row, w).tanh();
                let c = (s - points.targets[i]) * (1.0 - s * s) / n as f64;
                slope.iter_mut().zip(row).for_each(|(g, a)| *g += c * a);
            }
            slope
        };
        for task in 0..TASKS {
            let first = slope(&problem.support, task, &[0.0; WIDTH]);
            let first: Vec<f64> = first.iter().map(|g| -lr * g).collect();
            let second = slope(&problem.support, task, &first);
            let step = |(w, g): (&f64, &f64)| w - lr * (g + x[0].exp() * w);
            let second: Vec<f64> = first.iter().zip(&second).map(step).collect();
            let outer = slope(&problem.query, task, &second);
            for (k, (w, g)) in known.iter_mut().zip(first.iter().zip(&outer)) {
                *k -= lr * x[0].exp() * w * g / TASKS as f64;
            }
        }
        let found = exact(problem, (2, lr), &x).1;
        let gap = found.iter().zip(&known).map(|(f, k)| (f - k).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-15, "{gap:e}"); // sums of 100 numbers of 1e-2
    }
}
