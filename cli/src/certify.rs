//! `hypertape certify`: the bias, variance and time of estimators at a point.

use serde_json::json;

use crate::app::{App, Precise};
use crate::args::Certify;
use crate::atomic;
use crate::failure::{Failure, Fields, Out, say, say_json};
use crate::point::{self, Opened};
use crate::table::{Column, Table, finite, known, seconds, significant};
use hypertape_solver::stats::Mean;
use hypertape_solver::{Certificate, Draw, Judgement, certify};

/// Runs the command.
pub(crate) fn run<T: Precise>(app: &App, options: &Certify, out: Out) -> Result<(), Failure> {
    let common = &options.common;
    let (entry, mut opened) = point::open_at::<T>(app, common)?;
    // Try each estimator once.
    opened.inner.expect_countable("certify").map_err(Failure::usage)?;
    let (mut estimators, mut failures) = (Vec::new(), Vec::new());
    for text in &options.estimators {
        let mut tried = opened.estimator(app, text)?;
        let (Opened { oracle, inner, x, .. }, draw) = (&mut opened, Draw::new(common.seed, 0));
        match tried.estimate(oracle, inner, x, draw, &mut x.clone()) {
            Ok(_) => estimators.push(opened.estimator(app, text)?),
            // The other estimators are reported all the same.
            Err(error) => failures.push(format!("{text}: {error}")),
        }
    }
    let mut exact = opened.estimator(app, "exact")?;
    let mut opened = opened.told();
    common.saved(atomic::prepare_dir)?;
    let (draws, oracle) = ((common.seed, 0..options.draws), &mut opened.oracle);
    let found = certify(&mut *exact, &mut estimators, oracle, &opened.inner, &opened.x, draws);
    let found = found.map_err(Failure::run)?;
    let row = |certificate: &Certificate| {
        Fields([
            ("problem", json!(entry.name)),
            ("estimator", json!(certificate.name)),
            ("draws", json!(options.draws)),
            ("error", json!(certificate.error)),
            ("standard_error", json!(certificate.standard_error)),
            ("verdict", json!(verdict(certificate))),
            ("variance", json!(certificate.variance)),
            ("second_moment", json!(certificate.second_moment)),
            ("predicted", json!(certificate.predicted)),
            ("seconds", json!(certificate.seconds)),
            ("product", json!(certificate.product())),
            ("residual", json!(residual(certificate))),
            ("inner_ratio", json!(certificate.soundness.report.map(|report| report.inner_ratio))),
            ("warnings", json!(certificate.warnings())),
        ])
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    common.saved(|folder| atomic::json(&folder.join("certify.json"), &rows))?;
    if common.json {
        say_json(out, &rows)?;
    } else {
        let (name, steps, n) = (&entry.name, opened.inner.steps(), options.draws);
        let what = format!("{name}: {steps} steps, {n} draws");
        say(out, what + ", compared with exact gradients of the same draws")?;
        say(out, table(&found))?;
        for certificate in &found {
            let told = |warning| say(out, format!("warning: {}: {warning}", certificate.name));
            certificate.warnings().iter().try_for_each(told)?;
        }
    }
    Failure::of_all(&failures)
}

fn verdict(certificate: &Certificate) -> &'static str {
    match certificate.verdict {
        Judgement::Exact => "exact",
        Judgement::Unbiased => "unbiased",
        Judgement::Biased => "BIASED",
        Judgement::Undecided => "undecided",
    }
}

fn residual(certificate: &Certificate) -> Option<f64> {
    certificate.soundness.report?.residual
}

fn table(found: &[Certificate]) -> Table {
    let number = |v: f64| known(finite(v), 3);
    let mean = |[mean, error]: Mean| match finite(mean) {
        Some(mean) => format!("{} +- {}", number(mean), significant(error, 1)),
        None => known(None, 3),
    };
    let work = |c: &Certificate| c.seconds * c.second_moment[0];
    let columns: &[Column<Certificate>] = &[
        ("estimator", &|c| c.name.clone()),
        (">error", &|c| number(c.error)),
        (">s.e.", &|c| number(c.standard_error)),
        ("mean", &|c| verdict(c).to_owned()),
        (">variance", &|c| mean(c.variance)),
        (">E|G|^2", &|c| mean(c.second_moment)),
        (">predicted", &|c| known(c.predicted.and_then(finite), 3)),
        (">time", &|c| seconds(c.seconds)),
        (">time x variance", &|c| number(c.product())),
        (">time x E|G|^2 of exact", &|c| number(work(c) / work(&found[0]))),
        (">residual", &|c| known(residual(c).and_then(finite), 3)),
    ];
    Table::of(found, columns)
}
