//! The registers of each path: vectors of numbers that keep sums in registers, which compilers do not always ensure.
//!
//! On x86-64, the registers of a path of [`simd`](crate::array::kernels::simd) are those of its instructions, and those
//! of the portable path are those of SSE2. On other processors they are arrays, which the compiler maps to the
//! registers of the target.

#[cfg(not(target_arch = "x86_64"))]
mod paths {
    use crate::array::kernels::number::{Number, Registers, Wide};
    use crate::array::kernels::simd::{PORTABLE_FMA, mul_add};

    impl<T: Number, const L: usize> Wide<T> for [T; L] {
        const LANES: usize = L;

        #[inline(always)]
        unsafe fn splat(value: T) -> Self {
            [value; L]
        }

        #[inline(always)]
        unsafe fn load(from: *const T) -> Self {
            // SAFETY: as promised by the caller.
            unsafe { from.cast::<Self>().read() }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut T) {
            // SAFETY: as promised by the caller.
            unsafe { to.cast::<Self>().write(self) }
        }

        #[inline(always)]
        unsafe fn load_first(from: *const T, count: usize) -> Self {
            // SAFETY: as promised by the caller.
            std::array::from_fn(|l| if l < count { unsafe { *from.add(l) } } else { T::zero() })
        }

        #[inline(always)]
        unsafe fn store_first(self, to: *mut T, count: usize) {
            for (l, value) in self.into_iter().enumerate().take(count) {
                // SAFETY: as promised by the caller.
                unsafe { *to.add(l) = value };
            }
        }

        #[inline(always)]
        unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
            for l in 0..L {
                self[l] = mul_add::<PORTABLE_FMA, T>(a[l], b[l], self[l]);
            }
            self
        }

        #[inline(always)]
        unsafe fn total(mut self) -> T {
            let mut half = L / 2;
            while half > 0 {
                for l in 0..half {
                    self[l] += self[l + half];
                }
                half /= 2;
            }
            self[0]
        }
    }

    impl Registers for f32 {
        type Portable = [Self; 4];
        type Avx2 = [Self; 8];
        type Avx512 = [Self; 16];
    }

    impl Registers for f64 {
        type Portable = [Self; 2];
        type Avx2 = [Self; 4];
        type Avx512 = [Self; 8];
    }
}

#[cfg(target_arch = "x86_64")]
mod paths {
    #[allow(clippy::wildcard_imports, reason = "a hundred instructions")]
    use std::arch::x86_64::*;

    use crate::array::kernels::number::{Registers, Wide};

    impl Registers for f32 {
        type Portable = __m128;
        type Avx2 = __m256;
        type Avx512 = __m512;
    }

    impl Registers for f64 {
        type Portable = __m128d;
        type Avx2 = __m256d;
        type Avx512 = __m512d;
    }

    /// Ones for the lanes that are read or written, and zeros for the others. A mask starts at an offset.
    static MASK: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
    static HALF_MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    /// A mask of the first `count` of four lanes.
    #[inline(always)]
    unsafe fn four(count: usize) -> __m256i {
        // SAFETY: four entries from `4 - count` on, where `count` is at most 4.
        unsafe { _mm256_loadu_si256(MASK.as_ptr().add(4 - count).cast()) }
    }

    /// A mask of the first `count` of eight lanes.
    #[inline(always)]
    unsafe fn eight(count: usize) -> __m256i {
        // SAFETY: eight entries from `8 - count` on, where `count` is at most 8.
        unsafe { _mm256_loadu_si256(HALF_MASK.as_ptr().add(8 - count).cast()) }
    }

