//! `hypertape run`: a whole bilevel optimisation, evaluated together with its controls.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, Precise};
use crate::args::{Asked, Run as Options};
use crate::failure::{Failure, Fields, Out, say, say_json};
use crate::grouped::grouped;
use crate::outer::{self, Algorithm};
use crate::point::{self, Chosen, Opened};
use crate::state::{self, Files, Interrupt};
use crate::table::{Table, finite, significant};
use crate::values::Lr;
use crate::warned::Warned;
use crate::{arrays, atomic};
use hypertape_autodiff::Shape;
use hypertape_problems::Entry;
use hypertape_solver::coupling::Coupling;
use hypertape_solver::stats::moments;
use hypertape_solver::{
    Cost, Draw, End, InnerLoop, Limits, Observer, Oracle, Params, Record, Run, RunState, Soundness,
};

/// An evaluated outer point: the result of the run, or a control.
#[derive(Debug)]
struct Judged {
    name: String,
    /// The outer loss, followed by the problem's metrics.
    metrics: Vec<(&'static str, f64)>,
}

/// Runs the command.
pub(crate) fn run<T: Precise>(app: &App, options: &Options, out: Out) -> Result<(), Failure> {
    let common = &options.common;
    let entry = &point::entry(app, common)?;
    let Algorithm { coupling, estimator, outer, .. } = outer::algorithm::<T>(app, entry, options)?;
    let files = Files::of(options)?;
    let (opened, mut estimator) = begin::<T>(app, entry, options, &files, estimator)?;
    let mut first = Some(opened);
    let limits = limits(options);
    let mut interrupt = files.save.as_ref().map(|_| Interrupt::watch()).transpose()?;
    let iterations = options.iterations.unwrap_or(entry.iterations);
    let record_every = outer::record_every(options, iterations);
    let bar = progress(options.repeat.saturating_mul(iterations));
    let (mut all, mut ended, mut found) = (Vec::new(), String::new(), Vec::new());
    let mut idle = Vec::new();
    for repeat in 0..options.repeat {
        let stem = state::stem(options, repeat);
        let opened =
            first.take().map_or_else(|| point::open(app, entry, common, repeat as u64), Ok);
        let Opened { mut oracle, inner, x, data_seed, rows, .. } = opened?;
        let seed = common.seed.wrapping_add(repeat as u64);
        let (coupling, outer) = (Arc::clone(&coupling), Arc::clone(&outer));
        let run = Run { inner, outer, iterations, seed, coupling, limits, record_every };
        let name = estimator.name();
        let settings =
            state::settings(options, &run, (&mut oracle, &*estimator), (&entry.name, data_seed))?;
        let (mut state, mut records) = files.begin(&stem, repeat, &settings, x)?;
        let (before, begun) = (repeat.saturating_mul(iterations), state.iteration);
        let mut show = |record: &Record, _: &[T]| {
            bar.set_position(before.saturating_add(record.iteration + 1) as u64);
            bar.set_message(format!("outer loss {}", significant(record.loss, 4)));
            ControlFlow::Continue(())
        };
        let saving =
            |path| state::saving(path, options.save_every, settings).after(records.clone());
        let mut saving = files.saved(&stem).map(saving);
        let mut observers: Vec<&mut dyn Observer<T>> = vec![&mut show];
        observers.extend(saving.as_mut().map(|saving| saving as &mut dyn Observer<T>));
        observers.extend(interrupt.as_mut().map(|interrupt| interrupt as &mut dyn Observer<T>));
        let new = T::observe(&run, &mut oracle, estimator.as_mut(), &mut state, &mut observers);
        records.extend(new.map_err(Failure::run)?);
        if state.end == Some(End::Callback) {
            let why = format!("interrupted after {} iterations", state.iteration);
            return Err(Failure::Interrupted(why + ", which are saved for --resume"));
        }
        idle.extend(state::nothing_left(&state, begun));
        let lines: Vec<Line> = records.iter().map(|record| line(repeat, record)).collect();
        let (draw, last) =
            (Draw::new(seed, state.iteration as u64), run.coupling.inner(&inner, state.iteration));
        let other = !run.coupling.warm() && !state.best.is_empty() && state.best != state.x;
        let best = other.then_some(&state.best[..]);
        let (judged, w) = judge(&mut oracle, &*run.coupling, &last, (&state.x, best), draw)
            .map_err(Failure::run)?;
        let best = best.filter(|_| judged.iter().any(|judged| judged.name == BEST));
        let (sound, warned) = warnings(&records, options.algorithm.is_some(), &judged);
        // The last line of JSON.
        let summary = Fields([
            ("problem", json!(entry.name)),
            ("estimator", json!(name)),
            ("schedule", json!(estimator.schedule().map(|schedule| schedule.to_string()))),
            ("dtype", json!(T::NAME)),
            ("steps", json!(inner.steps())),
            ("lr", json!(common.lr.unwrap_or(Lr::Size(entry.lr)))),
            ("outer", json!(run.outer.name())),
            ("coupling", json!(run.coupling.name())),
            ("iterations", json!(state.iteration)),
            ("ended", json!(state.end.map_or_else(String::new, |end| end.to_string()))),
            ("repeat", json!(repeat)),
            ("seed", json!(seed)),
            ("data_seed", json!(data_seed)),
            ("threads", json!(common.threads)),
            ("seconds", json!(lines.last().map_or(0.0, |line| line.cost.time.as_secs_f64()))),
            ("warned", json!(warned.warned)),
            ("warnings", json!(warned.warnings)),
            ("results", judged.iter().map(|j| (j.name.clone(), defined(&j.metrics))).collect()),
        ]);
        if common.json {
            say_json(out, &lines)?;
            say_json(out, [&summary])?;
        }
        if let Some(folder) = &files.save {
            let points = (&state.x[..], best, &w[..]);
            save(folder, &stem, &oracle, points, &rows, &lines, &summary)
                .map_err(Failure::of("--save"))?;
        }
        ended = length(&state);
        all.push(judged);
        found.extend(sound);
    }
    bar.finish_and_clear();
    tell_alike(&all, &idle);
    if common.json {
        return Ok(());
    }
    let (ended, runs) = match options.repeat {
        1 => (ended, String::new()),
        n => (format!("{iterations} outer iterations"), format!(", {n} runs")),
    };
    let (name, estimator) = (&entry.name, estimator.name());
    say(out, format!("{name}: {ended}, {}, {estimator}{runs}", outer.name()))?;
    say(out, report(&all))?;
    let estimates = found.len();
    Warned::of(found).lines(estimates).try_for_each(|line| say(out, line))
}

/// Returns the soundness of all estimates, and their warnings. An algorithm takes no inner loop, but the evaluation of its
/// result does, and that may diverge.
fn warnings(records: &[Record], algorithm: bool, judged: &[Judged]) -> (Vec<Soundness>, Warned) {
    let result = judged.first().and_then(|result| result.metrics.first()).filter(|_| algorithm);
    let end = result.map(|(_, loss)| Soundness { loss: loss.abs(), ..Soundness::default() });
    let diverged = end.filter(|end| !end.warnings().is_empty());
    let sound: Vec<_> = records.iter().map(|record| record.soundness).chain(diverged).collect();
    let warned = Warned::of(sound.iter().copied());
    (sound, warned)
}

/// Prints a note if several runs have the same results in every bit, and one if all runs were complete before.
fn tell_alike(all: &[Vec<Judged>], idle: &[String]) {
    state::tell_idle(idle, all.len());
    if all.len() > 1 && all.windows(2).all(|two| format!("{:?}", two[0]) == format!("{:?}", two[1]))
    {
        let n = all.len();
        point::note(&format!("the {n} runs have the same result, as no seed has an effect on it"));
    }
}

fn length<T>(state: &RunState<T>) -> String {
    match state.end {
        Some(End::Iterations) | None => format!("{} outer iterations", state.iteration),
        Some(end) => format!("{} outer iterations, ended by {end}", state.iteration),
    }
}

/// Opens the problem of the first run and its estimator. If the command leaves the schedule open, it is that of the run
/// to be resumed.
fn begin<T: Precise>(
    app: &App,
    entry: &Entry,
    options: &Options,
    files: &Files,
    estimator: Chosen<T>,
) -> Result<(Opened<T>, Chosen<T>), Failure> {
    let mut opened = point::open::<T>(app, entry, &options.common, 0)?;
    if !matches!(opened.schedule, Some(Asked::Given(_)))
        && let Some(taken) = files.schedule::<T>(&state::stem(options, 0), 0)?
    {
        opened.schedule = Some(Asked::Given(taken));
    }
    let (estimator, note) = opened.scheduled(estimator)?;
    opened.notes.extend(note);
    opened.tell_idle_schedule(std::slice::from_ref(&estimator));
    Ok((opened.told(), estimator))
}

pub(crate) fn limits(options: &Options) -> Limits {
    Limits {
        gradient_norm: options.gradient_norm,
        oracle_calls: options.oracle_calls,
        time: options.time.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)),
    }
}

