//! `hypertape certify`: what estimators are worth at a point.

use std::io::Write;

use serde::Serialize;

use super::app::{App, Precise};
use super::args::Certify;
use super::atomic;
use super::failure::{Failure, say};
use super::point;
use super::table::{Align, Table, seconds, significant};
use crate::certify;
use crate::stats::Mean;

/// Standard errors that a mean may be off by.
const ALLOWED: f64 = 4.0;

/// What is reported of one estimator.
#[derive(Debug, Serialize)]
struct Row {
    problem: String,
    estimator: String,
    draws: u64,
    error: f64,
    standard_errors: f64,
    unbiased: bool,
    variance: Mean,
    second_moment: Mean,
    predicted: Option<f64>,
    seconds: f64,
    /// Time times variance.
    product: f64,
    residual: Option<f64>,
    inner_ratio: Option<f64>,
}

/// The command.
pub(crate) fn run<T: Precise>(
    app: &App,
    options: &Certify,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let common = &options.common;
    let entry = &point::entry(app, common)?;
    let mut opened = point::open::<T>(app, entry, common, 0)?;
    let made =
        options.estimators.iter().map(|text| point::estimator(app, &mut opened, common, text));
    let mut estimators = made.collect::<Result<Vec<_>, _>>()?;
    let mut exact = point::estimator(app, &mut opened, common, "exact")?;
    if let Some(folder) = &common.save {
        atomic::prepare_dir(folder).map_err(|e| Failure::run(format!("--save: {e}")))?;
    }
    let (draws, oracle) = ((common.seed, 0..options.draws), &mut opened.oracle);
    let found = certify(&mut *exact, &mut estimators, oracle, &opened.inner, &opened.x, draws);
    let row = |certificate: crate::Certificate| Row {
        problem: entry.name.clone(),
        draws: options.draws,
        error: certificate.error,
        standard_errors: certificate.standard_errors,
        unbiased: certificate.unbiased(ALLOWED, T::epsilon().as_f64()),
        variance: certificate.variance,
        second_moment: certificate.second_moment,
        predicted: certificate.predicted,
        seconds: certificate.seconds,
        product: certificate.product(),
        residual: certificate.report.and_then(|report| report.residual),
        inner_ratio: certificate.report.map(|report| report.inner_ratio),
        estimator: certificate.name,
    };
    let rows: Vec<Row> = found.map_err(Failure::run)?.into_iter().map(row).collect();
    if let Some(folder) = &common.save {
        let written = atomic::json(&folder.join("certify.json"), &rows);
        written.map_err(|e| Failure::run(format!("--save: {e}")))?;
    }
    if !common.json {
        let (name, steps, n) = (&entry.name, opened.inner.steps(), options.draws);
        say(out, format!("{name}: {steps} steps, {n} draws, beside exact gradients of the same"))?;
        return say(out, table(&rows));
    }
    let mut lines = rows.iter().map(|row| serde_json::to_string(row).map_err(Failure::run));
    lines.try_for_each(|line| say(out, line?))
}

fn table(rows: &[Row]) -> Table {
    let [left, right] = [Align::Left, Align::Right];
    let mut table = Table::new(&[
        ("estimator", left),
        ("error", right),
        ("in s.e.", right),
        ("mean", left),
        ("variance", right),
        ("E|G|^2", right),
        ("predicted", right),
        ("time", right),
        ("time x variance", right),
        ("time x E|G|^2 of exact", right),
        ("residual", right),
    ]);
    let number = |v: f64| significant(v, 3);
    let maybe = |v: Option<f64>| v.map_or_else(|| "-".into(), number);
    let mean = |[mean, error]: Mean| format!("{} +- {}", number(mean), significant(error, 1));
    for row in rows {
        // Without noise of tasks the exact gradient has no variance, only a second moment.
        let ratio =
            row.seconds * row.second_moment[0] / (rows[0].seconds * rows[0].second_moment[0]);
        table.push([
            row.estimator.clone(),
            number(row.error),
            number(row.standard_errors),
            if row.unbiased { "exact" } else { "BIASED" }.into(),
            mean(row.variance),
            mean(row.second_moment),
            maybe(row.predicted),
            seconds(row.seconds),
            number(row.product),
            maybe(Some(ratio).filter(|ratio| ratio.is_finite())),
            maybe(row.residual),
        ]);
    }
    table
}
