//! `hypertape run`: a whole bilevel optimisation, judged beside its controls.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::args::Run as Options;
use super::failure::{Failure, say};
use super::list::outer_text;
use super::point::{self, Opened};
use super::table::{Align, Table, significant};
use super::{arrays, atomic, outer};
use crate::problems::{Entry, Precision};
use crate::{Draw, InnerLoop, Oracle, Params, Record, Run, mean_loss};

/// One outer iteration, as a line of JSON.
#[derive(Debug, Serialize)]
struct Line {
    repeat: usize,
    iteration: usize,
    loss: f64,
    gradient_norm: f64,
    inner_gradients: u64,
    hvps: u64,
    bytes_measured: u64,
    seconds: f64,
}

/// A judged outer point: the run's result, or a control.
#[derive(Debug, Serialize)]
struct Judged {
    name: String,
    /// Outer loss, then the problem's metrics; `null` where a metric is undefined.
    metrics: Vec<(&'static str, f64)>,
}

/// One whole run, as the last line of JSON.
#[derive(Debug, Serialize)]
struct Summary {
    problem: &'static str,
    estimator: String,
    dtype: &'static str,
    steps: usize,
    lr: f64,
    outer: String,
    iterations: usize,
    repeat: usize,
    seed: u64,
    data_seed: Option<u64>,
    threads: usize,
    seconds: f64,
    results: BTreeMap<String, BTreeMap<&'static str, Option<f64>>>,
}

/// The command.
pub(crate) fn run<T: Precision>(
    catalogue: &[Entry],
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let common = &options.common;
    let entry = point::entry(catalogue, common)?;
    let mut estimator =
        point::estimator(&mut point::open::<T>(entry, common, 0)?, common, &options.estimator)?;
    let outer = outer::choose(entry.outer, options.outer, options.outer_lr, options.outer_power)
        .map_err(|why| Failure::usage(format!("--outer-power: {why}")))?;
    let iterations = options.iterations.unwrap_or(entry.iterations);
    let bar = progress(options.repeat.saturating_mul(iterations));
    let mut all: Vec<Vec<Judged>> = Vec::new();
    for repeat in 0..options.repeat {
        let Opened { mut oracle, inner, mut x, data_seed } =
            point::open::<T>(entry, common, repeat as u64)?;
        if let Some(folder) = &common.save {
            atomic::prepare_dir(folder).map_err(|e| Failure::run(format!("--save: {e}")))?;
        }
        let seed = common.seed.wrapping_add(repeat as u64);
        let run = Run { inner, outer, iterations, seed };
        let mut lines = Vec::new();
        // Runs are independent: none goes on from what an estimator kept of another.
        estimator.set_state(&Params::new()).map_err(Failure::run)?;
        let records = run.go(&mut oracle, estimator.as_mut(), &mut x, |record, _| {
            bar.inc(1);
            bar.set_message(format!("outer loss {}", significant(record.loss, 4)));
            lines.push(line(repeat, record));
            ControlFlow::Continue(())
        });
        let records = records.map_err(Failure::run)?;
        let draw = Draw::new(seed, iterations as u64);
        let (judged, w) = judge(&mut oracle, &inner, &x, draw).map_err(Failure::run)?;
        let summary = Summary {
            problem: entry.name,
            estimator: estimator.name(),
            dtype: T::NAME,
            steps: inner.steps(),
            lr: inner.lr(),
            outer: outer_text(outer),
            iterations,
            repeat,
            seed,
            data_seed,
            threads: common.threads,
            seconds: records.last().map_or(0.0, |r| r.elapsed.as_secs_f64()),
            results: judged.iter().map(|j| (j.name.clone(), finite(&j.metrics))).collect(),
        };
        if common.json {
            for line in &lines {
                say(out, serde_json::to_string(line).map_err(Failure::run)?)?;
            }
            say(out, serde_json::to_string(&summary).map_err(Failure::run)?)?;
        }
        if let Some(folder) = &common.save {
            let stem = if options.repeat == 1 { String::new() } else { format!("-{repeat}") };
            save(folder, &stem, &oracle, &x, &w, &lines, &summary)
                .map_err(|e| Failure::run(format!("--save: {e}")))?;
        }
        all.push(judged);
    }
    bar.finish_and_clear();
    if common.json {
        return Ok(());
    }
    let (name, name_of) = (entry.name, outer_text(outer));
    let runs =
        if options.repeat == 1 { String::new() } else { format!(", {} runs", options.repeat) };
    say(
        out,
        format!("{name}: {iterations} outer iterations, {name_of}, {}{runs}", estimator.name()),
    )?;
    say(out, report(&all))
}

/// Shown on stderr if that is a terminal.
pub(super) fn progress(iterations: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}  {eta} left");
    let bar = ProgressBar::new(iterations as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn line(repeat: usize, record: &Record) -> Line {
    Line {
        repeat,
        iteration: record.iteration,
        loss: record.loss,
        gradient_norm: record.gradient_norm,
        inner_gradients: record.cost.inner_gradients,
        hvps: record.cost.hvps,
        bytes_measured: record.cost.bytes_measured,
        seconds: record.elapsed.as_secs_f64(),
    }
}

/// JSON has no NaN: an undefined metric is `null`.
fn finite(metrics: &[(&'static str, f64)]) -> BTreeMap<&'static str, Option<f64>> {
    metrics.iter().map(|&(name, value)| (name, Some(value).filter(|v| v.is_finite()))).collect()
}

/// The result and the controls, each after an inner loop of its own; also `w_r` of the result.
fn judge<T: Precision>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
) -> Result<(Vec<Judged>, Vec<T>), crate::Error> {
    let mut points = vec![("result", x.to_vec())];
    points.extend(oracle.controls(inner).into_iter().map(|(name, x)| (name, x.values().to_vec())));
    if points.len() == 1 {
        points.push(("start", oracle.start().values().to_vec()));
    }
    let (mut judged, mut result) = (Vec::new(), Vec::new());
    for (name, x) in points {
        let mut w = Vec::new();
        let (loss, others) = measure(oracle, inner, &x, draw, &mut w)?;
        let metrics = std::iter::once(("outer loss", loss)).chain(others).collect();
        judged.push(Judged { name: name.to_owned(), metrics });
        if result.is_empty() {
            result = w;
        }
    }
    Ok((judged, result))
}

/// The outer loss, and the problem's metrics by name.
pub(super) type Measured = (f64, Vec<(&'static str, f64)>);

/// What is known of `x`, after an inner loop that leaves `w_r` in `w`.
pub(super) fn measure<T: Precision>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<Measured, crate::Error> {
    let loss = mean_loss(oracle, inner, x, draw, w)?.as_f64();
    Ok((loss, oracle.metrics(w, x, inner).iter().map(|m| (m.name, m.value)).collect()))
}

/// One row a judged point: values, or mean and standard deviation over runs.
fn report(all: &[Vec<Judged>]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let names = first[0].metrics.iter().map(|m| (m.0, Align::Right));
    let columns: Vec<_> = std::iter::once(("", Align::Left)).chain(names).collect();
    let mut table = Table::new(&columns);
    for (i, judged) in first.iter().enumerate() {
        let mut row = vec![judged.name.clone()];
        for k in 0..judged.metrics.len() {
            let values: Vec<f64> = all.iter().map(|run| run[i].metrics[k].1).collect();
            row.push(mean_and_spread(&values));
        }
        table.push(row);
    }
    table.to_string()
}

fn mean_and_spread(values: &[f64]) -> String {
    if values.iter().any(|v| v.is_nan()) {
        return "-".into();
    }
    let (mean, variance) = moments(values);
    if values.len() == 1 {
        return significant(mean, 4);
    }
    format!("{} ± {}", significant(mean, 3), significant(variance.sqrt(), 2))
}

/// Mean and sample variance, of which a single value has none.
pub(super) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Writes `x.npz` and `w.npz`, which `--at` and `--init` read, and `run.json`.
fn save<T: Precision>(
    folder: &Path,
    stem: &str,
    oracle: &Oracle<T>,
    x: &[T],
    w: &[T],
    lines: &[Line],
    summary: &Summary,
) -> anyhow::Result<()> {
    let file = |name: &str, kind: &str| folder.join(format!("{name}{stem}.{kind}"));
    arrays::write_npz(&file("x", "npz"), &point::named(oracle.start(), x))?;
    arrays::write_npz(&file("w", "npz"), &point::named(oracle.inner_start(), w))?;
    atomic::write(&file("run", "json"), |file| {
        let document = serde_json::json!({ "summary": summary, "records": lines });
        serde_json::to_writer_pretty(&mut *file, &document)?;
        Ok(writeln!(file)?)
    })
}
