//! Functions that several test files share.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test file uses a part of it")]

pub(crate) mod failing;
pub(crate) mod graphs;
pub(crate) mod problem;
pub(crate) mod signs;
pub(crate) mod two_layer;

use std::path::PathBuf;

use hypertape::{Cost, Draw, Element, Error, Estimate, Estimator, Exact, InnerLoop, Oracle};

/// How often a test kills the tested process: 20 times, or `HYPERTAPE_KILLS` times.
pub(crate) fn kills() -> u32 {
    std::env::var("HYPERTAPE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// An exact hypergradient at the problem's own start.
pub(crate) fn exact<T: Element>(
    oracle: &mut Oracle<T>,
    steps: usize,
    lr: f64,
) -> Result<(T, Vec<T>, Cost), Error> {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![T::zero(); x.len()];
    let inner = InnerLoop::new(steps, lr)?;
    let estimate = Exact::default().estimate(oracle, &inner, &x, Draw::new(0, 0), &mut gradient)?;
    Ok((estimate.loss, gradient, estimate.cost))
}

/// An estimate at the problem's own start, and its gradient.
pub(crate) fn estimate<T: Element>(
    estimator: &mut dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    (steps, lr): (usize, f64),
    draw: Draw,
) -> Result<(Estimate<T>, Vec<T>), Error> {
    let x = oracle.start().values().to_vec();
    let mut gradient = vec![T::zero(); x.len()];
    let inner = InnerLoop::new(steps, lr)?;
    let estimate = estimator.estimate(oracle, &inner, &x, draw, &mut gradient)?;
    Ok((estimate, gradient))
}

/// Largest deviation relative to the largest entry of `expected`.
pub(crate) fn deviation<T: Element>(found: &[T], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |s, e| s.max(e.abs()));
    let gaps = found.iter().zip(expected).map(|(f, e)| (f.as_f64() - e).abs());
    gaps.fold(0.0, |worst: f64, gap| if gap.is_nan() { f64::NAN } else { worst.max(gap) }) / scale
}

/// The peer comparison's folder, or `None` with a printed reason.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("HYPERTAPE_SHARED").map_or(beside, PathBuf::from);
    if folder.join("peers/expected").is_dir() {
        return Some(folder);
    }
    println!("{test} skipped: no folder {} (set HYPERTAPE_SHARED)", folder.display());
    None
}

/// An expected hypergradient of the peer comparison, one number per line.
pub(crate) fn expected(folder: &std::path::Path, name: &str) -> Vec<f64> {
    let path = folder.join("peers/expected").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| line.trim().parse().unwrap()).collect()
}
