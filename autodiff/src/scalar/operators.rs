//! Impls that follow a pattern, for [`rules.rs`](super::rules), which states what differs: values and partials.

/// Operators on two of a kind. A rule is the value and both partials.
macro_rules! operators {
    ($g:tt $Type:ty; $($Op:ident $op:ident $Assign:ident $assign:ident: |$a:ident, $b:ident| $rule:expr;)*) => {$(
        $crate::scalar::operators::operators! { @one $g $Type; $Op $op $Assign $assign |$a, $b| $rule }
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
        $crate::scalar::operators::plain_operators! { @right $g $Type; $Op $op $Assign $assign |$x, $c| $right }
        $crate::scalar::operators::plain_operators! { @left f32 $g $Type; $Op $op |$x, $c| $left }
        $crate::scalar::operators::plain_operators! { @left f64 $g $Type; $Op $op |$x, $c| $left }
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

pub(crate) use {functions, operators, plain_operators};
