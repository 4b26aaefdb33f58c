//! Products of a matrix with vectors, and of a column with a row.
//!
//! The matrix streams from a cache beyond the first, so it is read once: a group of rows meets all vectors. Rows of a
//! group share the loads of a vector, or of the result; vectors go in pairs, which share the loads of the rows.

use crate::array::kernels::number::Number;
use crate::array::kernels::product::register::accumulate;
use crate::array::kernels::reduce::{LANES, gathered};
use crate::array::kernels::simd::{dispatched, mul_add};

dispatched! {
    /// `outs_i = M others_i`, or `outs_i += M^T others_i` if `transposed`, of the matrix with `cols` columns in `data`.
    pub(crate) fn multiply<T: Number>(
        transposed: bool,
        data: &[T],
        cols: usize,
        others: &[&[T]],
        outs: &mut [&mut [T]],
    ) {
        match BYTES {
            64 => pairs::<FMA, T, 8>(transposed, data, cols, others, outs),
            _ => pairs::<FMA, T, 4>(transposed, data, cols, others, outs),
        }
    }
}

/// Rows of a group: their partial sums, or their multiples, are gathered before the result is written.
const GROUP: usize = 16;

/// Group by group of rows, two vectors at a time.
#[inline(always)]
fn pairs<const FMA: bool, T: Number, const R: usize>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    let rows = if transposed { others[0].len() } else { outs[0].len() };
    let mut sums = [[[T::zero(); LANES]; GROUP]; 2];
    for first in (0..rows).step_by(GROUP) {
        let count = GROUP.min(rows - first);
        let group = &data[first * cols..(first + count) * cols];
        let (pairs, single) = others.as_chunks::<2>();
        let (out_pairs, out_single) = outs.as_chunks_mut::<2>();
        for (x, out) in pairs.iter().zip(out_pairs) {
            if transposed {
                add_multiples::<FMA, T, R, 2>(group, [first, count, cols], x, out);
            } else {
                row_dots::<FMA, T, R, 2>(group, [first, count, cols], x, out, &mut sums);
            }
        }
        if let ([x], [out]) = (single, out_single) {
            let out = std::array::from_mut(out);
            if transposed {
                add_multiples::<FMA, T, R, 1>(group, [first, count, cols], &[x], out);
            } else {
                let [sums, _] = &mut sums;
                let sums = std::array::from_mut(sums);
                row_dots::<FMA, T, R, 1>(group, [first, count, cols], &[x], out, sums);
            }
        }
    }
}

/// Entries of `outs` from `first` on: the products of up to `GROUP` rows, `R` at a time, with `M` vectors.
///
/// Lanes go through `sums`, in memory: if they were added up right away, the compiler would put rows instead of lanes
/// into vectors.
#[inline(always)]
fn row_dots<const FMA: bool, T: Number, const R: usize, const M: usize>(
    group: &[T],
    [first, count, cols]: [usize; 3],
    others: &[&[T]; M],
    outs: &mut [&mut [T]; M],
    sums: &mut [[[T; LANES]; GROUP]; M],
) {
    let mut i = 0;
    macro_rules! rows_by {
        ($N:literal) => {
            while count - i >= $N {
                let rows = &group[i * cols..(i + $N) * cols];
                let found = lane_sums::<FMA, T, $N, M>(rows, cols, others);
                for (sums, found) in sums.iter_mut().zip(found) {
                    sums[i..i + $N].copy_from_slice(&found);
                }
                i += $N;
            }
        };
    }
    if R == 8 {
        rows_by!(8);
    }
    rows_by!(4);
    rows_by!(1);
    let whole = cols - cols % LANES;
    for ((sums, x), out) in sums.iter().zip(others).zip(outs) {
        for (i, out) in out[first..first + count].iter_mut().enumerate() {
            let rest = group[i * cols + whole..(i + 1) * cols].iter().zip(&x[whole..]);
            let rest = rest.fold(T::zero(), |sum, (&a, &b)| mul_add::<FMA, T>(a, b, sum));
            *out = rest + gathered(sums[i]);
        }
    }
}

/// Of the products of `N` rows with `M` vectors the sums of each lane, up to the last whole `LANES` entries.
#[inline(always)]
fn lane_sums<const FMA: bool, T: Number, const N: usize, const M: usize>(
    rows: &[T],
    cols: usize,
    others: &[&[T]; M],
) -> [[[T; LANES]; N]; M] {
    assert!(rows.len() == N * cols && others.iter().all(|x| x.len() == cols));
    let mut sums = [[[T::zero(); LANES]; N]; M];
    for j in (0..cols / LANES).map(|step| step * LANES) {
        for n in 0..N {
            // SAFETY: within row `n`, since `j + LANES <= cols`.
            let row = unsafe { rows.as_ptr().add(n * cols + j).cast::<[T; LANES]>().read() };
            for (sums, x) in sums.iter_mut().zip(others) {
                // SAFETY: within a vector of `cols` entries, for the same reason.
                let x = unsafe { x.as_ptr().add(j).cast::<[T; LANES]>().read() };
                let sums = &mut sums[n];
                for lane in 0..LANES {
                    sums[lane] = mul_add::<FMA, T>(row[lane], x[lane], sums[lane]);
                }
            }
        }
    }
    sums
}

/// `outs_m += sum_i others_mi row_i` over up to `GROUP` rows, the first of which is row `first` of the matrix.
#[inline(always)]
fn add_multiples<const FMA: bool, T: Number, const R: usize, const M: usize>(
    group: &[T],
    [first, count, cols]: [usize; 3],
    others: &[&[T]; M],
    outs: &mut [&mut [T]; M],
) {
    let mut factors = [[T::zero(); GROUP]; M];
    for (factors, x) in factors.iter_mut().zip(others) {
        factors[..count].copy_from_slice(&x[first..first + count]);
    }
    let a = (factors.as_flattened(), GROUP, 1);
    let mut j = 0;
    macro_rules! columns_by {
        ($V:literal of $L:expr) => {
            while cols - j >= $V * $L {
                let mut c = [[[T::zero(); $L]; $V]; M];
                for (c, out) in c.iter_mut().zip(outs.iter()) {
                    // Vector by vector, which stays in registers where one copy would not.
                    for (c, out) in c.iter_mut().zip(out[j..j + $V * $L].as_chunks::<{ $L }>().0) {
                        *c = *out;
                    }
                }
                let b = (&group[j..], cols, ($V - 1) * $L);
                let c = accumulate::<FMA, T, { $L }, $V, M>(a, b, count, c);
                for (c, out) in c.iter().zip(outs.iter_mut()) {
                    let out = out[j..j + $V * $L].as_chunks_mut::<{ $L }>().0;
                    for (c, out) in c.iter().zip(out) {
                        *out = *c;
                    }
                }
                j += $V * $L;
            }
        };
    }
    if R == 8 && M == 1 {
        // As many as there are registers for: one long stream.
        columns_by!(25 of LANES);
    }
    if R == 8 {
        columns_by!(5 of LANES);
    } else {
        columns_by!(4 of LANES);
    }
    columns_by!(2 of LANES);
    columns_by!(1 of LANES);
    columns_by!(1 of 1);
}

dispatched! {
    /// `out = left right`, a column times a row.
    pub(crate) fn outer<T: Number>(left: &[T], right: &[T], out: &mut [T]) {
        for (&factor, out) in left.iter().zip(out.chunks_exact_mut(right.len().max(1))) {
            for (o, &v) in out.iter_mut().zip(right) {
                *o = factor * v;
            }
        }
    }
}
