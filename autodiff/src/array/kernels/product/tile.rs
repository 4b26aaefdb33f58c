//! Products of matrices by tiles of the result that stay in registers.
//!
//! A tile is `R` rows by `V` vectors of `L` lanes. For each index of the inner dimension it takes `R` entries of the left
//! factor, from wherever they are, and `V` vectors of a row of the right factor: in place where that has them, from a
//! packed panel where it is transposed, where its width is no multiple of a vector, or where it is narrower than a
//! tile, so that the columns of several planes stand side by side. Every entry is summed up in the order of the inner
//! index, whatever the tiles and panels are, so its bits depend neither on them nor on the other planes.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::array::element::Element;
use crate::array::kernels::product::dots;
use crate::array::kernels::product::pack::{List, View, transpose, with_panel};
use crate::array::kernels::simd::{Simd, mul_add, simd};

/// Entries of a panel that are packed for a strip of tiles at most: most of the first level of cache in `f64`.
const STRIP: usize = 6144;
/// Rows of the left factor that meet all columns before the next do: with 256 of the inner index, half of the second
/// level of cache in `f64`.
const ROWS: usize = 256;
/// Up to this many multiplications a product is done by a plain loop, which has no start-up cost.
const TINY: usize = 128;
/// Vectors that a tile is wide at most.
const WIDEST: usize = 3;

/// `outs_i = lefts_i rights_i`, `m x k` by `k x n` each; where there is one left factor or one right one, it is that of all
/// planes. `outs` are zero on entry.
pub(crate) fn multiply<T: Element>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [T]],
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
        match simd() {
            // SAFETY: the path was chosen because the processor has these instructions.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { avx512(lefts, rights, outs, size, panel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { avx2(lefts, rights, outs, size, panel) },
            // Vectors of 16 bytes.
            _ if size_of::<T>() == 8 => tiles::<false, T, 2, 4>(lefts, rights, outs, size, panel),
            _ => tiles::<false, T, 4, 4>(lefts, rights, outs, size, panel),
        }
    });
}

/// The factor of a plane: its own, or that of all.
fn of_plane<'a, T: Element>(views: &[View<'a, T>], plane: usize) -> View<'a, T> {
    views[plane.min(views.len() - 1)]
}

fn plain<T: Element>(left: View<T>, right: View<T>, out: &mut [T], [_, k, n]: [usize; 3]) {
    for (i, out) in out.chunks_exact_mut(n.max(1)).enumerate() {
        for p in 0..k {
            let factor = left.data[i * left.row + p * left.col];
            for (j, o) in out.iter_mut().enumerate() {
                *o += factor * right.data[p * right.row + j * right.col];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Element>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [T]],
    size: [usize; 3],
    panel: &mut [MaybeUninit<T>],
) {
    if size_of::<T>() == 8 {
        tiles::<true, T, 4, 4>(lefts, rights, outs, size, panel);
    } else {
        tiles::<true, T, 8, 4>(lefts, rights, outs, size, panel);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
fn avx512<T: Element>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [T]],
    size: [usize; 3],
    panel: &mut [MaybeUninit<T>],
) {
    if size_of::<T>() == 8 {
        tiles::<true, T, 8, 8>(lefts, rights, outs, size, panel);
    } else {
        tiles::<true, T, 16, 8>(lefts, rights, outs, size, panel);
    }
}

/// The whole product, with vectors of `L` lanes and tiles of up to `R` rows.
#[inline(always)]
fn tiles<const FMA: bool, T: Element, const L: usize, const R: usize>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [T]],
    [m, k, n]: [usize; 3],
    panel: &mut [MaybeUninit<T>],
) {
    let (mut lefts, mut rights, mut sizes, mut strides) = (lefts, rights, [m, n], [n, 1]);
    let turned: [List<View<T>>; 2];
    // Few columns leave lanes of the last vector idle.
    if lefts[0].col == 1 && dots::pay::<L>([m, k, n]) {
        for (plane, out) in outs.iter_mut().enumerate() {
            let (left, right) = (of_plane(lefts, plane), of_plane(rights, plane));
            if R == 8 {
                dots::multiply::<FMA, T, L, 4>(left, right, out, [m, k, n], panel);
            } else {
                dots::multiply::<FMA, T, L, 2>(left, right, out, [m, k, n], panel);
            }
        }
        return;
    }
    if lefts[0].row == 1 && 5 * m.next_multiple_of(L) * n <= 4 * m * n.next_multiple_of(L) {
        // Rows of the left factor as it is stored become the vectors: `out' = right' left'`.
        turned = [rights, lefts].map(|views| views.iter().map(View::turned).collect());
        (lefts, rights, sizes, strides) = (&turned[0], &turned[1], [n, m], [1, n]);
    }
    let [m, n] = sizes;
    let width = n * rights.len();
    // Narrow planes are tiled together, wide ones each on its own.
    let group = if n < WIDEST * L { width } else { n };
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
                let rows = rows.clone();
                match vectors {
                    1 => strip::<FMA, T, L, R, 1>(lefts, rights, outs, columns, rows, k, panel),
                    2 => strip::<FMA, T, L, R, 2>(lefts, rights, outs, columns, rows, k, panel),
                    _ => strip::<FMA, T, L, R, 3>(lefts, rights, outs, columns, rows, k, panel),
                }
                from = to;
            }
        }
    }
}

