//! [`Chain`]: a number that carries derivatives of an inner number. The rules are written over it; it turns values and
//! partials into tangents or records.

use std::cell::Cell;

use num_traits::One as _;

use super::real::Scalar;
use crate::array::element::Element;
use crate::functions::rule::{Rule, Slope, Term};

/// A number that carries derivatives of an inner number.
pub(crate) trait Chain: Copy {
    type Inner: Scalar;
    type Statement: Statement<Self>;

    fn inner(self) -> Self::Inner;
    /// Creates a number that depends on nothing.
    fn passive(value: Self::Inner) -> Self;
    /// Whether the number depends on nothing.
    fn is_passive(self) -> bool;
    /// Asks a question about the inner number.
    #[inline(always)]
    fn ask<B>(self, f: impl Fn(Self::Inner) -> B) -> B {
        f(self.inner())
    }
    /// Asks a question about two inner numbers.
    #[inline(always)]
    fn both<B>(self, other: Self, f: impl Fn(Self::Inner, Self::Inner) -> B) -> B {
        f(self.inner(), other.inner())
    }
    /// Makes the result of a function with one argument from its value and its partial.
    fn unary(self, name: &'static str, value: Self::Inner, by: impl Partial<Self::Inner>) -> Self;
    /// Makes the result of a function with two arguments.
    fn binary(
        self,
        other: Self,
        name: &'static str,
        value: Self::Inner,
        by: (impl Partial<Self::Inner>, impl Partial<Self::Inner>),
    ) -> Self;
    /// Makes `self + a b`, whose value is `value`.
    fn add_product(self, a: Self, b: Self, value: Self::Inner) -> Self;
    /// Applies a function of the table.
    #[inline(always)]
    fn apply<R: Rule>(self, f: R) -> Self {
        let x = self.inner();
        let y = x.through(f);
        if x.any(|x| f.kinks(x)) {
            self.kink(f.name());
        }
        match slope(f, x, y) {
            Slope::Zero => Self::passive(y),
            Slope::One => self.unary(f.name(), y, One),
            Slope::Number(c) => self.unary(f.name(), y, Number(Element::from_f64(c))),
            Slope::Over(c) => self.unary(f.name(), y, Number(Element::from_f64(c.recip()))),
            Slope::Piecewise(slope) => match slope.0.alike() {
                Some(c) => self.unary(f.name(), y, Number(c)),
                None => self.unary(f.name(), y, By(slope.0)),
            },
            Slope::Varying(slope) | Slope::Adjoint(slope) | Slope::Masked(slope, _) => {
                self.unary(f.name(), y, By(slope.0))
            }
        }
    }
    /// Returns `a` at points where the mask is 1 and `b` where it is 0, where both occur.
    #[inline(always)]
    fn blend(mask: Self::Inner, a: Self, b: Self) -> Self {
        let value = mask.select(a.inner(), b.inner());
        a.binary(b, "select", value, (Chosen(mask), Chosen(-mask + Self::Inner::one())))
    }
    /// Opens a statement with any number of arguments.
    fn statement() -> Self::Statement;
    /// Records that a convention stands in for a derivative that does not exist.
    fn kink(self, name: &'static str);
}

/// Returns the slope at `x` with value `y`, computed as in its tail at points where that is more accurate.
#[inline(always)]
fn slope<R: Rule, T: Scalar>(f: R, x: T, y: T) -> Slope<Point<T>> {
    let of = [x, y].map(Point);
    if !(R::TAILED && y.any(|y| f.in_tail(y))) {
        return f.slope(of[0], of[1]);
    }
    let tail = f.tail(of[0], of[1]);
    if y.any(|y| !f.in_tail(y))
        && let (Slope::Varying(tail), Slope::Varying(near)) = (tail, f.slope(of[0], of[1]))
    {
        let mask = y.compare(y, |y, _| f.in_tail(y));
        return Slope::Varying(Point(mask.select(tail.0, near.0)));
    }
    tail
}

thread_local! {
    /// The first operation in which a [`Dual`](super::Dual) met a convention that stands in for a derivative, and the
    /// number of such operations, since the current recording of this thread began. Partials of fused statements and of
    /// nested modes have no tape to which they could report it.
    pub(super) static INNER: Cell<Option<(&'static str, usize)>> = const { Cell::new(None) };
}

/// Records a convention that a number without a tape met.
#[cold]
pub(super) fn note_inner(operation: &'static str) {
    let (first, count) = INNER.get().unwrap_or((operation, 0));
    INNER.set(Some((first, count + 1)));
}

/// A statement that takes its arguments and partials one by one.
pub(crate) trait Statement<C: Chain> {
    fn argument(&mut self, argument: C, partial: C::Inner);
    /// Adds the two arguments of a product.
    #[inline(always)]
    fn product(&mut self, a: C, b: C) {
        self.argument(a, b.inner());
        self.argument(b, a.inner());
    }
    fn close(self, value: C::Inner) -> C;
}

/// A partial derivative, of a type that knows which operations on it are cheap.
pub(crate) trait Partial<T: Scalar>: Copy {
    /// Whether it is 1 or -1, so that nothing can be absorbed and nothing can overflow.
    const UNIT: bool;
    /// Whether it is constant near the argument.
    const CONSTANT: bool;
    /// Whether it is neither zero, infinite nor `NaN`, so that nothing can be absorbed.
    fn is_regular(self) -> bool;
    /// Returns the product with `d`.
    fn times(self, d: T) -> T;
    /// Returns the product without absorption in its tangents.
    fn raw(self, d: T) -> T;
    /// Returns the product in which zero absorbs infinity and `NaN`.
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

/// 1 at points where the mask is 1, and 0 elsewhere, where nothing passes, not even `NaN`.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<T>(pub(crate) T);

/// An adjoint as the partial of its product with a slope.
#[derive(Clone, Copy)]
pub(crate) struct Bar<T>(pub(crate) T);

macro_rules! factor {
    ([$($g:tt)*] $factor:ty: |$self:ident, $d:ident| $unit:expr, $constant:expr, $plain:expr, $times:expr, $raw:expr, $absorb:expr) => {
        impl<$($g)*> Partial<T> for $factor {
            const UNIT: bool = $unit;
            const CONSTANT: bool = $constant;
            #[inline(always)]
            fn is_regular($self) -> bool {
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
factor!([T: Scalar] Number<T::Plain>: |self, d| false, true, T::constant(self.0).is_regular(), d * self.0, d * self.0, T::constant(self.0).absorb(d));
factor!([T: Scalar] By<T>: |self, d| false, false, self.0.is_regular(), self.0 * d, self.0.product(d), self.0.absorb(d));
factor!([T: Scalar] Chosen<T>: |self, d| false, true, true, self.0.select(d, T::zero()), self.0.select(d, T::zero()), self.0.select(d, T::zero()));
factor!([T: Scalar] Bar<T>: |self, d| false, false, self.0.is_regular(), self.0 * d, self.0.product(d), d.absorb(self.0));

/// A scalar as a term of a slope.
#[derive(Clone, Copy)]
struct Point<T>(T);

impl<T: Scalar> Term<'_> for Point<T> {
    #[inline(always)]
    fn of(self, f: impl Rule) -> Self {
        Self(self.0.through(f))
    }

    #[inline(always)]
    fn by(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}
