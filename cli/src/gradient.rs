//! `hypertape gradient`: one hypergradient per estimator, side by side.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::app::{App, Precise};
use crate::args::Gradient;
use crate::failure::{Failure, Out, say, say_json};
use crate::point::{self, Opened};
use crate::table::{Column, Table, bytes, known, plain, seconds, significant};
use crate::{arrays, atomic};
use hypertape_problems::{Entry, Precision};
use hypertape_solver::stats::quantile;
use hypertape_solver::{
    Breakdown, Call, Cost, Draw, Error, Estimate, Estimator, Params, Report, Share, norm,
};

/// The report on one estimator.
#[derive(Debug, Serialize)]
struct Row {
    problem: String,
    estimator: String,
    schedule: Option<String>,
    rule: String,
    dtype: &'static str,
    steps: usize,
    lr: f64,
    seed: u64,
    data_seed: Option<u64>,
    threads: usize,
    loss: f64,
    gradient_norm: f64,
    gradient_head: Vec<f64>,
    /// The time in it is the median.
    #[serde(flatten)]
    cost: Cost,
    bytes_predicted: u64,
    repeat: usize,
    primal_seconds: f64,
    primal_seconds_min: f64,
    seconds_min: f64,
    /// Peak memory of the process so far, if the system reports it.
    process_peak_bytes: Option<u64>,
    #[serde(flatten)]
    went: Option<Went>,
    sensitivity: f64,
    growth: f64,
    warnings: Vec<String>,
    #[serde(flatten)]
    implicit: Option<Report>,
}

/// The breakdown of time and bytes.
#[derive(Debug, Serialize)]
struct Went {
    breakdown: Vec<PartRow>,
    operations: Vec<OperationRow>,
}

/// The share of one part of an estimate.
#[derive(Debug, Serialize)]
struct PartRow {
    part: &'static str,
    calls: u64,
    seconds: f64,
    bytes: u64,
}

/// The share of the array operations of one name in all evaluations of a part.
#[derive(Debug, Serialize)]
struct OperationRow {
    part: &'static str,
    #[serde(skip)]
    calls: u64,
    operation: &'static str,
    records: u64,
    seconds_forward: f64,
    seconds_back: f64,
    bytes: u64,
}

/// Returns the parts that were evaluated, what is held besides, and the operations of each part.
fn went(breakdown: &Breakdown, total: f64) -> Went {
    let (mut rows, mut operations) = (Vec::new(), Vec::new());
    for part in Call::ALL.into_iter().filter(|&part| breakdown.of(part).calls > 0) {
        let Share { calls, time, bytes, .. } = breakdown.of(part);
        let part_name = part.name();
        rows.push(PartRow { part: part_name, calls, seconds: time.as_secs_f64(), bytes });
        let some = breakdown.operations(part).iter().filter(|row| row.records + row.bytes > 0);
        operations.extend(some.map(|tally| OperationRow {
            part: part_name,
            calls,
            operation: tally.name,
            records: tally.records,
            seconds_forward: tally.forward.as_secs_f64(),
            seconds_back: tally.back.as_secs_f64(),
            bytes: tally.bytes,
        }));
    }
    let seconds = (total - rows.iter().map(|row| row.seconds).sum::<f64>()).max(0.0);
    let (part, bytes) = ("vectors: states, adjoints, kept tapes", breakdown.held);
    rows.push(PartRow { part, calls: 1, seconds, bytes });
    Went { breakdown: rows, operations }
}

/// The peak memory of a process (`self`, or its id), from Linux.
pub(crate) fn process_peak(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| 1024 * kib)
}

