//! [`Array`]: the trait that functions of arrays are written over.
//!
//! The type with which a function generic over `A: Array` is called selects the mode of evaluation:
//!
//! | type | mode |
//! |---|---|
//! | [`Tensor`](crate::Tensor) | value |
//! | [`Dual<Tensor>`](crate::Dual) | value and directional derivatives |
//! | [`Var<Tensor>`](crate::Var) | value and gradient |
//! | `Var<Dual<Tensor>>` | gradient and Hessian-vector product in one pass (forward over reverse) |
//! | `Var<Var<Tensor>>` | the same by reverse over reverse, or a whole inner loop on one tape |
//!
//! A number may be either operand of an operator:
//!
//! ```
//! use hypertape_autodiff::{Arena, Array, Shape, Tensor};
//! fn f<'a, A: Array<'a>>(x: A) -> A {
//!     2.0 * x + 1.0 / x - (1.0 - x)
//! }
//! let arena = Arena::new();
//! assert_eq!(f(Tensor::new(&arena, Shape::column(2), &[1.0, 4.0])).values(), [3.0, 11.25]);
//! ```
//!
//! Handles are `Copy`, entries are stored in the arena in row-major order, and operators broadcast scalars, rows and
//! columns. An operation on operands whose shapes do not fit raises a [`Fault`](crate::Fault) and returns an empty
//! array.

pub(crate) mod by_value;
pub(crate) mod csr;
pub(crate) mod dual;
pub(crate) mod element;
pub(crate) mod entrywise;
pub(crate) mod factored;
pub(crate) mod factors;
pub(crate) mod images;
pub(crate) mod kernels;
pub(crate) mod linear;
pub(crate) mod linear_loss;
pub(crate) mod linearisation;
pub(crate) mod moves;
pub(crate) mod newton;
pub(crate) mod operations;
pub(crate) mod operators;
pub(crate) mod orthogonal;
pub(crate) mod primitives;
pub(crate) mod rules;
mod shaped;
pub(crate) mod tape;
pub(crate) mod tensor;
pub(crate) mod var;
pub(crate) mod vectors;
pub(crate) mod waiting;

use std::ops::{Add, Div, Mul, Neg, Sub};

use num_traits::Float as _;

use crate::arena::Arena;
use crate::array::by_value::ByValue;
use crate::array::element::Element;
use crate::array::kernels::convolution::{Convolution, Role};
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::{Bilinear, Linear, LinearOperator};
use crate::array::linear_loss::{Asked, Fitted, RowLoss};
use crate::array::primitives::Primitives;
use crate::custom::{Custom, Product};
use crate::functions::functions;
use crate::functions::rule::Unary;
use crate::imply::{Imply, Left};
use crate::shape::{Axis, Shape};

