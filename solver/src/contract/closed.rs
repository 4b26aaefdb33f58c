//! The problem on which estimators are checked. It is quadratic, so that its hypergradient has a closed form, for a
//! loop of any length and in the limit.
//!
//! ```text
//! g_k(x, w) = w'A w/2 + x'C w + k a'w    for task k = 1, 2, 3
//! f(x, w)   = w'F w/2 + x'K w + b'w + |x|^2/2 + h'x        w_0 = S x
//! ```
//!
//! `A = Q diag(1/2, 1, 2) Q` with the reflection `Q = I - 2/3 1 1'`. Along a column of `Q`, a step multiplies `w - w*`
//! by a number, and `dw/dx - dw*/dx` by the same number, so `w_r` and `dw_r/dx` are known without taking any step.

use std::array::from_fn;

use hypertape_autodiff::{Array, List, Shape};

use crate::draw::Draw;
use crate::params::Params;
use crate::problem::Bilevel;
use crate::rows::Rows;

/// Number of inner variables.
pub(super) const P: usize = 3;
/// Number of outer variables.
pub(super) const D: usize = 2;
/// Number of tasks, all in one meta-batch.
pub(super) const TASKS: usize = 3;
/// The outer point.
pub(super) const X: [f64; D] = [0.7, -1.2];

const CURVATURES: [f64; P] = [0.5, 1.0, 2.0];
const C: [[f64; P]; D] = [[1.0, 0.0, -0.5], [0.25, 0.5, 1.0]];
const A: [f64; P] = [1.0, -1.0, 0.5];
const F: [[f64; P]; P] = [[1.0, 0.2, 0.0], [0.2, 2.0, 0.1], [0.0, 0.1, 1.5]];
const K: [[f64; P]; D] = [[0.0, 0.3, 0.0], [0.2, 0.0, -0.1]];
const B: [f64; P] = [0.5, 0.0, -1.0];
const H: [f64; D] = [-0.2, 0.4];
const S: [[f64; D]; P] = [[0.5, 0.0], [0.0, -0.5], [0.25, 1.0]];

/// The problem.
pub(super) struct Closed {
    /// `A`, row by row, followed by the linear terms of the tasks.
    hessian: [f64; P * P],
    linear: [[f64; P]; TASKS],
}

impl Closed {
    pub(super) fn new() -> Self {
        let columns: [[f64; P]; P] =
            from_fn(|j| along(CURVATURES, from_fn(|i| f64::from(u8::from(i == j)))));
        let linear = from_fn(|k| A.map(|a| (k + 1) as f64 * a));
        // `A` is symmetric, so its columns are its rows.
        Self { hessian: from_fn(|i| columns[i / P][i % P]), linear }
    }
}

/// `Q diag(factors) Q v`
fn along(factors: [f64; P], v: [f64; P]) -> [f64; P] {
    let reflect = |v: [f64; P]| v.map(|entry| entry - 2.0 / 3.0 * v.iter().sum::<f64>());
    let turned = reflect(v);
    reflect(from_fn(|i| factors[i] * turned[i]))
}

fn dot<const N: usize>(a: [f64; N], b: [f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns `F(x)` and `dF/dx` after `steps` heavy-ball steps of size `lr` with `momentum`, or in the limit for `None`.
pub(super) fn truth(steps: Option<usize>, lr: f64, momentum: f64) -> (f64, [f64; D]) {
    // Remaining fraction of the distance to the limit after `steps` steps: `y' = y - lr c y + momentum (y - y_before)`.
    let left = CURVATURES.map(|c| {
        let (mut y, mut before) = (f64::from(u8::from(steps.is_some())), 1.0);
        for _ in 0..steps.unwrap_or(0) {
            (y, before) = (y - lr * c * y + momentum * (y - before), y);
        }
        y
    });
    // Moves from `start` towards the solution of `A w + linear = 0`.
    let arrive = |start: [f64; P], linear: [f64; P]| -> [f64; P] {
        let limit = along(CURVATURES.map(|c| -c.recip()), linear);
        let missing = along(left, from_fn(|i| start[i] - limit[i]));
        from_fn(|i| limit[i] + missing[i])
    };
    let (mut loss, mut gradient) = (0.0, [0.0; D]);
    for k in 1..=TASKS {
        let linear = from_fn(|i| k as f64 * A[i] + dot(X, C.map(|row| row[i])));
        let w = arrive(S.map(|row| dot(row, X)), linear);
        let (by_w, by_x) = (F.map(|row| dot(row, w)), K.map(|row| dot(row, w)));
        loss += (dot(w, by_w) + dot(X, X)) * 0.5 + dot(X, by_x) + dot(B, w) + dot(H, X);
        let adjoint: [f64; P] = from_fn(|i| by_w[i] + dot(X, K.map(|row| row[i])) + B[i]);
        for j in 0..D {
            let moved = arrive(S.map(|row| row[j]), C[j]);
            gradient[j] += X[j] + H[j] + by_x[j] + dot(moved, adjoint);
        }
    }
    (loss / TASKS as f64, gradient.map(|g| g / TASKS as f64))
}

const INNER: Shape = Shape::column(3);
const OUTER: Shape = Shape::column(2);
const SQUARE: Shape = Shape::new(3, 3);
const MIXED: Shape = Shape::new(2, 3);

impl Bilevel<f64> for Closed {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", OUTER, X)
    }

    fn init<'a, R: Array<'a, Elem = f64>>(&'a self, x: &[R], _: Draw) -> List<R> {
        let start = x[0].constant(Shape::new(3, 2), S.as_flattened());
        List::from_slice(&[start.matmul(x[0])])
    }

    fn inner<'a, R: Array<'a, Elem = f64>>(&'a self, w: &[R], x: &[R], draw: Draw, _: Rows) -> R {
        let hessian = w[0].constant(SQUARE, &self.hessian);
        let mixed = w[0].constant(MIXED, C.as_flattened());
        let task = usize::try_from(draw.task).unwrap_or(usize::MAX).min(TASKS - 1);
        let linear = w[0].constant(INNER, &self.linear[task]);
        w[0].dot(hessian.matmul(w[0])) * 0.5 + x[0].dot(mixed.matmul(w[0])) + w[0].dot(linear)
    }

    fn outer<'a, R: Array<'a, Elem = f64>>(&'a self, w: &[R], x: &[R], _: Draw, _: Rows) -> R {
        let hessian = w[0].constant(SQUARE, F.as_flattened());
        let mixed = w[0].constant(MIXED, K.as_flattened());
        w[0].dot(hessian.matmul(w[0])) * 0.5
            + x[0].dot(mixed.matmul(w[0]))
            + w[0].dot(w[0].constant(INNER, &B))
            + x[0].dot(x[0]) * 0.5
            + x[0].dot(x[0].constant(OUTER, &H))
    }

    fn tasks(&self) -> usize {
        TASKS
    }
}