/// Neighbouring columns of planes that stand side by side, `n` columns each.
#[derive(Clone, Copy, Debug)]
struct Columns {
    plane: usize,
    first: usize,
    len: usize,
    n: usize,
    /// Of the result: entry `i, j` is at `i * strides[0] + j * strides[1]`.
    strides: [usize; 2],
}

impl Columns {
    /// Whether they are of one plane.
    fn together(&self) -> bool {
        self.first + self.len <= self.n
    }

    /// Calls `f(plane, first, offset, len)` for the columns of each plane, `offset` counted from the first of all.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        let (mut plane, mut first, mut offset) = (self.plane, self.first, 0);
        while offset < self.len {
            let len = (self.n - first).min(self.len - offset);
            f(plane, first, offset, len);
            (plane, first, offset) = (plane + 1, 0, offset + len);
        }
    }
}

/// The columns of a tile, in all rows of `rows`.
#[inline(always)]
fn strip<const FMA: bool, T: Element, const L: usize, const R: usize, const V: usize>(
    lefts: &[View<T>],
    rights: &[View<T>],
    outs: &mut [&mut [T]],
    columns: Columns,
    rows: Range<usize>,
    k: usize,
    panel: &mut [MaybeUninit<T>],
) {
    let right = of_plane(rights, columns.plane);
    let in_place = right.col == 1 && columns.together() && columns.len == V * L;
    let depth = k.div_ceil(k.div_ceil(STRIP / (V * L)));
    for p in (0..k).step_by(depth) {
        let depth = depth.min(k - p);
        let (b, stride) = if in_place {
            (&right.data[p * right.row + columns.first..], right.row)
        } else {
            (pack::<FMA, T, L, V>(rights, columns, p..p + depth, panel), V * L)
        };
        for (plane, left) in lefts.iter().enumerate() {
            let columns = Columns { plane: columns.plane + plane, ..columns };
            let mut i = rows.start;
            macro_rules! rows_by {
                ($N:literal $(, $condition:expr)?) => {
                    while rows.end - i >= $N $(&& $condition(rows.end - i))? {
                        let mut c = [[[T::zero(); L]; V]; $N];
                        if p > 0 {
                            c = load(outs, columns, i);
                        }
                        let a = (&left.data[i * left.row + p * left.col..], left.row, left.col);
                        let c = accumulate::<FMA, T, L, V, { $N }>(a, b, stride, depth, c);
                        store(c, outs, columns, i);
                        i += $N;
                    }
                };
            }
            if R == 8 {
                // Ten rows in halves: two rows alone have too few sums to keep the adders busy.
                rows_by!(8, |left| left == 8 || left > 10);
                rows_by!(5);
            }
            rows_by!(4);
            rows_by!(2);
            rows_by!(1);
        }
    }
}

/// Copies rows `depth` of the columns into the panel, padded with zeros to `V` vectors.
#[inline(always)]
fn pack<'p, const FMA: bool, T: Element, const L: usize, const V: usize>(
    rights: &[View<T>],
    columns: Columns,
    depth: Range<usize>,
    panel: &'p mut [MaybeUninit<T>],
) -> &'p [T] {
    let used = &mut panel[..depth.len() * V * L];
    columns.each(|plane, first, offset, len| {
        let View { data, row, col } = rights[plane];
        if col == 1 {
            for (line, p) in used.chunks_exact_mut(V * L).zip(depth.clone()) {
                let from = p * row + first;
                copy(&data[from..from + len], &mut line[offset..offset + len], MaybeUninit::new);
            }
        } else {
            // Columns of the factor are rows in memory.
            let from = &data[depth.start * row + first * col..];
            transpose::<FMA, T>((from, col), (&mut used[offset..], V * L), [len, depth.len()]);
        }
    });
    if columns.len < V * L {
        for line in used.chunks_exact_mut(V * L) {
            line[columns.len..].fill(MaybeUninit::new(T::zero()));
        }
    }
    // SAFETY: `each` passes over the first `columns.len` entries of each line, the rest was filled.
    unsafe { &*(std::ptr::from_ref::<[MaybeUninit<T>]>(used) as *const [T]) }
}

