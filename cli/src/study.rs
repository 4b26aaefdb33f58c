//! `hypertape study` and `hypertape compare`: the cells of a grid, each run in separate processes, recorded as soon as
//! they are finished, tabulated over seeds and plotted.

mod cell;
mod child;
mod course;
mod figures;
mod file;
mod growth;
mod page;
mod plot;
mod records;
mod summary;
mod work;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use indexmap::IndexMap;

use crate::app::{App, Precise};
use crate::args::{Common, Compare, Part, Study as Options, in_precision};
use crate::atomic;
use crate::failure::{Failure, Out, json, say};
use crate::run::progress;
use crate::{point, table};
use cell::Task;
use child::Turns;
use file::Study;
use records::{Origin, Recorded, Records, bits_of_data};

/// The study that runs without a file, if the catalogue has its problem: the name of the problem, and the name and text
/// of the study.
const OF_DEFAULT: &str = "digits-clean";
const DEFAULT: (&str, &str) = ("digits.toml", include_str!("study/digits.toml"));

/// Runs the command.
pub(crate) fn run(app: &App, options: &Options, out: Out) -> Result<(), Failure> {
    match &options.part {
        Some(Part::Cell) => work::serve(app, out),
        Some(Part::Merge { folders, out: folder }) => {
            let (study, records, notes) = records::merge(folders, folder, app)?;
            tell(&study, &records, out)?;
            Failure::of_all(&notes)
        }
        Some(Part::Report { folder }) => {
            let (study, records) = Records::load(folder, app)?;
            tell(&study, &records, out)
        }
        None => cells(app, options, out),
    }
}

fn cells(app: &App, options: &Options, out: Out) -> Result<(), Failure> {
    let (file, study) = match &options.file {
        Some(file) => (file.as_path(), file::read(file, app)?),
        None if !app.catalogue.iter().any(|entry| entry.name == OF_DEFAULT) => {
            return Err(Failure::usage("study needs a FILE of grids, for example study.toml"));
        }
        None => (Path::new(DEFAULT.0), file::parse(DEFAULT.0.as_ref(), DEFAULT.1.into(), app)?),
    };
    let own = || Path::new("hypertape-study").join(file.file_stem().unwrap_or_default());
    let folder = options.out.clone().unwrap_or_else(own);
    let (shard, shards) = options.shard.unwrap_or((1, 1));
    let mine: Vec<usize> = (shard - 1..study.cells.len()).step_by(shards).collect();
    if options.dry_run {
        return estimate(app, &study, &mine, options, out);
    }
    let mut records = Records::open(&folder, &study, file)?;
    unchanged(app, &study, &records)?;
    let forgotten = records.forget_failures(&mine);
    let missing = records.missing(&study.cells, &mine)?;
    let (all, spared) = (mine.len(), records.spared(&study.cells, &mine)?);
    let known = all - missing.len() - spared;
    let spared = match spared {
        0 => String::new(),
        n => format!(", {n} not needed: other seeds of what is not random"),
    };
    let again = match missing.iter().filter(|i| forgotten.contains(i)).count() {
        0 => String::new(),
        n => format!(", {n} run again after a failure"),
    };
    // A study says how much it is about to do even if nobody reads its output.
    let _ = writeln!(io::stderr(), "{all} cells, {known} of them already recorded{spared}{again}");
    // One seed of each combination comes first: the other seeds are not run if nothing is random.
    let mut first = IndexMap::new();
    for &i in &missing {
        first.entry(study.cells[i].key_of_seeds()?).or_insert(i);
    }
    let first: Vec<_> = first.into_values().collect();
    run_all(app, &study, &first, options, &mut records)?;
    run_all(app, &study, &records.missing(&study.cells, &missing)?, options, &mut records)?;
    tell(&study, &records, out)?;
    let outcomes = mine.iter().filter_map(|&i| records.slots[i].as_ref());
    let troubles: Vec<_> = outcomes.filter_map(|r| r.outcome.as_ref().err()).collect();
    match troubles.first() {
        None => Ok(()),
        Some(first) => Err(Failure::run(format!(
            "{} of {all} cells failed, see {}; the first: {}",
            troubles.len(),
            folder.join("records.jsonl").display(),
            first.error
        ))),
    }
}

