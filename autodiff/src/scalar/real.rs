//! [`Scalar`] and [`Real`]: the traits that functions of scalars are written over.
//!
//! | type | evaluates |
//! |---|---|
//! | `f32`, `f64` | the value |
//! | [`Dual<T, N>`](super::Dual) | the value and `N` directional derivatives |
//! | [`Var<T>`](super::Var) | the value, recorded for a gradient |
//! | `Var<Dual<f64, N>>` | the value, recorded for a gradient and `N` Hessian-vector products |
//! | [`Lanes<f64, N>`](super::Lanes) and all of these over it | the same at `N` points side by side |
//!
//! Elementary functions are those of [`Float`], so that generic code which knows nothing of derivatives can be
//! differentiated. Comparisons use the primal value. Derivatives at kinks and singular points, and products with zeros
//! in the chain rule, are those of [`conventions`](crate::conventions).

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Sub, SubAssign};

use num_traits::{Float, FromPrimitive, Zero};

use crate::array::element::Element;
use crate::conventions;
use crate::functions::functions;
use crate::functions::rule::{self, Rule};

/// A real number with or without derivatives: [`Float`], operators with plain floats, and functions that a tape records
/// as one statement. User functions are written over [`Real`], which names the plain float.
#[expect(clippy::return_self_not_must_use, reason = "types with derivatives are `must_use`")]
pub trait Scalar:
    Float
    + FromPrimitive
    + Debug
    + Default
    + Sum
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Add<Self::Plain, Output = Self>
    + Sub<Self::Plain, Output = Self>
    + Mul<Self::Plain, Output = Self>
    + Div<Self::Plain, Output = Self>
    + AddAssign<Self::Plain>
    + SubAssign<Self::Plain>
    + MulAssign<Self::Plain>
    + DivAssign<Self::Plain>
    + PartialOrd<Self::Plain>
{
    /// The plain float, `f32` or `f64`.
    type Plain: Element;
    /// The type on which [`fuse`](Self::fuse) evaluates its closure.
    type Local<const N: usize>: Scalar<Plain = Self::Plain>;
    /// The order of the derivatives that the type carries: one for each [`Dual`](super::Dual) or [`Var`](super::Var) in
    /// it.
    const ORDER: u32;

    /// Creates a number that depends on nothing.
    fn constant(value: Self::Plain) -> Self;
    /// Returns the value without derivatives.
    fn primal(self) -> Self::Plain;
    /// Returns 1 if `self < other` and 0 otherwise, as a constant.
    #[inline(always)]
    fn less(self, other: Self) -> Self {
        self.compare(other, |a, b| a < b)
    }
    /// Returns 1 if `self <= other` and 0 otherwise, as a constant.
    #[inline(always)]
    fn at_most(self, other: Self) -> Self {
        self.compare(other, |a, b| a <= b)
    }
    /// Returns 1 if `self = other` and 0 otherwise, as a constant.
    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        self.compare(other, |a, b| a == b)
    }
    /// Returns `a` if the mask `self` is not 0 and `b` if it is. Unlike a branch, it chooses for each of [several
    /// points](super::Lanes) separately.
    fn select(self, a: Self, b: Self) -> Self;
    functions!(scalar crate::scalar::real::declared);
    functions!(number crate::scalar::real::declared);
    /// Returns `self + a b`, rounded twice, as one statement.
    fn add_product(self, a: Self, b: Self) -> Self;
    /// Returns `sum_i x_i` as one statement.
    #[inline]
    fn sum_of(x: &[Self]) -> Self {
        x.iter().copied().sum()
    }
    /// Returns `sum_i a_i b_i` as one statement.
    ///
    /// # Panics
    /// Panics if the lengths differ.
    #[inline]
    fn dot(a: &[Self], b: &[Self]) -> Self {
        expect_pairs("dot", a.len(), b.len());
        a.iter().zip(b).fold(Self::zero(), |sum, (&a, &b)| sum.add_product(a, b))
    }
    /// Returns `sum_i c_i x_i` with constants `c` as one statement.
    ///
    /// # Panics
    /// Panics if the lengths differ.
    #[inline]
    fn linear(c: &[Self::Plain], x: &[Self]) -> Self {
        expect_pairs("linear", c.len(), x.len());
        c.iter().zip(x).fold(Self::zero(), |sum, (&c, &x)| sum + x * c)
    }
    /// Returns `ln sum_i e^{x_i}` as one statement, without overflow. It is minus infinity if `x` is empty.
    #[inline]
    fn logsumexp(x: &[Self]) -> Self {
        let most = shift(x.iter().copied());
        x.iter().map(|&x| (x - most).exp()).sum::<Self>().ln() + most
    }
    /// Returns `f(x)`, recorded as one statement per result. The `N` partials of a result are computed at once, by
    /// packed forward mode. A statement costs more than an operator: 1 ns more with two arguments, 3 ns with three and
    /// 5 ns with four. Each operation after the first costs 1 ns, where an operator costs 2 to 4 ns. It pays from two
    /// operations on two arguments, and from three on three or four (the group `statements` of the bench `scalar`).
    ///
    /// ```
    /// use hypertape_autodiff::scalar::{Float, Scalar, Tape};
    /// let mut gradient = [0.0; 2];
    /// let y = Tape::new().gradient(
    ///     |x| Scalar::fuse([x[0], x[1]], |[a, b]| [(a * b).sin() + a / b])[0],
    ///     &[0.0, 2.0],
    ///     &mut gradient,
    /// )?;
    /// assert_eq!((y, gradient), (0.0, [2.5, 0.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    fn fuse<const N: usize, const M: usize>(
        x: [Self; N],
        f: impl FnOnce([Self::Local<N>; N]) -> [Self::Local<N>; M],
    ) -> [Self; M];

    /// Applies a function of the table.
    #[doc(hidden)]
    fn through(self, f: impl Rule) -> Self;
    /// Returns the product of a slope and an adjoint or tangent, see [`conventions::passed`].
    #[doc(hidden)]
    fn absorb(self, factor: Self) -> Self;
    /// Returns the same number, put together from its parts. Without it, the result of a function that is not inlined,
    /// in one arm of a branch, would force the result of the other arm into memory.
    #[doc(hidden)]
    #[inline(always)]
    fn by_fields(self) -> Self {
        self
    }
    /// Returns the product without absorption.
    #[doc(hidden)]
    #[inline(always)]
    fn product(self, factor: Self) -> Self {
        self * factor
    }
    /// Whether value and derivatives are certainly finite. It may be false although they are, because their sum may
    /// overflow.
    #[doc(hidden)]
    #[inline(always)]
    fn surely_finite(self) -> bool {
        (self * Self::zero()).is_zero()
    }
    /// Whether neither value nor derivatives are `NaN`. It may be false although they are not, because their sum may be
    /// undefined.
    #[doc(hidden)]
    #[inline(always)]
    fn surely_number(self) -> bool {
        !self.is_nan()
    }
    /// Whether the value is neither zero, infinite nor `NaN`.
    #[doc(hidden)]
    #[inline(always)]
    fn is_regular(self) -> bool {
        // Cheaper than reading the exponent.
        !self.any(|x| x * Self::Plain::zero() != Self::Plain::zero() || x == Self::Plain::zero())
    }
    /// Whether the value at some point passes a test. Only [`Lanes`](super::Lanes) have more than one point.
    #[doc(hidden)]
    fn any(self, test: impl Fn(Self::Plain) -> bool) -> bool;
    /// Returns the value if it is the same at all points.
    #[doc(hidden)]
    fn alike(self) -> Option<Self::Plain>;
    /// Applies a function to the value at each point, and returns a constant.
    #[doc(hidden)]
    fn each(self, f: impl Fn(Self::Plain) -> Self::Plain) -> Self;
    /// Returns 1 for points at which the values pass a test and 0 for others, as a constant.
    #[doc(hidden)]
    fn compare(self, other: Self, test: impl Fn(Self::Plain, Self::Plain) -> bool) -> Self;
    /// Returns `NaN` for points at which the value is `NaN` and 0 for others, or `None` if there are no such points.
    #[doc(hidden)]
    #[inline(always)]
    fn lost(self) -> Option<Self> {
        let lost = |x: Self::Plain| if x.is_nan() { x } else { Self::Plain::zero() };
        self.any(Float::is_nan).then(|| self.each(lost))
    }
    /// Whether value and derivatives are zero.
    #[doc(hidden)]
    #[inline(always)]
    fn vanishes(self) -> bool {
        self.is_zero()
    }
}

