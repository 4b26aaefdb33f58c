//! Largest, smallest and multiplied entries along an axis, by joining halves: the order in which the derivatives of a
//! product take its entries, so that values agree with them bit for bit.

use crate::array::kernels::elementwise::Binary;
use crate::array::kernels::number::Number;
use crate::array::kernels::simd::dispatched;
use crate::shape::{Axis, Shape};

/// Number of entries of the memory in which [`folded`] joins the halves of several columns, unless a single column has
/// more.
const SCRATCH: usize = 4096;

/// Returns the number of columns that [`folded`] reduces together.
fn width(rows: usize, cols: usize) -> usize {
    (SCRATCH / rows.div_ceil(2).max(1)).clamp(1, cols.max(1))
}

/// Returns the number of entries that [`folded`] needs as memory.
pub(crate) fn scratch(shape: Shape, axis: Axis) -> usize {
    let (rows, cols) = (shape.rows as usize, shape.cols as usize);
    match axis {
        Axis::Rows => 2 * rows.div_ceil(2) * width(rows, cols),
        Axis::Columns => 2 * cols.div_ceil(2),
    }
}

/// Joins `n` blocks of `out.len()` entries, which begin `step` entries apart: the first half with the second, until one
/// is left.
#[inline(always)]
fn halved<T: Number>(
    join: impl Fn(T, T) -> T,
    x: &[T],
    (mut n, step): (usize, usize),
    scratch: &mut [T],
    out: &mut [T],
) {
    let width = out.len();
    let mut half = n / 2;
    let (mut from, mut to) = scratch.split_at_mut(n.div_ceil(2) * width);
    // Blocks that follow each other are a single one.
    let (count, len) = if step == width { (1, half * width) } else { (half, width) };
    for i in 0..count {
        let (a, b) = (&x[i * step..][..len], &x[(half + i) * step..][..len]);
        for ((to, &a), &b) in from[i * width..][..len].iter_mut().zip(a).zip(b) {
            *to = join(a, b);
        }
    }
    if !n.is_multiple_of(2) {
        from[half * width..][..width].copy_from_slice(&x[(n - 1) * step..][..width]);
    }
    n = n.div_ceil(2);
    while n > 1 {
        half = n / 2;
        // Not in place, where a choice would be stored entry by entry.
        let (first, second) = from[..2 * half * width].split_at(half * width);
        for ((to, &a), &b) in to.iter_mut().zip(first).zip(second) {
            *to = join(a, b);
        }
        if !n.is_multiple_of(2) {
            to[half * width..][..width].copy_from_slice(&from[(n - 1) * width..][..width]);
        }
        std::mem::swap(&mut from, &mut to);
        n = n.div_ceil(2);
    }
    out.copy_from_slice(&from[..width]);
}

#[inline(always)]
fn folded_by<T: Number>(
    join: impl Fn(T, T) -> T,
    x: &[T],
    (shape, axis): (Shape, Axis),
    scratch: &mut [T],
    out: &mut [T],
) {
    let (rows, cols) = (shape.rows as usize, shape.cols as usize);
    match axis {
        Axis::Rows => {
            let width = width(rows, cols);
            for (first, out) in (0..).step_by(width).zip(out.chunks_mut(width)) {
                halved(&join, &x[first..], (rows, cols), scratch, out);
            }
        }
        Axis::Columns => {
            for (row, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(1)) {
                halved(&join, row, (cols, 1), scratch, out);
            }
        }
    }
}

dispatched! {
    /// Joins all entries along an axis by `f`, which is `Max`, `Min` or `Mul`, with [`scratch`] entries of memory.
    pub(crate) fn folded<T: Number>(
        f: Binary,
        x: &[T],
        at: (Shape, Axis),
        scratch: &mut [T],
        out: &mut [T],
    ) {
        match f {
            Binary::Max => folded_by(|a, b| Binary::Max.at(a, b), x, at, scratch, out),
            Binary::Min => folded_by(|a, b| Binary::Min.at(a, b), x, at, scratch, out),
            _ => folded_by(|a, b| Binary::Mul.at(a, b), x, at, scratch, out),
        }
    }
}
