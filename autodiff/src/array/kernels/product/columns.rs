//! Columns of one plane or of several planes side by side, packed for tiles; and tiles written back to their places.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::array::kernels::number::Number;
use crate::array::kernels::product::pack::{View, transpose};

/// Neighbouring columns of planes that are side by side, with `n` columns each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) plane: usize,
    pub(crate) first: usize,
    pub(crate) len: usize,
    pub(crate) n: usize,
    /// Strides of the result: entry `i, j` is at `i * strides[0] + j * strides[1]`.
    pub(crate) strides: [usize; 2],
}

impl Columns {
    /// Whether all columns belong to one plane.
    pub(crate) fn together(&self) -> bool {
        self.first + self.len <= self.n
    }

    /// Returns `[plane, first, offset, len]` for the columns of each plane, where `offset` counts from the first column
    /// of all.
    #[inline(always)]
    pub(crate) fn pieces(self) -> impl Iterator<Item = [usize; 4]> {
        let (mut plane, mut first, mut offset) = (self.plane, self.first, 0);
        std::iter::from_fn(move || {
            let len = (self.n - first).min(self.len - offset);
            let piece = [plane, first, offset, len];
            (plane, first, offset) = (plane + 1, 0, offset + len);
            (len > 0).then_some(piece)
        })
    }
}

/// Copies the rows `depth` of the columns into the panel. Rows are padded with zeros to a whole vector.
#[inline(always)]
pub(crate) fn pack<'p, const FMA: bool, T: Number, const L: usize>(
    rights: &[View<T>],
    columns: Columns,
    depth: Range<usize>,
    panel: &'p mut [T],
) -> &'p [T] {
    let width = columns.len.max(L);
    let used = &mut panel[..depth.len() * width];
    if columns.len < L {
        used.fill(T::zero());
    }
    for [plane, first, offset, len] in columns.pieces() {
        let View { data, row, col } = rights[plane];
        if col == 1 {
            for (line, p) in used.chunks_exact_mut(width).zip(depth.clone()) {
                copy(&data[p * row + first..][..len], &mut line[offset..][..len]);
            }
        } else {
            // Columns of the factor are rows in memory.
            let from = &data[depth.start * row + first * col..];
            transpose::<FMA, T>((from, col), (&mut used[offset..], width), [len, depth.len()]);
        }
    }
    used
}

/// Reads the rows of a tile, from row `i` on, into `place`.
pub(crate) fn gather<T: Number>(
    outs: &[&mut [MaybeUninit<T>]],
    columns: Columns,
    i: usize,
    (place, width): (&mut [MaybeUninit<T>], usize),
    height: usize,
) {
    let [row, col] = columns.strides;
    for [plane, first, offset, len] in columns.pieces() {
        for (n, line) in place.chunks_exact_mut(width).take(height).enumerate() {
            let from = outs[plane][(i + n) * row + first * col..].iter().step_by(col);
            for (to, &v) in line[offset..offset + len].iter_mut().zip(from) {
                *to = v;
            }
        }
    }
}

/// Writes the rows of a tile back, from row `i` on.
#[inline(always)]
pub(crate) fn scatter<const FMA: bool, T: Number>(
    (place, width): (&[MaybeUninit<T>], usize),
    outs: &mut [&mut [MaybeUninit<T>]],
    columns: Columns,
    i: usize,
    height: usize,
) {
    let [row, col] = columns.strides;
    for [plane, first, offset, len] in columns.pieces() {
        let out = &mut outs[plane][i * row + first * col..];
        if col == 1 {
            for (line, out) in place.chunks_exact(width).take(height).zip(out.chunks_mut(row)) {
                copy(&line[offset..][..len], &mut out[..len]);
            }
        } else {
            transpose::<FMA, MaybeUninit<T>>((&place[offset..], width), (out, col), [height, len]);
        }
    }
}

/// Copies a few entries. A call of `memcpy` would cost more.
#[inline(always)]
fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    let (from, from_rest) = from.as_chunks::<8>();
    let (to, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in from.iter().zip(to) {
        *to = *from;
    }
    let (from, from_rest) = from_rest.as_chunks::<2>();
    let (to, to_rest) = to_rest.as_chunks_mut::<2>();
    for (from, to) in from.iter().zip(to) {
        *to = *from;
    }
    for (from, to) in from_rest.iter().zip(to_rest) {
        *to = *from;
    }
}
