//! [`Factored`]: solutions of linear systems and log-determinants from one factorisation, in every mode.
//!
//! The derivatives of `y = M^-1 b` are [lifted](crate::array::newton) with the factors of the values `M_0`, by
//! `y <- y + M_0^-1 (b - M y)`. The log-determinant is `ln |det M_0| + tr E - tr E^2 / 2 + ...` with
//! `E = M_0^-1 (M - M_0)`, up to the order of the mode.

use crate::array::Array;
use crate::array::by_value::Method;
use crate::array::element::Element;
use crate::array::factors::Inverse;
use crate::array::newton::{improve, lift};
use crate::fault::Fault;
use crate::shape::Shape;
use num_traits::Zero as _;

/// A square matrix with its factors.
///
/// Cost: one factorisation; `n^2` products per solution and column; in modes with derivatives, for each order, one
/// product with the matrix and one solution in addition. Memory: the factors, which the tape shares.
///
/// ```
/// use hypertape_autodiff::{Array, Element, Factored, Function, Method, Shape, Workspace};
/// /// `b . M^-1 b + ln det M`
/// struct Evidence;
/// impl<T: Element> Function<T> for Evidence {
///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
///         let m = Factored::new(x[0], Method::Cholesky);
///         x[1].dot(m.solve(x[1])) + m.log_det()
///     }
/// }
/// let (shapes, mut gradient) = ([Shape::new(2, 2), Shape::column(2)], [0.0; 6]);
/// let x = [4.0, 0.0, 0.0, 16.0, 4.0, 16.0];
/// let value = Workspace::new().gradient(&Evidence, &shapes, &x, &mut gradient)?;
/// assert!((value - (20.0 + 64.0_f64.ln())).abs() < 1e-14);
/// // M^-1 - y y^T and 2 y for y = (1, 1)
/// assert_eq!(gradient, [-0.75, -1.0, -1.0, -0.9375, 2.0, 2.0]);
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Factored<'a, A: Array<'a>> {
    matrix: A,
    /// `None` after a fault.
    inverse: Option<&'a Inverse<'a, A::Elem>>,
}

