//! Derivative values at kinks and singular points, and products of zeros with values that are not finite.
//!
//! Scalars and arrays share these conventions. Where a function has no derivative, the table gives the value that every
//! mode returns, so that forward, reverse and nested modes agree with each other.
//!
//! | function | where | derivative | why |
//! |---|---|---|---|
//! | `abs` | 0 | 0 | the symmetric subgradient |
//! | `relu` | 0 | 0 | the value of the flat side |
//! | `floor`, `ceil`, `round`, `trunc`, `signum` | everywhere | 0; 1 for `fract` | also at jumps |
//! | `max(a, b)`, `min(a, b)` | `a = b` | 1 for `a`, 0 for `b` | the first operand counts as chosen |
//! | `max(a, b)`, `min(a, b)` | one is `NaN` | 1 for the other | a number is chosen over `NaN`, as by IEEE 754 and `f64::max` |
//! | `sqrt`, `cbrt` | 0 | 0 | so `norm`, `sqrt(sum x^2)`, has gradient 0 at 0 instead of `NaN` |
//! | `hypot`, `atan2` | both 0 | 0 | as for `norm` |
//! | `x^y` in `y` | `x = 0`, `y > 0` | 0 | the limit; `NaN` where `x < 0` |
//! | `select(mask, a, b)` | everywhere | 1 for the chosen one | nothing passes to the other, not even `NaN` |
//! | `clamp` | at its ends and beyond | 0 | as for `relu` |
//! | `less`, `at_most`, `equal`, `argmax` | everywhere | 0 | also at jumps |
//! | `max_over`, `min_over` | several are largest | 1 for the first | as for `max`, also with `NaN` |
//! | `cholesky` | everywhere | that of the symmetric part | entries of the upper triangle are mirror images |
//! | `eigen` | eigenvalues that repeat | first order: eigenvectors of one eigenvalue do not rotate into each other | right for functions that do not depend on the choice of eigenvectors; a fault for second order |
//! | `x^p`, `0 < p < 1` | 0 | 0 | agrees with `sqrt`, which is `p = 1/2` |
//! | `x^p`, `p = 0` or `p >= 1` | 0 | 0, but 1 at `p = 1` | the limit |
//! | `x^p`, `p < 0`; `1/x` | 0 | infinite | the value is infinite as well |
//! | `x^p`, `p` not an integer | `x < 0` | `NaN` | the value is `NaN` as well |
//! | `ln`, `log2`, `log10`, `ln_1p`; `atanh` | the end of the domain | infinite | the value is infinite as well |
//! | any | outside the domain | `NaN` | the value is `NaN` as well |
//! | `logsumexp` | one entry is `inf` | 1 for it, 0 for others | the limit |
//! | `logsumexp` | several are `inf` | `NaN` for them | the limit depends on the path |
//! | `logsumexp` | all are `-inf` | 0 | the rule for zeros |
//!
//! # Zeros
//!
//! The chain rule multiplies partial derivatives by tangents or adjoints. The contribution of a branch that was not
//! taken appears there as zero times infinity or zero times `NaN`. Three rules say what this product is:
//!
//! 1. *A zero adjoint, or tangent, absorbs everything*: nothing depends on it.
//! 2. *A zero partial absorbs infinity, but never `NaN`*: the limit is that of a constant, but an error is not hidden.
//! 3. *Where the value of a result is `NaN`, drivers return derivatives that are `NaN`*, of every order, for all
//!    arguments.
//!
//! The scalar tape omits a partial only where it is constant by the rules above. Examples, each of which holds in all
//! modes:
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
//! Sums of products (`matmul`, `dot`, convolutions of arrays) multiply without these rules: there a zero is more often
//! data than a branch, and checking every entry would take as long as the product.
//!
//! ```
//! use hypertape_autodiff::conventions;
//! assert_eq!(conventions::sign(0.0), 0.0);
//! assert_eq!(conventions::power_or_zero(0.0, -0.5), 0.0);
//! ```

use num_traits::Float;

/// Returns the slope of `abs`: -1, 0 or 1; 0 at 0.
pub fn sign<T: Float>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x < T::zero() {
        -T::one()
    } else {
        x.abs()
    }
}

/// Returns the slope of `relu`: 1 above 0, otherwise 0.
pub fn step<T: Float>(x: T) -> T {
    if x > T::zero() {
        T::one()
    } else if x <= T::zero() {
        T::zero()
    } else {
        x
    }
}

/// Returns the slope of `max(a, b)` in `a`, and of `min(-a, -b)` in `-a`: 1 where `a >= b` or `b` is `NaN`,
/// otherwise 0.
pub fn at_least<T: Float>(a: T, b: T) -> T {
    if a >= b || b.is_nan() { T::one() } else { T::zero() }
}

/// Returns `slope * c` for an adjoint or a tangent `c`. A zero `c` absorbs everything; a zero slope absorbs infinity,
/// but not `NaN`.
#[inline(always)]
pub fn passed<T: Float>(slope: T, c: T) -> T {
    // Without `||` and `&&`, for which loops over arrays would read one argument only where the other asks for it.
    let zero = c.is_zero() | (slope.is_zero() & !c.is_nan());
    if zero { T::zero() } else { slope * c }
}

/// Returns [`power`] with an exponent of the type of `x`; `NaN` where the exponent is `NaN`.
pub fn power_of<T: Float>(x: T, p: T) -> T {
    power(x, p.to_f64().unwrap_or(f64::NAN))
}

/// Returns `x^p`, by repeated multiplication if `p` is an integer from -64 to 64.
pub fn power<T: Float>(x: T, p: f64) -> T {
    // The cast back is exact for every integer exponent that fits. The bound is there because errors of products add
    // up.
    #[expect(clippy::cast_possible_truncation, reason = "compared with the original below")]
    let n = p as i32;
    if f64::from(n) == p && p.abs() <= 64.0 {
        x.powi(n)
    } else {
        x.powf(T::from(p).unwrap_or_else(T::nan))
    }
}

/// Returns `x^p`, but 0 at `x = 0`. The slopes of `sqrt` and of powers between 0 and 1 are multiples of it.
pub fn power_or_zero<T: Float>(x: T, p: f64) -> T {
    if x.is_zero() { T::zero() } else { power(x, p) }
}
