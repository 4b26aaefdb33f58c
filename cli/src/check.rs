//! `hypertape check`: checks the derivatives of a problem at a generic point.

use serde_json::json;

use crate::app::{App, Precise};
use crate::args::Common;
use crate::atomic;
use crate::failure::{Failure, Fields, Out, say, say_json};
use crate::point::{self, Opened};
use crate::table::{Column, Table, finite, known};
use hypertape_solver::{Check, Draw, InnerLoop, Verdict, check, nearby};

/// Default number of inner steps. A step is right or wrong whatever the number of steps, while long runs amplify
/// rounding errors, and one of the checks keeps a whole run in memory.
const STEPS: usize = 10;

/// Runs the command.
pub(crate) fn run<T: Precise>(app: &App, common: &Common, out: Out) -> Result<(), Failure> {
    for (given, option) in
        [(common.schedule.is_some(), "schedule"), (common.tolerance.is_some(), "tolerance")]
    {
        if given {
            let why = "check takes every step of --steps and stores every state, expected none";
            return Err(Failure::usage(format!("--{option}: {why}")));
        }
    }
    let (entry, opened) = point::open_at::<T>(app, common)?;
    let Opened { mut oracle, inner, x, data_seed, .. } = opened.told();
    let steps = common.steps.unwrap_or(entry.steps.min(STEPS));
    let inner = InnerLoop::new(steps, inner.lr()).map_err(Failure::usage)?;
    common.saved(atomic::prepare_dir)?;
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
        Fields([
            ("problem", json!(entry.name)),
            ("dtype", json!(T::NAME)),
            ("steps", json!(steps)),
            ("lr", json!(inner.lr())),
            ("seed", json!(common.seed)),
            ("data_seed", json!(data_seed)),
            ("check", json!(check.name)),
            ("observed", json!(check.observed)),
            ("allowed", json!(check.allowed)),
            ("verdict", json!(verdict)),
            ("note", json!(note)),
            ("meaning", json!(check.meaning)),
        ])
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    common.saved(|folder| atomic::json(&folder.join("check.json"), &rows))?;
    if common.json {
        say_json(out, &rows)?;
    } else {
        let place = if common.at.is_some() { "at the given point" } else { "near the start" };
        let (name, lr, dtype) = (&entry.name, inner.lr(), T::NAME);
        say(out, format!("{name}: {steps} steps, lr {lr}, {dtype}, {place}"))?;
        say(out, table(&checks))?;
        for failed in checks.iter().filter(|check| check.failed()) {
            say(out, format!("{}: {}", failed.name, failed.meaning))?;
        }
    }
    let failed: Vec<&str> = checks.iter().filter(|c| c.failed()).map(|c| c.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let (failed_count, all) = (failed.len(), checks.len());
    Err(Failure::run(format!("{failed_count} of {all} checks failed: {}", failed.join(", "))))
}

fn table(checks: &[Check]) -> Table {
    let columns: &[Column<Check>] = &[
        ("check", &|check| check.name.to_owned()),
        (">observed", &|check| known(finite(check.observed), 2)),
        (">allowed", &|check| known(finite(check.allowed), 2)),
        ("result", &|check| match check.verdict {
            Verdict::Passed => "ok".to_owned(),
            Verdict::Failed => "FAILED".to_owned(),
            Verdict::Skipped(why) => format!("skipped: {why}"),
            Verdict::Noted(what) => what.to_owned(),
        }),
    ];
    Table::of(checks, columns)
}
