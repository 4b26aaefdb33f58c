//! Randomised estimators: all outcomes enumerated, moments by formula, variants that would be biased, adaptive
//! probabilities.

use crate::support::problem::{matrix, problem};
use crate::support::signs::{Only, Signs};
use crate::support::two_layer::TwoLayer;
use crate::support::{deviation, estimate};
use hypertape::{
    Adam, Cheap, Cost, Draw, Element, Error, Estimator, Exact, FirstOrder, ForwardGradient,
    InnerLoop, Judgement, Jump, Levels, Named, Oracle, Probability, Profile, Roulette, Thinned,
    Truncated, Ufom, certify, dot, mean_square_factor, optimal_probability, weigh,
};
use proptest::prelude::*;

// theory K0: a fixed start, with known values at every depth.
problem!(
    Decimals,
    [1.0, -1.0],
    |x| x * 0.0,
    |w, x, _draw| (w - x).dot(matrix(w, &[0.5, 0.25, 0.25, 0.75], 2).matmul(w - x)) * 0.5,
    |w, _x| (w - 0.5).square().sum() * 0.5
);

// One variable whose curvature `3 w^2 + 0.1` changes from step to step.
problem!(
    Quartic,
    [0.3],
    |x| x.scalar(1.1),
    |w, x, _draw| w.square().square() * 0.25 + w.square() * 0.05 + x * w,
    |w, _x| w.square() * 0.5 + w
);

/// Number and size of the inner steps of `Quartic`.
const QUARTIC: (usize, f64) = (8, 0.2);

fn of(
    estimator: &mut dyn Estimator<f64>,
    oracle: &mut Oracle<f64>,
    inner: (usize, f64),
) -> (Vec<f64>, Cost) {
    let (found, gradient) = estimate(estimator, oracle, inner, Draw::new(1, 1)).unwrap();
    (gradient, found.cost)
}

fn exact(oracle: &mut Oracle<f64>, inner: (usize, f64)) -> Vec<f64> {
    of(&mut Exact::default(), oracle, inner).0
}

fn square(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Mean and second moment of outcomes with the given chances.
fn moments(outcomes: impl IntoIterator<Item = (f64, Vec<f64>)>) -> (Vec<f64>, f64) {
    let (mut mean, mut second, mut total) = (Vec::new(), 0.0, 0.0);
    for (chance, g) in outcomes {
        mean.resize(g.len(), 0.0);
        mean.iter_mut().zip(&g).for_each(|(m, g)| *m += chance * g);
        second += chance * dot(&g, &g);
        total += chance;
    }
    assert!((total - 1.0_f64).abs() < 1e-13, "chances add up to {total}");
    (mean, second)
}

/// All outcomes of `n` coins of probability `q`, with their chances.
fn coins(n: usize, q: f64) -> impl Iterator<Item = (f64, Vec<bool>)> {
    (0..1_u32 << n).map(move |bits| {
        let coins: Vec<bool> = (0..n).map(|i| bits >> i & 1 == 1).collect();
        (coins.iter().map(|&c| if c { q } else { 1.0 - q }).product(), coins)
    })
}

fn two_layer() -> Oracle<'static, f64> {
    Oracle::new(TwoLayer::new(4)).unwrap()
}

#[test]
fn depths_have_the_known_gradients() {
    let mut oracle = Oracle::new(Decimals).unwrap();
    let known = [
        [0.0, 0.0],
        [-0.120_375, -0.341_875],
        [-0.182_487_5, -0.569_15],
        [-0.209_45, -0.722_031_25],
        [-0.215_731_875, -0.826_351_875],
        [-0.210_325_312_5, -0.898_748_125],
    ];
    let levels: Vec<_> = (0..6).map(|depth| (depth, 1.0)).collect();
    let mut roulette = Roulette::new(levels).unwrap();
    for (level, known) in known.into_iter().enumerate() {
        roulette.force(Some(level));
        let (found, cost) = of(&mut roulette, &mut oracle, (5, 0.4));
        assert!(square(&found, &known).sqrt() < 1e-15, "{level}: {found:?}");
        assert_eq!((cost.plain_steps, cost.hvps), (5, level as u64));
        let cheap = Cheap::Truncated { k: level };
        let mut ufom = Ufom::new(0.3).unwrap().with_cheap(cheap).unwrap();
        ufom.force(Some(vec![false]));
        assert_eq!(of(&mut ufom, &mut oracle, (5, 0.4)).0, found);
    }
}

#[test]
fn roulette_is_exact_in_the_mean_with_the_moments_of_its_levels() {
    let inner = (8, 0.1);
    for levels in [
        vec![(0, 1.0), (1, 0.8), (3, 0.8), (4, 0.5), (8, 0.2)],
        vec![(2, 1.0), (8, 0.3)],
        vec![(0, 1.0), (2, 0.7), (9, 0.1), (12, 0.05)],
    ] {
        let mut oracle = two_layer();
        let g = exact(&mut oracle, inner);
        let p: Vec<f64> = levels.iter().map(|&(_, p)| p).chain([0.0]).collect();
        for schedule in ["store-all", "store-all:keep=tapes", "constant"] {
            let made = Roulette::new(levels.clone()).unwrap();
            let mut roulette = made.with_schedule(schedule.parse().unwrap());
            let (mean, second) = moments((0..levels.len()).map(|level| {
                roulette.force(Some(level));
                (p[level] - p[level + 1], of(&mut roulette, &mut oracle, inner).0)
            }));
            // Outcomes up to 1/P = 20 times as large as the parts cancel.
            assert!(deviation(&mean, &g) < 1e-13, "{levels:?}: {mean:?} {g:?}");
            let x = oracle.start().values().to_vec();
            let run = InnerLoop::new(inner.0, inner.1).unwrap();
            let pilot = roulette.pilot(&mut oracle, &run, &x, [Draw::new(1, 1)], 2.0).unwrap();
            let known = pilot.second_moment(&p[1..levels.len()]);
            assert!((second / known - 1.0).abs() < 1e-12, "{levels:?}: {second} {known}");
        }
    }
    // The frequencies of the levels are right to within four standard errors of 4000 draws.
    let mut oracle = Oracle::new(Quartic).unwrap();
    let mut roulette = Roulette::new([(0, 1.0), (3, 0.6), (8, 0.2)]).unwrap();
    let mut seen = [0.0; 2];
    for k in 0..4000 {
        let (found, _) = estimate(&mut roulette, &mut oracle, QUARTIC, Draw::new(5, k)).unwrap();
        seen[0] += f64::from(u8::from(found.cost.hvps >= 3)) / 4000.0;
        seen[1] += f64::from(u8::from(found.cost.hvps >= 8)) / 4000.0;
    }
    assert!((seen[0] - 0.6).abs() < 0.031 && (seen[1] - 0.2).abs() < 0.026, "{seen:?}");
}

