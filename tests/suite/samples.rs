//! Samplers as pure functions of draws, and the quadratic problem that uses them.

use std::collections::BTreeSet;

use hypertape::problems::{SampledQuadratic, SampledSettings, Sampler, catalogue};
use hypertape::{
    Arena, Array, Bilevel, Draw, Estimator, Exact, Function, InnerLoop, Level, Oracle, Rows, Shape,
    Tensor, Workspace, axpy, dot,
};

fn all(sampler: Sampler, n: usize, draw: Draw) -> Vec<usize> {
    sampler.batch(n, draw).iter().collect()
}

fn inner(iteration: u64, step: usize) -> Draw {
    Draw::new(3, iteration).at(Level::Inner, step)
}

#[test]
fn blocks_are_those_of_the_benchmark() {
    // Ten samples in fours: blocks begin at 0, 4 and 6, because a third block at 8 would end at 12; drawn 0, 1, 2, 2 in
    // the first pass.
    let sampler = Sampler::Blocks { batch: 4, draws: 3 };
    let start = |number: u64| {
        let range = sampler
            .batch(10, inner(number / 3, usize::try_from(number % 3).unwrap()))
            .range()
            .unwrap();
        assert_eq!(range.len(), 4);
        range.start
    };
    assert_eq!([0, 1, 2, 3].map(start), [0, 4, 6, 6]);
    let mut orders = BTreeSet::new();
    for pass in 1..40 {
        let drawn = [0, 1, 2, 3].map(|k| start(4 * pass + k));
        let mut once = drawn[..3].to_vec();
        once.sort_unstable();
        assert_eq!((once, drawn[3]), (vec![0, 4, 6], drawn[2]), "pass {pass}");
        orders.insert(drawn);
    }
    assert_eq!(orders.len(), 6);
}

/// Relative frequencies of all ordered triples of four samples, in one batch without and with replacement.
#[test]
fn choices_are_uniform() {
    for (sampler, outcomes) in
        [(Sampler::Distinct { batch: 3 }, 24), (Sampler::Independent { batch: 3 }, 64)]
    {
        let mut counts = [0_u32; 64];
        for k in 0..24_000 {
            let triple = all(sampler, 4, inner(k, 0));
            counts[triple[0] + 4 * triple[1] + 16 * triple[2]] += 1;
        }
        let expected = 24_000.0 / f64::from(outcomes);
        let seen = counts.iter().filter(|&&c| c > 0).count();
        assert_eq!(seen, usize::try_from(outcomes).unwrap());
        let gap = |&c: &u32| (f64::from(c) - expected).powi(2) / expected;
        let chi = counts.iter().filter(|&&c| c > 0).map(gap).sum::<f64>();
        // Chi squared with k = 23 or 63 degrees of freedom has mean k and deviation sqrt(2 k); four of these.
        let freedom = f64::from(outcomes) - 1.0;
        assert!((chi - freedom).abs() < 4.0 * (2.0 * freedom).sqrt(), "{sampler:?}: {chi}");
    }
}

#[test]
fn rows_are_those_of_the_samples() {
    let (arena, data) = (Arena::new(), [0.0, 1.0, 10.0, 11.0, 20.0, 21.0, 30.0, 31.0]);
    let like = Tensor::new(&arena, Shape::SCALAR, &data[..1]);
    for sampler in [
        Sampler::All,
        Sampler::Independent { batch: 3 },
        Sampler::Distinct { batch: 3 },
        Sampler::Blocks { batch: 3, draws: 1 },
    ] {
        let batch = sampler.batch(4, inner(2, 0));
        let rows = batch.iter().flat_map(|i| [10.0 * i as f64, 10.0 * i as f64 + 1.0]);
        let found = batch.rows(like, &data);
        assert_eq!(found.values(), rows.collect::<Vec<_>>(), "{sampler:?}");
    }
}

/// Every sampler at many sizes: repeatable, in range, of the requested size, and distinct where it is documented.
#[test]
fn batches_are_pure_and_within() {
    for n in (1_usize..40).chain([97, 128, 300]) {
        for batch in [0, 1, 2, 5, 16, n, n + 3] {
            let (draw, size) = (inner(5, n + batch), batch.clamp(1, n));
            for sampler in [
                Sampler::All,
                Sampler::Independent { batch },
                Sampler::Distinct { batch },
                Sampler::Passes { batch, draws: 9 },
                Sampler::Blocks { batch, draws: 9 },
            ] {
                let drawn = all(sampler, n, draw);
                assert_eq!(drawn, all(sampler, n, draw));
                assert!(drawn.iter().all(|&i| i < n));
                let distinct = drawn.iter().collect::<BTreeSet<_>>().len();
                match sampler {
                    Sampler::All => assert_eq!(drawn, (0..n).collect::<Vec<_>>()),
                    Sampler::Independent { .. } => assert_eq!(drawn.len(), size),
                    Sampler::Passes { .. } => {
                        assert!((1..=size).contains(&drawn.len()) && distinct == drawn.len());
                    }
                    _ => assert_eq!((drawn.len(), distinct), (size, size)),
                }
            }
        }
    }
}

