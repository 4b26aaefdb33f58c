//! Matrix products by tiles of the result that stay in registers.
//!
//! For each inner index, a tile reads entries of the left factor where they are, and vectors of a row of the right
//! factor. The vectors are read in place if the rows of the right factor are contiguous, and from a packed panel if it
//! is transposed, narrower than a vector, so narrow that columns of several planes are placed side by side, or if a
//! strip only then stays in the first level of cache (256 x 256 x 256 in `f64` with AVX2: 0.61 ms instead of 0.81).
//! Every entry is summed in the order of the inner index, whatever the tiles and panels are, so its bits depend neither
//! on them nor on the other planes.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::array::kernels::number::Number;
use crate::array::kernels::product::columns::{Columns, gather, pack, scatter};
use crate::array::kernels::product::dots;
use crate::array::kernels::product::pack::{List, View, of_plane, places, with_panel};
use crate::array::kernels::product::register::{LINE, tile};
use crate::array::kernels::simd::dispatched;

/// Greatest number of packed entries for a strip of tiles: most of the first level of cache in `f64`.
const STRIP: usize = 6144;
/// Bytes of a strip that stays in the first level of cache.
const FIRST_LEVEL: usize = 28 * 1024;
/// Number of rows of the left factor from which packing contiguous rows of the right one pays.
const REUSED: usize = 32;
/// Number of rows of the left factor that are multiplied with all columns before the next rows are: with 256 inner
/// indices, half of the second level of cache in `f64`.
const ROWS: usize = 256;
/// Bytes of a left factor that stays in the caches, and of the rows of a larger one that are read to their end, at least
/// `DEEP` of them (5000 x 784 transposed by 5000 x 10 in `f64`: 3.0 ms instead of 6.4, with AVX2 2.7 instead of 5.6).
const NEAR: usize = 1024 * 1024;
const BLOCK: usize = 64 * 1024;
const DEEP: usize = 8;
/// Number of multiplications up to which a product uses a plain loop, which has no start-up cost.
const TINY: usize = 128;
/// Bytes of rows of a left factor from which on the rows that follow are prefetched.
const LARGE: usize = 128 * 1024;
/// Greatest width of a tile, in vectors.
const WIDEST: usize = 3;

/// Computes `outs_i = lefts_i rights_i`, `m x k` by `k x n` each. If there is only one left or one right factor, all
/// planes share it. Every entry of `outs` is written.
pub(crate) fn multiply<T: Number>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [MaybeUninit<T>]],
    size: [usize; 3],
) {
    let [m, k, n] = size;
    if m * k * n <= TINY {
        for (plane, out) in outs.iter_mut().enumerate() {
            plain(of_plane(lefts, plane), of_plane(rights, plane), out, size);
        }
        return;
    }
    with_panel(|panel| {
        // With few columns, lanes of the last vector of a tile would be idle.
        if !dots::multiply(lefts, rights, outs, size, panel) {
            in_panel(lefts, rights, outs, size, panel);
        }
    });
}

fn plain<T: Number>(
    left: View<T>,
    right: View<T>,
    out: &mut [MaybeUninit<T>],
    [_, k, n]: [usize; 3],
) {
    for (i, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
        for (j, o) in out.iter_mut().enumerate() {
            let mut sum = T::zero();
            for p in 0..k {
                let factor = left.data[i * left.row + p * left.col];
                sum += factor * right.data[p * right.row + j * right.col];
            }
            o.write(sum);
        }
    }
}

dispatched! {
    fn in_panel<T: Number>(
        lefts: &[View<T>],
        rights: &[View<T>],
        outs: &mut [&mut [MaybeUninit<T>]],
        size: [usize; 3],
        panel: &mut [T],
    ) {
        let double = size_of::<T>() == 8;
        // By `BYTES` first, so that only the tiles of a path are compiled for it.
        match BYTES {
            64 if double => tiles::<FMA, T, 8, 8>(lefts, rights, outs, size, panel),
            64 => tiles::<FMA, T, 16, 8>(lefts, rights, outs, size, panel),
            32 if double => tiles::<FMA, T, 4, 4>(lefts, rights, outs, size, panel),
            32 => tiles::<FMA, T, 8, 4>(lefts, rights, outs, size, panel),
            _ if double => tiles::<FMA, T, 2, 4>(lefts, rights, outs, size, panel),
            _ => tiles::<FMA, T, 4, 4>(lefts, rights, outs, size, panel),
        }
    }
}

