//! The logarithm of the gamma function and its derivatives, computed in `f64` for both types. They use Stirling's
//! series, to whose range the recurrence brings the argument (8 and above), and reflection below 0 (Abramowitz and
//! Stegun 1964, 6.1.17, 6.1.40, 6.4.6, 6.4.7, 6.4.11).

use std::f64::consts::PI;

use crate::array::kernels::math::{self, polynomial};
use crate::array::kernels::number::Number;
use crate::array::kernels::simd::{PORTABLE_FMA, mul_add};

/// The Bernoulli numbers `B_2, B_4, ...`.
const BERNOULLI: [f64; 10] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43_867.0 / 798.0,
    -174_611.0 / 330.0,
];

/// `ln pi`
const LN_PI: f64 = 1.144_729_885_849_400_2;

/// `ln(2 pi) / 2`
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// Highest order of a derivative of digamma.
const ORDERS: usize = 100;

/// `B_2k / (2k (2k - 1))`: Stirling's series is the sum of these over `z^(2k - 1)`.
const STIRLING: [[f64; 2]; 5] = [
    [1.0 / 12.0, -1.0 / 360.0],
    [1.0 / 1260.0, -1.0 / 1680.0],
    [1.0 / 1188.0, -691.0 / 360_360.0],
    [1.0 / 156.0, -3617.0 / 122_400.0],
    [43_867.0 / 244_188.0, -174_611.0 / 125_400.0],
];

/// `B_2k / 2k`: the series of digamma is the sum of these over `z^2k`.
const DIGAMMA: [[f64; 2]; 5] = [
    [1.0 / 12.0, -1.0 / 120.0],
    [1.0 / 252.0, -1.0 / 240.0],
    [1.0 / 132.0, -691.0 / 32_760.0],
    [1.0 / 12.0, -3617.0 / 8160.0],
    [43_867.0 / 14_364.0, -174_611.0 / 6600.0],
];

/// Coefficients of `sin(pi d) / d` in `d^2`; the remainder is below 3e-18 up to 1/2.
const SINE: [[f64; 2]; 6] = [
    [PI, -5.167_712_780_049_97],
    [2.550_164_039_877_345_5, -0.599_264_529_320_792_1],
    [0.082_145_886_611_128_23, -0.007_370_430_945_714_350_4],
    [0.000_466_302_805_767_612_55, -2.191_535_344_783_021_7e-5],
    [7.952_054_001_475_513e-7, -2.294_842_899_726_987_3e-8],
    [5.392_664_662_608_129e-10, -1.051_847_171_693_206_5e-11],
];

/// `sin(pi d)` for `|d| <= 1/2`.
#[inline(always)]
fn sine<const FMA: bool>(d: f64) -> f64 {
    d * polynomial::<FMA, f64>(&SINE, d * d)
}

/// The recurrence from `x >= 0` to a `z = x + m` that is at least 8.
struct Raised {
    z: f64,
    /// `x (x + 1) ... (z - 1)`
    product: f64,
    /// Its derivative.
    slope: f64,
    /// The rounding error of `z`.
    lost: f64,
}

/// Always takes eight steps, so that loops vectorise; factors that are not needed are 1.
#[inline(always)]
fn raised<const FMA: bool>(x: f64) -> Raised {
    let steps = (8.0 - x).ceil().max(0.0);
    let (mut product, mut slope) = (1.0, 0.0);
    for step in 0..8 {
        let step = f64::from(step);
        let (factor, derivative) = if step < steps { (x + step, product) } else { (1.0, 0.0) };
        slope = mul_add::<FMA, f64>(slope, factor, derivative);
        product *= factor;
    }
    let z = x + steps;
    Raised { z, product, slope, lost: x - (z - steps) }
}

/// Returns `ln |Gamma(x)|`, which is infinite at the poles.
#[inline(always)]
pub(crate) fn ln_gamma<const FMA: bool, T: Number>(x: T) -> T {
    T::of(logarithm::<FMA>(x.to_f64().unwrap_or(f64::NAN)))
}

