//! First-order, full-tape and UFOM: known answers, all outcomes enumerated, moments, costs.

use crate::support::signs::{Only, Signs};
use crate::support::two_layer::TwoLayer;
use crate::support::{deviation, expected, shared};
use hypertape::problems::{Cleaning, Maml, Quadratic};
use hypertape::{
    Array, Bilevel, Draw, Element, Error, Estimator, Exact, FirstOrder, FullTape, InnerLoop, List,
    Oracle, Params, Rows, Shape, Ufom, dot, optimal_probability,
};

/// An estimate at the problem's start.
fn estimate<T: Element>(
    estimator: &mut dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    draw: Draw,
) -> (f64, Vec<T>, hypertape::Cost) {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![T::zero(); x.len()];
    let estimate = estimator.estimate(oracle, inner, &x, draw, &mut gradient).unwrap();
    (estimate.loss.as_f64(), gradient, estimate.cost)
}

#[test]
fn learned_start_equals_the_peers() {
    let table = [
        (5, 5.053_210_467_835_303, 0.782_714_761_948_388_6, 0.890_066_315_305_403_6),
        (20, 5.074_750_109_866_762, 0.825_640_781_212_293_6, 1.577_057_675_119_049_4),
        (100, 4.831_071_981_586_422_5, 1.386_215_892_445_704_2, 2.209_749_420_199_89),
        (1000, 2.264_032_304_646_104, 1.716_657_091_286_786_2, 3.537_860_195_649_449),
    ];
    let folder = shared("w3");
    let mut oracle = Oracle::<f64>::new(Maml::workload(3)).unwrap();
    for (steps, known_loss, exact_norm, first_norm) in table {
        let inner = InnerLoop::new(steps, 0.002).unwrap();
        let r = 25 * steps as u64;
        let mut check = |estimator: &mut dyn Estimator<f64>, norm: f64, file: &str, hvps: u64| {
            let (loss, gradient, cost) = estimate(estimator, &mut oracle, &inner, Draw::new(0, 0));
            // A change of 1e-13 of the start moves the gradient by up to 3e-13, so 1e-11 is the agreement that the
            // problem allows after 1000 steps.
            assert!((loss / known_loss - 1.0).abs() < 1e-11, "{steps}: loss {loss}");
            let found = dot(&gradient, &gradient).sqrt();
            assert!((found / norm - 1.0).abs() < 1e-11, "{steps} {file}: norm {found}");
            if let Some(folder) = &folder {
                let whole = expected(folder, &format!("w3_r{steps}.{file}.txt"));
                let gap = deviation(&gradient, &whole);
                assert!(gap < 1e-11, "{steps} {file}: off by {gap:e}");
            }
            assert_eq!([cost.plain_steps, cost.inner_gradients, cost.hvps], [r, r, hvps]);
        };
        check(&mut Exact::default(), exact_norm, "hypergrad", r);
        check(&mut FirstOrder, first_norm, "firstorder", 0);
    }
}

#[test]
fn full_tape_equals_exact_and_needs_more_memory() {
    fn gap(problem: impl Bilevel<f64>, steps: usize, lr: f64) -> f64 {
        let (mut oracle, inner) =
            (Oracle::new(problem).unwrap(), InnerLoop::new(steps, lr).unwrap());
        let draw = Draw::new(3, 1);
        let (loss, exact, stored) = estimate(&mut Exact::default(), &mut oracle, &inner, draw);
        let (whole_loss, whole, tape) = estimate(&mut FullTape, &mut oracle, &inner, draw);
        assert!((loss / whole_loss - 1.0).abs() < 1e-13, "{loss} {whole_loss}");
        assert!(tape.bytes_measured > stored.bytes_measured, "{tape:?} {stored:?}");
        deviation(&exact, &whole)
    }
    let digits = Cleaning::digits(0).unwrap();
    for (name, gap) in [
        ("quadratic", gap(Quadratic::general(), 20, 0.3)),
        ("two-layer", gap(TwoLayer::new(2), 20, 0.1)),
        ("w3", gap(Maml::workload(3), 20, 0.002)),
        ("digits-clean", gap(digits, 20, 1.0)),
    ] {
        assert!(gap < 1e-12, "{name}: {gap:e}"); // two orders of summation
    }
}

