//! Elementary functions without branches, so that loops over them vectorise, each computed in the precision of its
//! argument.
//!
//! Results are right for infinities, `NaN`, signed zeros, and subnormal arguments and results. The table gives the
//! largest errors that were found, in units of the last place, with or without fused multiply-add; `math/tests.rs`
//! describes the points.
//!
//! | | `f64` | `f32` |
//! |---|---|---|
//! | `exp` | 0.97 | 1.1 |
//! | `exp_m1` | 2.0 | 2.0 |
//! | `ln` | 0.80 | 0.82 |
//! | `log1p` | 0.78 | 0.81 |
//! | `sinh` | 2.3 | 2.2 |
//! | `cosh` | 1.5 | 1.6 |
//! | `tanh` | 2.4 | 2.5 |
//! | `asinh` | 1.5 | 1.8 |
//! | `acosh` | 2.2 | 2.2 |
//! | `atanh` | 1.7 | 2.0 |
//! | `hypot` | 1.1 | 1.2 |
//! | `sigmoid` | 1.9 | 2.4 |
//! | `softplus` | 1.4 | 1.7 |
//! | `erf` | 1.4 | 1.3 |
//! | `erfc` | 2.4 | 2.5 |

mod double;
mod single;
#[cfg(test)]
mod tests;

use crate::array::kernels::number::Number;
use crate::array::kernels::simd::mul_add;

/// Evaluates a polynomial in two chains, of the even and the odd powers, which do not depend on each other.
#[inline(always)]
pub(crate) fn polynomial<const FMA: bool, T: Number>(coefficients: &[[T; 2]], x: T) -> T {
    let square = x * x;
    let Some((&[mut even, mut odd], rest)) = coefficients.split_last() else { return T::zero() };
    for &[c, d] in rest.iter().rev() {
        even = mul_add::<FMA, T>(even, square, c);
        odd = mul_add::<FMA, T>(odd, square, d);
    }
    mul_add::<FMA, T>(odd, x, even)
}

/// Reduces `x = k ln 2 + r` with integer `k` and `|r| <= ln 2 / 2`. Returns `k` and `e^r - 1`, accurate to rounding.
#[inline(always)]
fn reduced<const FMA: bool, T: Number>(x: T) -> (T, T) {
    let k = multiples_of_ln2::<FMA, T>(x);
    let (high, low) = T::LN2;
    let r = mul_add::<FMA, T>(k, -low, mul_add::<FMA, T>(k, -high, x));
    (k, series::<FMA, T>(r))
}

/// The integer that is nearest to `x / ln 2`.
#[inline(always)]
fn multiples_of_ln2<const FMA: bool, T: Number>(x: T) -> T {
    mul_add::<FMA, T>(x, T::INVERSE_LN2, T::ROUND) - T::ROUND
}

/// `e^r - 1` for `|r| <= ln 2 / 2`.
#[inline(always)]
fn series<const FMA: bool, T: Number>(r: T) -> T {
    mul_add::<FMA, T>(r * r, polynomial::<FMA, T>(T::FACTORIALS, r), r)
}

/// `e^x`
#[inline(always)]
pub(crate) fn exp<const FMA: bool, T: Number>(x: T) -> T {
    // NaN passes both comparisons.
    let (low, high) = T::EXP_RANGE;
    let x = if x > high { high } else { x };
    let x = if x < low { low } else { x };
    let (k, rest) = reduced::<FMA, T>(x);
    scaled::<FMA, T>(T::one() + rest, k)
}

/// `2^k value`, in two factors, so that subnormal results and those of the last binade need no special case.
#[inline(always)]
fn scaled<const FMA: bool, T: Number>(value: T, k: T) -> T {
    let zero = T::ROUND + T::BIAS;
    let first = mul_add::<FMA, T>(k, T::of(0.5), zero);
    let second = (k - (first - zero)) + zero;
    value * T::power_of_two(first) * T::power_of_two(second)
}

