//! Operators of the handle types.

/// Implements the operators of a handle type in terms of [`Array::unary`] and [`Array::binary`].
macro_rules! operators {
    ($type:ty, $($generics:tt)*) => {
        impl<$($generics)*> std::ops::Neg for $type {
            type Output = Self;
            fn neg(self) -> Self {
                self.unary(Unary::Scale(-1.0))
            }
        }
        operators!(@pair $type, Add, add, [$($generics)*]);
        operators!(@pair $type, Sub, sub, [$($generics)*]);
        operators!(@pair $type, Mul, mul, [$($generics)*]);
        operators!(@pair $type, Div, div, [$($generics)*]);
        operators!(@number $type, Add, add, |c| Unary::Shift(c), [$($generics)*]);
        operators!(@number $type, Sub, sub, |c| Unary::Shift(-c), [$($generics)*]);
        operators!(@number $type, Mul, mul, |c| Unary::Scale(c), [$($generics)*]);
        operators!(@number $type, Div, div, |c| Unary::Over(c), [$($generics)*]);
        operators!(@from_left $type, Add, add, |c, x| x + c, [$($generics)*]);
        operators!(@from_left $type, Sub, sub, |c, x| x.scalar(c) - x, [$($generics)*]);
        operators!(@from_left $type, Mul, mul, |c, x| x * c, [$($generics)*]);
        operators!(@from_left $type, Div, div, |c, x| x.scalar(c) / x, [$($generics)*]);
    };
    (@from_left $type:ty, $trait:ident, $method:ident, |$c:ident, $x:ident| $result:expr, [$($generics:tt)*]) => {
        impl<$($generics)*> std::ops::$trait<$type> for f64 {
            type Output = $type;
            fn $method(self, $x: $type) -> $type {
                let $c = self;
                $result
            }
        }
    };
    (@pair $type:ty, $trait:ident, $method:ident, [$($generics:tt)*]) => {
        impl<$($generics)*> std::ops::$trait for $type {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.binary(other, Binary::$trait)
            }
        }
    };
    (@number $type:ty, $trait:ident, $method:ident, |$c:ident| $f:expr, [$($generics:tt)*]) => {
        impl<$($generics)*> std::ops::$trait<f64> for $type {
            type Output = Self;
            fn $method(self, $c: f64) -> Self {
                self.unary($f)
            }
        }
    };
}
pub(crate) use operators;
