//! The rules of differentiation, each stated once for [`Dual`](super::Dual) and [`Var`](super::Var): values and partials
//! over the inner number, which a [`Chain`](super::chain::Chain) turns into tangents or records.

/// Operators, traits of `num_traits` and [`Scalar`] for a [`Chain`](super::chain::Chain) with inner number `T`.
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
        use $crate::scalar::chain::{By, Minus, Number, One, inside, over_norm, power_slopes};

        $crate::scalar::operators::operators! { [$($g)*] $Type;
            Add add AddAssign add_assign: |a, b| (a + b, One, One);
            Sub sub SubAssign sub_assign: |a, b| (a - b, One, Minus);
            Mul mul MulAssign mul_assign: |a, b| (a * b, By(b), By(a));
            Div div DivAssign div_assign: |a, b| {
                let (q, r) = (a / b, b.recip());
                (q, By(r), By(-(q * r)))
            };
            Rem rem RemAssign rem_assign: |a, b| {
                // Whole, where `a / b` may have been rounded up to the next.
                let r = a % b;
                (r, One, By(-((a - r) / b).round()))
            };
        }
        $crate::scalar::operators::plain_operators! { [$($g)*] $Type;
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
            $crate::scalar::operators::functions! {
                constants nan infinity neg_infinity neg_zero min_value min_positive_value epsilon max_value;
                predicates is_nan is_infinite is_finite is_normal is_sign_positive is_sign_negative;
                steps floor ceil round trunc signum;
                // Partials over the argument `x` and the value `y`.
                smooth
                    recip: |x, y| -y.square();
                    exp: |x, y| y;
                    exp2: |x, y| y * T::Plain::from_f64(LN_2);
                    exp_m1: |x, y| y + T::Plain::one();
                    ln: |x, y| inside(y, x.recip());
                    ln_1p: |x, y| inside(y, (x + T::Plain::one()).recip());
                    log2: |x, y| inside(y, (x * T::Plain::from_f64(LN_2)).recip());
                    log10: |x, y| inside(y, (x * T::Plain::from_f64(LN_10)).recip());
                    sin: |x, y| x.cos();
                    cos: |x, y| -x.sin();
                    tan: |x, y| y.square() + T::Plain::one();
                    asin: |x, y| ((T::one() - x) * (T::one() + x)).sqrt().recip();
                    acos: |x, y| -((T::one() - x) * (T::one() + x)).sqrt().recip();
                    atan: |x, y| (x.square() + T::Plain::one()).recip();
                    sinh: |x, y| x.cosh();
                    cosh: |x, y| x.sinh();
                    tanh: |x, y| T::one() - y.square();
                    asinh: |x, y| x.hypot(T::one()).recip();
                    acosh: |x, y| ((x - T::Plain::one()).sqrt() * (x + T::Plain::one()).sqrt()).recip();
                    atanh: |x, y| inside(y, ((T::one() - x) * (T::one() + x)).recip());
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
                self.unary("cbrt", y, By(y / x / T::Plain::from_f64(3.0)))
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                let x = self.inner();
                let below = match n.checked_sub(1) {
                    Some(below) => x.powi(below),
                    None => x.powi(n) / x,
                };
                let slope = if n == 0 { T::zero() } else { below * T::Plain::from_f64(n.into()) };
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
                let mut infinite = x.iter().filter(|x| x.primal() == T::Plain::infinity());
                if let (Some(&top), None) = (infinite.next(), infinite.next()) {
                    // It has everything.
                    let others = x.iter().any(|x| x.is_nan());
                    return if others { Self::nan() } else { top };
                }
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

pub(crate) use number;
