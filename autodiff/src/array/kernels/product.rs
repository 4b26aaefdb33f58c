//! Matrix products, either operand transposed in place.
//!
//! Matrix-vector products and tiny products are own loops, without call overhead or allocation; the rest goes to
//! `gemm`. One left or right operand can meet several partners in one pass over it; the bits of a product do not depend
//! on how many others travel with it.

use smallvec::SmallVec;

use crate::array::element::Element;
use crate::array::kernels::reduce::dots;
use crate::array::kernels::simd::{dispatched, mul_add};
use crate::shape::Shape;

/// An operand: its entries row by row, its shape as stored, and whether it enters transposed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) shape: Shape,
    pub(crate) transposed: bool,
}

impl<T> Operand<'_, T> {
    /// Rows and columns as they enter the product.
    pub(crate) fn effective(&self) -> Shape {
        self.shape.flipped(self.transposed)
    }

    fn flipped(&self) -> Self {
        Self { data: self.data, shape: self.shape, transposed: !self.transposed }
    }

    /// Distance in memory between neighbouring rows and columns as they enter the product.
    fn strides(&self) -> (usize, usize) {
        let cols = self.shape.cols as usize;
        if self.transposed { (1, cols) } else { (cols, 1) }
    }
}

/// Up to this many multiplications a product is done by the plain loop: `gemm` costs 150-200 ns a call.
const TINY: usize = 2048;

/// `out = left right`, where `out` is zero on entry.
pub(crate) fn product<T: Element>(left: Operand<T>, right: Operand<T>, out: &mut [T]) {
    let (l, r) = (left.effective(), right.effective());
    let (m, k, n) = (l.rows as usize, l.cols as usize, r.cols as usize);
    debug_assert_eq!(l.cols, r.rows);
    debug_assert_eq!(out.len(), m * n);
    if n == 1 {
        matrix_vector(left, right.data, out);
    } else if m == 1 {
        matrix_vector(right.flipped(), left.data, out);
    } else if m * k * n <= TINY || k == 1 {
        plain(left, right, out, (m, k, n));
    } else {
        by_gemm(left, right, out, (m, k, n));
    }
}

/// The products of `shared` with each of `others`, on its left or on its right. `outs` are zero on entry.
pub(crate) fn products<'a, T: Element>(
    shared: Operand<'a, T>,
    shared_is_left: bool,
    others: &[Operand<'a, T>],
    outs: &mut [&mut [T]],
) {
    let facing = if shared_is_left { shared } else { shared.flipped() };
    let vectors =
        |o: &Operand<T>| if shared_is_left { o.effective().cols } else { o.effective().rows };
    if others.len() > 1 && others.iter().all(|o| vectors(o) == 1) {
        let vectors: SmallVec<[&[T]; 6]> = others.iter().map(|o| o.data).collect();
        return matrix_vectors(facing, &vectors, outs);
    }
    for (&other, out) in others.iter().zip(outs) {
        if shared_is_left {
            product(shared, other, out);
        } else {
            product(other, shared, out);
        }
    }
}

/// `out = matrix x`
fn matrix_vector<T: Element>(matrix: Operand<T>, x: &[T], out: &mut [T]) {
    matrix_vectors(matrix, &[x], &mut [out]);
}

/// `outs_i = matrix others_i`, reading the matrix once: a group of rows meets all vectors while it is in cache.
fn matrix_vectors<T: Element>(matrix: Operand<T>, others: &[&[T]], outs: &mut [&mut [T]]) {
    let cols = matrix.shape.cols as usize;
    if cols > 0 {
        rows_by_vectors(matrix.transposed, matrix.data, cols, others, outs);
    }
}

dispatched! {
    fn rows_by_vectors<T: Element>(
        transposed: bool,
        data: &[T],
        cols: usize,
        others: &[&[T]],
        outs: &mut [&mut [T]],
    ) {
        /// Rows that share their loads of the vector, or of the result.
        const GROUP: usize = 4;
        let rows = data.len() / cols;
        let row = |i: usize| &data[i * cols..(i + 1) * cols];
        let grouped = rows - rows % GROUP;
        for first in (0..grouped).step_by(GROUP) {
            let group: [&[T]; GROUP] = std::array::from_fn(|k| row(first + k));
            for (other, out) in others.iter().zip(outs.iter_mut()) {
                if transposed {
                    let factors = std::array::from_fn(|k| other[first + k]);
                    add_multiples::<FMA, T, GROUP>(group, factors, out);
                } else {
                    let sums = dots::<FMA, T, GROUP>(group, other);
                    out[first..first + GROUP].copy_from_slice(&sums);
                }
            }
        }
        for i in grouped..rows {
            for (other, out) in others.iter().zip(outs.iter_mut()) {
                if transposed {
                    add_multiples::<FMA, T, 1>([row(i)], [other[i]], out);
                } else {
                    out[i] = dots::<FMA, T, 1>([row(i)], other)[0];
                }
            }
        }
    }
}

