//! Elementary functions without branches, so that loops over them vectorise, each computed in the precision of its
//! argument.
//!
//! Results are right for infinities, `NaN`, signed zeros, and subnormal arguments and results. The table gives the
//! largest errors that were found, in units of the last place, with or without fused multiply-add; `math/tests.rs`
//! describes the points.
//!
//! | | `exp` | `log1p` | `tanh` | `sigmoid` | `softplus` |
//! |---|---|---|---|---|---|
//! | `f64` | 0.97 | 0.78 | 2.4 | 1.9 | 1.4 |
//! | `f32` | 1.1 | 0.81 | 2.5 | 2.4 | 1.7 |

mod double;
mod single;
#[cfg(test)]
mod tests;

use crate::array::kernels::number::Number;
use crate::array::kernels::simd::mul_add;

/// Evaluates a polynomial in two chains, of the even and the odd powers, which do not depend on each other.
#[inline(always)]
fn polynomial<const FMA: bool, T: Number>(coefficients: &[[T; 2]], x: T) -> T {
    let square = x * x;
    let step = |[even, odd]: [T; 2], [c, d]: [T; 2]| {
        [mul_add::<FMA, T>(even, square, c), mul_add::<FMA, T>(odd, square, d)]
    };
    let [even, odd] = coefficients.iter().copied().rev().reduce(step).unwrap_or_default();
    mul_add::<FMA, T>(odd, x, even)
}

/// Reduces `x = k ln 2 + r` with integer `k` and `|r| <= ln 2 / 2`. Returns `k` and `e^r - 1`, accurate to rounding.
#[inline(always)]
fn reduced<const FMA: bool, T: Number>(x: T) -> (T, T) {
    let k = mul_add::<FMA, T>(x, T::INVERSE_LN2, T::ROUND) - T::ROUND;
    let (high, low) = T::LN2;
    let r = mul_add::<FMA, T>(k, -low, mul_add::<FMA, T>(k, -high, x));
    let series = polynomial::<FMA, T>(T::FACTORIALS, r);
    (k, mul_add::<FMA, T>(r * r, series, r))
}

/// `e^x`
#[inline(always)]
pub(crate) fn exp<const FMA: bool, T: Number>(x: T) -> T {
    // NaN passes both comparisons.
    let (low, high) = T::EXP_RANGE;
    let x = if x > high { high } else { x };
    let x = if x < low { low } else { x };
    let (k, rest) = reduced::<FMA, T>(x);
    // 2^k in two factors, so that subnormal results and those of the last binade need no special case.
    let zero = T::ROUND + T::BIAS;
    let first = mul_add::<FMA, T>(k, T::of(0.5), zero);
    let second = (k - (first - zero)) + zero;
    (T::one() + rest) * T::power_of_two(first) * T::power_of_two(second)
}

/// The hyperbolic tangent: `e / (e + 2)` with `e = e^{2|x|} - 1`.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool, T: Number>(x: T) -> T {
    let size = x.abs();
    let size = if size > T::TANH_END { T::TANH_END } else { size };
    let (k, rest) = reduced::<FMA, T>(size + size);
    let scale = T::power_of_two(k + (T::ROUND + T::BIAS));
    let e = mul_add::<FMA, T>(scale, rest, scale - T::one());
    (e / (e + T::of(2.0))).copysign(x)
}

/// Returns `k ln 2 + ln(1 + f) + correction`, with the series of `ln(1 + f)` in `f / (2 + f)`, for
/// `sqrt(1/2) <= 1 + f <= sqrt 2`.
#[inline(always)]
fn logarithm<const FMA: bool, T: Number>(k: T, f: T, correction: T) -> T {
    let s = f / (T::of(2.0) + f);
    let z = s * s;
    let series = polynomial::<FMA, T>(T::LOG_SERIES, z);
    let half_square = T::of(0.5) * f * f;
    let (high, low) = T::LN2;
    let small = mul_add::<FMA, T>(k, low, correction);
    let tail = mul_add::<FMA, T>(s, mul_add::<FMA, T>(series, z, half_square), small);
    mul_add::<FMA, T>(k, high, f - (half_square - tail))
}

/// `ln(1 + x)`, with a first-order correction for the rounding of `1 + x`.
#[inline(always)]
pub(crate) fn log1p<const FMA: bool, T: Number>(x: T) -> T {
    let one = T::one();
    let sum = one + x;
    let (k, m) = sum.split();
    // The rounding error of 1 + x. The larger of the two terms is subtracted first.
    let lost = if k > one { one - (sum - x) } else { x - (sum - one) };
    let value = logarithm::<FMA, T>(k, m - one, lost / sum);
    let value = if sum == T::infinity() { sum } else { value };
    let value = if x == -one { T::neg_infinity() } else { value.copysign(x) };
    if x < -one || x.is_nan() { T::nan() } else { value }
}