/// A handle to an array, which holds its value and, depending on the type, its tangents or a record of how it was
/// computed.
///
/// Only types of this crate implement it. [`Operations`](crate::Operations) adds further methods.
#[expect(clippy::return_self_not_must_use, reason = "the handle types are `must_use`")]
pub trait Array<'a>:
    Primitives<'a, <Self as Array<'a>>::Elem>
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + Imply<f64, Is: Left<Self> + Left<f64>>
    + 'a
{
    /// The type of an entry, `f32` or `f64`.
    type Elem: Element;
    /// The order of the derivatives that the type carries: one for each [`Dual`](crate::Dual) or [`Var`](crate::Var) in
    /// it.
    const ORDER: u32;

    /// Returns the numbers of rows and columns.
    fn shape(self) -> Shape;
    /// Returns the entries in row-major order, without derivatives.
    fn values(self) -> &'a [Self::Elem];
    /// Returns the arena in which results are allocated.
    fn arena(self) -> &'a Arena;
    /// Returns the same array, with results allocated in `arena` from here on. Recorded arrays stay with their tape.
    fn within(self, arena: &'a Arena) -> Self;
    /// Returns borrowed data as an array of the same mode that is not differentiated. Raises a fault if the length of
    /// `data` is not that of `shape`.
    fn constant(self, shape: Shape, data: &'a [Self::Elem]) -> Self;

    /// Applies a function of one number to each entry.
    fn unary(self, f: Unary) -> Self;
    /// Applies a function of two numbers to each pair of entries, broadcasting.
    fn binary(self, other: Self, f: Binary) -> Self;
    /// Applies an operation that depends on the values of its operands.
    #[doc(hidden)]
    fn by_value(of: &[Self], f: ByValue) -> Self {
        f.apply(of)
    }
    /// Applies a custom function to all entries together; the results are a column.
    fn custom(self, f: &'a dyn Custom<Self::Elem>) -> Self {
        self.custom_product(f, Product::Value)
    }
    /// Returns `sum_i p_i l(X_i self, y_i)`: the loss of a linear model, summed over the rows `X_i` of `samples`. A row
    /// of `samples` has as many entries as `self` has rows. The weights `p` are a column; without them all weights
    /// are 1. Value and gradient take one pass over `samples`, with or without directions. Raises a
    /// [`Fault`](crate::Fault) if shapes or lengths do not fit.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, RowLoss, Shape, Tape, Tensor};
    /// let arena = Arena::new();
    /// let tape = Tape::new(&arena)?;
    /// let w = tape.variable(Tensor::new(&arena, Shape::column(2), &[1.0, 10.0]));
    /// // (1 - 2)^2 + (11 - 8)^2
    /// let loss = w.linear_loss(&[1.0, 0.0, 1.0, 1.0], RowLoss::Squared(&[2.0, 8.0]), None);
    /// assert_eq!(loss.values(), [10.0]);
    /// let seed = Tensor::new(&arena, Shape::SCALAR, &[1.0]);
    /// let adjoints = tape.finish().pull(&[(loss.id().unwrap(), seed)], &arena);
    /// // -2 (1, 0) + 6 (1, 1)
    /// assert_eq!(adjoints.get(w.id().unwrap()).unwrap().values(), [4.0, 6.0]);
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    fn linear_loss(
        self,
        samples: &'a [Self::Elem],
        loss: RowLoss<'a, Self::Elem>,
        p: Option<Self>,
    ) -> Self {
        self.linear_loss_parts(Fitted { samples, loss }, p, Asked::Value).value
    }
    /// Returns a column of the entries of `self`, followed by those of `others` in order.
    fn stack(self, others: &[Self]) -> Self {
        let all = std::iter::once(self).chain(others.iter().copied());
        let length = all.clone().fold(0_usize, |n, a| n.saturating_add(a.shape().len()));
        let shape = Shape::column(u32::try_from(length).unwrap_or(u32::MAX));
        let mut start = 0;
        let part = |a: Self| {
            let from = start;
            start += a.shape().len();
            (a, Linear::Embed(from, shape))
        };
        let parts = self.arena().collect(others.len() + 1, all.map(part));
        parts.map_or(self, |parts| self.assemble(parts, shape, true))
    }

    /// Sums over rows, columns or both such that the result has `shape`, each dimension of which is 1 or unchanged. The
    /// error of a sum of `n` terms is below `512 + log2(n / 512)` rounding units of the sum of their absolute values.
    fn sum_to(self, shape: Shape) -> Self {
        if shape == self.shape() { self } else { self.map_linear(Linear::Sum(shape)) }
    }
    /// Repeats rows, columns or both such that the result has `shape`.
    fn broadcast_to(self, shape: Shape) -> Self {
        if shape == self.shape() { self } else { self.map_linear(Linear::Broadcast(shape)) }
    }
    /// Returns entry `labels[i]` of each row `i`, as a column.
    fn pick(self, labels: &'a [u32]) -> Self {
        self.map_linear(Linear::Pick(labels))
    }
    /// The adjoint of [`pick`](Self::pick): puts entry `i` of a column into column `labels[i]` of row `i`; all other
    /// entries are 0.
    fn place(self, labels: &'a [u32], cols: u32) -> Self {
        self.map_linear(Linear::Place(labels, cols))
    }
    /// Returns rows `indices[0], indices[1], ...`, which may repeat.
    fn gather_rows(self, indices: &'a [u32]) -> Self {
        self.map_linear(Linear::Gather(indices))
    }
    /// The adjoint of [`gather_rows`](Self::gather_rows): adds row `i` to row `indices[i]` of `rows` zero rows.
    fn scatter_rows(self, indices: &'a [u32], rows: u32) -> Self {
        self.map_linear(Linear::Scatter(indices, rows))
    }
    /// Returns consecutive entries, from number `start` on in row-major order, as an array of `shape`. Shares memory.
    fn slice(self, start: usize, shape: Shape) -> Self {
        self.map_linear(Linear::Slice(start, shape))
    }
    /// The adjoint of [`slice`](Self::slice): puts these entries from number `start` on into an otherwise zero array of
    /// `shape`.
    fn embed(self, start: usize, shape: Shape) -> Self {
        self.map_linear(Linear::Embed(start, shape))
    }
    /// Returns the same entries in another shape. Shares memory.
    fn reshape(self, shape: Shape) -> Self {
        self.map_linear(Linear::Reshape(shape))
    }
    /// Returns the transpose.
    fn transpose(self) -> Self {
        self.map_linear(Linear::Transpose)
    }
    /// Returns the block of `shape` whose first entry is in row `at[0]` and column `at[1]`.
    fn block(self, at: [u32; 2], shape: Shape) -> Self {
        self.map_linear(Linear::Block(at, shape))
    }
    /// The adjoint of [`block`](Self::block): puts these entries into an otherwise zero array of `shape`.
    fn inset(self, at: [u32; 2], shape: Shape) -> Self {
        self.map_linear(Linear::Inset(at, shape))
    }
    /// Returns the entries at `places`, which are row-major positions and may repeat, as an array of `shape`.
    fn entries(self, places: &'a [u32], shape: Shape) -> Self {
        self.map_linear(Linear::Entries(places, shape))
    }
    /// The adjoint of [`entries`](Self::entries): adds each entry to that at its place in a zero array of `shape`.
    fn scatter_entries(self, places: &'a [u32], shape: Shape) -> Self {
        self.map_linear(Linear::ScatterEntries(places, shape))
    }
    /// Returns the cumulative sums along an axis.
    fn cumulative_sum(self, axis: Axis) -> Self {
        self.map_linear(Linear::CumulativeSum(axis == Axis::Columns, false))
    }
    /// Returns `M x`, or `M^T x` if `transposed`, for a constant linear map `M`.
    fn linear(self, map: &'a dyn LinearOperator<Self::Elem>, transposed: bool) -> Self {
        self.map_linear(Linear::Operator(map, transposed))
    }
    /// Returns `sum_ij a_ij b_ij`, a scalar.
    fn dot(self, other: Self) -> Self {
        self.bilinear(other, Bilinear::Dot)
    }
    /// Returns `sum_j a_ij b_ij`, a column.
    fn row_dot(self, other: Self) -> Self {
        self.bilinear(other, Bilinear::RowDot)
    }
    /// Returns `count` matrix products of one shape in one operation. Each operand holds `count` matrices, one below
    /// the other, and each of its matrices is transposed if `transposed` says so.
    fn batched_matmul(self, other: Self, count: u32, transposed: [bool; 2]) -> Self {
        self.bilinear(other, Bilinear::Batched(count, transposed))
    }

    /// Returns the same values, not differentiated.
    fn detach(self) -> Self {
        self.constant(self.shape(), self.values())
    }
    /// Returns a constant scalar, or an empty array at the memory limit.
    fn scalar(self, value: f64) -> Self {
        let one = self.arena().fill(1, Self::Elem::from_f64(value));
        self.constant(Shape::SCALAR, one.map_or(&[], |one| one))
    }
    /// Returns the list of `index(i)` for `i < len`, allocated in the arena. A mini-batch passes its row numbers to
    /// [`gather_rows`](Self::gather_rows) in such a list. At the memory limit the list is empty.
    fn indices(self, len: usize, index: impl FnMut(usize) -> u32) -> &'a [u32] {
        self.arena().collect(len, (0..len).map(index)).map_or(&[], |list| list)
    }
    /// Returns the matrix product `self other`.
    fn matmul(self, other: Self) -> Self {
        self.matmul_transposed(false, other, false)
    }
    /// Returns the matrix product `self other`, with either factor transposed on request. Nothing is copied to
    /// transpose it.
    fn matmul_transposed(self, transposed: bool, other: Self, other_transposed: bool) -> Self {
        let mut out = [self];
        self.products(ProductForm::left(transposed, other_transposed), &[other], &[], &mut out);
        out[0]
    }
    /// Returns `self weights + bias`, a layer of a network, in one operation. `bias` is a row, which is added to each row
    /// of the product, or an array of the shape of the product.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Shape, Tensor};
    /// let arena = Arena::new();
    /// let inputs = Tensor::new(&arena, Shape::new(2, 2), &[1.0, 2.0, 3.0, 4.0]);
    /// let weights = Tensor::new(&arena, Shape::column(2), &[10.0, 1.0]);
    /// let bias = Tensor::new(&arena, Shape::SCALAR, &[0.5]);
    /// assert_eq!(inputs.affine(weights, bias).values(), [12.5, 34.5]);
    /// ```
    fn affine(self, weights: Self, bias: Self) -> Self {
        let mut out = [self];
        self.products(ProductForm::left(false, false), &[weights], &[Some(bias)], &mut out);
        out[0]
    }
    /// Filters the images `self` with `kernel`; see [`Convolution`] for the layout of rows.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Convolution, Shape, Tensor};
    /// let arena = Arena::new();
    /// let column = |data| Tensor::new(&arena, Shape::column(4), data);
    /// let (image, kernel) = (column(&[1.0, 2.0, 3.0, 4.0]), column(&[10.0, 1.0, 0.1, 0.0]));
    /// let map = Convolution { height: 2, width: 2, size: 2, stride: 1 };
    /// assert_eq!(image.convolve(kernel, map).values(), [12.3, 20.4, 34.0, 40.0]);
    /// ```
    fn convolve(self, kernel: Self, map: Convolution) -> Self {
        self.convolve_for(kernel, map, Role::Output)
    }
    /// Returns the sum of all entries, a scalar.
    fn sum(self) -> Self {
        self.sum_to(Shape::SCALAR)
    }
    /// Returns the mean of all entries, a scalar.
    fn mean(self) -> Self {
        self.sum() / self.shape().len() as f64
    }
    /// Returns the sum over the rows, with one entry per column.
    fn sum_rows(self) -> Self {
        self.sum_to(Shape::new(1, self.shape().cols))
    }
    /// Returns the sum over the columns, with one entry per row.
    fn sum_cols(self) -> Self {
        self.sum_to(Shape::column(self.shape().rows))
    }
    functions!(named crate::array::methods);
    /// Returns `x^n` of each entry.
    fn powi(self, n: i32) -> Self {
        self.unary(Unary::Power(f64::from(n)))
    }
    /// Returns `x^p` of each entry, for a constant `p`.
    fn powf(self, p: f64) -> Self {
        self.unary(Unary::Power(p))
    }
    /// Returns the larger entry of each pair. In a tie, the first counts as chosen; a number is chosen over `NaN`.
    fn max(self, other: Self) -> Self {
        self.binary(other, Binary::Max)
    }
    /// Returns the smaller entry of each pair. In a tie, the first counts as chosen; a number is chosen over `NaN`.
    fn min(self, other: Self) -> Self {
        self.binary(other, Binary::Min)
    }
    /// Returns the Euclidean norm of all entries, a scalar. Its gradient at 0 is 0. Entries whose squares would
    /// overflow or be subnormal are scaled first.
    fn norm(self) -> Self {
        let (squares, least) =
            (self.dot(self), Self::Elem::min_positive_value() / Self::Elem::epsilon());
        let size = |most: f64, x: &Self::Elem| most.max(x.as_f64().abs());
        // The entries are examined only if the sum of their squares has left the normal range.
        let usual = |sum: &Self::Elem| *sum >= least && sum.is_finite();
        if squares.values().iter().all(usual) {
            return squares.sqrt();
        }
        let most = self.values().iter().fold(0.0, size);
        if most == 0.0 || most == f64::INFINITY {
            return squares.sqrt();
        }
        // A power of 2, so that nothing is rounded.
        let scale = most.log2().round().exp2().max(least.as_f64());
        let scaled = self / scale;
        scaled.dot(scaled).sqrt() * scale
    }
    /// Returns `ln sum_j e^{x_j}` of each row, as a column.
    fn logsumexp(self) -> Self {
        self.softmax_parts(Axis::Columns).0
    }
    /// Returns `e^{x_j} / sum_k e^{x_k}` of each row.
    fn softmax(self) -> Self {
        self.softmax_parts(Axis::Columns).1
    }
    /// Returns `-ln softmax(x)_{i, labels[i]}` of each row, as a column. To weight the rows, multiply by a column of
    /// weights; to average, take the [`mean`](Self::mean).
    fn cross_entropy(self, labels: &'a [u32]) -> Self {
        self.logsumexp() - self.pick(labels)
    }
    /// Returns `ln(1 + e^{-y x})` of each entry, for labels `y` of -1 and 1.
    fn logistic_loss(self, labels: Self) -> Self {
        (-(self * labels)).softplus()
    }
    /// Returns `sum (a - b)^2`, a scalar.
    fn squared_error(self, target: Self) -> Self {
        let gap = self - target;
        gap.dot(gap)
    }
}

macro_rules! methods {
    ({} $($(#[$doc:meta])* $Name:ident $method:ident $rule:tt)*) => {$(
        $(#[$doc])*
        fn $method(self) -> Self {
            self.unary(Unary::$Name)
        }
    )*};
}
use methods;

pub(crate) use operators::operators;
pub use primitives::{List, ProductForm, Side};
