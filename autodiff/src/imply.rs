//! [`Imply`]: a supertrait by which a trait states a bound on another type, so that `2.0 * x` works over any [`Array`](crate::Array).
//!
//! A `where` clause on another type than `Self` has to be repeated by every function that is written over the trait; a
//! bound on an associated type of a supertrait does not. Here the associated type is that other type.

use std::ops::{Add, Div, Mul, Sub};

/// Holds for all types; the bounds are those that are put on `Is`.
pub trait Imply<T>: Named<T, Is = T> {}

/// `T` under the name of an associated type.
pub trait Named<T> {
    /// `T` itself.
    type Is;
}

/// What stands on the left of an `R` in an operator. Numbers are asked for numbers as well: if only arrays were mentioned,
/// the compiler would take every `f64` on the left for one of an array.
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
