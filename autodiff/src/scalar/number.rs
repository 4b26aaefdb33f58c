//! The number traits of a [`Chain`](super::chain::Chain) and of [`Lanes`](super::Lanes), forwarded to rules.

/// Implements operators, the traits of `num_traits` and [`Scalar`](super::Scalar) for a type over numbers `T` whose
/// rules are in a module.
macro_rules! number {
    ($($rules:ident)::+ [$($g:tt)*] $Type:ty { $($particular:tt)* }) => { const _: () = {
        use std::cmp::Ordering;
        use std::iter::Sum;
        use std::num::FpCategory;
        use std::ops::{
            Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, RemAssign, Sub, SubAssign,
        };

        use num_traits::{Float, FromPrimitive, Num, NumCast, One, Signed, ToPrimitive, Zero};

        use $crate::array::element::Element;
        use $crate::functions::{functions, rule::{Over, Rule, Scale, Shift}};
        use $crate::scalar::number::{compared, forward, on_inner, operators};
        use $crate::scalar::$($rules)::+ as rules;

        operators! { [$($g)*] $Type;
            Add add AddAssign add_assign |x, c| x.apply(Shift(c)), x.apply(Shift(c));
            Sub sub SubAssign sub_assign |x, c| x.apply(Shift(-c)), (-x).apply(Shift(c));
            Mul mul MulAssign mul_assign |x, c| x.apply(Scale(c)), x.apply(Scale(c));
            Div div DivAssign div_assign |x, c| x.apply(Over(c)), rules::quotient(c, x);
        }
        operators! { @pair [$($g)*] $Type; Rem rem RemAssign rem_assign }

        impl<$($g)*> Neg for $Type {
            type Output = Self;
            forward! { rules; neg(); }
        }

        impl<$($g)*> PartialEq for $Type {
            #[inline(always)]
            fn eq(&self, other: &Self) -> bool {
                self.both(*other, |a, b| a == b)
            }
        }

        impl<$($g)*> PartialOrd for $Type {
            compared! { Self, |other| *other; partial_cmp -> Option<Ordering>; lt -> bool; le -> bool; gt -> bool; ge -> bool; }
        }

        impl<$($g)*, F: Element> PartialEq<F> for $Type where T: Scalar<Plain = F> {
            #[inline(always)]
            fn eq(&self, other: &F) -> bool {
                *self == Self::constant(*other)
            }
        }

        impl<$($g)*, F: Element> PartialOrd<F> for $Type where T: Scalar<Plain = F> {
            compared! { F, |other| Self::constant(*other); partial_cmp -> Option<Ordering>; lt -> bool; le -> bool; gt -> bool; ge -> bool; }
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
            on_inner! { @new zero; }
            on_inner! { (&self) is_zero -> bool; }
        }

        impl<$($g)*> One for $Type {
            on_inner! { @new one; }
        }

        impl<$($g)*> Num for $Type {
            type FromStrRadixErr = T::FromStrRadixErr;
            fn from_str_radix(text: &str, radix: u32) -> Result<Self, Self::FromStrRadixErr> {
                T::from_str_radix(text, radix).map(Self::passive)
            }
        }

        impl<$($g)*> ToPrimitive for $Type {
            on_inner! { (&self) to_i64 -> Option<i64>; to_u64 -> Option<u64>; to_f64 -> Option<f64>; }
        }

        impl<$($g)*> NumCast for $Type {
            fn from<X: ToPrimitive>(x: X) -> Option<Self> {
                <T as NumCast>::from(x).map(Self::passive)
            }
        }

        impl<$($g)*> FromPrimitive for $Type {
            on_inner! { @from from_i64(i64); from_u64(u64); from_f64(f64); }
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
            functions!(float crate::scalar::number::methods);
            on_inner! { @new nan; infinity; neg_infinity; neg_zero; min_value; min_positive_value; epsilon; max_value; }
            on_inner! { (self)
                is_nan -> bool; is_infinite -> bool; is_finite -> bool; is_normal -> bool; is_sign_positive -> bool;
                is_sign_negative -> bool; classify -> FpCategory; integer_decode -> (u64, i16, i8);
            }
            forward! { rules;
                powi(n: i32); powf(p: Self); log(base: Self); hypot(other: Self); atan2(other: Self); copysign(sign: Self);
                mul_add(a: Self, b: Self); max(other: Self); min(other: Self); abs_sub(other: Self);
            }
            #[inline(always)]
            fn sin_cos(self) -> (Self, Self) {
                rules::sin_cos(self)
            }
        }

        impl<$($g)*> Scalar for $Type {
            type Plain = T::Plain;
            const ORDER: u32 = T::ORDER + rules::ORDER;
            #[inline(always)]
            fn through(self, f: impl Rule) -> Self {
                self.apply(f)
            }
            forward! { rules;
                add_product(a: Self, b: Self); absorb(factor: Self); select(a: Self, b: Self);
                compare(other: Self, test: impl Fn(T::Plain, T::Plain) -> bool); each(f: impl Fn(T::Plain) -> T::Plain);
            }
            #[inline(always)]
            fn constant(value: T::Plain) -> Self {
                Self::passive(T::constant(value))
            }
            #[inline(always)]
            fn primal(self) -> T::Plain {
                self.ask(T::primal)
            }
            #[inline(always)]
            fn any(self, test: impl Fn(T::Plain) -> bool) -> bool {
                rules::any(self, test)
            }
            #[inline(always)]
            fn alike(self) -> Option<T::Plain> {
                rules::alike(self)
            }
            $($particular)*
        }
    }; };
}

