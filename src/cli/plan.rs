//! `hypertape plan`: schedules that fit into a memory budget, fastest first, and unbiased estimators by the product of
//! their time and second moment, with a recommendation.

use serde::Serialize;

use super::app::{App, Precise};
use super::args::Plan;
use super::failure::{Failure, Out, say, say_json};
use super::point::{self, Opened};
use super::table::{Column, Table, bytes, finite, known, seconds, significant};
use crate::{Alternative, Draw, Weighed, plan, weigh};

/// One schedule, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    problem: String,
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

/// One estimator, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Worth {
    problem: String,
    estimator: String,
    schedule: Option<String>,
    bytes_predicted: u64,
    seconds_predicted: f64,
    second_moment: f64,
    standard_error: f64,
    /// Time times second moment.
    product: f64,
    /// `product` divided by that of the exact gradient.
    relative: f64,
}

pub(crate) fn run<T: Precise>(app: &App, options: &Plan, out: Out) -> Result<(), Failure> {
    let common = &options.common;
    let (entry, mut opened) = point::open_at::<T>(app, common)?;
    let steps = opened.inner.steps();
    let estimator =
        T::registry(app).estimators.parse(&options.estimator).map_err(Failure::usage)?;
    let profile = opened.profile()?;
    let memory = common.memory.unwrap_or(u64::MAX);
    let Opened { oracle, inner, x, .. } = &mut opened;
    let found = plan(&*estimator, oracle, inner, &profile, memory).map_err(Failure::run)?;
    let draws: Vec<_> = (0..options.draws).map(|k| Draw::new(common.seed, k)).collect();
    let [weighed, lost] = match &draws[..] {
        [] => Default::default(),
        draws => weigh(oracle, inner, x, &profile, memory, draws).map_err(Failure::run)?,
    };
    if !lost.is_empty() {
        let names: Vec<_> = lost.iter().map(|w| w.estimator.name()).collect();
        opened.notes.push(format!("left out, as their E|G|^2 overflows: {}", names.join(", ")));
    }
    opened.told();
    let exact =
        weighed.iter().find(|w| w.estimator.name() == "exact").map_or(1.0, Weighed::product);
    let worth = |w: &Weighed<T>| Worth {
        problem: entry.name.clone(),
        estimator: w.estimator.name(),
        schedule: w.estimator.schedule().map(|schedule| schedule.to_string()),
        bytes_predicted: w.bytes,
        seconds_predicted: w.seconds,
        second_moment: w.second_moment,
        standard_error: w.standard_error,
        product: w.product(),
        relative: w.product() / exact,
    };
    let worths: Vec<_> = weighed.iter().map(worth).collect();
    if common.json {
        for Alternative { schedule, counts, bytes, seconds, .. } in &found {
            let row = Row {
                problem: entry.name.clone(),
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
            say_json(out, [&row])?;
        }
        return say_json(out, &worths);
    }
    let budget = common.memory.map_or("any memory".into(), bytes);
    say(out, format!("{}: {steps} steps, {}, within {budget}", entry.name, T::NAME))?;
    schedules(&found, out)?;
    match &worths[..] {
        [] => Ok(()),
        worths => compared(worths, out),
    }
}

fn schedules(found: &[Alternative], out: Out) -> Result<(), Failure> {
    let columns: &[Column<Alternative>] = &[
        ("schedule", &|a| a.schedule.to_string()),
        (">plain steps", &|a| a.counts.plain_steps.to_string()),
        (">states", &|a| a.counts.ram.slots.to_string()),
        (">on disk", &|a| a.counts.disk.slots.to_string()),
        (">tapes", &|a| a.counts.tapes.slots.to_string()),
        (">bytes", &|a| bytes(a.bytes)),
        (">time", &|a| seconds(a.seconds)),
    ];
    say(out, Table::of(found, columns))?;
    let Some(best) = found.first() else { return Ok(()) };
    let largest = found.iter().all(|a| a.bytes <= best.bytes);
    let more = if largest { "" } else { ", and taking more memory would not save time" };
    let Alternative { schedule, bytes: needed, seconds: time, .. } = best;
    let price = format!("{}, {}", seconds(*time), bytes(*needed));
    say(out, format!("recommended schedule: {schedule}, the fastest that fits ({price}){more}"))
}

fn compared(worths: &[Worth], out: Out) -> Result<(), Failure> {
    let columns: &[Column<Worth>] = &[
        ("estimator", &|w| w.estimator.clone()),
        ("schedule", &|w| w.schedule.clone().unwrap_or_else(|| "-".into())),
        (">bytes", &|w| bytes(w.bytes_predicted)),
        (">time", &|w| seconds(w.seconds_predicted)),
        (">E|G|^2", &|w| match (significant(w.second_moment, 3), w.standard_error) {
            (moment, 0.0) => moment,
            (moment, error) if error.is_infinite() => format!("{moment}, by one draw"),
            (moment, error) => format!("{moment} +- {}", significant(error, 1)),
        }),
        (">time x E|G|^2 of exact", &|w| known(finite(w.relative), 3)),
    ];
    say(out, format!("\n{}", Table::of(worths, columns)))?;
    let [best, exact] = [Some(&worths[0]), worths.iter().find(|w| w.estimator == "exact")];
    let (Some(best), Some(exact)) = (best, exact) else { return Ok(()) };
    let part = |of: f64, whole: f64| significant(of / whole, 3);
    let why = if best.estimator == exact.estimator {
        match worths.iter().find(|w| w.estimator != "exact") {
            Some(next) if next.relative.is_finite() => format!(
                "no other saves a fifth of time x E|G|^2; the next best, {}, takes {} of it",
                next.estimator,
                significant(next.relative, 3)
            ),
            _ => "the only one that fits".to_owned(),
        }
    } else {
        let time = part(best.seconds_predicted, exact.seconds_predicted);
        let moment = part(best.second_moment, exact.second_moment);
        format!(
            "{time} of the time of exact and {moment} of its E|G|^2, together {}",
            significant(best.relative, 3)
        )
    };
    say(out, format!("recommended estimator: {}, {why}", best.estimator))
}
