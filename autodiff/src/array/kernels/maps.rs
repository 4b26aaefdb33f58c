//! Loops over the entries of arrays: functions of one and of two arrays with broadcasting, and steps of the chain rule.
//!
//! Each result is written once, into fresh memory.

use std::hint::select_unpredictable;
use std::mem::MaybeUninit;

use crate::arena::{self, Arena};
use crate::array::kernels::elementwise::{Binary, with_pair};
use crate::array::kernels::number::Number;
use crate::array::kernels::simd::dispatched;
use crate::array::kernels::slopes::{chain, chain_tangent};
use crate::functions::rule::{Rule, Unary, with_rule};
use crate::shape::Shape;

/// Allocates `len` entries, every one of which `write` fills.
///
/// # Safety
/// `write` must fill every entry.
#[inline(always)]
unsafe fn filled<T>(
    arena: &Arena,
    len: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Option<&[T]> {
    let space = arena.uninit(len).ok()?;
    write(space);
    // SAFETY: every entry was written, as promised by the caller.
    Some(unsafe { arena::filled(space) })
}

/// Computes `f(x)` of each entry.
pub(crate) fn unary<'a, T: Number>(arena: &'a Arena, f: Unary, x: &[T]) -> Option<&'a [T]> {
    // SAFETY: one entry is written for each of `x`, which has `x.len()` entries.
    unsafe { filled(arena, x.len(), |out| write_unary(f, x, out)) }
}

dispatched! {
    fn write_unary<T: Number>(f: Unary, x: &[T], out: &mut [MaybeUninit<T>]) {
        with_rule!(f, |f| {
            for (out, &x) in out.iter_mut().zip(x) {
                out.write(f.at::<FMA, T>(x));
            }
        });
    }
}

/// Number of entries of a function with a tail that are checked, and computed, together.
const GROUP: usize = 16;

/// Number of entries of which it is asked first whether any is in the tail.
const BLOCK: usize = 8 * GROUP;

/// Number of entries between two visits to their tail, which find them in the first level of cache.
const STRETCH: usize = 1024;

/// Places of entries in the tail of a function, collected until there are enough for a loop over vectors.
struct Places {
    at: [usize; 2 * GROUP],
    count: usize,
}

impl Places {
    /// Adds the places `first..` of those of a group of `values` that are `wanted`.
    #[inline(always)]
    fn add<T: Copy>(&mut self, first: usize, values: &[T], wanted: impl Fn(T) -> bool) {
        let bit = |(i, &value)| u32::from(wanted(value)) << i;
        let mut found = match values.first_chunk::<GROUP>() {
            Some(all) => all.iter().enumerate().map(bit).fold(0, |found, bit| found | bit),
            None => values.iter().enumerate().map(bit).fold(0, |found, bit| found | bit),
        };
        while found != 0 {
            self.at[self.count % (2 * GROUP)] = first + found.trailing_zeros() as usize;
            self.count += 1;
            found &= found - 1;
        }
    }

    /// Removes a whole group of places, or what there is at the `end`: the places, and how many there are.
    #[inline(always)]
    fn take(&mut self, end: bool) -> Option<([usize; GROUP], usize)> {
        if self.count < GROUP && (!end || self.count == 0) {
            return None;
        }
        let taken = self.count.min(GROUP);
        // What fills up a group is computed for nothing, and must be places of entries, too.
        let mut group = [self.at[0]; GROUP];
        group[..taken].copy_from_slice(&self.at[..taken]);
        self.at.copy_within(GROUP.., 0);
        self.count -= taken;
        Some((group, taken))
    }
}

