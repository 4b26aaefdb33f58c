//! Operations on flat vectors.

use crate::array::kernels::number::Number;
use crate::array::kernels::simd::{dispatched, mul_add};

dispatched! {
    /// Computes `y += a x`, up to the length of the shorter vector.
    pub(crate) fn axpy<T: Number>(y: &mut [T], a: T, x: &[T]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = mul_add::<FMA, T>(a, x, *y);
        }
    }
}

/// Number of sums that do not depend on each other.
const LANES: usize = 16;

dispatched! {
    /// Returns whether every entry is finite.
    pub(crate) fn all_finite<T: Number>(x: &[T]) -> bool {
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
