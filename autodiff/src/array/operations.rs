//! [`Operations`]: further operations in every mode, composed of the primitives of [`Array`].

use crate::array::Array;
use crate::array::by_value::{ByValue, Method};
use crate::array::element::Element;
use crate::array::factored::{Factored, seen};
use crate::array::kernels::elementwise::Binary;
use crate::array::linear::Linear;
use crate::array::orthogonal;
use crate::array::primitives::SELECT;
use crate::custom::Custom;
use crate::fault::Fault;
use crate::functions::rule::Unary;
use crate::shape::{Axis, Shape};
use num_traits::Float as _;

/// Choices, functions of two arrays, reductions along an axis, shapes and matrices, for every [`Array`].
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Axis, Operations, Shape, Tensor};
/// let arena = Arena::new();
/// let x = Tensor::new(&arena, Shape::new(2, 3), &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0]);
/// assert_eq!(x.less(x * 0.0).values(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
/// assert_eq!(x.max_over(Axis::Rows).values(), [4.0, 5.0, 3.0]);
/// assert_eq!(x.product_over(Axis::Columns).values(), [-6.0, -120.0]);
/// assert_eq!(x.columns(1, 1).values(), [-2.0, 5.0]);
/// assert_eq!(x.concatenate(&[x.columns(0, 1)], Axis::Columns).values(), [1.0, -2.0, 3.0, 1.0, 4.0, 5.0, -6.0, 4.0]);
/// ```
#[expect(clippy::return_self_not_must_use, reason = "the handle types are `must_use`")]
pub trait Operations<'a>: Array<'a> {
    /// Returns 1 where `self < other` and 0 elsewhere, as a constant.
    fn less(self, other: Self) -> Self {
        self.detach().binary(other.detach(), Binary::Less)
    }
    /// Returns 1 where `self <= other` and 0 elsewhere, as a constant.
    fn at_most(self, other: Self) -> Self {
        self.detach().binary(other.detach(), Binary::AtMost)
    }
    /// Returns 1 where `self = other` and 0 elsewhere, as a constant.
    fn equal(self, other: Self) -> Self {
        self.detach().binary(other.detach(), Binary::Equal)
    }
    /// Returns `a` where the mask `self` is not 0 and `b` where it is, broadcasting. Entries that are not chosen
    /// contribute nothing, not even `NaN`.
    fn select(self, a: Self, b: Self) -> Self {
        let mut shape = self.shape();
        for other in [a, b] {
            match shape.broadcast(other.shape()) {
                Some(whole) => shape = whole,
                None => return mismatch(self, SELECT, other.shape()),
            }
        }
        let [mask, a, b] = [self, a, b].map(|x| x.broadcast_to(shape));
        mask.choose(a, b)
    }
    /// Returns `low` where `self` is below `low`, `high` where it is above `high`, and `self` elsewhere. `NaN` stays
    /// `NaN`. Either bound may be infinite.
    fn clamp(self, low: f64, high: f64) -> Self {
        let x = if low > f64::NEG_INFINITY { self.unary(Unary::Floored(low)) } else { self };
        if high < f64::INFINITY { x.unary(Unary::Capped(high)) } else { x }
    }
    /// Returns `(a^2 + b^2)^(1/2)` of each pair.
    fn hypot(self, other: Self) -> Self {
        self.binary(other, Binary::Hypot)
    }
    /// Returns the angle of the point `(other, self)` for each pair, as [`f64::atan2`] does.
    fn atan2(self, other: Self) -> Self {
        self.binary(other, Binary::Atan2)
    }
    /// Returns `x^y` of each pair.
    fn power(self, exponent: Self) -> Self {
        self.binary(exponent, Binary::Power)
    }
    /// Returns `x ln y` of each pair, which is 0 where `x` is 0.
    fn xlogy(self, other: Self) -> Self {
        self.binary(other.ln(), Binary::Passed)
    }
    /// Returns `x / (1 + e^-x)` of each entry.
    fn silu(self) -> Self {
        self.binary(self.sigmoid(), Binary::Passed)
    }
    /// Returns `x` times the normal distribution function at `x`, for each entry.
    fn gelu(self) -> Self {
        let share = (self * -std::f64::consts::FRAC_1_SQRT_2).erfc() * 0.5;
        self.binary(share, Binary::Passed)
    }

