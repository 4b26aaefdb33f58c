//! Push-forwards of the steps of every rule agree with their pull-backs and with differences, on a state of several
//! arrays.

use hypertape_autodiff::{Array, List, Shape, dot};
use hypertape_solver::{
    Adam, Bilevel, Draw, GradientDescent, InnerLoop, Ista, Momentum, Named, Oracle, Params,
    Projected, RmsProp, Rollout, Rows, Rule, Task, solve,
};

/// A problem with two inner arrays of different shapes, a start that depends on `x`, and losses that are not quadratic.
struct Two;

const X: [f64; 2] = [0.4, -0.3];
const STEPS: usize = 5;

impl Bilevel<f64> for Two {
    fn start(&self) -> Params<f64> {
        Params::new().with("scale", Shape::SCALAR, [X[0]]).with("shift", Shape::SCALAR, [X[1]])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        let start = x[0].constant(Shape::column(3), &[1.0, -0.5, 0.8]);
        List::from_slice(&[start * x[0] + start, x[1]])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        (w[0] * w[1] * x[0]).exp().sum() + (w[0] - x[1]).square().sum() + w[1].square() * 2.0
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        w[0].square().sum() + (w[1] * (x[0] + x[1])).tanh()
    }
}

/// `df/dx u` along both axes through the loop, by push-forwards, and the final state.
fn pushed(oracle: &mut Oracle<f64>, inner: &InnerLoop) -> ([f64; 2], Vec<f64>) {
    let (p, n) = (oracle.inner_dim(), oracle.state_dim());
    let task = Task { inner, x: &X, draw: Draw::new(0, 0), slot: 0 };
    let (mut run, mut state) = Rollout::start(oracle, task).unwrap();
    let (dx, mut tangents) = ([1.0, 0.0, 0.0, 1.0], vec![f64::NAN; 2 * n]);
    run.push_start(&dx, &mut tangents).unwrap();
    for t in 0..STEPS {
        run.push_step(t, &mut state, &dx, &mut tangents).unwrap();
    }
    let (mut bar, mut direct) = (state.clone(), [0.0; 2]);
    run.turn(&mut bar, &mut direct).unwrap();
    let w = state[..p].to_vec();
    run.close([state]);
    ([0, 1].map(|k| direct[k] + dot(&tangents[k * n..][..p], &bar[..p])), w)
}

fn agrees(rule: impl Rule<f64>) {
    let (mut oracle, inner) = (Oracle::new(Two).unwrap(), InnerLoop::new(STEPS, 0.05).unwrap());
    let name = Named::name(&rule);
    oracle.set_rule(rule);
    let (forward, w) = pushed(&mut oracle, &inner);
    let task = Task { inner: &inner, x: &X, draw: Draw::new(0, 0), slot: 0 };
    let (mut run, mut state) = Rollout::start(&mut oracle, task).unwrap();
    let mut reverse = [0.0; 2];
    let (_, bar) =
        run.reverse_under("store-all".parse().unwrap(), &mut state, &mut reverse, None).unwrap();
    run.pull_start(&bar, &mut reverse).unwrap();
    run.close([bar, state]);
    let mut end = Vec::new();
    let mut loss = |x: [f64; 2]| solve(&mut oracle, &inner, &x, Draw::new(0, 0), &mut end).unwrap();
    for k in 0..2 {
        // The same sums in a different order.
        let gap = (forward[k] - reverse[k]).abs();
        assert!(gap < 1e-12 * reverse[k].abs().max(1.0), "{name}: {forward:?} {reverse:?}");
        let h = 1e-5;
        let [mut above, mut below] = [X; 2];
        (above[k], below[k]) = (X[k] + h, X[k] - h);
        let slope = (loss(above) - loss(below)) / (2.0 * h);
        // Third derivatives of order 10 times h^2, and rounding over h.
        assert!((forward[k] - slope).abs() < 1e-7, "{name}: {forward:?} {slope}");
    }
    loss(X);
    assert_eq!(w, end, "{name}: the steps themselves");
}

#[test]
fn push_forwards_of_every_rule_are_its_pull_backs_transposed() {
    agrees(GradientDescent::default());
    agrees(Momentum::heavy_ball(0.8).unwrap());
    agrees(Momentum::nesterov(0.8).unwrap());
    agrees(Adam::new(0.9, 0.99, 1e-2).unwrap());
    agrees(RmsProp::new(0.9, 1e-2).unwrap());
    agrees(Ista::new(0.1).unwrap());
    agrees(Ista::learned(1));
    agrees(Projected::new(-0.4, 0.7).unwrap());
}

#[test]
fn lengths_are_checked() {
    let (mut oracle, inner) = (Oracle::new(Two).unwrap(), InnerLoop::new(1, 0.05).unwrap());
    let task = Task { inner: &inner, x: &X, draw: Draw::new(0, 0), slot: 0 };
    let (mut run, _) = Rollout::start(&mut oracle, task).unwrap();
    let error = run.push_start(&[1.0, 0.0], &mut [0.0; 3]).unwrap_err().to_string();
    assert_eq!(error, "the tangents of a state: found 3 values, expected 4");
}