#[inline(always)]
fn logarithm<const FMA: bool>(x: f64) -> f64 {
    // Below 1/2, Gamma(x) = (pi / sin(pi x)) / Gamma(1 - x); the distance to the next integer has no rounding error.
    let (reflected, small) = (x < 0.5, x.abs() < 1e-20);
    let Raised { z, product, lost, .. } = raised::<FMA>(if reflected { 1.0 - x } else { x });
    let (ln, square) = (math::ln::<FMA, f64>(z), (z * z).recip());
    let series = polynomial::<FMA, f64>(&STIRLING, square) / z;
    let rest = HALF_LN_TAU + mul_add::<FMA, f64>(lost, ln, series);
    let stirling = mul_add::<FMA, f64>(z - 0.5, ln, -z) + rest;
    let quotient = sine::<FMA>(x - x.round()).abs() / product;
    let (first, second) =
        if reflected { (LN_PI - stirling, quotient) } else { (stirling, product) };
    // Near 0, where quotients underflow, Gamma(x) = 1/x.
    let (first, second) = if small { (0.0, x.abs()) } else { (first, second) };
    let value = first - math::ln::<FMA, f64>(second);
    if x.is_infinite() { f64::INFINITY } else { value }
}

/// Returns `Gamma'(x) / Gamma(x)`: at 0 its limit from above, and `NaN` at the poles below 0.
#[inline(always)]
pub(crate) fn digamma<const FMA: bool, T: Number>(x: T) -> T {
    T::of(first::<FMA>(x.to_f64().unwrap_or(f64::NAN)))
}

#[inline(always)]
fn first<const FMA: bool>(x: f64) -> f64 {
    let reflected = x < 0.0;
    let Raised { z, product, slope, .. } = raised::<FMA>(if reflected { 1.0 - x } else { x });
    let square = (z * z).recip();
    let series = mul_add::<FMA, f64>(polynomial::<FMA, f64>(&DIGAMMA, square), square, 0.5 / z);
    let value = math::ln::<FMA, f64>(z) - (series + slope / product);
    let d = x - x.round();
    let cotangent = PI * sine::<FMA>(0.5 - d.abs()) / sine::<FMA>(d);
    let pole = d == 0.0 || x.is_infinite();
    match (reflected, pole) {
        (false, _) => value,
        (true, false) => value - cotangent,
        (true, true) => f64::NAN,
    }
}

/// Returns the derivative of order `n` of digamma: at 0 its limit from above, and `NaN` at the poles below 0 and if `n`
/// is not an integer from 0 to 100.
pub(crate) fn polygamma<T: Number>(x: T, n: f64) -> T {
    if n == 0.0 {
        return digamma::<PORTABLE_FMA, T>(x);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
    let known =
        |n: f64| (n.fract() == 0.0 && (1.0..=ORDERS as f64).contains(&n)).then_some(n as usize);
    T::of(known(n).zip(x.to_f64()).map_or(f64::NAN, |(n, x)| derivative(n, x)))
}

fn derivative(n: usize, x: f64) -> f64 {
    let order = n as f64;
    let sign = if n.is_multiple_of(2) { -1.0 } else { 1.0 };
    if x < 0.0 {
        if x.fract() == 0.0 || x.is_infinite() {
            return f64::NAN;
        }
        let reflected = PI.powf(order + 1.0) * cotangent(n, PI * (x - x.round()));
        return -sign * derivative(n, 1.0 - x) - reflected;
    }
    let factorial = (1..=n).fold(1.0, |product, k| product * k as f64);
    let (mut z, mut low) = (x, 0.0);
    while z < 8.0 + order {
        low += factorial / z.powf(order + 1.0);
        z += 1.0;
    }
    // The first two terms, then `B_2k (2k + n - 1)! / (2k)! z^-(2k + n)`.
    let first = factorial / order / z.powf(order);
    let (mut series, mut factor) = (0.0, factorial * (order + 1.0) / 2.0);
    let square = (z * z).recip();
    let mut power = square * z.powf(-order);
    for (b, k) in BERNOULLI.iter().zip((2..).step_by(2)) {
        let k = f64::from(k);
        series += b * factor * power;
        factor *= (k + order) * (k + order + 1.0) / ((k + 1.0) * (k + 2.0));
        power *= square;
    }
    sign * (first + factorial / (2.0 * z.powf(order + 1.0)) + series + low)
}

/// Returns the derivative of order `n` of the cotangent at `x`, which is a polynomial in the cotangent `c`, because the
/// derivative of `c` is `-(1 + c^2)`.
fn cotangent(n: usize, x: f64) -> f64 {
    let mut of = [0.0; ORDERS + 3];
    of[1] = 1.0;
    for degree in 1..=n {
        let slopes: [f64; ORDERS + 3] =
            std::array::from_fn(|k| of.get(k + 1).map_or(0.0, |of| of * (k + 1) as f64));
        for k in 0..=degree + 1 {
            of[k] = -(slopes[k] + if k < 2 { 0.0 } else { slopes[k - 2] });
        }
    }
    let c = x.tan().recip();
    of[..=n + 1].iter().rev().fold(0.0, |sum, of| sum * c + of)
}
