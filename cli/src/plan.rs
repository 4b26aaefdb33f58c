//! `hypertape plan`: schedules that fit into a memory budget, fastest first, and unbiased estimators by the product of
//! their time and second moment, with a recommendation.

use serde_json::json;

use crate::app::{App, Precise};
use crate::args::Plan;
use crate::failure::{Failure, Fields, Out, say, say_json};
use crate::point::{self, Opened};
use crate::table::{Column, Table, bytes, finite, known, seconds, significant};
use hypertape_solver::{Alternative, Draw, Weighed, plan, weigh};

pub(crate) fn run<T: Precise>(app: &App, options: &Plan, out: Out) -> Result<(), Failure> {
    let common = &options.common;
    if common.schedule.is_some() {
        return Err(Failure::usage("--schedule: plan compares all schedules, expected none"));
    }
    if common.save.is_some() {
        return Err(Failure::usage(
            "--save: plan writes no files, expected --json and a file for its output",
        ));
    }
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
    let exact = weighed.iter().find(|w| is_exact(w)).map_or(1.0, Weighed::product);
    if common.json {
        let row = |a: &Alternative| {
            Fields([
                ("problem", json!(entry.name)),
                ("schedule", json!(a.schedule.to_string())),
                ("dtype", json!(T::NAME)),
                ("steps", json!(steps)),
                ("threads", json!(common.threads)),
                ("memory", json!(common.memory)),
                ("plain_steps", json!(a.counts.plain_steps)),
                ("states", json!(a.counts.ram.slots)),
                ("states_on_disk", json!(a.counts.disk.slots)),
                ("tapes", json!(a.counts.tapes.slots)),
                ("bytes_predicted", json!(a.bytes)),
                ("seconds_predicted", json!(a.seconds)),
            ])
        };
        let worth = |w: &Weighed<T>| {
            Fields([
                ("problem", json!(entry.name)),
                ("estimator", json!(w.estimator.name())),
                ("schedule", json!(w.estimator.schedule().map(|schedule| schedule.to_string()))),
                ("bytes_predicted", json!(w.bytes)),
                ("seconds_predicted", json!(w.seconds)),
                ("second_moment", json!(w.second_moment)),
                ("standard_error", json!(w.standard_error)),
                ("product", json!(w.product())),
                ("relative", json!(w.product() / exact)),
            ])
        };
        say_json(out, &found.iter().map(row).collect::<Vec<_>>())?;
        return say_json(out, &weighed.iter().map(worth).collect::<Vec<_>>());
    }
    let budget = common.memory.map_or("any memory".into(), bytes);
    say(out, format!("{}: {steps} steps, {}, within {budget}", entry.name, T::NAME))?;
    schedules(&found, out)?;
    match &weighed[..] {
        [] => Ok(()),
        weighed => compared(weighed, exact, out),
    }
}

fn is_exact<T: Precise>(weighed: &Weighed<T>) -> bool {
    weighed.estimator.name() == "exact"
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

fn compared<T: Precise>(weighed: &[Weighed<T>], exact: f64, out: Out) -> Result<(), Failure> {
    let relative = |w: &Weighed<T>| w.product() / exact;
    let columns: &[Column<Weighed<T>>] = &[
        ("estimator", &|w| w.estimator.name()),
        ("schedule", &|w| w.estimator.schedule().map_or_else(|| "-".into(), |s| s.to_string())),
        (">bytes", &|w| bytes(w.bytes)),
        (">time", &|w| seconds(w.seconds)),
        (">E|G|^2", &|w| match (significant(w.second_moment, 3), w.standard_error) {
            (moment, 0.0) => moment,
            (moment, error) if error.is_infinite() => format!("{moment}, by one draw"),
            (moment, error) => format!("{moment} +- {}", significant(error, 1)),
        }),
        (">time x E|G|^2 of exact", &|w| known(finite(relative(w)), 3)),
    ];
    say(out, format!("\n{}", Table::of(weighed, columns)))?;
    let best = &weighed[0];
    let Some(exact) = weighed.iter().find(|w| is_exact(w)) else { return Ok(()) };
    let part = |of: f64, whole: f64| significant(of / whole, 3);
    let why = if is_exact(best) {
        match weighed.iter().find(|w| !is_exact(w)) {
            Some(next) if relative(next).is_finite() => format!(
                "no other saves a fifth of time x E|G|^2; the next best, {}, takes {} of it",
                next.estimator.name(),
                significant(relative(next), 3)
            ),
            _ => "the only one that fits".to_owned(),
        }
    } else {
        let time = part(best.seconds, exact.seconds);
        let moment = part(best.second_moment, exact.second_moment);
        format!(
            "{time} of the time of exact and {moment} of its E|G|^2, together {}",
            significant(relative(best), 3)
        )
    };
    say(out, format!("recommended estimator: {}, {why}", best.estimator.name()))
}
