//! Least squares and eigenvalues of symmetric matrices, by orthogonal transformations.
//!
//! Golub and Van Loan (2013), algorithms 5.1.1 (Householder reflections), 5.2.1 (`A = Q R` by reflections), 8.3.1
//! (reduction to a tridiagonal matrix) and 8.3.2 (implicit QR steps on it). Derivatives are
//! [lifted](crate::array::newton).

use num_traits::Float;

use crate::array::Array;
use crate::array::by_value::Method;
use crate::array::element::Element;
use crate::array::factored::seen;
use crate::array::factors::{Inverse, expect_symmetric};
use crate::array::kernels::math::hypot;
use crate::array::newton::improve;
use crate::fault::Fault;
use crate::shape::Shape;

/// Returns the `x` that minimises `|A x - b|` for each column of `b`, where `A` has full column rank. Derivatives are
/// lifted from the residual `A^T (b - A x)`, whose derivative in `x` is `-A^T A = -R^T R`.
pub(crate) fn least_squares<'a, A: Array<'a>>(a: A, b: A) -> A {
    tried_least_squares(a, b).unwrap_or_else(|fault| {
        a.arena().raise(fault);
        a.constant(Shape::EMPTY, &[])
    })
}

fn tried_least_squares<'a, A: Array<'a>>(a: A, b: A) -> Result<A, Fault> {
    const NAME: &str = "least_squares";
    let (arena, Shape { rows, cols }, of) = (a.arena(), a.shape(), b.shape());
    if rows < cols || rows != of.rows {
        return Err(Fault::Shapes { operation: NAME, left: a.shape(), right: of });
    }
    let (n, columns) = (cols as usize, of.cols as usize);
    let (r, y) = (arena.copy(seen(a)?)?, arena.copy(seen(b)?)?);
    for k in 0..n {
        let mut v: Vec<_> = r[k * n + k..].iter().copied().step_by(n).collect();
        let all = r[k..].iter().step_by(n).fold(0.0, |all: f64, r| all.max(r.as_f64().abs()));
        let diagonal = reflection(&mut v);
        let least = f64::from(rows) * A::Elem::epsilon().as_f64() * all;
        if diagonal.as_f64().abs().partial_cmp(&least) != Some(std::cmp::Ordering::Greater) {
            return Err(Fault::Pivot { operation: NAME, index: k, value: diagonal.as_f64() });
        }
        reflect(&v, &mut r[k * n..], n, k);
        reflect(&v, &mut y[k * columns..], columns, 0);
    }
    let factor = Inverse::new(Method::Upper, n, &mut r[..n * n], arena.fill(n, 0)?)?;
    factor.solve(false, columns, &mut y[..n * columns]);
    let factor = arena.put(factor)?;
    let y = a.constant(Shape::new(cols, of.cols), &y[..n * columns]);
    let normal = |x| a.matmul_transposed(true, b - a.matmul(x), false);
    Ok(improve(y, normal, |rest| rest.linear(factor, true).linear(factor, false)))
}

/// Returns the eigenvalues of a symmetric matrix as a column in ascending order, and its eigenvectors as columns of
/// length 1 whose largest entry in absolute value (the first of several) is positive. Derivatives are lifted from the
/// residuals `M V - V D` and `I - V^T V`, which are solved in the basis of the eigenvectors.
pub(crate) fn eigen<'a, A: Array<'a>>(m: A) -> (A, A) {
    tried_eigen(m).unwrap_or_else(|fault| {
        m.arena().raise(fault);
        (m.constant(Shape::EMPTY, &[]), m.constant(Shape::EMPTY, &[]))
    })
}

fn tried_eigen<'a, A: Array<'a>>(m: A) -> Result<(A, A), Fault> {
    const NAME: &str = "eigen";
    let (arena, shape) = (m.arena(), m.shape());
    if shape.rows != shape.cols {
        return Err(Fault::NotSquare { operation: NAME, shape });
    }
    let (n, matrix) = (shape.rows as usize, seen(m)?);
    let largest = matrix.iter().fold(0.0, |all: f64, m| all.max(m.as_f64().abs()));
    expect_symmetric(NAME, n, matrix, |_, _| largest)?;
    let (values, rows) = decomposed(n, arena.copy(matrix)?)?;
    let start = m.constant(Shape::column(shape.rows), arena.copy(&values)?);
    let basis = m.constant(shape, arena.copy(&rows)?).transpose();
    if A::ORDER == 0 {
        return Ok((start, basis));
    }
    // Eigenvalues that are closer than rounding errors can move them count as repeated.
    let gap = |p: usize| values[p % n].as_f64() - values[p / n].as_f64();
    let near = 4.0 * n as f64 * A::Elem::epsilon().as_f64() * largest;
    let repeated = |p: usize| gap(p).abs() <= near;
    let off = |p: usize| p / n != p % n;
    if A::ORDER > 1 && (0..n * n).any(|p| off(p) && repeated(p)) {
        return Err(Fault::Order { operation: "eigen at repeated eigenvalues", order: A::ORDER });
    }
    let constant = |cell: &dyn Fn(usize) -> f64| {
        let cells = arena.collect(n * n, (0..n * n).map(|p| A::Elem::from_f64(cell(p))))?;
        Ok::<_, Fault>(m.constant(shape, cells))
    };
    let turn = constant(&|p| if off(p) && !repeated(p) { gap(p).recip() } else { 0.0 })?;
    let half = constant(&|p| if off(p) { 0.0 } else { 0.5 })?;
    let (mut d, mut v, m) = (start, basis, (m + m.transpose()) / 2.0);
    let diagonal = m.indices(n, |i| u32::try_from(i * (n + 1)).unwrap_or(u32::MAX));
    for _ in 0..A::ORDER {
        let rest = basis.matmul_transposed(true, m.matmul(v) - v * d.transpose(), false);
        let lengths = v.matmul_transposed(true, v, false);
        let (rest, lengths) = (rest - rest.detach(), lengths - lengths.detach());
        v = v + basis.matmul(rest * turn - lengths * half);
        d = d + rest.entries(diagonal, d.shape());
    }
    Ok((d, v))
}