    /// Applies a function that is given by code, an [`Entrywise`](crate::Entrywise), to each entry.
    fn apply(self, f: &'a dyn Custom<Self::Elem>) -> Self {
        self.custom(f).reshape(self.shape())
    }

    /// Returns the largest entries along an axis. In a tie, the first counts as chosen; a number is chosen over `NaN`.
    /// The result is empty if there are no entries.
    fn max_over(self, axis: Axis) -> Self {
        Self::by_value(&[self], ByValue::MaxOver(axis))
    }
    /// Returns the smallest entries along an axis, with the conventions of [`max_over`](Self::max_over).
    fn min_over(self, axis: Axis) -> Self {
        Self::by_value(&[self], ByValue::MinOver(axis))
    }
    /// Returns the products along an axis.
    fn product_over(self, axis: Axis) -> Self {
        product(self, axis)
    }
    /// Returns `ln sum e^x` along an axis.
    fn logsumexp_over(self, axis: Axis) -> Self {
        self.softmax_parts(axis).0
    }
    /// Returns `e^x / sum e^x` along an axis.
    fn softmax_over(self, axis: Axis) -> Self {
        self.softmax_parts(axis).1
    }
    /// Returns the indices of the largest entries along an axis: the first in a tie, and a number over `NaN`. It
    /// depends on values, so it cannot be traced. At the memory limit the list is empty.
    fn argmax(self, axis: Axis) -> &'a [u32] {
        best(self, axis, Binary::Max)
    }
    /// Sorts along an axis, stably and with `NaN` last. Returns the sorted array and the index at which each entry was
    /// before. It depends on values, so it cannot be traced.
    fn sort(self, axis: Axis) -> (Self, &'a [u32]) {
        let Some(x) = looked_at(self) else { return (self.constant(Shape::EMPTY, &[]), &[]) };
        let shape = self.shape();
        let from = order(x, shape, axis);
        let cols = shape.cols as usize;
        let places = numbers(self, from.len(), |at| match axis {
            Axis::Rows => from[at] as usize * cols + at % cols,
            Axis::Columns => at - at % cols + from[at] as usize,
        });
        let permutation = self.indices(places.len(), |at| from[at]);
        (self.entries(places, shape), permutation)
    }

    /// Returns the array of [`sort`](Self::sort) without the indices, which can be traced.
    fn sorted(self, axis: Axis) -> Self {
        Self::by_value(&[self], ByValue::Sorted(axis))
    }

    /// Joins `self` and then `others` along an axis.
    fn concatenate(self, others: &[Self], axis: Axis) -> Self {
        let all = std::iter::once(self).chain(others.iter().copied());
        let along = |shape: Shape| if axis == Axis::Rows { shape.rows } else { shape.cols };
        let length = all.clone().fold(0_u32, |n, a| n.saturating_add(along(a.shape())));
        let shape = match axis {
            Axis::Rows => Shape { rows: length, ..self.shape() },
            Axis::Columns => Shape { cols: length, ..self.shape() },
        };
        let mut start = 0;
        let part = |a: Self| {
            let at = if axis == Axis::Rows { [start, 0] } else { [0, start] };
            start += along(a.shape());
            (a, Linear::Inset(at, shape))
        };
        let other = |a: &Self| match axis {
            Axis::Rows => a.shape().cols != shape.cols,
            Axis::Columns => a.shape().rows != shape.rows,
        };
        if let Some(wrong) = others.iter().find(|&a| other(a)) {
            return mismatch(self, "concatenate", wrong.shape());
        }
        let parts = self.arena().collect(others.len() + 1, all.map(part));
        parts.map_or(self, |parts| self.assemble(parts, shape, true))
    }
    /// Returns `count` rows from row `first` on. Shares memory.
    fn rows(self, first: u32, count: u32) -> Self {
        let cols = self.shape().cols;
        self.slice(first as usize * cols as usize, Shape::new(count, cols))
    }
    /// Returns `count` columns from column `first` on.
    fn columns(self, first: u32, count: u32) -> Self {
        self.block([0, first], Shape::new(self.shape().rows, count))
    }
    /// Returns columns `indices[0], indices[1], ...`, which may repeat.
    fn gather_columns(self, indices: &'a [u32]) -> Self {
        self.transpose().gather_rows(indices).transpose()
    }
    /// The adjoint of [`gather_columns`](Self::gather_columns): adds column `i` to column `indices[i]` of `cols` zero
    /// columns.
    fn scatter_columns(self, indices: &'a [u32], cols: u32) -> Self {
        self.transpose().scatter_rows(indices, cols).transpose()
    }
    /// Repeats the array `down` times vertically and `across` times horizontally.
    fn tile(self, down: u32, across: u32) -> Self {
        let copies = |count: u32| vec![self; count.saturating_sub(1) as usize];
        let row = if across == 0 {
            self.columns(0, 0)
        } else {
            self.concatenate(&copies(across), Axis::Columns)
        };
        let rest = vec![row; down.saturating_sub(1) as usize];
        if down == 0 { row.rows(0, 0) } else { row.concatenate(&rest, Axis::Rows) }
    }
    /// Returns the diagonal, as a column.
    fn diagonal(self) -> Self {
        let Shape { rows, cols } = self.shape();
        let places = numbers(self, rows.min(cols) as usize, |i| i * (cols as usize + 1));
        self.entries(places, Shape::column(rows.min(cols)))
    }
    /// Returns the square matrix with these entries on its diagonal and 0 elsewhere.
    fn to_diagonal(self) -> Self {
        let n = u32::try_from(self.shape().len()).unwrap_or(u32::MAX);
        let places = numbers(self, n as usize, |i| i * (n as usize + 1));
        self.scatter_entries(places, Shape::new(n, n))
    }
    /// Returns the lower triangle with the diagonal, and 0 above it.
    fn lower_triangle(self) -> Self {
        self.binary(mask(self, |row, col| col <= row), Binary::Keep)
    }
    /// Returns the upper triangle with the diagonal, and 0 below it.
    fn upper_triangle(self) -> Self {
        self.binary(mask(self, |row, col| col >= row), Binary::Keep)
    }

    /// Returns the lower triangular `L` with `L L^T = M` for a symmetric positive definite matrix `M`, which is `self`;
    /// see [`Factored::factor`].
    fn cholesky(self) -> Self {
        Self::by_value(&[self], ByValue::Cholesky)
    }
    /// Returns `M^-1 b` for each column of `b`, where `M` is `self`. [`Factored`] computes several results from one
    /// factorisation.
    fn solve(self, b: Self, method: Method) -> Self {
        Self::by_value(&[self, b], ByValue::Solve(method))
    }
    /// Returns `ln |det M|`, a scalar.
    fn log_det(self, method: Method) -> Self {
        Self::by_value(&[self], ByValue::LogDet(method))
    }
    /// Returns the sign of `det M`, 1 or -1, as a constant scalar.
    fn det_sign(self, method: Method) -> Self {
        Self::by_value(&[self], ByValue::DetSign(method))
    }
    /// Returns the `x` that minimises `|A x - b|` for each column of `b`. The matrix `A`, which is `self`, has at least
    /// as many rows as columns, and its columns are linearly independent. Computed by `A = Q R`, in `2 m n^2` products.
    /// Raises [`Fault::Pivot`] if a column depends on those before it.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Operations, Shape, Tensor};
    /// let arena = Arena::new();
    /// // A line through (0, 1), (1, 3), (2, 5)
    /// let a = Tensor::new(&arena, Shape::new(3, 2), &[1.0_f64, 0.0, 1.0, 1.0, 1.0, 2.0]);
    /// let x = a.least_squares(Tensor::new(&arena, Shape::column(3), &[1.0, 3.0, 5.0]));
    /// assert!((x.values()[0] - 1.0).abs() < 1e-14 && (x.values()[1] - 2.0).abs() < 1e-14);
    /// ```
    fn least_squares(self, b: Self) -> Self {
        orthogonal::least_squares(self, b)
    }
    /// Returns the eigenvalues of a symmetric matrix as a column in ascending order, and its eigenvectors as columns of
    /// length 1 whose largest entry in absolute value (the first of several) is positive. Cost: about `14 n^3`, and six
    /// matrix products per order of derivatives. For repeated eigenvalues see [`conventions`](crate::conventions).
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Operations, Shape, Tensor};
    /// let arena = Arena::new();
    /// let (values, vectors) = Tensor::new(&arena, Shape::new(2, 2), &[2.0_f64, 1.0, 1.0, 2.0]).eigen();
    /// assert!((values.values()[0] - 1.0).abs() < 1e-15 && (values.values()[1] - 3.0).abs() < 1e-15);
    /// assert!((vectors.values()[1] - 0.5_f64.sqrt()).abs() < 1e-15);
    /// ```
    fn eigen(self) -> (Self, Self) {
        orthogonal::eigen(self)
    }
    /// Returns `M^-1`.
    fn inverse(self, method: Method) -> Self {
        let n = self.shape().rows;
        let ones = self.scalar(1.0).broadcast_to(Shape::column(n));
        self.solve(ones.to_diagonal(), method)
    }
}