    /// Implements the methods, each of which is a single instruction.
    macro_rules! wide {
        (
            $T:ident, $V:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident, $fma:ident,
            |$from:ident, $to:ident, $v:ident, $count:ident| $load_first:expr, $store_first:expr, $total:expr
        ) => {
            impl Wide<$T> for $V {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn splat(value: $T) -> Self {
                    // SAFETY: the processor has the instructions of this method and the next, as promised by the
                    // caller.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                unsafe fn load(from: *const $T) -> Self {
                    // SAFETY: as promised by the caller.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut $T) {
                    // SAFETY: as promised by the caller.
                    unsafe { $store(to, self) }
                }

                #[inline(always)]
                unsafe fn load_first($from: *const $T, $count: usize) -> Self {
                    // SAFETY: as promised by the caller; other lanes are not read.
                    unsafe { $load_first }
                }

                #[inline(always)]
                unsafe fn store_first(self, $to: *mut $T, $count: usize) {
                    let $v = self;
                    // SAFETY: as promised by the caller; other lanes are not written.
                    unsafe { $store_first }
                }

                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: as promised by the caller.
                    unsafe { $fma(a, b, self) }
                }

                #[inline(always)]
                fn expect<const LEVEL: u8>(from: *const $T) {
                    // SAFETY: prefetches are hints and read nothing.
                    match LEVEL {
                        1 => unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) },
                        2 => unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) },
                        _ => {}
                    }
                }

                #[inline(always)]
                unsafe fn total(self) -> $T {
                    let $v = self;
                    // SAFETY: as promised by the caller.
                    unsafe { $total }
                }
            }
        };
    }

    /// `a b + c`, rounded twice.
    #[inline(always)]
    unsafe fn two_add_product(a: __m128d, b: __m128d, c: __m128d) -> __m128d {
        // SAFETY: every x86-64 processor has the instructions.
        unsafe { _mm_add_pd(_mm_mul_pd(a, b), c) }
    }

    /// `a b + c`, rounded twice.
    #[inline(always)]
    unsafe fn four_add_product(a: __m128, b: __m128, c: __m128) -> __m128 {
        // SAFETY: as above.
        unsafe { _mm_add_ps(_mm_mul_ps(a, b), c) }
    }

    wide!(
        f64,
        __m128d,
        2,
        _mm_set1_pd,
        _mm_loadu_pd,
        _mm_storeu_pd,
        two_add_product,
        |from, to, v, count| if count == 1 { _mm_load_sd(from) } else { _mm_setzero_pd() },
        if count == 1 {
            _mm_store_sd(to, v);
        },
        _mm_cvtsd_f64(_mm_add_sd(v, _mm_unpackhi_pd(v, v)))
    );
    wide!(
        f32,
        __m128,
        4,
        _mm_set1_ps,
        _mm_loadu_ps,
        _mm_storeu_ps,
        four_add_product,
        |from, to, v, count| {
            let two = |from: *const f32| _mm_castpd_ps(_mm_load_sd(from.cast()));
            match count {
                0 => _mm_setzero_ps(),
                1 => _mm_load_ss(from),
                2 => two(from),
                _ => _mm_movelh_ps(two(from), _mm_load_ss(from.add(2))),
            }
        },
        {
            if count > 1 {
                _mm_store_sd(to.cast(), _mm_castps_pd(v));
            }
            match count {
                1 => _mm_store_ss(to, v),
                3 => _mm_store_ss(to.add(2), _mm_movehl_ps(v, v)),
                _ => {}
            }
        },
        {
            let two = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    );
    wide!(
        f64,
        __m256d,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        |from, to, v, count| _mm256_maskload_pd(from, four(count)),
        _mm256_maskstore_pd(to, four(count), v),
        {
            let two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
            _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
        }
    );
    wide!(
        f32,
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        |from, to, v, count| _mm256_maskload_ps(from, eight(count)),
        _mm256_maskstore_ps(to, eight(count), v),
        {
            let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    );
    wide!(
        f64,
        __m512d,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_fmadd_pd,
        |from, to, v, count| _mm512_maskz_loadu_pd(u8::MAX >> (8 - count), from),
        _mm512_mask_storeu_pd(to, u8::MAX >> (8 - count), v),
        _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd::<1>(v)).total()
    );
    wide!(
        f32,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        |from, to, v, count| _mm512_maskz_loadu_ps(u16::MAX >> (16 - count), from),
        _mm512_mask_storeu_ps(to, u16::MAX >> (16 - count), v),
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v)).total()
    );
}
