//! Lists of names: `hypertape problems`, `hypertape estimators` and others.

use std::path::Path;

use crate::args::{Explained, Problems};
use crate::failure::{Failure, Out, say};
use crate::point::named;
use crate::table::{Column, Table};
use hypertape_problems::{Entry, Labels, Setting};
use hypertape_solver::{About, Described, Spelling, Spellings};

/// Prints one line per problem, or the settings of one.
pub(crate) fn problems(catalogue: &[Entry], options: &Problems, out: Out) -> Result<(), Failure> {
    if let Some(name) = &options.problem {
        return problem(&named(catalogue, name, Path::new(""))?, out);
    }
    let columns: &[Column<Entry>] =
        &[("problem", &|e| e.name.clone()), ("description", &|e| e.summary.clone())];
    say(out, Table::of(catalogue, columns))
}

/// Describes a problem: its defaults, the samples that it takes, and one line for each of its settings.
fn problem(entry: &Entry, out: Out) -> Result<(), Failure> {
    let Entry { name, summary, steps, lr, iterations, .. } = entry;
    let seed =
        entry.data_seed.map_or_else(|| "fixed data".into(), |seed| format!("data seed {seed}"));
    let outer = entry.outer.to_string();
    say(out, format!("{name}: {summary}"))?;
    say(out, format!("{steps} steps, lr {lr}, {iterations} iterations of {outer}, {seed}"))?;
    match entry.samples {
        Some(Labels::Classes) => say(out, "--train: samples whose labels are classes")?,
        Some(Labels::Numbers) => say(out, "--train: samples whose labels are numbers")?,
        Some(Labels::Images) => {
            say(out, "--train: images in one folder per class, or in a zip archive")?;
        }
        None => {}
    }
    if entry.open_f32.is_none() {
        say(out, "--dtype: f64 only")?;
    }
    let setting = |Setting { name, default, kind, help, .. }: &Setting| {
        [(*name).to_owned(), default.clone(), kind.to_string(), (*help).to_owned()]
    };
    let first = entry.all_settings().next().map(|s| format!("{}={}", s.name, s.default));
    settings(name, entry.all_settings().map(setting).collect(), first.as_slice(), out)
}

/// Prints one line per setting of `name`, with its name, default, accepted values and description, and then an example.
fn settings(name: &str, rows: Vec<[String; 4]>, given: &[String], out: Out) -> Result<(), Failure> {
    if rows.is_empty() {
        return say(out, "no settings");
    }
    say(out, Table::new(["setting", "default", "expected", "description"]).with(rows))?;
    if given.is_empty() { Ok(()) } else { say(out, format!("Example: {name}:{}", given.join(","))) }
}

/// Prints one line per choice of a kind, or the settings of one.
pub(crate) fn choices<M>(
    all: &Spellings<M>,
    Explained { name }: &Explained,
    out: Out,
) -> Result<(), Failure> {
    let price = match all.kind() {
        "algorithm" => "cost of an iteration",
        "rule" => "memory",
        _ => "cost for r steps",
    };
    if let Some(name) = name {
        return explain(all.find(name).map_err(Failure::usage)?, price, out);
    }
    let lines = all.lines().iter().map(|line| [line.about().name, line.about().summary]);
    say(out, Table::new([all.kind(), "description"]).with(lines))
}

/// Describes a choice, with one line for each of its settings.
fn explain<M>(line: &Spelling<M>, price: &str, out: Out) -> Result<(), Failure> {
    let (About { name, summary, cost }, settings) = (line.about(), line.settings());
    say(out, format!("{name}: {summary}"))?;
    if !cost.is_empty() {
        say(out, format!("{price}: {cost}"))?;
    }
    let typed = |s: &Described| s.value.as_ref().map(|value| format!("{}={value}", s.name));
    let mut given: Vec<_> = settings.iter().filter(|s| s.needed).filter_map(typed).collect();
    if given.is_empty() {
        given = settings.iter().filter_map(typed).take(1).collect();
    }
    let row = |Described { name, value, needed, expected, help, .. }: Described| {
        let default = value.filter(|_| !needed).unwrap_or_else(|| "-".into());
        [name.to_owned(), default, expected, help.to_owned()]
    };
    self::settings(name, settings.into_iter().map(row).collect(), &given, out)
}
