//! Tiles of a product that stay in registers: `N` rows of `V` vectors with `L` lanes.
//!
//! The last vector of a row of a tile may overlap the one before it, so that a width that is not a multiple of a vector
//! needs neither padding nor masks. Entries that are computed twice are equal bit by bit.

use std::mem::MaybeUninit;

use crate::array::kernels::number::{Number, Wide as _};
use crate::array::kernels::simd::mul_add;

/// Bytes of a line of cache.
pub(crate) const LINE: usize = 64;

/// A factor, or a part of one that begins at the first entry: the entries, the stride from row to row, and, for the
/// left factor, the stride from column to column, or, for the right factor, the offset of the last vector of a row.
pub(crate) type Strided<'a, T> = (&'a [T], usize, usize);

/// Computes `out = a b`, or `out += a b` if `add`, for a tile of `height` rows of `vectors` vectors, over `depth` inner
/// indices. What is added to was written before. Meanwhile the part of `a` that lies `ahead` entries behind is
/// prefetched if `ahead` is not 0 and the tile is as high as tiles are.
#[inline(always)]
pub(crate) fn tile<const FMA: bool, T: Number, const L: usize, const R: usize>(
    [height, vectors, depth]: [usize; 3],
    a: Strided<T>,
    b: Strided<T>,
    out: (&mut [MaybeUninit<T>], usize),
    add: bool,
    ahead: usize,
) {
    macro_rules! by {
        ($(($N:literal, $V:literal))*) => {
            match (height, vectors) {
                $(($N, $V) if $N == R && ahead > 0 => {
                    fixed::<FMA, T, L, $V, $N, true>(a, b, depth, out, add, ahead);
                })*
                $(($N, $V) if $N <= R => fixed::<FMA, T, L, $V, $N, false>(a, b, depth, out, add, 0),)*
                _ => unreachable!("tiles are of the heights and widths that are compiled"),
            }
        };
    }
    by!((8, 1)(8, 2)(8, 3)(5, 1)(5, 2)(5, 3)(4, 1)(4, 2)(4, 3)(2, 1)(2, 2)(2, 3)(1, 1)(1, 2)(1, 3));
}

#[inline(always)]
fn fixed<
    const FMA: bool,
    T: Number,
    const L: usize,
    const V: usize,
    const N: usize,
    const AHEAD: bool,
>(
    a: Strided<T>,
    b: Strided<T>,
    depth: usize,
    (out, step): (&mut [MaybeUninit<T>], usize),
    add: bool,
    ahead: usize,
) {
    let last = b.2;
    assert!((N - 1) * step + last + L <= out.len());
    let at = |n: usize, v: usize| n * step + if v + 1 == V { last } else { v * L };
    let mut c = [[[T::zero(); L]; V]; N];
    if add {
        for (n, c) in c.iter_mut().enumerate() {
            for (v, c) in c.iter_mut().enumerate() {
                // SAFETY: vectors before the last one begin before it, and the last vector of the last row is within
                // `out`, which was written if it is added to.
                *c = unsafe { out.as_ptr().add(at(n, v)).cast::<[T; L]>().read() };
            }
        }
    }
    let c = accumulate::<FMA, T, L, V, N, AHEAD>(a, b, depth, c, ahead);
    for (n, c) in c.iter().enumerate() {
        for (v, c) in c.iter().enumerate() {
            // SAFETY: as above.
            unsafe { out.as_mut_ptr().add(at(n, v)).cast::<[T; L]>().write(*c) };
        }
    }
}

/// Computes `c += a b`. Meanwhile what lies `ahead` entries behind `a` is prefetched if `AHEAD`.
#[inline(always)]
pub(crate) fn accumulate<
    const FMA: bool,
    T: Number,
    const L: usize,
    const V: usize,
    const N: usize,
    const AHEAD: bool,
>(
    (a, row, col): Strided<T>,
    (b, stride, last): Strided<T>,
    depth: usize,
    mut c: [[[T; L]; V]; N],
    ahead: usize,
) -> [[[T; L]; V]; N] {
    assert!((N - 1) * row + (depth - 1) * col < a.len());
    assert!((depth - 1) * stride + last + L <= b.len() && (V - 1) * L <= last + L);
    // Pointers are advanced, because compilers turn products with `p` into multiplications, a fourth of all
    // instructions.
    let (mut a, mut b) = (a.as_ptr(), b.as_ptr());
    for p in 0..depth {
        if AHEAD && p % (LINE / size_of::<T>()) == 0 {
            for n in 0..N {
                T::Avx2::expect::<2>(a.wrapping_add(n * row + ahead));
            }
        }
        let mut vectors = [[T::zero(); L]; V];
        for (v, vector) in vectors.iter_mut().enumerate() {
            let at = if v + 1 == V { last } else { v * L };
            // SAFETY: within `b` by the second assertion.
            *vector = unsafe { b.add(at).cast::<[T; L]>().read() };
        }
        for (n, c) in c.iter_mut().enumerate() {
            // SAFETY: within `a` by the first assertion.
            let factor = unsafe { *a.add(n * row) };
            for v in 0..V {
                for l in 0..L {
                    c[v][l] = mul_add::<FMA, T>(factor, vectors[v][l], c[v][l]);
                }
            }
        }
        // After the last index the pointers may be past the end, but they are not read.
        (a, b) = (a.wrapping_add(col), b.wrapping_add(stride));
    }
    c
}
