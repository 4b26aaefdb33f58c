//! Which instructions the kernels use: chosen once a process, at run time.
//!
//! A kernel is written once and compiled for each path by [`dispatched!`]. On x86-64 the paths are AVX-512, AVX2 with
//! FMA, and portable; elsewhere portable, which vectorises to what the target always has. Results are bit-identical on
//! one path; between paths they differ by roundings, since fused multiply-adds round once.

use std::sync::OnceLock;

/// A set of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// What the target always has, without fused multiply-add.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, DQ, VL and BW.
    Avx512,
}

/// The path in use: the best that the processor has, or the one that the environment variable `HYPERTAPE_SIMD` names
/// (`portable`, `avx2`, `avx512`) if the processor has it.
pub fn simd() -> Simd {
    static CHOSEN: OnceLock<Simd> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let best = detect();
        match std::env::var("HYPERTAPE_SIMD").as_deref() {
            Ok("portable") => Simd::Portable,
            Ok("avx2") if best != Simd::Portable => Simd::Avx2,
            _ => best,
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Simd {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw");
    match (avx2, wide) {
        (true, true) => Simd::Avx512,
        (true, false) => Simd::Avx2,
        _ => Simd::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Simd {
    Simd::Portable
}

/// `a b + c`, rounded once if `FMA`.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool, T: num_traits::Float>(a: T, b: T, c: T) -> T {
    // Without the instruction `mul_add` is a library call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a function once for each path and calls the one in use. The body may use `FMA`, a `const bool`.
macro_rules! dispatched {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$T:ident: $bound:path $(, $F:ident: $function:path)?>(
            $($argument:ident: $type:ty),* $(,)?
        ) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        $visibility fn $name<$T: $bound $(, $F: $function)?>(
            $($argument: $type),*
        ) $(-> $result)? {
            #[inline(always)]
            fn body<const FMA: bool, $T: $bound $(, $F: $function)?>(
                $($argument: $type),*
            ) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$T: $bound $(, $F: $function)?>($($argument: $type),*) $(-> $result)? {
                body::<true, $T $(, $F)?>($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
            fn avx512<$T: $bound $(, $F: $function)?>($($argument: $type),*) $(-> $result)? {
                body::<true, $T $(, $F)?>($($argument),*)
            }

            match $crate::array::kernels::simd::simd() {
                // SAFETY: the path was chosen because the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::array::kernels::simd::Simd::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::array::kernels::simd::Simd::Avx2 => unsafe { avx2($($argument),*) },
                _ => body::<false, $T $(, $F)?>($($argument),*),
            }
        }
    };
}
pub(crate) use dispatched;
