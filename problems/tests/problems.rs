//! Problems by their types: few-shot learning, selection of penalties, regression of sine waves.

use std::ops::ControlFlow::Continue;

use hypertape_autodiff::{Array, Csr, Function, check};
use hypertape_problems::generator::Stream;
use hypertape_problems::{
    Fewshot, FewshotSettings, Labelled, Learner, Maml, Penalties, Selection, Sets,
};
use hypertape_solver::{
    Bilevel, Draw, Estimator, Exact, FirstOrder, InnerLoop, Optimiser, Oracle, Probability, Rows,
    Run, Ufom, mean_loss, solve,
};

/// The inner loss of a task.
struct Inner(Fewshot<f64>);

impl Function<f64> for Inner {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A]) -> A {
        self.0.inner(w, w, Draw::new(0, 0).for_task(3), Rows::all(0))
    }
}

#[test]
fn gradient_and_product_of_deep_networks_by_taylor() {
    for (layers, pooled) in [(4, false), (3, true)] {
        let settings =
            FewshotSettings { layers, pooled, filters: 3, ways: 3, ..FewshotSettings::default() };
        let network = Inner(Fewshot::digits(settings).unwrap());
        let start = network.0.start();
        let direction = Stream::new(5, 0).gausses(start.values().len());
        let orders = check::taylor(&network, start.shapes(), start.values(), &direction).unwrap();
        // 2 and 3; a wrong derivative would give 1 less.
        assert!(orders.gradient > 1.85 && orders.hessian > 2.85, "{layers}: {orders:?}");
    }
}

#[test]
fn a_learned_start_adapts_better_to_unseen_classes() {
    for learner in [Learner::Maml, Learner::Anil] {
        let settings = FewshotSettings { learner, judged: 80, ..FewshotSettings::default() };
        let problem = Fewshot::<f32>::digits(settings).unwrap();
        let inner = InnerLoop::new(5, 0.5).unwrap();
        let mut x = problem.start().values().to_vec();
        let judge = |x: &[f32]| [false, true].map(|u| problem.judge(x, &inner, u).unwrap());
        let before = judge(&x);
        let mut oracle = Oracle::new(problem.clone()).unwrap();
        let run = Run::new(inner, Optimiser::adam(0.01).unwrap(), 60, 0);
        run.go(&mut oracle, &mut Exact::default(), &mut x, |_, _| Continue(())).unwrap();
        let after = judge(&x);
        // The gain on seen classes exceeds both intervals. On unseen classes it is positive on average over the
        // same tasks.
        let gain = [0, 1].map(|i| after[i][0] - before[i][0]);
        assert!(gain[0] > before[0][1] + after[0][1], "{learner:?} {before:?} {after:?}");
        assert!(gain[1] > 0.02, "{learner:?} {before:?} {after:?}");
    }
}

/// `docs/fewshot.md` has more estimators at a larger size.
#[test]
fn every_estimator_learns_on_an_equal_budget() {
    let settings = FewshotSettings { judged: 60, ..FewshotSettings::default() };
    let problem = Fewshot::<f32>::digits(settings).unwrap();
    let inner = InnerLoop::new(5, 0.5).unwrap();
    let [before, half] = problem.judge(problem.start().values(), &inner, false).unwrap();
    let adaptive = Probability::Adaptive { floor: 0.05, decay: 0.99 };
    let mut ufom = Ufom::with(adaptive).unwrap();
    let all: [&mut dyn Estimator<f32>; 3] = [&mut Exact::default(), &mut FirstOrder, &mut ufom];
    for estimator in all {
        let mut oracle = Oracle::new(problem.clone()).unwrap();
        let mut run = Run::new(inner, Optimiser::adam(0.01).unwrap(), usize::MAX, 0);
        run.limits.oracle_calls = Some(1500);
        let mut x = problem.start().values().to_vec();
        let records = run.go(&mut oracle, estimator, &mut x, |_, _| Continue(())).unwrap();
        let spent: u64 = records.iter().map(|r| r.cost.inner_gradients + r.cost.hvps).sum();
        // Per iteration, there are five gradients for each of five tasks, and as many products.
        assert!((1500..1550).contains(&spent), "{} {spent}", estimator.name());
        let [after, _] = problem.judge(&x, &inner, false).unwrap();
        assert!(after > before + half, "{} {before} {half} {after}", estimator.name());
    }
}

