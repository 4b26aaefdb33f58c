//! The instruction set that kernels use: chosen once per process, at run time.
//!
//! A kernel is written once and compiled for each path by [`dispatched!`]. On x86-64 the paths are AVX-512, AVX2 with
//! FMA, and portable. On other processors there is only the portable path, which vectorises with the baseline
//! instructions of the target. Results on one path are bit-identical; between paths they differ by rounding, because
//! fused multiply-adds round once.

use std::env;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

/// The environment variable that selects a path.
const VARIABLE: &str = "HYPERTAPE_SIMD";

/// Whether the portable path uses fused multiply-add. On x86-64 it does not, even in builds for newer processors, so
/// that it gives the same bits on all of them.
pub(crate) const PORTABLE_FMA: bool = cfg!(target_arch = "aarch64");

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// The baseline of the target: without fused multiply-add on x86-64, with it on `AArch64`.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 F, DQ, VL and BW.
    Avx512,
}

impl Simd {
    /// All paths, from the least to the most capable. Each includes those before it.
    const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Returns the name that `HYPERTAPE_SIMD` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Returns the path that the environment variable `HYPERTAPE_SIMD` selects (`portable`, `avx2` or `avx512`), if it
    /// is set.
    ///
    /// [`simd`] cannot return an error and uses the best path instead. A program can check the variable by calling this
    /// function once at its start.
    ///
    /// # Errors
    /// Returns [`InvalidSimd`] if the variable does not name a path, or names one that the processor does not have.
    pub fn from_environment() -> Result<Option<Self>, InvalidSimd> {
        env::var_os(VARIABLE).map(|value| named(&value.to_string_lossy(), best())).transpose()
    }
}

/// The error that [`HYPERTAPE_SIMD`](Simd::from_environment) does not name a path that this processor has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSimd {
    found: String,
    best: Simd,
}

impl fmt::Display for InvalidSimd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, best } = self;
        let names: Vec<&str> = available(*best).iter().map(|path| path.name()).collect();
        let names = names.join(", ");
        write!(f, "{VARIABLE} is {found:?}; expected one that this processor has: {names}")
    }
}

impl Error for InvalidSimd {}

/// Returns the paths of a processor whose best path is `best`.
fn available(best: Simd) -> &'static [Simd] {
    &Simd::ALL[..=best as usize]
}

fn named(found: &str, best: Simd) -> Result<Simd, InvalidSimd> {
    let path = available(best).iter().find(|path| path.name() == found);
    path.copied().ok_or_else(|| InvalidSimd { found: found.to_owned(), best })
}

/// Returns the path in use: the one that the environment variable `HYPERTAPE_SIMD` selects (see
/// [`Simd::from_environment`]), or the best that the processor has if the variable is not set or invalid.
pub fn simd() -> Simd {
    static CHOSEN: OnceLock<Simd> = OnceLock::new();
    *CHOSEN.get_or_init(|| Simd::from_environment().ok().flatten().unwrap_or_else(best))
}

#[cfg(target_arch = "x86_64")]
fn best() -> Simd {
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
fn best() -> Simd {
    Simd::Portable
}

/// `a b + c`, rounded once if `FMA`.
#[inline(always)]
pub(crate) fn mul_add<const FMA: bool, T: num_traits::Float>(a: T, b: T, c: T) -> T {
    // Without the instruction `mul_add` is a library call.
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Compiles a function once for each path and calls the one in use. The body may use two constants: `FMA`, a `bool`,
/// and `BYTES`, the size of a vector.
macro_rules! dispatched {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident<$T:ident: $bound:path $(, $F:ident: $kind:path)?>(
            $($argument:ident: $type:ty),* $(,)?
        ) $(-> $result:ty)? $body:block
    ) => {
        $(#[$attribute])*
        $visibility fn $name<$T: $bound $(, $F: $kind)?>($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body<const FMA: bool, const BYTES: usize, $T: $bound $(, $F: $kind)?>(
                $($argument: $type),*
            ) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$T: $bound $(, $F: $kind)?>($($argument: $type),*) $(-> $result)? {
                body::<true, 32, $T $(, $F)?>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
            fn avx512<$T: $bound $(, $F: $kind)?>($($argument: $type),*) $(-> $result)? {
                body::<true, 64, $T $(, $F)?>($($argument),*)
            }
            // Without optimisation frames are large, and this one must not be part of that of the choice of a path.
            #[inline(never)]
            fn portable<$T: $bound $(, $F: $kind)?>($($argument: $type),*) $(-> $result)? {
                body::<PORTABLE_FMA, 16, $T $(, $F)?>($($argument),*)
            }
            use $crate::array::kernels::simd::{PORTABLE_FMA, Simd, simd};
            match simd() {
                // SAFETY: the path was chosen because the processor has these instructions.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2($($argument),*) },
                _ => portable($($argument),*),
            }
        }
    };
}
pub(crate) use dispatched;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_path_must_exist_and_be_available() {
        for (i, path) in Simd::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, i);
            assert_eq!(named(path.name(), Simd::Avx512), Ok(path));
        }
        let told = |found, best| named(found, best).unwrap_err().to_string();
        assert_eq!(
            told("avx512", Simd::Avx2),
            "HYPERTAPE_SIMD is \"avx512\"; expected one that this processor has: portable, avx2"
        );
        assert!(
            told("AVX2", Simd::Portable)
                .ends_with("is \"AVX2\"; expected one that this processor has: portable")
        );
        assert!(named("", Simd::Avx512).is_err());
    }
}
