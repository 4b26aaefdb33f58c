//! The file of a study: grids over settings, from which its cells are made.
//!
//! ```toml
//! title = "what the study is about"
//! [[grid]]
//! problem = ["quadratic", "w1-ridge"]
//! steps = [5, 20]
//! seeds = 3
//! [[external]]
//! problem = "quadratic"
//! name = "measured elsewhere"
//! bytes = "3MiB"
//! seconds = 0.2
//! ```
//!
//! An external measurement may be a run instead of the bytes and seconds of a gradient: `curve = [[seconds, h], ...]`.
//!
//! Keys are the options of a cell, with `_` for `-`, and are checked by the same parser. The cells of a grid are the
//! product of its lists; the first key in the file varies slowest. Estimators and algorithms may contain lists as well:
//! `"{soba,saba}:step={0.1,1}"` gives four values. Everything is checked here, and errors name the line of the value at
//! fault, so that a study cannot fail hours later because of a typing error.

use std::fs;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as Options, FromArgMatches};
use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cell::{Cell, Measure, OF_RUNS};
use crate::app::App;
use crate::failure::Failure;
use crate::values::{bytes, within};
use hypertape_solver::{Range, find_by_name};

/// Options of a cell that are not keys: files, the format of the output, and the seed, which has the key `seeds`.
const NOT_KEYS: [&str; 8] =
    ["at", "init", "save", "json", "resume", "save-every", "repeat", "seed"];

/// More cells than this are most likely a typing error, and their records would be slow to rewrite after each cell.
const MOST_CELLS: usize = 10_000;

/// A measurement of another program, plotted together with those of the study.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct External {
    pub(crate) problem: String,
    /// Number of inner steps; `None` if the problem is always run with the same number.
    pub(crate) steps: Option<usize>,
    pub(crate) name: String,
    pub(crate) measured: Measured,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Measured {
    /// One gradient.
    Gradient { bytes: u64, seconds: f64 },
    /// A run: pairs of seconds and the value function of the point reached.
    Curve(Vec<[f64; 2]>),
}

/// The contents of a file.
#[derive(Debug)]
pub(crate) struct Study {
    /// The text of the file.
    pub(crate) text: String,
    /// Heading of the table.
    pub(crate) title: Option<String>,
    /// All cells in order. A cell that occurs in several grids is listed once.
    pub(crate) cells: Vec<Cell>,
    pub(crate) external: Vec<External>,
}

/// Reads and checks a study.
///
/// # Errors
/// Returns the errors of [`parse`], and an error if the file cannot be read.
pub(crate) fn read(path: &Path, app: &App) -> Result<Study, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    parse(path, text, app)
}