#[test]
fn a_pass_holds_every_sample_once() {
    for n in (1_usize..40).chain([97, 300]) {
        for batch in [1, 2, 5, 16, n, n + 3] {
            let batches = n.div_ceil(batch);
            let mut orders = BTreeSet::new();
            for pass in 0..4 {
                let of = |k: usize| {
                    let number = pass * batches + k;
                    all(
                        Sampler::Passes { batch, draws: 7 },
                        n,
                        inner(number as u64 / 7, number % 7),
                    )
                };
                let mut samples: Vec<_> = (0..batches).flat_map(of).collect();
                orders.insert(samples.clone());
                samples.sort_unstable();
                assert_eq!(samples, (0..n).collect::<Vec<_>>(), "{n} {batch} {pass}");
            }
            assert!(n < 20 || orders.len() == 4, "{n}: a pass repeats another");
        }
    }
}

/// The metrics of a problem of the catalogue.
fn metrics(name: &str, w: &[f64], x: &[f64]) -> Vec<f64> {
    let entry = catalogue().into_iter().find(|e| e.name == name).unwrap();
    let oracle = entry.open::<f64>(None).unwrap();
    let inner = InnerLoop::new(1, 0.1).unwrap();
    oracle.metrics(w, x, &inner).iter().map(|m| m.value).collect()
}

#[test]
fn metrics_of_sparse_and_of_scheduled_problems() {
    let mut w = [0.0; 30];
    (w[0], w[1]) = (-2.0, 1e-9);
    // Features 0, 6, 12, 18 and 24 are relevant: the support contains one of them, and one that is not.
    assert_eq!(metrics("lasso", &w, &[0.0]), [2.0, 5.0]);
    assert_eq!(metrics("elastic-net", &w, &[0.0; 2]), [2.0, 5.0]);
    assert_eq!(metrics("learned-steps", &[1.0, -3.0, 0.0, 2.0], &[0.0; 4]), [3.0]);
    // A network of 1761 weights, four of which have moved by 1/2.
    let (mut w, x) = (vec![0.25; 1761], vec![0.25; 1761]);
    w[..4].fill(0.75);
    assert_eq!(metrics("sinusoid-prior", &w, &x), [1.0]);
}

fn settings(samplers: [Sampler; 2]) -> SampledSettings {
    SampledSettings { samplers, ..SampledSettings::default() }
}

#[test]
fn all_samples_are_their_mean() {
    // The sum over all samples is the quadratic of their means: the same runs, the same limits.
    let whole = SampledQuadratic::<f64>::new(&settings([Sampler::All; 2])).unwrap();
    let mean = whole.mean().clone();
    let (x, limit) = (mean.x.clone(), mean.limit(&mean.x).unwrap());
    let of = |mut oracle: Oracle<f64>, steps| {
        let (inner, mut gradient) = (InnerLoop::new(steps, 1.0).unwrap(), vec![0.0; 10]);
        let draw = Draw::new(0, 0);
        let found = Exact::default().estimate(&mut oracle, &inner, &x, draw, &mut gradient);
        (found.unwrap().loss, gradient)
    };
    let sums = of(Oracle::new(whole).unwrap(), 3);
    let means = of(Oracle::new(mean.clone()).unwrap(), 3);
    let end = of(Oracle::new(mean).unwrap(), 500);
    let scale = limit.gradient.iter().fold(0.0_f64, |s, g| s.max(g.abs()));
    for i in 0..10 {
        // Sums of 512 terms in two orders; 0.93^500 = 2e-16 of the start remains.
        assert!((sums.1[i] - means.1[i]).abs() < 1e-13 * scale, "{sums:?} {means:?}");
        assert!((end.1[i] - limit.gradient[i]).abs() < 1e-12 * scale, "{end:?} {limit:?}");
    }
    assert!((sums.0 - means.0).abs() < 1e-13 * means.0.abs(), "{sums:?} {means:?}");
    assert!((end.0 - limit.value).abs() < 1e-12 * limit.value.abs(), "{end:?} {limit:?}");
    let length = dot(&limit.gradient, &limit.gradient).sqrt();
    let w: Vec<f64> = limit.w.iter().map(|w| w + 0.5).collect();
    let found = metrics("quadratic-sampled", &w, &x);
    for (found, known) in found.iter().zip([limit.value, length, 5_f64.sqrt()]) {
        assert!((found - known).abs() < 1e-13 * known, "{found} {known}");
    }
}

