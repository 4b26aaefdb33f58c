//! Derivative values at kinks and singular points, and what zeros do to what is not finite, each stated once.
//!
//! Scalars and arrays share these. Where a function has no derivative, the value below is what every mode returns, so
//! that forward, reverse and nested modes agree with each other.
//!
//! | function | where | derivative | why |
//! |---|---|---|---|
//! | `abs` | 0 | 0 | the symmetric subgradient |
//! | `relu` | 0 | 0 | the value of the flat side |
//! | `floor`, `ceil`, `round`, `trunc`, `signum` | everywhere | 0, `fract` 1 | also at jumps |
//! | `max(a, b)`, `min(a, b)` | `a = b` | 1 for `a`, 0 for `b` | the first operand counts as chosen |
//! | `max(a, b)`, `min(a, b)` | one is `NaN` | 1 for the other | a number goes before `NaN`, as in IEEE 754 and `f64::max` |
//! | `sqrt`, `cbrt` | 0 | 0 | so `norm`, `sqrt(sum x^2)`, has gradient 0 at 0 instead of `NaN` |
//! | `hypot`, `atan2` | both 0 | 0 | likewise |
//! | `x^y` in `y` | `x = 0`, `y > 0` | 0 | the limit; `NaN` where `x < 0` |
//! | `select(mask, a, b)` | everywhere | 1 for the one that is chosen | nothing passes to the other, not `NaN` either |
//! | `clamp` | outside its ends, and at them | 0 | as `relu` |
//! | `less`, `at_most`, `equal`, `argmax` | everywhere | 0 | also at jumps |
//! | `max_over`, `min_over` | several are largest | 1 for the first | as `max`, also with `NaN` |
//! | `cholesky` | everywhere | that of the symmetric part | entries of the upper triangle are mirror images |
//! | `eigen` | eigenvalues that repeat | of first order vectors of one eigenvalue do not turn into each other | right for what does not depend on their choice; of second order a fault |
//! | `x^p`, `0 < p < 1` | 0 | 0 | agrees with `sqrt`, which is `p = 1/2` |
//! | `x^p`, `p = 0` or `p >= 1` | 0 | 0, but 1 at `p = 1` | the limit |
//! | `x^p`, `p < 0`; `1/x` | 0 | infinite | the value is infinite as well |
//! | `x^p`, `p` not an integer | `x < 0` | `NaN` | the value is `NaN` as well |
//! | `ln`, `log2`, `log10`, `ln_1p`; `atanh` | the end of its domain | infinite | the value is infinite as well |
//! | any | outside its domain | `NaN` | the value is `NaN` as well |
//! | `logsumexp` | one entry is `inf` | 1 for it, 0 for others | the limit |
//! | `logsumexp` | several are `inf` | `NaN` for them | shares depend on the way there |
//! | `logsumexp` | all are `-inf` | 0 | the rule for zeros |
//!
//! # Zeros
//!
//! A chain rule multiplies partials by tangents, or by adjoints. What a branch that was not taken would have contributed
//! arrives there as zero times infinity or `NaN`. One rule says what that is:
//!
//! 1. *A zero adjoint, or tangent, absorbs everything*: nothing depends on it.
//! 2. *A zero partial absorbs infinity, but never `NaN`*: the limit is that of what stays constant, but an error is not hidden.
//! 3. *Where the value of a result is `NaN`, drivers return derivatives that are `NaN`*, of every order, for all arguments.
//!
//! The tape of scalars leaves a partial off only where it is constant by the rules above. Examples, each in all modes:
//!
//! | function | at | derivative | by |
//! |---|---|---|---|
//! | `relu(ln x)` | 0 | 0 | 1: the flat side passes 0 to `ln`, whose slope is infinite |
//! | `min(e^x, 10)` | 1000 | 0 | 1 |
//! | `max(x, ln x)` | 0 | 1 | 1 |
//! | entry 1 of `ln x` | (0, 1) | (0, 1) | 1 |
//! | `ln(x y)` | (0, 0) | (0, 0) | 2: the slope of `ln` is infinite, the partials of the product are 0 |
//! | `acos(1 - x y)` | (0, 0) | (0, 0) | 2 |
//! | `ln(e^a + e^b)` by `logsumexp` | (-inf, -inf) | (0, 0) | 2 |
//! | `(x - 1)^2 ln(x - 2)` | 1 | `NaN` | 3: without it 0, since `(x - 1)^2` is flat |
//!
//! Sums of products (`matmul`, `dot`, convolutions of arrays) multiply as they are: a zero there is data more often than a
//! branch, and to look at each would take as long as the product.
//!
//! ```
//! use hypertape_autodiff::conventions;
//! assert_eq!(conventions::sign(0.0), 0.0);
//! assert_eq!(conventions::power_or_zero(0.0, -0.5), 0.0);
//! ```

