//! The table of the operations of a graph, each of which is one row. A row gives the variant of [`Op`], its name and
//! settings in files, the operation that tracing makes of a primitive, and the primitive that checks shapes and
//! evaluates.
//!
//! A row is `Variant name operands { setting: type, ... } primitive`, where the primitive is read as a pattern when
//! tracing and as an expression when evaluating. Functions of one number and of two numbers come from tables of their
//! own.

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

/// Passes the rows to a macro, after its other input.
macro_rules! operations {
    ($($then:ident)::+ $(; $($with:tt)*)?) => {
        $($then)::+! { {$($($with)*)?}
            /// The matrix product, each factor transposed on request.
            Matmul matmul 2 { left_transposed: bool, right_transposed: bool }
                Product([left_transposed, right_transposed]);
            /// Sums over rows, columns or both, to `shape`.
            Sum sum 1 { shape: Shape } Linear(Linear::Sum(shape));
            /// Repeats rows, columns or both, to `shape`.
            Broadcast broadcast 1 { shape: Shape } Linear(Linear::Broadcast(shape));
            /// Entry `labels[i]` of each row `i`, as a column.
            Pick pick 1 { labels: Indices } Linear(Linear::Pick(labels));
            /// Entry `i` of a column, put into column `labels[i]` of row `i`.
            Place place 1 { labels: Indices, cols: u32 } Linear(Linear::Place(labels, cols));
            /// Rows `indices[0], indices[1], ...`.
            GatherRows gather_rows 1 { indices: Indices } Linear(Linear::Gather(indices));
            /// Row `i`, added to row `indices[i]` of `rows` zero rows.
            ScatterRows scatter_rows 1 { indices: Indices, rows: u32 } Linear(Linear::Scatter(indices, rows));
            /// Consecutive entries from number `start` on, as an array of `shape`.
            Slice slice 1 { start: usize, shape: Shape } Linear(Linear::Slice(start, shape));
            /// The entries from number `start` on of an otherwise zero array of `shape`.
            Embed embed 1 { start: usize, shape: Shape } Linear(Linear::Embed(start, shape));
            /// The same entries in another shape.
            Reshape reshape 1 { shape: Shape } Linear(Linear::Reshape(shape));
            /// The transpose.
            Transpose transpose 1 {} Linear(Linear::Transpose);
            /// The block of `shape` whose first entry is in row `row` and column `column`.
            Block block 1 { row: u32, column: u32, shape: Shape } Linear(Linear::Block([row, column], shape));
            /// The block with the first entry in row `row` and column `column` of an otherwise zero array of `shape`.
            Inset inset 1 { row: u32, column: u32, shape: Shape } Linear(Linear::Inset([row, column], shape));
            /// The entries at `places`, which are row-major positions, as an array of `shape`.
            Entries entries 1 { places: Indices, shape: Shape } Linear(Linear::Entries(places, shape));
            /// Each entry, added to that at its place in a zero array of `shape`.
            ScatterEntries scatter_entries 1 { places: Indices, shape: Shape }
                Linear(Linear::ScatterEntries(places, shape));
            /// Cumulative sums, across the columns or down the rows, from the start or, if `reversed`, from the end.
            CumulativeSum cumulative_sum 1 { across: bool, reversed: bool }
                Linear(Linear::CumulativeSum(across, reversed));
            /// `count` matrix products. Each operand holds `count` matrices, one below the other.
            BatchedMatmul batched_matmul 2 { count: u32, left_transposed: bool, right_transposed: bool }
                Bilinear(Bilinear::Batched(count, [left_transposed, right_transposed]));
            /// `sum_ij a_ij b_ij`, a scalar.
            Dot dot 2 {} Bilinear(Bilinear::Dot);
            /// `sum_j a_ij b_ij`, a column.
            RowDot row_dot 2 {} Bilinear(Bilinear::RowDot);
            /// The array that a convolution has in `role`, computed from those in the two other roles, see
            /// [`Convolution`].
            Convolve convolve 2 { height: u32, width: u32, size: u32, stride: u32, role: Role }
                Bilinear(Bilinear::Convolve(Convolution { height, width, size, stride }, role));
            /// Entries of `a` where those of the mask are not 0, and of `b` where they are, from a mask, `a` and `b` of the
            /// same shape.
            Select select 3 {} Choice;
            /// `ln sum_j e^{x_j}` of each row, as a column.
            LogSumExp logsumexp 1 {} LogSumExp(Axis::Columns);
            /// `ln sum_i e^{x_i}` of each column, as a row.
            LogSumExpDown logsumexp_down 1 {} LogSumExp(Axis::Rows);
            /// `e^{x_j} / sum_k e^{x_k}` of each row.
            Softmax softmax 1 {} Softmax(Axis::Columns);
            /// `e^{x_i} / sum_k e^{x_k}` of each column.
            SoftmaxDown softmax_down 1 {} Softmax(Axis::Rows);
            /// `a^-1 b` for each column of `b`.
            Solve solve 2 { method: Method } ByValue(ByValue::Solve(method));
            /// `ln |det a|`, a scalar.
            LogDet log_det 1 { method: Method } ByValue(ByValue::LogDet(method));
            /// The sign of `det a`, a constant scalar.
            DetSign det_sign 1 { method: Method } ByValue(ByValue::DetSign(method));
            /// The lower triangular `l` with `l l^T = a`.
            Cholesky cholesky 1 {} ByValue(ByValue::Cholesky);
            /// The entries sorted along an axis.
            Sorted sorted 1 { axis: Axis } ByValue(ByValue::Sorted(axis));
            /// The largest entries along an axis.
            MaxOver max_over 1 { axis: Axis } ByValue(ByValue::MaxOver(axis));
            /// The smallest entries along an axis.
            MinOver min_over 1 { axis: Axis } ByValue(ByValue::MinOver(axis));
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
        /// The operation of a node of a [`Graph`](crate::Graph): the method of [`Array`](crate::Array) of that name.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Op {
            /// The input of this number.
            Input(usize),
            /// The constant of this number in the graph.
            Constant(usize),
            /// The rows of the samples in view, see [`Window`](crate::graph::Window).
            #[doc(hidden)]
            Cut,
            /// Several operations in one, see [`Graph::fused`](crate::Graph).
            #[doc(hidden)]
            Fused(Fused),
            /// A function of each entry.
            Unary(Unary),
            /// A function of each pair of entries, broadcasting.
            Binary(Binary),
            $(
            $(#[$doc])*
            #[allow(missing_docs, reason = "settings are the arguments of the method")]
            $Name { $($setting: $type),* },
            )*
        }

        impl Op {
            /// Returns the name that files and messages use.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::Input(_) => "input",
                    Self::Constant(_) => "constant",
                    Self::Cut => "cut",
                    Self::Fused(fused) => fused.name(),
                    Self::Unary(f) => f.name(),
                    Self::Binary(f) => f.file_name(),
                    $(Self::$Name { .. } => stringify!($name),)*
                }
            }

            /// Returns the number of arrays that the operation takes.
            pub fn operands(&self) -> usize {
                match self {
                    Self::Input(_) | Self::Constant(_) => 0,
                    Self::Cut | Self::Unary(_) => 1,
                    Self::Binary(_) => 2,
                    Self::Fused(fused) => fused.operands(),
                    $(Self::$Name { .. } => $operands,)*
                }
            }

            /// Whether the operation is linear in its operand.
            pub(crate) fn is_linear(&self) -> bool {
                matches!(self, Self::Unary(Unary::Scale(_) | Unary::Over(_))) || self.kind() == "Linear"
            }

            /// Whether the operation is linear in each of its two operands.
            pub(crate) fn is_bilinear(&self) -> bool {
                matches!(self, Self::Binary(Binary::Mul)) || ["Product", "Bilinear"].contains(&self.kind())
            }

            /// Returns the name of the kind of its [`Primitive`]; empty for an operation without a row in the table.
            fn kind(&self) -> &'static str {
                match self {
                    $(Self::$Name { .. } => stringify!($kind),)*
                    _ => "",
                }
            }

            /// Returns the list of whole numbers that the operation takes, if there is one.
            pub(crate) fn indices(&self) -> Option<&Indices> {
                match self {
                    $(Self::$Name { $($setting),* } => [$($setting as &dyn Any),*].into_iter()
                        .find_map(|setting: &dyn Any| setting.downcast_ref()),)*
                    _ => None,
                }
            }

            /// Returns the primitive of the operation at an evaluation, or `None` if it is not an operation of arrays.
            pub(crate) fn primitive<'a, T>(&'a self, at: &At<'a, '_>) -> Option<Primitive<'a, T>> {
                Some(match self {
                    Self::Input(_) | Self::Constant(_) | Self::Cut | Self::Fused(_) => return None,
                    Self::Unary(f) => Primitive::Unary(*f),
                    Self::Binary(f) => Primitive::Binary(*f),
                    $(Self::$Name { $($setting),* } => {
                        $(let $setting = Setting::give($setting, at);)*
                        Primitive::$kind $(($($primitive)*))?
                    })*
                })
            }

            /// Returns the operation of a primitive; `lists` are the addresses of the named lists.
            pub(crate) fn of<T>(
                primitive: Primitive<T>,
                lists: &[Range<usize>],
            ) -> Result<Self, Fault> {
                Ok(match primitive {
                    Primitive::Unary(f) => Self::Unary(f),
                    Primitive::Binary(f) => Self::Binary(f),
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