/// Writes `$entry` for the entries of all `$of`, where `$TAIL` says whether the slope in the tail of `$f: F` is needed:
/// first all entries as if none of them were in the tail, then again those that are. The result for an entry depends on
/// that entry alone.
macro_rules! each_entry {
    ($f:ident, $y:ident, $out:ident, |$TAIL:ident, $($of:ident),*| $entry:expr) => {{
        let size = if F::TAILED { STRETCH } else { $out.len().max(1) };
        for (first, out) in (0..).step_by(size).zip($out.chunks_mut(size)) {
            let stretch = first..first + out.len();
            $(let $of = &$of[stretch.clone()];)*
            for i in 0..out.len() {
                const $TAIL: bool = false;
                $(let $of = $of[i];)*
                out[i].write($entry);
            }
            if !F::TAILED {
                continue;
            }
            let mut places = Places { at: [0; 2 * GROUP], count: 0 };
            for (start, block) in (0..).step_by(BLOCK).zip($y.chunks(BLOCK)) {
                let last = start + block.len() == out.len();
                let none = !block.iter().fold(false, |any, &y| any | $f.in_tail(y));
                // The last block is not skipped if there are places from blocks before it.
                if none && !(last && places.count > 0) {
                    continue;
                }
                for (first, group) in (start..).step_by(GROUP).zip(block.chunks(GROUP)) {
                    places.add(first, group, |y| $f.in_tail(y));
                    while let Some((at, taken)) = places.take(first + group.len() == out.len()) {
                        const $TAIL: bool = true;
                        // Copied to arrays of constant size, so that the loop, which is long, is vectorised.
                        $(let $of = at.map(|i| $of[i]);)*
                        let mut all = [T::zero(); GROUP];
                        for i in 0..GROUP {
                            $(let $of = $of[i];)*
                            all[i] = $entry;
                        }
                        for (&i, entry) in at[..taken].iter().zip(all) {
                            out[i].write(entry);
                        }
                    }
                }
            }
        }
    }};
}

/// Computes `f'(x) c` of each entry, where `y = f(x)`. All slices have the same length.
pub(crate) fn chained<'a, T: Number>(
    arena: &'a Arena,
    f: Unary,
    x: &[T],
    y: &[T],
    c: &[T],
) -> Option<&'a [T]> {
    let len = c.len();
    let (x, y) = (&x[..len], &y[..len]);
    // SAFETY: the slices have the same length, and one entry is written for each of theirs.
    unsafe { filled(arena, len, |out| with_rule!(f, |f| write_chained(f, x, y, c, out))) }
}

dispatched! {
    fn write_chained<T: Number, F: Rule>(
        f: F,
        x: &[T],
        y: &[T],
        c: &[T],
        out: &mut [MaybeUninit<T>],
    ) {
        each_entry!(f, y, out, |TAIL, x, y, c| chain::<FMA, TAIL, T>(f, x, y, c));
    }
}

/// Computes `f''(x) dx c` of each entry, where `y = f(x)`, and adds `f'(x) dc` if there is a `dc`. All slices have the
/// same length.
pub(crate) fn chained_tangent<'a, T: Number>(
    arena: &'a Arena,
    f: Unary,
    x: &[T],
    y: &[T],
    dx: &[T],
    c: &[T],
    dc: Option<&[T]>,
) -> Option<&'a [T]> {
    let len = c.len();
    let (x, y, dx) = (&x[..len], &y[..len], &dx[..len]);
    let dc = dc.map(|dc| &dc[..len]);
    // SAFETY: the slices have the same length, and one entry is written for each of theirs.
    unsafe {
        filled(arena, len, |out| {
            with_rule!(f, |f| write_chained_tangent(f, [x, y, dx, c], dc, out));
        })
    }
}

dispatched! {
    fn write_chained_tangent<T: Number, F: Rule>(
        f: F,
        of: [&[T]; 4],
        dc: Option<&[T]>,
        out: &mut [MaybeUninit<T>],
    ) {
        let [x, y, dx, c] = of;
        match dc {
            None => {
                each_entry!(f, y, out, |TAIL, x, y, dx, c| chain_tangent::<FMA, TAIL, T>(f, x, y, dx, c));
            }
            Some(dc) => each_entry!(f, y, out, |TAIL, x, y, dx, c, dc| {
                let curved = chain_tangent::<FMA, TAIL, T>(f, x, y, dx, c);
                chain::<FMA, TAIL, T>(f, x, y, dc) + curved
            }),
        }
    }
}