/// Implements the sums that are one statement of a chain.
macro_rules! statements {
    () => {
        forward! { @new rules;
            sum_of(x: &[Self]); dot(a: &[Self], b: &[Self]); linear(c: &[T::Plain], x: &[Self]); logsumexp(x: &[Self]);
        }
    };
}

/// Implements functions of the table.
macro_rules! methods {
    ({} $($(#[$doc:meta])* $Name:ident $method:ident $rule:tt)*) => {$(
        #[inline(always)]
        fn $method(self) -> Self {
            self.apply($crate::functions::rule::$Name)
        }
    )*};
}

/// Implements comparisons with anything that can be converted to a number.
macro_rules! compared {
    ($Other:ty, |$other:ident| $number:expr; $($name:ident -> $result:ty;)*) => {$(
        #[inline(always)]
        fn $name(&self, $other: &$Other) -> $result {
            self.both($number, |a, b| a.$name(&b))
        }
    )*};
}

/// Implements methods that are rules.
macro_rules! forward {
    (@new $rules:ident; $($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $name($($argument: $type),*) -> Self {
            $rules::$name($($argument),*)
        }
    )*};
    ($rules:ident; $($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline(always)]
        fn $name(self $(, $argument: $type)*) -> Self {
            $rules::$name(self $(, $argument)*)
        }
    )*};
}

/// Implements methods of the inner numbers.
macro_rules! on_inner {
    (@new $($name:ident;)*) => {$(
        #[inline(always)]
        fn $name() -> Self {
            Self::passive(T::$name())
        }
    )*};
    (@from $($name:ident($number:ty);)*) => {$(
        fn $name(x: $number) -> Option<Self> {
            T::$name(x).map(Self::passive)
        }
    )*};
    ((&self) $($name:ident -> $result:ty;)*) => {$(
        #[inline(always)]
        fn $name(&self) -> $result {
            self.ask(|x| x.$name())
        }
    )*};
    ((self) $($name:ident -> $result:ty;)*) => {$(
        #[inline(always)]
        fn $name(self) -> $result {
            self.ask(|x| x.$name())
        }
    )*};
}

/// Implements operators on two numbers of the type, and with a plain float, converted to `f64`, on either side.
macro_rules! operators {
    ($g:tt $Type:ty; $($Op:ident $op:ident $Assign:ident $assign:ident |$x:ident, $c:ident| $right:expr, $left:expr;)*) => {$(
        operators! { @pair $g $Type; $Op $op $Assign $assign }
        operators! { @right $g $Type; $Op $op $Assign $assign |$x, $c| $right }
        operators! { @left f32 $g $Type; $Op $op |$x, $c| $left }
        operators! { @left f64 $g $Type; $Op $op |$x, $c| $left }
    )*};
    (@pair [$($g:tt)*] $Type:ty; $Op:ident $op:ident $Assign:ident $assign:ident) => {
        impl<$($g)*> $Op for $Type {
            type Output = Self;
            forward! { rules; $op(other: Self); }
        }
        impl<$($g)*> $Assign for $Type {
            #[inline(always)]
            fn $assign(&mut self, other: Self) {
                *self = rules::$op(*self, other);
            }
        }
    };
    (@right [$($g:tt)*] $Type:ty; $Op:ident $op:ident $Assign:ident $assign:ident |$x:ident, $c:ident| $result:expr) => {
        impl<$($g)*, F: Element> $Op<F> for $Type where T: Scalar<Plain = F> {
            type Output = Self;
            #[inline(always)]
            fn $op(self, c: F) -> Self {
                let ($x, $c) = (self, c.as_f64());
                $result
            }
        }
        impl<$($g)*, F: Element> $Assign<F> for $Type where T: Scalar<Plain = F> {
            #[inline(always)]
            fn $assign(&mut self, c: F) {
                *self = self.$op(c);
            }
        }
    };
    (@left $f:ident [$($g:tt)*] $Type:ty; $Op:ident $op:ident |$x:ident, $c:ident| $result:expr) => {
        impl<$($g)*> $Op<$Type> for $f where T: Scalar<Plain = $f> {
            type Output = $Type;
            #[inline(always)]
            fn $op(self, other: $Type) -> $Type {
                let ($x, $c) = (other, self.as_f64());
                $result
            }
        }
    };
}

pub(crate) use {compared, forward, methods, number, on_inner, operators, statements};