/// Replaces `x` by a vector `v` such that the reflection `I - 2 v v^T / v^T v` takes `x` to a multiple of the first
/// unit vector, and returns this multiple. Cost: `3 n`.
fn reflection<T: Element>(x: &mut [T]) -> T {
    let largest = x.iter().fold(T::zero(), |most, x| if x.abs() <= most { most } else { x.abs() });
    if largest.is_zero() || !largest.is_finite() {
        x.fill(T::zero());
        return largest;
    }
    for x in x.iter_mut() {
        *x = *x / largest;
    }
    let length = -T::dot(x, x).sqrt().copysign(x[0]);
    x[0] = x[0] - length;
    length * largest
}

/// Applies the reflection to the columns from `first` on of the rows of `matrix`.
fn reflect<T: Element>(v: &[T], matrix: &mut [T], cols: usize, first: usize) {
    let size = T::dot(v, v);
    if size.is_zero() || cols == first {
        return;
    }
    let mut sums = vec![T::zero(); cols - first];
    for (row, &v) in matrix.chunks_exact(cols).zip(v) {
        T::axpy(&mut sums, v, &row[first..]);
    }
    let by = -(T::of(2.0) / size);
    for (row, &v) in matrix.chunks_exact_mut(cols).zip(v) {
        T::axpy(&mut row[first..], by * v, &sums);
    }
}

/// Returns the eigenvalues in ascending order, and the eigenvectors as rows, of a symmetric matrix. Cost: about
/// `14 n^3`.
fn decomposed<T: Element>(n: usize, a: &mut [T]) -> Result<(Vec<T>, Vec<T>), Fault> {
    let mut vectors = vec![T::zero(); n * n];
    vectors.iter_mut().step_by(n + 1).for_each(|v| *v = T::one());
    let mut beside = vec![T::zero(); n];
    for k in 1..n {
        // The part of row `k - 1` beyond its neighbour.
        let mut v = a[(k - 1) * n + k..k * n].to_vec();
        beside[k - 1] = reflection(&mut v);
        reflect(&v, &mut a[k * n..], n, k);
        // From the right: reflects each row as a column is reflected from the left.
        let size = T::dot(&v, &v);
        if !size.is_zero() {
            for row in a[k * n..].chunks_exact_mut(n) {
                let by = -(T::of(2.0) / size) * T::dot(&row[k..], &v);
                T::axpy(&mut row[k..], by, &v);
            }
        }
        reflect(&v, &mut vectors[k * n..], n, 0);
    }
    let mut values: Vec<T> = a.iter().copied().step_by(n + 1).collect();
    tridiagonal(&mut values, &mut beside, &mut vectors)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| values[i].partial_cmp(&values[j]).unwrap_or(std::cmp::Ordering::Equal));
    let mut rows = Vec::with_capacity(n * n);
    for &i in &order {
        let row = &vectors[i * n..][..n];
        let largest =
            row.iter().fold(T::zero(), |most, &v| if v.abs() <= most.abs() { most } else { v });
        rows.extend(row.iter().map(|&v| if largest < T::zero() { -v } else { v }));
    }
    Ok((order.iter().map(|&i| values[i]).collect(), rows))
}

/// Diagonalises the symmetric tridiagonal matrix with the diagonal `d` and the entries `e` beside it, by implicit QR
/// steps with Wilkinson's shift, and applies the same rotations to the rows of `vectors`.
fn tridiagonal<T: Element>(d: &mut [T], e: &mut [T], vectors: &mut [T]) -> Result<(), Fault> {
    const STEPS: usize = 60;
    let (n, two) = (d.len(), T::of(2.0));
    for first in 0..n {
        for step in 0.. {
            let small = |i: &usize| e[*i].abs() <= T::epsilon() * (d[*i].abs() + d[*i + 1].abs());
            let last = (first..n - 1).find(small).unwrap_or(n - 1);
            if last == first {
                break;
            }
            if step == STEPS {
                let change = e[first].as_f64().abs();
                return Err(Fault::NotConverged { operation: "eigen", steps: step, change });
            }
            let half = (d[first + 1] - d[first]) / (two * e[first]);
            let mut g = half + hypot(half, T::one()).copysign(half);
            g = d[last] - d[first] + e[first] / g;
            let (mut sin, mut cos, mut moved) = (T::one(), T::one(), T::zero());
            for i in (first..last).rev() {
                let (f, b) = (sin * e[i], cos * e[i]);
                let r = hypot(f, g);
                e[i + 1] = r;
                if r.is_zero() {
                    // The matrix splits into two here.
                    (d[i + 1], e[last]) = (d[i + 1] - moved, T::zero());
                    moved = T::zero();
                    g = e[first];
                    break;
                }
                (sin, cos) = (f / r, g / r);
                g = d[i + 1] - moved;
                let turned = (d[i] - g) * sin + two * cos * b;
                moved = sin * turned;
                d[i + 1] = g + moved;
                g = cos * turned - b;
                let (upper, lower) = vectors[i * n..][..2 * n].split_at_mut(n);
                T::rotate(upper, lower, cos, sin);
            }
            d[first] = d[first] - moved;
            (e[first], e[last]) = (g, T::zero());
        }
    }
    Ok(())
}