/// A sweep over `Quartic` by its formulas: the gradient for the given coins, where `surrogate` names the state whose
/// derivatives replace those of step `t`.
fn swept(coins: &[bool], q: f64, surrogate: impl Fn(usize) -> Option<usize>) -> f64 {
    let (steps, lr) = QUARTIC;
    let mut states = vec![1.1];
    (0..steps).for_each(|t| {
        let w: f64 = states[t];
        states.push(w - lr * (w.powi(3) + 0.1 * w + 0.3));
    });
    let curvature = |t: usize| 3.0 * states[t].powi(2) + 0.1;
    let (mut v, mut x_bar) = (states[steps] + 1.0, 0.0);
    for t in (0..steps).rev() {
        let (mut h, mut b) = surrogate(t).map_or((0.0, 0.0), |a| (curvature(a), 1.0));
        if coins[t] {
            h += (curvature(t) - h) / q;
            b += (1.0 - b) / q;
        }
        x_bar -= lr * b * v;
        v -= lr * h * v;
    }
    x_bar
}

#[test]
fn thinned_sweeps_are_exact_in_the_mean_and_nearest_anchors_are_not() {
    let q = 0.6;
    let mut oracle = Oracle::new(Quartic).unwrap();
    let g = exact(&mut oracle, QUARTIC);
    let later = |coins: &[bool], t: usize| (t + 1..8).find(|&s| coins[s]);
    for anchored in [false, true] {
        let mut made = Thinned::new(q).unwrap();
        made = if anchored { made.anchored() } else { made };
        for slots in [8, 2, 1] {
            let mut thinned = made.clone().with_slots(slots).unwrap();
            let (mean, second) = moments(coins(8, q).map(|(chance, coins)| {
                thinned.force(Some(coins.clone()));
                let (found, cost) = of(&mut thinned, &mut oracle, QUARTIC);
                let known = swept(&coins, q, |t| anchored.then(|| later(&coins, t).unwrap_or(8)));
                assert!((found[0] - known).abs() < 1e-14, "{coins:?}: {found:?} {known}");
                let visits = coins.iter().filter(|&&c| c).count();
                assert_eq!(cost.hvps, (visits + if anchored { 8 } else { 0 }) as u64);
                // The loop runs forward again to the last visited step of each further chunk.
                let visited: Vec<usize> = (0..8).filter(|&t| coins[t]).collect();
                let again: usize = visited.rchunks(slots).skip(1).map(|c| c[c.len() - 1]).sum();
                assert_eq!(cost.plain_steps, 8 + again as u64, "{coins:?}");
                (chance, found)
            }));
            assert!((mean[0] - g[0]).abs() < 1e-14, "{anchored} {slots}: {mean:?} {g:?}");
            if !anchored {
                // theory 3.6: S <- M S M' + (1/q - 1) D S D' for (v, x_bar), with the increment D and M = 1 + D.
                let mut moment = [[0.0; 2]; 2];
                let end = {
                    let mut states = vec![1.1_f64];
                    (0..8).for_each(|t| {
                        let w = states[t];
                        states.push(w - 0.2 * (w.powi(3) + 0.1 * w + 0.3));
                    });
                    states
                };
                moment[0][0] = (end[8] + 1.0).powi(2);
                for t in (0..8).rev() {
                    let d = [[-0.2 * (3.0 * end[t].powi(2) + 0.1), 0.0], [-0.2, 0.0]];
                    let m = [[1.0 + d[0][0], 0.0], [d[1][0], 1.0]];
                    let around = |a: [[f64; 2]; 2], i: usize, j: usize| -> f64 {
                        (0..4).map(|k| a[i][k / 2] * moment[k / 2][k % 2] * a[j][k % 2]).sum()
                    };
                    let next = |i, j| around(m, i, j) + (1.0 / q - 1.0) * around(d, i, j);
                    moment = [[next(0, 0), next(0, 1)], [next(1, 0), next(1, 1)]];
                }
                assert!((second / moment[1][1] - 1.0).abs() < 1e-13, "{second} {moment:?}");
            }
        }
    }
    // The nearest visited state on either side depends on coins that have not been weighted yet.
    let nearest = |coins: &[bool], t: usize| {
        let visited = (0..8).filter(|&s| coins[s]).min_by_key(|&s| s.abs_diff(t));
        Some(visited.unwrap_or(8))
    };
    let (mean, _) = moments(
        coins(8, q).map(|(chance, coins)| (chance, vec![swept(&coins, q, |t| nearest(&coins, t))])),
    );
    let bias = (mean[0] / g[0] - 1.0).abs();
    assert!(bias > 1e-4, "a bias of {bias:e} is not detected");
}

#[test]
fn thinned_sweeps_of_networks_are_exact_in_the_mean() {
    let (inner, q) = ((6, 0.1), 0.5);
    let mut oracle = two_layer();
    let g = exact(&mut oracle, inner);
    for made in [Thinned::new(q).unwrap(), Thinned::new(q).unwrap().anchored()] {
        let mut thinned = made.with_slots(2).unwrap();
        let (mean, _) = moments(coins(6, q).map(|(chance, coins)| {
            thinned.force(Some(coins));
            (chance, of(&mut thinned, &mut oracle, inner).0)
        }));
        assert!(deviation(&mean, &g) < 1e-13, "{mean:?} {g:?}");
    }
    // If all steps are visited, both kinds are the exact sweep.
    for made in [Thinned::new(1.0).unwrap(), Thinned::new(1.0).unwrap().anchored()] {
        let (found, cost) = of(&mut made.clone(), &mut oracle, inner);
        assert_eq!((found, cost.hvps), (g.clone(), 6));
    }
}

// `g = h w^2/2 + x w` with `h` = 2, `f = w`.
problem!(Steep, [0.3], |x| x.scalar(1.0), |w, x, _draw| w.square() + x * w, |w, _x| w.sum());

