//! Records over seeds: the basis of the table, the figures and the comparison.

use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use super::cell::{Cell, Done, Measure};
use super::plot::Point;
use super::records::Records;
use crate::failure::Failure;
use crate::table::{Table, bytes, seconds, significant};
use hypertape_solver::pace::DISTURBED;
use hypertape_solver::stats::{mean, median_and_interval, rank_test};

/// Cells that differ only in their seed.
pub(super) struct Group<'a> {
    pub(super) cell: &'a Cell,
    pub(super) settings: Map<String, Value>,
    pub(super) done: Vec<&'a Done>,
    failed: Vec<&'a str>,
}

/// Groups all recorded cells, in the order of the grid.
pub(super) fn groups<'a>(
    cells: &'a [Cell],
    records: &'a Records,
) -> Result<Vec<Group<'a>>, Failure> {
    let mut groups: IndexMap<String, Group> = IndexMap::new();
    for (cell, recorded) in cells.iter().zip(&records.slots) {
        let Some(recorded) = recorded else { continue };
        let mut settings: Map<String, Value> =
            serde_json::from_str(&cell.key()?).map_err(Failure::run)?;
        settings.remove("seed");
        if let Some(Value::Object(data)) = settings.remove("data") {
            settings.extend(data);
        }
        let key = Value::from(settings.clone()).to_string();
        let (done, failed) = (Vec::new(), Vec::new());
        let group = groups.entry(key).or_insert(Group { cell, settings, done, failed });
        match &recorded.outcome {
            Ok(done) => group.done.push(done),
            Err(trouble) => group.failed.push(&trouble.failure),
        }
    }
    Ok(groups.into_values().collect())
}

impl Group<'_> {
    /// A setting as text, or `-` if it has no value.
    fn text(&self, key: &str) -> String {
        let taken = self.done.first().and_then(|done| done.schedule_taken.as_ref());
        match (self.settings.get(key), taken.filter(|_| key == "schedule")) {
            _ if key == "estimator" => self.cell.estimator().to_owned(),
            (Some(Value::String(text)), Some(taken)) if text == "auto" => format!("auto: {taken}"),
            (Some(Value::Null), Some(taken)) => taken.clone(),
            (None | Some(Value::Null), _) => "-".to_owned(),
            (Some(Value::String(text)), _) => text.clone(),
            (Some(Value::Number(n)), _) if key == "memory" => bytes(n.as_u64().unwrap_or_default()),
            (Some(Value::Number(n)), _) if n.is_f64() => match n.as_f64().unwrap_or_default() {
                small if (f64::MIN_POSITIVE..1e-4).contains(&small) => format!("{small:e}"),
                value => value.to_string(),
            },
            (Some(other), _) => other.to_string(),
        }
    }

    /// The estimator and, if one was requested, its schedule, followed by the other settings among `keys`.
    pub(super) fn label(&self, keys: &[&str]) -> String {
        let mut label = self.cell.estimator().to_owned();
        for &key in keys {
            let value = self.text(key);
            match key {
                "problem" | "estimator" => {}
                _ if value == "-" => {}
                "schedule" => label = format!("{label} {value}"),
                _ => label = format!("{label}, {} {value}", key.replace('_', " ")),
            }
        }
        label
    }

    /// The times of all seeds together.
    fn times(&self) -> Vec<f64> {
        self.done.iter().flat_map(|done| &done.times).copied().collect()
    }

    /// The times of all seeds for which the fixed workload took at most `pace`.
    fn undisturbed(&self, pace: f64) -> Vec<f64> {
        let all = self.done.iter().flat_map(|done| done.times.iter().zip(&done.paces));
        all.filter(|&(_, &found)| found <= pace).map(|(&time, _)| time).collect()
    }

    /// The median of the times of all seeds, and its confidence interval.
    pub(super) fn seconds(&self) -> Option<[f64; 3]> {
        median_and_interval(&mut self.times())
    }

    pub(super) fn bytes(&self) -> Option<u64> {
        self.done.iter().map(|done| done.cost.bytes_measured).max()
    }

    /// The minimum, the mean and the maximum over seeds, or `None` if a value is missing.
    pub(super) fn range(&self, of: impl Fn(&Done) -> Option<f64>) -> Option<[f64; 3]> {
        let values = self.done.iter().map(|done| of(done)).collect::<Option<Vec<f64>>>()?;
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().fold(least, f64::max);
        Some([least, mean(&values)[0], most])
    }

    pub(super) fn mean(&self, of: impl Fn(&Done) -> Option<f64>) -> Option<f64> {
        self.range(of).map(|[_, mean, _]| mean)
    }

    /// The mean and its standard error, or `-` if a value is missing.
    fn mean_and_error(&self, of: impl Fn(&Done) -> Option<f64>) -> String {
        let values = self.done.iter().map(|done| of(done)).collect::<Option<Vec<f64>>>();
        let Some(values) = values.filter(|values| !values.is_empty()) else {
            return "-".to_owned();
        };
        let [mean, error] = mean(&values);
        if values.len() == 1 || error == 0.0 {
            return significant(mean, 4);
        }
        format!("{} ± {}", significant(mean, 4), significant(error, 2))
    }
}