/// Computes the whole product, with vectors of `L` lanes and tiles of up to `R` rows.
#[inline(always)]
fn tiles<const FMA: bool, T: Number, const L: usize, const R: usize>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [MaybeUninit<T>]],
    [m, k, n]: [usize; 3],
    panel: &mut [T],
) {
    let (mut lefts, mut rights, mut sizes, mut strides) = (lefts, rights, [m, n], [n, 1]);
    let turned: [List<View<T>>; 2];
    // Of a left factor that exceeds the caches and is used once, a few rows as it is stored are read to their end before
    // the next are: tiles of all of them would go from page to page.
    let row = if lefts[0].row == 1 { lefts[0].col * size_of::<T>() } else { 0 };
    let far = n <= WIDEST * L && k * row > NEAR;
    let deep = if far { (BLOCK / row).max(DEEP) } else { k };
    let fewer = 5 * m.next_multiple_of(L) * n <= 4 * m * n.next_multiple_of(L);
    if lefts[0].row == 1 && fewer && !far {
        // The rows of the left factor as it is stored become the vectors: `out' = right' left'`.
        turned = [rights, lefts].map(|views| views.iter().map(View::turned).collect());
        (lefts, rights, sizes, strides) = (&turned[0], &turned[1], [n, m], [1, n]);
    }
    let [m, n] = sizes;
    let width = n * rights.len();
    // Narrow planes are tiled together, wide ones separately.
    let group = if n < WIDEST * L { width } else { n };
    for inner in (0..k).step_by(deep).map(|p| p..k.min(p + deep)) {
        for top in (0..m).step_by(ROWS) {
            let rows = top..m.min(top + ROWS);
            for start in (0..width).step_by(group) {
                let (mut from, end) = (start, start + group);
                while from < end {
                    // As few tiles as possible, as equal as possible.
                    let vectors = (end - from).div_ceil(L);
                    let vectors = vectors.div_ceil(vectors.div_ceil(WIDEST));
                    let to = end.min(from + vectors * L);
                    let (plane, first, len) = (from / n, from % n, to - from);
                    let columns = Columns { plane, first, len, n, strides };
                    let at = [rows.clone(), inner.clone()];
                    strip::<FMA, T, L, R>(lefts, rights, outs, columns, vectors, at, panel);
                    from = to;
                }
            }
        }
    }
}

/// Computes the columns of a tile in all rows of `rows`, over the inner indices `inner`.
#[inline(always)]
fn strip<const FMA: bool, T: Number, const L: usize, const R: usize>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [MaybeUninit<T>]],
    columns: Columns,
    vectors: usize,
    [rows, inner]: [Range<usize>; 2],
    panel: &mut [T],
) {
    let k = inner.len();
    let right = of_plane(rights, columns.plane);
    // Number of entries of a row of the panel, and of the buffer for a tile that cannot be written in place.
    let width = columns.len.max(L);
    let whole = columns.len >= L && columns.together();
    let (contiguous, direct) = (whole && right.col == 1, whole && columns.strides[1] == 1);
    let depth = k.div_ceil(k.div_ceil(STRIP / width));
    // In place, the part of each row of the right factor takes one more line of cache.
    let fits = |more: usize| depth * (columns.len * size_of::<T>() + more) <= FIRST_LEVEL;
    let packed = rows.len() >= REUSED && fits(0) && !fits(LINE);
    let in_place = contiguous && !packed;
    let (panel, place) = panel.split_at_mut(STRIP);
    // SAFETY: tiles are numbers, and places of `outs` are copied only to be added to, after they were written.
    let place = unsafe { places(place) };
    for p in inner.clone().step_by(depth) {
        let (depth, add) = (depth.min(inner.end - p), p > 0);
        let (b, stride) = if in_place {
            (&right.data[p * right.row + columns.first..], right.row)
        } else {
            (pack::<FMA, T, L>(rights, columns, p..p + depth, panel), width)
        };
        for (plane, left) in lefts.iter().enumerate() {
            let columns = Columns { plane: columns.plane + plane, ..columns };
            let mut i = rows.start;
            while i < rows.end {
                let height = match rows.end - i {
                    8 | 11.. if R == 8 => 8,
                    // Ten rows in halves: two rows alone have too few sums to keep the adders busy.
                    5.. if R == 8 => 5,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let a = (&left.data[i * left.row + p * left.col..], left.row, left.col);
                let b = (b, stride, width - L);
                let size = [height, vectors, depth];
                // Whether or not the left factor is in the second level of cache already.
                let large = left.col == 1 && rows.len() * left.row * size_of::<T>() > LARGE;
                let ahead = if large { height * left.row } else { 0 };
                if direct {
                    let [row, _] = columns.strides;
                    let out = &mut outs[columns.plane][i * row + columns.first..];
                    tile::<FMA, T, L, R>(size, a, b, (out, row), add, ahead);
                } else {
                    if add {
                        gather(outs, columns, i, (place, width), height);
                    }
                    tile::<FMA, T, L, R>(size, a, b, (place, width), add, ahead);
                    scatter::<FMA, T>((place, width), outs, columns, i, height);
                }
                i += height;
            }
        }
    }
}