/// Checks a study.
///
/// # Errors
/// Returns a usage error that names the file, the line and the key.
pub(super) fn parse(path: &Path, text: String, app: &App) -> Result<Study, Failure> {
    let source = Source { path, text: &text };
    let root = DeTable::parse(&text)
        .map_err(|e| source.at(e.span().map_or(0, |s| s.start), e.message().trim()))?;
    let (mut title, mut cells, mut external) = (None, IndexMap::new(), Vec::new());
    let folder = path.parent().unwrap_or(Path::new(""));
    let command = Cell::augment_args(clap::Command::new("cell").no_binary_name(true));
    let options = command.get_arguments().filter_map(|a| a.get_long());
    let mut keys = vec!["problem".to_owned(), "seeds".to_owned()];
    keys.extend(options.filter(|o| !NOT_KEYS.contains(o)).map(|o| o.replace('-', "_")));
    let setting =
        root.get_ref().keys().find(|key| keys.iter().any(|known| *known == **key.get_ref()));
    if let Some(key) = setting {
        let why = format!("{}: settings go below a line [[grid]]", key.get_ref());
        return Err(source.at(key.span().start, why));
    }
    for (key, value) in source.entries(root.get_ref(), &["title", "grid", "external"])? {
        let line = source.line(value.span().start);
        if key == "title" {
            let item = source.item(value);
            let wrong = || source.wrong(key, &item, "expected a string");
            title = Some(item.quoted.then(|| item.text.clone()).ok_or_else(wrong)?);
            continue;
        }
        let expected = || source.on(line, format!("{key}: expected tables, each headed [[{key}]]"));
        for table in value.get_ref().as_array().ok_or_else(expected)? {
            let line = source.line(table.span().start);
            let table = table.get_ref().as_table().ok_or_else(expected)?;
            if key == "external" {
                external.push(source.external(table, line)?);
                continue;
            }
            let axes = source.axes(table, &keys)?;
            let sizes = axes.iter().map(|axis| axis.items.len());
            let total = sizes.fold(1_usize, usize::saturating_mul);
            if total.saturating_add(cells.len()) > MOST_CELLS {
                let why = format!("grid: too many cells, expected at most {MOST_CELLS} in a study");
                return Err(source.on(line, why));
            }
            for i in 0..total {
                let chosen = Chosen { source: &source, line, values: pick(&axes, i) };
                let mut cell = chosen.cell(&command)?;
                folder.clone_into(&mut cell.run.common.data.folder);
                let cell = cell.resolve(app).map_err(|e| chosen.refuse(e))?;
                cells.entry(cell.key()?).or_insert(cell);
            }
        }
    }
    if cells.is_empty() {
        return Err(source.on(1, "grid: missing, expected at least one [[grid]]"));
    }
    Ok(Study { text, title, cells: cells.into_values().collect(), external })
}

/// A file and its text, to locate errors.
struct Source<'s> {
    path: &'s Path,
    text: &'s str,
}