#[test]
fn full_tape_equals_exact_on_the_whole_catalogue() {
    for entry in hypertape::problems::catalogue() {
        let mut oracle = entry.open::<f64>(None).unwrap();
        let (inner, draw) = (InnerLoop::new(3, entry.lr).unwrap(), Draw::new(2, 5));
        let (_, exact, _) = estimate(&mut Exact::default(), &mut oracle, &inner, draw);
        let (_, whole, _) = estimate(&mut FullTape, &mut oracle, &inner, draw);
        let gap = deviation(&exact, &whole);
        assert!(gap < 1e-13, "{}: {gap:e}", entry.name); // sums of up to 5000 terms in another order
    }
}

#[test]
fn first_order_is_refused_where_it_is_zero() {
    let mut oracle = Oracle::<f64>::new(Cleaning::digits(0).unwrap()).unwrap();
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![1.0; x.len()];
    let inner = InnerLoop::new(3, 1.0).unwrap();
    let result = FirstOrder.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut gradient);
    assert_eq!(result.unwrap_err(), Error::FirstOrderVanishes);
    // It is still unbiased: every hit is the exact gradient divided by q.
    let mut ufom = Ufom::new(0.25).unwrap();
    ufom.force(Some(vec![true]));
    let (_, hit, _) = estimate(&mut ufom, &mut oracle, &inner, Draw::new(0, 0));
    let (_, exact, _) = estimate(&mut Exact::default(), &mut oracle, &inner, Draw::new(0, 0));
    let scaled: Vec<f64> = exact.iter().map(|g| 4.0 * g).collect();
    assert!(deviation(&hit, &scaled) < 1e-15);
}

/// Mean and second moment of UFOM over all outcomes of its coins.
fn moments(oracle: &mut Oracle<f64>, inner: &InnerLoop, q: f64) -> (Vec<f64>, f64) {
    let batch = oracle.batch();
    let mut mean = vec![0.0; oracle.outer_dim()];
    let mut second = 0.0;
    let mut ufom = Ufom::new(q).unwrap();
    for outcome in 0..1_u32 << batch {
        let coins: Vec<bool> = (0..batch).map(|i| outcome >> i & 1 == 1).collect();
        let chance: f64 = coins.iter().map(|&c| if c { q } else { 1.0 - q }).product();
        ufom.force(Some(coins));
        let (_, g, _) = estimate(&mut ufom, oracle, inner, Draw::new(1, 1));
        second += chance * dot(&g, &g);
        mean.iter_mut().zip(&g).for_each(|(m, g)| *m += chance * g);
    }
    (mean, second)
}

#[test]
fn ufom_is_exact_in_the_mean_over_all_outcomes() {
    for q in [0.05, 0.3, 1.0] {
        let (inner, draw) = (InnerLoop::new(12, 0.1).unwrap(), Draw::new(1, 1));
        for mut oracle in [Oracle::new(TwoLayer::new(4)).unwrap(), Oracle::new(Signs).unwrap()] {
            let (_, exact, _) = estimate(&mut Exact::default(), &mut oracle, &inner, draw);
            let (_, cheap, _) = estimate(&mut FirstOrder, &mut oracle, &inner, draw);
            let (mean, second) = moments(&mut oracle, &inner, q);
            let scale = dot(&cheap, &cheap).max(dot(&exact, &exact)).sqrt();
            for (m, e) in mean.iter().zip(&exact) {
                // Outcomes of size |g - g0| / q = 20 |g - g0| cancel.
                assert!((m - e).abs() < 1e-14 * scale.max(1.0) / q, "q {q}: {m} {e}");
            }
            if oracle.batch() == 1 {
                let gap: f64 = exact.iter().zip(&cheap).map(|(e, c)| (e - c).powi(2)).sum();
                let known = dot(&exact, &exact) + (1.0 / q - 1.0) * gap;
                assert!((second / known - 1.0).abs() < 1e-13, "q {q}: {second} {known}");
            }
        }
    }
}

