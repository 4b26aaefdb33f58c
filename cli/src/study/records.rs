//! `DIR/records.jsonl`: one line per cell, in the order of the grid. The whole file is replaced after each cell.
//!
//! A study that was stopped therefore leaves a file of complete records, and the next start runs only the missing
//! cells. The file of the study is saved in the same folder, so that the order, the missing cells and the report can be
//! derived from the folder alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cell::{Cell, Done, Trouble};
use super::file::{self, Study};
use crate::app::App;
use crate::atomic;
use crate::failure::{Failure, json};
use hypertape_autodiff::simd;

/// Where and when a record was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) version: String,
    /// The instruction set, on which the bits depend.
    pub(super) instructions: String,
    pub(super) machine: String,
    cores: usize,
    /// Number of cells that ran at the same time, which disturbs times that were measured while counting.
    jobs: usize,
    /// Seconds since 1970, by the system clock. Durations use the monotonic clock.
    finished: u64,
}

impl Origin {
    pub(super) fn here(jobs: usize) -> Self {
        let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = model.lines().find_map(|line| line.strip_prefix("model name"));
        let model =
            model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: simd().name().to_owned(),
            machine: format!("{model}, {os} {arch}"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            jobs,
            finished: since.map_or(0, |since| since.as_secs()),
        }
    }
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    cell: &'a Cell,
    #[serde(flatten)]
    done: Option<&'a Done>,
    #[serde(flatten)]
    trouble: Option<&'a Trouble>,
    #[serde(flatten)]
    origin: Origin,
}

/// A recorded cell. Its line is kept as it was read, so that it does not change when later cells are written.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) line: String,
    pub(super) outcome: Result<Done, Trouble>,
    pub(super) origin: Origin,
}

impl Recorded {
    /// Whether the cell would have the same outcome if it was run again.
    fn stays(&self) -> bool {
        self.outcome.as_ref().map_or_else(Trouble::repeats, |_| true)
    }
}

/// The records of a study: one slot per cell, in the order of the grid.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) folder: PathBuf,
    pub(super) slots: Vec<Option<Recorded>>,
    /// Held as long as this value lives, so that no two processes write to the same folder.
    _lock: Option<File>,
}

impl Records {
    /// Reads what an earlier start of the same study left in `folder`, which is created if necessary and locked.
    ///
    /// # Errors
    /// Returns an error if another process holds the folder, and a usage error that names the line if a line is not a
    /// record or not of this study. In this case the results of another study are in the folder and would be lost.
    pub(super) fn open(folder: &Path, study: &Study, file: &Path) -> Result<Self, Failure> {
        let lock = atomic::lock(folder, "runs a study").map_err(Failure::of("--out"))?;
        let records = Self { _lock: lock, ..Self::read(folder, study, file)? };
        records.write("study.toml", &study.text)?;
        Ok(records)
    }

    /// Reads a folder and its study, without changing it.
    ///
    /// # Errors
    /// Returns a usage error if there is no study, and otherwise the errors of [`open`](Self::open).
    pub(super) fn load(folder: &Path, app: &App) -> Result<(Study, Self), Failure> {
        let file = folder.join("study.toml");
        if !file.exists() {
            let why = "not the folder of a study, which holds study.toml";
            return Err(Failure::usage(format!("{}: {why}", folder.display())));
        }
        let study = file::read(&file, app)?;
        let records = Self::read(folder, &study, &file)?;
        Ok((study, records))
    }

    fn read(folder: &Path, study: &Study, file: &Path) -> Result<Self, Failure> {
        let path = folder.join("records.jsonl");
        let told = |e: &dyn std::fmt::Display| Failure::run(format!("{}: {e}", path.display()));
        let bytes = match fs::metadata(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Ok(found) if !found.is_file() => return Err(told(&"found no regular file")),
            _ => fs::read(&path).map_err(|e| told(&e))?,
        };
        let keys = study.cells.iter().enumerate().map(|(i, cell)| Ok((cell.key()?, i)));
        let keys: HashMap<String, usize> = keys.collect::<Result<_, Failure>>()?;
        let mut slots: Vec<Option<Recorded>> = study.cells.iter().map(|_| None).collect();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let lines = lines.split(|&b| b == b'\n').filter(|_| !bytes.is_empty());
        for (i, line) in lines.enumerate() {
            let refuse = |why: String| {
                Failure::usage(format!("{}:{}: {why}; nothing was changed", path.display(), i + 1))
            };
            let (cell, recorded) =
                parse(line).map_err(|why| refuse(format!("not a record of a study: {why}")))?;
            let Some(&place) = keys.get(&cell.key()?) else {
                let common = &cell.run.common;
                return Err(refuse(format!(
                    "a cell ({}, {}, seed {}) that is not in {}, expected records of this study \
                     or another --out",
                    common.problem,
                    cell.estimator(),
                    common.seed,
                    file.display()
                )));
            };
            if slots[place].replace(recorded).is_some() {
                return Err(refuse("the same cell as on an earlier line".to_owned()));
            }
        }
        Ok(Self { folder: folder.to_owned(), slots, _lock: None })
    }

