//! Every listed estimator is checked against the contract of its class.

use std::collections::BTreeSet;

use hypertape_solver::Registry;
use hypertape_solver::contract::Class::{self, Biased, Exact, Unbiased};
use hypertape_solver::contract::Truth::{Limit, Unrolled};
use hypertape_solver::contract::{Contract, hold};

/// Names with settings, and the class that an estimator has with these settings.
const CLASSES: &[(&str, Class)] = &[
    ("exact", Exact(Unrolled)),
    ("full-tape", Exact(Unrolled)),
    ("forward", Exact(Unrolled)),
    ("truncated:k=3", Biased(Unrolled, 0.3)),
    ("truncated:k=6", Exact(Unrolled)),
    ("first-order", Biased(Unrolled, 0.9)),
    ("reversible:momentum=0.5", Exact(Unrolled)),
    ("ufom:q=0.3", Unbiased(Unrolled)),
    ("jump:q=0.3", Unbiased(Unrolled)),
    ("roulette:survival=0.7", Unbiased(Unrolled)),
    ("thinned:q=0.6", Unbiased(Unrolled)),
    ("forward-gradient:directions=2", Unbiased(Unrolled)),
    ("cg", Exact(Limit)),
    ("minres", Exact(Limit)),
    ("gmres", Exact(Limit)),
    ("fixed-point:iterations=200", Exact(Limit)),
    ("neumann:terms=200", Exact(Limit)),
    ("neumann:terms=5", Biased(Limit, 0.3)),
    ("nystrom:rank=2", Exact(Limit)),
    ("dense", Exact(Limit)),
    ("stocbio:terms=200", Exact(Limit)),
    ("single-draw:terms=36", Unbiased(Limit)),
    ("roulette-neumann:survival=0.9", Unbiased(Limit)),
];

#[test]
fn every_listed_estimator_has_a_class_and_keeps_it() {
    let name = |text: &'static str| text.split_once(':').map_or(text, |(name, _)| name);
    let registry = Registry::<f64>::default();
    let listed: BTreeSet<_> = registry.estimators.lines().iter().map(|l| l.about().name).collect();
    let classed: BTreeSet<_> = CLASSES.iter().map(|&(text, _)| name(text)).collect();
    assert_eq!(listed, classed, "estimators that are listed, and those with a class");
    let mut all = Vec::new();
    for &(text, class) in CLASSES {
        let momentum = if name(text) == "reversible" { 0.5 } else { 0.0 };
        let contract = Contract { momentum, ..Contract::new(class) };
        let held = hold(&contract, &|| registry.estimators.parse(text));
        all.extend(held.err().map(|broken| format!("{text} as {class:?}:\n{broken}")));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}
