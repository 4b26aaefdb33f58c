//! The drivers as plain functions, which allocate their memory and return their results.

use super::drivers::{Function, TOGETHER, Tangents};
use super::dual::Dual;
use super::real::Scalar;
use super::tape::{Tape, Var};
use crate::array::element::Element;
use crate::fault::Fault;

/// Returns the value and the gradient, see [`Tape::gradient`].
///
/// ```
/// let found = hypertape_autodiff::scalar::gradient(|x| x[0] * x[1], &[2.0, 3.0])?;
/// assert_eq!(found, (6.0, vec![3.0, 2.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns the first [`Fault`] of the evaluation.
pub fn gradient<T: Scalar>(
    f: impl for<'t> FnOnce(&[Var<'t, T>]) -> Var<'t, T>,
    x: &[T],
) -> Result<(T, Vec<T>), Fault> {
    let mut gradient = vec![T::zero(); x.len()];
    let value = Tape::new().gradient(f, x, &mut gradient)?;
    Ok((value, gradient))
}

/// Returns the value, the gradient and a Hessian-vector product, see [`Tape::hvp`].
///
/// ```
/// let found = hypertape_autodiff::scalar::hvp(|x| x[0] * x[1], &[2.0, 3.0], &[1.0, 10.0])?;
/// assert_eq!(found, (6.0, vec![3.0, 2.0], vec![10.0, 1.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if `v` is not as long as `x`.
pub fn hvp<T: Scalar>(
    f: impl for<'t> FnOnce(&[Var<'t, Dual<T>>]) -> Var<'t, Dual<T>>,
    x: &[T],
    v: &[T],
) -> Result<(T, Vec<T>, Vec<T>), Fault> {
    let (mut gradient, mut product) = (vec![T::zero(); x.len()], vec![T::zero(); x.len()]);
    let value = Tape::new().hvp(f, x, v, &mut gradient, &mut product)?;
    Ok((value, gradient, product))
}

/// Returns the values and a Jacobian-vector product of a function with `m` results, see [`Tangents::jvps`].
///
/// ```
/// let found = hypertape_autodiff::scalar::jvp(|x, y| y[0] = x[0] * x[1], &[2.0, 3.0], &[1.0, 1.0], 1)?;
/// assert_eq!(found, (vec![6.0], vec![5.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns [`Fault::Length`] if `v` is not as long as `x`, and [`Fault::Branches`] if points side by side take
/// different branches.
pub fn jvp<T: Scalar>(
    f: impl FnOnce(&[Dual<T>], &mut [Dual<T>]),
    x: &[T],
    v: &[T],
    m: usize,
) -> Result<(Vec<T>, Vec<T>), Fault> {
    let (mut y, mut dy) = (vec![T::zero(); m], vec![T::zero(); m]);
    Tangents::new().jvps(f, x, [v], &mut y, [&mut dy])?;
    Ok((y, dy))
}

/// Returns the values and a vector-Jacobian product of a function with as many results as `y_bar` has entries, see
/// [`Tape::vjp`].
///
/// ```
/// let found = hypertape_autodiff::scalar::vjp(|x, y| y[0] = x[0] * x[1], &[2.0, 3.0], &[10.0])?;
/// assert_eq!(found, (vec![6.0], vec![30.0, 20.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns the first [`Fault`] of the evaluation.
pub fn vjp<T: Scalar>(
    f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
    x: &[T],
    y_bar: &[T],
) -> Result<(Vec<T>, Vec<T>), Fault> {
    let (mut y, mut x_bar) = (vec![T::zero(); y_bar.len()], vec![T::zero(); x.len()]);
    Tape::new().vjp(f, x, &mut y, y_bar, &mut x_bar)?;
    Ok((y, x_bar))
}

/// Returns the value, the gradient and the Hessian in row-major order, see [`Tape::hessian`].
///
/// ```
/// let found = hypertape_autodiff::scalar::hessian(|x| x[0] * x[1], &[2.0, 3.0])?;
/// assert_eq!(found, (6.0, vec![3.0, 2.0], vec![0.0, 1.0, 1.0, 0.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns the first [`Fault`] of the evaluation.
pub fn hessian<T: Scalar>(
    f: impl for<'t> Fn(&[Var<'t, Dual<T, TOGETHER>>]) -> Var<'t, Dual<T, TOGETHER>>,
    x: &[T],
) -> Result<(T, Vec<T>, Vec<T>), Fault> {
    let n = x.len();
    let (mut gradient, mut hessian) = (vec![T::zero(); n], vec![T::zero(); n * n]);
    let value = Tape::new().hessian(f, x, &mut gradient, &mut hessian)?;
    Ok((value, gradient, hessian))
}

/// Returns the `m` results and the Jacobian in row-major order, computed in the mode that is cheaper for its shape. A
/// direction costs about 0.3 evaluations of the value, a recording 6 and a seed 2, so forward mode is used for
/// `n <= 8 (m + 3)`.
///
/// ```
/// use hypertape_autodiff::scalar::{Function, Real, jacobian};
/// struct Polar;
/// impl Function for Polar {
///     fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
///         (y[0], y[1]) = (x[0] * x[1].cos(), x[0] * x[1].sin());
///     }
/// }
/// assert_eq!(jacobian(&Polar, &[2.0, 0.0], 2)?, (vec![2.0, 0.0], vec![1.0, 0.0, 0.0, 2.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
///
/// # Errors
/// Returns the first [`Fault`] of the evaluation.
pub fn jacobian<F: Element + Scalar<Plain = F>>(
    f: &impl Function<F>,
    x: &[F],
    m: usize,
) -> Result<(Vec<F>, Vec<F>), Fault> {
    let n = x.len();
    let (mut y, mut jacobian) = (vec![F::zero(); m], vec![F::zero(); m * n]);
    if n <= 8 * (m + 3) {
        Tangents::<F, TOGETHER>::new().jacobian(|x, y| f.eval(x, y), x, &mut y, &mut jacobian)?;
    } else {
        Tape::new().jacobian(|x, y| f.eval(x, y), x, &mut y, &mut jacobian)?;
    }
    Ok((y, jacobian))
}
