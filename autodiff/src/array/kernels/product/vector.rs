//! Products of a matrix with vectors, and of a column with a row.
//!
//! The matrix is read from a cache beyond the first level, so it is read only once: a group of rows is multiplied with
//! all vectors. The rows of a group share the loads of a vector or of the result; vectors are taken in pairs, which
//! share the loads of the rows.

use std::mem::MaybeUninit;

use crate::array::kernels::number::{Number, Wide};
use crate::array::kernels::simd::dispatched;

dispatched! {
    /// Computes `outs_i = M others_i`, or `outs_i += M^T others_i` if `transposed`, for the matrix with `cols` columns
    /// in `data`.
    pub(crate) fn multiply<T: Number>(
        transposed: bool,
        data: &[T],
        cols: usize,
        others: &[&[T]],
        outs: &mut [&mut [T]],
    ) {
        match BYTES {
            64 => pairs::<T, T::Avx512, 16>(transposed, data, cols, others, outs),
            32 => pairs::<T, T::Avx2, 8>(transposed, data, cols, others, outs),
            _ => pairs::<T, T::Portable, 8>(transposed, data, cols, others, outs),
        }
    }
}

/// Number of rows of a group.
const GROUP: usize = 16;

/// Goes through the rows group by group, with two vectors at a time.
#[inline(always)]
fn pairs<T: Number, V: Wide<T>, const R: usize>(
    transposed: bool,
    data: &[T],
    cols: usize,
    others: &[&[T]],
    outs: &mut [&mut [T]],
) {
    let rows = if transposed { others[0].len() } else { outs[0].len() };
    for first in (0..rows).step_by(GROUP) {
        let of = first..rows.min(first + GROUP);
        let group = &data[of.start * cols..of.end * cols];
        for (x, outs) in others.chunks(2).zip(outs.chunks_mut(2)) {
            match (x, outs) {
                (&[x], [out]) if transposed => {
                    add_multiples::<T, V, R, 1, 0>(group, [&x[of.clone()]], [&mut **out]);
                }
                (&[x], [out]) => row_dots::<T, V, R, 1>(group, [x], [&mut out[of.clone()]]),
                (&[x, y], [a, b]) if transposed => {
                    let factors = [&x[of.clone()], &y[of.clone()]];
                    add_multiples::<T, V, R, 2, 2>(group, factors, [&mut **a, &mut **b]);
                }
                (&[x, y], [a, b]) => {
                    let outs = [&mut a[of.clone()], &mut b[of.clone()]];
                    row_dots::<T, V, R, 2>(group, [x, y], outs);
                }
                _ => unreachable!("as many results as vectors, in pairs"),
            }
        }
    }
}

/// Computes the products of rows with `M` vectors, for as many rows at a time as `R` registers hold sums of.
#[inline(always)]
pub(crate) fn row_dots<T: Number, V: Wide<T>, const R: usize, const M: usize>(
    group: &[T],
    others: [&[T]; M],
    mut outs: [&mut [T]; M],
) {
    let (cols, rows) = (others[0].len(), outs[0].len());
    let mut i = 0;
    macro_rules! rows_by {
        ($N:literal) => {
            while rows - i >= $N {
                let dots = dots::<T, V, $N, M, 0>((&group[i * cols..], cols), others, 0);
                for (out, dots) in outs.iter_mut().zip(dots) {
                    out[i..i + $N].copy_from_slice(&dots);
                }
                i += $N;
            }
        };
    }
    if 8 * M <= R {
        rows_by!(8);
    }
    rows_by!(4);
    rows_by!(1);
}