/// `(e^x - 1)/4` for `x >= -2 TANH_END`, which is finite: it ends where `e^x / 2` overflows.
#[inline(always)]
fn quarter<const FMA: bool, T: Number>(x: T) -> T {
    let high = T::EXP_RANGE.1;
    let (k, rest) = reduced::<FMA, T>(if x > high { high } else { x });
    let scale = T::power_of_two(k + (T::ROUND + T::BIAS - T::of(2.0)));
    mul_add::<FMA, T>(scale, rest, scale - T::of(0.25))
}

/// `e^x - 1`
#[inline(always)]
pub(crate) fn exp_m1<const FMA: bool, T: Number>(x: T) -> T {
    let low = T::of(-2.0) * T::TANH_END;
    let value = quarter::<FMA, T>(if x < low { low } else { x }) * T::of(4.0);
    // Here it rounds to x, whose quarter may be subnormal.
    if x.abs() < T::epsilon() { x } else { value }
}

/// The hyperbolic sine: `2q + q / (2q + 1/2)` with `q = (e^|x| - 1)/4`.
#[inline(always)]
pub(crate) fn sinh<const FMA: bool, T: Number>(x: T) -> T {
    let q = quarter::<FMA, T>(x.abs());
    let value = q + q + T::of(0.5) * (q / (q + T::of(0.25)));
    if x * x < T::epsilon() { x } else { value.copysign(x) }
}

