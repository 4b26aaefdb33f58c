//! The file of a study: grids over settings, read as the cells that they stand for.
//!
//! ```toml
//! title = "what the study is about"
//! [[grid]]
//! problem = ["quadratic", "w1-ridge"]
//! steps = [5, 20]
//! seeds = 3
//! ```
//!
//! The cells of a grid are the product of its lists, the key that comes first in the file varying slowest. Everything is
//! checked here, with the line of the value at fault, so that a study cannot end hours later over a typing error.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::args::{Dtype, OuterName, at_least_one, count, not_negative, positive, seed};
use crate::cli::failure::Failure;
use crate::cli::{estimators, names, outer};
use crate::problems::Entry;
use crate::{Outer, Schedule};

/// The keys of a grid; each takes one value or a list.
const KEYS: [&str; 12] = [
    "problem",
    "estimator",
    "steps",
    "lr",
    "seeds",
    "data_seed",
    "dtype",
    "iterations",
    "outer",
    "outer_lr",
    "outer_power",
    "record_every",
];

/// More cells than this are a typing error, and their records would be slow to rewrite after each cell.
const MOST_CELLS: usize = 10_000;

/// The settings of one run with no default left open: what identifies its record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Name of the problem.
    pub(crate) problem: String,
    /// The estimator as it was typed.
    pub(crate) estimator: String,
    /// Inner steps.
    pub(crate) steps: usize,
    /// Inner step size.
    pub(crate) lr: f64,
    /// Seed of all random choices of the run.
    pub(crate) seed: u64,
    /// Seed of the problem's data, `None` if that is fixed.
    pub(crate) data_seed: Option<u64>,
    /// `f64` or `f32`.
    pub(crate) dtype: String,
    /// `sgd` or `adam`.
    pub(crate) outer: String,
    /// Outer step size.
    pub(crate) outer_lr: f64,
    /// Decay of the outer step size, which only sgd has.
    pub(crate) outer_power: Option<f64>,
    /// Outer iterations.
    pub(crate) iterations: usize,
    /// Outer iterations from one checkpoint to the next; part of the identity, as it decides what a record holds.
    pub(crate) record_every: Option<usize>,
}

impl Cell {
    /// Text that two cells share if and only if they are the same.
    pub(crate) fn key(&self) -> Result<String, Failure> {
        serde_json::to_string(self).map_err(Failure::run)
    }
}

/// A cell, and what its names stand for.
#[derive(Debug)]
pub(crate) struct Planned<'c> {
    /// The problem.
    pub(crate) entry: &'c Entry,
    /// The precision.
    pub(crate) dtype: Dtype,
    /// The outer optimiser.
    pub(crate) outer: Outer,
    /// The settings.
    pub(crate) cell: Cell,
}

/// What a file asks for.
#[derive(Debug)]
pub(crate) struct Study<'c> {
    /// A heading for its table.
    pub(crate) title: Option<String>,
    /// All cells in order; one that several grids share is there once.
    pub(crate) cells: Vec<Planned<'c>>,
}

/// Reads and checks a study.
///
/// # Errors
/// A usage error that names the file, the line and the key.
pub(crate) fn read<'c>(path: &Path, catalogue: &'c [Entry]) -> Result<Study<'c>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    let source = Source { path, text: &text };
    let root = DeTable::parse(&text)
        .map_err(|e| source.at(e.span().map_or(0, |s| s.start), e.message().trim()))?;
    let (mut title, mut cells, mut seen) = (None, Vec::new(), HashSet::new());
    for (key, value) in source.entries(root.get_ref(), &["title", "grid"])? {
        let line = source.line(value.span().start);
        if key == "title" {
            let item = Item::new(value, line);
            title = Some(item.name().map_err(|why| source.wrong(key, &item, why))?.to_owned());
            continue;
        }
        let expected = || source.on(line, "grid: expected tables, each headed [[grid]]");
        for table in value.get_ref().as_array().ok_or_else(expected)? {
            let line = source.line(table.span().start);
            let axes = source.axes(table.get_ref().as_table().ok_or_else(expected)?)?;
            let sizes = axes.iter().map(|axis| axis.items.len());
            let total = sizes.fold(1_usize, usize::saturating_mul);
            if total.saturating_add(cells.len()) > MOST_CELLS {
                let why = format!("grid: too many cells, expected at most {MOST_CELLS} in a study");
                return Err(source.on(line, why));
            }
            for i in 0..total {
                let chosen = Chosen { source: &source, line, values: pick(&axes, i) };
                let planned = chosen.plan(catalogue)?;
                if seen.insert(planned.cell.key()?) {
                    cells.push(planned);
                }
            }
        }
    }
    if cells.is_empty() {
        return Err(source.on(1, "grid: missing, expected at least one [[grid]]"));
    }
    Ok(Study { title, cells })
}

