//! Products of a matrix with vectors, and of a column with a row.
//!
//! The matrix streams from a cache beyond the first, so it is read once: a group of rows meets all vectors. Rows of a
//! group share the loads of a vector, or of the result; vectors go in pairs, which share the loads of the rows.

use crate::array::element::Element;
use crate::array::kernels::product::tile::accumulate;
use crate::array::kernels::reduce::{LANES, dots};
use crate::array::kernels::simd::{Simd, dispatched, simd};

/// `outs_i = M others_i`, or `outs_i += M^T others_i` if `transposed`, of the matrix with `cols` columns in `data`.
pub(crate) fn multiply<T: Element>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    match simd() {
        // SAFETY: the path was chosen because the processor has these instructions.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { avx512(transposed, data, cols, others, outs) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { avx2(transposed, data, cols, others, outs) },
        _ => pairs::<false, T, 4>(transposed, data, cols, others, outs),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Element>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    pairs::<true, T, 4>(transposed, data, cols, others, outs);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
fn avx512<T: Element>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    pairs::<true, T, 8>(transposed, data, cols, others, outs);
}

/// Rows whose multiples are added up in registers before the result is written.
const DEPTH: usize = 16;

/// Group by group of rows, two vectors at a time.
#[inline(always)]
fn pairs<const FMA: bool, T: Element, const R: usize>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    let rows = if transposed { others[0].len() } else { outs[0].len() };
    let group = if transposed { DEPTH } else { R };
    for first in (0..rows).step_by(group) {
        let count = group.min(rows - first);
        let group = &data[first * cols..(first + count) * cols];
        let (pairs, single) = others.as_chunks::<2>();
        let (out_pairs, out_single) = outs.as_chunks_mut::<2>();
        for (x, out) in pairs.iter().zip(out_pairs) {
            if transposed {
                add_multiples::<FMA, T, 2>(group, [first, count, cols], x, out);
            } else {
                row_dots::<FMA, T, R, 2>(group, [first, count, cols], x, out);
            }
        }
        if let ([x], [out]) = (single, out_single) {
            let out = std::array::from_mut(out);
            if transposed {
                add_multiples::<FMA, T, 1>(group, [first, count, cols], &[x], out);
            } else {
                row_dots::<FMA, T, R, 1>(group, [first, count, cols], &[x], out);
            }
        }
    }
}

/// Entries of `outs` from `first` on: the products of up to `R` rows with `M` vectors.
#[inline(always)]
fn row_dots<const FMA: bool, T: Element, const R: usize, const M: usize>(
    group: &[T],
    [first, count, cols]: [usize; 3],
    others: &[&[T]; M],
    outs: &mut [&mut [T]; M],
) {
    let mut i = 0;
    macro_rules! rows_by {
        ($N:literal) => {
            while count - i >= $N {
                let row = |n| &group[(i + n) * cols..(i + n + 1) * cols];
                let sums = dots::<FMA, T, $N, M>(std::array::from_fn(row), others);
                for (out, sums) in outs.iter_mut().zip(sums) {
                    out[first + i..first + i + $N].copy_from_slice(&sums);
                }
                i += $N;
            }
        };
    }
    if R == 8 {
        rows_by!(8);
    }
    // Not by two: measured slower, since the compiler then puts the rows instead of the lanes into vectors.
    rows_by!(4);
    rows_by!(1);
}

/// `outs_m += sum_i others_mi row_i` over up to `DEPTH` rows, the first of which is row `first` of the matrix.
#[inline(always)]
fn add_multiples<const FMA: bool, T: Element, const M: usize>(
    group: &[T],
    [first, count, cols]: [usize; 3],
    others: &[&[T]; M],
    outs: &mut [&mut [T]; M],
) {
    let mut factors = [[T::zero(); DEPTH]; M];
    for (factors, x) in factors.iter_mut().zip(others) {
        for (factor, &x) in factors.iter_mut().zip(&x[first..first + count]) {
            *factor = x;
        }
    }
    let a = (factors.as_flattened(), DEPTH, 1);
    let mut j = 0;
    macro_rules! columns_by {
        ($V:literal of $L:expr) => {
            while cols - j >= $V * $L {
                let mut c = [[[T::zero(); $L]; $V]; M];
                for (c, out) in c.iter_mut().zip(outs.iter()) {
                    c.as_flattened_mut().copy_from_slice(&out[j..j + $V * $L]);
                }
                let c = accumulate::<FMA, T, { $L }, $V, M>(a, &group[j..], cols, count, c);
                for (c, out) in c.iter().zip(outs.iter_mut()) {
                    out[j..j + $V * $L].copy_from_slice(c.as_flattened());
                }
                j += $V * $L;
            }
        };
    }
    columns_by!(4 of LANES);
    columns_by!(1 of LANES);
    columns_by!(1 of 1);
}

dispatched! {
    /// `out = left right`, a column times a row.
    pub(crate) fn outer<T: Element>(left: &[T], right: &[T], out: &mut [T]) {
        let _ = FMA;
        for (&factor, out) in left.iter().zip(out.chunks_exact_mut(right.len().max(1))) {
            for (o, &v) in out.iter_mut().zip(right) {
                *o = factor * v;
            }
        }
    }
}