/// The hyperbolic cosine: `2e + 1/(8e)` with `e = e^|x|/4`.
#[inline(always)]
pub(crate) fn cosh<const FMA: bool, T: Number>(x: T) -> T {
    let e = quarter::<FMA, T>(x.abs()) + T::of(0.25);
    e + e + T::of(0.125) / e
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

/// The natural logarithm.
#[inline(always)]
pub(crate) fn ln<const FMA: bool, T: Number>(x: T) -> T {
    let (zero, one) = (T::zero(), T::one());
    // Subnormal numbers are scaled to normal ones.
    let small = x < T::min_positive_value();
    let (scale, shift) =
        if small { (T::epsilon().recip(), T::epsilon().split().0) } else { (one, zero) };
    let (k, m) = (x * scale).split();
    let value = logarithm::<FMA, T>(k + shift, m - one, zero);
    let value = if x == T::infinity() { x } else { value };
    let value = if x == zero { T::neg_infinity() } else { value };
    if x >= zero { value } else { T::nan() }
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

/// `ln(1 + small)`, or `ln 2x` where `x` is so large that `x^2 + 1` and `x^2 - 1` round to `x^2`.
#[inline(always)]
fn area<const FMA: bool, T: Number>(x: T, small: T) -> T {
    let huge = x * T::epsilon() > T::one();
    let (at, more) = if huge { (x, T::of(std::f64::consts::LN_2)) } else { (small, T::zero()) };
    log1p::<FMA, T>(at) + more
}

/// The inverse hyperbolic sine, also for arguments whose double overflows.
#[inline(always)]
pub(crate) fn asinh<const FMA: bool, T: Number>(x: T) -> T {
    let (one, size) = (T::one(), x.abs());
    let square = size * size;
    area::<FMA, T>(size, size + square / (one + (one + square).sqrt())).copysign(x)
}

/// The inverse hyperbolic cosine, also for arguments whose double overflows.
#[inline(always)]
pub(crate) fn acosh<const FMA: bool, T: Number>(x: T) -> T {
    let rest = x - T::one();
    let value = area::<FMA, T>(x, rest + (rest * (rest + T::of(2.0))).sqrt());
    if x < T::one() { T::nan() } else { value }
}

/// The inverse hyperbolic tangent, from the absolute value of the argument, so that no logarithm is taken near its pole
/// at 0.
#[inline(always)]
pub(crate) fn atanh<const FMA: bool, T: Number>(x: T) -> T {
    let size = x.abs();
    log1p::<FMA, T>((size + size) / (T::one() - size)).copysign(x) * T::of(0.5)
}

/// `(a^2 + b^2)^(1/2)`, from arguments that are scaled by a power of two where the squares would overflow or lose
/// digits. The same on all paths.
#[inline(always)]
pub(crate) fn hypot<T: Number>(a: T, b: T) -> T {
    let (a, b, inf) = (a.abs(), b.abs(), T::infinity());
    let (range, top) = (T::SQUARE_RANGE, if a > b { a } else { b });
    let (up, down) = (range * range, (range * range).recip());
    let (by, back) = (T::one(), T::one());
    let (by, back) = if top > range { (down, up) } else { (by, back) };
    let (by, back) = if top < range.recip() { (up, down) } else { (by, back) };
    let (x, y) = (a * by, b * by);
    let value = (x * x + y * y).sqrt() * back;
    // Two choices instead of `||`, for which `b` would be read only where `a` is finite.
    let value = if a == inf { inf } else { value };
    if b == inf { inf } else { value }
}

/// `erf x` for `|x| <= 1`.
#[inline(always)]
fn erf_near_zero<const FMA: bool, T: Number>(x: T) -> T {
    mul_add::<FMA, T>(x, polynomial::<FMA, T>(T::ERF_SERIES, x * x), x)
}

/// `a b - product`, exactly, where `product` is `a b` rounded.
#[inline(always)]
fn lost<const FMA: bool, T: Number>(a: T, b: T, product: T) -> T {
    if FMA {
        return mul_add::<FMA, T>(a, b, -product);
    }
    let halves = |x: T| {
        let long = x * T::SPLIT;
        let high = long - (long - x);
        (high, x - high)
    };
    let ((a, c), (b, d)) = (halves(a), halves(b));
    ((a * b - product) + a * d + c * b) + c * d
}

/// `erfc x` for `x >= 0.5`: `e^(-x^2)` times a quotient. The rounding errors of the square and of the quotient, which
/// would make 5 units in the last place, are corrected.
#[inline(always)]
fn upper_tail<const FMA: bool, T: Number>(x: T) -> T {
    let x = if x > T::ERFC_END { T::ERFC_END } else { x };
    let (one, pole, square) = (T::one(), T::of(3.75), x * x);
    let k = multiples_of_ln2::<FMA, T>(-square);
    let (high, low) = T::LN2;
    let tail = mul_add::<FMA, T>(k, -low, -lost::<FMA, T>(x, x, square));
    let rest = series::<FMA, T>(mul_add::<FMA, T>(k, -high, -square) + tail);
    let t = (x - pole) / (x + pole);
    let above = polynomial::<FMA, T>(T::ERFC_SERIES, t) + T::of(1.25);
    let double = x + x;
    let below = one + double;
    let inverse = below.recip();
    let quotient = above * inverse;
    let gap = lost::<FMA, T>(quotient, below, above) + quotient * (one - (below - double));
    let correction = mul_add::<FMA, T>(quotient, rest, -gap * inverse);
    scaled::<FMA, T>(quotient + correction, k)
}

/// `(2/pi^(1/2)) int_0^x e^(-t^2) dt`, from 1 on as `1 - e^(ln erfc x)`.
#[inline(always)]
pub(crate) fn erf<const FMA: bool, T: Number>(x: T) -> T {
    let (one, size) = (T::one(), x.abs());
    let inner = erf_near_zero::<FMA, T>(x);
    let end = if size > T::ERF_END { T::ERF_END } else { size };
    let (k, rest) = reduced::<FMA, T>(-end * polynomial::<FMA, T>(T::ERF_TAIL, end));
    let scale = T::power_of_two(k + (T::ROUND + T::BIAS));
    let outer = mul_add::<FMA, T>(-scale, rest, one - scale);
    if size < one { inner } else { outer.copysign(x) }
}

/// `1 - erf x`, accurate in its upper tail.
#[inline(always)]
pub(crate) fn erfc<const FMA: bool, T: Number>(x: T) -> T {
    let (size, tail) = (x.abs(), upper_tail::<FMA, T>(x.abs()));
    let inner = T::one() - erf_near_zero::<FMA, T>(x);
    let outer = if x < T::zero() { T::of(2.0) - tail } else { tail };
    if size < T::of(0.5) { inner } else { outer }
}