#[test]
fn thinning_is_refused_where_its_mean_square_grows() {
    // lr h / 2 = 0.4.
    let inner = (6, 0.4);
    let of = |thinned: Thinned| {
        let mut oracle = Oracle::new(Steep).unwrap();
        let mut thinned = thinned;
        thinned.force(Some(vec![true, false, true, false, false, false]));
        estimate(&mut thinned, &mut oracle, inner, Draw::new(0, 0)).map(|(_, g)| g)
    };
    let made = |q| Thinned::new(q).unwrap();
    assert!(of(made(0.4)).is_ok() && of(made(0.4).smooth(2.0).unwrap()).is_ok());
    assert!(of(made(0.39).anchored()).is_ok(), "what is thinned there is a difference, zero");
    for (thinned, shown) in [
        (made(0.39), "lr |H v| / |v| at step 2"),
        (made(0.39).smooth(2.0).unwrap(), "lr times the smoothness"),
    ] {
        let expected = format!(
            "q of thinned: found 0.39, expected 0.400000 or more, half of {shown}: the mean square of the adjoint \
             grows by 1.041026 a step"
        );
        assert_eq!(of(thinned).unwrap_err().to_string(), expected);
    }
    // The mean square over all outcomes, with an x-derivative of 1 per step.
    for (q, grows) in [(0.38, true), (0.42, false)] {
        let factor = mean_square_factor(0.4, 2.0, q);
        let square = coins(8, q).map(|(chance, coins)| {
            let v = |v: f64, &c: &bool| if c { v * (1.0 - 0.8 / q) } else { v };
            chance * coins.iter().fold(1.0, v).powi(2)
        });
        let square: f64 = square.sum();
        assert!((square / factor.powi(8) - 1.0).abs() < 1e-12, "{square}");
        assert_eq!(square > 1.0, grows);
    }
}

#[test]
fn every_cheap_part_is_made_exact_in_the_mean() {
    let inner = (9, 0.1);
    let mut oracle = two_layer();
    let g = exact(&mut oracle, inner);
    let jump = Jump { anchors: 2, degree: 3 };
    for cheap in [
        Cheap::FirstOrder,
        Cheap::Truncated { k: 0 },
        Cheap::Truncated { k: 4 },
        Cheap::Truncated { k: 12 },
        Cheap::Mixed,
        Cheap::Jump(jump),
    ] {
        for q in [0.05, 0.4] {
            let schedule = "binomial:c=2".parse().unwrap();
            let mut ufom = Ufom::new(q).unwrap().with_cheap(cheap).unwrap().with_schedule(schedule);
            // A jump learns its intervals in the first call, which is exact whatever the coin.
            let (first, cost) = of(&mut ufom, &mut oracle, inner);
            if let Cheap::Jump(_) = cheap {
                assert!(deviation(&first, &g) < 1e-13);
                // Per anchor 3 products and up to 8 Lanczos steps, and 9 more products.
                assert!((2 * (3 + 2) + 9..=2 * (3 + 8) + 9).contains(&cost.hvps), "{cost:?}");
                assert_eq!(Estimator::<f64>::state(&ufom).names(), ["low", "high"]);
            }
            let mut cheap_alone = Vec::new();
            let (mean, second) = moments(coins(1, q).map(|(chance, coins)| {
                ufom.force(Some(coins.clone()));
                let mut ufom = ufom.clone();
                let found = of(&mut ufom, &mut oracle, inner).0;
                if !coins[0] {
                    cheap_alone.clone_from(&found);
                }
                (chance, found)
            }));
            let scale = dot(&cheap_alone, &cheap_alone).max(dot(&g, &g)).sqrt();
            // Outcomes of 1/q times the difference cancel.
            assert!(square(&mean, &g).sqrt() < 1e-14 * scale / q, "{cheap:?}: {mean:?} {g:?}");
            let known = dot(&g, &g) + (1.0 / q - 1.0) * square(&cheap_alone, &g);
            assert!((second / known - 1.0).abs() < 1e-12, "{cheap:?}: {second} {known}");
        }
    }
    let (first, _) = of(&mut FirstOrder, &mut oracle, inner);
    let mut none = Ufom::new(0.5).unwrap().with_cheap(Cheap::Truncated { k: 0 }).unwrap();
    none.force(Some(vec![false]));
    assert_eq!(of(&mut none, &mut oracle, inner).0, first);
}

#[test]
fn the_mixed_part_helps_where_first_order_is_zero() {
    // The mixed terms of one step, times the number of steps: far from the limit they are a large part of the gradient.
    let mut oracle = Oracle::new(Decimals).unwrap();
    let g = exact(&mut oracle, (5, 0.1));
    let mut mixed = Ufom::new(0.5).unwrap().with_cheap(Cheap::Mixed).unwrap();
    mixed.force(Some(vec![false]));
    let (found, cost) = of(&mut mixed, &mut oracle, (5, 0.1));
    let (one, _) = of(&mut Truncated { k: 1 }, &mut oracle, (5, 0.1));
    assert!(deviation(&found, &[5.0 * one[0], 5.0 * one[1]]) < 1e-15);
    assert!(square(&found, &g) < 0.2 * dot(&g, &g), "{found:?} {g:?}");
    assert_eq!((cost.plain_steps, cost.hvps), (5, 1));
}

