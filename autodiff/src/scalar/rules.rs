//! The rules of differentiation, each stated once for [`Dual`](super::Dual) and [`Var`](super::Var): values and partials
//! over the inner number, which a [`Chain`] turns into tangents or records.

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

/// Operators, traits of `num_traits` and [`Scalar`] for a [`Chain`] with inner number `T`.
macro_rules! number {
    ([$($g:tt)*] $Type:ty { $($particular:tt)* }) => { const _: () = {
        use std::cmp::Ordering;
        use std::f64::consts::{LN_2, LN_10};
        use std::iter::Sum;
        use std::num::FpCategory;
        use std::ops::{
            Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, RemAssign, Sub, SubAssign,
        };

        use num_traits::{
            Float, FromPrimitive, Num, NumCast, One as _, Signed, ToPrimitive, Zero,
        };

        use $crate::array::element::Element;
        use $crate::conventions;
        use $crate::scalar::real::{expect_pairs, shift};
        use $crate::scalar::rules::{By, Minus, Number, One, over_norm, power_slopes};

        $crate::scalar::rules::operators! { [$($g)*] $Type;
            Add add AddAssign add_assign: |a, b| (a + b, One, One);
            Sub sub SubAssign sub_assign: |a, b| (a - b, One, Minus);
            Mul mul MulAssign mul_assign: |a, b| (a * b, By(b), By(a));
            Div div DivAssign div_assign: |a, b| {
                let (q, r) = (a / b, b.recip());
                (q, By(r), By(-(q * r)))
            };
            Rem rem RemAssign rem_assign: |a, b| (a % b, One, By(-(a / b).trunc()));
        }
        $crate::scalar::rules::plain_operators! { [$($g)*] $Type;
            Add add AddAssign add_assign: |x, c| (x + c, One), (x + c, One);
            Sub sub SubAssign sub_assign: |x, c| (x - c, One), (T::constant(c) - x, Minus);
            Mul mul MulAssign mul_assign: |x, c| (x * c, Number(c)), (x * c, Number(c));
            Div div DivAssign div_assign: |x, c| (x / c, Number(c.recip())), {
                let y = T::constant(c) / x;
                (y, By(-(y / x)))
            };
        }

        impl<$($g)*> Neg for $Type {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                self.unary("neg", -self.inner(), Minus)
            }
        }

        impl<$($g)*> PartialEq for $Type {
            #[inline(always)]
            fn eq(&self, other: &Self) -> bool {
                self.inner() == other.inner()
            }
        }

        impl<$($g)*> PartialOrd for $Type {
            #[inline(always)]
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                self.inner().partial_cmp(&other.inner())
            }
        }

        impl<$($g)*, F: Element> PartialEq<F> for $Type where T: Scalar<Plain = F> {
            #[inline(always)]
            fn eq(&self, other: &F) -> bool {
                self.primal() == *other
            }
        }

        impl<$($g)*, F: Element> PartialOrd<F> for $Type where T: Scalar<Plain = F> {
            #[inline(always)]
            fn partial_cmp(&self, other: &F) -> Option<Ordering> {
                self.primal().partial_cmp(other)
            }
        }

        impl<$($g)*> Default for $Type {
            #[inline(always)]
            fn default() -> Self {
                Self::zero()
            }
        }

        impl<$($g)*> Sum for $Type {
            #[inline]
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::zero(), Self::add)
            }
        }

        impl<$($g)*> Zero for $Type {
            #[inline(always)]
            fn zero() -> Self {
                Self::passive(T::zero())
            }
            #[inline(always)]
            fn is_zero(&self) -> bool {
                self.inner().is_zero()
            }
        }

        impl<$($g)*> num_traits::One for $Type {
            #[inline(always)]
            fn one() -> Self {
                Self::passive(T::one())
            }
        }

        impl<$($g)*> Num for $Type {
            type FromStrRadixErr = T::FromStrRadixErr;
            fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
                T::from_str_radix(text, radix).map(Self::passive)
            }
        }

        impl<$($g)*> ToPrimitive for $Type {
            fn to_i64(&self) -> Option<i64> {
                self.inner().to_i64()
            }
            fn to_u64(&self) -> Option<u64> {
                self.inner().to_u64()
            }
            fn to_f64(&self) -> Option<f64> {
                self.inner().to_f64()
            }
        }

        impl<$($g)*> NumCast for $Type {
            fn from<X: ToPrimitive>(x: X) -> Option<Self> {
                <T as NumCast>::from(x).map(Self::passive)
            }
        }

        impl<$($g)*> FromPrimitive for $Type {
            fn from_i64(x: i64) -> Option<Self> {
                T::from_i64(x).map(Self::passive)
            }
            fn from_u64(x: u64) -> Option<Self> {
                T::from_u64(x).map(Self::passive)
            }
            fn from_f64(x: f64) -> Option<Self> {
                T::from_f64(x).map(Self::passive)
            }
        }

        impl<$($g)*> Signed for $Type {
            fn abs(&self) -> Self {
                Float::abs(*self)
            }
            fn abs_sub(&self, other: &Self) -> Self {
                Float::abs_sub(*self, *other)
            }
            fn signum(&self) -> Self {
                Float::signum(*self)
            }
            fn is_positive(&self) -> bool {
                Float::is_sign_positive(*self)
            }
            fn is_negative(&self) -> bool {
                Float::is_sign_negative(*self)
            }
        }

        impl<$($g)*> Float for $Type {
            $crate::scalar::rules::functions! {
                constants nan infinity neg_infinity neg_zero min_value min_positive_value epsilon max_value;
                predicates is_nan is_infinite is_finite is_normal is_sign_positive is_sign_negative;
                steps floor ceil round trunc signum;
                // Partials over the argument `x` and the value `y`.
                smooth
                    recip: |x, y| -y.square();
                    exp: |x, y| y;
                    exp2: |x, y| y * T::Plain::from_f64(LN_2);
                    exp_m1: |x, y| y + T::Plain::one();
                    ln: |x, y| x.recip();
                    ln_1p: |x, y| (x + T::Plain::one()).recip();
                    log2: |x, y| (x * T::Plain::from_f64(LN_2)).recip();
                    log10: |x, y| (x * T::Plain::from_f64(LN_10)).recip();
                    sin: |x, y| x.cos();
                    cos: |x, y| -x.sin();
                    tan: |x, y| y.square() + T::Plain::one();
                    asin: |x, y| ((T::one() - x) * (T::one() + x)).sqrt().recip();
                    acos: |x, y| -((T::one() - x) * (T::one() + x)).sqrt().recip();
                    atan: |x, y| (x.square() + T::Plain::one()).recip();
                    sinh: |x, y| x.cosh();
                    cosh: |x, y| x.sinh();
                    tanh: |x, y| T::one() - y.square();
                    asinh: |x, y| (x.square() + T::Plain::one()).sqrt().recip();
                    acosh: |x, y| ((x - T::Plain::one()) * (x + T::Plain::one())).sqrt().recip();
                    atanh: |x, y| ((T::one() - x) * (T::one() + x)).recip();
            }

            fn classify(self) -> FpCategory {
                self.inner().classify()
            }
            fn integer_decode(self) -> (u64, i16, i8) {
                self.inner().integer_decode()
            }
            #[inline(always)]
            fn fract(self) -> Self {
                self.unary("fract", self.inner().fract(), One)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                let x = self.inner();
                if x.is_zero() {
                    self.kink("abs");
                }
                self.unary("abs", x.abs(), Number(conventions::sign(x.primal())))
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                if self.is_sign_negative() == sign.is_sign_negative() { self } else { -self }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                let (x, y) = (self.inner(), self.inner().sqrt());
                if x.is_zero() {
                    self.kink("sqrt");
                    return self.unary("sqrt", y, By(T::zero()));
                }
                self.unary("sqrt", y, By((y + y).recip()))
            }
            #[inline(always)]
            fn cbrt(self) -> Self {
                let (x, y) = (self.inner(), self.inner().cbrt());
                if x.is_zero() {
                    self.kink("cbrt");
                    return self.unary("cbrt", y, By(T::zero()));
                }
                self.unary("cbrt", y, By(y / (x * T::Plain::from_f64(3.0))))
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                let x = self.inner();
                let slope = if n == 0 { T::zero() } else { x.powi(n - 1) * T::Plain::from_f64(n.into()) };
                self.unary("powi", x.powi(n), By(slope))
            }
            #[inline(always)]
            fn powf(self, p: Self) -> Self {
                let (x, exponent) = (self.inner(), p.inner());
                let y = x.powf(exponent);
                let (by_x, by_p) = power_slopes(x, exponent, y);
                if p.is_passive() {
                    return self.unary("powf", y, By(by_x));
                }
                self.binary(p, "powf", y, (By(by_x), By(by_p)))
            }
            #[inline(always)]
            fn log(self, base: Self) -> Self {
                self.ln() / base.ln()
            }
            #[inline(always)]
            fn hypot(self, other: Self) -> Self {
                let (a, b) = (self.inner(), other.inner());
                let r = a.hypot(b);
                if r.is_zero() {
                    self.kink("hypot");
                }
                self.binary(other, "hypot", r, (By(over_norm(a, r)), By(over_norm(b, r))))
            }
            #[inline(always)]
            fn atan2(self, other: Self) -> Self {
                let (a, b) = (self.inner(), other.inner());
                let r = a.hypot(b);
                if r.is_zero() {
                    self.kink("atan2");
                }
                let by = (By(over_norm(over_norm(b, r), r)), By(-over_norm(over_norm(a, r), r)));
                self.binary(other, "atan2", a.atan2(b), by)
            }
            #[inline(always)]
            fn sin_cos(self) -> (Self, Self) {
                let (sin, cos) = self.inner().sin_cos();
                (self.unary("sin", sin, By(cos)), self.unary("cos", cos, By(-sin)))
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                let value = self.inner().mul_add(a.inner(), b.inner());
                Chain::add_product(b, self, a, value)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self == other {
                    self.kink("max");
                }
                if self >= other || other.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self == other {
                    self.kink("min");
                }
                if self <= other || other.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn abs_sub(self, other: Self) -> Self {
                (self - other).relu()
            }
        }

        impl<$($g)*> Scalar for $Type {
            type Plain = T::Plain;
            const ORDER: u32 = T::ORDER + 1;

            #[inline(always)]
            fn constant(value: T::Plain) -> Self {
                Self::passive(T::constant(value))
            }
            #[inline(always)]
            fn primal(self) -> T::Plain {
                self.inner().primal()
            }
            #[inline(always)]
            fn square(self) -> Self {
                let x = self.inner();
                self.unary("square", x.square(), By(x + x))
            }
            #[inline(always)]
            fn power(self, p: T::Plain) -> Self {
                self.powf(Self::constant(p))
            }
            #[inline(always)]
            fn relu(self) -> Self {
                let x = self.inner();
                if x.is_zero() {
                    self.kink("relu");
                }
                self.unary("relu", x.relu(), Number(conventions::step(x.primal())))
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                let y = self.inner().sigmoid();
                self.unary("sigmoid", y, By((T::one() - y) * y))
            }
            #[inline(always)]
            fn softplus(self) -> Self {
                let x = self.inner();
                self.unary("softplus", x.softplus(), By(x.sigmoid()))
            }
            #[inline(always)]
            fn add_product(self, a: Self, b: Self) -> Self {
                let value = self.inner().add_product(a.inner(), b.inner());
                Chain::add_product(self, a, b, value)
            }
            #[inline]
            fn sum_of(x: &[Self]) -> Self {
                let (mut sum, mut statement) = (T::zero(), Self::statement());
                for &x in x {
                    sum += x.inner();
                    statement.argument(x, T::one());
                }
                statement.close(sum)
            }
            #[inline]
            fn dot(a: &[Self], b: &[Self]) -> Self {
                expect_pairs("dot", a.len(), b.len());
                let (mut sum, mut statement) = (T::zero(), Self::statement());
                for (&a, &b) in a.iter().zip(b) {
                    sum = sum.add_product(a.inner(), b.inner());
                    statement.product(a, b);
                }
                statement.close(sum)
            }
            #[inline]
            fn linear(c: &[T::Plain], x: &[Self]) -> Self {
                expect_pairs("linear", c.len(), x.len());
                let (mut sum, mut statement) = (T::zero(), Self::statement());
                for (&c, &x) in c.iter().zip(x) {
                    sum += x.inner() * c;
                    statement.argument(x, T::constant(c));
                }
                statement.close(sum)
            }
            #[inline]
            fn logsumexp(x: &[Self]) -> Self {
                let most = shift(x.iter().map(|x| x.primal()));
                let (mut sum, mut statement) = (T::zero(), Self::statement());
                for &x in x {
                    let e = (x.inner() - most).exp();
                    sum += e;
                    statement.argument(x, e);
                }
                statement.close(sum).ln() + most
            }
            #[inline(always)]
            fn absorb(self, factor: Self) -> Self {
                let (a, b) = (self.inner(), factor.inner());
                self.binary(factor, "mul", a.absorb(b), (By(b), By(a)))
            }
            #[inline(always)]
            fn accumulate(self, partial: Self, bar: Self) -> Self {
                let product = partial.product(bar);
                self + if product.surely_number() { product } else { partial.absorb(bar) }
            }
            #[inline(always)]
            fn is_plain(self) -> bool {
                self.inner().is_plain()
            }
            $($particular)*
        }
    }; };
}

