//! The element types of arrays, `f32` and `f64`, each with its kernels.
//!
//! Kernels are long, generic, and compiled for every instruction set of `simd.rs`. The methods here are not generic, so
//! that kernels are compiled once, in this crate, and not again in every crate that evaluates functions of arrays.

use std::mem::MaybeUninit;

use crate::arena::Arena;
use crate::array::kernels::convolution::{self, Convolution, Role};
use crate::array::kernels::elementwise::Binary;
use crate::array::kernels::linear_loss::{self, Planes, ScoreLoss};
use crate::array::kernels::number::Number;
use crate::array::kernels::product::{self, Operand};
use crate::array::kernels::sparse::{self, Plane};
use crate::array::kernels::{fold, maps, reduce, vectors};
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};

/// Entries in the arena, or `None` at its limit, after a fault.
type Made<'a, T> = Option<&'a [T]>;

/// Makes of each line `method = kernel(arguments) -> result` a method of [`Element`], and its compiled form for both
/// types.
macro_rules! kernels {
    (
        @impl $T:ident:
        $($name:ident = $kernel:path [$($a:lifetime)?]($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*
    ) => {
        impl Element for $T {
            const NAME: &'static str = stringify!($T);
            #[inline]
            #[allow(clippy::useless_conversion, reason = "of one of the two types")]
            fn as_f64(self) -> f64 {
                f64::from(self)
            }
            $(
            #[inline(never)]
            fn $name$(<$a>)?($($argument: $type),*) $(-> $result)? {
                $kernel($($argument),*)
            }
        )*}
    };
    (
        $($name:ident = $kernel:path [$($a:lifetime)?]($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*
    ) => {
        /// A floating-point type that arrays hold: `f32` or `f64`.
        pub trait Element: Number {
            /// `"f32"` or `"f64"`.
            const NAME: &'static str;
            /// Returns the value that is nearest to `value`.
            fn from_f64(value: f64) -> Self {
                Self::of(value)
            }
            /// Returns the value as `f64`, exactly.
            fn as_f64(self) -> f64;
            $(
            #[doc(hidden)]
            fn $name$(<$a>)?($($argument: $type),*) $(-> $result)?;
        )*}

        kernels! { @impl f32: $($name = $kernel [$($a)?]($($argument: $type),*) $(-> $result)?;)* }
        kernels! { @impl f64: $($name = $kernel [$($a)?]($($argument: $type),*) $(-> $result)?;)* }
    };
}

kernels! {
    unary = maps::unary ['a](arena: &'a Arena, f: Unary, x: &[Self]) -> Made<'a, Self>;
    chained = maps::chained ['a](
        arena: &'a Arena, f: Unary, x: &[Self], y: &[Self], c: &[Self]
    ) -> Made<'a, Self>;
    chained_tangent = maps::chained_tangent ['a](
        arena: &'a Arena, f: Unary, x: &[Self], y: &[Self], dx: &[Self], c: &[Self], dc: Option<&[Self]>
    ) -> Made<'a, Self>;
    binary = maps::binary ['a](
        arena: &'a Arena, f: Binary, a: (&[Self], Shape), b: (&[Self], Shape), shape: Shape
    ) -> Made<'a, Self>;
    chosen = maps::chosen ['a](
        arena: &'a Arena, mask: &[Self], a: &[Self], b: &[Self]
    ) -> Made<'a, Self>;
    products = product::products ['a](
        shared: Operand<'a, Self>, shared_is_left: bool, others: &[Operand<'a, Self>],
        outs: &mut [&mut [MaybeUninit<Self>]]
    );
    sparse_products = sparse::sparse_products [](
        starts: &[usize], entries: (&[u32], &[Self]), transposed: bool, columns: usize, planes: &mut [Plane<Self>]
    );
    broadcast = maps::broadcast ['a](
        arena: &'a Arena, x: &[Self], from: Shape, to: Shape
    ) -> Made<'a, Self>;
    convolve = convolution::convolve ['a](
        arena: &'a Arena, map: (Convolution, Role), shapes: [Shape; 3], operands: [&[Self]; 2]
    ) -> Result<&'a [Self], Fault>;
    sum_to = reduce::sum_to [](x: &[Self], shape: Shape, out: &mut [Self], to: Shape);
    sum = reduce::sum [](a: &[Self]) -> Self;
    dot = reduce::dot [](a: &[Self], b: &[Self]) -> Self;
    row_dots = reduce::row_dots [](a: &[Self], b: &[Self], cols: usize, out: &mut [Self]);
    folded = fold::folded [](
        f: Binary, x: &[Self], at: (Shape, Axis), scratch: &mut [Self], out: &mut [Self]
    );
    softmax_rows = reduce::softmax_rows [](
        x: &[Self], cols: usize, sums: &mut [Self], shares: &mut [Self]
    );
    softmax_columns = reduce::softmax_columns [](
        x: &[Self], cols: usize, sums: &mut [Self], shares: &mut [Self]
    );
    linear_losses = linear_loss::pass [](
        loss: ScoreLoss, samples: &[Self], targets: &[Self], planes: Planes<Self>
    );
    class_slopes = linear_loss::class_slopes [](
        labels: &[u32], planes: &mut [&mut [Self]], p: &[&[Self]], losses: &mut [&mut [Self]]
    );
    axpy = vectors::axpy [](y: &mut [Self], a: Self, x: &[Self]);
    add_to_rows = vectors::add_to_rows [](out: &mut [Self], row: &[Self]);
    transpose = product::pack::turned [](x: &[Self], cols: usize, out: &mut [Self]);
    rotate = vectors::rotate [](x: &mut [Self], y: &mut [Self], cos: Self, sin: Self);
    all_finite = vectors::all_finite [](x: &[Self]) -> bool;
}