use num_traits::Float;

/// Slope of `abs`: -1, 0 or 1; 0 at 0.
pub fn sign<T: Float>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x < T::zero() {
        -T::one()
    } else {
        x.abs()
    }
}

/// Slope of `relu`: 1 above 0, otherwise 0.
pub fn step<T: Float>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x <= T::zero() {
        T::zero()
    } else {
        x
    }
}

/// Slope of `max(a, b)` in `a`, and in `-a` of `min(-a, -b)`: 1 where `a >= b` or `b` is `NaN`, otherwise 0.
pub fn at_least<T: Float>(a: T, b: T) -> T {
    if a >= b || b.is_nan() { T::one() } else { T::zero() }
}

/// `slope c` for an adjoint or a tangent `c`: zero of `c` absorbs everything, zero of the slope infinity, but not `NaN`.
#[inline(always)]
pub fn passed<T: Float>(slope: T, c: T) -> T {
    let zero = c.is_zero() || (slope.is_zero() && !c.is_nan());
    if zero { T::zero() } else { slope * c }
}

/// [`power`] with an exponent of the same type; `NaN` where that is.
pub fn power_of<T: Float>(x: T, p: T) -> T {
    power(x, p.to_f64().unwrap_or(f64::NAN))
}

/// `x^p`, by repeated multiplication where `p` is an integer from -64 to 64.
pub fn power<T: Float>(x: T, p: f64) -> T {
    // Exact for every integer exponent that fits, so the cast back compares equal. Errors of products add up.
    #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
    let n = p as i32;
    if f64::from(n) == p && p.abs() <= 64.0 {
        x.powi(n)
    } else {
        x.powf(T::from(p).unwrap_or_else(T::nan))
    }
}

/// `x^p`, but 0 at `x = 0`: the slope of `sqrt` and of powers between 0 and 1 is a multiple of this.
pub fn power_or_zero<T: Float>(x: T, p: f64) -> T {
    if x.is_zero() { T::zero() } else { power(x, p) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stated_value() {
        assert_eq!([sign(-2.0), sign(0.0), sign(-0.0), sign(3.0)], [-1.0, 0.0, 0.0, 1.0]);
        assert_eq!([step(-2.0), step(0.0), step(3.0)], [0.0, 0.0, 1.0]);
        assert_eq!([at_least(1.0, 1.0), at_least(0.0, 1.0), at_least(1.0, 0.0)], [1.0, 0.0, 1.0]);
        assert_eq!([power(0.0, 0.0), power(2.0, -1.0), power(-3.0, 2.0)], [1.0, 0.5, 9.0]);
        assert_eq!(power(4.0, 0.5), 2.0);
        assert_eq!([power_or_zero(0.0, -0.5), power_or_zero(4.0, -0.5)], [0.0, 0.5]);
        assert!(power(-1.0, 0.5).is_nan());
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!([passed(inf, 0.0), passed(nan, 0.0), passed(0.0, inf)], [0.0; 3]);
        assert!(passed(0.0, nan).is_nan() && passed(nan, 1.0).is_nan());
    }

    #[test]
    fn nan_stays_nan() {
        let nan = f64::NAN;
        assert!(sign(nan).is_nan() && step(nan).is_nan());
        assert_eq!([at_least(nan, 0.0), at_least(0.0, nan)], [0.0, 1.0]);
        assert!(power_or_zero(nan, -0.5).is_nan());
    }
}
