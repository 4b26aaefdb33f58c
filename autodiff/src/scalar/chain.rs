//! What carries derivatives of an inner number, as the rules see it: a [`Chain`] turns values and partials into tangents or
//! records.

use num_traits::One as _;

use super::real::Scalar;

/// A number that carries derivatives of an inner number.
pub(crate) trait Chain: Copy {
    type Inner: Scalar;
    type Statement: Statement<Self>;

    fn inner(self) -> Self::Inner;
    /// A number that depends on nothing.
    fn passive(value: Self::Inner) -> Self;
    /// Whether it depends on nothing.
    fn is_passive(self) -> bool;
    /// The result of a function with one argument, from its value and partial.
    fn unary(self, name: &'static str, value: Self::Inner, by: impl Factor<Self::Inner>) -> Self;
    /// The same with two arguments.
    fn binary(
        self,
        other: Self,
        name: &'static str,
        value: Self::Inner,
        by: (impl Factor<Self::Inner>, impl Factor<Self::Inner>),
    ) -> Self;
    /// `value`, where that is `self + a b`.
    fn add_product(self, a: Self, b: Self, value: Self::Inner) -> Self;
    /// Opens a statement of any number of arguments.
    fn statement() -> Self::Statement;
    /// Notes that a convention stands in for a derivative that does not exist.
    fn kink(self, name: &'static str);
}

/// Arguments and partials as they come.
pub(crate) trait Statement<C: Chain> {
    fn argument(&mut self, argument: C, partial: C::Inner);
    /// The two arguments of a product.
    #[inline(always)]
    fn product(&mut self, a: C, b: C) {
        self.argument(a, b.inner());
        self.argument(b, a.inner());
    }
    fn close(self, value: C::Inner) -> C;
}

/// A partial, of a type that knows what is cheap.
pub(crate) trait Factor<T: Scalar>: Copy {
    /// Whether it is 1 or -1, so that there is nothing to absorb and nothing to overflow.
    const UNIT: bool;
    /// Whether it stays the same near the argument.
    const CONSTANT: bool;
    /// Whether it is neither zero, infinite nor `NaN`, so that there is nothing to absorb.
    fn is_plain(self) -> bool;
    /// The product.
    fn times(self, d: T) -> T;
    /// The product without absorption in its tangents.
    fn raw(self, d: T) -> T;
    /// The product in which zero absorbs infinity and `NaN`.
    fn absorb(self, d: T) -> T;
}

#[derive(Clone, Copy)]
pub(crate) struct One;

#[derive(Clone, Copy)]
pub(crate) struct Minus;

/// A plain number.
#[derive(Clone, Copy)]
pub(crate) struct Number<F>(pub(crate) F);

#[derive(Clone, Copy)]
pub(crate) struct By<T>(pub(crate) T);

macro_rules! factor {
    ([$($g:tt)*] $factor:ty: |$self:ident, $d:ident| $unit:expr, $constant:expr, $plain:expr, $times:expr, $raw:expr, $absorb:expr) => {
        impl<$($g)*> Factor<T> for $factor {
                        const UNIT: bool = $unit;
            const CONSTANT: bool = $constant;
            #[inline(always)]
            fn is_plain($self) -> bool {
                $plain
            }
            #[inline(always)]
            fn times($self, $d: T) -> T {
                $times
            }
            #[inline(always)]
            fn raw($self, $d: T) -> T {
                $raw
            }
            #[inline(always)]
            fn absorb($self, $d: T) -> T {
                $absorb
            }
        }
    };
}
factor!([T: Scalar] One: |self, d| true, true, true, d, d, d);
factor!([T: Scalar] Minus: |self, d| true, true, true, -d, -d, -d);
factor!([T: Scalar] Number<T::Plain>: |self, d| false, true, T::constant(self.0).is_plain(), d * self.0, d * self.0, T::constant(self.0).absorb(d));
factor!([T: Scalar] By<T>: |self, d| false, false, self.0.is_plain(), self.0 * d, self.0.product(d), self.0.absorb(d));

/// Partials of `x^p`: `p x^{p-1}`, and 0 for powers between 0 and 1 at 0; `x^p ln x`.
#[inline(always)]
pub(crate) fn power_slopes<T: Scalar>(x: T, p: T, value: T) -> (T, T) {
    let flat = x.is_zero() && p > T::zero() && p < T::one();
    let by_x = if flat { T::zero() } else { p.absorb(x.powf(p - T::Plain::one())) };
    (by_x, value.absorb(x.ln()))
}

/// `a/r` for the partials of norms: 0 at 0.
#[inline(always)]
pub(crate) fn over_norm<T: Scalar>(a: T, r: T) -> T {
    if r.is_zero() { T::zero() } else { a / r }
}

/// A slope where the value `y` exists, otherwise `NaN` as that is.
#[inline(always)]
pub(crate) fn inside<T: Scalar>(y: T, slope: T) -> T {
    if y.is_nan() { T::nan() } else { slope }
}
