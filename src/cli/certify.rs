//! `hypertape certify`: the bias, variance and time of estimators at a point.

use serde::Serialize;

use super::app::{App, Precise};
use super::args::Certify;
use super::atomic;
use super::failure::{Failure, Out, say, say_json};
use super::point::{self, Opened};
use super::table::{Column, Table, finite, known, seconds, significant};
use crate::stats::Mean;
use crate::{Draw, Judgement, certify};

/// The report on one estimator.
#[derive(Debug, Serialize)]
struct Row {
    problem: String,
    estimator: String,
    draws: u64,
    error: f64,
    standard_error: Option<f64>,
    verdict: &'static str,
    variance: Mean,
    second_moment: Mean,
    predicted: Option<f64>,
    seconds: f64,
    /// Time times variance.
    product: f64,
    residual: Option<f64>,
    inner_ratio: Option<f64>,
    warnings: Vec<String>,
}

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
    if let Some(folder) = &common.save {
        atomic::prepare_dir(folder).map_err(Failure::of("--save"))?;
    }
    let (draws, oracle) = ((common.seed, 0..options.draws), &mut opened.oracle);
    let found = certify(&mut *exact, &mut estimators, oracle, &opened.inner, &opened.x, draws);
    let row = |certificate: crate::Certificate| Row {
        problem: entry.name.clone(),
        draws: options.draws,
        error: certificate.error,
        standard_error: finite(certificate.standard_error),
        verdict: match certificate.verdict {
            Judgement::Exact => "exact",
            Judgement::Unbiased => "unbiased",
            Judgement::Biased => "BIASED",
            Judgement::Undecided => "undecided",
        },
        variance: certificate.variance,
        second_moment: certificate.second_moment,
        predicted: certificate.predicted,
        seconds: certificate.seconds,
        product: certificate.product(),
        residual: certificate.soundness.report.and_then(|report| report.residual),
        inner_ratio: certificate.soundness.report.map(|report| report.inner_ratio),
        warnings: certificate.soundness.warnings(),
        estimator: certificate.name,
    };
    let rows: Vec<Row> = found.map_err(Failure::run)?.into_iter().map(row).collect();
    if let Some(folder) = &common.save {
        let written = atomic::json(&folder.join("certify.json"), &rows);
        written.map_err(Failure::of("--save"))?;
    }
    if common.json {
        say_json(out, &rows)?;
    } else {
        let (name, steps, n) = (&entry.name, opened.inner.steps(), options.draws);
        say(
            out,
            format!(
                "{name}: {steps} steps, {n} draws, compared with exact gradients of the same draws"
            ),
        )?;
        say(out, table(&rows))?;
        let warnings = |row: &Row| {
            row.warnings.iter().map(|w| format!("{}: {w}", row.estimator)).collect::<Vec<_>>()
        };
        rows.iter().flat_map(warnings).try_for_each(|line| say(out, line))?;
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure::run(failures.join("; "))) }
}

fn table(rows: &[Row]) -> Table {
    let number = |v: f64| known(finite(v), 3);
    let mean = |[mean, error]: Mean| format!("{} +- {}", number(mean), significant(error, 1));
    let work = |row: &Row| row.seconds * row.second_moment[0];
    let columns: &[Column<Row>] = &[
        ("estimator", &|row| row.estimator.clone()),
        (">error", &|row| number(row.error)),
        (">s.e.", &|row| known(row.standard_error, 3)),
        ("mean", &|row| row.verdict.to_owned()),
        (">variance", &|row| mean(row.variance)),
        (">E|G|^2", &|row| mean(row.second_moment)),
        (">predicted", &|row| known(row.predicted.and_then(finite), 3)),
        (">time", &|row| seconds(row.seconds)),
        (">time x variance", &|row| number(row.product)),
        (">time x E|G|^2 of exact", &|row| number(work(row) / work(&rows[0]))),
        (">residual", &|row| known(row.residual.and_then(finite), 3)),
    ];
    Table::of(rows, columns)
}