impl<'a, A: Array<'a>> Operations<'a> for A {}

impl ByValue {
    /// Computes the result in the mode of the operands.
    pub(crate) fn apply<'a, A: Array<'a>>(self, of: &[A]) -> A {
        match self {
            Self::Solve(method) => Factored::new(of[0], method).solve(of[1]),
            Self::LogDet(method) => Factored::new(of[0], method).log_det(),
            Self::DetSign(method) => Factored::new(of[0], method).sign(),
            Self::Cholesky => Factored::new(of[0], Method::Cholesky).factor(),
            Self::Sorted(axis) => of[0].sort(axis).0,
            Self::MaxOver(axis) => chosen(of[0], axis, Binary::Max),
            Self::MinOver(axis) => chosen(of[0], axis, Binary::Min),
        }
    }
}

/// Returns the entries, or raises a fault if they cannot be read because the function is being traced.
fn looked_at<'a, A: Array<'a>>(x: A) -> Option<&'a [A::Elem]> {
    seen(x).inspect_err(|&fault| x.arena().raise(fault)).ok()
}

fn mismatch<'a, A: Array<'a>>(x: A, operation: &'static str, right: Shape) -> A {
    x.arena().raise(Fault::Shapes { operation, left: x.shape(), right });
    x.constant(Shape::EMPTY, &[])
}

