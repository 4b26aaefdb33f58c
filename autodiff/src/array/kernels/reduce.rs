//! Sums and row reductions. The order of every sum depends on the shape alone.

use crate::array::element::Element;
use crate::array::kernels::math;
use crate::array::kernels::simd::{dispatched, mul_add};
use crate::shape::Shape;

/// Number of partial sums that a long sum is split into. They have no data dependence on each other, so they vectorise.
pub(crate) const LANES: usize = 8;

/// Adds up the lanes, pair by pair.
#[inline(always)]
fn gathered<T: Element>(sums: [T; LANES]) -> T {
    let four: [T; 4] = std::array::from_fn(|lane| sums[lane] + sums[lane + 4]);
    let two: [T; 2] = std::array::from_fn(|lane| four[lane] + four[lane + 2]);
    two[0] + two[1]
}

dispatched! {
    /// `sum_i a_i`
    pub fn sum<T: Element>(a: &[T]) -> T {
        let _ = FMA;
        let mut sums = [T::zero(); LANES];
        let (chunks, rest) = a.as_chunks::<LANES>();
        for a in chunks {
            for lane in 0..LANES {
                sums[lane] += a[lane];
            }
        }
        rest.iter().fold(T::zero(), |total, &a| total + a) + gathered(sums)
    }
}

dispatched! {
    /// `sum_i a_i b_i`
    pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
        dots::<FMA, T, 1, 1>([a], &[b])[0][0]
    }
}

/// `sum_i a_i b_i` for each of `M` vectors `b` with each of `N` rows `a`; the bits of one depend on neither number.
#[inline(always)]
pub(crate) fn dots<const FMA: bool, T: Element, const N: usize, const M: usize>(
    a: [&[T]; N],
    b: &[&[T]; M],
) -> [[T; N]; M] {
    let mut sums = [[[T::zero(); LANES]; N]; M];
    let len = b[0].len();
    let steps = len / LANES;
    // Cut to one length, so that the bounds are checked once.
    let (a, b) = (a.map(|a| &a[..len]), b.map(|b| &b[..len]));
    let a_chunks = a.map(|a| &a.as_chunks::<LANES>().0[..steps]);
    let b_chunks = b.map(|b| &b.as_chunks::<LANES>().0[..steps]);
    for i in 0..steps {
        for n in 0..N {
            let a = &a_chunks[n][i];
            for m in 0..M {
                let b = &b_chunks[m][i];
                for lane in 0..LANES {
                    sums[m][n][lane] = mul_add::<FMA, T>(a[lane], b[lane], sums[m][n][lane]);
                }
            }
        }
    }
    let mut rest = [[T::zero(); N]; M];
    for i in steps * LANES..len {
        for m in 0..M {
            for n in 0..N {
                rest[m][n] = mul_add::<FMA, T>(a[n][i], b[m][i], rest[m][n]);
            }
        }
    }
    for m in 0..M {
        for n in 0..N {
            rest[m][n] += gathered(sums[m][n]);
        }
    }
    rest
}

/// Adds the entries of `x` into `out`, which broadcasts to the shape of `x`.
pub(crate) fn sum_to<T: Element>(x: &[T], shape: Shape, out: &mut [T], to: Shape) {
    let cols = shape.cols as usize;
    match (to.rows == shape.rows, to.cols == shape.cols) {
        (true, true) => out.copy_from_slice(x),
        (true, false) => {
            for (total, row) in out.iter_mut().zip(x.chunks_exact(cols.max(1))) {
                *total = sum(row);
            }
        }
        (false, true) => {
            for row in x.chunks_exact(cols.max(1)) {
                for (total, &v) in out.iter_mut().zip(row) {
                    *total += v;
                }
            }
        }
        (false, false) => out[0] = sum(x),
    }
}

dispatched! {
    /// Of each row of `cols` entries `ln sum_j e^{x_j}`, and the row divided into shares,
    /// `share_j = e^{x_j} / sum_k e^{x_k}`.
    pub(crate) fn softmax_rows<T: Element>(
        x: &[T],
        cols: usize,
        sums: &mut [T],
        shares: &mut [T],
    ) {
        // In three passes, so that the exponentials of short rows fill whole vectors.
        let rows = x.chunks_exact(cols).zip(shares.chunks_exact_mut(cols));
        for (top, (row, share)) in sums.iter_mut().zip(rows) {
            *top = row.iter().fold(T::neg_infinity(), |a, &b| if b > a || b.is_nan() { b } else { a });
            for (s, &v) in share.iter_mut().zip(row) {
                *s = v - *top;
            }
        }
        for s in shares.iter_mut() {
            *s = T::from_f64(math::exp::<FMA>(s.as_f64()));
        }
        let rows = x.chunks_exact(cols).zip(shares.chunks_exact_mut(cols));
        for (top, (row, share)) in sums.iter_mut().zip(rows) {
            if !top.is_finite() {
                limit_shares(row, *top, share);
                continue;
            }
            let total = share.iter().fold(T::zero(), |total, &s| total + s);
            let scale = total.recip();
            for s in share.iter_mut() {
                *s = *s * scale;
            }
            *top += total.ln();
        }
    }
}

/// Shares of a row whose largest entry is not finite: a single +inf has everything; several, none above -inf, or a NaN
/// leave no shares.
fn limit_shares<T: Element>(row: &[T], top: T, share: &mut [T]) {
    let single = top > T::zero() && row.iter().filter(|&&v| v == top).count() == 1;
    for (s, &v) in share.iter_mut().zip(row) {
        *s = match (single, v == top) {
            (true, true) => T::one(),
            (true, false) => T::zero(),
            (false, _) => T::nan(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_every_short_length() {
        for n in 0..40 {
            let x: Vec<f64> = (0..n).map(f64::from).collect();
            let n = f64::from(n);
            assert_eq!(sum(&x), n * (n - 1.0) / 2.0);
            assert_eq!(dot(&x, &x), (n - 1.0) * n * (2.0 * n - 1.0) / 6.0);
        }
    }

    #[test]
    fn softmax_at_the_ends() {
        let (ninf, inf, nan) = (f64::NEG_INFINITY, f64::INFINITY, f64::NAN);
        let x = [1000.0, 1000.0, ninf, ninf, 0.0, ninf, 0.0, nan, 0.0, inf];
        let (mut sums, mut shares) = ([0.0; 5], [0.0; 10]);
        softmax_rows(&x, 2, &mut sums, &mut shares);
        assert_eq!(sums[..3], [1000.0 + 2.0_f64.ln(), ninf, 0.0]);
        assert!(sums[3].is_nan() && sums[4] == inf);
        assert_eq!(
            (&shares[..2], &shares[4..6], &shares[8..]),
            (&[0.5, 0.5][..], &[1.0, 0.0][..], &[0.0, 1.0][..])
        );
        assert!(shares[2..4].iter().chain(&shares[6..8]).all(|s| s.is_nan()));
    }
}
