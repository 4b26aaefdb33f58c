//! `hypertape study`: every cell of a grid run once, recorded as soon as it is known, and tabulated over seeds.
//!
//! `DIR/records.jsonl` holds one line a cell in the order of the grid. It is replaced whole after each cell, so that a
//! study that was stopped leaves a file of complete records, and the next start runs only the cells that it lacks.

mod file;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use super::args::{Dtype, Study as Options};
use super::failure::{Failure, say};
use super::list::outer_text;
use super::run::{measure, moments, progress};
use super::table::{Align, Table, seconds, significant};
use super::{atomic, estimators};
use crate::problems::{Entry, Precision};
use crate::{Draw, InnerLoop, Run, Schedule};
use file::{Cell, Planned};

/// Metrics by name; `null` in JSON, which has no NaN, where one is undefined.
type Metrics = BTreeMap<String, Option<f64>>;

/// What a run gave, at its last point, and what its estimates cost. Evaluations for the record alone are not in it.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    loss: f64,
    /// Of the last estimate, at the point before its step; `None` without one, or if it overflowed.
    gradient_norm: Option<f64>,
    metrics: Metrics,
    plain_steps: u64,
    inner_gradients: u64,
    hvps: u64,
    /// Threads of this cell, on which the next two depend.
    threads: usize,
    /// The largest of all estimates.
    bytes_measured: u64,
    seconds: f64,
    checkpoints: Vec<Checkpoint>,
}

/// A point on the way, with the cost of the estimates that led to it.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    iteration: usize,
    inner_gradients: u64,
    hvps: u64,
    /// As the estimate at this point told it, which for a problem that draws tasks is that of the tasks drawn.
    loss: f64,
    gradient_norm: Option<f64>,
    metrics: Metrics,
}

/// A line of the file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    #[serde(flatten)]
    done: Option<&'a Done>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The part of a line that says how to read the rest of it.
#[derive(Debug, Deserialize)]
struct Verdict {
    error: Option<String>,
}

/// A recorded cell. Its line is kept as it was read, so that later cells do not touch it.
#[derive(Debug)]
struct Recorded {
    line: String,
    outcome: Result<Done, String>,
}

/// The command.
pub(crate) fn run(
    catalogue: &[Entry],
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let study = file::read(&options.file, catalogue)?;
    let cells = &study.cells;
    let mut records = Records::open(&options.out, cells, &options.file)?;
    atomic::prepare_dir(&options.out).map_err(|e| Failure::run(format!("--out: {e}")))?;
    let known = records.slots.iter().flatten().count();
    // A study says how much it is about to do even where nobody reads it.
    let _ = writeln!(io::stderr(), "{} cells, {known} of them already recorded", cells.len());
    let missing = || cells.iter().zip(&records.slots).filter(|(_, slot)| slot.is_none());
    let length = missing().map(|(p, _)| p.cell.iterations).fold(0, usize::saturating_add);
    let bar = progress(length);
    let mut before = 0_u64;
    for (i, planned) in cells.iter().enumerate() {
        if records.slots[i].is_some() {
            continue;
        }
        let result = match planned.dtype {
            Dtype::F64 => run_cell::<f64>(planned, options.threads, &bar),
            Dtype::F32 => run_cell::<f32>(planned, options.threads, &bar),
        };
        records.add(i, &planned.cell, result.map_err(Failure::why))?;
        before = before.saturating_add(planned.cell.iterations as u64);
        bar.set_position(before);
    }
    bar.finish_and_clear();
    if let Some(title) = &study.title {
        say(out, title)?;
    }
    say(out, report(cells, &records.slots)?)?;
    let outcomes = records.slots.iter().flatten().map(|r| &r.outcome);
    let errors: Vec<&String> = outcomes.filter_map(|o| o.as_ref().err()).collect();
    match errors.first() {
        None => Ok(()),
        Some(first) => Err(Failure::run(format!(
            "{} of {} cells failed, see {}; the first: {first}",
            errors.len(),
            cells.len(),
            records.path.display()
        ))),
    }
}