/// `1 / (1 + e^-x)`, from `e^-|x|`, so that the lower tail is accurate down to the last subnormal number.
#[inline(always)]
pub(crate) fn sigmoid<const FMA: bool, T: Number>(x: T) -> T {
    let e = exp::<FMA, T>(-x.abs());
    (if x < T::zero() { e } else { T::one() }) / (T::one() + e)
}

/// `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^-|x|)`, so that neither end overflows.
#[inline(always)]
pub(crate) fn softplus<const FMA: bool, T: Number>(x: T) -> T {
    logistic::<FMA, T>(x)[0]
}

/// [`softplus`] with its first two derivatives, from one exponential. All are accurate at both ends.
#[inline(always)]
pub(crate) fn logistic<const FMA: bool, T: Number>(x: T) -> [T; 3] {
    let (zero, one) = (T::zero(), T::one());
    let positive = if x <= zero { zero } else { x };
    let e = exp::<FMA, T>(-x.abs());
    // 1 + e, from 1 to 2, equals 1 + f or 2 (1 + f), where f has no rounding error.
    let upper = e > T::of(std::f64::consts::SQRT_2 - 1.0);
    let f = if upper { T::of(0.5) * (e - one) } else { e };
    let k = if upper { one } else { zero };
    let share = (one + e).recip();
    let other = e * share;
    let value = positive + logarithm::<FMA, T>(k, f, zero);
    [value, if x < zero { other } else { share }, other * share]
}

/// Whether `x` is so large that `x^2 + 1` and `x^2 - 1` round to `x^2`.
#[inline(always)]
fn is_huge<T: Number>(x: T) -> bool {
    x * T::epsilon() > T::one()
}

/// The inverse hyperbolic sine, also for arguments whose double overflows.
#[inline(always)]
pub(crate) fn asinh<T: Number>(x: T) -> T {
    let size = x.abs();
    if is_huge(size) { (size.ln() + T::of(std::f64::consts::LN_2)).copysign(x) } else { x.asinh() }
}

/// The inverse hyperbolic cosine, also for arguments whose double overflows.
#[inline(always)]
pub(crate) fn acosh<T: Number>(x: T) -> T {
    if is_huge(x) { x.ln() + T::of(std::f64::consts::LN_2) } else { x.acosh() }
}

/// The inverse hyperbolic tangent, from the absolute value of the argument, so that no logarithm is taken near its pole
/// at 0.
#[inline(always)]
pub(crate) fn atanh<T: Number>(x: T) -> T {
    let size = x.abs();
    ((size + size) / (T::one() - size)).ln_1p().copysign(x) * T::of(0.5)
}

/// `erfc x` for `x >= 0.4`, from `e^(-x^2)` with a correction for the rounding error of `x^2`.
#[inline(always)]
fn upper_tail<const FMA: bool, T: Number>(x: T) -> T {
    let x = if x > T::ERFC_END { T::ERFC_END } else { x };
    let (one, pole, square) = (T::one(), T::of(3.75), x * x);
    let long = x * T::SPLIT;
    let high = long - (long - x);
    let low = x - high;
    let lost = ((high * high - square) + (high + high) * low) + low * low;
    let series = polynomial::<FMA, T>(T::ERFC_SERIES, (x - pole) / (x + pole));
    exp::<FMA, T>(-square) * ((one - lost) * series / (one + x + x))
}

/// `(2/pi^(1/2)) int_0^x e^(-t^2) dt`
#[inline(always)]
pub(crate) fn erf<const FMA: bool, T: Number>(x: T) -> T {
    let size = x.abs();
    let inner = x * polynomial::<FMA, T>(T::ERF_SERIES, x * x);
    let outer = (T::one() - upper_tail::<FMA, T>(size)).copysign(x);
    if size < T::one() { inner } else { outer }
}

/// `1 - erf x`, accurate in its upper tail.
#[inline(always)]
pub(crate) fn erfc<const FMA: bool, T: Number>(x: T) -> T {
    let (size, tail) = (x.abs(), upper_tail::<FMA, T>(x.abs()));
    let inner = T::one() - x * polynomial::<FMA, T>(T::ERF_SERIES, x * x);
    let outer = if x < T::zero() { T::of(2.0) - tail } else { tail };
    if size < T::of(0.5) { inner } else { outer }
}