/// `c += a b`, where `a` begins at the tile's first row and is given with its strides, and row `p` of `b` is
/// `b[p * stride..]`.
#[inline(always)]
pub(crate) fn accumulate<
    const FMA: bool,
    T: Element,
    const L: usize,
    const V: usize,
    const N: usize,
>(
    (a, row, col): (&[T], usize, usize),
    b: &[T],
    stride: usize,
    depth: usize,
    mut c: [[[T; L]; V]; N],
) -> [[[T; L]; V]; N] {
    assert!((N - 1) * row + (depth - 1) * col < a.len());
    assert!((depth - 1) * stride + V * L <= b.len());
    for p in 0..depth {
        // SAFETY: within `b` by the second assertion.
        let b: [[T; L]; V] = unsafe { b.as_ptr().add(p * stride).cast::<[[T; L]; V]>().read() };
        for (n, c) in c.iter_mut().enumerate() {
            // SAFETY: within `a` by the first assertion.
            let factor = unsafe { *a.get_unchecked(n * row + p * col) };
            for v in 0..V {
                for l in 0..L {
                    c[v][l] = mul_add::<FMA, T>(factor, b[v][l], c[v][l]);
                }
            }
        }
    }
    c
}

/// The tile whose first row is `i`.
#[inline(always)]
fn load<T: Element, const L: usize, const V: usize, const N: usize>(
    outs: &[&mut [T]],
    columns: Columns,
    i: usize,
) -> [[[T; L]; V]; N] {
    let mut c = [[[T::zero(); L]; V]; N];
    let [row, col] = columns.strides;
    columns.each(|plane, first, offset, len| {
        for (n, c) in c.iter_mut().enumerate() {
            let (at, c) = ((i + n) * row + first * col, &mut c.as_flattened_mut()[offset..]);
            if col == 1 {
                copy(&outs[plane][at..at + len], &mut c[..len], |v| v);
            } else {
                for (c, v) in c[..len].iter_mut().zip(outs[plane][at..].iter().step_by(col)) {
                    *c = *v;
                }
            }
        }
    });
    c
}

/// Writes the tile whose first row is `i`.
#[inline(always)]
fn store<T: Element, const L: usize, const V: usize, const N: usize>(
    c: [[[T; L]; V]; N],
    outs: &mut [&mut [T]],
    columns: Columns,
    i: usize,
) {
    let [row, col] = columns.strides;
    if col == 1 && columns.len == V * L && columns.together() {
        let out = &mut outs[columns.plane][i * row + columns.first..];
        for (n, c) in c.iter().enumerate() {
            let (line, _) = out[n * row..].as_chunks_mut::<L>();
            line[..V].copy_from_slice(c);
        }
        return;
    }
    columns.each(|plane, first, offset, len| {
        if col == 1 {
            for (n, c) in c.iter().enumerate() {
                let at = (i + n) * row + first;
                copy(
                    &c.as_flattened()[offset..offset + len],
                    &mut outs[plane][at..at + len],
                    |v| v,
                );
            }
        } else {
            let lines = outs[plane][first * col..].chunks_mut(col);
            for (l, line) in (offset..offset + len).zip(lines) {
                let line = &mut line[i * row..i * row + N];
                for (o, c) in line.iter_mut().zip(&c) {
                    *o = c.as_flattened()[l];
                }
            }
        }
    });
}

/// Copies a few entries, wrapped by `f`; a call of `memcpy` would cost more.
#[inline(always)]
fn copy<T: Copy, U>(from: &[T], to: &mut [U], f: impl Fn(T) -> U + Copy) {
    let (from, from_rest) = from.as_chunks::<8>();
    let (to, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in from.iter().zip(to) {
        *to = from.map(f);
    }
    let (from, from_rest) = from_rest.as_chunks::<2>();
    let (to, to_rest) = to_rest.as_chunks_mut::<2>();
    for (from, to) in from.iter().zip(to) {
        *to = from.map(f);
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = f(*from);
    }
}
