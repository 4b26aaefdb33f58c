//! [`Linear`]: the linear operations on one array. They apply to tangents as they are and to adjoints as their
//! transposes, so a variant here is all that the modes need. Their loops are in `moves.rs`. [`Bilinear`]: the products
//! of two arrays.

use crate::array::kernels::convolution::{Convolution, Role};
use crate::fault::Fault;
use crate::shape::Shape;

/// A constant linear map on columns, given by its action `y = M x` or `y = M^T x`.
///
/// ```
/// use hypertape_autodiff::LinearOperator;
/// /// `y_i = x_{i+1} - x_i`
/// struct Difference(u32);
/// impl LinearOperator<f64> for Difference {
///     fn rows(&self) -> u32 { self.0 - 1 }
///     fn cols(&self) -> u32 { self.0 }
///     fn apply(&self, transposed: bool, x: &[f64], columns: usize, y: &mut [f64]) {
///         for i in 0..self.rows() as usize {
///             for c in 0..columns {
///                 let (low, high) = (i * columns + c, (i + 1) * columns + c);
///                 if transposed { y[low] -= x[low]; y[high] += x[low]; } else { y[low] += x[high] - x[low]; }
///             }
///         }
///     }
/// }
/// let mut y = [0.0; 2];
/// Difference(3).apply(false, &[1.0, 4.0, 9.0], 1, &mut y);
/// assert_eq!(y, [3.0, 5.0]);
/// ```
pub trait LinearOperator<T>: Sync {
    /// Returns the number of rows of `M`.
    fn rows(&self) -> u32;
    /// Returns the number of columns of `M`.
    fn cols(&self) -> u32;
    /// Adds `M x`, or `M^T x` if `transposed`, to `y`. Both `x` and `y` have `columns` columns and are stored in
    /// row-major order.
    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]);
    /// Applies the map to several pairs `(x, y)` like [`apply`](Self::apply). Arrays call this method; an
    /// implementation that can do so should read `M` only once.
    ///
    /// # Errors
    /// Returns any fault that the map reports. The default implementation returns none.
    fn apply_all(
        &self,
        transposed: bool,
        planes: &mut [(&[T], &mut [T])],
        columns: usize,
    ) -> Result<(), Fault> {
        for (x, y) in planes {
            self.apply(transposed, x, columns, y);
        }
        Ok(())
    }
}

