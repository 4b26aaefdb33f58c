//! Neumann series with random factors: all outcomes enumerated and compared with formulas, moments sampled, schedules
//! compared at the same budget, infinite variances refused.

use crate::support::{deviation, estimate};
use hypertape::linear::Neumann;
use hypertape::problems::Quadratic;
use hypertape::{
    Array, Bilevel, Draw, Element, Error, Estimator, Implicit, InnerLoop, Level, List, Named,
    Oracle, Params, Rows, Shape, StochasticNeumann, Terms,
};
use rand::RngExt;

/// `g = h w^2/2 + x w`, `f = w`, so that the estimate is `-v` for `h v = 1`. After `r` = 2 inner steps, the Hessian of
/// mini-batch `j` is 0.5 or 1.5, as determined by bit `j` of `bits` or by its draw.
struct Coins {
    bits: Option<u32>,
}

const AFTER: usize = 2;

impl Bilevel<f64> for Coins {
    fn start(&self) -> Params<f64> {
        Params::new().with("x", Shape::SCALAR, [0.3])
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0)])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        let high = match (self.bits, usize::try_from(d.step).unwrap().checked_sub(AFTER + 1)) {
            (Some(bits), Some(j)) => j < 32 && bits >> j & 1 == 1,
            (Some(_), None) => false,
            (None, _) => d.stream().random_bool(0.5),
        };
        w[0].square() * (if high { 0.75 } else { 0.25 }) + x[0] * w[0]
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        w[0].sum()
    }
}

/// `v` for one choice of mini-batches and number of factors, and the number of products.
fn outcome(estimator: &mut StochasticNeumann, bits: Option<u32>, draw: Draw) -> (f64, u64) {
    let mut oracle = Oracle::new(Coins { bits }).unwrap();
    let (found, gradient) = estimate(estimator, &mut oracle, (AFTER, 0.1), draw).unwrap();
    assert_eq!((found.cost.inner_gradients, found.cost.mixed), (AFTER as u64 + 1, 1));
    (-gradient[0], found.cost.hvps)
}

/// Mean and variance of `v` over all choices of `batches` mini-batches.
fn enumerated(estimator: &mut StochasticNeumann, batches: u32) -> (f64, f64) {
    let all: Vec<f64> =
        (0..1 << batches).map(|bits| outcome(estimator, Some(bits), Draw::new(0, 0)).0).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    (mean, all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64)
}

/// theory 4: mean and variance of the series with one factor per entry of `sizes`, which are numbers of mini-batches of
/// variance 1/4.
fn recursion(lr: f64, sizes: &[usize]) -> (f64, f64) {
    let m = 1.0 - lr;
    let (mut mean, mut square) = (1.0, 1.0);
    for &size in sizes.iter().rev() {
        square = 1.0 + 2.0 * m * mean + (m * m + lr * lr * 0.25 / size as f64) * square;
        mean = 1.0 + m * mean;
    }
    (lr * mean, lr * lr * (square - mean * mean))
}

fn stocbio(terms: usize, batches: f64, decay: f64) -> StochasticNeumann {
    StochasticNeumann::new(Terms::StocBio { terms, batches, decay }, Some(0.2)).unwrap()
}

#[test]
fn stocbio_has_the_moments_of_its_recursion() {
    for (terms, batches, decay, sizes) in [
        (1, 1.0, 1.0, &[][..]),
        (5, 1.0, 1.0, &[1, 1, 1, 1]),
        (4, 4.0, 0.5, &[4, 2, 1]),
        (3, 3.0, 1.0, &[3, 3]),
        (4, 2.0, 0.1, &[2, 1, 1]),
    ] {
        let total = sizes.iter().sum::<usize>();
        let mut estimator = stocbio(terms, batches, decay);
        let (mean, variance) = enumerated(&mut estimator, u32::try_from(total).unwrap());
        let (known_mean, known_variance) = recursion(0.2, sizes);
        assert!((mean - known_mean).abs() < 1e-15, "{terms}: {mean} {known_mean}");
        assert!((variance - known_variance).abs() < 1e-15, "{terms}: {variance} {known_variance}");
        let (_, products) = outcome(&mut estimator, Some(0), Draw::new(0, 0));
        assert_eq!(products, total as u64 + 1);
        // The mean is the truncated series.
        let series: f64 = (0..terms).map(|k| 0.2 * 0.8_f64.powf(k as f64)).sum();
        assert!((mean - series).abs() < 1e-15, "{terms}: {mean} {series}");
        // Its bias from 1/H = 1 is, in one dimension, the bound (1 - lr mu)^terms / mu itself.
        assert!((1.0 - mean - 0.8_f64.powf(terms as f64)).abs() < 1e-15, "{terms}: {mean}");
    }
    // bilevel T15, and the result if all factors used one batch.
    let (mean, _) = enumerated(&mut stocbio(5, 1.0, 1.0), 4);
    assert!((mean - 0.672_32).abs() < 1e-15, "{mean}");
    let of = |bits| outcome(&mut stocbio(5, 1.0, 1.0), Some(bits), Draw::new(0, 0)).0;
    let one = f64::midpoint(of(0), of(15));
    assert!((one - 0.686_82).abs() < 1e-15, "{one}");
}

