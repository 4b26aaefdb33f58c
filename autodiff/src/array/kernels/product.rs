//! Matrix products, with either operand transposed in place.
//!
//! One left or right operand can be multiplied with several partners in one pass over it. The bits of a product do not
//! depend on the number of products in the pass. Nothing is allocated from the system.
//!
//! Measured on a core with a peak of 134 GFLOP/s in `f64`: a square product of 256 rows runs at 120 GFLOP/s, one plane
//! of 83 x 784 x 10 at 90, two such planes at 90 as well, and a product of a matrix of 512 KiB with a vector reads the
//! matrix at 105 GB/s.

mod columns;
mod dots;
pub(crate) mod pack;
mod register;
mod tile;
pub(crate) mod vector;

use crate::array::kernels::number::Number;
use crate::array::kernels::product::pack::{List, View};
use crate::shape::Shape;

/// An operand: its entries in row-major order, its shape as stored, and whether it enters the product transposed.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a, T> {
    pub data: &'a [T],
    pub shape: Shape,
    pub transposed: bool,
}

impl<T> Operand<'_, T> {
    /// Returns the shape with which the operand enters the product.
    pub(crate) fn effective(&self) -> Shape {
        self.shape.flipped(self.transposed)
    }

    fn flipped(&self) -> Self {
        Self { data: self.data, shape: self.shape, transposed: !self.transposed }
    }

    fn view(&self) -> View<'_, T> {
        let cols = self.shape.cols as usize;
        let (row, col) = if self.transposed { (1, cols) } else { (cols, 1) };
        View { data: self.data, row, col }
    }
}

/// Computes the products of `shared` with each of `others`; `shared` is on the left if `shared_is_left`, otherwise on
/// the right. `outs` are zero on entry.
pub(crate) fn products<'a, T: Number>(
    shared: Operand<'a, T>,
    shared_is_left: bool,
    others: &[Operand<'a, T>],
    outs: &mut [&mut [T]],
) {
    // The shared factor as the left factor of columns.
    let facing = if shared_is_left { shared } else { shared.flipped() };
    let facing_other = |o: &Operand<'a, T>| if shared_is_left { o.flipped() } else { *o };
    let mut from = 0;
    while from < others.len() {
        // Consecutive operands of the same shape are multiplied together.
        let first = others[from];
        let alike = |o: &&Operand<T>| o.effective() == first.effective();
        let to = from + others[from..].iter().take_while(alike).count();
        let (others, outs) = (&others[from..to], &mut outs[from..to]);
        if facing_other(&first).effective().rows == 1 {
            let vectors: List<&[T]> = others.iter().map(|o| o.data).collect();
            matrix_vectors(facing, &vectors, outs);
        } else if facing.effective().rows == 1 {
            for (other, out) in others.iter().zip(outs) {
                matrix_vectors(facing_other(other), &[shared.data], &mut [out]);
            }
        } else if facing.effective().cols == 1 {
            for (other, out) in others.iter().zip(outs) {
                let (left, right) =
                    if shared_is_left { (&shared, other) } else { (other, &shared) };
                vector::outer(left.data, right.data, out);
            }
        } else {
            let views: List<View<T>> = others.iter().map(Operand::view).collect();
            let (o, s) = (first.effective(), shared.effective());
            let (o, s) = ([o.rows as usize, o.cols as usize], [s.rows as usize, s.cols as usize]);
            if shared_is_left {
                tile::multiply(&[shared.view()], &views, outs, [s[0], s[1], o[1]]);
            } else {
                tile::multiply(&views, &[shared.view()], outs, [o[0], o[1], s[1]]);
            }
        }
        from = to;
    }
}