/// `out += sum_k factors_k rows_k`
#[inline(always)]
fn add_multiples<const FMA: bool, T: Element, const N: usize>(
    rows: [&[T]; N],
    factors: [T; N],
    out: &mut [T],
) {
    let rows = rows.map(|row| &row[..out.len()]);
    for (j, o) in out.iter_mut().enumerate() {
        for k in 0..N {
            *o = mul_add::<FMA, T>(factors[k], rows[k][j], *o);
        }
    }
}

fn plain<T: Element>(
    left: Operand<T>,
    right: Operand<T>,
    out: &mut [T],
    (m, k, n): (usize, usize, usize),
) {
    let (l_row, l_col) = left.strides();
    let (r_row, r_col) = right.strides();
    for i in 0..m {
        let out = &mut out[i * n..(i + 1) * n];
        for p in 0..k {
            let factor = left.data[i * l_row + p * l_col];
            if r_col == 1 {
                for (o, &v) in out.iter_mut().zip(&right.data[p * r_row..]) {
                    *o += factor * v;
                }
            } else {
                for (j, o) in out.iter_mut().enumerate() {
                    *o += factor * right.data[p * r_row + j * r_col];
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_wrap, reason = "a slice has at most isize::MAX entries")]
fn by_gemm<T: Element>(
    left: Operand<T>,
    right: Operand<T>,
    out: &mut [T],
    (m, k, n): (usize, usize, usize),
) {
    let (l_row, l_col) = left.strides();
    let (r_row, r_col) = right.strides();
    assert!(left.data.len() == m * k && right.data.len() == k * n && out.len() == m * n);
    // SAFETY: the assertion above puts every `base + i * row_stride + j * col_stride` inside its slice, `out` is
    // borrowed exclusively, and `T` is f32 or f64, which `gemm` supports.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            left.data.as_ptr(),
            l_col as isize,
            l_row as isize,
            right.data.as_ptr(),
            r_col as isize,
            r_row as isize,
            T::zero(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small sizes")]
mod tests {
    use super::*;

    fn entries(n: usize, seed: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7 + seed * 3) % 11) as f64 - 5.0).collect()
    }

    /// Small integers, so every order of summation is exact.
    #[test]
    fn every_route_equals_the_definition() {
        for (m, k, n) in
            [(1, 5, 3), (4, 6, 1), (3, 1, 4), (5, 7, 6), (20, 30, 11), (17, 40, 33), (2, 0, 3)]
        {
            for (tl, tr) in [(false, false), (true, false), (false, true), (true, true)] {
                let (a, b) = (entries(m * k, 1), entries(k * n, 2));
                let shape = |r: usize, c: usize, t: bool| Shape::new(r as u32, c as u32).flipped(t);
                let left = Operand { data: &a, shape: shape(m, k, tl), transposed: tl };
                let right = Operand { data: &b, shape: shape(k, n, tr), transposed: tr };
                let mut out = vec![0.0; m * n];
                product(left, right, &mut out);
                for i in 0..m {
                    for j in 0..n {
                        let term = |p: usize| {
                            let x = if tl { a[p * m + i] } else { a[i * k + p] };
                            x * if tr { b[j * k + p] } else { b[p * n + j] }
                        };
                        let expected: f64 = (0..k).map(term).sum();
                        assert_eq!(out[i * n + j], expected, "{m} {k} {n} {tl} {tr} at {i},{j}");
                    }
                }
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_company() {
        let x: Vec<f64> = (0..60 * 21).map(|i| (f64::from(i) * 0.37).sin()).collect();
        let v: Vec<Vec<f64>> =
            (0..3).map(|s| (0..60).map(|i| f64::from(i + s).cos()).collect()).collect();
        for (transposed, k) in [(false, 21), (true, 60)] {
            let shape = Shape::new(60, 21);
            let shared = Operand { data: &x, shape, transposed };
            let others: Vec<_> = v
                .iter()
                .map(|v| Operand {
                    data: &v[..k],
                    shape: Shape::column(k as u32),
                    transposed: false,
                })
                .collect();
            let len = shared.effective().rows as usize;
            let mut together = vec![vec![0.0; len]; 3];
            let mut outs: Vec<&mut [f64]> = together.iter_mut().map(Vec::as_mut_slice).collect();
            products(shared, true, &others, &mut outs);
            for (other, together) in others.iter().zip(&together) {
                let mut alone = vec![0.0; len];
                product(shared, *other, &mut alone);
                assert_eq!(&alone, together);
            }
        }
    }
}