/// One outer iteration, as a line of JSON.
#[derive(Debug, Serialize)]
struct Line {
    repeat: usize,
    iteration: usize,
    loss: f64,
    gradient_norm: Option<f64>,
    /// The time in it is measured from the beginning of the run.
    #[serde(flatten)]
    cost: Cost,
    warnings: Vec<String>,
}

/// A progress bar, which is shown if stderr is a terminal.
pub(crate) fn progress(iterations: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}  {eta} left");
    let bar = ProgressBar::new(iterations as u64);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn line(repeat: usize, record: &Record) -> Line {
    let mut cost = record.cost;
    cost.time = record.elapsed;
    Line {
        repeat,
        iteration: record.iteration,
        loss: record.loss,
        gradient_norm: finite(record.gradient_norm),
        cost,
        warnings: record.soundness.warnings(),
    }
}

/// Metrics by name; `null` for a metric that is undefined.
fn defined(metrics: &[(&'static str, f64)]) -> Value {
    metrics.iter().copied().collect()
}

/// Name of the point with the lowest loss, if that is lower than the loss at the end.
const BEST: &str = "best on the way";

/// Evaluates the result and the controls, and returns `w_r` of the result as well. Each point has its own inner loop.
/// Under a warm start, the end of the result's loop would be the wrong start for a control, so there are no controls
/// then.
fn judge<T: Precise>(
    oracle: &mut Oracle<T>,
    coupling: &dyn Coupling,
    inner: &InnerLoop,
    (x, best): (&[T], Option<&[T]>),
    draw: Draw,
) -> Result<(Vec<Judged>, Vec<T>), hypertape_solver::Error> {
    let mut points = vec![("result", x.to_vec())];
    points.extend(best.map(|x| (BEST, x.to_vec())));
    let before = points.len();
    let controls = if coupling.warm() { Vec::new() } else { oracle.controls(inner) };
    points.extend(controls.into_iter().map(|(name, x)| (name, x.values().to_vec())));
    if points.len() == before && !coupling.warm() {
        points.push(("start", oracle.start().values().to_vec()));
    }
    let (mut judged, mut result) = (Vec::new(), Vec::new());
    let mut reached = f64::INFINITY;
    for (name, x) in points {
        let mut w = Vec::new();
        let (loss, others) = measure(oracle, inner, &x, draw, &mut w)?;
        if name == "result" {
            reached = loss;
        } else if name == BEST && loss >= reached {
            continue;
        }
        let metrics = std::iter::once(("outer loss", loss)).chain(others).collect();
        judged.push(Judged { name: name.to_owned(), metrics });
        if result.is_empty() {
            result = w;
        }
    }
    Ok((judged, result))
}

/// The outer loss, and the problem's metrics by name.
pub(crate) type Measured = (f64, Vec<(&'static str, f64)>);

/// Evaluates `x`, and leaves `w_r` of its inner loop in `w`.
pub(crate) fn measure<T: Precise>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<Measured, hypertape_solver::Error> {
    let loss = T::mean_loss(oracle, inner, x, draw, w)?.as_f64();
    Ok((loss, oracle.metrics(w, x, inner).iter().map(|m| (m.name, m.value)).collect()))
}

/// A table with one row per evaluated point: values, or means and standard deviations over runs.
fn report(all: &[Vec<Judged>]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let names = first[0].metrics.iter().map(|m| format!(">{}", m.0));
    let mut table = Table::new(std::iter::once(String::new()).chain(names));
    // A run may have no better point before its end.
    for (name, same) in grouped(all.iter().flatten().map(|judged| (&judged.name, &judged.metrics)))
    {
        let values = |k: usize| same.iter().map(|metrics| metrics[k].1).collect::<Vec<_>>();
        let cells = (0..same[0].len()).map(|k| mean_and_spread(&values(k)));
        table.push(std::iter::once(name.clone()).chain(cells));
    }
    table.to_string()
}

fn mean_and_spread(values: &[f64]) -> String {
    if values.iter().any(|v| v.is_nan()) {
        return "-".into();
    }
    let [mean, variance] = moments(values);
    if values.len() == 1 {
        return significant(mean, 4);
    }
    format!("{} ± {}", significant(mean, 3), significant(variance.sqrt(), 2))
}

/// Writes `x.npz` and `w.npz`, which `--at` and `--init` read; `best.npz` if an earlier point was better; `run.json`;
/// and, for samples from files, `rows.npz` with the index of each sample in its file, from 0.
fn save<T: Precise>(
    folder: &Path,
    stem: &str,
    oracle: &Oracle<T>,
    (x, best, w): (&[T], Option<&[T]>, &[T]),
    rows: &[Vec<usize>; 3],
    lines: &[Line],
    summary: &impl Serialize,
) -> anyhow::Result<()> {
    let file = |name: &str, kind: &str| folder.join(format!("{name}{stem}.{kind}"));
    arrays::write_npz(&file("x", "npz"), &oracle.start().with_values(x))?;
    if let Some(best) = best {
        arrays::write_npz(&file("best", "npz"), &oracle.start().with_values(best))?;
    }
    arrays::write_npz(&file("w", "npz"), &oracle.inner_start().with_values(w))?;
    if rows.iter().any(|part| !part.is_empty()) {
        let named = ["train", "valid", "test"].into_iter().zip(rows);
        let arrays = named.fold(Params::new(), |arrays, (name, part)| {
            let shape = Shape::column(u32::try_from(part.len()).unwrap_or(u32::MAX));
            arrays.with(name, shape, part.iter().map(|&row| row as f64))
        });
        arrays::write_npz(&file("rows", "npz"), &arrays)?;
    }
    let document = json!({ "summary": summary, "records": lines });
    atomic::json(&file("run", "json"), &document)
}
