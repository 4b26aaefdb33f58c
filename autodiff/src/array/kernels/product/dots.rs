//! Products with few columns, by dot products of rows with columns.
//!
//! Vectors run along the inner index, so that a width that is not a multiple of a vector leaves no lanes idle. The
//! columns are packed into a panel, one per row, and `N` rows of the left factor are multiplied with `M` columns at a
//! time.

use crate::array::kernels::number::Number;
use crate::array::kernels::product::pack::{PANEL, View, transpose};
use crate::array::kernels::product::register::total;
use crate::array::kernels::simd::mul_add;

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
pub(super) fn multiply<const FMA: bool, T: Number, const L: usize, const N: usize>(
    left: View<T>,
    right: View<T>,
    out: &mut [T],
    [m, k, n]: [usize; 3],
    panel: &mut [T],
) {
    let most = PANEL / n.next_multiple_of(M) / L;
    let vectors = k.div_ceil(L);
    let depth = vectors.div_ceil(vectors.div_ceil(most)) * L;
    for p in (0..k).step_by(depth) {
        let len = depth.min(k - p);
        let columns = pack::<FMA, T, L>(right, p, [len, n], panel);
        let stride = len.next_multiple_of(L);
        for i in (0..m).step_by(N) {
            // The last rows may overlap those before them.
            let top = i.min(m - N);
            let rows: [&[T]; N] =
                std::array::from_fn(|r| &left.data[(top + r) * left.row + p..][..len]);
            for (j, columns) in (0..n).step_by(M).zip(columns.chunks_exact(M * stride)) {
                let sums = sums::<FMA, T, L, N>(rows, columns);
                for r in i - top..N {
                    let line = &mut out[(top + r) * n + j..(top + r + 1) * n];
                    for (o, sums) in line.iter_mut().zip(&sums) {
                        *o += sums[r];
                    }
                }
            }
        }
    }
}

/// Packs the rows from `p` on of `right`, `len x n`, as columns that are padded with zeros to whole vectors and to a
/// multiple of `M` columns.
#[inline(always)]
fn pack<'p, const FMA: bool, T: Number, const L: usize>(
    right: View<T>,
    p: usize,
    [len, n]: [usize; 2],
    panel: &'p mut [T],
) -> &'p [T] {
    let stride = len.next_multiple_of(L);
    let used = &mut panel[..n.next_multiple_of(M) * stride];
    if right.col == 1 {
        transpose::<FMA, T>((&right.data[p * right.row..], right.row), (used, stride), [len, n]);
    }
    for (j, column) in used.chunks_exact_mut(stride).enumerate() {
        if j >= n {
            column.fill(T::zero());
            continue;
        }
        if right.col > 1 {
            let from = &right.data[p + j * right.col..][..len];
            column[..len].copy_from_slice(from);
        }
        column[len..].fill(T::zero());
    }
    used
}

/// Returns the dot products of `M` columns with `N` rows.
#[inline(always)]
fn sums<const FMA: bool, T: Number, const L: usize, const N: usize>(
    rows: [&[T]; N],
    columns: &[T],
) -> [[T; N]; M] {
    let len = rows[0].len();
    let stride = len.next_multiple_of(L);
    assert!(columns.len() >= M * stride && rows.iter().all(|row| row.len() == len));
    let mut c = [[[T::zero(); L]; N]; M];
    let whole = len / L * L;
    for p in (0..whole).step_by(L) {
        let mut a = [[T::zero(); L]; N];
        for (a, row) in a.iter_mut().zip(&rows) {
            // SAFETY: `p + L` is at most the length of each row.
            *a = unsafe { row.as_ptr().add(p).cast::<[T; L]>().read() };
        }
        // SAFETY: `p + L` is at most `stride`, and `columns` is long enough by the assertion.
        unsafe { add::<FMA, T, L, N>(&mut c, &a, columns.as_ptr().add(p), stride) };
    }
    if whole < len {
        let mut a = [[T::zero(); L]; N];
        for (a, row) in a.iter_mut().zip(&rows) {
            a[..len - whole].copy_from_slice(&row[whole..]);
        }
        // SAFETY: as above, because `stride` is `len` rounded up.
        unsafe { add::<FMA, T, L, N>(&mut c, &a, columns.as_ptr().add(whole), stride) };
    }
    totals(c)
}

/// Adds the products of a vector of each row with one of each column; columns are `stride` entries apart. A function, as
/// a closure that is called twice may be compiled without the instructions of the path.
///
/// # Safety
/// `M` vectors that are `stride` entries apart, the first at `b`, must be valid for reads.
#[inline(always)]
unsafe fn add<const FMA: bool, T: Number, const L: usize, const N: usize>(
    c: &mut [[[T; L]; N]; M],
    a: &[[T; L]; N],
    b: *const T,
    stride: usize,
) {
    for (m, c) in c.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        let b = unsafe { b.add(m * stride).cast::<[T; L]>().read() };
        for (c, a) in c.iter_mut().zip(a) {
            for l in 0..L {
                c[l] = mul_add::<FMA, T>(a[l], b[l], c[l]);
            }
        }
    }
}

/// Returns the sums of the lanes. It is not inlined because, next to the loop that accumulates them, the compiler would
/// put sums instead of lanes into vectors, which is 90 times slower in `f32`. The argument is passed by value because a
/// reference would keep the lanes in memory.
#[inline(never)]
fn totals<T: Number, const L: usize, const N: usize>(c: [[[T; L]; N]; M]) -> [[T; N]; M] {
    let mut sums = [[T::zero(); N]; M];
    for (sums, c) in sums.iter_mut().zip(c) {
        for (sum, lanes) in sums.iter_mut().zip(c) {
            *sum = total(lanes);
        }
    }
    sums
}
