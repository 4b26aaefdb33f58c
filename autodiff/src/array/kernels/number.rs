//! The numbers that kernels compute with: `f32` and `f64`.

use std::fmt::{Debug, Display};
use std::ops::AddAssign;

use num_traits::{Float, FromBytes, ToBytes};

/// `f32` or `f64`, with the constants of the elementary functions of `math.rs` for this precision. Coefficients of
/// polynomials come in pairs, the constant and the first power first.
pub trait Number:
    Float
    + Registers
    + AddAssign
    + Debug
    + Display
    + Default
    + Send
    + Sync
    + ToBytes
    + FromBytes<Bytes = <Self as ToBytes>::Bytes>
    + 'static
{
    /// Returns the value that is nearest to `value`.
    fn of(value: f64) -> Self;
    /// A number whose addition and subtraction rounds to an integer, which is then in the low bits.
    const ROUND: Self;
    /// The bias of the exponent in the bits of a number.
    const BIAS: Self;
    /// `1 / ln 2`
    const INVERSE_LN2: Self;
    /// `ln 2` in two parts: one with enough trailing zero bits that its products with exponents are exact, and the
    /// rest.
    const LN2: (Self, Self);
    /// `1/2!, 1/3!, ...`, as many as `e^r - 1` needs for `|r| <= ln 2 / 2`.
    const FACTORIALS: &'static [[Self; 2]];
    /// `c_0, c_1, ...` of `ln((1 + s)/(1 - s)) = s (2 + z (c_0 + c_1 z + ...))` with `z = s^2`, for quotients from
    /// `sqrt(1/2)` to `sqrt 2`.
    const LOG_SERIES: &'static [[Self; 2]];
    /// The range of arguments of `exp`: below the first `e^x` rounds to 0, above the second its half is infinite.
    const EXP_RANGE: (Self, Self);
    /// Argument above which `tanh x` rounds to 1.
    const TANH_END: Self;
    /// A power of two, up to which squares do not overflow, and down to whose reciprocal they lose no digits; so also its
    /// square for numbers beyond.
    const SQUARE_RANGE: Self;
    /// Square of `tanh x` above which the slope is not computed as a difference from 1. The difference has lost 20 of
    /// 53 bits there, or 10 of 24. The threshold is not lower, because the exponential that replaces the difference is
    /// expensive and 9 digits are enough.
    const SATURATED: Self;
    /// `c_0, c_1, ...` of `erf x = x + x (c_0 + c_1 x^2 + ...)` up to 1.
    const ERF_SERIES: &'static [[Self; 2]];
    /// `c_0, c_1, ...` of `ln(1 - erf x) = -x (c_0 + c_1 x + ...)`, from 1 to `ERF_END`.
    const ERF_TAIL: &'static [[Self; 2]];
    /// Argument above which `erf x` rounds to 1.
    const ERF_END: Self;
    /// `c_0, c_1, ...` of `(1 + 2x) e^(x^2) erfc x = 5/4 + c_0 + c_1 t + ...` with `t = (x - 3.75)/(x + 3.75)`, from
    /// 0.5 on (the form of Shepherd and Laframboise, 1981).
    const ERFC_SERIES: &'static [[Self; 2]];
    /// Argument above which `erfc x` rounds to 0.
    const ERFC_END: Self;
    /// A factor by which a number is split into halves of its digits.
    const SPLIT: Self;
    /// Returns `2^k` from `ROUND + BIAS + k`, for an integer `k` in the range of exponents of normal numbers.
    fn power_of_two(biased: Self) -> Self;
    /// Returns `(k, m)` such that `2^k m` is this positive normal number and `sqrt(1/2) <= m < sqrt 2`; the bounds hold
    /// to a few digits.
    fn split(self) -> (Self, Self);
}

/// The registers of each path.
pub trait Registers: Sized {
    /// A register of 16 bytes.
    type Portable: Wide<Self>;
    /// A register of 32 bytes.
    type Avx2: Wide<Self>;
    /// A register of 64 bytes.
    type Avx512: Wide<Self>;
}

/// A register of several numbers.
///
/// # Safety
/// Methods may be called only where the processor has the instructions of the path. Pointers must be valid for as many
/// numbers as are read or written.
pub trait Wide<T>: Copy {
    /// The number of lanes.
    const LANES: usize;
    /// Returns a register with `value` in every lane.
    unsafe fn splat(value: T) -> Self;
    /// Reads a register.
    unsafe fn load(from: *const T) -> Self;
    /// Writes a register.
    unsafe fn store(self, to: *mut T);
    /// Reads the first `count` lanes and sets the others to zero.
    unsafe fn load_first(from: *const T, count: usize) -> Self;
    /// Writes the first `count` lanes.
    unsafe fn store_first(self, to: *mut T, count: usize);
    /// Returns `self + a b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// Returns the sum of all lanes, added half by half.
    unsafe fn total(self) -> T;
    /// Prefetches the cache line at an address into level `LEVEL`, if it is one that the path has a hint for. The
    /// address may be past the end.
    fn expect<const LEVEL: u8>(_: *const T) {}
}
