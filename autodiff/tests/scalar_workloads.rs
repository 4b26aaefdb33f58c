//! Workloads T1 to T5 on the scalar tape against the expected values of the peer comparison.

mod support;

use std::path::{Path, PathBuf};

use hypertape_autodiff::scalar::Tape;
use support::workloads::{Bundle, Mixture, Product, Rosenbrock, Unrolled, Work, direction};

/// The peer comparison's expected values, or `None` with a printed reason.
fn expected(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("HYPERTAPE_SHARED").map_or(beside, PathBuf::from);
    let folder = folder.join("peers/tape/expected");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("{test} skipped: no folder {} (set HYPERTAPE_SHARED)", folder.display());
    None
}

/// The numbers of a key of a flat JSON object; empty if the key is missing.
fn numbers(text: &str, key: &str) -> Vec<f64> {
    let Some((_, rest)) = text.split_once(&format!("\"{key}\": ")) else { return Vec::new() };
    let list = rest.starts_with('[');
    let end = rest.find(if list { &[']'][..] } else { &[',', '\n'] }).unwrap();
    rest[usize::from(list)..end].split(',').map(|n| n.trim().parse().unwrap()).collect()
}

fn norm(g: &[f64]) -> f64 {
    g.iter().map(|g| g * g).sum::<f64>().sqrt()
}

/// Checks value, norm, slope along the direction and first entries, relative to the norm of `g`.
fn compare(text: &str, keys: [&str; 3], g: &[f64], fused: bool) {
    let along: f64 = g.iter().enumerate().map(|(i, g)| g * direction(i)).sum();
    let found = [&[norm(g), along], &g[..8]].concat();
    let expected = keys.map(|key| numbers(text, key)).concat();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        // Observed up to 2e-15 for gradients, 4e-14 for a product along a direction as long as 1e2.
        let gap = (found - expected).abs() / norm(g);
        assert!(gap < 2e-12, "{keys:?}, fused {fused}: {found} against {expected}, {gap:e}");
    }
}

fn check<W: Work>(work: &W, file: &str) {
    let Some(folder) = expected(W::NAME) else { return };
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let (x, n) = (work.x(), work.x().len());
    let (mut tape, mut g) = (Tape::<f64>::new(), vec![0.0; n]);
    let (value, v) = (numbers(&text, "f")[0], (0..n).map(direction).collect::<Vec<_>>());
    for fused in [false, true] {
        let f = tape.gradient(|x| work.eval(x, fused), x, &mut g).unwrap();
        let gap = ((f - value) / value).abs();
        // Observed up to 2e-16.
        assert!(gap < 1e-14, "{}: {f} against {value}, {gap:e}", W::NAME);
        compare(&text, ["grad_norm2", "grad_dot_v", "grad_first8"], &g, fused);
        if text.contains("vHv") {
            let mut product = vec![0.0; n];
            let value = Tape::new().hvp(|x| work.eval(x, fused), x, &v, &mut g, &mut product);
            assert!((value.unwrap() - f).abs() <= 1e-14 * f.abs());
            compare(&text, ["grad_norm2", "grad_dot_v", "grad_first8"], &g, fused);
            compare(&text, ["hvp_norm2", "vHv", "hvp_first8"], &product, fused);
        }
    }
}

#[test]
fn t1_product() {
    check(&Product::new(), "T1.json");
}

#[test]
fn t2_rosenbrock() {
    check(&Rosenbrock::new(100_000), "T2.json");
}

#[test]
fn t3_mixture() {
    check(&Mixture::new(), "T3_own.json");
}

#[test]
fn t4_bundle_adjustment() {
    check(&Bundle::new(), "T4_own.json");
}

#[test]
fn t5_unrolled_descent() {
    check(&Unrolled::new(), "T5.json");
}

/// Numbers of records and extra arguments of `T2` in its two forms, compared with their formulas.
#[test]
fn bytes_of_rosenbrock() {
    let work = Rosenbrock::new(101);
    let mut tape = Tape::<f64>::new();
    let mut used = |fused| {
        tape.gradient(|x| work.eval(x, fused), work.x(), &mut [0.0; 101]).unwrap();
        tape.used()
    };
    // Each term: y - x^2, its sum with the other square, and the sum so far, except for the first term; adjoints of 8
    // bytes.
    assert_eq!(used(false), (3 * 100 - 1) * 32 + 101 * 8);
    // Fused: one record with both partials, and the sum.
    assert_eq!(used(true), (2 * 100 - 1) * 32 + 101 * 8);
}