/// A file and its text, to say where something is wrong.
struct Source<'s> {
    path: &'s Path,
    text: &'s str,
}

impl Source<'_> {
    /// The line, from 1, of a place in the text.
    fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.split(|&b| b == b'\n').count()
    }

    fn on(&self, line: usize, why: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("{}:{line}: {why}", self.path.display()))
    }

    fn at(&self, offset: usize, why: impl std::fmt::Display) -> Failure {
        self.on(self.line(offset), why)
    }

    /// `why` says what was expected.
    fn wrong(&self, key: &str, item: &Item, why: &str) -> Failure {
        self.on(item.line, format!("{key}: found {}, {why}", item.shown()))
    }

    /// What a table holds, in the order of the file, which the table itself does not keep.
    fn entries<'t, 'i>(
        &self,
        table: &'t DeTable<'i>,
        known: &[&'static str],
    ) -> Result<Vec<(&'static str, &'t Spanned<DeValue<'i>>)>, Failure> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            match names::find("key", key.get_ref(), known, |k| k) {
                Ok(&name) => Ok((name, value)),
                Err(failure) => Err(self.at(key.span().start, failure.why())),
            }
        });
        entries.collect()
    }

    /// The lists of a grid.
    fn axes(&self, table: &DeTable) -> Result<Vec<Axis>, Failure> {
        let mut axes = Vec::new();
        for (key, value) in self.entries(table, &KEYS)? {
            let item = |v: &Spanned<DeValue>| Item::new(v, self.line(v.span().start));
            let items = match value.get_ref() {
                DeValue::Array(list) => list.iter().map(item).collect(),
                _ if key == "seeds" => {
                    let item = item(value);
                    let n = item.number(at_least_one).map_err(|w| self.wrong(key, &item, w))?;
                    // One more than a study may have is refused with the grid, before it fills memory.
                    let seeds = 0..n.min(MOST_CELLS + 1);
                    seeds.map(|s| Item { text: s.to_string(), ..item.clone() }).collect()
                }
                _ => vec![item(value)],
            };
            if items.is_empty() {
                let why = format!("{key}: found an empty list, expected at least one value");
                return Err(self.at(value.span().start, why));
            }
            axes.push(Axis { key, items });
        }
        Ok(axes)
    }
}

/// The values that a key takes.
struct Axis {
    key: &'static str,
    items: Vec<Item>,
}

/// The values of cell `i`; those of the last axis vary fastest.
fn pick(axes: &[Axis], mut i: usize) -> Vec<(&'static str, &Item)> {
    let mut values = Vec::new();
    for axis in axes.iter().rev() {
        values.push((axis.key, &axis.items[i % axis.items.len()]));
        i /= axis.items.len();
    }
    values
}

/// What TOML told about the kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    Other,
}

/// A value as text, so that it is checked by what checks the options of other commands.
#[derive(Clone, Debug)]
struct Item {
    kind: Kind,
    text: String,
    line: usize,
}

impl Item {
    fn new(value: &Spanned<DeValue>, line: usize) -> Self {
        let (kind, text) = match value.get_ref() {
            DeValue::String(text) => (Kind::Name, text.to_string()),
            DeValue::Integer(number) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                (Kind::Number, decimal.map_or_else(|_| number.to_string(), |n| n.to_string()))
            }
            DeValue::Float(number) => (Kind::Number, number.as_str().to_owned()),
            DeValue::Array(_) => (Kind::Other, "a list".to_owned()),
            DeValue::Table(_) => (Kind::Other, "a table".to_owned()),
            DeValue::Boolean(b) => (Kind::Other, b.to_string()),
            DeValue::Datetime(time) => (Kind::Other, time.to_string()),
        };
        Self { kind, text, line }
    }

    /// As it stands in the file, so that `"5"` and `5` are told apart.
    fn shown(&self) -> String {
        if self.kind == Kind::Name { format!("{:?}", self.text) } else { self.text.clone() }
    }

    fn name(&self) -> Result<&str, &'static str> {
        if self.kind == Kind::Name { Ok(&self.text) } else { Err("expected a string") }
    }

    fn number<V>(&self, read: Reader<V>) -> Result<V, &'static str> {
        // What is no number is read as one that cannot be: the complaint is then the reader's own.
        read(if self.kind == Kind::Number { &self.text } else { "" })
    }
}