/// One run, from the problem's own start.
fn run_cell<T: Precision>(
    planned: &Planned,
    threads: usize,
    bar: &ProgressBar,
) -> Result<Done, Failure> {
    let Planned { entry, outer, cell, .. } = planned;
    let mut estimator = estimators::parse::<T>(&cell.estimator, cell.steps, Schedule::default())?;
    let mut oracle = entry.open::<T>(cell.data_seed).map_err(Failure::run)?;
    oracle.set_threads(threads).map_err(Failure::run)?;
    let inner = InnerLoop::new(cell.steps, cell.lr).map_err(Failure::run)?;
    let mut x = oracle.start().values().to_vec();
    let run = Run::new(inner, *outer, cell.iterations, cell.seed);
    // The oracle is busy while the run lasts: points are kept and looked at afterwards.
    let mut points = Vec::new();
    let records = run.go(&mut oracle, estimator.as_mut(), &mut x, |record, x| {
        bar.inc(1);
        bar.set_message(format!(
            "{} {}: outer loss {}",
            cell.problem,
            cell.estimator,
            significant(record.loss, 4)
        ));
        if cell.record_every.is_some_and(|every| record.iteration.is_multiple_of(every)) {
            points.push((record.iteration, x.to_vec()));
        }
        ControlFlow::Continue(())
    });
    let records = records.map_err(Failure::run)?;
    let mut judge = |x: &[T], iteration: usize| {
        let draw = Draw::new(cell.seed, iteration as u64);
        let judged = measure(&mut oracle, &inner, x, draw, &mut Vec::new());
        let (loss, metrics) = judged.map_err(Failure::run)?;
        Ok::<(f64, Metrics), Failure>((
            loss,
            metrics.into_iter().map(|(name, v)| (name.to_owned(), finite(v))).collect(),
        ))
    };
    let (mut plain_steps, mut inner_gradients, mut hvps, mut bytes_measured) = (0, 0, 0, 0);
    let (mut checkpoints, mut points) = (Vec::new(), points.into_iter().peekable());
    for record in &records {
        if let Some((iteration, x)) = points.next_if(|(i, _)| *i == record.iteration) {
            let (_, metrics) = judge(&x, iteration)?;
            let (loss, gradient_norm) = (record.loss, finite(record.gradient_norm));
            let at = Checkpoint { iteration, inner_gradients, hvps, loss, gradient_norm, metrics };
            checkpoints.push(at);
        }
        plain_steps += record.cost.plain_steps;
        inner_gradients += record.cost.inner_gradients;
        hvps += record.cost.hvps;
        bytes_measured = bytes_measured.max(record.cost.bytes_measured);
    }
    let (loss, metrics) = judge(&x, cell.iterations)?;
    let last = records.last();
    Ok(Done {
        loss,
        gradient_norm: last.and_then(|r| finite(r.gradient_norm)),
        metrics,
        plain_steps,
        inner_gradients,
        hvps,
        threads,
        bytes_measured,
        seconds: last.map_or(0.0, |r| r.elapsed.as_secs_f64()),
        checkpoints,
    })
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|v| v.is_finite())
}

/// `records.jsonl`: a slot a cell, in the order of the grid.
struct Records {
    path: PathBuf,
    slots: Vec<Option<Recorded>>,
}

impl Records {
    /// What an earlier start of the same study left in `folder`.
    ///
    /// # Errors
    /// A usage error that names the line which is not a record, or not of this study: somebody's results are in the
    /// way, and would be lost.
    fn open(folder: &Path, cells: &[Planned], study: &Path) -> Result<Self, Failure> {
        let path = folder.join("records.jsonl");
        let bytes = match fs::read(&path) {
            // `NotADirectory` is a folder that cannot be made, which is told when it is tried.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => vec![],
            read => read.map_err(|e| Failure::run(format!("{}: {e}", path.display())))?,
        };
        let keys = cells.iter().enumerate().map(|(i, p)| Ok((p.cell.key()?, i)));
        let keys: HashMap<String, usize> = keys.collect::<Result<_, Failure>>()?;
        let mut slots: Vec<Option<Recorded>> = cells.iter().map(|_| None).collect();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let lines = lines.split(|&b| b == b'\n').filter(|_| !bytes.is_empty());
        for (i, line) in lines.enumerate() {
            let refuse = |why: String| {
                Failure::usage(format!("{}:{}: {why}; nothing was changed", path.display(), i + 1))
            };
            let (cell, recorded) =
                parse(line).map_err(|why| refuse(format!("not a record of a study: {why}")))?;
            let Some(&place) = keys.get(&cell.key()?) else {
                let Cell { problem, estimator, seed, .. } = cell;
                return Err(refuse(format!(
                    "a cell ({problem}, {estimator}, seed {seed}) that is not in {}, expected \
                     records of this study or another --out",
                    study.display()
                )));
            };
            if slots[place].replace(recorded).is_some() {
                return Err(refuse("the same cell as on an earlier line".to_owned()));
            }
        }
        Ok(Self { path, slots })
    }

    /// Takes a result and replaces the file.
    fn add(
        &mut self,
        place: usize,
        cell: &Cell,
        outcome: Result<Done, String>,
    ) -> Result<(), Failure> {
        let error = outcome.as_ref().err().map(String::as_str);
        let line = Line { cell, done: outcome.as_ref().ok(), error };
        let line = serde_json::to_string(&line).map_err(Failure::run)?;
        self.slots[place] = Some(Recorded { line, outcome });
        atomic::write(&self.path, |file| {
            for recorded in self.slots.iter().flatten() {
                writeln!(file, "{}", recorded.line)?;
            }
            Ok(())
        })
        .map_err(|e| Failure::run(format!("--out: {e}")))
    }
}