#[test]
fn subsets_have_their_size_and_the_variance_without_replacement() {
    let (inner, batch, m) = ((20, 0.05), 4, 2);
    let mut oracle = Oracle::new(Signs).unwrap();
    let mut ufom = Ufom::with(Probability::Subset(m)).unwrap();
    let g = exact(&mut oracle, inner);
    let subsets = coins(batch, 0.5).filter(|(_, c)| c.iter().filter(|&&c| c).count() == m);
    let (mean, second) = moments(subsets.map(|(_, coins)| {
        ufom.force(Some(coins));
        (1.0 / 6.0, of(&mut ufom, &mut oracle, inner).0)
    }));
    let part = |task| {
        let mut oracle = Oracle::new(Only(Signs, task)).unwrap();
        let (exact, first) = (exact(&mut oracle, inner), of(&mut FirstOrder, &mut oracle, inner).0);
        exact.iter().zip(&first).map(|(g, g0)| g - g0).collect::<Vec<_>>()
    };
    let parts: Vec<Vec<f64>> = (0..4).map(part).collect();
    let average: Vec<f64> = (0..3).map(|i| parts.iter().map(|p| p[i]).sum::<f64>() / 4.0).collect();
    // Sampling m of B without replacement: (1/q - 1) S^2 / B, where S^2 is the variance with divisor B - 1.
    let spread = parts.iter().map(|p| square(p, &average)).sum::<f64>() / 3.0;
    let known = dot(&g, &g) + (4.0 / 2.0 - 1.0) * spread / 4.0;
    // The mean gradient is zero here; outcomes are of size 1.
    assert!(square(&mean, &g).sqrt() < 1e-15, "{mean:?}");
    assert!((second / known - 1.0).abs() < 1e-12, "{second} {known}");
    ufom.force(None);
    let mut seen = [0.0; 6];
    for k in 0..3000 {
        let (found, g) = estimate(&mut ufom, &mut oracle, inner, Draw::new(2, k)).unwrap();
        assert_eq!(found.cost.hvps, 2 * 20);
        let subset = subsets_of_two().position(|coins| {
            let mut forced = ufom.clone();
            forced.force(Some(coins));
            of(&mut forced, &mut oracle, inner).0 == g
        });
        seen[subset.unwrap()] += 1.0 / 3000.0;
    }
    // Four standard errors. The third and the fourth subset are complements of each other and give the same mean.
    for (seen, known) in seen.into_iter().zip([1.0, 1.0, 2.0, 0.0, 1.0, 1.0]) {
        assert!((seen - known / 6.0_f64).abs() < 0.0345, "{seen}: {known} of 6");
    }
    let error = Ufom::with(Probability::Subset(5)).unwrap();
    let error = estimate(&mut error.clone(), &mut oracle, inner, Draw::new(0, 0)).unwrap_err();
    assert_eq!(error.to_string(), "subset: found 5, expected 4 or fewer, the meta-batch");
}

fn subsets_of_two() -> impl Iterator<Item = Vec<bool>> {
    coins(4, 0.5).map(|(_, coins)| coins).filter(|c| c.iter().filter(|&&c| c).count() == 2)
}

/// Runs a number of calls at `x` and returns the probabilities that were used.
fn chances(
    ufom: &mut Ufom,
    oracle: &mut Oracle<f64>,
    x: &[f64],
    calls: std::ops::Range<u64>,
) -> Vec<f64> {
    let inner = InnerLoop::new(20, 0.05).unwrap();
    let (mut gradient, batch) = (vec![0.0; x.len()], oracle.batch());
    let call = |k| {
        ufom.estimate(oracle, &inner, x, Draw::new(3, k), &mut gradient).unwrap();
        ufom.chance(0, batch)
    };
    calls.map(call).collect()
}

fn adaptive(floor: f64, decay: f64) -> Ufom {
    let schedule = "constant".parse().unwrap();
    let ufom = Ufom::with(Probability::Adaptive { floor, decay }).unwrap();
    ufom.with_schedule(schedule).with_product(3.0)
}

#[test]
fn an_adaptive_probability_is_unbiased_given_the_past_and_one_that_looks_ahead_is_not() {
    // One random task of four: the learned probability depends on it.
    let (inner, x) = (InnerLoop::new(20, 0.05).unwrap(), [0.1, -0.2, 0.3]);
    let (mut mean, mut cheat, mut past) = (vec![0.0; 3], vec![0.0; 3], 0.0);
    let of = |estimator: &mut dyn Estimator<f64>, task: usize| {
        let mut oracle = Oracle::new(Only(Signs, task as u64)).unwrap();
        let mut g = vec![0.0; 3];
        estimator.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut g).unwrap();
        g
    };
    let tasks: Vec<[Vec<f64>; 2]> =
        (0..4).map(|task| [of(&mut Exact::default(), task), of(&mut FirstOrder, task)]).collect();
    // Three calls: the first is a hit; for the others all coins and tasks are enumerated.
    let mut go = |ufom: Ufom, chance: f64, depth: usize| {
        let mut stack = vec![(ufom, chance, depth)];
        while let Some((ufom, chance, depth)) = stack.pop() {
            for (task, [exact, first]) in tasks.iter().enumerate() {
                for hit in [false, true] {
                    let mut next = ufom.clone();
                    next.force(Some(vec![hit]));
                    let g = of(&mut next, task);
                    let q = next.chance(0, 1);
                    let chance = chance / 4.0 * if hit { q } else { 1.0 - q };
                    if depth > 0 {
                        stack.push((next, chance, depth - 1));
                        continue;
                    }
                    past += chance;
                    mean.iter_mut().zip(&g).for_each(|(m, g)| *m += chance * g);
                    // Weighted by the probability after this very call.
                    let mut after = next.clone();
                    after.force(Some(vec![false]));
                    of(&mut after, task);
                    let weight = if hit { 1.0 / after.chance(0, 1) } else { 0.0 };
                    for (c, (e, f)) in cheat.iter_mut().zip(exact.iter().zip(first)) {
                        *c += chance * (f + weight * (e - f));
                    }
                }
            }
        }
    };
    let mut first = adaptive(0.05, 0.9);
    of(&mut first, 1);
    assert_eq!(first.chance(0, 1), 1.0);
    go(first, 1.0, 1);
    let known: Vec<f64> =
        (0..3).map(|i| tasks.iter().map(|[exact, _]| exact[i]).sum::<f64>() / 4.0).collect();
    assert!((past - 1.0).abs() < 1e-14);
    assert!(deviation(&mean, &known) < 1e-13, "{mean:?} {known:?}");
    assert!(deviation(&cheat, &known) > 0.01, "{cheat:?} {known:?}");
}

#[test]
fn an_adaptive_probability_finds_the_best_and_follows_it() {
    let mut oracle = Oracle::new(Signs).unwrap();
    // At zero the moments are known; away from it the mean of the gradient contributes as well.
    let best = |x: f64, oracle: &mut Oracle<f64>| {
        let roulette = Roulette::new([(0, 1.0), (20, 1.0)]).unwrap();
        let roulette = roulette.with_schedule("constant".parse().unwrap());
        let inner = InnerLoop::new(20, 0.05).unwrap();
        let levels = roulette.pilot(oracle, &inner, &[x; 3], [Draw::new(0, 0)], 3.0).unwrap();
        levels.survival(0.0)[0]
    };
    let [near, far] = [0.0, 4.0].map(|x| best(x, &mut oracle));
    assert!(
        (near
            / optimal_probability(
                0.262_296_909_115_909_1,
                1.145_617_179_611_394_8,
                21.0,
                231.0,
                1.0
            )
            - 1.0)
            .abs()
            < 1e-12
    );
    assert!(far > 1.25 * near || near > 1.25 * far, "{near} {far}: nothing to follow");
    let mut ufom = adaptive(0.02, 0.998);
    let mean = |q: &[f64]| q.iter().sum::<f64>() / q.len() as f64;
    let settled = chances(&mut ufom, &mut oracle, &[0.0; 3], 0..1500);
    // The memory covers 500 tasks, including 70 hits; both moments vary by a factor of two over the tasks.
    let found = mean(&settled[500..]);
    assert!((found / near - 1.0).abs() < 0.03, "{found} {near}");
    let moved = chances(&mut ufom, &mut oracle, &[4.0; 3], 1500..3000);
    let found = mean(&moved[700..]);
    assert!((found / far - 1.0).abs() < 0.03, "{found} {far}");
    // The learned probabilities do not depend on the number of threads, and a floor is respected.
    let mut again = adaptive(0.02, 0.998);
    oracle.set_threads(2).unwrap();
    assert_eq!(chances(&mut again, &mut oracle, &[0.0; 3], 0..40), settled[..40]);
    let mut floored = adaptive(0.6, 0.99);
    assert!(chances(&mut floored, &mut oracle, &[0.0; 3], 0..40)[1..].iter().all(|&q| q == 0.6));
}

