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

dispatched! {
    /// Adds `row` to each row of `out`, whose length is a multiple of that of `row`.
    pub(crate) fn add_to_rows<T: Number>(out: &mut [T], row: &[T]) {
        if let [one] = *row {
            for o in out {
                *o += one;
            }
            return;
        }
        for out in out.chunks_exact_mut(row.len().max(1)) {
            for (o, &r) in out.iter_mut().zip(row) {
                *o += r;
            }
        }
    }
}

dispatched! {
    /// Turns the pairs of entries: `x <- cos x - sin y` and `y <- sin x + cos y`.
    pub(crate) fn rotate<T: Number>(x: &mut [T], y: &mut [T], cos: T, sin: T) {
        for (x, y) in x.iter_mut().zip(y) {
            (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
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