impl Source<'_> {
    /// The line number, from 1, of an offset in the text.
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

    /// Returns an error about a value; `why` says what was expected.
    fn wrong(&self, key: &str, item: &Item, why: impl std::fmt::Display) -> Failure {
        self.on(item.line, format!("{key}: found {}, {why}", item.shown()))
    }

    /// Returns the entries of a table in the order of the file, which the table itself does not keep.
    fn entries<'k, 't, 'i>(
        &self,
        table: &'t DeTable<'i>,
        known: &'k [impl AsRef<str>],
    ) -> Result<Vec<(&'k str, &'t Spanned<DeValue<'i>>)>, Failure> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            match find_by_name("key", key.get_ref(), known, |k| k.as_ref()) {
                Ok(name) => Ok((name.as_ref(), value)),
                Err(error) => Err(self.at(key.span().start, error)),
            }
        });
        entries.collect()
    }

    fn item(&self, value: &Spanned<DeValue>) -> Item {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                decimal.map_or_else(|_| number.to_string(), |n| n.to_string())
            }
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Boolean(b) => b.to_string(),
            DeValue::Datetime(time) => time.to_string(),
        };
        let quoted = matches!(value.get_ref(), DeValue::String(_));
        Item { text, quoted, line: self.line(value.span().start) }
    }

    /// Returns the lists of a grid.
    fn axes<'k>(&self, table: &DeTable, keys: &'k [String]) -> Result<Vec<Axis<'k>>, Failure> {
        let mut axes = Vec::new();
        for (key, value) in self.entries(table, keys)? {
            let list = value.get_ref().as_array();
            let values = list.map_or(std::slice::from_ref(value), |list| list);
            let mut items = Vec::new();
            for item in values.iter().map(|value| self.item(value)) {
                let texts = match key {
                    "seeds" if list.is_none() => {
                        let n = within::<usize>(Range::ONE_OR_MORE)(&item.text);
                        let n = n.map_err(|why| self.wrong(key, &item, why))?;
                        // One more than a study may have is refused together with the grid, before it fills memory.
                        (0..n.min(MOST_CELLS + 1)).map(|seed| seed.to_string()).collect()
                    }
                    "algorithm" | "estimator" => expanded(&item.text),
                    _ => vec![item.text.clone()],
                };
                items.extend(texts.into_iter().map(|text| Item { text, ..item.clone() }));
            }
            if items.is_empty() {
                let why = format!("{key}: found an empty list, expected at least one value");
                return Err(self.at(value.span().start, why));
            }
            axes.push(Axis { key, items });
        }
        Ok(axes)
    }

    fn external(&self, table: &DeTable, line: usize) -> Result<External, Failure> {
        let keys = ["problem", "steps", "name", "bytes", "seconds", "curve"];
        let entries = self.entries(table, &keys)?;
        let curve = entries.iter().find(|(key, _)| *key == "curve");
        let curve = curve.map(|(_, value)| self.curve(value)).transpose()?;
        let items: Vec<_> =
            entries.into_iter().map(|(key, value)| (key, self.item(value))).collect();
        let item = |key: &str| items.iter().find(|(k, _)| *k == key).map(|(_, item)| item);
        let wanted =
            |key: &str| item(key).ok_or_else(|| self.on(line, format!("external: found no {key}")));
        let measured = if let Some(curve) = curve {
            Measured::Curve(curve)
        } else {
            let (size, time) = (wanted("bytes")?, wanted("seconds")?);
            let bytes = bytes(&size.text).map_err(|why| self.wrong("bytes", size, why))?;
            let seconds = within(Range::POSITIVE)(&time.text);
            let seconds = seconds.map_err(|why| self.wrong("seconds", time, why))?;
            Measured::Gradient { bytes, seconds }
        };
        let steps = item("steps").map(|item| {
            within(Range::COUNT)(&item.text).map_err(|why| self.wrong("steps", item, why))
        });
        Ok(External {
            problem: wanted("problem")?.text.clone(),
            steps: steps.transpose()?,
            name: wanted("name")?.text.clone(),
            measured,
        })
    }

    /// Parses a list of pairs of numbers.
    fn curve(&self, value: &Spanned<DeValue>) -> Result<Vec<[f64; 2]>, Failure> {
        let number = |v: &Spanned<DeValue>| self.item(v).text.parse::<f64>().ok();
        let pair = |v: &Spanned<DeValue>| match &v.get_ref().as_array()?[..] {
            [x, y] => Some([number(x)?, number(y)?]),
            _ => None,
        };
        let pairs = value.get_ref().as_array().map(|list| list.iter().map(pair));
        let pairs: Option<Vec<_>> = pairs.and_then(Iterator::collect);
        let expected = "curve: expected pairs of numbers, such as [[0, 0.7], [0.5, 0.2]]";
        pairs.ok_or_else(|| self.at(value.span().start, expected))
    }
}

/// Returns every text that results from the lists `{a,b}` in a text; the last list varies fastest.
fn expanded(text: &str) -> Vec<String> {
    let braces = text.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    let Some((head, (list, tail))) = braces else { return vec![text.to_owned()] };
    let tails = expanded(tail);
    let each = list.split(',').flat_map(|one| tails.iter().map(move |tail| (one, tail)));
    each.map(|(one, tail)| format!("{head}{one}{tail}")).collect()
}

/// The values of a key.
struct Axis<'k> {
    key: &'k str,
    items: Vec<Item>,
}

/// Returns the values of cell `i`; those of the last axis vary fastest.
fn pick<'a>(axes: &'a [Axis], mut i: usize) -> Vec<(&'a str, &'a Item)> {
    let mut values = Vec::new();
    for axis in axes.iter().rev() {
        values.push((axis.key, &axis.items[i % axis.items.len()]));
        i /= axis.items.len();
    }
    values
}

/// A value as text, so that it is checked in the same way as the options of other commands.
#[derive(Clone, Debug)]
struct Item {
    text: String,
    quoted: bool,
    line: usize,
}

impl Item {
    /// The value as it is in the file.
    fn shown(&self) -> String {
        if self.quoted { format!("{:?}", self.text) } else { self.text.clone() }
    }
}

