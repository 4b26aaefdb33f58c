//! The public oracle: every evaluation compared with differences or with another evaluation, its counts, its samples.

use hypertape::problems::{
    Cleaning, CleaningSettings, Penalties, SampledQuadratic, SampledSettings, Sampler, Selection,
    Sets, catalogue,
};
use hypertape::{
    Bilevel, Draw, InnerLoop, Level, Oracle, Point, Rollout, Samples, Task, axpy, dot,
};

const STEP: f64 = 1e-6;

/// A point that is not the start.
fn point(oracle: &Oracle<f64>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let wave = |n: usize, by: f64| (0..n).map(|i| (by * (i + 1) as f64).sin() * 0.3).collect();
    let (p, d): (usize, usize) = (oracle.inner_dim(), oracle.outer_dim());
    let mut x = oracle.start().values().to_vec();
    axpy(&mut x, 1.0, &(0..d).map(|i| 0.1 * (i as f64).cos()).collect::<Vec<f64>>());
    (wave(p, 0.7), x, wave(p, 1.3))
}

fn moved(a: &[f64], by: f64, along: &[f64]) -> Vec<f64> {
    let mut a = a.to_vec();
    axpy(&mut a, by, along);
    a
}

fn close(found: f64, known: f64, what: &str) {
    // Central differences of a step of 1e-6, on values of order 1.
    assert!((found - known).abs() < 1e-7 * (1.0 + known.abs()), "{what}: {found} {known}");
}

#[test]
fn evaluations_are_derivatives_of_values() {
    for name in ["quadratic", "w1-logreg", "w3", "w4"] {
        let entries = catalogue();
        let entry = entries.iter().find(|e| e.name == name).unwrap();
        let mut oracle = entry.open::<f64>(None).unwrap();
        let (w, x, v) = point(&oracle);
        let (p, d, draw) = (w.len(), x.len(), Draw::new(0, 0).for_task(0));
        let along = moved(&vec![0.0; d], 1.0, &vec![0.2; d]);
        let at = Point { w: &w, x: &x, draw };
        let [mut g, mut hv, mut again] = [(); 3].map(|()| vec![0.0; p]);
        let [mut bv, mut g_x] = [(); 2].map(|()| vec![0.0; d]);

        let value = oracle.inner_gradients(at, 3, &mut g, &mut g_x).unwrap();
        assert_eq!(value.to_bits(), oracle.inner_value(at, 3).unwrap().to_bits());
        let mut g_of = |w: &[f64], x: &[f64]| oracle.inner_value(Point { w, x, draw }, 3).unwrap();
        let [up, down] = [STEP, -STEP].map(|h| g_of(&moved(&w, h, &v), &x));
        close((up - down) / (2.0 * STEP), dot(&g, &v), "g by w");
        let [up, down] = [STEP, -STEP].map(|h| g_of(&w, &moved(&x, h, &along)));
        close((up - down) / (2.0 * STEP), dot(&g_x, &along), "g by x");

        // One sweep returns the same as three.
        oracle.begin();
        oracle.inner_sweep(at, 3, &v, &mut again, &mut hv, &mut bv).unwrap();
        let cost = oracle.cost();
        assert_eq!((cost.inner_gradients, cost.hvps, cost.mixed), (1, 1, 1));
        for (found, known) in again.iter().zip(&g) {
            close(*found, *known, "gradient of a sweep");
        }
        let mut gradient = |w: &[f64], x: &[f64]| {
            let mut g = vec![0.0; p];
            oracle.inner_gradient(Point { w, x, draw }, 3, &mut g).unwrap();
            g
        };
        let [up, down] = [STEP, -STEP].map(|h| gradient(&moved(&w, h, &v), &x));
        for ((up, down), known) in up.iter().zip(&down).zip(&hv) {
            close((up - down) / (2.0 * STEP), *known, "H v");
        }
        let [up, down] = [STEP, -STEP].map(|h| dot(&gradient(&w, &moved(&x, h, &along)), &v));
        close((up - down) / (2.0 * STEP), dot(&bv, &along), "B^T v");

        // Single products equal those of the combined call.
        let [mut h_alone, mut h_both] = [(); 2].map(|()| vec![0.0; p]);
        let [mut b_alone, mut b_both] = [(); 2].map(|()| vec![0.0; d]);
        oracle.hessian_product(at, 3, &v, &mut h_alone).unwrap();
        oracle.mixed_product(at, 3, &v, &mut b_alone).unwrap();
        oracle.inner_products(at, 3, &v, &mut h_both, &mut b_both).unwrap();
        for (h, b) in [(&h_alone, &b_alone), (&h_both, &b_both)] {
            for (found, known) in h.iter().zip(&hv).chain(b.iter().zip(&bv)) {
                // The same sums, some of them in a different order.
                assert!((found - known).abs() < 1e-13 * (1.0 + known.abs()), "{name}");
            }
        }

        // Forward mode: H v + B u along (v, u).
        let mut pushed = vec![0.0; p];
        oracle.push_gradient(at, 3, [&v, &along], &mut g, &mut pushed).unwrap();
        close(dot(&pushed, &v), dot(&hv, &v) + dot(&bv, &along), "push-forward");
        // The start: <w_bar, J dx> = <J^T w_bar, dx>.
        let (mut dw, mut x_bar) = (vec![0.0; p], vec![0.0; d]);
        oracle.push_init(&x, draw, &along, &mut dw).unwrap();
        oracle.pull_init(&x, draw, &v, &mut x_bar).unwrap();
        close(dot(&dw, &v), dot(&x_bar, &along), "start");

        let f = oracle.outer_gradient(at, &mut g, &mut g_x).unwrap();
        assert_eq!(f.to_bits(), oracle.outer_value(at).unwrap().to_bits());
        let mut f_of = |w: &[f64], x: &[f64]| oracle.outer_value(Point { w, x, draw }).unwrap();
        let ends = [STEP, -STEP].map(|h| f_of(&moved(&w, h, &v), &moved(&x, h, &along)));
        close((ends[0] - ends[1]) / (2.0 * STEP), dot(&g, &v) + dot(&g_x, &along), "f");
        assert_eq!(oracle.cost().outer_gradients, 1);
    }
}

