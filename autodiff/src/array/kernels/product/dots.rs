//! Products with few columns, by dot products of rows with columns.
//!
//! Vectors run along the inner index, so that a width that is not a multiple of a vector leaves no lanes idle. The
//! columns are packed into a panel, one per row, and `N` rows of the left factor are multiplied with `M` columns at a
//! time.

use std::array::from_fn;
use std::mem::MaybeUninit;

use crate::array::kernels::number::{Number, Wide};
use crate::array::kernels::product::pack::{PANEL, View, of_plane, transpose};
use crate::array::kernels::product::vector::dots;
use crate::array::kernels::simd::dispatched;

/// Number of columns at a time.
const M: usize = 5;
/// The level of cache into which the rows that follow are prefetched.
const AHEAD: u8 = 2;

dispatched! {
    /// Computes `outs_i = lefts_i rights_i` if that pays, and returns whether it does.
    pub(super) fn multiply<T: Number>(
        lefts: &[View<T>],
        rights: &[View<T>],
        outs: &mut [&mut [MaybeUninit<T>]],
        size: [usize; 3],
        panel: &mut [T],
    ) -> bool {
        match BYTES {
            64 => planes::<FMA, T, T::Avx512, 4>(lefts, rights, outs, size, panel),
            32 => planes::<FMA, T, T::Avx2, 2>(lefts, rights, outs, size, panel),
            _ => planes::<FMA, T, T::Portable, 2>(lefts, rights, outs, size, panel),
        }
    }
}

#[inline(always)]
fn planes<const FMA: bool, T: Number, V: Wide<T>, const N: usize>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [MaybeUninit<T>]],
    size: [usize; 3],
    panel: &mut [T],
) -> bool {
    let pays = lefts[0].col == 1 && pay(V::LANES, size);
    if pays {
        for (plane, out) in outs.iter_mut().enumerate() {
            let (left, right) = (of_plane(lefts, plane), of_plane(rights, plane));
            plane_by_dots::<FMA, T, V, N>(left, right, out, size, panel);
        }
    }
    pays
}

/// Whether dot products save a fifth of the multiplications of tiles with vectors of so many lanes, while adding up the
/// lanes of the result costs little in comparison.
fn pay(lanes: usize, [m, k, n]: [usize; 3]) -> bool {
    let fits = n.next_multiple_of(M) * lanes <= PANEL / 8;
    m >= 4 && k >= 16 * lanes && fits && 5 * n.next_multiple_of(M) <= 4 * n.next_multiple_of(lanes)
}

/// Computes `out = left right`, where the rows of `left` are contiguous.
#[inline(always)]
fn plane_by_dots<const FMA: bool, T: Number, V: Wide<T>, const N: usize>(
    left: View<T>,
    right: View<T>,
    out: &mut [MaybeUninit<T>],
    [m, k, n]: [usize; 3],
    panel: &mut [T],
) {
    let most = PANEL / n.next_multiple_of(M) / V::LANES;
    let vectors = k.div_ceil(V::LANES);
    let depth = vectors.div_ceil(vectors.div_ceil(most)) * V::LANES;
    for p in (0..k).step_by(depth) {
        let len = depth.min(k - p);
        let stride = len.next_multiple_of(V::LANES);
        let columns = pack::<FMA, T>(right, p, [len, n], stride, panel);
        for i in (0..m).step_by(N) {
            // The last rows may overlap those before them.
            let top = i.min(m - N);
            let rows = from_fn(|r| &left.data[(top + r) * left.row + p..][..len]);
            for j in (0..n).step_by(M) {
                let columns = (&columns[j * stride..], stride);
                let sums = dots::<T, V, M, N, AHEAD>(columns, rows, N * left.row);
                for r in i - top..N {
                    let line = &mut out[(top + r) * n + j..(top + r + 1) * n];
                    for (o, &sum) in line.iter_mut().zip(&sums[r]) {
                        // SAFETY: the first inner indices wrote it.
                        let before = if p == 0 { T::zero() } else { unsafe { o.assume_init() } };
                        o.write(before + sum);
                    }
                }
            }
        }
    }
}

/// Packs the rows from `p` on of `right`, `len x n`, as columns that begin `stride` entries apart, and zeros as further
/// columns up to a multiple of `M`.
#[inline(always)]
fn pack<'p, const FMA: bool, T: Number>(
    right: View<T>,
    p: usize,
    [len, n]: [usize; 2],
    stride: usize,
    panel: &'p mut [T],
) -> &'p [T] {
    let (used, padding) = panel[..n.next_multiple_of(M) * stride].split_at_mut(n * stride);
    if right.col == 1 {
        transpose::<FMA, T>((&right.data[p * right.row..], right.row), (used, stride), [len, n]);
    } else {
        for (j, column) in used.chunks_exact_mut(stride).enumerate() {
            column[..len].copy_from_slice(&right.data[p + j * right.col..][..len]);
        }
    }
    padding.fill(T::zero());
    panel
}
