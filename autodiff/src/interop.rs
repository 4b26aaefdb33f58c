//! Conversion of matrices from and to other crates, behind the features that have their names. Points and derivatives
//! are flat slices, which vectors of both crates provide (`as_slice`, `as_slice_mut`).

use crate::arena::Arena;
use crate::array::Array;
use crate::array::element::Element;
use crate::array::tensor::Tensor;
use crate::shape::Shape;

/// Copies entries in row-major order into the arena.
fn copied<T: Element>(
    arena: &Arena,
    (rows, cols): (usize, usize),
    entries: impl Iterator<Item = T>,
) -> Tensor<'_, T> {
    match arena.collect(rows * cols, entries) {
        Ok(data) => Tensor::new(arena, shape(rows, cols), data),
        Err(_) => Tensor::new(arena, Shape::EMPTY, &[]),
    }
}

fn shape(rows: usize, cols: usize) -> Shape {
    let [rows, cols] = [rows, cols].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    Shape::new(rows, cols)
}

#[cfg(feature = "ndarray")]
impl<'a, T: Element> Tensor<'a, T> {
    /// Converts a matrix of `ndarray`. Its entries are borrowed if they are stored in row-major order without gaps, and
    /// copied into the arena otherwise.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Tensor};
    /// let (arena, m) = (Arena::new(), ndarray::array![[1.0, 2.0], [3.0, 4.0]]);
    /// let product = Tensor::from_ndarray(&arena, &m.view()).matmul(Tensor::from_ndarray(&arena, &m.t()));
    /// assert_eq!(product.to_ndarray(), ndarray::array![[5.0, 11.0], [11.0, 25.0]]);
    /// ```
    pub fn from_ndarray(arena: &'a Arena, matrix: &ndarray::ArrayView2<'a, T>) -> Self {
        match matrix.to_slice() {
            Some(data) => Self::new(arena, shape(matrix.nrows(), matrix.ncols()), data),
            None => copied(arena, matrix.dim(), matrix.iter().copied()),
        }
    }

    /// Returns a view of the entries.
    ///
    /// # Panics
    /// Does not panic: a tensor has as many entries as its shape says.
    pub fn to_ndarray(self) -> ndarray::ArrayView2<'a, T> {
        let shape = (self.shape().rows as usize, self.shape().cols as usize);
        ndarray::ArrayView2::from_shape(shape, self.values()).expect("entries that fill the shape")
    }
}

#[cfg(feature = "nalgebra")]
impl<'a, T: Element> Tensor<'a, T> {
    /// Converts a matrix or vector of `nalgebra`. Its entries are stored in column-major order, so they are copied into
    /// the arena.
    ///
    /// ```
    /// use hypertape_autodiff::{Arena, Array, Tensor};
    /// let (arena, m) = (Arena::new(), nalgebra::matrix![1.0, 2.0; 3.0, 4.0]);
    /// let tensor = Tensor::from_nalgebra(&arena, &m);
    /// assert_eq!(tensor.values(), [1.0, 2.0, 3.0, 4.0]);
    /// assert_eq!(tensor.matmul(tensor).to_nalgebra(), m * m);
    /// ```
    pub fn from_nalgebra<R: nalgebra::Dim, C: nalgebra::Dim, S: nalgebra::RawStorage<T, R, C>>(
        arena: &'a Arena,
        matrix: &nalgebra::Matrix<T, R, C, S>,
    ) -> Self {
        let (rows, cols) = matrix.shape();
        copied(arena, (rows, cols), (0..rows * cols).map(|p| matrix[(p / cols, p % cols)]))
    }

    /// Returns a copy of the entries.
    pub fn to_nalgebra(self) -> nalgebra::DMatrix<T> {
        let shape = self.shape();
        nalgebra::DMatrix::from_row_slice(shape.rows as usize, shape.cols as usize, self.values())
    }
}