#[test]
fn vectors_of_the_wrong_length_are_refused() {
    let mut oracle = catalogue()[0].open::<f64>(None).unwrap();
    let (w, x, v) = point(&oracle);
    let at = Point { w: &w, x: &x, draw: Draw::new(0, 0) };
    let p = w.len();
    let mut product = vec![0.0; p];
    let why = oracle.hessian_product(at, 0, &v[1..], &mut product).unwrap_err().to_string();
    let expected = format!("a vector of inner variables: found {} values, expected {p}", p - 1);
    assert_eq!(why, expected);
    let why = oracle.inner_value(Point { x: &[], ..at }, 0).unwrap_err().to_string();
    assert!(why.starts_with("a vector of outer variables: found 0 values"), "{why}");
    let moving = [&[][..], &x[..]];
    assert!(oracle.push_gradient(at, 0, moving, &mut product, &mut []).is_err());
}

fn digits() -> Sets<f64> {
    Sets::digits([950, 400, 400], 0).unwrap()
}

/// Mean of the gradients on all mini-batches, and the gradient on all samples.
fn both<P: Bilevel<f64>>(problem: P, level: Level) -> [Vec<f64>; 2] {
    let mut oracle = Oracle::new(problem).unwrap();
    let (w, x, _) = point(&oracle);
    let batches = oracle.mini_batches(level);
    let mut of = |samples| {
        let at = Point { w: &w, x: &x, draw: Draw::new(5, 2).on(samples) };
        let (mut g, mut g_x) = (vec![0.0; w.len()], vec![0.0; x.len()]);
        match level {
            Level::Inner => oracle.inner_gradients(at, 7, &mut g, &mut g_x).unwrap(),
            _ => oracle.outer_gradient(at, &mut g, &mut g_x).unwrap(),
        };
        [g, g_x].concat()
    };
    let mut mean = vec![0.0; w.len() + x.len()];
    for k in 0..batches as u64 {
        axpy(&mut mean, 1.0 / batches as f64, &of(Samples::Batch(k)));
    }
    // The batch after the last is the first again.
    assert_eq!(of(Samples::Batch(0)), of(Samples::Batch(batches as u64)));
    assert!(batches > 1 && of(Samples::Batch(0)) != of(Samples::Batch(1)));
    [mean, of(Samples::All)]
}

