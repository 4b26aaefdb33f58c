//! [`Custom`]: a function given by code for its value and its derivatives, for when no formula over arrays or scalars
//! is available or wanted: a table, a simulation, a library.
//!
//! Derivatives are available up to second order. Those of second order need reverse mode: forward over reverse, or
//! reverse over reverse.

use crate::fault::Fault;

/// A function of `n` numbers with `m` results, over slices. Several arguments are passed one after the other, see
/// [`Array::stack`](crate::Array::stack). [`Array::custom`](crate::Array::custom) and
/// [`scalar::custom`](crate::scalar::custom) call it. All output slices are zero before a call.
///
/// ```
/// use hypertape_autodiff::{Custom, Fault, scalar};
/// /// `y = x_0 x_1^2`
/// struct Cone;
/// impl Custom<f64> for Cone {
///     fn name(&self) -> &'static str { "cone" }
///     fn results(&self, _: usize) -> usize { 1 }
///     fn value(&self, x: &[f64], y: &mut [f64]) -> Result<(), Fault> {
///         y[0] = x[0] * x[1] * x[1];
///         Ok(())
///     }
///     fn jvp(&self, x: &[f64], dx: &[f64], dy: &mut [f64]) -> Result<(), Fault> {
///         dy[0] = x[1] * x[1] * dx[0] + 2.0 * x[0] * x[1] * dx[1];
///         Ok(())
///     }
///     fn vjp(&self, x: &[f64], y_bar: &[f64], x_bar: &mut [f64]) -> Result<(), Fault> {
///         x_bar.copy_from_slice(&[x[1] * x[1] * y_bar[0], 2.0 * x[0] * x[1] * y_bar[0]]);
///         Ok(())
///     }
/// }
/// let found = scalar::gradient(|x| scalar::custom(&Cone, x).unwrap()[0], &[2.0, 3.0])?;
/// assert_eq!(found, (18.0, vec![9.0, 12.0]));
/// # Ok::<(), Fault>(())
/// ```
pub trait Custom<T>: Sync {
    /// The name of the function in faults.
    fn name(&self) -> &'static str;
    /// Returns the number `m` of results for `n` arguments.
    fn results(&self, n: usize) -> usize;
    /// Computes `y = f(x)`.
    ///
    /// # Errors
    /// Returns any fault that the function reports, for instance [`Fault::NonFinite`].
    fn value(&self, x: &[T], y: &mut [T]) -> Result<(), Fault>;
    /// Computes `dy = J dx`.
    ///
    /// # Errors
    /// Returns any fault that the function reports.
    fn jvp(&self, x: &[T], dx: &[T], dy: &mut [T]) -> Result<(), Fault>;
    /// Computes `x_bar = J^T y_bar`.
    ///
    /// # Errors
    /// Returns any fault that the function reports.
    fn vjp(&self, x: &[T], y_bar: &[T], x_bar: &mut [T]) -> Result<(), Fault>;
    /// Computes `x_bar = sum_i y_bar_i H_i dx`, where `H_i` is the Hessian of result `i`: the derivative of
    /// [`vjp`](Self::vjp) along `dx`.
    ///
    /// Returns [`Fault::Order`] unless it is implemented, and otherwise any fault that the function reports.
    /// Returns [`Fault::Order`] unless it is implemented, and then as [`value`](Self::value).
    fn hvp(&self, _x: &[T], _dx: &[T], _y_bar: &[T], _x_bar: &mut [T]) -> Result<(), Fault> {
        Err(Fault::Order { operation: self.name(), order: 2 })
    }
}

/// The value of a [`Custom`] function, or a product with its derivatives.
#[derive(Clone, Copy, Debug)]
pub enum Product<A> {
    /// `f(x)`
    Value,
    /// `J dx`
    Jvp(A),
    /// `J^T y_bar`
    Vjp(A),
    /// `sum_i y_bar_i H_i dx`, with `dx` first and `y_bar` second.
    Hvp(A, A),
}

impl<A> Product<A> {
    pub(crate) fn map<B>(self, f: impl Fn(A) -> B) -> Product<B> {
        match self {
            Self::Value => Product::Value,
            Self::Jvp(v) => Product::Jvp(f(v)),
            Self::Vjp(c) => Product::Vjp(f(c)),
            Self::Hvp(v, c) => Product::Hvp(f(v), f(c)),
        }
    }
}
