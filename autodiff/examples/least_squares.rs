//! Nonlinear least squares with a sparse Jacobian: Broyden's tridiagonal system (Moré, Garbow and Hillstrom (1981),
//! number 30), by Gauss-Newton steps whose normal equations are solved by conjugate gradients.
//!
//! `cargo run --release -p hypertape-autodiff --example least_squares`

use hypertape_autodiff::scalar::{Function, Pattern, Real, SparseJacobian};
use hypertape_autodiff::{Fault, axpy, dot};

/// `y_i = (3 - 2 x_i) x_i - x_{i-1} - 2 x_{i+1} + 1`
struct Broyden;

impl Function for Broyden {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        for i in 0..x.len() {
            y[i] = (-x[i] * 2.0 + 3.0) * x[i] + 1.0;
            if i > 0 {
                y[i] -= x[i - 1];
            }
            if i + 1 < x.len() {
                y[i] -= x[i + 1] * 2.0;
            }
        }
    }
}

/// `J v`, or `J^T v`.
fn product(pattern: &Pattern, values: &[f64], transposed: bool, v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; if transposed { pattern.cols() } else { pattern.rows() }];
    for i in 0..pattern.rows() {
        for (&j, entry) in pattern.row(i).iter().zip(&values[pattern.range(i)]) {
            let (to, from) = if transposed { (j as usize, i) } else { (i, j as usize) };
            out[to] += entry * v[from];
        }
    }
    out
}

/// The step `d` with least `|J d + y|`.
fn step(pattern: &Pattern, values: &[f64], y: &[f64]) -> Vec<f64> {
    let mut d = vec![0.0; pattern.cols()];
    let mut rest: Vec<f64> = product(pattern, values, true, y).iter().map(|g| -g).collect();
    let mut p = rest.clone();
    let mut size = dot(&rest, &rest);
    let end = 1e-28 * size;
    while size > end {
        let moved = product(pattern, values, false, &p);
        let length = size / dot(&moved, &moved);
        axpy(&mut d, length, &p);
        axpy(&mut rest, -length, &product(pattern, values, true, &moved));
        let before = std::mem::replace(&mut size, dot(&rest, &rest));
        p.iter_mut().zip(&rest).for_each(|(p, r)| *p = r + size / before * *p);
    }
    d
}

fn main() -> Result<(), Fault> {
    const N: usize = 1000;
    let mut x = vec![-1.0; N];
    let mut jacobian = SparseJacobian::new(&Broyden, &x, N);
    let (mut y, mut values) = (vec![0.0; N], vec![0.0; jacobian.pattern().len()]);
    println!("{} of {} entries by {} colours", values.len(), N * N, jacobian.colours());
    assert_eq!((values.len(), jacobian.colours()), (3 * N - 2, 3));
    for iteration in 0.. {
        jacobian.values(&Broyden, &x, &mut y, &mut values)?;
        let residual = dot(&y, &y).sqrt();
        println!("{iteration}: |y| = {residual:.2e}");
        if residual < 1e-12 {
            break;
        }
        assert!(iteration < 10, "Gauss-Newton converges quadratically here");
        axpy(&mut x, 1.0, &step(jacobian.pattern(), &values, &y));
    }
    Ok(())
}