#[test]
fn the_released_code_is_followed_to_the_letter() {
    // After one hit: d = (1 - 1/q)^2 |g - g0|^2 / 10 and |g|^2, with exponent 2; before it, the floor.
    let (mut oracle, inner) =
        (Oracle::new(Only(Signs, 1)).unwrap(), InnerLoop::new(20, 0.05).unwrap());
    let mut ufom = Ufom::with(Probability::PaperCode { floor: 0.2, decay: 0.99 }).unwrap();
    ufom = ufom.with_product(3.0);
    let (x, mut g) = ([0.5; 3], [[0.0; 3]; 2]);
    Exact::default().estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut g[0]).unwrap();
    FirstOrder.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut g[1]).unwrap();
    let (d2, v2) = (square(&g[0], &g[1]), dot(&g[0], &g[0]));
    let mut call = |coin, ufom: &mut Ufom| {
        ufom.force(Some(vec![coin]));
        ufom.estimate(&mut oracle, &inner, &x, Draw::new(0, 0), &mut g[0]).unwrap();
        ufom.chance(0, 1)
    };
    assert_eq!([call(false, &mut ufom), call(true, &mut ufom)], [0.2; 2]);
    let known = optimal_probability(16.0 * d2 / 10.0, v2, 21.0, 60.0, 2.0).max(0.2);
    let found = call(true, &mut ufom);
    assert!((found / known - 1.0).abs() < 1e-13 && found > 0.2, "{found} {known}");
    let seen = 16.0 * 0.99 * d2 + (1.0 - 1.0 / found).powi(2) * d2;
    let known = optimal_probability(seen / 1.99 / 10.0, v2, 21.0, 60.0, 2.0).max(0.2);
    let found = call(false, &mut ufom);
    assert!((found / known - 1.0).abs() < 1e-13, "{found} {known}");
    // Misses do not change the probability.
    assert_eq!(call(false, &mut ufom), found);
}

#[test]
fn gaussian_tasks_have_the_known_tails_and_costs() {
    let mut oracle = Oracle::new(Signs).unwrap();
    let roulette = Roulette::new([(0, 1.0), (5, 1.0), (10, 1.0), (20, 1.0)]).unwrap();
    let inner = InnerLoop::new(20, 0.05).unwrap();
    let levels = roulette.pilot(&mut oracle, &inner, &[0.0; 3], [Draw::new(0, 0)], 3.0).unwrap();
    let [base, d2, five, ten] = [
        1.145_617_179_611_394_8,
        0.262_296_909_115_909_1,
        0.118_144_912_535_235_37,
        0.042_647_763_049_203_48,
    ];
    let known = Levels::new(base, &[d2, five, ten], &[21.0, 36.0, 51.0, 81.0]);
    for survival in [[1.0; 3], [0.9, 0.2, 0.1]] {
        let [found, known] =
            [&levels, &known].map(|l| [l.second_moment(&survival), l.cost(&survival)]);
        assert!((found[0] / known[0] - 1.0).abs() < 1e-13, "{found:?} {known:?}");
        assert_eq!(found[1], known[1]);
    }
    // theory 5, to the printed digits.
    for (exact, q, product) in [
        (80.0, 0.314_613, 66.752_72),
        (100.0, 0.272_463, 77.157_69),
        (251.0, 0.160_342, 143.691_47),
    ] {
        let one = Levels::new(base, &[d2], &[20.0, exact]);
        assert!((one.survival(0.0)[0] - q).abs() < 1e-6 && (one.least() - product).abs() < 1e-5);
        let direct = optimal_probability(d2, base, 20.0, exact - 20.0, 1.0);
        assert!((one.survival(0.0)[0] / direct - 1.0).abs() < 1e-14);
    }
    // A plan gives an estimator.
    let planned = roulette.with_survival(&levels.survival(0.1)).unwrap();
    assert!(levels.least() < Levels::new(base, &[d2], &[21.0, 81.0]).least());
    assert!(Named::name(&planned).starts_with("roulette:0:1,5:"));
}

proptest! {
    #[test]
    fn roulette_is_never_worse_than_ufom_and_no_survival_beats_the_best(
        tails in prop::collection::vec(0.0..2.0_f64, 1..7),
        more in prop::collection::vec(0.01..5.0_f64, 8),
        tried in prop::collection::vec(0.01..1.0_f64, 8),
        base in 0.1..3.0_f64,
    ) {
        let costs: Vec<f64> = more.iter().scan(0.0, |sum, t| { *sum += t; Some(*sum) }).take(tails.len() + 1).collect();
        let levels = Levels::new(base, &tails, &costs);
        let best = levels.survival(0.0);
        let product = |p: &[f64]| levels.second_moment(p) * levels.cost(p);
        prop_assert!(best.windows(2).all(|p| p[0] >= p[1]) && best.iter().all(|&p| (0.0..=1.0).contains(&p)));
        // If a tail is zero, the best is a limit.
        let open = best.iter().all(|&p| p > 0.0);
        prop_assert!(!open || (product(&best) / levels.least() - 1.0).abs() < 1e-12);
        let one = Levels::new(base, &tails[..1], &[costs[0], costs[tails.len()]]);
        let slack = 1.0 + 1e-12; // rounding of sums of up to eight terms
        prop_assert!(levels.least() <= one.least() * slack, "{} {}", levels.least(), one.least());
        let mut falling = tried[..tails.len()].to_vec();
        falling.sort_by(|a, b| b.total_cmp(a));
        prop_assert!(levels.least() <= product(&falling) * slack, "{falling:?}");
        let floored = levels.survival(0.2);
        prop_assert!(floored.iter().zip(&best).all(|(f, b)| *f == b.max(0.2)));
    }
}