/// Returns the entries of `a` where those of `mask` are not 0, and those of `b` where they are. All slices have the same
/// length.
pub(crate) fn chosen<'a, T: Number>(
    arena: &'a Arena,
    mask: &[T],
    a: &[T],
    b: &[T],
) -> Option<&'a [T]> {
    let len = mask.len();
    let (a, b) = (&a[..len], &b[..len]);
    // SAFETY: the slices have the same length, and one entry is written for each of theirs.
    unsafe { filled(arena, len, |out| write_chosen(mask, a, b, out)) }
}

dispatched! {
    fn write_chosen<T: Number>(mask: &[T], a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
        for (out, ((mask, &a), &b)) in out.iter_mut().zip(mask.iter().zip(a).zip(b)) {
            out.write(select_unpredictable(mask.is_zero(), b, a));
        }
    }
}

/// An operand and how it broadcasts to the shape of the result.
#[derive(Clone, Copy)]
struct Spread<'b, T> {
    data: &'b [T],
    /// Distance from one row to the next; 0 if all rows are the same.
    step: usize,
    /// Whether all entries of a row are the same.
    flat: bool,
}

impl<'b, T: Copy> Spread<'b, T> {
    fn new(data: &'b [T], from: Shape) -> Self {
        let step = if from.rows == 1 { 0 } else { from.cols as usize };
        Self { data, step, flat: from.cols == 1 }
    }

    #[inline(always)]
    fn row(self, i: usize, len: usize) -> &'b [T] {
        &self.data[i * self.step..][..if self.flat { 1 } else { len }]
    }
}

/// Repeats an array with one row, one column or both.
pub(crate) fn broadcast<'a, T: Number>(
    arena: &'a Arena,
    x: &[T],
    from: Shape,
    to: Shape,
) -> Option<&'a [T]> {
    let x = Spread::new(x, from);
    let cols = (to.cols as usize).max(1);
    let write = |out: &mut [MaybeUninit<T>]| {
        for (i, out) in out.chunks_exact_mut(cols).enumerate() {
            match x.row(i, cols) {
                &[x] => out.fill(MaybeUninit::new(x)),
                row => out.iter_mut().zip(row).for_each(|(out, &x)| _ = out.write(x)),
            }
        }
    };
    // SAFETY: every row of `to` is written, each either as often as the entry or from a row of as many.
    unsafe { filled(arena, to.len(), write) }
}

/// Most entries of a short row that is repeated.
const TILE: usize = 128;

/// Computes `f(a, b)` of each pair of entries, both broadcast to `shape`.
pub(crate) fn binary<'a, T: Number>(
    arena: &'a Arena,
    f: Binary,
    (a, a_shape): (&[T], Shape),
    (b, b_shape): (&[T], Shape),
    shape: Shape,
) -> Option<&'a [T]> {
    if shape == Shape::SCALAR {
        // SAFETY: the single entry is written.
        return unsafe { filled(arena, 1, |out| out.fill(MaybeUninit::new(f.at(a[0], b[0])))) };
    }
    // If both operands are whole or a single entry, the result is one long row.
    let whole = |from: Shape| from == shape || from == Shape::SCALAR;
    if whole(a_shape) && whole(b_shape) {
        let (a, b) = (&a[..a_shape.len()], &b[..b_shape.len()]);
        // SAFETY: an entry is written for each of an operand that is whole; both are single only if the result is.
        return unsafe { filled(arena, shape.len(), |out| write_pairs(f, a, b, out)) };
    }
    binary_rows(arena, f, (a, a_shape), (b, b_shape), shape)
}