#[test]
fn a_single_draw_has_the_same_mean_and_more_variance() {
    let (terms, rho) = (5, 0.8_f64);
    let mut estimator = StochasticNeumann::new(Terms::Single { terms }, Some(0.2)).unwrap();
    let (mut mean, mut second) = (0.0, 0.0);
    for factors in 0..terms {
        estimator.force(Some(factors));
        let (part, spread) = enumerated(&mut estimator, u32::try_from(factors).unwrap());
        mean += part / terms as f64;
        second += (spread + part * part) / terms as f64;
        // All the weight is on one product.
        let (v, products) = outcome(&mut estimator, Some(0), Draw::new(0, 0));
        let known = 0.2 * terms as f64 * 0.9_f64.powf(factors as f64);
        assert!((v - known).abs() < 1e-15, "{factors}: {v} {known}");
        assert_eq!(products, factors as u64 + 1);
    }
    assert!((mean - 0.672_32).abs() < 1e-15, "{mean}");
    let squares = (0..terms).map(|k| (rho * rho + 0.01).powf(k as f64)).sum::<f64>();
    let known = 0.04 * terms as f64 * squares - mean * mean;
    assert!((second - mean * mean - known).abs() < 1e-15, "{second} {known}");
    // Drawn at random: 4000 draws from 0..5 with a standard deviation of sqrt 2; four standard errors.
    estimator.force(None);
    let of = |k| outcome(&mut estimator, Some(0), Draw::new(1, k)).1 - 1;
    let factors = (0..4000).map(of).sum::<u64>() as f64 / 4000.0;
    assert!((factors - 2.0).abs() < 0.09, "{factors}");
}

#[test]
fn roulette_is_unbiased_with_the_known_variance() {
    // Both Hessians are low: rho = 0.9, and the limit is 2.
    let (survival, rho) = (0.95, 0.9_f64);
    let terms = Terms::Roulette { survival, mu: Some(0.5), noise: 0.0 };
    let mut estimator = StochasticNeumann::new(terms, Some(0.2)).unwrap();
    let (mut mean, mut second) = (0.0, 0.0);
    for factors in 0..1200 {
        let chance = (1.0 - survival) * survival.powf(f64::from(factors));
        estimator.force(Some(usize::try_from(factors).unwrap()));
        let (v, products) = outcome(&mut estimator, Some(0), Draw::new(0, 0));
        assert_eq!(products, u64::try_from(factors).unwrap() + 1);
        mean += chance * v;
        second += chance * v * v;
    }
    // Tails: 0.95^1200 = 2e-27 and (0.81/0.95)^1200.
    assert!((mean - 2.0).abs() < 1e-12, "{mean}");
    let known = 0.04
        * ((1.0 - rho * rho) / (1.0 - rho).powi(2) / (1.0 - rho * rho / survival)
            - (1.0 - rho).powi(-2));
    assert!((second - 4.0 - known).abs() < 1e-10, "{} {known}", second - 4.0);
    // s / (1 - s) = 19 factors on average, with a standard deviation of 19.5; four standard errors of 4000.
    estimator.force(None);
    let of = |k| outcome(&mut estimator, Some(0), Draw::new(1, k)).1 - 1;
    let factors = (0..4000).map(of).sum::<u64>() as f64 / 4000.0;
    assert!((factors - 19.0).abs() < 1.24, "{factors}");
}

#[test]
fn an_infinite_variance_is_refused() {
    let of = |survival, mu, noise, lr| {
        let terms = Terms::Roulette { survival, mu, noise };
        let mut estimator = StochasticNeumann::new(terms, Some(lr)).unwrap();
        estimator.force(Some(3));
        let mut oracle = Oracle::new(Coins { bits: Some(0) }).unwrap();
        estimate(&mut estimator, &mut oracle, (AFTER, 0.1), Draw::new(0, 0)).map(|(_, g)| g)
    };
    // (1 - 0.2 0.5)^2 = 0.81; noise of 0.5 adds 0.01.
    assert!(of(0.83, Some(0.5), 0.5, 0.2).is_ok());
    for (survival, noise, found) in [(0.8, 0.0, "0.810000"), (0.815, 0.5, "0.820000")] {
        let text = of(survival, Some(0.5), noise, 0.2).unwrap_err().to_string();
        let known = format!(
            "survival: found {survival}, expected more than the mean square of I - lr H_j, {found} or more: the \
             variance is infinite"
        );
        assert_eq!(text, known);
    }
    // Without mu, or with a wrong one, the observed factors decide: 0.9, or -1.5 with a step beyond 2/|H|.
    for (mu, lr) in [(None, 0.2), (Some(0.9), 0.2), (None, 5.0), (Some(0.5), 2.1)] {
        let result = of(0.8, mu, 0.0, lr);
        assert_eq!(result.is_ok(), lr == 2.1, "{mu:?} {lr}: {result:?}");
    }
}

