//! [`fixed_point`]: the solution `w = f(w, x)` as a function of `x`, differentiated by the implicit function theorem.
//!
//! The iteration runs on plain numbers in memory of its own and is not recorded, so that memory does not depend on its
//! length. Derivatives are [lifted](crate::array::newton) into the solution with `(I - J)^-1`, where `J` is the Jacobian of
//! `f` in `w` there: a gradient takes one evaluation on the tape, a Hessian-vector product two. `(I - J)^-1 v` and its
//! transpose are summed as `v + J v + J^2 v + ...`, which converges where the iteration does and as fast (Bai, Kolter and
//! Koltun (2019), theorem 1, by the series); where it does not, that is a fault.

use crate::arena::Arena;
use crate::array::dual::Dual;
use crate::array::element::Element;
use crate::array::linear::LinearOperator;
use crate::array::newton::lift;
use crate::array::tape::Tape;
use crate::array::tensor::Tensor;
use crate::array::{Array, List};
use crate::drivers::Function;
use crate::fault::Fault;
use crate::shape::Shape;

/// When iterations end, for the solution and for the series of its derivatives.
#[derive(Clone, Copy, Debug)]
pub struct StopRule {
    /// Most steps; beyond them [`Fault::NotConverged`].
    pub max_steps: usize,
    /// Length of a last step relative to the iterate; at least 16 rounding units count. Small solutions are as exact as
    /// large ones, and one that is exactly zero is approached until it underflows.
    pub tolerance: f64,
}

impl Default for StopRule {
    /// 10 000 steps, a tolerance of `1e-14`.
    fn default() -> Self {
        Self { max_steps: 10_000, tolerance: 1e-14 }
    }
}

impl StopRule {
    /// Repeats `y <- step(y)`.
    pub(crate) fn iterate<T: Element>(
        self,
        operation: &'static str,
        y: &mut [T],
        mut step: impl FnMut(&[T], &mut [T]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut next, mut change) = (y.to_vec(), f64::INFINITY);
        let end = self.tolerance.max(16.0 * T::epsilon().as_f64());
        for taken in 1..=self.max_steps {
            step(y, &mut next)?;
            for (y, &next) in y.iter_mut().zip(&next) {
                *y = next - *y;
            }
            change = relative(y, &next);
            y.copy_from_slice(&next);
            if change <= end {
                return Ok(());
            }
            if !T::all_finite(y) {
                return Err(Fault::NotConverged { operation, steps: taken, change });
            }
        }
        Err(Fault::NotConverged { operation, steps: self.max_steps, change })
    }
}

/// Length of a step relative to that of the iterate it leads to, without overflow: 0 for no step, `NaN` beyond numbers.
fn relative<T: Element>(step: &[T], iterate: &[T]) -> f64 {
    let [[step_scale, step], [scale, length]] = [step, iterate].map(|v| {
        let scale = v.iter().fold(0.0, |most, v| f64::max(most, v.as_f64().abs()));
        let squares = v.iter().map(|v| (v.as_f64() / scale).powi(2));
        [scale, squares.sum::<f64>().sqrt()]
    });
    if step_scale == 0.0 { 0.0 } else { step_scale / scale * (step / length) }
}

/// The limit of `w <- f(w, x)` from `start`, where `f` takes `w` first and then the arrays of `x`, and returns the shape
/// of `w`. It is differentiated by `x`; `start` only says where to begin. Faults are raised in the arena of `start`:
/// [`Fault::NotConverged`] for an iteration that does not, in the value or later in a sweep.
///
/// ```
/// use hypertape_autodiff::{Array, Element, Function, Shape, StopRule, Workspace, fixed_point};
/// /// Heron's iteration for `sqrt x`
/// struct Heron;
/// impl<T: Element> Function<T> for Heron {
///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A { (w[0] + w[1] / w[0]) * 0.5 }
/// }
/// struct Root;
/// impl<T: Element> Function<T> for Root {
///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
///         fixed_point(&Heron, x[0].scalar(1.0), x, StopRule::default())
///     }
/// }
/// let (mut gradient, mut product) = ([0.0], [0.0]);
/// Workspace::new().hvp(&Root, &[Shape::SCALAR], &[4.0], &[1.0], &mut gradient, &mut product)?;
/// assert_eq!((gradient, product), ([0.25], [-1.0 / 32.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
pub fn fixed_point<'a, A: Array<'a>, F: Function<A::Elem> + Sync>(
    f: &'a F,
    start: A,
    x: &[A],
    stop: StopRule,
) -> A {
    let solved = solve(f, start, x, stop);
    solved.unwrap_or_else(|fault| {
        start.arena().raise(fault);
        start.constant(Shape::EMPTY, &[])
    })
}

