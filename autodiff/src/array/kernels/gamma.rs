//! The logarithm of the gamma function and its derivatives, computed in `f64` for both types. They use Stirling's
//! series, to whose range the recurrence brings the argument (8 and above), and reflection below 0 (Abramowitz and
//! Stegun 1964, 6.1.17, 6.1.40, 6.4.6, 6.4.7, 6.4.11).

use std::f64::consts::PI;

use crate::array::kernels::number::Number;

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

/// Highest order of a derivative of digamma.
const ORDERS: usize = 100;

/// Returns `ln |Gamma(x)|`, which is infinite at the poles.
pub(crate) fn ln_gamma<T: Number>(x: T) -> T {
    T::of(x.to_f64().map_or(f64::NAN, logarithm))
}

fn logarithm(x: f64) -> f64 {
    if x < 0.5 {
        // |sin(pi x)| by the distance to the next integer, which has no rounding error.
        let sine = (PI * (x - x.round())).sin().abs();
        return if x.is_infinite() {
            f64::INFINITY
        } else {
            PI.ln() - sine.ln() - logarithm(1.0 - x)
        };
    }
    let steps = (8.0 - x).ceil().max(0.0);
    let (z, mut product, mut step) = (x + steps, 1.0, 0.0);
    while step < steps {
        product *= x + step;
        step += 1.0;
    }
    // The rounding error of the sum `x + steps`, times the slope there.
    let lost = (x - (z - steps)) * z.ln();
    if z.is_infinite() {
        return z;
    }
    let square = (z * z).recip();
    let (mut series, mut power) = (0.0, z.recip());
    for (b, k) in BERNOULLI.iter().zip((2..).step_by(2)) {
        let k = f64::from(k);
        series += b / (k * (k - 1.0)) * power;
        power *= square;
    }
    (z - 0.5) * z.ln() - z + (0.5 * (2.0 * PI).ln() + (series + lost) - f64::ln(product))
}

/// Returns the derivative of order `n` of digamma: at 0 its limit from above, and `NaN` at the poles below 0 and if `n`
/// is not an integer from 0 to 100.
pub(crate) fn polygamma<T: Number>(x: T, n: f64) -> T {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and small")]
    let known =
        |n: f64| (n.fract() == 0.0 && (0.0..=ORDERS as f64).contains(&n)).then_some(n as usize);
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
    if n == 0 && z.is_infinite() {
        return z;
    }
    // The first two terms, then `B_2k (2k + n - 1)! / (2k)! z^-(2k + n)`.
    let first = if n == 0 { -z.ln() } else { factorial / order / z.powf(order) };
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