    /// Returns the cells of `among` that have to be run: those that are not recorded, unless seeds have no influence
    /// and the same cell is recorded with another seed.
    pub(super) fn missing(&self, cells: &[Cell], among: &[usize]) -> Result<Vec<usize>, Failure> {
        let keys: Vec<_> = cells.iter().map(Cell::key_of_seeds).collect::<Result<_, _>>()?;
        let settled = |slot: &Option<Recorded>| {
            slot.as_ref().is_some_and(|r| r.outcome.as_ref().is_ok_and(|done| !done.random))
        };
        let settled = keys.iter().zip(&self.slots).filter(|(_, slot)| settled(slot));
        let settled: HashSet<_> = settled.map(|(key, _)| key).collect();
        let missing = |i: &usize| self.slots[*i].is_none() && !settled.contains(&keys[*i]);
        Ok(among.iter().copied().filter(missing).collect())
    }

    /// Returns the number of cells of `among` that are neither recorded nor [missing](Self::missing): other seeds of what
    /// is not random.
    pub(super) fn spared(&self, cells: &[Cell], among: &[usize]) -> Result<usize, Failure> {
        let left = among.iter().filter(|&&i| self.slots[i].is_none()).count();
        Ok(left - self.missing(cells, among)?.len())
    }

    /// Removes the failures among `among` that need not repeat, so that their cells are missing, and returns these. The file
    /// keeps them until the next result is added.
    pub(super) fn forget_failures(&mut self, among: &[usize]) -> HashSet<usize> {
        let forget = |i: &usize| self.slots[*i].take_if(|recorded| !recorded.stays()).is_some();
        among.iter().copied().filter(forget).collect()
    }

    /// Adds a result and replaces the file.
    pub(super) fn add(
        &mut self,
        cells: &[Cell],
        place: usize,
        outcome: Result<Done, Trouble>,
        jobs: usize,
    ) -> Result<(), Failure> {
        let (origin, cell) = (Origin::here(jobs), &cells[place]);
        let (done, trouble) = (outcome.as_ref().ok(), outcome.as_ref().err());
        let line = json(&Line { cell, done, trouble, origin: origin.clone() })?;
        self.slots[place] = Some(Recorded { line, outcome, origin });
        if let Some(why) = other_data(cells, &self.slots).into_iter().next() {
            self.slots[place] = None;
            let why = format!(
                "{why}; nothing more was recorded, expected the same data or another --out"
            );
            return Err(Failure::run(why));
        }
        self.store()
    }

    pub(super) fn store(&self) -> Result<(), Failure> {
        let lines = self.slots.iter().flatten().map(|recorded| recorded.line.clone() + "\n");
        self.write("records.jsonl", &lines.collect::<String>())
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let written = atomic::write(&self.folder.join(name), |w| Ok(w.write_all(text.as_bytes())?));
        written.map_err(Failure::of("--out"))
    }

