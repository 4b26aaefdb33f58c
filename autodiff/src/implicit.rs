//! [`fixed_point`]: the solution of `w = f(w, x)` as a function of `x`, differentiated by the implicit function
//! theorem.
//!
//! The iteration runs on plain numbers in memory of its own and is not recorded, so the memory does not depend on the
//! number of iterations. [Lifting](crate::array::newton) adds the derivatives to the solution by means of `(I - J)^-1`,
//! where `J` is the Jacobian of `f` in `w` there. A gradient takes one evaluation on the tape, a Hessian-vector product
//! two. The products `(I - J)^-1 v` and their transposes are computed as the series `v + J v + J^2 v + ...`, which
//! converges where the iteration does and at the same rate (Bai, Kolter and Koltun (2019), theorem 1, by the series).
//! If it does not converge, that is a fault.

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

/// The stopping rule of iterations, for the solution and for the series of its derivatives.
#[derive(Clone, Copy, Debug)]
pub struct StopRule {
    /// Greatest number of steps. An iteration that needs more ends with [`Fault::NotConverged`].
    pub max_steps: usize,
    /// Length of a step relative to the iterate at which the iteration ends, but never less than 16 rounding units. As
    /// it is relative, small solutions are as accurate as large ones, and a solution that is exactly zero is approached
    /// until it underflows.
    pub tolerance: f64,
}

impl Default for StopRule {
    /// At most 10 000 steps, and a tolerance of `1e-14`.
    fn default() -> Self {
        Self { max_steps: 10_000, tolerance: 1e-14 }
    }
}

impl StopRule {
    /// Repeats `y <- step(y)` until the rule is met.
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

/// Returns the length of a step relative to that of the iterate that it leads to, without overflow: 0 for no step,
/// `NaN` if the numbers are not finite.
fn relative<T: Element>(step: &[T], iterate: &[T]) -> f64 {
    let [[step_scale, step], [scale, length]] = [step, iterate].map(|v| {
        let scale = v.iter().fold(0.0, |most, v| f64::max(most, v.as_f64().abs()));
        let squares = v.iter().map(|v| (v.as_f64() / scale).powi(2));
        [scale, squares.sum::<f64>().sqrt()]
    });
    if step_scale == 0.0 { 0.0 } else { step_scale / scale * (step / length) }
}

/// Returns the limit of `w <- f(w, x)` from `start`. The function `f` takes `w` first and then the arrays of `x`, and
/// returns the shape of `w`. The limit is differentiated with respect to `x`; `start` is only the initial iterate. If
/// the iteration does not converge, in the value or later in a sweep, [`Fault::NotConverged`] is raised in the arena of
/// `start`.
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

/// `(I - J)^-1` for the Jacobian `J` of `f` in the first of its arguments, `data`.
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
    /// Solves for the single column that `solve` makes; `y` is zero before the call.
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
