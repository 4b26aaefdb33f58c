//! The loops of [`Linear`] operations.

use crate::array::element::Element;
use crate::array::linear::Linear;
use crate::shape::Shape;

impl<T: Element> Linear<'_, T> {
    /// Writes the result for the entries `x` of an array of shape `from` into `out`, which is zero and has the right
    /// length. Views and operators have ways of their own.
    pub(crate) fn write(self, x: &[T], from: Shape, out: &mut [T]) {
        let cols = from.cols as usize;
        let rows = || x.chunks_exact(cols.max(1));
        match self {
            Self::Sum(to) => T::sum_to(x, from, out, to),
            Self::Broadcast(to) => {
                let step = if from.rows == 1 { 0 } else { cols };
                let width = to.cols as usize;
                for (i, row) in out.chunks_exact_mut(width.max(1)).enumerate() {
                    if cols == 1 {
                        row.fill(x[i * step]);
                    } else {
                        row.copy_from_slice(&x[i * step..][..width]);
                    }
                }
            }
            Self::Pick(labels) => {
                for ((out, row), &label) in out.iter_mut().zip(rows()).zip(labels) {
                    *out = row[label as usize];
                }
            }
            Self::Place(labels, width) => {
                let rows = out.chunks_exact_mut((width as usize).max(1));
                for ((row, &label), &v) in rows.zip(labels).zip(x) {
                    row[label as usize] = v;
                }
            }
            Self::Gather(indices) => {
                for (row, &i) in out.chunks_exact_mut(cols.max(1)).zip(indices) {
                    row.copy_from_slice(&x[i as usize * cols..][..cols]);
                }
            }
            Self::Scatter(indices, _) => {
                for (row, &i) in rows().zip(indices) {
                    for (o, &v) in out[i as usize * cols..].iter_mut().zip(row) {
                        *o += v;
                    }
                }
            }
            Self::Embed(start, _) => out[start..][..x.len()].copy_from_slice(x),
            Self::Slice(..) | Self::Reshape(_) | Self::Operator(..) => {}
        }
    }
}