/// Reads a value, or says what was expected.
type Reader<V> = fn(&str) -> Result<V, &'static str>;

/// One value for each key of a grid.
struct Chosen<'a> {
    source: &'a Source<'a>,
    /// Of the head of the grid.
    line: usize,
    values: Vec<(&'static str, &'a Item)>,
}

impl<'a> Chosen<'a> {
    fn item(&self, key: &str) -> Option<&'a Item> {
        self.values.iter().find(|(k, _)| *k == key).map(|&(_, item)| item)
    }

    fn name(&self, key: &str) -> Result<Option<&'a str>, Failure> {
        let Some(item) = self.item(key) else { return Ok(None) };
        item.name().map(Some).map_err(|why| self.source.wrong(key, item, why))
    }

    fn number<V>(&self, key: &str, read: Reader<V>) -> Result<Option<V>, Failure> {
        let Some(item) = self.item(key) else { return Ok(None) };
        item.number(read).map(Some).map_err(|why| self.source.wrong(key, item, why))
    }

    /// One of two names.
    fn either<V: Copy>(&self, key: &str, two: [(&str, V); 2]) -> Result<Option<V>, Failure> {
        let Some(name) = self.name(key)? else { return Ok(None) };
        let found = two.iter().find(|(n, _)| *n == name).map(|&(_, value)| value);
        let expected = format!("{key}: found {name:?}, expected {:?} or {:?}", two[0].0, two[1].0);
        found.map(Some).ok_or_else(|| self.refuse(key, expected))
    }

    /// An error on the line of `key`, or of the grid where that is left to its default.
    fn refuse(&self, key: &str, why: impl std::fmt::Display) -> Failure {
        self.source.on(self.item(key).map_or(self.line, |item| item.line), why)
    }

    /// Fills in the defaults and looks up every name.
    fn plan<'c>(&self, catalogue: &'c [Entry]) -> Result<Planned<'c>, Failure> {
        let prefixed = |key: &str, why: &str| self.refuse(key, format!("{key}: {why}"));
        let problem = self.name("problem")?;
        let problem =
            problem.ok_or_else(|| prefixed("problem", "missing, expected a name or a list"))?;
        let entry = names::find("problem", problem, catalogue, |e| e.name)
            .map_err(|e| prefixed("problem", &e.why()))?;
        let steps = self.number("steps", count)?.unwrap_or(entry.steps);
        let estimator = self.name("estimator")?.unwrap_or("exact");
        estimators::parse::<f64>(estimator, steps, Schedule::default())
            .map_err(|e| prefixed("estimator", &e.why()))?;
        let data_seed = self.number("data_seed", seed)?;
        if data_seed.is_some() && entry.data_seed.is_none() {
            let why = format!("the data of '{}' is fixed", entry.name);
            return Err(prefixed("data_seed", &why));
        }
        let dtypes = [("f64", Dtype::F64), ("f32", Dtype::F32)];
        let dtype = self.either("dtype", dtypes)?.unwrap_or(Dtype::F64);
        let optimisers = [("sgd", OuterName::Sgd), ("adam", OuterName::Adam)];
        let asked = self.either("outer", optimisers)?;
        let outer_lr = self.number("outer_lr", positive)?;
        let outer_power = self.number("outer_power", not_negative)?;
        let outer = outer::choose(entry.outer, asked, outer_lr, outer_power, None)
            .map_err(|why| prefixed("outer_power", &why))?;
        let (outer_name, outer_lr, outer_power) = match outer {
            Outer::Sgd { lr, power } => ("sgd", lr, Some(power)),
            Outer::Adam { lr, .. } => ("adam", lr, None),
            other => return Err(prefixed("outer", &format!("no name for {other:?}"))),
        };
        let cell = Cell {
            problem: entry.name.to_owned(),
            estimator: estimator.to_owned(),
            steps,
            lr: self.number("lr", positive)?.unwrap_or(entry.lr),
            seed: self.number("seeds", seed)?.unwrap_or(0),
            data_seed: data_seed.or(entry.data_seed),
            dtype: if dtype == Dtype::F64 { "f64" } else { "f32" }.to_owned(),
            outer: outer_name.to_owned(),
            outer_lr,
            outer_power,
            iterations: self.number("iterations", count)?.unwrap_or(entry.iterations),
            record_every: self.number("record_every", at_least_one)?,
        };
        Ok(Planned { entry, dtype, outer, cell })
    }
}
