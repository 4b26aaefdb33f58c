//! The table of the operations of a graph: each stands once. From a row come the variant of [`Op`], its name and settings in
//! files, what tracing makes of a primitive, and the primitive that checks shapes and evaluates.
//!
//! A row is `Variant name operands { setting: type, ... } primitive`, where the primitive is read as a pattern when tracing
//! and as an expression when evaluating. Functions of one number come from the table of `functions.rs` instead.

use std::any::Any;
use std::ops::Range;

use crate::array::by_value::{ByValue, Method};
use crate::array::kernels::convolution::{Convolution, Role};
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear};
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::graph::fused::Fused;
use crate::graph::primitive::Primitive;
use crate::graph::setting::{At, Indices, Setting};
use crate::shape::{Axis, Shape};

/// Hands the rows to a macro, after what else that is to be given.
macro_rules! operations {
    ($($then:ident)::+ $(; $($with:tt)*)?) => {
        $($then)::+! { {$($($with)*)?}
            /// `a + b`, broadcasting.
            Add add 2 {} Binary(Binary::Add);
            /// `a - b`, broadcasting.
            Sub subtract 2 {} Binary(Binary::Sub);
            /// `a b`, entry by entry, broadcasting.
            Mul multiply 2 {} Binary(Binary::Mul);
            /// `a / b`, broadcasting.
            Div divide 2 {} Binary(Binary::Div);
            /// The larger of each pair, broadcasting.
            Max max 2 {} Binary(Binary::Max);
            /// The smaller of each pair, broadcasting.
            Min min 2 {} Binary(Binary::Min);
            /// 1 where `a >= b`, otherwise 0, broadcasting.
            AtLeast at_least 2 {} Binary(Binary::AtLeast);
            /// 1 where `a < b`, otherwise 0, broadcasting.
            Less less 2 {} Binary(Binary::Less);
            /// 1 where `a <= b`, otherwise 0, broadcasting.
            AtMost at_most 2 {} Binary(Binary::AtMost);
            /// 1 where `a = b`, otherwise 0, broadcasting.
            Equal equal 2 {} Binary(Binary::Equal);
            /// `a` where `b` is not 0, otherwise 0, broadcasting.
            Keep keep 2 {} Binary(Binary::Keep);
            /// `a` where `b` is 0, otherwise 0, broadcasting.
            Drop drop 2 {} Binary(Binary::Drop);
            /// `(a^2 + b^2)^(1/2)`, broadcasting.
            Hypot hypot 2 {} Binary(Binary::Hypot);
            /// The angle of the point `(b, a)`, broadcasting.
            Atan2 atan2 2 {} Binary(Binary::Atan2);
            /// `a^b`, broadcasting.
            Power power 2 {} Binary(Binary::Power);
            /// `b a^(b - 1)`, the slope of a power, broadcasting.
            PowerSlope power_slope 2 {} Binary(Binary::PowerSlope);
            /// `a / b`, 0 where `b = 0`, broadcasting.
            Share share 2 {} Binary(Binary::Share);
            /// `a b` for an adjoint `a` and a slope `b`, of which zeros absorb: what derivatives are made of.
            Passed passed 2 {} Binary(Binary::Passed);
            /// The matrix product, each factor transposed on request.
            Matmul matmul 2 { left_transposed: bool, right_transposed: bool }
                Product([left_transposed, right_transposed]);
            /// Sums over rows, columns or both, to a shape.
            Sum sum 1 { shape: Shape } Linear(Linear::Sum(shape));
            /// Repeats rows, columns or both, to a shape.
            Broadcast broadcast 1 { shape: Shape } Linear(Linear::Broadcast(shape));
            /// Entry `labels[i]` of each row, a column.
            Pick pick 1 { labels: Indices } Linear(Linear::Pick(labels));
            /// A column's entry `i` in column `labels[i]` of row `i`.
            Place place 1 { labels: Indices, cols: u32 } Linear(Linear::Place(labels, cols));
            /// Rows by number.
            GatherRows gather_rows 1 { indices: Indices } Linear(Linear::Gather(indices));
            /// Row `i` added to row `indices[i]`.
            ScatterRows scatter_rows 1 { indices: Indices, rows: u32 } Linear(Linear::Scatter(indices, rows));
            /// Consecutive entries from `start` on, as an array of a shape.
            Slice slice 1 { start: usize, shape: Shape } Linear(Linear::Slice(start, shape));
            /// These entries from `start` on in an otherwise zero array of a shape.
            Embed embed 1 { start: usize, shape: Shape } Linear(Linear::Embed(start, shape));
            /// The same entries in another shape.
            Reshape reshape 1 { shape: Shape } Linear(Linear::Reshape(shape));
            /// Rows and columns exchanged.
            Transpose transpose 1 {} Linear(Linear::Transpose);
            /// The block of a shape from a row and a column on.
            Block block 1 { row: u32, column: u32, shape: Shape } Linear(Linear::Block([row, column], shape));
            /// These entries from a row and a column on in an otherwise zero array of a shape.
            Inset inset 1 { row: u32, column: u32, shape: Shape } Linear(Linear::Inset([row, column], shape));
            /// Entries by their places, row by row, as an array of a shape.
            Entries entries 1 { places: Indices, shape: Shape } Linear(Linear::Entries(places, shape));
            /// Each entry added to that in its place in a zero array of a shape.
            ScatterEntries scatter_entries 1 { places: Indices, shape: Shape }
                Linear(Linear::ScatterEntries(places, shape));
            /// Of each entry the sum up to it, or from it on.
            CumulativeSum cumulative_sum 1 { across: bool, reversed: bool }
                Linear(Linear::CumulativeSum(across, reversed));
            /// As many products as `count` says, each of matrices that lie one under another.
            BatchedMatmul batched_matmul 2 { count: u32, left_transposed: bool, right_transposed: bool }
                Bilinear(Bilinear::Batched(count, [left_transposed, right_transposed]));
            /// `sum_ij a_ij b_ij`, a scalar.
            Dot dot 2 {} Bilinear(Bilinear::Dot);
            /// `sum_j a_ij b_ij`, a column.
            RowDot row_dot 2 {} Bilinear(Bilinear::RowDot);
            /// What a convolution has in `role`, from the arrays in the two others, see [`Convolution`].
            Convolve convolve 2 { height: u32, width: u32, size: u32, stride: u32, role: Role }
                Bilinear(Bilinear::Convolve(Convolution { height, width, size, stride }, role));
            /// `ln sum_j e^{x_j}` of each row, a column.
            LogSumExp logsumexp 1 {} LogSumExp;
            /// `e^{x_j} / sum_k e^{x_k}` of each row.
            Softmax softmax 1 {} Softmax;
            /// `a^-1 b` for each column of `b`.
            Solve solve 2 { method: Method } ByValue(ByValue::Solve(method));
            /// `ln |det a|`, a scalar.
            LogDet log_det 1 { method: Method } ByValue(ByValue::LogDet(method));
            /// The sign of `det a`, a constant scalar.
            DetSign det_sign 1 { method: Method } ByValue(ByValue::DetSign(method));
            /// The lower triangle `l` with `l l^T = a`.
            Cholesky cholesky 1 {} ByValue(ByValue::Cholesky);
            /// Sorted along an axis.
            Sorted sorted 1 { axis: Axis } ByValue(ByValue::Sorted(axis));
            /// The Euclidean norm of all entries, a scalar.
            Norm norm 1 {} Norm;
            /// The same values, not differentiated.
            Detach detach 1 {} Detach;
        }
    };
}
#[cfg(feature = "serde")]
pub(crate) use operations;

