//! What kernels compute with: `f32` or `f64`.

use std::fmt::{Debug, Display};
use std::ops::AddAssign;

use num_traits::{Float, FromBytes, ToBytes};

use crate::array::kernels::wide::Registers;

/// `f32` or `f64`, and what the elementary functions of `math.rs` need to know of it, which is stated there.
/// Coefficients of polynomials come in pairs, the constant and the first power first.
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
    /// The nearest value.
    fn of(value: f64) -> Self;
    /// Adding and subtracting this rounds to an integer, which is then in the low bits.
    const ROUND: Self;
    /// What is added to an exponent in the bits of a number.
    const BIAS: Self;
    /// `1 / ln 2`
    const INVERSE_LN2: Self;
    /// `ln 2` with so many last bits zero that its multiples by exponents are exact, and the rest.
    const LN2: (Self, Self);
    /// `1/2!, 1/3!, ...` as far as `e^r - 1` needs them for `|r| <= ln 2 / 2`.
    const FACTORIALS: &'static [[Self; 2]];
    /// `ln((1 + s)/(1 - s)) = s (2 + z (c_0 + c_1 z + ...))` with `z = s^2`, for quotients from `sqrt(1/2)` to `sqrt 2`.
    const LOG_SERIES: &'static [[Self; 2]];
    /// Below the first `e^x` rounds to 0, above the second it is infinite.
    const EXP_RANGE: (Self, Self);
    /// Above this `tanh x` rounds to 1.
    const TANH_END: Self;
    /// `erf x = x (c_0 + c_1 x^2 + ...)` up to 1.
    const ERF_SERIES: &'static [[Self; 2]];
    /// `(1 + 2x) e^(x^2) erfc x = c_0 + c_1 t + ...` with `t = (x - 3.75)/(x + 3.75)`, from 0.4 on (the form of Shepherd and
    /// Laframboise, 1981).
    const ERFC_SERIES: &'static [[Self; 2]];
    /// Above this `erfc x` rounds to 0.
    const ERFC_END: Self;
    /// Times this, a number is cut to half its digits.
    const SPLIT: Self;
    /// `2^k` from `ROUND + BIAS + k` for an integer `k` in the exponents of normal numbers.
    fn power_of_two(biased: Self) -> Self;
    /// `(k, m)` with `2^k m` this positive normal number and `sqrt(1/2) <= m < sqrt 2`, to a few digits.
    fn split(self) -> (Self, Self);
}