/// Returns the settings in which groups differ, problem and estimator first. Settings of the measurement are left out.
pub(super) fn varying<'a>(groups: &[&'a Group]) -> Vec<&'a str> {
    let first = ["problem", "estimator", "schedule", "steps", "lr"];
    // The key of the estimator stands for the algorithm, too.
    let measuring = [
        "measure",
        "draws",
        "repeats",
        "record_every",
        "record_ratio",
        "value_tolerance",
        "algorithm",
    ];
    let all = groups.iter().flat_map(|g| g.settings.keys().map(String::as_str));
    let others: BTreeSet<&str> =
        all.filter(|key| !first.contains(key) && !measuring.contains(key)).collect();
    let differs = |key: &str| groups.windows(2).any(|g| g[0].text(key) != g[1].text(key));
    let keys = first.into_iter().chain(others);
    keys.filter(|&key| ["problem", "estimator"].contains(&key) || differs(key)).collect()
}

/// The number of seeds, whether they have an influence, and how many of them failed.
fn seeds(group: &Group) -> String {
    match (group.done.len(), &group.failed[..]) {
        (count, []) if group.done.iter().any(|done| done.random) => count.to_string(),
        (count, []) => format!("{count}, not random"),
        (count, [first, others @ ..]) if others.iter().all(|kind| kind == first) => {
            format!("{count}, {} {first}", 1 + others.len())
        }
        (count, failed) => format!("{count}, {} failed", failed.len()),
    }
}

/// The header of a column, and the function that gives its cell for a group.
type GroupColumn<'c> = (String, Box<dyn Fn(&Group) -> String + 'c>);

fn column<'c>(name: impl Into<String>, cell: impl Fn(&Group) -> String + 'c) -> GroupColumn<'c> {
    (name.into(), Box::new(cell))
}

/// A table with one row per combination, over all seeds. Settings that are the same in all rows are left out, except
/// the first two.
pub(super) fn table(groups: &[Group]) -> Table {
    let dash = || "-".to_owned();
    let done = || groups.iter().flat_map(|group| &group.done);
    let metrics: BTreeSet<&str> =
        done().flat_map(|d| d.metrics.keys().map(String::as_str)).collect();
    let number =
        |key: &str| groups.iter().any(|g| g.settings.get(key).is_some_and(Value::is_number));
    let setting = |key| {
        let align = if number(key) { ">" } else { "" };
        column(align.to_owned() + &key.replace('_', " "), move |g| g.text(key))
    };
    let shown = varying(&groups.iter().collect::<Vec<_>>());
    let mut columns: Vec<_> = shown.into_iter().map(setting).collect();
    columns.push(column(">seeds", seeds));
    columns.push(column(">outer loss", |g| g.mean_and_error(|d| Some(d.loss))));
    columns.extend(metrics.into_iter().map(|name| {
        column(format!(">{name}"), move |g| g.mean_and_error(|d| *d.metrics.get(name)?))
    }));
    if done().any(|done| done.accuracy.is_some()) {
        columns.extend([
            column(">bias", |g| g.mean_and_error(|d| Some(d.accuracy?.bias))),
            column(">variance", |g| g.mean_and_error(|d| Some(d.accuracy?.variance))),
            column(">E|G|^2", |g| g.mean_and_error(|d| Some(d.accuracy?.second_moment))),
            column(">time x E|G|^2 of exact", |g| g.mean_and_error(|d| d.accuracy?.relative)),
        ]);
    }
    let count = |of: fn(&Done) -> u64| {
        move |g: &Group| g.mean(|d| Some(of(d) as f64)).map_or_else(dash, whole)
    };
    columns.extend([
        column(">gradients", count(|d| d.cost.inner_gradients)),
        column(">HVPs", count(|d| d.cost.hvps)),
        column(">bytes", |g| g.bytes().map_or_else(dash, bytes)),
        column(">time", |g| match g.seconds() {
            None => dash(),
            Some([low, median, high]) if low == high => seconds(median),
            Some([low, median, high]) => {
                format!("{} [{}, {}]", seconds(median), seconds(low), seconds(high))
            }
        }),
    ]);
    if done().any(|done| done.warned.warned > 0) {
        let warned = |g: &Group| g.done.iter().map(|d| d.warned.warned).sum::<usize>();
        columns.push(column(">warned", move |g| warned(g).to_string()));
    }
    Table::of(groups, &columns)
}

