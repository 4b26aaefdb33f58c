//! `hypertape problems` and `hypertape estimators`.

use std::io::Write;

use super::args::Problems;
use super::failure::{Failure, say};
use super::table::{Align, Table};
use super::{estimators, names};
use crate::problems::{Entry, Labels, Setting};

/// One line a problem, or the settings of one.
pub(crate) fn problems(
    catalogue: &[Entry],
    options: &Problems,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let Some(name) = &options.problem {
        return problem(names::find("problem", name, catalogue, |e| &e.name)?, out);
    }
    let mut table = Table::new(&[
        ("problem", Align::Left),
        ("steps", Align::Right),
        ("lr", Align::Right),
        ("outer", Align::Left),
        ("iterations", Align::Right),
        ("data seed", Align::Right),
        ("what it is", Align::Left),
    ]);
    for entry in catalogue {
        table.push([
            entry.name.clone(),
            entry.steps.to_string(),
            entry.lr.to_string(),
            entry.outer.to_string(),
            entry.iterations.to_string(),
            entry.data_seed.map_or_else(|| "-".into(), |s| s.to_string()),
            entry.summary.to_owned(),
        ]);
    }
    say(out, table)
}

/// What can be said about a problem: its defaults, the samples that it takes, and a line for each of its settings.
fn problem(entry: &Entry, out: &mut dyn Write) -> Result<(), Failure> {
    let Entry { name, summary, steps, lr, iterations, .. } = entry;
    let seed =
        entry.data_seed.map_or_else(|| "fixed data".into(), |seed| format!("data seed {seed}"));
    let outer = entry.outer.to_string();
    say(out, format!("{name}: {summary}"))?;
    say(out, format!("{steps} steps, lr {lr}, {iterations} iterations of {outer}, {seed}"))?;
    match entry.samples {
        Some(Labels::Classes) => say(out, "--train: samples whose labels are classes")?,
        Some(Labels::Numbers) => say(out, "--train: samples whose labels are numbers")?,
        None => {}
    }
    if entry.open_f32.is_none() {
        say(out, "--dtype: f64")?;
    }
    if entry.settings.is_empty() {
        return Ok(());
    }
    let columns = ["setting", "default", "expected", "what it is"];
    let mut table = Table::new(&columns.map(|c| (c, Align::Left)));
    for setting in &entry.settings {
        let Setting { name, default, kind, help, .. } = setting;
        table.push([(*name).to_owned(), default.clone(), kind.to_string(), (*help).to_owned()]);
    }
    say(out, table)?;
    let first = &entry.settings[0];
    say(out, format!("Given as {name}:{}={},...", first.name, first.default))
}

/// One line an estimator.
pub(crate) fn estimators(out: &mut dyn Write) -> Result<(), Failure> {
    let columns = ["estimator", "settings", "cost for r steps", "what it is"];
    let mut table = Table::new(&columns.map(|c| (c, Align::Left)));
    for e in estimators::ALL {
        table.push([e.name, e.settings, e.cost, e.summary]);
    }
    say(out, table)
}