fn solve<'a, A: Array<'a>, F: Function<A::Elem> + Sync>(
    f: &'a F,
    start: A,
    x: &[A],
    stop: StopRule,
) -> Result<A, Fault> {
    let (arena, shape) = (start.arena(), start.shape());
    let (point, mut pass) = (arena.copy(start.values())?, Arena::new());
    stop.iterate("fixed_point", point, |w, next| {
        pass.reset();
        let mut all = List::from_elem(Tensor::new(&pass, shape, w), 1);
        all.extend(x.iter().map(|x| Tensor::new(&pass, x.shape(), x.values())));
        let result = f.eval(&all);
        pass.status()?;
        if result.shape() != shape {
            let (operation, left) = ("fixed_point", result.shape());
            return Err(Fault::Shapes { operation, left, right: shape });
        }
        next.copy_from_slice(result.values());
        Ok(())
    })?;
    let w = start.constant(shape, point);
    let data = [w].into_iter().chain(x.iter().copied()).map(|x| (x.shape(), x.values()));
    let series = arena.put(Series { f, data: arena.collect(x.len() + 1, data)?, stop })?;
    let mut all: List<A> = [w].into_iter().chain(x.iter().copied()).collect();
    let column = w.reshape(Shape::column(series.rows()));
    let lifted = lift(column, series, |w| {
        all[0] = w.reshape(shape);
        f.eval(&all).reshape(w.shape()) - w
    });
    Ok(lifted.reshape(shape))
}

/// `(I - J)^-1` for the Jacobian `J` of `f` in the first of its arguments `data`.
struct Series<'a, F, T> {
    f: &'a F,
    data: &'a [(Shape, &'a [T])],
    stop: StopRule,
}

impl<F: Function<T> + Sync, T: Element> LinearOperator<T> for Series<'_, F, T> {
    fn rows(&self) -> u32 {
        u32::try_from(self.data[0].1.len()).unwrap_or(u32::MAX)
    }
    fn cols(&self) -> u32 {
        self.rows()
    }
    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]) {
        let mut plane = [(x, y)];
        if self.apply_all(transposed, &mut plane, columns).is_err() {
            plane[0].1.fill(T::nan());
        }
    }
    fn apply_all(
        &self,
        transposed: bool,
        planes: &mut [(&[T], &mut [T])],
        _: usize,
    ) -> Result<(), Fault> {
        planes.iter_mut().try_for_each(|(x, y)| self.column(transposed, x, y))
    }
}

impl<F: Function<T> + Sync, T: Element> Series<'_, F, T> {
    /// For the single column that `solve` makes, and zero `y`.
    fn column(&self, transposed: bool, x: &[T], y: &mut [T]) -> Result<(), Fault> {
        y.copy_from_slice(x);
        let (fixed, mut pass) = (Arena::new(), Arena::new());
        let add = |part: Option<Tensor<T>>, next: &mut [T]| {
            next.copy_from_slice(x);
            part.inspect(|part| T::axpy(next, T::one(), part.values()));
            Ok(())
        };
        let shape = self.data[0].0;
        if transposed {
            let tape = Tape::new(&fixed)?;
            let passive = |&(shape, x)| tape.passive(Tensor::new(&fixed, shape, x));
            let mut all: List<_> = self.data.iter().map(passive).collect();
            all[0] = tape.variable(all[0].value());
            let result = self.f.eval(&all);
            fixed.status()?;
            let recording = tape.finish();
            return self.stop.iterate("fixed_point, transposed", y, |bar, next| {
                pass.reset();
                let seed = result.id().map(|id| (id, Tensor::new(&pass, shape, bar)));
                let adjoints = recording.pull(seed.as_slice(), &pass);
                pass.status()?;
                add(all[0].id().and_then(|id| adjoints.get(id)), next)
            });
        }
        self.stop.iterate("fixed_point, tangent", y, |d, next| {
            pass.reset();
            let passive = |&(shape, x)| Dual::<_>::new(Tensor::new(&pass, shape, x), [None]);
            let mut all: List<_> = self.data.iter().map(passive).collect();
            all[0] = Dual::new(all[0].value(), [Some(Tensor::new(&pass, shape, d))]);
            let [moved] = self.f.eval(&all).tangents();
            pass.status()?;
            add(moved, next)
        })
    }
}