/// The notes and warnings of all combinations, each once. Warnings name the problem and the settings that distinguish the
/// combination.
pub(super) fn warnings(groups: &[Group]) -> Vec<String> {
    let keys = varying(&groups.iter().collect::<Vec<_>>());
    let mut lines = IndexSet::new();
    for group in groups {
        let notes = group.done.iter().flat_map(|done| &done.notes);
        lines.extend(notes.map(|note| format!("note: {note}")));
        // Numbers differ between seeds, so only the first warning of each kind is shown.
        let mut told = BTreeSet::new();
        for warning in group.done.iter().flat_map(|done| &done.warned.warnings) {
            if told.insert(warning.split(|c: char| c.is_ascii_digit()).next()) {
                let (problem, label) = (&group.cell.run.common.problem, group.label(&keys));
                lines.insert(format!("warning: {problem} {label}: {warning}"));
            }
        }
    }
    lines.into_iter().collect()
}

/// Formats the mean of counts, without decimals if it is a whole number.
fn whole(mean: f64) -> String {
    if mean.fract() == 0.0 { mean.to_string() } else { significant(mean, 4) }
}

/// Fewer times than this per side are not compared.
const TIMES: usize = 6;

/// The probability that any row of a comparison is called slower or faster although nothing changed, if the times of a
/// cell are drawn from one distribution. Each of `n` rows is tested at level `FALSE_ALARM / n` (Bonferroni).
const FALSE_ALARM: f64 = 0.01;

/// A comparison of two studies.
pub(super) struct Comparison {
    pub(super) table: Table,
    /// Number of rows that are worse: slower according to both a rank test and the ratio of medians, with more bytes,
    /// with another result, on other data, or failed.
    pub(super) worse: usize,
    /// Ratios of the new times to the old ones, with their verdicts.
    pub(super) ratios: Vec<(&'static str, Point)>,
}

/// Compares the cells that both studies have. Ratios of medians count from `slower` on.
pub(super) fn compared(
    cells: &[Cell],
    [before, after]: [&Records; 2],
    slower: f64,
) -> Result<Comparison, Failure> {
    let mut table = Table::new(["cell", ">time", ">interval", ">bytes", "verdict"]);
    let (mut worse, mut ratios, all) = (0, Vec::new(), groups(cells, before)?);
    let keys = varying(&all.iter().collect::<Vec<_>>());
    let level = FALSE_ALARM / all.len().max(1) as f64;
    let others = groups(cells, after)?;
    let paces = all.iter().chain(&others).flat_map(|group| &group.done).flat_map(|d| &d.paces);
    let pace = DISTURBED * paces.copied().fold(f64::INFINITY, f64::min);
    for (a, b) in all.iter().zip(&others) {
        let mut row = vec![format!("{} {}", a.cell.run.common.problem, a.label(&keys))];
        let times = [a, b].map(|group| group.undisturbed(pace));
        let few = times.iter().any(|times| times.len() < TIMES);
        let unpaced = [a, b].iter().any(|group| group.done.iter().all(|d| d.paces.is_empty()));
        let [before, now] = if few { [a.times(), b.times()] } else { times };
        let of = |times: &[f64]| median_and_interval(&mut times.to_vec());
        let verdict = match (of(&before), of(&now)) {
            (Some([al, a_time, ah]), Some([bl, b_time, bh]))
                if b.failed.len() <= a.failed.len() =>
            {
                let (low, high) = (bl / ah, bh / al);
                row.push(significant(b_time / a_time, 3));
                row.push(format!("[{}, {}]", significant(low, 3), significant(high, 3)));
                let [x, y] = [a.bytes(), b.bytes()].map(Option::unwrap_or_default);
                row.push(if x == y { "=".to_owned() } else { significant(y as f64 / x as f64, 3) });
                let [was, is] = [a, b].map(|group| group.done.iter());
                let result = |d: &&Done| (d.loss.to_bits(), d.cost.inner_gradients, d.cost.hvps);
                let same_data =
                    was.clone().map(|d| &d.data_hash).eq(is.clone().map(|d| &d.data_hash));
                let same_result = was.map(result).eq(is.map(result));
                let differ = !few && rank_test(&before, &now) < level;
                let verdict = match () {
                    () if !same_data => "other data",
                    () if !same_result => "another result",
                    () if differ && b_time > slower * a_time => "slower",
                    () if y > x => "more bytes",
                    () if differ && b_time * slower < a_time => "faster",
                    () if few && before.len().min(now.len()) < TIMES => {
                        "same, but for times: too few"
                    }
                    () if unpaced => "same, but for times: recorded without paces",
                    () if few => "same, but for times: the machine was busy",
                    () => "same",
                };
                let (y, text) = (b_time / a_time, format!("{}: {verdict}", row[0]));
                ratios.push((verdict, Point { x: a_time, y, low, high, text }));
                verdict
            }
            (None, None) => "failed, as before",
            _ if b.failed.len() > a.failed.len() => "fails now",
            _ => "failed before",
        };
        worse += usize::from(
            ["other data", "another result", "slower", "more bytes", "fails now"]
                .contains(&verdict),
        );
        row.resize(4, "-".to_owned());
        row.push(verdict.to_owned());
        table.push(row);
    }
    Ok(Comparison { table, worse, ratios })
}

/// Whether a cell is a gradient.
pub(super) fn is_gradient(group: &Group) -> bool {
    group.cell.measure == Measure::Gradient
}
