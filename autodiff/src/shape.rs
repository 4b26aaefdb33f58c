//! Shapes of two-dimensional arrays. A scalar is `1x1`; a vector is a column `nx1` or a row `1xn`.

use std::fmt;

/// The axis along which an operation works. Summing along `Rows` leaves a single row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// From row to row, axis 0.
    Rows,
    /// From column to column, axis 1.
    Columns,
}

/// Numbers of rows and columns of an array, which is stored in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of rows.
    pub rows: u32,
    /// Number of columns.
    pub cols: u32,
}

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Self = Self { rows: 1, cols: 1 };

    /// The shape of the result of an operation that raised a fault.
    pub const EMPTY: Self = Self { rows: 0, cols: 0 };

    /// Creates the shape of `rows` by `cols` entries.
    ///
    /// ```
    /// use hypertape_autodiff::Shape;
    /// assert_eq!(Shape::new(3, 4).len(), 12);
    /// ```
    pub const fn new(rows: u32, cols: u32) -> Self {
        Self { rows, cols }
    }

    /// Creates the shape of a column of `rows` numbers.
    pub const fn column(rows: u32) -> Self {
        Self { rows, cols: 1 }
    }

    /// Returns the number of entries, or `usize::MAX`, which no memory holds, if it does not fit.
    pub const fn len(self) -> usize {
        (self.rows as usize).saturating_mul(self.cols as usize)
    }

    /// Returns whether there are no entries.
    pub const fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// Returns the shape that both broadcast to, if there is one: each dimension is equal, or 1 on one side.
    ///
    /// ```
    /// use hypertape_autodiff::Shape;
    /// assert_eq!(Shape::new(3, 1).broadcast(Shape::new(1, 4)), Some(Shape::new(3, 4)));
    /// assert_eq!(Shape::new(3, 2).broadcast(Shape::new(1, 4)), None);
    /// ```
    pub fn broadcast(self, other: Self) -> Option<Self> {
        let one = |a: u32, b: u32| match (a, b) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        };
        Some(Self { rows: one(self.rows, other.rows)?, cols: one(self.cols, other.cols)? })
    }

    /// Returns the shape of a reduction along an axis.
    pub(crate) fn over(self, axis: Axis) -> Self {
        match axis {
            Axis::Rows => Self { rows: self.rows.min(1), ..self },
            Axis::Columns => Self { cols: self.cols.min(1), ..self },
        }
    }

    /// Returns the shape of one entry per line along an axis, also for lines without entries.
    pub(crate) fn per_line(self, axis: Axis) -> Self {
        match axis {
            Axis::Rows => Self { rows: 1, ..self },
            Axis::Columns => Self { cols: 1, ..self },
        }
    }

    /// Returns the shape with rows and columns exchanged if `flip`.
    pub(crate) fn flipped(self, flip: bool) -> Self {
        if flip { Self { rows: self.cols, cols: self.rows } } else { self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)
    }
}
