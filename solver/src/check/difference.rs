//! Central differences along random directions, and their tolerances.
//!
//! A slope along `u` with entries `+-max(1, |p_i|)` at the point `p` is compared with `(l(p + h u) - l(p - h u)) / 2h`,
//! where `h` is the cube root of the rounding unit. There the truncation error `h^2` and the rounding error `eps / h`
//! balance, both near 4e-11 where third derivatives are near 1. Gaps are relative to the expected slope along a random
//! direction, `sqrt(sum_i (g_i u_i)^2)`, so that a direction that happens to be flat does no harm. The tolerance is
//! [`TRUNCATION`], with room for third derivatives, plus what the rounding of the differenced values explains. Where
//! the latter is larger, the point is too flat for a sharper check.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::stats;

/// Tolerance for the truncation error of a difference.
const TRUNCATION: f64 = 1e-6;

/// Number of roundings allowed in a differenced value, whose sums have many terms.
const ROUNDINGS: f64 = 64.0;

/// The worst of several comparisons with differences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worst {
    pub(crate) observed: f64,
    pub(crate) allowed: f64,
}

impl Default for Worst {
    fn default() -> Self {
        Self { observed: 0.0, allowed: TRUNCATION }
    }
}

impl Worst {
    /// Adds a comparison of the slope of `gradient` along `u` with a difference of values of size `value`.
    pub(crate) fn slope<T: Element>(
        &mut self,
        gradient: &[T],
        u: &[T],
        [difference]: [T; 1],
        value: f64,
    ) {
        let (expected, difference) = (dot(gradient, u).as_f64(), difference.as_f64());
        let seen = gradient.iter().zip(u).map(|(&g, &u)| (g * u).as_f64().powi(2));
        let scale = seen.sum::<f64>().sqrt().max(difference.abs());
        self.note::<T>((expected - difference).abs(), scale, value);
    }

    /// Adds a comparison of a derivative with differences of vectors of length `value`.
    pub(crate) fn vectors<T: Element>(&mut self, derivative: &[T], differences: &[T], value: f64) {
        let scale = norm(derivative).max(norm(differences));
        self.note::<T>(norm(&stats::difference(derivative, differences)), scale, value);
    }

    fn note<T: Element>(&mut self, gap: f64, scale: f64, value: f64) {
        if gap == 0.0 {
            return;
        }
        let rounding = ROUNDINGS * T::epsilon().as_f64() * value.abs() / step::<T>().as_f64();
        let (observed, allowed) = (gap / scale, TRUNCATION + rounding / scale);
        if beyond(observed / allowed, self.observed / self.allowed) {
            *self = Self { observed, allowed };
        }
    }
}

/// Whether `gap` exceeds `allowed` or is NaN.
pub(crate) fn beyond(gap: f64, allowed: f64) -> bool {
    gap > allowed || gap.is_nan()
}

/// Step size of central differences.
fn step<T: Element>() -> T {
    T::epsilon().cbrt()
}

/// Computes `(l(p + h u) - l(p - h u)) / 2h` for the function `values`.
///
/// # Errors
/// Returns the errors of `values`.
pub(crate) fn difference<T: Element, V: AsMut<[T]> + AsRef<[T]>>(
    p: &[T],
    u: &[T],
    mut values: impl FnMut(&[T]) -> Result<V, Error>,
) -> Result<V, Error> {
    let h = step::<T>();
    let mut moved = |h| {
        let mut moved = p.to_vec();
        axpy(&mut moved, h, u);
        values(&moved)
    };
    let (mut up, down) = (moved(h)?, moved(-h)?);
    for (up, &down) in up.as_mut().iter_mut().zip(down.as_ref()) {
        *up = (*up - down) / (h + h);
    }
    Ok(up)
}

/// `|v|`
pub(crate) fn norm<T: Element>(v: &[T]) -> f64 {
    crate::params::norm(v).as_f64()
}

/// `|a - b|` relative to the longer of the two.
pub(crate) fn relative_gap<T: Element>(a: &[T], b: &[T]) -> f64 {
    let gap = norm(&stats::difference(a, b));
    if gap == 0.0 { 0.0 } else { gap / norm(a).max(norm(b)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubic_is_off_by_its_truncation() {
        let cube = |p: &[f64]| Ok([p[0].powi(3)]);
        let [slope] = difference(&[0.5], &[1.0], cube).unwrap();
        // h^2 = 3.7e-11, and a rounding error of the same size.
        assert!((slope - 0.75).abs() < 1e-10, "{slope}");
    }

    #[test]
    fn the_worst_is_kept_and_what_is_no_number_is_worst() {
        let mut worst = Worst::default();
        worst.slope(&[0.0, 0.0], &[1.0, -1.0], [0.0], 1.0);
        assert_eq!((worst.observed, worst.allowed), (0.0, TRUNCATION), "flat both ways");
        worst.slope(&[3.0, 4.0], &[1.0, 1.0], [7.5], 0.0);
        worst.slope(&[3.0, 4.0], &[1.0, -1.0], [-1.0], 0.0);
        assert_eq!((worst.observed, worst.allowed), (0.5 / 7.5, TRUNCATION));
        for bad in [f64::NAN, f64::INFINITY] {
            let mut worst = worst;
            worst.slope(&[3.0, 4.0], &[1.0, 1.0], [bad], 0.0);
            worst.slope(&[3.0, 4.0], &[1.0, -1.0], [-9.0], 0.0);
            assert!(beyond(worst.observed, worst.allowed), "{worst:?}");
            assert!(worst.observed.is_nan(), "{worst:?}");
        }
    }

    #[test]
    fn rounding_of_large_values_is_allowed_for() {
        let mut worst = Worst::default();
        // Half a rounding unit of 1e6 over a step of 6e-6 is 1e-5.
        worst.slope(&[1.0], &[1.0], [1.0 + 1e-5], 1e6);
        assert!(!beyond(worst.observed, worst.allowed), "{worst:?}");
    }
}