#[test]
fn forward_gradients_are_exact_in_the_mean_with_the_known_variance() {
    let inner = (20, 0.05);
    let mut oracle = Oracle::new(Only(Signs, 1)).unwrap();
    let (g, first) = (exact(&mut oracle, inner), of(&mut FirstOrder, &mut oracle, inner).0);
    let gap: Vec<f64> = g.iter().zip(&first).map(|(g, f)| (g - f).powi(2)).collect();
    // The blocks are {0, 1, 2}; {0, 2} and {1}; or one variable each.
    for (directions, variance) in
        [(1, 2.0 * gap.iter().sum::<f64>()), (2, gap[0] + gap[2]), (3, 0.0), (9, 0.0)]
    {
        let mut forward = ForwardGradient::new(directions).unwrap();
        let (mean, second) = moments(coins(3, 0.5).map(|(chance, signs)| {
            forward.force(Some(signs));
            let (found, cost) = of(&mut forward, &mut oracle, inner);
            assert_eq!((cost.hvps, cost.plain_steps), (20 * directions.min(3) as u64, 20));
            (chance, found)
        }));
        assert!(deviation(&mean, &g) < 1e-14, "{directions}: {mean:?} {g:?}");
        assert!((second - dot(&g, &g) - variance).abs() < 1e-14, "{directions}: {second}");
    }
    // Several blocks of four, a start that depends on x, mini-batches: with as many directions as variables the
    // estimate is exact.
    let mut oracle = two_layer();
    let g = exact(&mut oracle, (6, 0.1));
    let (found, _) = of(&mut ForwardGradient::new(20).unwrap(), &mut oracle, (6, 0.1));
    assert!(deviation(&found, &g) < 1e-13, "{found:?} {g:?}");
}

/// The coarse estimate of a jump after it has learned its intervals.
fn coarse(oracle: &mut Oracle<f64>, jump: Jump, inner: (usize, f64)) -> (Vec<f64>, Cost) {
    let mut ufom = Ufom::new(0.5).unwrap().with_cheap(Cheap::Jump(jump)).unwrap();
    of(&mut ufom, oracle, inner);
    ufom.force(Some(vec![false; oracle.batch()]));
    of(&mut ufom, oracle, inner)
}

#[test]
fn jumps_converge_with_their_degree() {
    // With a quadratic inner loss, everything that a jump freezes is constant. There are two eigenvalues, which Lanczos
    // finds.
    let (inner, jump) = ((24, 0.4), |degree| Jump { anchors: 2, degree });
    let mut oracle = Oracle::new(Decimals).unwrap();
    let g = exact(&mut oracle, inner);
    let gap = |found: &[f64]| deviation(found, &g);
    // Two nodes are the two eigenvalues up to their cosines; twelve are all steps of a segment.
    let gaps: Vec<f64> =
        [1, 3, 6, 12].map(|m| gap(&coarse(&mut oracle, jump(m), inner).0)).to_vec();
    assert!(gaps.windows(2).all(|pair| pair[1] < pair[0]) && gaps[0] > 0.05, "{gaps:?}");
    // 2 exp(-m^2/2L), the bound for the whole interval, also holds if the spectrum is a part of it.
    assert!(gaps[1] < 2.0 * (-9.0 / 24.0_f64).exp() && gaps[2] < 2.0 * (-36.0 / 24.0_f64).exp());
    assert!(gaps[3] < 1e-13, "{gaps:?}");
    let (_, cost) = coarse(&mut oracle, jump(6), inner);
    assert_eq!((cost.plain_steps, cost.hvps, cost.mixed), (24, 12, 2));
    // A loss that is not quadratic, with mini-batches: closer than first-order, and exact with one anchor per step.
    let inner = (12, 0.1);
    let mut oracle = two_layer();
    let g = exact(&mut oracle, inner);
    let first = deviation(&of(&mut FirstOrder, &mut oracle, inner).0, &g);
    let gaps: Vec<f64> = [1, 4, 12]
        .map(|anchors| deviation(&coarse(&mut oracle, Jump { anchors, degree: 4 }, inner).0, &g))
        .to_vec();
    assert!(gaps[0] < first && gaps[1] < first && gaps[2] < 1e-13, "{first} {gaps:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let text = |estimator: &mut dyn Estimator<f64>, inner: &InnerLoop, adam: bool| {
        let mut oracle = Oracle::<f64>::new(Quartic).unwrap();
        if adam {
            oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
        }
        let mut gradient = [0.0];
        let result: Result<_, Error> =
            estimator.estimate(&mut oracle, inner, &[0.3], Draw::new(0, 0), &mut gradient);
        result.map_or_else(|e| e.to_string(), |_| "fine".into())
    };
    let known = InnerLoop::new(8, 0.1).unwrap();
    let open = known.until(1e-3).unwrap();
    let jump = Cheap::Jump(Jump { anchors: 2, degree: 3 });
    let mut jump = Ufom::new(0.5).unwrap().with_cheap(jump).unwrap();
    let mut thinned = Thinned::new(0.5).unwrap();
    let mut roulette = Roulette::new([(0, 1.0), (5, 0.5)]).unwrap();
    for estimator in [&mut jump as &mut dyn Estimator<f64>, &mut thinned, &mut roulette] {
        let text = text(estimator, &open, false);
        let expected =
            "needs a known number of inner steps, and the loop ends by its tolerance 0.001";
        assert!(text.ends_with(expected), "{text}");
    }
    let expected = "the inner rule: found adam:b1=0.9,b2=0.999,eps=1e-8, expected one that adds a multiple of the \
                    gradient, such as gradient descent";
    for estimator in [&mut jump as &mut dyn Estimator<f64>, &mut thinned] {
        assert_eq!(text(estimator, &known, true), expected);
    }
    let expected =
        "the last depth of roulette: found 5, expected 8 or more, the steps of the inner loop";
    assert_eq!(text(&mut roulette, &known, false), expected);
    // Roulette and all forms of UFOM except jumps support every rule.
    let mut roulette = Roulette::doubling(0.5).unwrap();
    let mut mixed = Ufom::new(0.5).unwrap().with_cheap(Cheap::Mixed).unwrap();
    for estimator in [&mut roulette as &mut dyn Estimator<f64>, &mut mixed] {
        assert_eq!(text(estimator, &known, true), "fine");
    }
    let error = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert_eq!(
        error(Thinned::new(0.0).map(|_| ())),
        "q of thinned: found 0, expected a probability above 0 and at most 1"
    );
    assert_eq!(
        error(ForwardGradient::new(0).map(|_| ())),
        "directions of forward-gradient: found 0, expected a whole number, 1 or more"
    );
    assert_eq!(
        error(Roulette::new([(0, 0.9)]).map(|_| ())),
        "level 0 of roulette: found probability 0.9, expected probability 1"
    );
    let none = Cheap::Jump(Jump { anchors: 0, degree: 3 });
    assert_eq!(
        error(Ufom::new(0.5).unwrap().with_cheap(none).map(|_| ())),
        "anchors of jump: found 0, expected a whole number, 1 or more"
    );
}