fn matrix_vectors<T: Number>(matrix: Operand<T>, others: &[&[T]], outs: &mut [&mut [T]]) {
    vector::multiply(matrix.transposed, matrix.data, matrix.shape.cols as usize, others, outs);
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small sizes")]
mod tests {
    use super::*;

    /// An operand that enters as `rows` by `cols`, stored transposed or not.
    fn operand<T>(data: &[T], rows: usize, cols: usize, transposed: bool) -> Operand<'_, T> {
        let shape = Shape::new(rows as u32, cols as u32).flipped(transposed);
        Operand { data, shape, transposed }
    }

    /// The products of one factor with a plane for each of `others`. Sizes are those with which operands enter.
    fn together<T: Number>(
        (shared, others): (&[T], &[Vec<T>]),
        [m, k, n]: [usize; 3],
        (tl, tr): (bool, bool),
        left: bool,
    ) -> Vec<Vec<T>> {
        let one = |data, is_left| {
            if is_left { operand(data, m, k, tl) } else { operand(data, k, n, tr) }
        };
        let operands: Vec<_> = others.iter().map(|o| one(o, !left)).collect();
        let mut results = vec![vec![T::zero(); m * n]; others.len()];
        let mut outs: Vec<&mut [T]> = results.iter_mut().map(Vec::as_mut_slice).collect();
        products(one(shared, left), left, &operands, &mut outs);
        results
    }

    /// Calls `f` for every combination of transpositions and sides.
    fn every_way(mut f: impl FnMut((bool, bool), bool)) {
        for way in 0..8 {
            f((way & 1 > 0, way & 2 > 0), way & 4 > 0);
        }
    }

    /// Small integers, so that sums are exact in every order.
    fn equals_the_definition<T: Number>([m, k, n]: [usize; 3], planes: usize) {
        let entries = |len: usize, seed: usize| -> Vec<T> {
            (0..len).map(|i| T::of(((i * 7 + seed * 3) % 11) as f64 - 5.0)).collect()
        };
        every_way(|(tl, tr), left| {
            let (one, many) = if left { (m * k, k * n) } else { (k * n, m * k) };
            let shared = entries(one, 9);
            let others: Vec<_> = (0..planes).map(|plane| entries(many, plane)).collect();
            let results = together((&shared, &others), [m, k, n], (tl, tr), left);
            for (other, result) in others.iter().zip(results) {
                let (a, b) = if left { (&shared, other) } else { (other, &shared) };
                for (at, &value) in result.iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let expected = (0..k).fold(T::zero(), |sum, p| {
                        let x = if tl { a[p * m + i] } else { a[i * k + p] };
                        sum + x * if tr { b[j * k + p] } else { b[p * n + j] }
                    });
                    assert_eq!(value, expected, "{m} {k} {n} {tl} {tr} {left} at {i},{j}");
                }
            }
        });
    }

    #[test]
    fn every_route_equals_the_definition() {
        let mut sizes = vec![[0, 3, 2], [2, 0, 3], [2, 3, 0], [1, 1, 1], [1, 5, 3], [4, 6, 1]];
        // All remainders of rows and columns, with widths of up to three vectors and more.
        sizes.extend((1..18).map(|n| [23, 9, n]));
        sizes.extend((1..18).map(|m| [m, 10, 41]));
        // Outer products, then panels and blocks of rows that are visited more than once.
        sizes.extend([[9, 1, 33], [5, 2100, 6], [300, 9, 50], [64, 64, 64]]);
        // Matrix-vector products whose rows fill every register.
        sizes.extend([[230, 219, 1], [219, 230, 1], [1, 233, 471]]);
        // Dot products, in one panel and in several; rows of a transposed left factor as vectors.
        sizes.extend([[4, 256, 10], [11, 263, 5], [6, 1900, 9], [48, 9, 10], [33, 300, 2]]);
        if cfg!(miri) {
            sizes = vec![[1, 5, 3], [23, 9, 1], [7, 10, 13], [9, 1, 33], [4, 67, 5]];
        }
        for size in sizes {
            for planes in 1..if cfg!(miri) { 3 } else { 5 } {
                equals_the_definition::<f64>(size, planes);
                equals_the_definition::<f32>(size, planes);
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_company() {
        let wave = |len: usize, seed: usize| -> Vec<f64> {
            (0..len).map(|i| ((i + 3 * seed) as f64 * 0.37).sin()).collect()
        };
        // Vectors, an outer product, a tiny product, narrow and wide tiles, several panels, dot products.
        let sizes = [
            [60, 21, 1],
            [230, 219, 1],
            [219, 230, 1],
            [1, 21, 60],
            [9, 1, 33],
            [3, 4, 5],
            [83, 90, 10],
            [10, 40, 40],
            [9, 900, 7],
            [9, 900, 5],
            [83, 300, 10],
        ];
        for [m, k, n] in sizes {
            every_way(|transposed, left| {
                let (one, many) = if left { (m * k, k * n) } else { (k * n, m * k) };
                let shared = wave(one, 0);
                let others: Vec<_> = (1..6).map(|plane| wave(many, plane)).collect();
                let all = together((&shared, &others), [m, k, n], transposed, left);
                for (other, result) in others.chunks(1).zip(all) {
                    let alone = together((&shared, other), [m, k, n], transposed, left);
                    assert_eq!(alone[0], result, "{m} {k} {n} {transposed:?} {left}");
                }
            });
        }
    }

    #[test]
    fn partners_of_different_shapes() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let others = [operand(&b[..2], 2, 1, false), operand(&b, 2, 2, false)];
        let (mut column, mut square) = ([0.0; 2], [0.0; 4]);
        products(operand(&a, 2, 2, false), true, &others, &mut [&mut column, &mut square]);
        assert_eq!(column, [17.0, 39.0]);
        assert_eq!(square, [19.0, 22.0, 43.0, 50.0]);
    }
}