/// Puts places into a list as [`Array::indices`] does. A place that does not fit into a `u32` becomes one beyond every
/// array.
fn numbers<'a, A: Array<'a>>(x: A, len: usize, at: impl Fn(usize) -> usize) -> &'a [u32] {
    x.indices(len, |i| u32::try_from(at(i)).unwrap_or(u32::MAX))
}

/// Returns the number of entries of a line along an axis, and the number of lines.
fn lengths(shape: Shape, axis: Axis) -> [u32; 2] {
    if axis == Axis::Rows { [shape.rows, shape.cols] } else { [shape.cols, shape.rows] }
}

/// The index at which each entry of the array that is sorted along an axis was before. It is compiled once per
/// precision, not per mode.
fn order<T: Element>(x: &[T], shape: Shape, axis: Axis) -> Vec<u32> {
    let [count, lines] = lengths(shape, axis);
    let mut from = vec![0; shape.len()];
    for line in 0..lines {
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|&i, &j| {
            let [a, b] = [i, j].map(|i| x[place(shape, axis, line, i)]);
            a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        });
        for (i, &of) in (0..).zip(&order) {
            from[place(shape, axis, line, i)] = of;
        }
    }
    from
}

/// Returns the row-major position of entry `i` of a line along an axis.
fn place(shape: Shape, axis: Axis, line: u32, i: u32) -> usize {
    let [row, col] = if axis == Axis::Rows { [i, line] } else { [line, i] };
    row as usize * shape.cols as usize + col as usize
}