/// A [`Scalar`] over the plain float `F`: `fn f<R: Real>(x: &[R]) -> R`, or `R: Real<f32>`.
///
/// ```
/// use hypertape_autodiff::scalar::{Dual, Real};
/// fn f<R: Real>(x: R) -> R {
///     (x * 2.0 - 1.0).exp() / x
/// }
/// assert_eq!(f(0.5), 2.0);
/// // f' = (2 x - 1) e^{2x - 1} / x^2
/// assert_eq!(f(Dual::<f64>::new(0.5, [1.0])).tangents(), [0.0]);
/// ```
pub trait Real<F = f64>: Scalar<Plain = F> {}
impl<F, R: Scalar<Plain = F>> Real<F> for R {}

/// Panics if two lists that belong together differ in length.
#[track_caller]
#[inline(always)]
pub(super) fn expect_pairs(operation: &str, left: usize, right: usize) {
    assert!(left == right, "{operation}: {left} and {right} values, expected as many of both");
}

/// Returns the number to subtract before exponentials, as a constant: the largest, or 0 if that is infinite, which
/// gives the right limits.
#[inline(always)]
pub(super) fn shift<T: Scalar>(x: impl Iterator<Item = T>) -> T {
    let most = x.fold(T::neg_infinity(), |most, x| most.max(x.each(|x| x)));
    most.each(|most| if most.is_finite() { most } else { T::Plain::zero() })
}

