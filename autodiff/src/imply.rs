//! [`Imply`]: a supertrait by which a trait states a bound on another type, so that `2.0 * x` works for any
//! [`Array`](crate::Array).
//!
//! A `where` clause on a type other than `Self` has to be repeated by every function that is generic over the trait; a
//! bound on an associated type of a supertrait does not. Here the associated type is that other type.

use std::ops::{Add, Div, Mul, Sub};

/// Implemented for all types. The bounds are those that are put on `Is`.
pub trait Imply<T>: Named<T, Is = T> {}

/// `T` as an associated type.
pub trait Named<T> {
    /// `T` itself.
    type Is;
}

/// A type that can be the left operand of operators on `R`. [`Array`](crate::Array) requires it of numbers with numbers
/// as well: otherwise the compiler would infer that every `f64` on the left is an operand of an array.
pub trait Left<R>:
    Add<R, Output = R> + Sub<R, Output = R> + Mul<R, Output = R> + Div<R, Output = R>
{
}

impl<R, T> Left<R> for T where
    T: Add<R, Output = R> + Sub<R, Output = R> + Mul<R, Output = R> + Div<R, Output = R>
{
}

impl<S, T> Named<T> for S {
    type Is = T;
}

impl<S, T> Imply<T> for S {}