/// Multiplies along an axis by joining halves, so that the number of operations is logarithmic in the number of entries.
fn product<'a, A: Array<'a>>(x: A, axis: Axis) -> A {
    if let Some(done) = x.folded(axis, Binary::Mul) {
        return done;
    }
    if axis == Axis::Columns {
        return product(x.transpose(), Axis::Rows).transpose();
    }
    let mut x = x;
    while x.shape().rows > 1 {
        let (rows, half) = (x.shape().rows, x.shape().rows / 2);
        let joined = x.rows(0, half) * x.rows(half, half);
        x = match rows % 2 {
            0 => joined,
            _ => joined.concatenate(&[x.rows(rows - 1, 1)], Axis::Rows),
        };
    }
    x
}

/// Returns the entries along an axis that `f`, which is `Max` or `Min`, prefers.
fn chosen<'a, A: Array<'a>>(x: A, axis: Axis, f: Binary) -> A {
    if let Some(done) = x.folded(axis, f) {
        return done;
    }
    let shape = x.shape();
    if lengths(shape, axis)[0] == 0 {
        return x;
    }
    let (best, mut line) = (best(x, axis, f), 0..);
    let at = |i: &u32| place(shape, axis, line.next().unwrap_or(0), *i);
    let places: Vec<usize> = best.iter().map(at).collect();
    x.entries(numbers(x, places.len(), |i| places[i]), shape.over(axis))
}

/// Returns the indices along an axis of the entries that `f`, which is `Max` or `Min`, prefers: the first in a tie.
fn best<'a, A: Array<'a>>(x: A, axis: Axis, f: Binary) -> &'a [u32] {
    let Some(values) = looked_at(x) else { return &[] };
    let shape = x.shape();
    let [count, lines] = lengths(shape, axis);
    let mut all = vec![0; if count == 0 { 0 } else { lines as usize }];
    let mut visit = |line: u32, i: u32| {
        let best = &mut all[line as usize];
        let [old, new] = [*best, i].map(|i| values[place(shape, axis, line, i)]);
        let keeps = if f == Binary::Max { old >= new } else { old <= new };
        if !keeps && !new.is_nan() {
            *best = i;
        }
    };
    // In the order of memory.
    match axis {
        Axis::Rows => (1..count).for_each(|i| (0..lines).for_each(|line| visit(line, i))),
        Axis::Columns => (0..lines).for_each(|line| (1..count).for_each(|i| visit(line, i))),
    }
    x.indices(all.len(), |line| all[line])
}

/// Returns a constant that is 1 where `holds(row, column)` and 0 elsewhere.
fn mask<'a, A: Array<'a>>(x: A, holds: impl Fn(u32, u32) -> bool) -> A {
    let (shape, [zero, one]) = (x.shape(), [0.0, 1.0].map(A::Elem::from_f64));
    let cells = (0..shape.rows).flat_map(|row| (0..shape.cols).map(move |col| (row, col)));
    let cells = cells.map(|(row, col)| if holds(row, col) { one } else { zero });
    let made = x.arena().collect(shape.len(), cells);
    made.map_or_else(|_| x.constant(Shape::EMPTY, &[]), |made| x.constant(shape, made))
}