#[test]
fn mini_batches_by_number_average_to_all_samples() {
    let selection = || Selection::<f64>::new(digits(), Penalties::Class, 0.1, Some(64)).unwrap();
    let sampled = || {
        let samplers = [Sampler::Distinct { batch: 64 }; 2];
        let settings = SampledSettings { samplers, ..SampledSettings::default() };
        SampledQuadratic::<f64>::new(&settings).unwrap()
    };
    for level in [Level::Inner, Level::Outer] {
        for [mean, all] in [both(selection(), level), both(sampled(), level)] {
            for (mean, all) in mean.iter().zip(&all) {
                // Hundreds of terms in two orders of summation.
                assert!((mean - all).abs() < 1e-13 * (1.0 + all.abs()), "{level:?} {mean} {all}");
            }
        }
    }
}

#[test]
fn samples_seen_are_those_of_every_evaluation() {
    let settings = CleaningSettings { batch: Some(100), ..CleaningSettings::default() };
    let problem = Cleaning::<f64>::new(digits(), &settings).unwrap();
    let rows = |level, samples| {
        Bilevel::<f64>::samples(&problem, Draw::new(0, 0).at(level, 0).on(samples)) as u64
    };
    let [n, m] = [Level::Inner, Level::Outer].map(|level| rows(level, Samples::All));
    let blocks = Bilevel::<f64>::mini_batches(&problem, Level::Inner) as u64;
    // The last batch contains the remaining samples.
    assert_eq!(rows(Level::Inner, Samples::Batch(blocks - 1)), n - 100 * (blocks - 1));
    let mut oracle = Oracle::new(problem).unwrap();
    let (w, x, v) = point(&oracle);
    let [mut g, mut hv] = [(); 2].map(|()| vec![0.0; w.len()]);
    let mut bv = vec![0.0; x.len()];
    let at = |samples| Point { w: &w, x: &x, draw: Draw::new(0, 0).on(samples) };
    oracle.begin();
    oracle.inner_sweep(at(Samples::Batch(1)), 0, &v, &mut g, &mut hv, &mut bv).unwrap();
    assert_eq!(oracle.cost().samples, 100);
    oracle.inner_value(at(Samples::All), 0).unwrap();
    assert_eq!(oracle.cost().samples, 100 + n);
    oracle.outer_gradient(at(Samples::All), &mut g, &mut bv).unwrap();
    assert_eq!(oracle.cost().samples, 100 + n + m);

    // A run consists of r steps, r reversals and the outer gradient; the same number with tapes.
    for schedule in ["store-all", "store-all:keep=tapes"] {
        let inner = InnerLoop::new(3, 0.1).unwrap();
        let task = Task { inner: &inner, x: &x, draw: Draw::new(0, 0).on(Samples::All), slot: 0 };
        oracle.begin();
        let (mut run, mut state) = Rollout::start(&mut oracle, task).unwrap();
        let found = run.reverse_under(schedule.parse().unwrap(), &mut state, &mut bv, None);
        let (_, bar) = found.unwrap();
        run.close([bar, state]);
        let cost = oracle.cost();
        assert_eq!((cost.samples, cost.outer_gradients), (6 * n + m, 1), "{schedule}");
    }
}