#[test]
fn certificates_tell_bias_variance_and_what_was_predicted() {
    let mut oracle = Oracle::new(Signs).unwrap();
    let (inner, x) = (InnerLoop::new(20, 0.05).unwrap(), [0.3, -0.2, 0.1]);
    let levels = [(0, 1.0), (5, 0.5), (20, 0.2)];
    let mut estimators: Vec<Box<dyn Estimator<f64>>> = vec![
        Box::new(Ufom::new(0.3).unwrap()),
        Box::new(Roulette::new(levels).unwrap()),
        Box::new(Thinned::new(0.5).unwrap().anchored()),
        Box::new(FirstOrder),
    ];
    let mut of = |iterations| {
        let exact = &mut Exact::default();
        certify(exact, &mut estimators, &mut oracle, &inner, &x, (3, iterations))
    };
    let found = of(0..1200).unwrap();
    let [exact, ufom, roulette, thinned, first] = &found[..] else { panic!("{found:?}") };
    // The tasks are the same in every draw: only the coins vary.
    assert_eq!((exact.error, exact.verdict), (0.0, Judgement::Exact));
    assert!(exact.variance[0] < 1e-28, "sums of 1200 equal gradients: {exact:?}");
    assert_eq!(exact.product(), exact.seconds * exact.variance[0]);
    for certificate in [ufom, roulette] {
        let (predicted, [found, error]) =
            (certificate.predicted.unwrap(), certificate.second_moment);
        assert!((found - predicted).abs() < 4.0 * error, "{certificate:?}");
        // Four standard errors of at most twelve per cent suffice to detect a wrong factor.
        assert!(error < 0.12 * predicted, "{certificate:?}");
        // The variance about the exact gradient is what chance adds to its square.
        let excess = predicted - exact.second_moment[0];
        assert!((certificate.variance[0] - excess).abs() < 4.0 * certificate.variance[1]);
    }
    for certificate in [exact, ufom, roulette, thinned] {
        assert!(
            [Judgement::Exact, Judgement::Unbiased].contains(&certificate.verdict),
            "{certificate:?}"
        );
    }
    assert_eq!((thinned.predicted, first.predicted), (None, None));
    assert!(first.verdict == Judgement::Biased && first.error > 0.1, "{first:?}");
    let error = of(0..1).unwrap_err().to_string();
    assert_eq!(
        error,
        "certify keeps an estimate of each draw: it takes from 2 to 1000000 draws, not 1"
    );
}

#[test]
fn what_is_weighed_fits_and_is_worth_what_it_says() {
    let mut oracle = Oracle::new(Signs).unwrap();
    let (inner, x) = (InnerLoop::new(20, 0.05).unwrap(), [0.3, -0.2, 0.1]);
    // The tasks are the same in every draw; more draws give more information on random choices that are sampled.
    let draws: [_; 40] = std::array::from_fn(|k| Draw::new(3, k as u64));
    let mut profile = Profile::measure(&oracle, &inner, &x, draws[0], 1).unwrap();
    // Artificial times: a step takes 1, its reversal 3, and a tape is too expensive.
    (profile.step_seconds, profile.reverse_seconds) = (1.0, 3.0);
    let free = [&mut profile.init, &mut profile.outer_gradient, &mut profile.pull_init];
    for piece in free.into_iter().chain([&mut profile.push_init]) {
        piece.seconds = 0.0;
    }
    for piece in [&mut profile.hessian, &mut profile.products, &mut profile.push_gradient] {
        piece.seconds = 5.0;
    }
    for tapes in [&mut profile.near, &mut profile.far] {
        (tapes.record, tapes.pull) = (5.0, 5.0);
    }
    let of = |oracle: &mut Oracle<f64>, memory, draws: &[Draw]| {
        weigh(oracle, &inner, &x, &profile, memory, draws)
    };
    let [all, lost] = of(&mut oracle, u64::MAX, &draws).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    let kind = |name: &str| {
        let starts = |w: &&hypertape::Weighed<f64>| w.estimator.name().starts_with(name);
        all.iter().find(starts).unwrap_or_else(|| panic!("no {name}"))
    };
    // Four tasks, each with its own coin: the best of all probabilities, rounded to four decimals.
    let [mut g, mut first] = [[0.0; 3]; 2];
    Exact::default().estimate(&mut oracle, &inner, &x, draws[0], &mut g).unwrap();
    let (base, mut missed) = (dot(&g, &g), 0.0);
    for task in 0..4 {
        let mut oracle = Oracle::new(Only(Signs, task)).unwrap();
        let mut of = |e: &mut dyn Estimator<f64>, g: &mut [f64]| {
            e.estimate(&mut oracle, &inner, &x, draws[0], g).unwrap();
        };
        of(&mut Exact::default(), &mut g);
        of(&mut FirstOrder, &mut first);
        missed += square(&g, &first) / 16.0;
    }
    let least = Levels::new(base, &[missed], &[4.0 * 20.0, 4.0 * 80.0]).least();
    let exact = kind("exact");
    // An estimator whose best coin always hits is the exact gradient under another name, so it is left out.
    assert!((exact.product() / least - 1.0).abs() < 1e-7, "{exact:?} {least}");
    assert!(all.iter().all(|weighed| !weighed.estimator.name().starts_with("ufom")));
    // The mean of 40 equal squares.
    assert!((exact.product() / (320.0 * base) - 1.0).abs() < 1e-14 && exact.seconds == 320.0);
    assert!(["roulette", "jump"].iter().all(|name| kind(name).product() < exact.product()));
    // Sampled moments agree with the predicted ones, and the bytes suffice.
    for weighed in all {
        let (said, own) = (weighed.second_moment, weighed.standard_error);
        let name = weighed.estimator.name();
        let mut estimators = [weighed.estimator];
        let measured = estimators[0].estimate(&mut oracle, &inner, &x, draws[0], &mut g).unwrap();
        assert!(measured.cost.bytes_measured <= weighed.bytes, "{name}");
        let reference = &mut Exact::default();
        let found =
            certify(reference, &mut estimators, &mut oracle, &inner, &x, (5, 0..200)).unwrap();
        let [mean, error] = found[1].second_moment;
        let sampled = name.starts_with("thinned") || name.starts_with("forward-gradient:");
        assert!(sampled || own == 0.0, "{name}: {own}");
        let near = (mean - said).abs() <= 4.0 * error.hypot(own) + 1e-12 * base;
        assert!(near, "{name}: {mean} +- {error}, {said} +- {own}");
    }
    // More memory does not make the best worse, apart from the rounding of probabilities, which is of second order.
    let most = of(&mut oracle, u64::MAX, &draws).unwrap()[0].iter().map(|w| w.bytes).max().unwrap();
    let (mut last, mut best) = (f64::INFINITY, Vec::new());
    for memory in (1..=30).map(|i| most * i / 30) {
        let Ok([found, _]) = of(&mut oracle, memory, &draws) else { continue };
        assert!(found.iter().all(|w| w.bytes <= memory));
        let noisy = found.iter().filter(|w| w.estimator.name() != "exact");
        assert!(noisy.map(hypertape::Weighed::product).is_sorted());
        // An exact gradient comes first unless another estimator saves a fifth.
        assert!(found[0].product() <= last / 0.8, "{memory} bytes: {:?}", found[0]);
        last = found[0].product();
        best.push(found[0].estimator.name());
    }
    best.dedup();
    assert!(best.len() > 1, "{best:?}");
    // Estimators that do not support another rule are left out.
    oracle.set_rule(Adam::new(0.9, 0.999, 1e-8).unwrap());
    let mut names: Vec<_> =
        of(&mut oracle, u64::MAX, &draws).unwrap()[0].iter().map(|w| w.estimator.name()).collect();
    names.sort();
    let kinds: Vec<_> = names.iter().map(|name| name.split(':').next().unwrap()).collect();
    assert!(
        kinds.contains(&"exact") && !kinds.contains(&"thinned") && !kinds.contains(&"jump"),
        "{kinds:?}"
    );
    let text = |result: Result<_, Error>| result.unwrap_err().to_string();
    let none = text(of(&mut oracle, u64::MAX, &[]));
    assert_eq!(none, "draws of the pilot: found 0, expected 1 or more");
    assert!(text(of(&mut oracle, 100, &draws)).ends_with(" bytes) of memory, 100 B is allowed"));
}