/// The key of an option that the parser names, such as `--data-seed <S>`.
fn key_of(option: &str) -> String {
    let option = option.trim_start_matches('-');
    let name = option.split([' ', '=']).next().unwrap_or(option);
    if name == "seed" { "seeds".to_owned() } else { name.replace('-', "_") }
}

/// One value for each key of a grid.
struct Chosen<'a> {
    source: &'a Source<'a>,
    /// The line of the head of the grid.
    line: usize,
    values: Vec<(&'a str, &'a Item)>,
}

impl<'a> Chosen<'a> {
    fn item(&self, key: &str) -> Option<&'a Item> {
        self.values.iter().find(|(k, _)| *k == key).map(|&(_, item)| item)
    }

    /// An error on the line of `key`, or of the grid if the key has its default.
    fn on(&self, key: &str, why: impl std::fmt::Display) -> Failure {
        let line = self.item(key).map_or(self.line, |item| item.line);
        self.source.on(line, format!("{key}: {why}"))
    }

    /// Locates an error that begins with the option at fault.
    fn refuse(&self, failure: Failure) -> Failure {
        let why = failure.why();
        let told = why.strip_prefix("--").and_then(|rest| rest.split_once([':', ' ']));
        match told {
            Some((option, why)) => self.on(&option.replace('-', "_"), why.trim_start()),
            None => self.source.on(self.line, why),
        }
    }

    /// Makes the cell with the parser of the options.
    fn cell(&self, command: &clap::Command) -> Result<Cell, Failure> {
        let Some(problem) = self.item("problem") else {
            return Err(self.on("problem", "missing, expected a name or a list"));
        };
        let others = self.values.iter().filter(|(key, _)| *key != "problem");
        let options = others.map(|(key, item)| {
            let option = if *key == "seeds" { "seed".to_owned() } else { key.replace('_', "-") };
            format!("--{option}={}", item.text)
        });
        let line = options.chain(["--".to_owned(), problem.text.clone()]);
        let matches = command.clone().try_get_matches_from(line);
        let cell = matches.and_then(|m| Cell::from_arg_matches(&m)).map_err(|e| self.parsed(&e))?;
        let gradient = cell.measure == Measure::Gradient;
        match self.values.iter().find(|(key, _)| OF_RUNS.contains(key)) {
            Some((key, _)) if gradient => {
                Err(self.on(key, "found a setting of runs, expected measure = \"run\""))
            }
            _ if !gradient && cell.draws > 0 => {
                Err(self.on("draws", "found a run, expected measure = \"gradient\""))
            }
            _ => Ok(cell),
        }
    }

    /// Translates an error of the parser into the terms of the file.
    fn parsed(&self, error: &clap::Error) -> Failure {
        let keys = |kind| -> Vec<String> {
            match error.get(kind) {
                Some(ContextValue::String(option)) => vec![key_of(option)],
                Some(ContextValue::Strings(options)) => options.iter().map(|o| key_of(o)).collect(),
                _ => Vec::new(),
            }
        };
        let (keys, others) = (keys(ContextKind::InvalidArg), keys(ContextKind::PriorArg));
        let Some(key) = keys.first() else {
            return self.source.on(self.line, error.to_string().lines().next().unwrap_or_default());
        };
        if error.kind() == ErrorKind::MissingRequiredArgument {
            return self
                .on(key, "missing, expected beside the other keys of this grid that need it");
        }
        if let Some(other) = others.first() {
            let why = "in the same grid, expected only one of them in a cell; give each a grid of its own";
            return self.on(key, format!("found {key} and {other} {why}"));
        }
        let why = match (error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
            (Some(ContextValue::Strings(all)), _) => format!("expected one of {}", all.join(", ")),
            (_, Some(why)) => why.to_string(),
            _ => "expected another value".to_owned(),
        };
        self.item(key).map_or_else(|| self.on(key, &why), |item| self.source.wrong(key, item, &why))
    }
}
