//! `plan`: schedules that fit into a memory budget, fastest first, and which to take.

use std::io::Write;

use serde::Serialize;

use super::args::Plan;
use super::failure::{Failure, say};
use super::point;
use super::table::{Align, Table, bytes, seconds};
use super::{estimators, gradient};
use crate::problems::{Entry, Precision};
use crate::{Alternative, Schedule};

/// One alternative, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    problem: &'static str,
    schedule: String,
    dtype: &'static str,
    steps: usize,
    threads: usize,
    memory: Option<u64>,
    plain_steps: usize,
    states: usize,
    states_on_disk: usize,
    tapes: usize,
    bytes_predicted: u64,
    seconds_predicted: f64,
}

pub(crate) fn run<T: Precision>(
    catalogue: &[Entry],
    options: &Plan,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let common = &options.common;
    let entry = point::entry(catalogue, common)?;
    let mut opened = point::open::<T>(entry, common, 0)?;
    let steps = opened.inner.steps();
    let estimator = estimators::parse::<T>(&options.estimator, steps, Schedule::default())?;
    let found = point::alternatives(&mut opened, &*estimator, common)?;
    if common.json {
        for Alternative { schedule, counts, bytes, seconds, .. } in &found {
            let row = Row {
                problem: entry.name,
                schedule: schedule.to_string(),
                dtype: T::NAME,
                steps,
                threads: common.threads,
                memory: common.memory,
                plain_steps: counts.plain_steps,
                states: counts.ram.slots,
                states_on_disk: counts.disk.slots,
                tapes: counts.tapes.slots,
                bytes_predicted: *bytes,
                seconds_predicted: *seconds,
            };
            say(out, gradient::json(&row)?)?;
        }
        return Ok(());
    }
    let budget = common.memory.map_or("any memory".into(), bytes);
    say(out, format!("{}: {steps} steps, {}, within {budget}", entry.name, T::NAME))?;
    let right = ["plain steps", "states", "on disk", "tapes", "bytes", "time"];
    let mut columns = vec![("schedule", Align::Left)];
    columns.extend(right.map(|name| (name, Align::Right)));
    let mut table = Table::new(&columns);
    for Alternative { schedule, counts, bytes: needed, seconds: time, .. } in &found {
        table.push([
            schedule.to_string(),
            counts.plain_steps.to_string(),
            counts.ram.slots.to_string(),
            counts.disk.slots.to_string(),
            counts.tapes.slots.to_string(),
            bytes(*needed),
            seconds(*time),
        ]);
    }
    say(out, table)?;
    let Some(best) = found.first() else { return Ok(()) };
    let dear = found.iter().max_by_key(|a| a.bytes).map_or(best.bytes, |a| a.bytes);
    let why = match best.schedule {
        _ if best.bytes == dear => "the fastest, and it needs all that fits",
        Schedule::StoreAll { .. } => "every state fits, and nothing is computed twice",
        _ => "the fastest: what takes more bytes does not save time here",
    };
    let Alternative { schedule, bytes: needed, seconds: time, .. } = best;
    say(out, format!("use {schedule}: {why} ({}, {})", seconds(*time), bytes(*needed)))
}
