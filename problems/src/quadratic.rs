//! `Quadratic`: both losses are quadratic, so everything about the problem has a closed form.
//!
//! ```text
//! g(x, w) = w'A w / 2 + x'C w + a'w
//! f(x, w) = w'F w / 2 + x'H x / 2 + x'K w + b'w + h'x
//! ```
//!
//! With step size `lr`, `w_r = w* + (I - lr A)^r (w_0 - w*)` for `w* = -A^-1 (a + C'x)`, and the exact hypergradient is
//! `Hx + K w_r + h - C A^-1 (I - (I - lr A)^r) (F w_r + K'x + b)`.
//!
//! Shapes: `x` has `d` entries, `w` has `p`; `A` and `F` are `p x p` and symmetric, `C` and `K` are `d x p`, `H` is
//! `d x d`.

pub(crate) mod limit;
pub(crate) mod sampled;

use hypertape_autodiff::{Array, Element, List, Shape};
use hypertape_solver::{Bilevel, Draw, Params, Rows};

use crate::samples::{column, convert};

/// A quadratic bilevel problem. Matrices are stored in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Quadratic<T> {
    /// Hessian of `g` in `w`.
    pub inner_hessian: Vec<T>,
    /// Mixed term of `g`, `d x p`.
    pub inner_mixed: Vec<T>,
    /// Linear term of `g`.
    pub inner_linear: Vec<T>,
    /// Hessian of `f` in `w`.
    pub outer_hessian: Vec<T>,
    /// Hessian of `f` in `x`.
    pub outer_curvature: Vec<T>,
    /// Mixed term of `f`, `d x p`.
    pub outer_mixed: Vec<T>,
    /// Linear term of `f` in `w`.
    pub outer_linear: Vec<T>,
    /// Linear term of `f` in `x`.
    pub outer_direct: Vec<T>,
    /// First outer point.
    pub x: Vec<T>,
    /// Start of the inner loop.
    pub w: Vec<T>,
}

impl<T: Element> Quadratic<T> {
    /// Three inner and two outer variables, with all terms present; to be run with 5 steps of size 0.3.
    ///
    /// The limit of the hypergradient for many steps is (1.0266666666666667, -0.6955357142857143).
    pub fn general() -> Self {
        Self::from_f64(
            [
                &[2.0, 0.5, 0.0, 0.5, 1.5, 0.25, 0.0, 0.25, 1.0],
                &[1.0, 0.0, -0.5, 0.25, 0.5, 1.0],
                &[1.0, -1.0, 0.5],
                &[1.0, 0.2, 0.0, 0.2, 2.0, 0.0, 0.0, 0.0, 1.5],
                &[0.5, 0.1, 0.1, 0.3],
                &[0.0, 0.3, 0.0, 0.2, 0.0, -0.1],
                &[0.5, 0.0, -1.0],
                &[-0.2, 0.4],
            ],
            &[0.7, -1.2],
            &[0.0; 3],
        )
    }

    /// `g = w^2/2 + x w`, `f = w^2`, with the start `w = 1`; to be run with 10 steps of size 0.1.
    pub fn scalar() -> Self {
        let [one, two, zero]: [&[f64]; 3] = [&[1.0], &[2.0], &[0.0]];
        Self::from_f64([one, one, zero, two, zero, zero, zero, zero], &[0.5], one)
    }

    /// `g = (w - x)'H (w - x)/2` with `H = [[2, 1], [1, 3]]/4`, and `f = |w - (0.5, 0.5)|^2/2`, both up to constants;
    /// to be run with 5 steps of size 0.4. Every iterate and every gradient is a short decimal.
    pub fn decimal() -> Self {
        Self::from_f64(
            [
                &[0.5, 0.25, 0.25, 0.75],
                &[-0.5, -0.25, -0.25, -0.75],
                &[0.0; 2],
                &[1.0, 0.0, 0.0, 1.0],
                &[0.0; 4],
                &[0.0; 4],
                &[-0.5, -0.5],
                &[0.0; 2],
            ],
            &[1.0, -1.0],
            &[0.0; 2],
        )
    }

    fn from_f64(terms: [&[f64]; 8], x: &[f64], w: &[f64]) -> Self {
        let mut terms = terms.into_iter().map(convert);
        let mut next = || terms.next().unwrap_or_default();
        Self {
            inner_hessian: next(),
            inner_mixed: next(),
            inner_linear: next(),
            outer_hessian: next(),
            outer_curvature: next(),
            outer_mixed: next(),
            outer_linear: next(),
            outer_direct: next(),
            x: convert(x),
            w: convert(w),
        }
    }
}

/// `a'M b` for columns `a` and `b` and a constant matrix.
fn form<'a, A: Array<'a>>(a: A, matrix: &'a [A::Elem], b: A) -> A {
    let matrix = a.constant(Shape::new(a.shape().rows, b.shape().rows), matrix);
    a.dot(matrix.matmul(b))
}

/// `c'a` for a column `a` and a constant vector.
fn linear<'a, A: Array<'a>>(a: A, vector: &'a [A::Elem]) -> A {
    a.dot(a.constant(a.shape(), vector))
}

impl<T: Element> Bilevel<T> for Quadratic<T> {
    fn start(&self) -> Params<T> {
        Params::new().with_column("x", &self.x)
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].constant(column(&self.w), &self.w)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        form(w[0], &self.inner_hessian, w[0]) * 0.5
            + form(x[0], &self.inner_mixed, w[0])
            + linear(w[0], &self.inner_linear)
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        form(w[0], &self.outer_hessian, w[0]) * 0.5
            + form(x[0], &self.outer_curvature, x[0]) * 0.5
            + form(x[0], &self.outer_mixed, w[0])
            + linear(w[0], &self.outer_linear)
            + linear(x[0], &self.outer_direct)
    }
}
