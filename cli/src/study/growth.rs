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

    /// Returns the slope of the least-squares line through the logarithms, with its standard error unless there are only
    /// two points, through which every line goes.
    fn exponent(&self, unit: Unit, digits: usize) -> String {
        let points = self.costs(unit).map(|(size, [_, cost, _], _)| [size, cost]).collect();
        match slope(points) {
            (slope, None) => format!("{} (two points, no error)", significant(slope, digits)),
            (slope, Some(error)) => {
                format!("{} ± {}", significant(slope, digits), significant(error, 2))
            }
        }
    }
}

/// Returns the slope of the least-squares line through the logarithms of points, and its standard error if there are more
/// than two points.
fn slope(mut points: Vec<[f64; 2]>) -> (f64, Option<f64>) {
    // Relative to the first point, so that equal costs have a slope of exactly 0.
    let (first, n) = (points[0], points.len() as f64);
    for point in &mut points {
        *point = [0, 1].map(|k| (point[k] / first[k]).ln());
    }
    let [x, y] = [0, 1].map(|k| points.iter().map(|p| p[k]).sum::<f64>() / n);
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|[a, b]| of(a - x, b - y)).sum::<f64>();
    let below = sum(&|a, _| a * a);
    let slope = sum(&|a, b| a * b) / below;
    let error = (sum(&|a, b| (b - slope * a).powi(2)) / (n - 2.0) / below).sqrt();
    (slope, (points.len() > 2).then_some(error))
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
        (">exponent of time", &|line| line.exponent(Unit::Seconds, 3)),
        (">exponent of bytes", &|line| line.exponent(Unit::Bytes, 3)),
    ];
    Table::of(lines, columns)
}

/// Makes the figures of time and bytes against each size.
pub(super) fn figures(lines: &[Line]) -> Vec<Figure> {
    let sizes: IndexSet<&str> = lines.iter().map(|line| line.of.as_str()).collect();
    let both = |of| [(of, "time", Unit::Seconds), (of, "bytes", Unit::Bytes)];
    let figure = |(of, cost, unit): (&str, &str, Unit)| {
        let points = lines.iter().filter(|line| line.of == of).flat_map(|line| {
            let name = format!("{}: {}", line.label, line.exponent(unit, 2));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The logarithms are 0, 1, 2 and 0, 1, 3: the slope is 3/2, and residuals of 1/6, -1/3, 1/6 have the error
    /// sqrt(1/6 / 1 / 2).
    #[test]
    fn slopes_have_errors_from_three_points_on() {
        let points = |logs: &[[f64; 2]]| logs.iter().map(|p| p.map(f64::exp)).collect();
        let (found, error) = slope(points(&[[0.0, 0.0], [1.0, 1.0], [2.0, 3.0]]));
        assert!((found - 1.5).abs() < 1e-15, "{found}");
        assert!((error.unwrap() - (1.0 / 12.0_f64).sqrt()).abs() < 1e-15, "{error:?}");
        assert_eq!(slope(points(&[[0.0, 5.0], [1.0, 5.0], [3.0, 5.0]])), (0.0, Some(0.0)));
        assert_eq!(slope(vec![[8.0, 3.0], [64.0, 24.0]]).1, None);
    }
}
