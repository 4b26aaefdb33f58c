//! Operations on flat vectors, for optimisers and solvers.

use crate::array::element::Element;

/// Computes `y += a x`, up to the length of the shorter vector.
///
/// ```
/// let mut y = [1.0, 2.0];
/// hypertape_autodiff::axpy(&mut y, 10.0, &[3.0, 4.0]);
/// assert_eq!(y, [31.0, 42.0]);
/// ```
pub fn axpy<T: Element>(y: &mut [T], a: T, x: &[T]) {
    T::axpy(y, a, x);
}

/// Returns whether every entry is finite.
///
/// ```
/// assert!(!hypertape_autodiff::all_finite(&[1.0, f64::NAN]));
/// ```
pub fn all_finite<T: Element>(x: &[T]) -> bool {
    T::all_finite(x)
}

/// Returns `sum_i a_i`, added in an order that depends only on the length.
///
/// ```
/// assert_eq!(hypertape_autodiff::sum(&[1.0, 2.0]), 3.0);
/// ```
pub fn sum<T: Element>(a: &[T]) -> T {
    T::sum(a)
}

/// Returns `sum_i a_i b_i` of two vectors of the same length, added in an order that depends only on it.
///
/// ```
/// assert_eq!(hypertape_autodiff::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    T::dot(a, b)
}