/// One of the losses at one draw, over `w` and `x`.
struct Part<'p>(&'p SampledQuadratic<f64>, Level, Draw);

impl Function<f64> for Part<'_> {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, at: &[A]) -> A {
        let Self(problem, level, draw) = *self;
        let (w, x) = (&at[..1], &at[1..]);
        let (draw, rows) = (draw.at(level, 0), Rows::all(0));
        if level == Level::Inner {
            problem.inner(w, x, draw, rows)
        } else {
            problem.outer(w, x, draw, rows)
        }
    }
}

/// bilevel T17: the averages of a SAGA memory that starts at zero are full sums after one pass at a point.
#[test]
fn a_pass_of_mini_batches_averages_to_the_whole() {
    let of = |samplers| SampledQuadratic::<f64>::new(&settings(samplers)).unwrap();
    let (batched, whole) =
        (of([Sampler::Passes { batch: 100, draws: 1 }; 2]), of([Sampler::All; 2]));
    let at: Vec<f64> = (0..30).map(|i| f64::from(i).sin()).collect();
    let v: Vec<f64> = (0..30).map(|i| if i < 20 { f64::from(i).cos() } else { 0.0 }).collect();
    // The gradient of g or f with respect to w and x, and its derivative along w: the five oracles and one more.
    let oracles = |problem, level, iteration| {
        let part = Part(problem, level, Draw::new(4, iteration));
        let (mut out, mut product) = (vec![0.0; 30], vec![0.0; 30]);
        let shapes = [Shape::column(20), Shape::column(10)];
        Workspace::new().hvp(&part, &shapes, &at, &v, &mut out, &mut product).unwrap();
        [out, product].concat()
    };
    for level in [Level::Inner, Level::Outer] {
        let known = oracles(&whole, level, 0);
        let mut average = vec![0.0; 60];
        for k in 0..6 {
            let share = if k < 5 { 100.0 } else { 12.0 } / 512.0;
            axpy(&mut average, share, &oracles(&batched, level, k));
        }
        let scale = known.iter().fold(0.0_f64, |s, g| s.max(g.abs()));
        for (found, known) in average.iter().zip(&known) {
            // Sums of 512 terms in two orders.
            assert!((found - known).abs() < 1e-14 * scale, "{level:?}: {found} {known}");
        }
    }
}

#[test]
fn spectra_are_those_that_were_asked_for() {
    // For Wishart matrices, the mean eigenvalue of 512 samples has a relative deviation of about sqrt(2/512/20), 1.4 %.
    let problem = SampledQuadratic::<f64>::new(&settings([Sampler::All; 2])).unwrap();
    let trace = |m: &[f64], n: usize| (0..n).map(|i| m[i * n + i]).sum::<f64>();
    let of =
        |n: u32| (0..n).map(|i| 0.1 * 10_f64.powf(f64::from(i) / f64::from(n - 1))).sum::<f64>();
    let mean = problem.mean();
    for (found, known) in [
        (trace(&mean.inner_hessian, 20), of(20)),
        (trace(&mean.outer_hessian, 20), of(20)),
        (trace(&mean.outer_curvature, 10), of(10) - 0.1),
    ] {
        assert!((found / known - 1.0).abs() < 0.08, "{found} {known}");
    }
}

#[test]
fn settings_are_checked() {
    let of = |settings: SampledSettings| {
        SampledQuadratic::<f64>::new(&settings).unwrap_err().to_string()
    };
    let few = SampledSettings { samples: [19, 1], ..SampledSettings::default() };
    let expected = "samples: found 19 and 1 for 20 inner and 10 outer variables, expected variables, as many inner \
                    samples, an outer one";
    assert_eq!(of(few), expected);
    let flat = SampledSettings { curvature: [0.0, 1.0], ..SampledSettings::default() };
    let expected =
        "curvature: found 0 to 1, coupling 0.1, expected 0 < mu <= L, and a positive coupling";
    assert_eq!(of(flat), expected);
}
