//! Checks of the derivatives of a function: Taylor remainders, central differences, and forward against reverse mode.
//!
//! Each check returns a number for an assertion. The function must be smooth at the point.
//!
//! ```
//! use hypertape_autodiff::{Array, Element, Function, Shape, check};
//! struct Cosh;
//! impl<T: Element> Function<T> for Cosh {
//!     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
//!         (x[0].exp() + (-x[0]).exp()).sum()
//!     }
//! }
//! let (shapes, x, v) = ([Shape::column(2)], [0.3, -0.7], [1.0, 0.5]);
//! let orders = check::taylor(&Cosh, &shapes, &x, &v)?;
//! assert!(orders.gradient > 1.9 && orders.hessian > 2.9);
//! assert!(check::central_differences(&Cosh, &shapes, &x)? < 1e-8);
//! assert!(check::dot_product(&Cosh, &shapes, &x, &v, &[2.0])? < 1e-15);
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```

use crate::array::element::Element;
use crate::array::vectors::dot;
use crate::drivers::Function;
use crate::fault::Fault;
use crate::shape::Shape;
use crate::workspace::Workspace;

/// Observed orders of the remainders of a Taylor expansion. An order is infinite if the remainder is at rounding level
/// throughout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orders {
    /// Order of `f(x + hv) - f(x) - h g.v`: 2 if the gradient is right, 1 if it is wrong.
    pub gradient: f64,
    /// Order of the same less `h^2/2 v.Hv`: 3 if the Hessian-vector product is right as well, 2 if it is wrong.
    pub hessian: f64,
}

/// Steps of the Taylor test, each half of the one before. They are short enough for the leading term to dominate, and
/// long enough for the cubic remainder to stay above rounding.
const STEPS: [f64; 5] = [1.0 / 16.0, 1.0 / 32.0, 1.0 / 64.0, 1.0 / 128.0, 1.0 / 256.0];

/// Factors by which the steps are shortened, for functions whose slope changes within less than the first step.
const SCALES: [f64; 5] = [1.0, 1e-2, 1e-4, 1e-6, 1e-8];

/// Central differences that agree to this relative error are not repeated with shorter steps.
const CLOSE: f64 = 1e-7;

/// Taylor test of a scalar function along `v`, with steps that are shortened until the orders are right. Cost: one
/// Hessian-vector product and 5 evaluations of the value, at most 25.
///
/// # Errors
/// Returns the first [`Fault`] of an evaluation, or [`Fault::Length`] if a length does not match or the value is not a
/// scalar.
pub fn taylor<F: Function<f64>>(
    f: &F,
    shapes: &[Shape],
    x: &[f64],
    v: &[f64],
) -> Result<Orders, Fault> {
    let mut workspace = Workspace::new();
    let (mut gradient, mut product) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let value = workspace.hvp(f, shapes, x, v, &mut gradient, &mut product)?;
    let (slope, curvature) = (dot(&gradient, v), dot(&product, v));
    let mut found = [None, None];
    for scale in SCALES {
        let mut remainders = [[0.0; STEPS.len()]; 2];
        let mut largest = value.abs();
        for (i, h) in STEPS.map(|h| scale * h).into_iter().enumerate() {
            let moved: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + h * v).collect();
            let mut there = [0.0];
            workspace.value(f, shapes, &moved, &mut there)?;
            largest = largest.max(there[0].abs());
            remainders[0][i] = there[0] - value - h * slope;
            remainders[1][i] = remainders[0][i] - h * h / 2.0 * curvature;
        }
        for (k, remainders) in remainders.iter().enumerate() {
            found[k] = found[k].into_iter().chain(order(remainders, largest)).reduce(f64::max);
        }
        // A tenth below the expected orders, for rounding errors and higher terms.
        if found[0].is_none_or(|order| order > 1.9) && found[1].is_none_or(|order| order > 2.9) {
            break;
        }
    }
    // No remainder is clear of rounding: the expansion is exact.
    let [gradient, hessian] = found.map(|order| order.unwrap_or(f64::INFINITY));
    Ok(Orders { gradient, hessian })
}

/// Returns the largest order among pairs of successive steps whose remainders are both clear of rounding.
///
/// A wrong derivative gives a low order at every step, so the largest estimate is low as well. A right one can give a
/// low order where two terms happen to cancel.
fn order(remainders: &[f64], scale: f64) -> Option<f64> {
    if remainders.iter().any(|r| r.is_nan()) {
        return Some(f64::NAN);
    }
    let floor = 1000.0 * f64::EPSILON * scale;
    let clear = |w: &&[f64]| w.iter().all(|r| r.abs() > floor);
    remainders.windows(2).filter(clear).map(|w| (w[0] / w[1]).abs().log2()).reduce(f64::max)
}

/// Returns the largest deviation of the gradient from central differences, relative to the largest entry of either.
/// Steps are `6e-6 max(1, |x_i|)`, where 6e-6 is the cube root of the rounding unit, or shorter where that agrees
/// better. About 1e-9 is to be expected for the right gradient of a well-scaled function. Cost: a gradient and `2 n`
/// evaluations of the value, at most `10 n`.
///
/// # Errors
/// Returns the first [`Fault`] of an evaluation, or [`Fault::Length`] if a length does not match or the value is not a
/// scalar.
pub fn central_differences<F: Function<f64>>(
    f: &F,
    shapes: &[Shape],
    x: &[f64],
) -> Result<f64, Fault> {
    let mut workspace = Workspace::new();
    let mut gradient = vec![0.0; x.len()];
    workspace.gradient(f, shapes, x, &mut gradient)?;
    let (mut gap, mut scale) = (0.0_f64, f64::MIN_POSITIVE);
    let mut moved = x.to_vec();
    for i in 0..x.len() {
        let mut best = (f64::INFINITY, 0.0);
        for shorter in SCALES {
            let step = shorter * f64::EPSILON.cbrt() * x[i].abs().max(1.0);
            let mut ends = [[0.0]; 2];
            for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                moved[i] = x[i] + sign * step;
                workspace.value(f, shapes, &moved, end)?;
            }
            let slope = (ends[0][0] - ends[1][0]) / (2.0 * step);
            if !slope.is_finite() || !gradient[i].is_finite() {
                return Ok(f64::NAN);
            }
            let found = (slope - gradient[i]).abs();
            if found < best.0 {
                best = (found, slope.abs());
            }
            if found <= CLOSE * gradient[i].abs() {
                break;
            }
        }
        moved[i] = x[i];
        gap = gap.max(best.0);
        scale = scale.max(best.1).max(gradient[i].abs());
    }
    Ok(gap / scale)
}

/// Returns `|y_bar . J dx - J^T y_bar . dx|` relative to the larger of the two products, which compares forward with
/// reverse mode. It is at rounding level if both are right. Cost: one JVP and one VJP.
///
/// # Errors
/// Returns the first [`Fault`] of an evaluation, or [`Fault::Length`] if a length does not match.
pub fn dot_product<T: Element, F: Function<T>>(
    f: &F,
    shapes: &[Shape],
    x: &[T],
    dx: &[T],
    y_bar: &[T],
) -> Result<f64, Fault> {
    let mut workspace = Workspace::new();
    let (mut y, mut dy) = (vec![T::zero(); y_bar.len()], vec![T::zero(); y_bar.len()]);
    let mut x_bar = vec![T::zero(); x.len()];
    workspace.jvp(f, shapes, x, dx, &mut y, &mut dy)?;
    workspace.vjp(f, shapes, x, &mut y, y_bar, &mut x_bar)?;
    let (forward, reverse) = (dot(y_bar, &dy).as_f64(), dot(&x_bar, dx).as_f64());
    Ok((forward - reverse).abs() / forward.abs().max(reverse.abs()).max(f64::MIN_POSITIVE))
}
