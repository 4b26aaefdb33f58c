//! Cost as work grows. Gradients that differ in a single size form a line, and its slope in logarithms is the exponent.
//!
//! Sizes are the numbers of steps and threads, and every setting of a problem that is a whole number, such as the
//! number of samples, tasks or variables.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::figures::{figure, point, series};
use super::plot::{Figure, Kind, Unit};
use super::summary::{Group, is_gradient, varying};
use crate::table::{Column, Table, significant};

/// Gradients that differ in a single size.
pub(super) struct Line<'a> {
    /// The name of the size.
    of: String,
    /// Distinguishes this line from the others.
    label: String,
    points: Vec<(f64, &'a Group<'a>)>,
}

/// Returns all lines with at least two points, in the order of their first points.
pub(super) fn lines<'a>(groups: &'a [Group<'a>]) -> Vec<Line<'a>> {
    let done = |g: &&Group| is_gradient(g) && g.seconds().is_some();
    let groups: Vec<_> = groups.iter().filter(done).collect();
    let keys = varying(&groups);
    let mut lines: IndexMap<(String, String), Line> = IndexMap::new();
    for group in groups {
        let settings = settings(group);
        for (of, size) in &settings {
            let Ok(size) = size.parse::<usize>() else { continue };
            if !["steps", "threads"].contains(&of.as_str()) && !of.starts_with(OF_PROBLEM) {
                continue;
            }
            let others: Vec<_> = settings.iter().filter(|(key, _)| *key != of).collect();
            let line = lines.entry((of.clone(), format!("{others:?}"))).or_insert_with(|| {
                let kept: Vec<_> = keys.iter().copied().filter(|key| key != of).collect();
                let problem = group.cell.run.common.problem.split(':').next().unwrap_or_default();
                let label = format!("{problem}, {}", group.label(&kept));
                let of = of.trim_start_matches(OF_PROBLEM).to_owned();
                Line { of, label, points: Vec::new() }
            });
            line.points.push((size as f64, group));
        }
    }
    lines.into_values().filter(|line| line.points.len() > 1).collect()
}

/// Prefix of the names of the problem's settings.
const OF_PROBLEM: &str = "problem ";

/// Returns the settings as text by name. Each setting in the problem's name is a separate entry.
fn settings(group: &Group) -> BTreeMap<String, String> {
    let of = |(key, value): (&String, &Value)| (key.clone(), value.to_string());
    let mut all: BTreeMap<_, _> = group.settings.iter().map(of).collect();
    let (name, given) = group.cell.run.common.problem.split_once(':').unwrap_or_default();
    if !name.is_empty() {
        all.insert("problem".to_owned(), name.to_owned());
    }
    for (key, value) in given.split(',').filter_map(|setting| setting.split_once('=')) {
        all.insert(format!("{OF_PROBLEM}{key}"), value.to_owned());
    }
    all
}

impl Line<'_> {
    fn costs(&self, unit: Unit) -> impl Iterator<Item = (f64, [f64; 3], &Group<'_>)> {
        self.points.iter().filter_map(move |&(size, group)| {
            let cost = match unit {
                Unit::Bytes => [group.bytes()? as f64; 3],
                _ => group.seconds()?,
            };
            Some((size, cost, group))
        })
    }

    /// Returns the slope of the least-squares line through the logarithms.
    fn exponent(&self, unit: Unit) -> f64 {
        let points = || self.costs(unit).map(|(size, [_, cost, _], _)| (size.ln(), cost.ln()));
        let n = points().count() as f64;
        let (x, y) = points().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / n, y + b / n));
        let (above, below) = points().fold((0.0, 0.0), |(above, below), (a, b)| {
            (above + (a - x) * (b - y), below + (a - x).powi(2))
        });
        above / below
    }
}

/// Makes a table with one row per line.
pub(super) fn table(lines: &[Line]) -> Table {
    let end = |line: &Line, pick: fn(f64, f64) -> f64| {
        let sizes = line.points.iter().map(|&(size, _)| size);
        sizes.reduce(pick).map_or_else(String::new, |size| size.to_string())
    };
    let columns: &[Column<Line>] = &[
        ("growing", &|line| line.of.clone()),
        ("of", &|line| line.label.clone()),
        (">from", &|line| end(line, f64::min)),
        (">to", &|line| end(line, f64::max)),
        (">exponent of time", &|line| significant(line.exponent(Unit::Seconds), 3)),
        (">exponent of bytes", &|line| significant(line.exponent(Unit::Bytes), 3)),
    ];
    Table::of(lines, columns)
}

/// Makes the figures of time and bytes against each size.
pub(super) fn figures(lines: &[Line]) -> Vec<Figure> {
    let sizes: IndexSet<&str> = lines.iter().map(|line| line.of.as_str()).collect();
    let both = |of| [(of, "time", Unit::Seconds), (of, "bytes", Unit::Bytes)];
    let figure = |(of, cost, unit): (&str, &str, Unit)| {
        let points = lines.iter().filter(|line| line.of == of).flat_map(|line| {
            let name = format!("{}: {}", line.label, significant(line.exponent(unit), 2));
            line.costs(unit).map(move |(size, cost, _)| {
                let text = format!("{size} {of}: {}", unit.text(cost[1]));
                (name.clone(), point(size, cost, text))
            })
        });
        let axes = [(of, Unit::Number), (cost, unit)];
        let what = format!("{cost} against {of}, and exponents");
        figure(&format!("{of}-{cost}"), "growth", &what, axes, series(Kind::Line, points))
    };
    sizes.into_iter().flat_map(both).map(figure).collect()
}
