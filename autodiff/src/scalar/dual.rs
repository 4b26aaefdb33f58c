//! [`Dual`]: forward mode, a value with its derivatives along `N` directions.
//!
//! Cost: the value, and one or two multiplications per direction and operation. Nesting gives higher orders:
//! `Dual<Dual<f64>>` carries a second directional derivative.

use std::array::from_fn;

use super::chain::{By, Chain, Partial, Statement, note_inner};
use super::number::{number, statements};
use super::real::{Scalar, plain_fuse};

/// A number with `N` tangents.
///
/// ```
/// use hypertape_autodiff::scalar::{Dual, Float};
/// // f = x^3 with f' = 3 x^2 and f'' = 6 x: one tangent of one tangent.
/// let x = Dual::<_>::new(Dual::<f64>::new(2.0, [1.0]), [Dual::new(1.0, [0.0])]);
/// let [slope] = x.powi(3).tangents();
/// assert_eq!((slope.value(), slope.tangents()), (12.0, [12.0]));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Dual<T, const N: usize = 1> {
    value: T,
    tangents: [T; N],
}

impl<T: Scalar, const N: usize> Dual<T, N> {
    /// Creates a number from a value and its tangents.
    #[inline(always)]
    pub fn new(value: T, tangents: [T; N]) -> Self {
        Self { value, tangents }
    }

    /// Creates entry `k` of a point whose tangents are unit vectors: tangent `k` is 1, if there is one, and the others
    /// are 0.
    #[inline(always)]
    pub fn variable(value: T, k: usize) -> Self {
        Self { value, tangents: from_fn(|i| if i == k { T::one() } else { T::zero() }) }
    }

    /// Returns the value.
    #[inline(always)]
    pub fn value(self) -> T {
        self.value
    }

    /// Returns the tangents as drivers return them: `NaN` where the value is `NaN`.
    #[inline(always)]
    pub(super) fn sound_tangents(self) -> [T; N] {
        self.value.lost().map_or(self.tangents, |lost| from_fn(|k| self.tangents[k] - lost))
    }

    /// Returns the tangents.
    #[inline(always)]
    pub fn tangents(self) -> [T; N] {
        self.tangents
    }
}

impl<T: Scalar, const N: usize> Chain for Dual<T, N> {
    type Inner = T;
    type Statement = [T; N];

    #[inline(always)]
    fn inner(self) -> T {
        self.value
    }

    #[inline(always)]
    fn passive(value: T) -> Self {
        Self { value, tangents: [T::zero(); N] }
    }

    #[inline(always)]
    fn is_passive(self) -> bool {
        self.tangents.iter().all(|d| d.vanishes())
    }

    #[inline(always)]
    fn unary(self, _: &'static str, value: T, by: impl Partial<T>) -> Self {
        let mut tangents: [T; N] = from_fn(|k| by.times(self.tangents[k]));
        if !unit(&by) && if N <= FEW { may_be_nan(&tangents) } else { !by.is_regular() } {
            let absorbed = absorbed(by, self.tangents);
            tangents = from_fn(|k| absorbed[k].by_fields());
        }
        Self { value, tangents }
    }

    #[inline(always)]
    fn binary(
        self,
        other: Self,
        _: &'static str,
        value: T,
        (by, by_other): (impl Partial<T>, impl Partial<T>),
    ) -> Self {
        let (d, e) = (self.tangents, other.tangents);
        let mut tangents = from_fn(|k| by.times(d[k]) + by_other.times(e[k]));
        let units = unit(&by) && unit(&by_other);
        let plain = || by.is_regular() && by_other.is_regular();
        if !units && if N <= FEW { may_be_nan(&tangents) } else { !plain() } {
            let (d, e) = (absorbed(by, d), absorbed(by_other, e));
            tangents = from_fn(|k| d[k].by_fields() + e[k].by_fields());
        }
        Self { value, tangents }
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self, value: T) -> Self {
        let product = a.binary(b, "mul", value, (By(b.value), By(a.value)));
        Self { value, tangents: from_fn(|k| self.tangents[k] + product.tangents[k]) }
    }

    #[inline(always)]
    fn blend(mask: T, a: Self, b: Self) -> Self {
        let tangents = from_fn(|k| mask.select(a.tangents[k], b.tangents[k]));
        Self { value: mask.select(a.value, b.value), tangents }
    }

    #[inline(always)]
    fn statement() -> [T; N] {
        [T::zero(); N]
    }

    #[inline(always)]
    fn kink(self, name: &'static str) {
        note_inner(name);
    }
}

/// Number of tangents up to which results, not factors, are checked for zeros that should have absorbed.
const FEW: usize = 1;

#[inline(always)]
fn unit<T: Scalar, A: Partial<T>>(_: &A) -> bool {
    A::UNIT
}

#[inline(always)]
fn may_be_nan<T: Scalar>(d: &[T]) -> bool {
    !d.iter().fold(T::zero(), |sum, &d| sum + d).surely_number()
}

/// Multiplies tangents by a factor that is zero or not finite. Not inlined, so that operators stay small.
#[cold]
#[inline(never)]
fn absorbed<T: Scalar, const N: usize>(by: impl Partial<T>, d: [T; N]) -> [T; N] {
    d.map(|d| by.absorb(d))
}

impl<T: Scalar, const N: usize> Statement<Dual<T, N>> for [T; N] {
    #[inline(always)]
    fn argument(&mut self, argument: Dual<T, N>, partial: T) {
        let d = argument.unary("", partial, By(partial)).tangents;
        *self = from_fn(|k| self[k] + d[k]);
    }

    #[inline(always)]
    fn close(self, value: T) -> Dual<T, N> {
        Dual { value, tangents: self }
    }
}

number! { rules [T: Scalar, const N: usize] Dual<T, N> {
    statements! {}
    plain_fuse! {}
    #[inline(always)]
    fn surely_finite(self) -> bool {
        self.tangents.iter().fold(self.value, |sum, &d| sum + d).surely_finite()
    }
    #[inline(always)]
    fn by_fields(self) -> Self {
        Self { value: self.value.by_fields(), tangents: from_fn(|k| self.tangents[k].by_fields()) }
    }
    #[inline(always)]
    fn surely_number(self) -> bool {
        self.tangents.iter().fold(self.value, |sum, &d| sum + d).surely_number()
    }
    #[inline(always)]
    fn product(self, factor: Self) -> Self {
        let (a, b) = (self, factor);
        Self {
            value: a.value.product(b.value),
            tangents: from_fn(|k| a.value.product(b.tangents[k]) + a.tangents[k].product(b.value)),
        }
    }
    #[inline(always)]
    fn vanishes(self) -> bool {
        self.value.vanishes() && self.is_passive()
    }
} }
