//! Problems over scalars agree with the same problem over arrays, in all evaluations.

use crate::support::{deviation, estimate};
use hypertape::linear::Dense;
use hypertape::scalar::{Real, Scalar};
use hypertape::{
    Array, Bilevel, Draw, Element, Error, Estimator, Exact, FirstOrder, Forward, FullTape,
    Implicit, Keep, List, Momentum, Oracle, Params, Rows, ScalarBilevel, Schedule, Shape,
    Truncated,
};
use rand::RngExt;

/// Two tasks of `g = ln(1 + e^{a w_0}) + (w_1 - w_0 b)^2 + e^a w_1^2 / 2`, `f = w_0^2 + tanh w_1 + c a b`, started at
/// `w_0 = (b^2, 1)`; `a`, `b` are the outer variables, `c` is 1 + the task.
#[derive(Clone, Copy)]
struct Twin([f64; 2]);

impl<T: Element> Bilevel<T> for Twin {
    fn start(&self) -> Params<T> {
        let [a, b] = self.0.map(T::from_f64);
        Params::new().with("a", Shape::SCALAR, [a]).with("b", Shape::SCALAR, [b])
    }
    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[1].square(), x[0].scalar(1.0)])
    }
    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        (x[0] * w[0]).softplus() + (w[1] - w[0] * x[1]).square() + x[0].exp() * w[1].square() * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, _: Rows) -> A {
        w[0].square() + w[1].tanh() + x[0] * x[1] * (1 + draw.task) as f64
    }
    fn tasks(&self) -> usize {
        2
    }
}

impl<T: Element + Scalar<Plain = T>> ScalarBilevel<T> for Twin {
    fn start(&self) -> Params<T> {
        Bilevel::start(self)
    }
    fn inner_dim(&self) -> u32 {
        2
    }
    fn init<R: Real<T>>(&self, x: &[R], _: Draw, w: &mut [R]) {
        w.copy_from_slice(&[x[1].square(), R::one()]);
    }
    fn inner<R: Real<T>>(&self, w: &[R], x: &[R], _: Draw) -> R {
        (x[0] * w[0]).softplus()
            + (w[1] - w[0] * x[1]).square()
            + x[0].exp() * w[1].square() * <T as Element>::from_f64(0.5)
    }
    fn outer<R: Real<T>>(&self, w: &[R], x: &[R], draw: Draw) -> R {
        let c = <T as Element>::from_f64((1 + draw.task) as f64);
        w[0].square() + w[1].tanh() + x[0] * x[1] * c
    }
    fn tasks(&self) -> usize {
        2
    }
}

fn estimators() -> Vec<Box<dyn Estimator<f64>>> {
    vec![
        Box::new(Exact::default()),
        Box::new(Exact::new(Schedule::StoreAll { keep: Keep::Tapes })),
        Box::new(Exact::new("binomial:c=2".parse().unwrap())),
        Box::new(Forward),
        Box::new(FullTape),
        Box::new(FirstOrder),
        Box::new(Truncated { k: 2 }),
        Box::new(Implicit::new(Dense).unwrap()),
    ]
}

#[test]
fn twins_agree() {
    for (seed, steps) in (0..32).zip([0, 1, 2, 3, 11].into_iter().cycle()) {
        let twin = Twin(Draw::new(seed, 0).stream().random::<[f64; 2]>().map(|u| 2.0 * u - 1.0));
        let mut scalars = Oracle::<f64>::scalar(twin);
        let mut arrays = Oracle::<f64>::new(twin).unwrap();
        for mut estimator in estimators() {
            let mut of = |oracle: &mut _| {
                estimate(&mut *estimator, oracle, (steps, 0.1), Draw::new(0, 0)).unwrap()
            };
            let ((left, gradient), (right, expected)) = (of(&mut scalars), of(&mut arrays));
            let name = estimator.name();
            // Roundings of terms of order one, added in a different order.
            assert!((left.loss - right.loss).abs() < 1e-14, "{seed} {name}");
            let gap = deviation(&gradient, &expected);
            assert!(gap < 2e-14, "{seed} {name} {steps} steps: {gap:e}");
            assert_eq!(left.cost.hvps, right.cost.hvps, "{seed} {name}");
        }
    }
}

#[test]
fn momentum_agrees_and_one_tape_refuses_it() {
    let twin = Twin([0.3, -0.7]);
    let (mut scalars, mut arrays) =
        (Oracle::<f64>::scalar(twin), Oracle::<f64>::new(twin).unwrap());
    scalars.set_rule(Momentum::nesterov(0.9).unwrap());
    arrays.set_rule(Momentum::nesterov(0.9).unwrap());
    let of = |oracle: &mut _| {
        estimate(&mut Exact::default(), oracle, (9, 0.05), Draw::new(0, 0)).unwrap().1
    };
    let (found, expected) = (of(&mut scalars), of(&mut arrays));
    assert!(deviation(&found, &expected) < 2e-14, "{found:?} {expected:?}");
    let error = estimate(&mut FullTape, &mut scalars, (9, 0.05), Draw::new(0, 0)).unwrap_err();
    let Error::Invalid { what, found, .. } = error else { panic!("{error}") };
    assert_eq!(what, "one tape over scalars");
    assert!(found.starts_with("nesterov"), "{found}");
}

#[test]
fn a_loop_that_diverges_names_the_step() {
    let mut oracle = Oracle::<f64>::scalar(Twin([0.3, -0.7]));
    let error =
        estimate(&mut Exact::default(), &mut oracle, (2000, 5.0), Draw::new(0, 0)).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: Some(1..), lr: 5.0, .. }), "{error}");
}
