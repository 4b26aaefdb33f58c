//! `Bilevel`: a bilevel problem, written once.

use hypertape_autodiff::{Array, Element, List};
use rand::RngExt;

use crate::draw::{Draw, Level};
use crate::inner::InnerLoop;
use crate::params::Params;
use crate::rows::Rows;

/// A named number that measures the quality of a solution.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name, as in the head of a table.
    pub name: &'static str,
    /// Value of the metric.
    pub value: f64,
}

/// A bilevel problem: minimise `f(x, w_r)` over `x`, where `w_0 = init(x)` and `w_{t+1}` comes from a step of an inner
/// optimiser on `g(x, w)`.
///
/// Losses are written once over [`Array`], and all derivatives follow. The trait is generic over the element type, so a
/// problem stores its data in the precision in which they are used.
///
/// ```
/// use hypertape_autodiff::{Array, Element, List, Shape};
/// use hypertape_solver::{Bilevel, Draw, Estimator, Exact, InnerLoop, Oracle, Params, Rows};
///
/// /// `g = w^2/2 + x w`, `f = w^2`, started at `w = 1`.
/// struct Scalar;
/// impl<T: Element> Bilevel<T> for Scalar {
///     fn start(&self) -> Params<T> {
///         Params::new().with("x", Shape::SCALAR, [T::from_f64(0.5)])
///     }
///     fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
///         List::from_slice(&[x[0].scalar(1.0)])
///     }
///     fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
///         w[0].square() * 0.5 + x[0] * w[0]
///     }
///     fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
///         w[0].square()
///     }
/// }
///
/// let mut oracle = Oracle::<f64>::new(Scalar)?;
/// let mut gradient = [0.0];
/// let estimate = Exact::default().estimate(
///     &mut oracle, &InnerLoop::new(10, 0.1)?, &[0.5], Draw::new(0, 0), &mut gradient,
/// )?;
/// // -2 (1 - rho) w_10 with rho = 0.9^10
/// assert!((gradient[0] - -0.029983796628292136).abs() < 1e-16);
/// assert_eq!(estimate.cost.hvps, 10);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
pub trait Bilevel<T: Element>: Send + Sync {
    /// The first outer point, with the names and shapes of the outer variables.
    fn start(&self) -> Params<T>;

    /// Computes `w_0`, which may depend on `x`.
    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], draw: Draw) -> List<A>
    where
        Self: Sized;

    /// Computes the inner loss `g(x, w)`, or the part of it that belongs to `rows`, as a scalar.
    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A
    where
        Self: Sized;

    /// Computes the outer loss `f(x, w)`, or the part of it that belongs to `rows`, as a scalar.
    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A
    where
        Self: Sized;

    /// Number of tasks; `F` is the mean of the outer loss over them. [`Draw::task`](crate::Draw) is the task of a loss.
    fn tasks(&self) -> usize {
        1
    }

    /// Number of tasks in the meta-batch of one outer iteration; all of them by default.
    fn batch(&self) -> usize {
        self.tasks()
    }

    /// Returns the task in place `slot` of a meta-batch.
    ///
    /// By default these are all tasks in order if the meta-batch holds all of them, and otherwise uniform choices,
    /// independent for each slot.
    fn task(&self, draw: Draw, slot: usize) -> usize {
        let tasks = self.tasks();
        if self.batch() == tasks {
            slot
        } else {
            draw.at(Level::Task, slot).stream().random_range(0..tasks)
        }
    }

    /// Number of independent copies of the problem in `x`, row by row, for studies of many starts at once.
    ///
    /// A randomised estimator tosses one coin per copy.
    fn replicas(&self) -> usize {
        1
    }

    /// Number of mini-batches into which the samples of the loss at `level` are divided, for algorithms that choose
    /// them by number ([`Samples::Batch`](crate::Samples)).
    ///
    /// The mean of the loss over all mini-batches must be the loss over all samples, and none may be larger than the
    /// first. The default, 1, is for losses that use all samples for every draw.
    fn mini_batches(&self, _level: Level) -> usize {
        1
    }

    /// Number of samples in one evaluation of the loss at [`Draw::level`](crate::Draw): all of them, or those of the
    /// mini-batch that the draw selects.
    ///
    /// `rows` are taken from this range, and [`Cost::samples`](crate::Cost::samples) is its sum over evaluations.
    ///
    /// The default, 0, is for losses that ignore `rows` and count no samples.
    fn samples(&self, _draw: Draw) -> usize {
        0
    }

    /// Number of samples per block.
    ///
    /// Losses that are sums over samples are evaluated, forward and reverse, block by block, so that memory holds the
    /// activations of one block and data are read once. By default there is one block.
    fn block(&self, _level: Level) -> usize {
        usize::MAX
    }

    /// Names of the inner variables, in order. Variables without a name are called `w0`, `w1`, ... by their index.
    fn inner_names(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Measures the quality of a solution `w` that `inner` reached, beyond its losses.
    fn metrics(&self, _w: &Params<T>, _x: &Params<T>, _inner: &InnerLoop) -> Vec<Metric> {
        Vec::new()
    }

    /// Returns named outer points to compare the result of a run with, which no outer loop changes.
    fn controls(&self, _inner: &InnerLoop) -> Vec<(&'static str, Params<T>)> {
        Vec::new()
    }
}
