//! The loops of [`Linear`] operations.

use crate::array::element::Element;
use crate::array::linear::Linear;
use crate::shape::Shape;

impl<T: Element> Linear<'_, T> {
    /// Writes the result for the entries `x` of an array of shape `from` into `out`, which is zero and has the right
    /// length. Views, broadcasts and operators are implemented elsewhere.
    pub(crate) fn write(self, x: &[T], from: Shape, out: &mut [T]) {
        let cols = from.cols as usize;
        match self {
            Self::Sum(to) => T::sum_to(x, from, out, to),
            Self::Pick(labels) => {
                let rows = x.chunks_exact(cols.max(1));
                for ((out, row), &label) in out.iter_mut().zip(rows).zip(labels) {
                    *out = row[label as usize];
                }
            }
            Self::Gather(indices) => {
                for (row, &i) in out.chunks_exact_mut(cols.max(1)).zip(indices) {
                    row.copy_from_slice(&x[i as usize * cols..][..cols]);
                }
            }
            Self::Transpose => T::transpose(x, cols, out),
            Self::Block([row, col], part) => {
                let width = part.cols as usize;
                for (i, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
                    out.copy_from_slice(&x[(row as usize + i) * cols + col as usize..][..width]);
                }
            }
            Self::Entries(places, _) => {
                for (out, &place) in out.iter_mut().zip(places) {
                    *out = x[place as usize];
                }
            }
            Self::CumulativeSum(across, reversed) => {
                out.copy_from_slice(x);
                let (rows, end) = (from.rows as usize, cols.saturating_sub(1));
                if across {
                    for row in out.chunks_exact_mut(cols.max(1)) {
                        if reversed {
                            (0..end).rev().for_each(|j| row[j] += row[j + 1]);
                        } else {
                            (0..end).for_each(|j| row[j + 1] += row[j]);
                        }
                    }
                    return;
                }
                for i in 1..rows {
                    let i = if reversed { rows - i } else { i };
                    let (above, below) = out.split_at_mut(i * cols);
                    let (above, below) = (&mut above[(i - 1) * cols..], &mut below[..cols]);
                    let (to, from) = if reversed { (above, below) } else { (below, above) };
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
                }
            }
            Self::Slice(..) | Self::Reshape(_) | Self::Broadcast(_) | Self::Operator(..) => {}
            Self::Place(..)
            | Self::Scatter(..)
            | Self::Embed(..)
            | Self::Inset(..)
            | Self::ScatterEntries(..) => self.spread(x, from, out, |out, x| *out = x),
        }
    }

    /// Puts the entries `x` of an array of shape `from` into `out`, for the operations for which
    /// [`spreads`](Linear::spreads) is true. Entries whose places may repeat are always added.
    pub(crate) fn spread(self, x: &[T], from: Shape, out: &mut [T], put: impl Fn(&mut T, T)) {
        let cols = from.cols as usize;
        let rows = || x.chunks_exact(cols.max(1));
        let put_all = |out: &mut [T], x: &[T]| {
            out.iter_mut().zip(x).for_each(|(out, &x)| put(out, x));
        };
        match self {
            Self::Place(labels, width) => {
                let rows = out.chunks_exact_mut((width as usize).max(1));
                for ((row, &label), &v) in rows.zip(labels).zip(x) {
                    put(&mut row[label as usize], v);
                }
            }
            Self::Scatter(indices, _) => {
                for (row, &i) in rows().zip(indices) {
                    for (o, &v) in out[i as usize * cols..].iter_mut().zip(row) {
                        *o += v;
                    }
                }
            }
            Self::ScatterEntries(places, _) => {
                for (&v, &place) in x.iter().zip(places) {
                    out[place as usize] += v;
                }
            }
            Self::Embed(start, _) => put_all(&mut out[start..], x),
            Self::Inset([row, col], whole) => {
                let width = whole.cols as usize;
                for (i, x) in rows().enumerate() {
                    put_all(&mut out[(row as usize + i) * width + col as usize..], x);
                }
            }
            _ => {}
        }
    }
}
