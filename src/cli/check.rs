//! `hypertape check`: checks the derivatives of a problem at a generic point.

use serde::Serialize;

use super::app::{App, Precise};
use super::args::Common;
use super::atomic;
use super::failure::{Failure, Out, say, say_json};
use super::point::{self, Opened};
use super::table::{Column, Table, finite, known};
use crate::{Check, Draw, InnerLoop, Verdict, check, nearby};

/// Default number of inner steps. A step is right or wrong whatever the number of steps, while long runs amplify
/// rounding errors, and one of the checks keeps a whole run in memory.
const STEPS: usize = 10;

/// The report on one check.
#[derive(Debug, Serialize)]
struct Row {
    problem: String,
    dtype: &'static str,
    steps: usize,
    lr: f64,
    seed: u64,
    data_seed: Option<u64>,
    check: &'static str,
    observed: Option<f64>,
    allowed: Option<f64>,
    verdict: &'static str,
    note: Option<&'static str>,
    meaning: &'static str,
}

/// Runs the command.
pub(crate) fn run<T: Precise>(app: &App, common: &Common, out: Out) -> Result<(), Failure> {
    let (entry, opened) = point::open_at::<T>(app, common)?;
    let Opened { mut oracle, inner, x, data_seed, .. } = opened.told();
    let steps = common.steps.unwrap_or(entry.steps.min(STEPS));
    let inner = InnerLoop::new(steps, inner.lr()).map_err(Failure::usage)?;
    if let Some(folder) = &common.save {
        atomic::prepare_dir(folder).map_err(Failure::of("--save"))?;
    }
    let draw = Draw::new(common.seed, 0);
    // A requested point is used as it is.
    let x = if common.at.is_some() { x } else { nearby(&x, draw) };
    let checks = check(&mut oracle, &inner, &x, draw).map_err(Failure::run)?;
    let row = |check: &Check| {
        let (verdict, note) = match check.verdict {
            Verdict::Passed => ("ok", None),
            Verdict::Failed => ("FAILED", None),
            Verdict::Skipped(why) => ("skipped", Some(why)),
            Verdict::Noted(what) => ("noted", Some(what)),
        };
        Row {
            problem: entry.name.clone(),
            dtype: T::NAME,
            steps,
            lr: inner.lr(),
            seed: common.seed,
            data_seed,
            check: check.name,
            observed: finite(check.observed),
            allowed: finite(check.allowed),
            verdict,
            note,
            meaning: check.meaning,
        }
    };
    let rows: Vec<Row> = checks.iter().map(row).collect();
    if let Some(folder) = &common.save {
        let written = atomic::json(&folder.join("check.json"), &rows);
        written.map_err(Failure::of("--save"))?;
    }
    if common.json {
        say_json(out, &rows)?;
    } else {
        let place = if common.at.is_some() { "at the given point" } else { "near the start" };
        let (name, lr, dtype) = (&entry.name, inner.lr(), T::NAME);
        say(out, format!("{name}: {steps} steps, lr {lr}, {dtype}, {place}"))?;
        say(out, table(&rows))?;
    }
    let failed: Vec<&str> = checks.iter().filter(|c| c.failed()).map(|c| c.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let (failed_count, all) = (failed.len(), checks.len());
    Err(Failure::run(format!("{failed_count} of {all} checks failed: {}", failed.join(", "))))
}

fn table(rows: &[Row]) -> Table {
    let columns: &[Column<Row>] = &[
        ("check", &|row| row.check.to_owned()),
        (">observed", &|row| known(row.observed, 2)),
        (">allowed", &|row| known(row.allowed, 2)),
        ("result", &|row| match row.note {
            Some(note) if row.verdict == "skipped" => format!("skipped: {note}"),
            note => note.unwrap_or(row.verdict).to_owned(),
        }),
        ("what a failure means", &|row| row.meaning.to_owned()),
    ];
    Table::of(rows, columns)
}
