//! Shapes of two-dimensional arrays. A scalar is `1x1`, a vector a column `nx1` or a row `1xn`.

use std::fmt;

/// What an operation goes along: what a sum over rows leaves is a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// From row to row, axis 0.
    Rows,
    /// From column to column, axis 1.
    Columns,
}

/// Rows and columns of an array, stored row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of rows.
    pub rows: u32,
    /// Number of columns.
    pub cols: u32,
}

impl Shape {
    /// One number.
    pub const SCALAR: Self = Self { rows: 1, cols: 1 };

    /// The shape of what an operation returns after a fault.
    pub const EMPTY: Self = Self { rows: 0, cols: 0 };

    /// `rows` by `cols`.
    ///
    /// ```
    /// use hypertape_autodiff::Shape;
    /// assert_eq!(Shape::new(3, 4).len(), 12);
    /// ```
    pub const fn new(rows: u32, cols: u32) -> Self {
        Self { rows, cols }
    }

    /// A column of `rows` numbers.
    pub const fn column(rows: u32) -> Self {
        Self { rows, cols: 1 }
    }

    /// Number of entries; the largest `usize`, which no memory holds, where that is too small for it.
    pub const fn len(self) -> usize {
        (self.rows as usize).saturating_mul(self.cols as usize)
    }

    /// Whether there are no entries.
    pub const fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// The shape that both broadcast to: each dimension equal, or 1 on one side.
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

    /// The shape with rows and columns exchanged if `flip`.
    pub(crate) fn flipped(self, flip: bool) -> Self {
        if flip { Self { rows: self.cols, cols: self.rows } } else { self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)
    }
}