impl<'a, A: Array<'a>> Factored<'a, A> {
    /// Factors a square matrix. Raises [`Fault::Pivot`] if the matrix is singular or, for [`Method::Cholesky`], not
    /// positive definite; [`Fault::Asymmetric`] if it is not symmetric, for that method; and [`Fault::NotSquare`] if it
    /// is not square. All results are then empty.
    pub fn new(matrix: A, method: Method) -> Self {
        Self::tried(matrix, method).unwrap_or_else(|fault| {
            matrix.arena().raise(fault);
            Self { matrix, inverse: None }
        })
    }

    fn tried(matrix: A, method: Method) -> Result<Self, Fault> {
        let (arena, shape) = (matrix.arena(), matrix.shape());
        if shape.rows != shape.cols {
            return Err(Fault::NotSquare { operation: method.name(), shape });
        }
        let (n, values) = (shape.rows as usize, seen(matrix)?);
        let factors = arena.copy(values)?;
        let inverse = Inverse::new(method, n, factors, arena.fill(n, 0)?)?;
        let mut part = matrix;
        if A::ORDER > 0 && matches!(method, Method::Lower | Method::Upper) {
            let [zero, one] = [0.0, 1.0].map(A::Elem::from_f64);
            let read = |p: usize| method.reads(p / n, n).contains(&(p % n));
            let mask = |p| if read(p) { one } else { zero };
            let mask = arena.collect(shape.len(), (0..shape.len()).map(mask))?;
            part = matrix * matrix.constant(shape, mask);
        }
        Ok(Self { matrix: part, inverse: Some(arena.put(inverse)?) })
    }

    /// Returns `M^-1 b` for each column of `b`.
    pub fn solve(self, b: A) -> A {
        let Some(inverse) = self.inverse else { return b.constant(Shape::EMPTY, &[]) };
        let y = b.detach().linear(inverse, false);
        lift(y, inverse, |y| b - self.matrix.matmul(y))
    }

    /// Returns the sign of `det M`, 1 or -1, as a constant scalar.
    pub fn sign(self) -> A {
        let Some(inverse) = self.inverse else { return self.matrix.constant(Shape::EMPTY, &[]) };
        self.matrix.scalar(inverse.sign())
    }

    /// Returns the lower triangular `L` with `L L^T = M` of a matrix that was factored by [`Method::Cholesky`]. Cost in
    /// modes with derivatives, for each order: two solutions with `n` right-hand sides and two products.
    ///
    /// Derivatives are lifted by `L <- L + L_0 phi(L_0^-1 (M - L L^T) L_0^-T)` for the symmetric part of `M`, where
    /// `phi` takes the lower triangle with half the diagonal.
    pub fn factor(self) -> A {
        let arena = self.matrix.arena();
        let (shape, empty) = (self.matrix.shape(), self.matrix.constant(Shape::EMPTY, &[]));
        let Some(inverse) = self.inverse else { return empty };
        let Some(lower) = inverse.lower() else {
            arena.raise(Fault::Shapes { operation: "cholesky", left: shape, right: shape });
            return empty;
        };
        let n = shape.rows as usize;
        let line = |i: usize| {
            let zeros = std::iter::repeat_n(A::Elem::zero(), n - 1 - i);
            lower.factors()[i * n..][..=i].iter().copied().chain(zeros)
        };
        let constant = |cells: Result<&'a mut [A::Elem], Fault>| {
            cells.map_or(empty, |cells| self.matrix.constant(shape, cells))
        };
        let start = constant(arena.collect(shape.len(), (0..n).flat_map(line)));
        if A::ORDER == 0 {
            return start;
        }
        let Ok(lower) = arena.put(lower) else { return empty };
        let weight = |p: usize| match (p / n, p % n) {
            (i, j) if i == j => A::Elem::from_f64(0.5),
            (i, j) => A::Elem::from_f64(f64::from(j < i)),
        };
        let phi = constant(arena.collect(shape.len(), (0..shape.len()).map(weight)));
        let symmetric = (self.matrix + self.matrix.transpose()) / 2.0;
        improve(
            start,
            |l| symmetric - l.matmul_transposed(false, l, true),
            |rest| {
                let rest = rest.linear(lower, false).transpose().linear(lower, false);
                start.matmul(rest * phi)
            },
        )
    }

    /// Returns `ln |det M|`, a scalar.
    pub fn log_det(self) -> A {
        let Some(inverse) = self.inverse else { return self.matrix.constant(Shape::EMPTY, &[]) };
        let mut sum = self.matrix.scalar(inverse.log_det().as_f64());
        if A::ORDER == 0 {
            return sum;
        }
        let shape = self.matrix.shape();
        let (n, [zero, one]) = (shape.rows as usize + 1, [0.0, 1.0].map(A::Elem::from_f64));
        let unit = (0..shape.len()).map(|p| if p.is_multiple_of(n) { one } else { zero });
        let Ok(unit) = self.matrix.arena().collect(shape.len(), unit) else { return sum };
        let (unit, moved) = (self.matrix.constant(shape, unit), self.matrix - self.matrix.detach());
        sum = sum + unit.linear(inverse, true).dot(moved);
        if A::ORDER > 1 {
            let step = moved.linear(inverse, false);
            let mut power = step;
            for order in 2..=A::ORDER {
                power = power.matmul(step);
                sum = sum + power.dot(unit) * alternating(order);
            }
        }
        sum
    }
}

/// Returns the entries of an array, for operations that depend on values. Returns a fault for the array of a tracer,
/// which has none.
pub(crate) fn seen<'a, A: Array<'a>>(x: A) -> Result<&'a [A::Elem], Fault> {
    let (values, all) = (x.values(), x.shape().len());
    if values.len() == all { Ok(values) } else { Err(Fault::Trace { what: "looks at values" }) }
}

/// Returns the factor of `tr E^k` in `tr ln(I + E)`: `(-1)^(k + 1) / k`.
pub(crate) fn alternating(k: u32) -> f64 {
    if k.is_multiple_of(2) { -1.0 / f64::from(k) } else { 1.0 / f64::from(k) }
}