/// A line of the file, or why it is none.
fn parse(line: &[u8]) -> Result<(Cell, Recorded), String> {
    // The position in serde's text counts lines of its own.
    let why = |e: serde_json::Error| {
        let text = e.to_string();
        text.split(" at line ").next().unwrap_or(&text).to_owned()
    };
    let line = str::from_utf8(line).map_err(|e| e.to_string())?;
    let cell = serde_json::from_str(line).map_err(why)?;
    let outcome = match serde_json::from_str::<Verdict>(line).map_err(why)?.error {
        Some(error) => Err(error),
        None => Ok(serde_json::from_str(line).map_err(why)?),
    };
    Ok((cell, Recorded { line: line.to_owned(), outcome }))
}

/// The columns that tell combinations of settings apart.
fn settings(planned: &Planned) -> [(&'static str, Align, String); 9] {
    let Planned { outer, cell, .. } = planned;
    [
        ("problem", Align::Left, cell.problem.clone()),
        ("estimator", Align::Left, cell.estimator.clone()),
        ("steps", Align::Right, cell.steps.to_string()),
        ("lr", Align::Right, cell.lr.to_string()),
        ("data seed", Align::Right, optional(cell.data_seed)),
        ("dtype", Align::Left, cell.dtype.clone()),
        ("outer", Align::Left, outer_text(*outer)),
        ("iterations", Align::Right, cell.iterations.to_string()),
        ("record every", Align::Right, optional(cell.record_every)),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// A row a combination, seeds taken together. Settings that are the same in all rows are left out, beyond the first two.
fn report(cells: &[Planned], slots: &[Option<Recorded>]) -> Result<Table, Failure> {
    let mut places = HashMap::new();
    let mut groups: Vec<(&Planned, Vec<&Done>, usize)> = Vec::new();
    for (planned, recorded) in cells.iter().zip(slots) {
        let Some(recorded) = recorded else { continue };
        let key = Cell { seed: 0, ..planned.cell.clone() }.key()?;
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((planned, Vec::new(), 0));
        }
        match &recorded.outcome {
            Ok(done) => groups[place].1.push(done),
            Err(_) => groups[place].2 += 1,
        }
    }
    let rows: Vec<_> = groups.iter().map(|(planned, ..)| settings(planned)).collect();
    let shown: Vec<usize> = (0..9)
        .filter(|&k| k < 2 || rows.windows(2).any(|pair| pair[0][k].2 != pair[1][k].2))
        .collect();
    let all = groups.iter().flat_map(|(_, done, _)| done);
    let metrics: BTreeSet<&str> = all.flat_map(|d| d.metrics.keys().map(String::as_str)).collect();
    let mut columns: Vec<(&str, Align)> = rows
        .first()
        .map_or_else(Vec::new, |row| shown.iter().map(|&k| (row[k].0, row[k].1)).collect());
    let judged = ["seeds", "outer loss"].into_iter().chain(metrics.iter().copied());
    let costs = ["gradients", "HVPs", "time"];
    columns.extend(judged.chain(costs).map(|name| (name, Align::Right)));
    let mut table = Table::new(&columns);
    for ((_, done, failed), row) in groups.iter().zip(&rows) {
        let mut cells: Vec<String> = shown.iter().map(|&k| row[k].2.clone()).collect();
        let count = done.len();
        cells.push(match failed {
            0 => count.to_string(),
            _ => format!("{count}, {failed} failed"),
        });
        cells.push(mean_and_error(done.iter().map(|d| Some(d.loss))));
        for name in &metrics {
            cells.push(mean_and_error(done.iter().map(|d| d.metrics.get(*name).copied()?)));
        }
        let mean = |of: &dyn Fn(&Done) -> f64| {
            (count > 0).then(|| moments(&done.iter().map(|d| of(d)).collect::<Vec<_>>()).0)
        };
        let dash = || "-".to_owned();
        cells.push(mean(&|d| d.inner_gradients as f64).map_or_else(dash, whole));
        cells.push(mean(&|d| d.hvps as f64).map_or_else(dash, whole));
        cells.push(mean(&|d| d.seconds).map_or_else(dash, seconds));
        table.push(cells);
    }
    Ok(table)
}

/// The mean of counts, without decimals where it has none.
fn whole(mean: f64) -> String {
    if mean.fract() == 0.0 { mean.to_string() } else { significant(mean, 4) }
}

/// Mean and standard error of the mean; `-` where a value is missing.
fn mean_and_error(values: impl Iterator<Item = Option<f64>>) -> String {
    let Some(values) = values.collect::<Option<Vec<f64>>>().filter(|v| !v.is_empty()) else {
        return "-".to_owned();
    };
    let (mean, variance) = moments(&values);
    if values.len() == 1 {
        return significant(mean, 4);
    }
    let error = (variance / values.len() as f64).sqrt();
    format!("{} ± {}", significant(mean, 4), significant(error, 2))
}