    /// Writes `records.csv`. It has a column for each number or text in any line, and `table.column` for those of a
    /// nested table, but no lists.
    pub(super) fn write_csv(&self) -> Result<(), Failure> {
        let (mut columns, mut rows) = (IndexSet::new(), Vec::new());
        for recorded in self.slots.iter().flatten() {
            let line: Map<String, Value> =
                serde_json::from_str(&recorded.line).map_err(Failure::run)?;
            let mut row = BTreeMap::new();
            for (key, value) in line {
                match value {
                    Value::Object(inner) => {
                        row.extend(inner.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
                    }
                    Value::Array(_) => {}
                    plain => drop(row.insert(key, plain)),
                }
            }
            columns.extend(row.keys().cloned());
            rows.push(row);
        }
        let text = |value: Option<&Value>| match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if text.contains([',', '"', '\n']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let mut table = line(columns.iter().cloned().collect());
        for row in rows {
            table += &line(columns.iter().map(|column| text(row.get(column))).collect());
        }
        self.write("records.csv", &table)
    }
}

/// Parses a line of the file, or returns the reason why it is not a record.
fn parse(line: &[u8]) -> Result<(Cell, Recorded), String> {
    // The position in serde's message counts lines within the record.
    let why = |e: serde_json::Error| {
        let text = e.to_string();
        text.split(" at line ").next().unwrap_or(&text).to_owned()
    };
    let line = str::from_utf8(line).map_err(|e| e.to_string())?;
    let cell = serde_json::from_str(line).map_err(why)?;
    let outcome = match serde_json::from_str(line) {
        Ok(trouble) => Err(trouble),
        Err(_) => Ok(serde_json::from_str(line).map_err(why)?),
    };
    let origin = serde_json::from_str(line).map_err(why)?;
    Ok((cell, Recorded { line: line.to_owned(), outcome, origin }))
}

/// Joins the records of folders of the same study, and notes which cells are missing or duplicate.
///
/// # Errors
/// Returns a usage error for folders of different studies, with the first line in which they differ, and for a cell for
/// which two folders have different results, or `out` has another one. No record is written in these cases.
pub(super) fn merge(
    folders: &[PathBuf],
    out: &Path,
    app: &App,
) -> Result<(Study, Records, Vec<String>), Failure> {
    let mut notes = Vec::new();
    let mut loaded = folders.iter().map(|folder| Records::load(folder, app));
    let (study, mut merged) =
        loaded.next().unwrap_or_else(|| Err(Failure::usage("found no folder")))?;
    for (folder, other) in folders[1..].iter().zip(loaded) {
        let (other, records) = other?;
        if other.text != study.text {
            return Err(Failure::usage(different(&study.text, &other.text, [&folders[0], folder])));
        }
        for (i, recorded) in records.slots.into_iter().enumerate() {
            let (Some(theirs), ours) = (recorded, &mut merged.slots[i]) else { continue };
            let Some(ours) = ours else {
                *ours = Some(theirs);
                continue;
            };
            let what = format!("cell {} is also in {}", i + 1, folder.display());
            if let Some(key) = difference(&ours.line, &theirs.line) {
                let why = format!("{what}, with another {key}; nothing was written");
                return Err(Failure::usage(why));
            }
            notes.push(format!("{what}, with the same result"));
        }
    }
    let mut made = Records::open(out, &study, &out.join("study.toml"))?;
    for (i, (place, mine)) in made.slots.iter_mut().zip(merged.slots).enumerate() {
        let both = place.as_ref().filter(|old| old.stays()).zip(mine.as_ref());
        if let Some(key) = both.and_then(|(old, new)| difference(&old.line, &new.line)) {
            let (cell, out) = (i + 1, out.display());
            let why = format!("cell {cell} is already in {out}, with another {key}");
            return Err(Failure::usage(why + "; no record was replaced"));
        }
        *place = mine.or(place.take());
    }
    notes.extend(other_data(&study.cells, &made.slots));
    let all: Vec<_> = (0..made.slots.len()).collect();
    let gaps = made.missing(&study.cells, &all)?;
    if let Some(first) = gaps.first() {
        let (n, all, first) = (gaps.len(), all.len(), first + 1);
        notes.push(format!("{n} of {all} cells are missing, the first is cell {first}"));
    }
    made.store()?;
    Ok((study, made, notes))
}

/// What determines the bits of a cell's data, if its files stay the same.
pub(super) fn bits_of_data(cell: &Cell, Origin { version, instructions, .. }: &Origin) -> String {
    let common = &cell.run.common;
    let data = format!("{:?} {:?} {:?}", common.dtype, common.data_seed, common.data);
    format!("{} {data} {version} {instructions}", common.problem)
}

/// Notes the cells whose data has other bits than that of the first cell with the same data settings, program and
/// instructions.
fn other_data(cells: &[Cell], slots: &[Option<Recorded>]) -> Vec<String> {
    let (mut first, mut notes) = (HashMap::new(), Vec::new());
    for (i, (cell, slot)) in cells.iter().zip(slots).enumerate() {
        let Some(Recorded { outcome: Ok(done), origin, .. }) = slot else { continue };
        let of = bits_of_data(cell, origin);
        let &mut (hash, j) = first.entry(of).or_insert((&done.data_hash, i));
        if *hash != done.data_hash {
            let common = &cell.run.common;
            let problem = &common.problem;
            let files = common.data.train.iter().map(|file| format!(", {file}"));
            let files: String = files.collect();
            let [a, b] = [j + 1, i + 1];
            notes.push(format!("cells {a} and {b} have different data of {problem}{files}"));
        }
    }
    notes
}

fn different(ours: &str, theirs: &str, [a, b]: [&PathBuf; 2]) -> String {
    let [x, y] = [ours, theirs].map(|text| text.lines().chain(["nothing"]));
    let differs = |&(_, (x, y)): &(usize, (&str, &str))| x != y || x == "nothing";
    let (number, (x, y)) = (1..).zip(x.zip(y)).find(differs).unwrap_or_default();
    let (a, b) = (a.display(), b.display());
    format!("{a} and {b} hold different studies: study.toml:{number}: '{x}' and '{y}'")
}

/// Returns the first key in which two records of a cell differ, except those that depend on the clock, the machine or
/// its memory.
pub(super) fn difference(ours: &str, theirs: &str) -> Option<String> {
    const DECIDED: [&str; 12] = [
        "seconds",
        "seconds_low",
        "seconds_high",
        "times",
        "paces",
        "process_peak_bytes",
        "version",
        "machine",
        "cores",
        "jobs",
        "finished",
        "error",
    ];
    let [ours, theirs] = [ours, theirs].map(|line| {
        let mut line: Map<String, Value> = serde_json::from_str(line).unwrap_or_default();
        for point in line.get_mut("checkpoints").and_then(Value::as_array_mut).into_iter().flatten()
        {
            if let Some(point) = point.as_object_mut() {
                point.remove("seconds");
            }
        }
        line
    });
    let keys = ours.keys().chain(theirs.keys()).filter(|key| !DECIDED.contains(&key.as_str()));
    keys.into_iter().find(|&key| ours.get(key) != theirs.get(key)).cloned()
}