#[test]
fn a_geometric_schedule_has_less_variance_at_the_same_budget() {
    let (mut geometric, mut flat) = (stocbio(9, 7.5, 0.8), stocbio(9, 4.0, 1.0));
    let sizes = [8, 6, 5, 4, 3, 2, 2, 2];
    let known = [recursion(0.2, &sizes), recursion(0.2, &[4; 8])];
    assert!((known[0].0 - known[1].0).abs() < 1e-15);
    assert!(known[0].1 < 0.7 * known[1].1, "{known:?}");
    for (estimator, (known_mean, known_variance)) in
        [&mut geometric, &mut flat].into_iter().zip(known)
    {
        let calls = 4000_u64;
        let (mut sum, mut square) = (0.0, 0.0);
        for k in 0..calls {
            let (v, products) = outcome(estimator, None, Draw::new(3, k));
            assert_eq!(products, 33);
            sum += v - known_mean;
            square += (v - known_mean).powi(2);
        }
        let (gap, variance) = (sum / calls as f64, square / calls as f64);
        // Four standard errors; the relative one of a variance is sqrt(2/4000) for a nearly normal distribution.
        assert!(gap.abs() < 4.0 * (known_variance / calls as f64).sqrt(), "{gap:e}");
        assert!((variance / known_variance - 1.0).abs() < 0.09, "{variance} {known_variance}");
    }
}

/// The variances of a geometric schedule and of one with equally many mini-batches per factor, with the same number of
/// products: the longer the series, the more the first saves, about half at seventeen terms.
#[test]
fn what_a_geometric_schedule_saves_at_several_budgets() {
    for (terms, batches, sizes, flat, known) in [
        (5, 2.5, &[3, 2, 2, 1][..], 2, 0.8129),
        (9, 3.75, &[4, 3, 2, 2, 2, 1, 1, 1], 2, 0.7101),
        (9, 7.5, &[8, 6, 5, 4, 3, 2, 2, 2], 4, 0.6937),
        (9, 15.5, &[16, 12, 10, 8, 6, 5, 4, 3], 8, 0.6876),
        (17, 26.25, &[26, 21, 17, 13, 11, 9, 7, 6, 4, 4, 3, 2, 2, 1, 1, 1], 8, 0.4918),
    ] {
        let flat = (stocbio(terms, flat as f64, 1.0), vec![flat; terms - 1]);
        let (mut variances, mut spent) = (Vec::new(), Vec::new());
        for (mut estimator, sizes) in [(stocbio(terms, batches, 0.8), sizes.to_vec()), flat] {
            let (mean, variance) = recursion(0.2, &sizes);
            let total = sizes.iter().sum::<usize>();
            if total < 10 {
                // Enumerates all outcomes of the coins.
                let (found, spread) = enumerated(&mut estimator, u32::try_from(total).unwrap());
                assert!((found - mean).abs() + (spread - variance).abs() < 1e-15, "{terms}");
            }
            spent.push(outcome(&mut estimator, None, Draw::new(0, 0)).1);
            assert_eq!(spent[0], total as u64 + 1, "{terms}");
            variances.push(variance);
        }
        assert_eq!(spent[0], spent[1]);
        // To four digits.
        assert!((variances[0] / variances[1] - known).abs() < 5e-5, "{terms}: {variances:?}");
    }
}

#[test]
fn without_mini_batches_the_series_is_the_deterministic_one() {
    let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
    let draw = Draw::new(0, 0);
    let series = Neumann { terms: 6, lr: None };
    let mut neumann = Implicit::new(series).unwrap();
    let (_, known) = estimate(&mut neumann, &mut oracle, (5, 0.3), draw).unwrap();
    let all = Terms::StocBio { terms: 6, batches: 3.0, decay: 0.7 };
    let mut estimator = StochasticNeumann::new(all, None).unwrap();
    let (found, gradient) = estimate(&mut estimator, &mut oracle, (5, 0.3), draw).unwrap();
    assert!(deviation(&gradient, &known) < 2e-15, "{gradient:?} {known:?}");
    let report = found.soundness.report.unwrap();
    assert_eq!((report.residual, report.solution_error, report.iterations), (None, None, 5));
    // The weights of a single draw add up to the series, term by term.
    let mut single = StochasticNeumann::new(Terms::Single { terms: 6 }, None).unwrap();
    let mut mean = [0.0; 2];
    for factors in 0..6 {
        single.force(Some(factors));
        let (_, part) = estimate(&mut single, &mut oracle, (5, 0.3), draw).unwrap();
        mean.iter_mut().zip(&part).for_each(|(m, g)| *m += g / 6.0);
    }
    assert!(deviation(&mean, &known) < 5e-15, "{mean:?} {known:?}");
}

