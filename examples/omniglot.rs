//! Few-shot classification of Omniglot's characters as Likhosherstov et al. 2021 do it: meta-training by one estimator to a
//! budget of oracle calls, judged on new tasks of seen and of unseen characters.
//!
//! `cargo run --release --features data --example omniglot -- exact 50000 images_background_small1.zip ...`
//!
//! The estimator is `exact`, `first-order`, `ufom` (q = 0.1) or `reptile`. Arguments after the budget are archives or folders.
//! Each fifth character is unseen; seen ones are turned to four classes. Steps are 9 of 0.025 on mean losses, which is 0.005 on
//! their sums over 5 images. Their outer step decays over 200 000 iterations; for a few hundred it is Adam's of 0.001 here.

use std::env;
use std::error::Error;
use std::ops::ControlFlow::Continue;
use std::time::Duration;

use hypertape::problems::{Fewshot, FewshotSettings, ImageClasses, Learner};
use hypertape::{Estimator, Exact, FirstOrder, InnerLoop, Oracle, Outer, Run, Ufom, Unary};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, budget, paths @ ..] = &arguments[..] else {
        return Err("expected an estimator, a budget and archives or folders".into());
    };
    let budget: u64 = budget.parse()?;
    let mut estimator: Box<dyn Estimator<f32>> = match &name[..] {
        "exact" => Box::new(Exact::default()),
        "first-order" | "reptile" => Box::new(FirstOrder),
        "ufom" => Box::new(Ufom::new(0.1)?),
        _ => return Err(format!("{name} is no estimator here").into()),
    };
    let all = ImageClasses::<f32>::from_files(paths, 28)?;
    let [seen, unseen] = all.split(all.len() * 4 / 5, 0);
    let learner = if name == "reptile" { Learner::Reptile } else { Learner::Maml };
    let settings = FewshotSettings {
        layers: 4,
        filters: 64,
        activation: Unary::Relu,
        learner,
        judged: 300,
        ..FewshotSettings::default()
    };
    let problem = Fewshot::new([seen.rotated(), unseen], settings)?;
    let (inner, mut oracle) = (InnerLoop::new(9, 0.025)?, Oracle::new(problem.clone())?);
    let mut run = Run::new(inner, Outer::adam(1e-3)?, usize::MAX, 0);
    run.limits.oracle_calls = Some(budget);
    let mut x = oracle.start().values().to_vec();
    let records = run.go(&mut oracle, &mut *estimator, &mut x, |_, _| Continue(()))?;
    let spent = records.iter().map(|r| r.cost.inner_gradients + r.cost.hvps).sum::<u64>();
    let bytes = records.iter().map(|r| r.cost.bytes_measured).max().unwrap_or(0);
    let elapsed = records.last().map_or(Duration::ZERO, |r| r.elapsed);
    let [seen, unseen] = [false, true].map(|unseen| problem.judge(&x, &inner, unseen));
    let ([seen, seen_half], [unseen, unseen_half]) = (seen?, unseen?);
    println!(
        "{name}: {} iterations, {spent} calls, {elapsed:.1?}, {bytes} bytes; accuracy of seen classes \
         {seen:.3} +- {seen_half:.3}, of unseen ones {unseen:.3} +- {unseen_half:.3}",
        records.len()
    );
    Ok(())
}