macro_rules! define {
    ({} $($(#[$doc:meta])* $Name:ident $name:ident $operands:literal { $($setting:ident: $type:ty),* }
        $kind:ident $(($($primitive:tt)*))?;)*) => {
        /// What a node of a [`Graph`](crate::Graph) does; the method of [`Array`](crate::Array) that is called so.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Op {
            /// The array of this number that the graph is given.
            Input(usize),
            /// The constant of this number.
            Constant(usize),
            /// The rows of the samples in view, see [`Window`](crate::graph::Window).
            #[doc(hidden)]
            Cut,
            /// A loss of a linear model, see [`Graph::fused`](crate::Graph).
            #[doc(hidden)]
            Fused(Fused),
            /// A function of each entry.
            Unary(Unary),
            $(
            $(#[$doc])*
            #[allow(missing_docs, reason = "settings are the arguments of the method")]
            $Name { $($setting: $type),* },
            )*
        }

        impl Op {
            /// Its name in files and messages.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::Input(_) => "input",
                    Self::Constant(_) => "constant",
                    Self::Cut => "cut",
                    Self::Fused(_) => "linear_loss",
                    Self::Unary(f) => f.name(),
                    $(Self::$Name { .. } => stringify!($name),)*
                }
            }

            /// Number of arrays that it takes.
            pub fn operands(&self) -> usize {
                match self {
                    Self::Input(_) | Self::Constant(_) => 0,
                    Self::Cut | Self::Unary(_) => 1,
                    Self::Fused(fused) => fused.operands(),
                    $(Self::$Name { .. } => $operands,)*
                }
            }

            /// Whether it is linear in its operand.
            pub(crate) fn is_linear(&self) -> bool {
                matches!(self, Self::Unary(Unary::Scale(_) | Unary::Over(_))) || self.kind() == "Linear"
            }

            /// Whether it is linear in each of its two operands.
            pub(crate) fn is_bilinear(&self) -> bool {
                matches!(self, Self::Mul {}) || ["Product", "Bilinear"].contains(&self.kind())
            }

            /// The kind of [`Primitive`] that it is, by name; empty for what stands in no row of the table.
            fn kind(&self) -> &'static str {
                match self {
                    $(Self::$Name { .. } => stringify!($kind),)*
                    _ => "",
                }
            }

            /// The list of whole numbers that it takes, if it takes one.
            pub(crate) fn indices(&self) -> Option<&Indices> {
                match self {
                    $(Self::$Name { $($setting),* } => [$($setting as &dyn Any),*].into_iter()
                        .find_map(|setting: &dyn Any| setting.downcast_ref()),)*
                    _ => None,
                }
            }

            /// What it is at an evaluation; `None` for what is no operation of arrays.
            pub(crate) fn primitive<'a, T>(&'a self, at: &At<'a, '_>) -> Option<Primitive<'a, T>> {
                Some(match self {
                    Self::Input(_) | Self::Constant(_) | Self::Cut | Self::Fused(_) => return None,
                    Self::Unary(f) => Primitive::Unary(*f),
                    $(Self::$Name { $($setting),* } => {
                        $(let $setting = Setting::give($setting, at);)*
                        Primitive::$kind $(($($primitive)*))?
                    })*
                })
            }

            /// The operation that a primitive is; `lists` are where those lie that have names.
            pub(crate) fn of<T>(
                primitive: Primitive<T>,
                lists: &[Range<usize>],
            ) -> Result<Self, Fault> {
                Ok(match primitive {
                    Primitive::Unary(f) => Self::Unary(f),
                    $(Primitive::$kind $(($($primitive)*))? => {
                        Self::$Name { $($setting: Setting::take($setting, lists)?),* }
                    })*
                    Primitive::Linear(Linear::Operator(..)) => {
                        return Err(Fault::Trace { what: "applies a linear map given by code" });
                    }
                })
            }
        }
    };
}
operations!(crate::graph::operations::define);
use define;