/// Detected by an inner loss that is NaN at one step.
#[test]
fn every_factor_sees_a_batch_of_its_own() {
    struct Fails(u64);
    impl Bilevel<f64> for Fails {
        fn start(&self) -> Params<f64> {
            Params::new().with("x", Shape::SCALAR, [0.3])
        }
        fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
            List::from_slice(&[x[0].scalar(0.0)])
        }
        fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
            assert_eq!(d.level, Level::Inner);
            w[0].square() * (if d.step == self.0 { f64::NAN } else { 0.5 }) + x[0] * w[0]
        }
        fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
            w[0].sum()
        }
    }
    let mut estimator = stocbio(3, 2.0, 0.5);
    // Steps 0 and 1 are those of the run, 2 is for B, 3 and 4 belong to the first factor, 5 to the second.
    for (step, fails) in
        [(0, true), (1, true), (2, true), (3, true), (4, true), (5, true), (6, false)]
    {
        let mut oracle = Oracle::new(Fails(step)).unwrap();
        let result = estimate(&mut estimator, &mut oracle, (AFTER, 0.1), Draw::new(0, 0));
        assert_eq!(result.is_err(), fails, "{step}: {result:?}");
        if let Err(error) = result {
            assert!(matches!(error, Error::NonFinite { .. }), "{step}: {error}");
        }
    }
}

#[test]
fn settings_are_checked() {
    let of = |terms, lr| StochasticNeumann::new(terms, lr).unwrap_err().to_string();
    let bio = |terms, batches, decay| Terms::StocBio { terms, batches, decay };
    let roulette = |survival, mu, noise| Terms::Roulette { survival, mu, noise };
    for (terms, lr, text) in [
        (bio(0, 1.0, 1.0), None, "terms of stocbio: found 0, expected a whole number, 1 or more"),
        (
            Terms::Single { terms: 0 },
            None,
            "terms of single-draw: found 0, expected a whole number, 1 or more",
        ),
        (bio(2, 0.0, 1.0), None, "batches of stocbio: found 0, expected a positive finite number"),
        (
            bio(2, 1.0, 1.1),
            None,
            "decay of stocbio: found 1.1, expected a number above 0 and at most 1",
        ),
        (bio(2, 1.0, 1.0), Some(0.0), "lr of stocbio: found 0, expected a positive finite number"),
        (
            roulette(1.0, None, 0.0),
            None,
            "survival of roulette-neumann: found 1, expected a probability above 0 and below 1",
        ),
        (
            roulette(0.5, Some(0.0), 0.0),
            None,
            "mu of roulette-neumann: found 0, expected a positive finite number",
        ),
        (
            roulette(0.5, None, f64::NAN),
            None,
            "noise of roulette-neumann: found NaN, expected a finite number, 0 or more",
        ),
    ] {
        assert_eq!(of(terms, lr), text);
    }
    let name = |terms, lr| Named::name(&StochasticNeumann::new(terms, lr).unwrap());
    assert_eq!(name(bio(3, 2.0, 0.9), Some(0.5)), "stocbio:terms=3,batches=2,decay=0.9,lr=0.5");
    assert_eq!(name(roulette(0.5, Some(0.25), 0.0), None), "roulette-neumann:survival=0.5,mu=0.25");
}

/// The same bits for the same draw, and other bits for another draw.
#[test]
fn draws_name_the_outcome() {
    fn gradient<T: Element>(k: u64, oracle: &mut Oracle<T>) -> Vec<T> {
        let terms = Terms::Roulette { survival: 0.9, mu: Some(0.9), noise: 0.0 };
        let mut estimator = StochasticNeumann::new(terms, None).unwrap();
        let inner = InnerLoop::new(5, 0.3).unwrap();
        let x = oracle.start().values().to_vec();
        let mut gradient = vec![T::zero(); x.len()];
        estimator.estimate(oracle, &inner, &x, Draw::new(7, k), &mut gradient).unwrap();
        gradient
    }
    let mut oracle = Oracle::<f64>::new(Quadratic::general()).unwrap();
    let first: Vec<Vec<f64>> = (0..20).map(|k| gradient(k, &mut oracle)).collect();
    let again: Vec<Vec<f64>> = (0..20).map(|k| gradient(k, &mut oracle)).collect();
    assert_eq!(first, again);
    assert!(first.iter().any(|g| *g != first[0]));
}