#[test]
fn reptile_goes_where_tasks_end() {
    let settings = FewshotSettings { learner: Learner::Reptile, ..FewshotSettings::default() };
    let mut oracle = Oracle::new(Fewshot::<f64>::digits(settings).unwrap()).unwrap();
    let (inner, draw) = (InnerLoop::new(4, 0.5).unwrap(), Draw::new(0, 2));
    let (x, mut w) = (oracle.start().values().to_vec(), Vec::new());
    let mut gradient = vec![0.0; x.len()];
    FirstOrder.estimate(&mut oracle, &inner, &x, draw, &mut gradient).unwrap();
    let mut mean = vec![0.0; x.len()];
    for slot in 0..5 {
        let draw = draw.for_task(oracle.task(draw, slot));
        solve(&mut oracle, &inner, &x, draw, &mut w).unwrap();
        mean.iter_mut().zip(&w).for_each(|(mean, w)| *mean += w / 5.0);
    }
    for ((x, g), mean) in x.iter().zip(&gradient).zip(&mean) {
        // Rounding errors of a mean of five numbers below 2.
        assert!((x - g - mean).abs() < 1e-14, "{x} {g} {mean}");
    }
}

#[test]
fn too_few_images_or_pixels_are_refused() {
    let told = |settings| Fewshot::<f64>::digits(settings).unwrap_err().to_string();
    let many = told(FewshotSettings { queries: 200, ..FewshotSettings::default() });
    assert!(
        many.ends_with("takes 201 images from each of 5 classes: 0 of 28 classes have as many"),
        "{many}"
    );
    let small = FewshotSettings { layers: 4, pooled: true, ..FewshotSettings::default() };
    assert!(told(small).contains("enough for MaxPool(2)"), "{}", told(small));
    let none = FewshotSettings { filters: 0, ..FewshotSettings::default() };
    assert!(told(none).contains("a size of 0"), "{}", told(none));
}

fn gradient(selection: Selection<f64>, (steps, lr): (usize, f64), x: &[f64]) -> (f64, Vec<f64>) {
    let mut oracle = Oracle::new(selection).unwrap();
    let mut gradient = vec![0.0; x.len()];
    let (inner, draw) = (InnerLoop::new(steps, lr).unwrap(), Draw::new(0, 0));
    let estimate = Exact::default().estimate(&mut oracle, &inner, x, draw, &mut gradient);
    (estimate.unwrap().loss, gradient)
}

#[test]
fn two_steps_of_logistic_regression_in_closed_form() {
    let part = |x: &[f64]| Labelled::dense(x.to_vec(), vec![1, 0]).unwrap();
    let sets = Sets::new(part(&[1.0, -2.0]), part(&[2.0, 1.0]), part(&[1.0, 1.0])).unwrap();
    let (lr, x) = (0.5, -1.0_f64);
    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    // The first step moves from 0 by the mean of y x / 2; the second step sees the penalty.
    let slope = |w: f64| (-sigmoid(-w) - 2.0 * sigmoid(-2.0 * w)) / 2.0;
    let w1 = lr * 1.5 / 2.0;
    let w2 = w1 - lr * (slope(w1) + x.exp() * w1);
    let loss = 0.5 * ((1.0 + (-2.0 * w2).exp()).ln() + (1.0 + w2.exp()).ln());
    let known = 0.5 * (sigmoid(w2) - 2.0 * sigmoid(-2.0 * w2)) * -lr * x.exp() * w1;
    for penalties in [Penalties::One, Penalties::Class, Penalties::Feature] {
        let selection = Selection::new(sets.clone(), penalties, 0.01, None).unwrap();
        let (found, gradient) = gradient(selection, (2, lr), &[x]);
        // A few rounding errors; 1e-16 is observed.
        assert!((found - loss).abs() < 1e-14 && (gradient[0] - known).abs() < 1e-14);
    }
}

