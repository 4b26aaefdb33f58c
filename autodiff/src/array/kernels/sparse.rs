//! Products of a sparse matrix in compressed row storage with several planes, in one pass over the matrix.

use crate::array::kernels::number::Number;
use crate::array::kernels::simd::{dispatched, mul_add};

/// A factor, and the array to which its product is added, both in row-major order.
pub(crate) type Plane<'x, 'y, T> = (&'x [T], &'y mut [T]);

dispatched! {
    /// Adds `M x`, or `M^T x` if `transposed`, to `y` of every plane, each of `columns` columns. Row `i` of `M` has the
    /// entries `starts[i]..starts[i + 1]` of `values`, in the columns given by `indices`.
    pub(crate) fn sparse_products<T: Number>(
        starts: &[usize],
        entries: (&[u32], &[T]),
        transposed: bool,
        columns: usize,
        planes: &mut [Plane<T>],
    ) {
        let (indices, values) = entries;
        for (i, bounds) in starts.windows(2).enumerate() {
            let row = bounds[0]..bounds[1];
            let row = indices[row.clone()].iter().zip(&values[row]);
            for (x, y) in planes.iter_mut() {
                match (columns, transposed) {
                    (1, false) => {
                        let add = |sum, (&j, &value): (&u32, _)| {
                            mul_add::<FMA, T>(value, x[j as usize], sum)
                        };
                        y[i] = row.clone().fold(y[i], add);
                    }
                    (_, false) => {
                        let y = &mut y[i * columns..][..columns];
                        for (&j, &value) in row.clone() {
                            let x = &x[j as usize * columns..][..columns];
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = mul_add::<FMA, T>(value, x, *y);
                            }
                        }
                    }
                    (_, true) => {
                        let x = &x[i * columns..][..columns];
                        for (&j, &value) in row.clone() {
                            let y = &mut y[j as usize * columns..][..columns];
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = mul_add::<FMA, T>(value, x, *y);
                            }
                        }
                    }
                }
            }
        }
    }
}
