//! Newton's method on Rosenbrock's function of 100 variables, each step by conjugate gradients on Hessian-vector
//! products.
//!
//! `cargo run --release -p hypertape-autodiff --example newton_cg`

use hypertape_autodiff::scalar::{Real, Tape};
use hypertape_autodiff::{Fault, axpy, dot};

/// `sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2`
fn rosenbrock<R: Real>(x: &[R]) -> R {
    let terms =
        x.windows(2).map(|x| (x[1] - x[0].square()).square() * 100.0 + (x[0] - 1.0).square());
    terms.sum()
}

fn main() -> Result<(), Fault> {
    const N: usize = 100;
    let (mut x, mut g) = (vec![-1.0_f64; N], vec![0.0_f64; N]);
    let (mut first, mut second) = (Tape::new(), Tape::new());
    let mut products = 0;
    for iteration in 0.. {
        let value = first.gradient(|x| rosenbrock(x), &x, &mut g)?;
        let size = dot(&g, &g).sqrt();
        if iteration % 20 == 0 || size < 1e-10 {
            println!("{iteration}: f = {value:.3e}, |g| = {size:.1e}, {products} products");
        }
        if size < 1e-10 {
            break;
        }
        assert!(iteration < 500, "Newton's method converges here");
        // H d = -g, until the residual is small or the curvature is not positive.
        let (mut d, mut hp) = (vec![0.0; N], vec![0.0; N]);
        let mut rest: Vec<f64> = g.iter().map(|g| -g).collect();
        let mut p = rest.clone();
        for _ in 0..N {
            let square = dot(&rest, &rest);
            if square.sqrt() < size.min(0.5) * size {
                break;
            }
            second.hvp(|x| rosenbrock(x), &x, &p, &mut g, &mut hp)?;
            products += 1;
            let curvature = dot(&p, &hp);
            if curvature <= 0.0 {
                break;
            }
            axpy(&mut d, square / curvature, &p);
            axpy(&mut rest, -square / curvature, &hp);
            let ratio = dot(&rest, &rest) / square;
            p.iter_mut().zip(&rest).for_each(|(p, r)| *p = r + ratio * *p);
        }
        if dot(&d, &g) >= 0.0 {
            d = rest;
        }
        // Armijo's rule.
        let (slope, mut length) = (dot(&d, &g), 1.0);
        loop {
            let moved: Vec<f64> = x.iter().zip(&d).map(|(x, d)| x + length * d).collect();
            if rosenbrock(&moved) <= value + 1e-4 * length * slope {
                x = moved;
                break;
            }
            length /= 2.0;
        }
    }
    assert!(x.iter().all(|x| (x - 1.0).abs() < 1e-8), "the minimum is at ones");
    Ok(())
}