/// Sets of dense or sparse samples with the same values.
fn alike(sparse: bool) -> Sets<f64> {
    let part = |seed: u32| {
        let value = |i: u32, j: u32| f64::from((i * 7 + j * 5 + seed) % 4);
        let labels: Vec<u32> = (0..12).map(|i| (i + seed) % 3).collect();
        let rows = (0..12).flat_map(|i| (0..5).map(move |j| value(i, j)));
        if !sparse {
            return Labelled::dense(rows.collect(), labels).unwrap();
        }
        let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for i in 0..12 {
            for j in (0..5).filter(|&j| value(i, j) != 0.0) {
                columns.push(j);
                values.push(value(i, j));
            }
            starts.push(values.len());
        }
        Labelled::sparse(Csr::new(5, starts, columns, values).unwrap(), labels).unwrap()
    };
    Sets::new(part(0), part(1), part(2)).unwrap()
}

#[test]
fn sparse_is_dense_and_penalties_add_up() {
    let of = |sparse, penalties, count| {
        let selection = Selection::new(alike(sparse), penalties, 0.01, None).unwrap();
        gradient(selection, (20, 0.1), &vec![-2.0; count])
    };
    let (loss, one) = of(false, Penalties::One, 1);
    for (penalties, count) in [(Penalties::One, 1), (Penalties::Class, 3), (Penalties::Feature, 5)]
    {
        let (dense, sparse) = (of(false, penalties, count), of(true, penalties, count));
        // The order of summation differs, over 20 steps; 1e-16 is observed.
        assert!((dense.0 - loss).abs() < 1e-14 && (sparse.0 - loss).abs() < 1e-14);
        assert!(dense.1.iter().zip(&sparse.1).all(|(a, b)| (a - b).abs() < 1e-14));
        assert!((dense.1.iter().sum::<f64>() - one[0]).abs() < 1e-14);
    }
}

#[test]
fn penalties_are_positive() {
    let told = Selection::new(alike(false), Penalties::One, 0.0, None).unwrap_err().to_string();
    assert_eq!(told, "penalty: found 0, expected a positive finite number");
}

#[test]
fn batches_are_drawn_anew() {
    let oracle = Oracle::new(Maml::<f64>::sinusoid(0)).unwrap();
    assert_eq!((oracle.tasks(), oracle.batch()), (1000, 5));
    let batch = |k| -> Vec<usize> { (0..5).map(|i| oracle.task(Draw::new(0, k), i)).collect() };
    assert_eq!(batch(3), batch(3));
    let seen: Vec<usize> = (0..1000).flat_map(batch).collect();
    assert!(seen.iter().all(|&task| task < 1000));
    let mean = seen.iter().sum::<usize>() as f64 / seen.len() as f64;
    // The mean of 5000 uniform choices has a standard deviation of 4.1.
    assert!((mean - 499.5).abs() < 12.0, "{mean}");
}

/// Mean query error over 100 fixed batches.
fn error(x: &[f64]) -> f64 {
    let mut oracle = Oracle::new(Maml::sinusoid(0)).unwrap();
    let (inner, mut w) = (InnerLoop::new(5, 0.01).unwrap(), Vec::new());
    let mut one = |k| mean_loss(&mut oracle, &inner, x, Draw::new(1, k), &mut w).unwrap();
    (0..100).map(&mut one).sum::<f64>() / 100.0
}

#[test]
fn a_start_is_learned() {
    let mut oracle = Oracle::new(Maml::sinusoid(0)).unwrap();
    let mut x = oracle.start().values().to_vec();
    let before = error(&x);
    let outer = Optimiser::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    let inner = InnerLoop::new(5, 0.01).unwrap();
    let run = Run::new(inner, outer, 500, 0);
    run.go(&mut oracle, &mut Exact::default(), &mut x, |_, _| Continue(())).unwrap();
    let after = error(&x);
    assert!(after < 0.5 * before, "{before} {after}");
}