/// If the loop diverges, squares overflow: those estimators are returned separately, and the others have finite
/// numbers.
#[test]
fn what_overflows_is_not_weighed() {
    let mut oracle = Oracle::<f64>::new(hypertape::problems::Quadratic::general()).unwrap();
    let (inner, x) = (InnerLoop::new(70, 20.0).unwrap(), oracle.start().values().to_vec());
    let profile = Profile::measure(&oracle, &inner, &x, Draw::new(0, 0), 1).unwrap();
    let [all, lost] =
        weigh(&mut oracle, &inner, &x, &profile, u64::MAX, &[Draw::new(0, 0)]).unwrap();
    assert!(all.iter().all(|w| w.second_moment.is_finite() && w.product().is_finite()), "{all:?}");
    let names: Vec<_> = lost.iter().map(|w| w.estimator.name()).collect();
    assert!(names.contains(&"exact".to_owned()), "{names:?}");
}

/// Settings that depend on the number of steps are computed when it is known, with the same bits as for the resulting
/// numbers.
#[test]
fn texts_settle_with_the_number_of_steps() {
    let mut oracle = Oracle::new(TwoLayer::new(4)).unwrap();
    let q = optimal_probability(0.25, 2.0, 9.0, 8.0, 2.0);
    let given = [(0, 1.0), (1, 0.75), (2, 0.5625), (4, 0.421_875), (8, 0.316_406_25)];
    let pairs: [(&str, Box<dyn Estimator<f64>>); 2] = [
        ("ufom:d2=0.25,v2=2,p=2", Box::new(Ufom::new(q).unwrap())),
        ("roulette:survival=0.75", Box::new(Roulette::new(given).unwrap())),
    ];
    for (text, mut known) in pairs {
        let mut typed: Box<dyn Estimator<f64>> = text.parse().unwrap();
        assert_eq!(typed.name(), text);
        let mut all = Vec::new();
        for k in 0..20 {
            let mut go = |estimator: &mut dyn Estimator<f64>| {
                estimate(estimator, &mut oracle, (8, 0.1), Draw::new(1, k)).unwrap().1
            };
            let found = go(&mut *typed);
            assert_eq!(found, go(&mut *known), "{text}");
            all.push(found);
        }
        assert!(all.iter().any(|g| *g != all[0]), "{text}");
    }
}

/// Fixed draws in both precisions, for all new estimators: the results agree to single precision.
#[test]
fn single_precision_agrees() {
    fn all<T: Element>() -> Vec<Vec<f64>> {
        let mut oracle = Oracle::<T>::new(TwoLayer::new(4)).unwrap();
        let jump = Cheap::Jump(Jump { anchors: 2, degree: 3 });
        let estimators: [Box<dyn Estimator<T>>; 5] = [
            Box::new(Roulette::doubling(0.9).unwrap()),
            Box::new(Thinned::new(0.8).unwrap()),
            Box::new(Thinned::new(0.8).unwrap().anchored()),
            Box::new(Ufom::new(0.9).unwrap().with_cheap(jump).unwrap()),
            Box::new(ForwardGradient::new(3).unwrap()),
        ];
        let run = |mut estimator: Box<dyn Estimator<T>>| {
            let mut go =
                |k| estimate(&mut *estimator, &mut oracle, (8, 0.1), Draw::new(1, k)).unwrap().1;
            go(0);
            go(1).into_iter().map(Element::as_f64).collect()
        };
        estimators.into_iter().map(run).collect()
    }
    for (single, double) in all::<f32>().iter().zip(all::<f64>()) {
        assert!(deviation(single, &double) < 2e-5, "{single:?} {double:?}");
    }
}
