//! Products with few columns, by dot products of rows with columns.
//!
//! Vectors run along the inner index, so that a width that is not a multiple of a vector leaves no lanes idle. The
//! columns are packed into a panel, one per row, and `N` rows of the left factor are multiplied with `M` columns at a
//! time.

use std::array::from_fn;

use crate::array::kernels::number::{Number, Wide};
use crate::array::kernels::product::pack::{PANEL, View, transpose};
use crate::array::kernels::product::vector::dots;

/// Number of columns at a time.
const M: usize = 5;

/// Whether dot products save a fifth of the multiplications of tiles with vectors of `L` lanes, while adding up the
/// lanes of the result costs little in comparison.
pub(super) fn pay<const L: usize>([m, k, n]: [usize; 3]) -> bool {
    let fits = n.next_multiple_of(M) * L <= PANEL / 8;
    m >= 4 && k >= 16 * L && fits && 5 * n.next_multiple_of(M) <= 4 * n.next_multiple_of(L)
}

/// Computes `out = left right`, where the rows of `left` are contiguous and `out` is zero on entry.
#[inline(always)]
pub(super) fn multiply<const FMA: bool, T: Number, V: Wide<T>, const N: usize>(
    left: View<T>,
    right: View<T>,
    out: &mut [T],
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
                let sums = dots::<T, V, M, N>((&columns[j * stride..], stride), rows);
                for r in i - top..N {
                    let line = &mut out[(top + r) * n + j..(top + r + 1) * n];
                    for (o, &sum) in line.iter_mut().zip(&sums[r]) {
                        *o += sum;
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