/// Returns the products of `N` rows, which begin `stride` entries apart, with `M` vectors. Meanwhile what lies `ahead`
/// entries behind the vectors is prefetched.
#[inline(always)]
pub(super) fn dots<T: Number, V: Wide<T>, const N: usize, const M: usize, const AHEAD: u8>(
    (rows, stride): (&[T], usize),
    others: [&[T]; M],
    ahead: usize,
) -> [[T; N]; M] {
    let cols = others[0].len();
    assert!((N - 1) * stride + cols <= rows.len());
    assert!(others.iter().all(|x| x.len() == cols));
    let rest = cols % V::LANES;
    // SAFETY: a vector from `j` on, or its first `rest` entries, ends within each row and each of `others`; the
    // processor has the instructions of the path.
    unsafe {
        let (mut sums, mut j) = ([[V::splat(T::zero()); N]; M], 0);
        macro_rules! add {
            (|$from:ident| $load:expr) => {
                let mut x = [V::splat(T::zero()); M];
                for m in 0..M {
                    let $from = others[m].as_ptr().add(j);
                    V::expect::<AHEAD>($from.wrapping_add(ahead));
                    x[m] = $load;
                }
                for n in 0..N {
                    let $from = rows.as_ptr().add(n * stride + j);
                    let row = $load;
                    for m in 0..M {
                        sums[m][n] = sums[m][n].add_product(row, x[m]);
                    }
                }
            };
        }
        while j < cols - rest {
            add!(|from| V::load(from));
            j += V::LANES;
        }
        if rest > 0 {
            add!(|from| V::load_first(from, rest));
        }
        // Not a closure, which would be compiled without the instructions of the path.
        let mut dots = [[T::zero(); N]; M];
        for m in 0..M {
            for n in 0..N {
                dots[m][n] = sums[m][n].total();
            }
        }
        dots
    }
}

/// Size of a cache line in bytes.
const LINE: usize = 64;

/// Computes `outs_m += sum_i factors_mi row_i`, for as many columns at a time as `R` registers hold of `M` results.
/// Meanwhile the rows that follow are prefetched.
#[inline(always)]
pub(crate) fn add_multiples<
    T: Number,
    V: Wide<T>,
    const R: usize,
    const M: usize,
    const AHEAD: u8,
>(
    group: &[T],
    factors: [&[T]; M],
    mut outs: [&mut [T]; M],
) {
    let (cols, rows) = (outs[0].len(), factors[0].len());
    assert!(group.len() == rows * cols);
    assert!(outs.iter().all(|o| o.len() == cols) && factors.iter().all(|f| f.len() == rows));
    let outs = outs.each_mut().map(|out| out.as_mut_ptr());
    let mut j = 0;
    macro_rules! columns_by {
        ($N:literal) => {
            while cols - j >= $N * V::LANES {
                // SAFETY: vectors from `j` on end within each row and each of `outs`; the processor has the
                // instructions of the path.
                unsafe {
                    let mut sums = [[V::splat(T::zero()); $N]; M];
                    for m in 0..M {
                        for n in 0..$N {
                            sums[m][n] = V::load(outs[m].add(j + n * V::LANES));
                        }
                    }
                    for i in 0..rows {
                        let mut by = [V::splat(T::zero()); M];
                        for m in 0..M {
                            by[m] = V::splat(*factors[m].get_unchecked(i));
                        }
                        let row = group.as_ptr().add(i * cols + j);
                        for n in 0..$N {
                            let row = row.add(n * V::LANES);
                            if n * V::LANES * size_of::<T>() % LINE == 0 {
                                V::expect::<AHEAD>(row.wrapping_add(group.len()));
                            }
                            let row = V::load(row);
                            for m in 0..M {
                                sums[m][n] = sums[m][n].add_product(row, by[m]);
                            }
                        }
                    }
                    for m in 0..M {
                        for n in 0..$N {
                            sums[m][n].store(outs[m].add(j + n * V::LANES));
                        }
                    }
                }
                j += $N * V::LANES;
            }
        };
    }
    if R == 16 && M == 1 {
        // As many as there are registers: one long stream.
        columns_by!(25);
    }
    if 8 * M <= R {
        columns_by!(8);
    }
    columns_by!(4);
    columns_by!(2);
    columns_by!(1);
    let rest = cols - j;
    if rest > 0 {
        // SAFETY: as above, for the first `rest` entries of a vector.
        unsafe {
            let mut sums = [V::splat(T::zero()); M];
            for m in 0..M {
                sums[m] = V::load_first(outs[m].add(j), rest);
            }
            #[expect(clippy::needless_range_loop, reason = "of several arrays")]
            for i in 0..rows {
                let row = V::load_first(group.as_ptr().add(i * cols + j), rest);
                for m in 0..M {
                    sums[m] = sums[m].add_product(row, V::splat(factors[m][i]));
                }
            }
            for m in 0..M {
                sums[m].store_first(outs[m].add(j), rest);
            }
        }
    }
}

dispatched! {
    /// Computes `out = left right`, a column times a row.
    pub(crate) fn outer<T: Number>(left: &[T], right: &[T], out: &mut [MaybeUninit<T>]) {
        for (&factor, out) in left.iter().zip(out.chunks_exact_mut(right.len().max(1))) {
            for (o, &v) in out.iter_mut().zip(right) {
                o.write(factor * v);
            }
        }
    }
}