/// A linear operation on one array: the method of [`Array`](crate::Array) of that name.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "operators of users need not have one")]
pub enum Linear<'a, T> {
    /// `sum_to`
    Sum(Shape),
    /// `broadcast_to`
    Broadcast(Shape),
    /// `pick`
    Pick(&'a [u32]),
    /// `place`, with the number of columns.
    Place(&'a [u32], u32),
    /// `gather_rows`
    Gather(&'a [u32]),
    /// `scatter_rows`, with the number of rows.
    Scatter(&'a [u32], u32),
    /// `slice`, with the position of the first entry.
    Slice(usize, Shape),
    /// `embed`, with the position of the first entry.
    Embed(usize, Shape),
    /// `reshape`
    Reshape(Shape),
    /// `transpose`
    Transpose,
    /// `block`, with the row and the column of its first entry.
    Block([u32; 2], Shape),
    /// `inset`, with the row and the column of its first entry.
    Inset([u32; 2], Shape),
    /// `entries`
    Entries(&'a [u32], Shape),
    /// `scatter_entries`
    ScatterEntries(&'a [u32], Shape),
    /// `cumulative_sum`: whether it runs along the columns of a row, and whether it starts at the end.
    CumulativeSum(bool, bool),
    /// `linear`, transposed or not.
    Operator(&'a dyn LinearOperator<T>, bool),
}

impl<T> Linear<'_, T> {
    /// Returns the name that messages and tallies use.
    #[inline]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum(_) => "sum",
            Self::Broadcast(_) => "broadcast",
            Self::Pick(_) => "pick",
            Self::Place(..) => "place",
            Self::Gather(_) => "gather_rows",
            Self::Scatter(..) => "scatter_rows",
            Self::Slice(..) => "slice",
            Self::Embed(..) => "embed",
            Self::Reshape(_) => "reshape",
            Self::Transpose => "transpose",
            Self::Block(..) => "block",
            Self::Inset(..) => "inset",
            Self::Entries(..) => "entries",
            Self::ScatterEntries(..) => "scatter_entries",
            Self::CumulativeSum(..) => "cumulative_sum",
            Self::Operator(..) => "linear",
        }
    }

    /// Returns the transpose of this operation on an array of shape `from`.
    pub(crate) fn transposed(self, from: Shape) -> Self {
        match self {
            Self::Sum(_) => Self::Broadcast(from),
            Self::Broadcast(_) => Self::Sum(from),
            Self::Pick(labels) => Self::Place(labels, from.cols),
            Self::Place(labels, _) => Self::Pick(labels),
            Self::Gather(indices) => Self::Scatter(indices, from.rows),
            Self::Scatter(indices, _) => Self::Gather(indices),
            Self::Slice(start, _) => Self::Embed(start, from),
            Self::Embed(start, _) => Self::Slice(start, from),
            Self::Reshape(_) => Self::Reshape(from),
            Self::Transpose => Self::Transpose,
            Self::Block(at, _) => Self::Inset(at, from),
            Self::Inset(at, _) => Self::Block(at, from),
            Self::Entries(places, _) => Self::ScatterEntries(places, from),
            Self::ScatterEntries(places, _) => Self::Entries(places, from),
            Self::CumulativeSum(across, reversed) => Self::CumulativeSum(across, !reversed),
            Self::Operator(map, transposed) => Self::Operator(map, !transposed),
        }
    }

    /// Whether the result shares the memory of its operand.
    pub(crate) fn shares(self) -> bool {
        matches!(self, Self::Slice(..) | Self::Reshape(_))
    }

    /// Whether each entry is put or added into its own place of an otherwise zero array.
    pub(crate) fn spreads(self) -> bool {
        matches!(
            self,
            Self::Place(..)
                | Self::Scatter(..)
                | Self::Embed(..)
                | Self::Inset(..)
                | Self::ScatterEntries(..)
        )
    }

    /// Returns the shape of the result for an array of shape `from`.
    ///
    /// # Errors
    /// Returns [`Fault::Shapes`] if the shapes do not match, and [`Fault::Index`] if an index is out of range.
    #[inline]
    pub(crate) fn result(self, from: Shape) -> Result<Shape, Fault> {
        // Whether the shapes match, the result, and the shape that a message shows beside `from`.
        let (fits, result, asked) = match self {
            Self::Sum(to) => (to.broadcast(from) == Some(from), to, to),
            Self::Broadcast(to) => (from.broadcast(to) == Some(to), to, to),
            Self::Pick(labels) => {
                let column = column(labels);
                (column.rows == from.rows, column, column)
            }
            Self::Place(labels, cols) => {
                (column(labels) == from, Shape::new(from.rows, cols), column(labels))
            }
            Self::Gather(indices) => {
                let column = column(indices);
                (true, Shape::new(column.rows, from.cols), column)
            }
            Self::Scatter(indices, rows) => {
                let column = column(indices);
                (column.rows == from.rows, Shape::new(rows, from.cols), column)
            }
            Self::Slice(start, part) => {
                (start.saturating_add(part.len()) <= from.len(), part, part)
            }
            Self::Embed(start, whole) => {
                (start.saturating_add(from.len()) <= whole.len(), whole, whole)
            }
            Self::Reshape(to) => (to.len() == from.len(), to, to),
            Self::Transpose => (true, from.flipped(true), from),
            Self::Block(at, part) => (within(at, part, from), part, part),
            Self::Inset(at, whole) => (within(at, from, whole), whole, whole),
            Self::Entries(places, shape) => (places.len() == shape.len(), shape, column(places)),
            Self::ScatterEntries(places, whole) => {
                (places.len() == from.len(), whole, column(places))
            }
            Self::CumulativeSum(..) => (true, from, from),
            Self::Operator(map, transposed) => {
                let full = Shape::new(map.rows(), map.cols());
                let used = full.flipped(transposed);
                (used.cols == from.rows, Shape::new(used.rows, from.cols), full)
            }
        };
        if !fits {
            return Err(Fault::Shapes { operation: self.name(), left: from, right: asked });
        }
        let (indices, length) = match self {
            Self::Pick(labels) => (labels, from.cols as usize),
            Self::Place(labels, cols) => (labels, cols as usize),
            Self::Gather(indices) => (indices, from.rows as usize),
            Self::Scatter(indices, rows) => (indices, rows as usize),
            Self::Entries(places, _) => (places, from.len()),
            Self::ScatterEntries(places, whole) => (places, whole.len()),
            _ => return Ok(result),
        };
        let beyond = indices.iter().map(|&index| index as usize).find(|&index| index >= length);
        beyond
            .map_or(Ok(result), |index| Err(Fault::Index { operation: self.name(), index, length }))
    }
}

/// A product of two arrays, linear in each of them. Matrix products have a method of their own, for several at a time.
#[derive(Clone, Copy, Debug)]
pub enum Bilinear {
    /// `dot`
    Dot,
    /// `row_dot`
    RowDot,
    /// `convolve_for`
    Convolve(Convolution, Role),
    /// `batched_matmul`: the number of products, and which factors are transposed.
    Batched(u32, [bool; 2]),
}

impl Bilinear {
    /// Returns the name that messages and tallies use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            Self::RowDot => "row_dot",
            Self::Convolve(..) => "convolve",
            Self::Batched(..) => "batched_matmul",
        }
    }

    /// Returns the shape of the product of arrays of shapes `a` and `b`.
    ///
    /// # Errors
    /// Returns [`Fault::Shapes`] if the shapes do not match, and [`Fault::Range`] if a setting of a convolution is out
    /// of range.
    pub(crate) fn result(self, a: Shape, b: Shape) -> Result<Shape, Fault> {
        match self {
            Self::Convolve(map, role) => Ok(map.fitting(role, a, b)?[role as usize]),
            Self::Batched(count, transposed) => {
                let each = |shape: Shape, transposed| {
                    let rows = shape.rows.checked_div(count)?;
                    (rows * count == shape.rows)
                        .then(|| Shape::new(rows, shape.cols).flipped(transposed))
                };
                let factors = each(a, transposed[0]).zip(each(b, transposed[1]));
                let fitting = factors.filter(|(left, right)| left.cols == right.rows);
                let result = fitting.and_then(|(left, right)| {
                    Some(Shape::new(left.rows.checked_mul(count)?, right.cols))
                });
                let unfit = Fault::Shapes { operation: self.name(), left: a, right: b };
                result.ok_or(unfit)
            }
            _ if a != b => Err(Fault::Shapes { operation: self.name(), left: a, right: b }),
            Self::Dot => Ok(Shape::SCALAR),
            Self::RowDot => Ok(Shape::column(a.rows)),
        }
    }
}

/// Returns the shape of a column with one entry for each index.
fn column(indices: &[u32]) -> Shape {
    Shape::column(u32::try_from(indices.len()).unwrap_or(u32::MAX))
}

/// Whether a block of shape `part` whose first entry is at row `at[0]` and column `at[1]` lies within `whole`.
fn within(at: [u32; 2], part: Shape, whole: Shape) -> bool {
    let fits =
        |at: u32, part: u32, whole: u32| at.checked_add(part).is_some_and(|end| end <= whole);
    fits(at[0], part.rows, whole.rows) && fits(at[1], part.cols, whole.cols)
}