#[test]
fn gaussian_tasks_have_the_known_moments() {
    let inner = InnerLoop::new(20, 0.05).unwrap();
    let (mut v2, mut d2) = (0.0, 0.0);
    let mut all = vec![0.0; 3];
    for task in 0..4 {
        let mut oracle = Oracle::new(Only(Signs, task)).unwrap();
        let draw = Draw::new(0, 0);
        let (_, g, _) = estimate(&mut Exact::default(), &mut oracle, &inner, draw);
        let (_, g0, _) = estimate(&mut FirstOrder, &mut oracle, &inner, draw);
        v2 += dot(&g, &g) / 4.0;
        d2 += g.iter().zip(&g0).map(|(g, g0)| (g - g0).powi(2)).sum::<f64>() / 4.0;
        all.iter_mut().zip(&g).for_each(|(a, g)| *a += g);
    }
    assert!(all.iter().all(|a| a.abs() < 1e-14), "the optimum is at zero: {all:?}");
    assert!((v2 - 1.145_617_179_611_394_8).abs() < 1e-13, "{v2}");
    assert!((d2 - 0.262_296_909_115_909_1).abs() < 1e-13, "{d2}");
    // Costs of 20 steps, with 3 per product: the forward run, and the rest of an exact gradient with 20, 4 and 1 slots.
    for (hit, known) in [(60.0, 0.314_613), (80.0, 0.272_463), (231.0, 0.160_342)] {
        let q = optimal_probability(d2, v2, 20.0, hit, 1.0);
        assert!((q - known).abs() < 1e-6, "{q} {known}"); // known to six digits
        // The optimum of the cost, compared with values around it.
        let cost = |q: f64| (20.0 + q * hit) * (v2 - d2 + d2 / q);
        assert!(cost(q) < cost(q * 1.001) && cost(q) < cost(q * 0.999));
    }
}

#[test]
fn optimal_probability_minimises_the_cost_for_every_exponent() {
    for p in [0.5, 1.0, 2.0] {
        for (d2, v2, c1, c2) in
            [(0.1, 1.0, 11.0, 10.0), (0.5, 2.0, 12.0, 66.0), (3.0, 4.0, 1.0, 9.0)]
        {
            let q = optimal_probability(d2, v2, c1, c2, p);
            let cost = |q: f64| (c1 + q * c2) * (v2 - d2 + d2 / q).powf(p);
            let grid = (1..=2000).map(|i| f64::from(i) / 2000.0);
            let best = grid.map(cost).fold(f64::INFINITY, f64::min);
            assert!(cost(q) <= best * (1.0 + 1e-12), "p {p}: {q} costs {} above {best}", cost(q));
            // The threshold: q = 1 exactly where the definition says so.
            assert_eq!(q == 1.0, d2 >= c2 * v2 / (p * (c1 + c2)), "p {p}: {q}");
        }
    }
}

#[test]
fn coins_follow_their_probability_and_their_draw() {
    let mut oracle = Oracle::new(Signs).unwrap();
    let inner = InnerLoop::new(2, 0.1).unwrap();
    let mut ufom = Ufom::new(0.3).unwrap();
    let (calls, mut hits) = (2000_u32, 0);
    for iteration in 0..calls {
        let draw = Draw::new(9, u64::from(iteration));
        let (_, first, cost) = estimate(&mut ufom, &mut oracle, &inner, draw);
        let (_, again, _) = estimate(&mut ufom, &mut oracle, &inner, draw);
        assert_eq!(first, again);
        assert_eq!((cost.plain_steps, cost.hvps % 2), (8, 0));
        hits += cost.hvps / 2;
    }
    // 8000 coins have a standard error of 0.0051; four of these.
    let rate = hits as f64 / f64::from(4 * calls);
    assert!((rate - 0.3).abs() < 0.0205, "{rate}");
}

#[test]
fn first_order_descent_runs_away_where_exact_descent_contracts() {
    /// `g = 0.75 w^2`, `f = w^2/2`, start `x`; inner steps of size 1 multiply `w` by -1/2.
    struct Runaway;
    impl Bilevel<f64> for Runaway {
        fn start(&self) -> Params<f64> {
            Params::new().with("x", Shape::SCALAR, [2.0])
        }
        fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
            List::from_slice(x)
        }
        fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
            w[0].square() * 0.75
        }
        fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
            w[0].square() * 0.5
        }
    }
    let (mut oracle, inner) = (Oracle::new(Runaway).unwrap(), InnerLoop::new(3, 1.0).unwrap());
    let draw = Draw::new(0, 0);
    let (_, exact, _) = estimate(&mut Exact::default(), &mut oracle, &inner, draw);
    let (_, first, _) = estimate(&mut FirstOrder, &mut oracle, &inner, draw);
    assert_eq!((exact[0], first[0]), (2.0 / 64.0, -2.0 / 8.0));
}

#[test]
fn probabilities_are_checked() {
    for q in [0.0, -0.1, 1.5, f64::NAN] {
        let text = Ufom::new(q).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("q of ufom: found {q}, expected a probability above 0 and at most 1")
        );
    }
}
