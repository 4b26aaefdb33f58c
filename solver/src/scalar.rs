//! `ScalarBilevel`: a bilevel problem over scalars, for losses with branches and indices that do not suit arrays.

use hypertape_autodiff::Element;
use hypertape_autodiff::scalar::Real;

use crate::draw::Draw;
use crate::params::Params;

/// The counterpart of [`Bilevel`](crate::Bilevel) whose losses are written over [`Real`]: minimise `f(x, w_r)` over
/// `x`, where `w_0 = init(x)` and `w_{t+1}` comes from a step of an inner optimiser on `g(x, w)`.
///
/// [`Oracle::scalar`](crate::Oracle::scalar) makes it available to the same estimators; [`FullTape`](crate::FullTape)
/// is restricted to rules that multiply the gradient by a number. Losses are recorded number by number: a gradient
/// costs a few evaluations of the loss in any dimension, and a product about 1.5 gradients. If a loss consists of a few
/// operations on large arrays, `Bilevel` is faster.
///
/// ```
/// use hypertape_autodiff::{Shape, scalar::Real};
/// use hypertape_solver::{Draw, Estimator, Exact, InnerLoop, Oracle, Params, ScalarBilevel};
///
/// /// `g = w^2/2 + x w`, `f = w^2`, started at `w = 1`.
/// struct Line;
/// impl ScalarBilevel<f64> for Line {
///     fn start(&self) -> Params<f64> {
///         Params::new().with("x", Shape::SCALAR, [0.5])
///     }
///     fn inner_dim(&self) -> u32 {
///         1
///     }
///     fn init<R: Real>(&self, _: &[R], _: Draw, w: &mut [R]) {
///         w[0] = R::constant(1.0);
///     }
///     fn inner<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
///         w[0].square() * 0.5 + x[0] * w[0]
///     }
///     fn outer<R: Real>(&self, w: &[R], _: &[R], _: Draw) -> R {
///         w[0].square()
///     }
/// }
///
/// let (mut oracle, mut gradient) = (Oracle::scalar(Line), [0.0]);
/// let inner = InnerLoop::new(10, 0.1)?;
/// Exact::default().estimate(&mut oracle, &inner, &[0.5], Draw::new(0, 0), &mut gradient)?;
/// // -2 (1 - rho) w_10 with rho = 0.9^10
/// assert!((gradient[0] - -0.029983796628292136).abs() < 1e-16);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
pub trait ScalarBilevel<T: Element>: Send + Sync {
    /// The first outer point, with the names and shapes of the outer variables.
    ///
    /// Losses see their values one after the other.
    fn start(&self) -> Params<T>;

    /// Number of inner variables.
    fn inner_dim(&self) -> u32;

    /// Writes `w_0`, which may depend on `x`; `w` is zero before.
    fn init<R: Real<T>>(&self, x: &[R], draw: Draw, w: &mut [R]);

    /// Computes the inner loss `g(x, w)`.
    fn inner<R: Real<T>>(&self, w: &[R], x: &[R], draw: Draw) -> R;

    /// Computes the outer loss `f(x, w)`.
    fn outer<R: Real<T>>(&self, w: &[R], x: &[R], draw: Draw) -> R;

    /// Number of tasks; `F` is the mean of the outer loss over them. [`Draw::task`](crate::Draw) is the task of a loss.
    fn tasks(&self) -> usize {
        1
    }
}