/// Runs the command.
pub(crate) fn run<T: Precise>(app: &App, options: &Gradient, out: Out) -> Result<(), Failure> {
    let common = &options.common;
    let (entry, mut opened) = point::open_at::<T>(app, common)?;
    let chosen = options.estimators.iter().map(|name| opened.estimator(app, name));
    let mut chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    opened.tell_idle_schedule(&chosen);
    let mut opened = opened.told();
    common.saved(atomic::prepare_dir)?;
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (estimator, name) in chosen.iter_mut().zip(&options.estimators) {
        let (row, gradient) = match measure(&entry, options, &mut opened, estimator.as_mut()) {
            Ok(measured) => measured,
            // The other estimators are reported all the same.
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        common.saved(|folder| save(folder, &row, &opened, &gradient))?;
        if common.json {
            say_json(out, [&row])?;
        }
        rows.push(row);
    }
    if !common.json && !rows.is_empty() {
        report(&entry, &rows, out)?;
    }
    Failure::of_all(&failures)
}

/// Times the primal and the estimator in alternation, after an untimed run of each.
fn measure<T: Precision>(
    entry: &Entry,
    options: &Gradient,
    opened: &mut Opened<T>,
    estimator: &mut dyn Estimator<T>,
) -> Result<(Row, Vec<T>), Error> {
    let common = &options.common;
    let Opened { oracle, inner, x, data_seed, .. } = opened;
    let draw = Draw::new(common.seed, 0);
    let mut w = Vec::new();
    let mut gradient = vec![T::zero(); x.len()];
    let (mut primal, mut times) = (Vec::new(), Vec::new());
    let bytes_predicted = estimator.admit(oracle, inner, x, draw)?;
    let mut last = None;
    for _ in 0..=options.repeat {
        let clock = Instant::now();
        T::mean_loss(oracle, inner, x, draw, &mut w)?;
        primal.push(clock.elapsed().as_secs_f64());
        // Each repetition computes the same, from the initial state.
        estimator.set_state(&Params::new())?;
        let estimate = estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
        times.push(estimate.cost.time.as_secs_f64());
        last = Some(estimate);
    }
    let last = last.ok_or_else(|| Error::told("nothing was run"))?;
    let mut broken_down = None;
    if options.breakdown {
        // A separate estimate, because reading the clock takes time.
        estimator.set_state(&Params::new())?;
        oracle.set_breakdown(true);
        let again = estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
        let total = again.cost.time.as_secs_f64();
        broken_down = oracle.breakdown().map(|breakdown| went(&breakdown, total));
        oracle.set_breakdown(false);
    }
    let Estimate { loss, mut cost, soundness } = last;
    let median_and_min = |times: &mut [f64]| [0.5, 0.0].map(|q| quantile(times, q));
    let [primal_seconds, primal_seconds_min] = median_and_min(&mut primal[1..]);
    let [median, seconds_min] = median_and_min(&mut times[1..]);
    cost.time = Duration::from_secs_f64(median);
    let row = Row {
        problem: entry.name.clone(),
        estimator: estimator.name(),
        schedule: estimator.schedule().map(|schedule| schedule.to_string()),
        rule: oracle.rule(),
        dtype: T::NAME,
        steps: inner.steps(),
        lr: inner.lr(),
        seed: common.seed,
        data_seed: *data_seed,
        threads: common.threads,
        loss: loss.as_f64(),
        gradient_norm: norm(&gradient).as_f64(),
        gradient_head: gradient.iter().take(8).map(|v| v.as_f64()).collect(),
        cost,
        bytes_predicted,
        repeat: options.repeat,
        primal_seconds,
        primal_seconds_min,
        seconds_min,
        process_peak_bytes: process_peak("self"),
        went: broken_down,
        sensitivity: soundness.sensitivity,
        growth: soundness.growth,
        warnings: soundness.warnings(),
        implicit: soundness.report,
    };
    Ok((row, gradient))
}

/// Writes `ESTIMATOR.npz`, which has the gradient under the names of the outer arrays, and `ESTIMATOR.json`.
fn save<T: Precision>(
    folder: &Path,
    row: &Row,
    opened: &Opened<T>,
    gradient: &[T],
) -> anyhow::Result<()> {
    let stem: String =
        row.estimator.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let named = opened.oracle.start().with_values(gradient);
    arrays::write_npz(&folder.join(format!("{stem}.npz")), &named)?;
    atomic::json(&folder.join(format!("{stem}.json")), row)
}

fn report(entry: &Entry, rows: &[Row], out: Out) -> Result<(), Failure> {
    let Some(first) = rows.first() else { return Ok(()) };
    let Row { steps, lr, dtype, primal_seconds, .. } = first;
    let primal = seconds(*primal_seconds);
    say(out, format!("{}: {steps} steps, lr {}, {dtype}", entry.name, plain(*lr)))?;
    let peak = first.process_peak_bytes.map_or_else(|| "-".into(), bytes);
    let peak = format!("peak memory of the process: {peak}");
    say(out, format!("inner loop and outer loss alone: {primal}; {peak}"))?;
    let costs: [Column<Row>; 9] = [
        ("estimator", &|row| row.estimator.clone()),
        (">loss", &|row| significant(row.loss, 8)),
        (">|gradient|", &|row| significant(row.gradient_norm, 8)),
        (">steps", &|row| row.cost.plain_steps.to_string()),
        (">gradients", &|row| row.cost.inner_gradients.to_string()),
        (">HVPs", &|row| row.cost.hvps.to_string()),
        (">bytes", &|row| bytes(row.cost.bytes_measured)),
        (">time", &|row| seconds(row.cost.time.as_secs_f64())),
        (">/ primal", &|row| significant(row.cost.time.as_secs_f64() / row.primal_seconds, 3)),
    ];
    let mut found = rows.iter().filter_map(|row| row.implicit).peekable();
    let implicit = found.peek().is_some();
    let rest = if found.any(|i| i.fixed_point) { ">step / lr" } else { ">|dg/dw|" };
    let rests: [Column<Row>; 2] = [
        (">residual", &|row| known(row.implicit.and_then(|i| i.residual), 3)),
        (rest, &|row| known(row.implicit.map(|i| i.inner_norm), 3)),
    ];
    let head: Column<Row> = ("first entries", &|row| {
        let head = row.gradient_head.iter().take(3).map(|&v| significant(v, 6));
        head.collect::<Vec<_>>().join(" ")
    });
    let shown = costs.into_iter().chain(rests.into_iter().filter(|_| implicit)).chain([head]);
    say(out, Table::of(rows, &shown.collect::<Vec<_>>()))?;
    for row in rows {
        if let Some(Went { breakdown, operations }) = &row.went {
            say(out, format!("\n{}\n{}", row.estimator, broken_down(breakdown)))?;
            say(out, by_operation(operations))?;
        }
        for warning in &row.warnings {
            say(out, format!("warning: {}: {warning}", row.estimator))?;
        }
    }
    Ok(())
}

fn broken_down(parts: &[PartRow]) -> Table {
    let mut table = Table::new(["part", ">calls", ">time", ">each", ">bytes"]);
    for PartRow { part, calls, seconds: time, bytes: most } in parts {
        let each = seconds(time / *calls as f64);
        table.push([(*part).into(), calls.to_string(), seconds(*time), each, bytes(*most)]);
    }
    table
}

/// A table of the times of all evaluations, and of the records and bytes of one evaluation.
fn by_operation(operations: &[OperationRow]) -> Table {
    let mut table = Table::new(["part", "operation", ">records", ">forward", ">back", ">bytes"]);
    for row in operations {
        let times = [row.seconds_forward, row.seconds_back].map(seconds);
        let of_one = [(row.records / row.calls).to_string(), bytes(row.bytes / row.calls)];
        let [[records, most], [forward, back]] = [of_one, times];
        table.push([row.part.into(), row.operation.into(), records, forward, back, most]);
    }
    table
}
