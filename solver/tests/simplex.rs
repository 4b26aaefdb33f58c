//! Projection onto a simplex: a closed form, and implicit estimates of its fixed point compared with the loop
//! differentiated step by step.

use hypertape_autodiff::{Array, List, Shape};
use hypertape_solver::linear::{Gmres, Stop};
use hypertape_solver::{
    Bilevel, Draw, Estimator, Exact, Implicit, InnerLoop, Oracle, Params, Rows, Simplex,
};

/// `g = (w - x)'D(w - x)/2`, `f = c'w`.
struct Near {
    curvature: [f64; 4],
}

const X: [f64; 4] = [0.8, 0.6, -0.1, 0.3];
const C: [f64; 4] = [1.0, 2.0, 4.0, -3.0];

impl Bilevel<f64> for Near {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::column(4), X)
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.25).broadcast_to(Shape::column(4))])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let gap = w[0] - x[0];
        gap.constant(Shape::column(4), &self.curvature).dot(gap.square()) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].constant(Shape::column(4), &C).dot(w[0])
    }
}

fn gradient(
    estimator: &mut dyn Estimator<f64>,
    curvature: [f64; 4],
    steps: usize,
    lr: f64,
) -> (f64, [f64; 4]) {
    let mut oracle = Oracle::new(Near { curvature }).unwrap();
    oracle.set_rule(Simplex::default());
    let (inner, mut found) = (InnerLoop::new(steps, lr).unwrap(), [0.0; 4]);
    let told = estimator.estimate(&mut oracle, &inner, &X, Draw::new(0, 0), &mut found).unwrap();
    (told.loss, found)
}

fn close(found: &[f64], known: &[f64], tolerance: f64) {
    let near = found.iter().zip(known).all(|(f, k)| (f - k).abs() < tolerance);
    assert!(near, "{found:?} {known:?}");
}

#[test]
fn a_projection_and_its_derivative() {
    // One step of size 1 is the projection of x: tau = 0.7 / 3 over the three entries that remain positive.
    let (loss, found) = gradient(&mut Exact::default(), [1.0; 4], 1, 1.0);
    let tau = 0.7 / 3.0;
    close(&[loss], &[(0.8 - tau) + 2.0 * (0.6 - tau) - 3.0 * (0.3 - tau)], 1e-15);
    // Each remaining entry moves relative to the mean of all three, which is that of 1, 2 and -3.
    close(&found, &[1.0, 2.0, 0.0, -3.0], 1e-15);
}

#[test]
fn its_fixed_point_is_differentiated_too() {
    let curvature = [1.0, 2.0, 0.5, 1.5];
    let (loss, exact) = gradient(&mut Exact::default(), curvature, 400, 0.5);
    // By hand: D (w - x) + tau = 0 for the three remaining entries, whose sum is 1.
    let inverse: f64 = [1.0, 0.5, 1.0 / 1.5].iter().sum();
    let tau = 0.7 / inverse;
    let known = (0.8 - tau) + 2.0 * (0.6 - tau / 2.0) - 3.0 * (0.3 - tau / 1.5);
    close(&[loss], &[known], 1e-14);
    let mean = (1.0 + 2.0 * 0.5 - 3.0 / 1.5) / inverse;
    close(&exact, &[1.0 - mean, 2.0 - mean, 0.0, -3.0 - mean], 1e-14);
    let stop = Stop { iterations: 20, tolerance: 1e-14 };
    let (_, limit) = gradient(&mut Implicit::new(Gmres { stop }).unwrap(), curvature, 400, 0.5);
    close(&limit, &exact, 1e-13);
}
