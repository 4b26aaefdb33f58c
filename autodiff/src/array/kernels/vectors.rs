//! Operations on flat vectors, as optimisers and solvers use them.

use crate::array::element::Element;
use crate::array::kernels::simd::{dispatched, mul_add};

dispatched! {
    /// `y += a x`, as far as the shorter reaches.
    ///
    /// ```
    /// let mut y = [1.0, 2.0];
    /// hypertape_autodiff::axpy(&mut y, 10.0, &[3.0, 4.0]);
    /// assert_eq!(y, [31.0, 42.0]);
    /// ```
    pub fn axpy<T: Element>(y: &mut [T], a: T, x: &[T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = mul_add::<FMA, T>(a, x, *y);
        }
    }
}

/// Sums that do not wait for each other.
const LANES: usize = 16;

dispatched! {
    /// Whether every entry is finite.
    ///
    /// ```
    /// assert!(!hypertape_autodiff::all_finite(&[1.0, f64::NAN]));
    /// ```
    pub fn all_finite<T: Element>(x: &[T]) -> bool {
        let _ = FMA;
        // The sum of `0 x` is 0 or NaN. In lanes, and unlike a search that stops early, it vectorises.
        let (chunks, rest) = x.as_chunks::<LANES>();
        let mut sums = [T::zero(); LANES];
        for chunk in chunks {
            for lane in 0..LANES {
                sums[lane] += chunk[lane] * T::zero();
            }
        }
        sums.iter().chain(rest).fold(T::zero(), |sum, &x| sum + x * T::zero()).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_means_every_entry() {
        for len in 0..40 {
            let mut x = vec![f64::MAX; len];
            assert!(all_finite(&x));
            for at in 0..len {
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    x[at] = bad;
                    assert!(!all_finite(&x), "{bad} at {at} of {len}");
                }
                x[at] = f64::MIN;
            }
        }
    }
}