/// Refuses to continue with records of files that have changed since. What cannot be opened any more is left alone.
fn unchanged(app: &App, study: &Study, records: &Records) -> Result<(), Failure> {
    let (here, mut seen) = (Origin::here(1), HashSet::new());
    for (i, (cell, slot)) in study.cells.iter().zip(&records.slots).enumerate() {
        let Some(Recorded { outcome: Ok(done), origin, .. }) = slot else { continue };
        let common = &cell.run.common;
        let Some(file) = &common.data.train else { continue };
        let of = bits_of_data(cell, &here);
        if bits_of_data(cell, origin) == of
            && seen.insert(of)
            && let Ok(hash) = in_precision!(common.dtype, hash(app, common))
            && hash != done.data_hash
        {
            let (cell, folder) = (i + 1, records.folder.display());
            let why = format!(
                "the data of {file} has changed since cell {cell} was recorded in {folder}"
            );
            return Err(Failure::usage(why + ": give another --out, or remove that folder"));
        }
    }
    Ok(())
}

fn hash<T: Precise>(app: &App, common: &Common) -> Result<String, Failure> {
    let mut opened = point::open::<T>(app, &point::entry(app, common)?, common, 0)?;
    point::data_hash(&mut opened.oracle, 0).map_err(Failure::run)
}

/// Runs cells in the order of the grid, `--jobs` at a time, until all are recorded or one cannot be recorded.
fn run_all(
    app: &App,
    study: &Study,
    missing: &[usize],
    options: &Options,
    records: &mut Records,
) -> Result<(), Failure> {
    let length = |i: usize| study.cells[i].iterations().max(1);
    let bar = progress(missing.iter().map(|&i| length(i)).fold(0, usize::saturating_add));
    let (next, turns) = (AtomicUsize::new(0), Turns::default());
    let records = Mutex::new(records);
    let work = || -> Result<(), Failure> {
        while let Some(&i) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = &study.cells[i];
            let outcome = child::run(app, cell, options, &turns)?;
            let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
            records.add(&study.cells, i, outcome, options.jobs)?;
            bar.inc(length(i) as u64);
            bar.set_message(format!("{} {}", cell.run.common.problem, cell.estimator()));
        }
        Ok(())
    };
    let work = || work().inspect_err(|_| next.store(missing.len(), Ordering::Relaxed));
    let ended = thread::scope(|scope| {
        let others = 1..options.jobs.min(missing.len());
        let others: Vec<_> = others.map(|_| scope.spawn(work)).collect();
        let joined =
            others.into_iter().map(|other| other.join().unwrap_or_else(|e| resume_unwind(e)));
        work().and(joined.collect())
    });
    bar.finish_and_clear();
    ended
}

/// Prints the number of cells and the estimated time that they take, from one short measurement per kind of cell.
fn estimate(
    app: &App,
    study: &Study,
    mine: &[usize],
    options: &Options,
    out: Out,
) -> Result<(), Failure> {
    let (mut known, mut alone, mut shared) = (HashMap::new(), 0.0, 0.0);
    for &i in mine {
        let cell = &study.cells[i];
        let mut kind = cell.clone();
        (kind.run.common.seed, kind.run.iterations, kind.run.record_every) = (0, None, None);
        let key = json(&kind)?;
        let each = if let Some(&each) = known.get(&key) {
            each
        } else {
            let seconds = child::ask(app, cell, Task::Probe, options)?;
            // A cell that fails immediately takes no time.
            seconds.map_or(0.0, |seconds: f64| *known.entry(key).or_insert(seconds))
        };
        let (mut once, common) = (cell.iterations().max(1) as f64, &cell.run.common);
        if let (Some(calls), Some(steps)) = (cell.run.oracle_calls, common.steps) {
            // The cheapest iteration takes one gradient per step.
            once = once.min(calls as f64 / steps.max(1) as f64);
        }
        once = once.min(cell.run.time.unwrap_or(f64::INFINITY) / each);
        shared += each * (once + 2.0 * cell.draws as f64);
        alone += each * once * cell.repeats.unwrap_or_default() as f64;
    }
    let whole = alone + shared / options.jobs as f64;
    let text = format!("{} cells, about {}", mine.len(), table::seconds(whole));
    say(out, text + ", starts of processes and evaluations for the record not counted")
}