/// Computes [`binary`] row by row.
#[inline(never)]
fn binary_rows<'a, T: Number>(
    arena: &'a Arena,
    f: Binary,
    (a, a_shape): (&[T], Shape),
    (b, b_shape): (&[T], Shape),
    shape: Shape,
) -> Option<&'a [T]> {
    let (mut a, mut b) = (Spread::new(a, a_shape), Spread::new(b, b_shape));
    let mut cols = shape.cols as usize;
    let times = TILE.checked_div(cols).unwrap_or(0).min(shape.rows as usize / 4);
    let shared = |x: Spread<T>| x.step == 0 && !x.flat;
    let (row, whole) = if shared(a) { (&mut a, &mut b) } else { (&mut b, &mut a) };
    let mut tile;
    if times > 1 && shared(*row) && !whole.flat {
        // A short row that all rows share is repeated, so that several rows are computed as a long one.
        tile = [T::zero(); TILE];
        tile.chunks_exact_mut(cols).take(times).for_each(|part| part.copy_from_slice(row.data));
        row.data = &tile;
        cols *= times;
        whole.step = cols;
    }
    // SAFETY: every row is filled, and the rows make up all of `shape`.
    unsafe {
        filled(arena, shape.len(), |out| {
            if !out.is_empty() {
                write_binary(f, a, b, cols, out);
            }
        })
    }
}

dispatched! {
    /// Fills each row of `cols` entries of `out`, the last of which may be shorter.
    fn write_binary<T: Number>(
        f: Binary,
        a: Spread<T>,
        b: Spread<T>,
        cols: usize,
        out: &mut [MaybeUninit<T>],
    ) {
        with_pair!(f, |f| {
            let done = match cols {
                2..=8 => write_short::<8, T>(f, [a, b], cols, out),
                9..=16 => write_short::<16, T>(f, [a, b], cols, out),
                _ => 0,
            };
            for (i, out) in out.chunks_mut(cols).enumerate().skip(done) {
                write_row(f, a.row(i, out.len()), b.row(i, out.len()), out);
            }
        });
    }
}

dispatched! {
    /// Computes `f` of each pair of entries, where an operand of one entry is repeated.
    fn write_pairs<T: Number>(f: Binary, a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
        with_pair!(f, |f| write_row(f, a, b, out));
    }
}

/// Fills as many rows as it can by loops of constant length and returns their number. What a loop writes beyond its row
/// is overwritten by the next.
#[inline(always)]
fn write_short<const WIDTH: usize, T: Number>(
    f: impl Fn(T, T) -> T,
    of: [Spread<T>; 2],
    cols: usize,
    out: &mut [MaybeUninit<T>],
) -> usize {
    let mut padded = [[T::zero(); WIDTH]; 2];
    let mut rows = (out.len() + cols).saturating_sub(WIDTH) / cols;
    for (x, padded) in of.iter().zip(&mut padded) {
        match x.step {
            _ if x.flat => {}
            0 => padded[..cols].copy_from_slice(&x.data[..cols]),
            step => rows = rows.min((x.data.len() + step).saturating_sub(WIDTH) / step),
        }
    }
    let row = |k: usize, i: usize| match of[k] {
        Spread { data, step, flat: true } => [data[i * step]; WIDTH],
        Spread { step: 0, .. } => padded[k],
        Spread { data, step, .. } => std::array::from_fn(|j| data[i * step..][..WIDTH][j]),
    };
    for i in 0..rows {
        let (a, b) = (row(0, i), row(1, i));
        let out: &mut [_; WIDTH] = (&mut out[i * cols..][..WIDTH]).try_into().unwrap();
        for j in 0..WIDTH {
            out[j].write(f(a[j], b[j]));
        }
    }
    rows
}

#[inline(always)]
fn write_row<T: Number>(f: impl Fn(T, T) -> T, a: &[T], b: &[T], out: &mut [MaybeUninit<T>]) {
    match (a, b) {
        (&[a], &[b]) => out.fill(MaybeUninit::new(f(a, b))),
        (&[a], b) => {
            for (out, &b) in out.iter_mut().zip(b) {
                out.write(f(a, b));
            }
        }
        (a, &[b]) => {
            for (out, &a) in out.iter_mut().zip(a) {
                out.write(f(a, b));
            }
        }
        (a, b) => {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                out.write(f(a, b));
            }
        }
    }
}