/// Operators on two of a kind. A rule is the value and both partials.
macro_rules! operators {
    ($g:tt $Type:ty; $($Op:ident $op:ident $Assign:ident $assign:ident: |$a:ident, $b:ident| $rule:expr;)*) => {$(
        $crate::scalar::rules::operators! { @one $g $Type; $Op $op $Assign $assign |$a, $b| $rule }
    )*};
    (@one [$($g:tt)*] $Type:ty; $Op:ident $op:ident $Assign:ident $assign:ident |$a:ident, $b:ident| $rule:expr) => {
        impl<$($g)*> $Op for $Type {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: Self) -> Self {
                let ($a, $b) = (self.inner(), other.inner());
                let (value, by_a, by_b) = $rule;
                self.binary(other, stringify!($op), value, (by_a, by_b))
            }
        }
        impl<$($g)*> $Assign for $Type {
            #[inline(always)]
            fn $assign(&mut self, other: Self) {
                *self = self.$op(other);
            }
        }
    };
}

/// Operators with a plain float on the right, then on the left. A rule is the value and the partial.
macro_rules! plain_operators {
    ($g:tt $Type:ty; $($Op:ident $op:ident $Assign:ident $assign:ident: |$x:ident, $c:ident| $right:expr, $left:expr;)*) => {$(
        $crate::scalar::rules::plain_operators! { @right $g $Type; $Op $op $Assign $assign |$x, $c| $right }
        $crate::scalar::rules::plain_operators! { @left f32 $g $Type; $Op $op |$x, $c| $left }
        $crate::scalar::rules::plain_operators! { @left f64 $g $Type; $Op $op |$x, $c| $left }
    )*};
    (@right [$($g:tt)*] $Type:ty; $Op:ident $op:ident $Assign:ident $assign:ident |$x:ident, $c:ident| $rule:expr) => {
        impl<$($g)*, F: Element> $Op<F> for $Type where T: Scalar<Plain = F> {
            type Output = Self;
            #[inline(always)]
            fn $op(self, $c: F) -> Self {
                let $x = self.inner();
                let (value, by) = $rule;
                self.unary(stringify!($op), value, by)
            }
        }
        impl<$($g)*, F: Element> $Assign<F> for $Type where T: Scalar<Plain = F> {
            #[inline(always)]
            fn $assign(&mut self, c: F) {
                *self = self.$op(c);
            }
        }
    };
    (@left $f:ident [$($g:tt)*] $Type:ty; $Op:ident $op:ident |$x:ident, $c:ident| $rule:expr) => {
        impl<$($g)*> $Op<$Type> for $f where T: Scalar<Plain = $f> {
            type Output = $Type;
            #[inline(always)]
            fn $op(self, other: $Type) -> $Type {
                let ($c, $x) = (self, other.inner());
                let (value, by) = $rule;
                other.unary(stringify!($op), value, by)
            }
        }
    };
}

/// The functions of [`Float`](num_traits::Float) that follow a pattern.
macro_rules! functions {
    (
        constants $($constant:ident)*;
        predicates $($predicate:ident)*;
        steps $($step:ident)*;
        smooth $($f:ident: |$x:ident, $y:ident| $slope:expr;)*
    ) => {
        $(
            #[inline(always)]
            fn $constant() -> Self {
                Self::passive(T::$constant())
            }
        )*
        $(
            #[inline(always)]
            fn $predicate(self) -> bool {
                self.inner().$predicate()
            }
        )*
        $(
            #[inline(always)]
            fn $step(self) -> Self {
                Self::passive(self.inner().$step())
            }
        )*
        $(
            #[inline(always)]
            #[allow(unused_variables, reason = "slopes over the argument, the value or both")]
            fn $f(self) -> Self {
                let $x = self.inner();
                let $y = $x.$f();
                self.unary(stringify!($f), $y, By($slope))
            }
        )*
    };
}

pub(crate) use {functions, number, operators, plain_operators};