/// Prints the table and the path of the report, and writes `records.csv`, `report.md`, `report.html` and the figures
/// next to the records.
fn tell(study: &Study, records: &Records, out: Out) -> Result<(), Failure> {
    let groups = summary::groups(&study.cells, records)?;
    let table = summary::table(&groups);
    records.write_csv()?;
    let warnings = summary::warnings(&groups);
    let (mut figures, best) = figures::all(study, &groups);
    let lines = growth::lines(&groups);
    figures.extend(growth::figures(&lines));
    let grown = Some(growth::table(&lines)).filter(|_| !lines.is_empty());
    let more = [("Best settings", best), ("Cost as work grows", grown)];
    let more: Vec<_> = more.into_iter().filter_map(|(what, table)| Some((what, table?))).collect();
    let tables = page::Tables { all: &table, more: &more, warnings: &warnings };
    page::write(study, records, &figures, tables)?;
    if let Some(title) = &study.title {
        say(out, title)?;
    }
    say(out, &table)?;
    for (_, table) in &more {
        say(out, format!("\n{table}\n"))?;
    }
    warnings.iter().try_for_each(|line| say(out, line))?;
    say(out, format!("report: {}", records.folder.join("report.html").display()))
}

/// Compares the cells that two studies have in common.
pub(crate) fn compare(app: &App, options: &Compare, out: Out) -> Result<(), Failure> {
    let (study, mut before) = Records::load(&options.before, app)?;
    let (other, mut after) = Records::load(&options.after, app)?;
    let spared = before.spared(&study.cells, &(0..study.cells.len()).collect::<Vec<_>>())?;
    let keys = other.cells.iter().zip(after.slots).map(|(cell, slot)| Ok((cell.key()?, slot)));
    let mut theirs: HashMap<String, _> = keys.collect::<Result<_, Failure>>()?;
    let ours = study.cells.iter().map(|cell| Ok(theirs.remove(&cell.key()?).flatten()));
    after.slots = ours.collect::<Result<_, Failure>>()?;
    let mut both = 0;
    for (a, b) in before.slots.iter_mut().zip(&mut after.slots) {
        if a.is_some() && b.is_some() {
            both += 1;
        } else {
            (*a, *b) = (None, None);
        }
    }
    if both == 0 {
        let (a, b) = (options.before.display(), options.after.display());
        return Err(Failure::usage(format!("found no cell that {a} and {b} share")));
    }
    let found = summary::compared(&study.cells, [&before, &after], options.slower)?;
    say(out, &found.table)?;
    let others = study.cells.len() - both - spared;
    let spared = match spared {
        0 => String::new(),
        n => format!("; {n} were not needed: other seeds of what is not random"),
    };
    let told = format!("{both} cells compared, {others} cells of the first are not in both");
    let told = told + &spared;
    say(out, &told)?;
    if let Some(file) = &options.page {
        let folders = [&options.before, &options.after].map(|folder| folder.display().to_string());
        let text = page::comparison(&folders, [&before, &after], &told, &found);
        atomic::write(file, |w| Ok(w.write_all(text.as_bytes())?))
            .map_err(|e| Failure::run(format!("--page: {e}")))?;
    }
    match found.worse {
        0 => Ok(()),
        n => Err(Failure::run(format!("{n} rows are worse than before"))),
    }
}
