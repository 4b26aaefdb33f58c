//! Excess loss at equal time on two problems that are not convex. The question is whether `time x E|G|^2` predicts the
//! outcome of whole runs.
//!
//! Runs start at the optimum of the mean loss over all tasks and take steps on one task each, so the excess loss at the
//! end is caused by noise. Every estimator has the time of 300 exact gradients that store three states, where an inner
//! step costs 1 and its reversal costs `products`, which is measured. Outer steps are proportional to the cost of an
//! estimate. For small steps the excess is then proportional to `time x E|G|^2` (Likhosherstov et al. 2021 choose steps
//! by the second moment in the same way). The settings are the best ones of `weigh` within the memory of a jump
//! estimator with three states; probabilities below its floor of 0.05 are tried as well. A run is `lost` if its excess
//! is at least ten times that of exact gradients, or not finite.
//!
//! The results are in docs/unbiased.md. The program takes a minute on an otherwise idle core.
//!
//! `cargo run --release --no-default-features --example equal_time`

use std::ops::ControlFlow::Continue;

use hypertape::problems::Regressions;
use hypertape::stats::mean;
use hypertape::{
    Cheap, Draw, Error, Estimator, Exact, InnerLoop, Jump, Optimiser, Oracle, Profile, Run,
    Schedule, Ufom, axpy, dot, mean_loss, weigh,
};

const RUNS: u64 = 30;
const STEPS: f64 = 300.0;

/// Compares estimators on one problem; `lr` is the outer step size of exact gradients.
fn compare(problem: &Regressions<f64>, inner: &InnerLoop, lr: f64) -> Result<(), Error> {
    let mut oracle = Oracle::new(problem.clone())?;
    let mut whole = Oracle::new(problem.clone().with_batch(100))?;
    let mut best = oracle.start().values().to_vec();
    for (lr, iterations) in [(0.03, 300), (0.003, 100)] {
        let outer = Optimiser::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let run = Run::new(*inner, outer, iterations, 0);
        run.go(&mut whole, &mut Exact::default(), &mut best, |_, _| Continue(()))?;
    }
    let mut w = Vec::new();
    let mut loss = |x: &[f64]| mean_loss(&mut whole, inner, x, Draw::new(0, 0), &mut w);
    let least = loss(&best)?;

    let schedule: Schedule = "binomial:c=3".parse()?;
    let jump = |q: f64| -> Result<Ufom, Error> {
        let cheap = Cheap::Jump(Jump { anchors: 1, degree: 6 });
        Ok(Ufom::new(q)?.with_cheap(cheap)?.with_schedule(schedule))
    };
    let draw = |k| Draw::new(0, k);
    let memory = jump(0.05)?.admit(&mut oracle, inner, &best, draw(0))?;
    let profile = Profile::measure(&oracle, inner, &best, draw(0), 200)?;
    let draws: Vec<_> = (0..1000).map(draw).collect();
    let [mut found, _] = weigh(&mut oracle, inner, &best, &profile, memory, &draws)?;
    let mut estimators: Vec<Box<dyn Estimator<f64>>> = Vec::new();
    for kind in ["exact", "roulette", "thinned", "jump"] {
        let best = found.iter().position(|w| w.estimator.name().starts_with(kind));
        estimators.extend(best.map(|i| found.remove(i).estimator));
    }
    for q in [0.02, 0.01, 0.005] {
        estimators.push(Box::new(jump(q)?));
    }
    let products = profile.reverse_seconds / profile.step_seconds;
    println!("{} steps of {}: products {products:.2}, least {least:.4}", inner.steps(), inner.lr());
    let mut exact = None::<[f64; 3]>;
    for estimator in &mut estimators {
        let mut g = vec![0.0; best.len()];
        // The cost and the second moment of an estimate, from separate draws, which also give a jump estimator its
        // intervals.
        let [mut cost, mut moment] = [0.0; 2];
        for k in 1000..3000 {
            let spent = estimator.estimate(&mut oracle, inner, &best, draw(k), &mut g)?.cost;
            cost += (spent.plain_steps as f64 + products * spent.hvps as f64) / 2000.0;
            moment += dot(&g, &g) / 2000.0;
        }
        let [whole, worth, known] = exact.unwrap_or([cost, cost * moment, f64::INFINITY]);
        let mut ends = Vec::new();
        for seed in 1..=RUNS {
            let mut x = best.clone();
            for k in (0..).take_while(|&k| (k as f64) < STEPS * whole / cost) {
                let draw = Draw::new(seed, k);
                // A run that overflows remains not finite, and is counted as lost.
                if estimator.estimate(&mut oracle, inner, &x, draw, &mut g).is_err() {
                    g.fill(f64::NAN);
                }
                axpy(&mut x, -lr * cost / whole, &g);
            }
            ends.push(loss(&x).unwrap_or(f64::NAN) - least);
        }
        let kept: Vec<f64> = ends.iter().copied().filter(|e| *e < 10.0 * known).collect();
        let [excess, error] = mean(&kept);
        let base = exact.get_or_insert([cost, cost * moment, excess]);
        println!(
            "{:55} {:4.2} {excess:8.1e} +- {error:.0e}  {:5.2} {:5.2}  {:2} lost",
            estimator.name(),
            cost / whole,
            excess / base[2],
            cost * moment / worth,
            ends.len() - kept.len(),
        );
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    compare(&Regressions::log_ridge_tanh(0), &InnerLoop::new(60, 0.1)?, 2.0)?;
    compare(&Regressions::maml_tanh(0), &InnerLoop::new(40, 0.3)?, 0.05)
}
