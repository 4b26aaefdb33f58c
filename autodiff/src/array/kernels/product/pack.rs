//! Factors of a product as views, and the buffer into which they are packed.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use smallvec::SmallVec;

use crate::array::kernels::number::Number;
use crate::array::kernels::simd::dispatched;

/// A list with one entry for each plane.
pub(crate) type List<A> = SmallVec<[A; 6]>;

/// A matrix as it enters a product: entry `i, j` is `data[i * row + j * col]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) row: usize,
    pub(crate) col: usize,
}

impl<T> View<'_, T> {
    pub(crate) fn turned(&self) -> Self {
        Self { data: self.data, row: self.col, col: self.row }
    }
}

/// Returns the factor of a plane: its own, or the shared one.
pub(crate) fn of_plane<'a, T: Number>(views: &[View<'a, T>], plane: usize) -> View<'a, T> {
    views[plane.min(views.len() - 1)]
}

/// Number of entries of a panel: in `f64`, a little more than the first level of cache.
pub(crate) const PANEL: usize = 8192;
/// A buffer for packed entries, aligned to a cache line.
#[repr(align(64))]
struct Panel([f64; PANEL]);

thread_local! {
    /// Not on the stack: a frame of this size is touched page by page, which was measured to slow a small product by a
    /// fifth.
    static PLACE: RefCell<Panel> = const { RefCell::new(Panel([0.0; PANEL])) };
}

/// Calls `f` with the panel of this thread. Calls must not be nested.
pub(crate) fn with_panel<T: Number>(f: impl FnOnce(&mut [T])) {
    PLACE.with_borrow_mut(|panel| {
        // SAFETY: a `Number` is an `f32` or an `f64`, so `PANEL` of them fit.
        f(unsafe { &mut *(&raw mut panel.0).cast::<[T; PANEL]>() });
    });
}

/// Returns the places of numbers that are to be overwritten.
///
/// # Safety
/// Nothing but numbers is written to the places.
pub(crate) unsafe fn places<T: Number>(numbers: &mut [T]) -> &mut [MaybeUninit<T>] {
    // SAFETY: a number and the place for one have the same layout, and the places keep numbers, as promised.
    unsafe { &mut *(std::ptr::from_mut(numbers) as *mut [MaybeUninit<T>]) }
}

dispatched! {
    /// Writes the transpose of rows of `cols` entries, tile by tile, so that the lines of both stay in cache.
    pub(crate) fn turned<T: Number>(x: &[T], cols: usize, out: &mut [T]) {
        const TILE: usize = 64;
        let rows = x.len() / cols.max(1);
        for i in (0..rows).step_by(TILE) {
            for j in (0..cols).step_by(TILE) {
                let (from, to) = (&x[i * cols + j..], &mut out[j * rows + i..]);
                let size = [TILE.min(rows - i), TILE.min(cols - j)];
                transpose::<FMA, T>((from, cols), (to, rows), size);
            }
        }
    }
}

/// Writes the transpose of `rows` rows of `cols` numbers, or places for them, which are `stride` entries apart.
#[inline(always)]
pub(crate) fn transpose<const FMA: bool, T: Copy>(
    (from, stride): (&[T], usize),
    (to, to_stride): (&mut [T], usize),
    [rows, cols]: [usize; 2],
) {
    const B: usize = 4;
    assert!((rows - 1) * stride + cols <= from.len());
    assert!((cols - 1) * to_stride + rows <= to.len());
    if rows < B || cols < B {
        for i in 0..rows {
            for j in 0..cols {
                to[j * to_stride + i] = from[i * stride + j];
            }
        }
        return;
    }
    // The last blocks may overlap those before them.
    for i in (0..rows).step_by(B).map(|i| i.min(rows - B)) {
        for j in (0..cols).step_by(B).map(|j| j.min(cols - B)) {
            // SAFETY: rows `i..i + B` and columns `j..j + B` are within `from` and `to` by the assertions.
            unsafe {
                let (from, to) = (from.as_ptr().add(i * stride + j), to.as_mut_ptr());
                block::<FMA, T>((from, stride), (to.add(j * to_stride + i), to_stride));
            }
        }
    }
}

/// Transposes four rows of four entries.
///
/// # Safety
/// All entries are within the memory that `from` and `to` point to. With `FMA` the processor has AVX.
#[inline(always)]
unsafe fn block<const FMA: bool, T: Copy>(
    (from, stride): (*const T, usize),
    (to, to_stride): (*mut T, usize),
) {
    // Compilers do not find these shuffles.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as promised by the caller; every x86-64 processor has SSE2. Types are told apart by their size, because
    // entries are `f32` or `f64`.
    unsafe {
        use std::arch::x86_64::{
            _MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps, _mm256_loadu_pd,
            _mm256_permute2f128_pd, _mm256_storeu_pd, _mm256_unpackhi_pd, _mm256_unpacklo_pd,
        };
        if size_of::<T>() == 4 {
            let (from, to) = (from.cast::<f32>(), to.cast::<f32>());
            let row = |r| _mm_loadu_ps(from.add(r * stride));
            let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (r, line) in [a, b, c, d].into_iter().enumerate() {
                _mm_storeu_ps(to.add(r * to_stride), line);
            }
            return;
        }
        let (from, to) = (from.cast::<f64>(), to.cast::<f64>());
        if FMA {
            let row = |r| _mm256_loadu_pd(from.add(r * stride));
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let (ab, cd) = (_mm256_unpacklo_pd(a, b), _mm256_unpacklo_pd(c, d));
            let (ab_odd, cd_odd) = (_mm256_unpackhi_pd(a, b), _mm256_unpackhi_pd(c, d));
            _mm256_storeu_pd(to, _mm256_permute2f128_pd::<0x20>(ab, cd));
            _mm256_storeu_pd(to.add(to_stride), _mm256_permute2f128_pd::<0x20>(ab_odd, cd_odd));
            _mm256_storeu_pd(to.add(2 * to_stride), _mm256_permute2f128_pd::<0x31>(ab, cd));
            let last = _mm256_permute2f128_pd::<0x31>(ab_odd, cd_odd);
            _mm256_storeu_pd(to.add(3 * to_stride), last);
            return;
        }
    }
    for r in 0..4 {
        for c in 0..4 {
            // SAFETY: as promised by the caller.
            unsafe { *to.add(c * to_stride + r) = *from.add(r * stride + c) };
        }
    }
}
