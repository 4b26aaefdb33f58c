//! Sums and row reductions. The order of every sum depends on the shape alone.

use crate::array::element::Element;
use crate::shape::Shape;

/// Number of partial sums that a long sum is split into. They have no data dependence on each other, so they vectorise.
const LANES: usize = 8;

/// `sum_i f(i-th of a, i-th of b)` over two slices of one length.
fn lanes<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f(a[lane], b[lane]);
        }
    }
    let mut total = T::zero();
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        total += f(a, b);
    }
    for half in [4, 2, 1] {
        for lane in 0..half {
            let other = sums[lane + half];
            sums[lane] += other;
        }
    }
    total + sums[0]
}

/// `sum_i a_i`
pub fn sum<T: Element>(a: &[T]) -> T {
    lanes(a, a, |a, _| a)
}

/// `sum_i a_i b_i`
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    lanes(a, b, |a, b| a * b)
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

/// `ln sum_j e^{x_j}` of a row, and the row divided into shares, `share_j = e^{x_j} / sum_k e^{x_k}`.
pub(crate) fn softmax_row<T: Element>(x: &[T], share: &mut [T]) -> T {
    let top =
        x.iter().copied().fold(T::neg_infinity(), |a, b| if b > a || b.is_nan() { b } else { a });
    // A single +inf has everything. Several, none above -inf, or a NaN leave no shares.
    if !top.is_finite() {
        let single = top > T::zero() && x.iter().filter(|&&v| v == top).count() == 1;
        for (s, &v) in share.iter_mut().zip(x) {
            *s = match (single, v == top) {
                (true, true) => T::one(),
                (true, false) => T::zero(),
                (false, _) => T::nan(),
            };
        }
        return top;
    }
    let mut total = T::zero();
    for (s, &v) in share.iter_mut().zip(x) {
        *s = (v - top).exp();
        total += *s;
    }
    let scale = total.recip();
    for s in share {
        *s = *s * scale;
    }
    top + total.ln()
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
        let mut share = [0.0; 2];
        assert_eq!(softmax_row(&[1000.0, 1000.0], &mut share), 1000.0 + 2.0_f64.ln());
        assert_eq!(share, [0.5, 0.5]);
        let ninf = f64::NEG_INFINITY;
        assert_eq!(softmax_row(&[ninf, ninf], &mut share), ninf);
        assert_eq!(softmax_row(&[0.0, ninf], &mut share), 0.0);
        assert_eq!(share, [1.0, 0.0]);
        assert!(softmax_row(&[0.0, f64::NAN], &mut share).is_nan());
        assert_eq!(softmax_row(&[0.0, f64::INFINITY], &mut share), f64::INFINITY);
    }
}