/// Declares the functions of the table.
macro_rules! declared {
    ({} $($(#[$doc:meta])* $Name:ident $(($c:ident: $number:ty))? $method:ident $rule:tt)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        fn $method(self $(, $c: Self::Plain)?) -> Self {
            self.through(rule::$Name $(($c.as_f64() as $number))?)
        }
    )*};
}
use declared;

/// [`fuse`](Scalar::fuse) of numbers that only call the function. It is not a default method of the trait, because the
/// type `Local` cannot have a default.
macro_rules! plain_fuse {
    () => {
        type Local<const L: usize> = Self;

        #[inline(always)]
        fn fuse<const L: usize, const M: usize>(
            x: [Self; L],
            f: impl FnOnce([Self; L]) -> [Self; M],
        ) -> [Self; M] {
            f(x)
        }
    };
}

macro_rules! plain {
    ($($f:ty)*) => {$(
        impl Scalar for $f {
            type Plain = Self;
            const ORDER: u32 = 0;
            plain_fuse! {}

            #[inline(always)]
            fn constant(value: Self) -> Self {
                value
            }
            #[inline(always)]
            fn primal(self) -> Self {
                self
            }
            #[inline(always)]
            fn through(self, f: impl Rule) -> Self {
                f.plain(self)
            }
            #[inline(always)]
            fn add_product(self, a: Self, b: Self) -> Self {
                self + a * b
            }
            #[inline(always)]
            fn absorb(self, factor: Self) -> Self {
                conventions::passed(self, factor)
            }
            #[inline(always)]
            fn select(self, a: Self, b: Self) -> Self {
                if self == 0.0 { b } else { a }
            }
            #[inline(always)]
            fn any(self, test: impl Fn(Self) -> bool) -> bool {
                test(self)
            }
            #[inline(always)]
            fn alike(self) -> Option<Self> {
                Some(self)
            }
            #[inline(always)]
            fn each(self, f: impl Fn(Self) -> Self) -> Self {
                f(self)
            }
            #[inline(always)]
            fn compare(self, other: Self, test: impl Fn(Self, Self) -> bool) -> Self {
                if test(self, other) { 1.0 } else { 0.0 }
            }
        }
    )*};
}
plain!(f32 f64);

pub(crate) use plain_fuse;
