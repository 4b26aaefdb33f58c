//! The course of a quantity over the runs of a group, and the best setting of each algorithm in a grid.
//!
//! The remainder at a point is `(v - best) / (start - best)`, where `best` is the lowest value that any run of the
//! problem reached. The best setting of an algorithm is the one that reaches the smallest of [`PARTS`]; of several, the
//! one that reaches it first, and then the one with the lowest value at the end.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use super::cell::Checkpoint;
use super::plot::Unit;
use super::summary::Group;
use crate::table::{Table, seconds, significant};
use hypertape_solver::stats::quantile;

/// A quantity on the horizontal axis of a course: its name in a switch, the label and the unit of the axis, and its
/// value at a point.
pub(super) type Counted = (&'static str, &'static str, Unit, fn(&Checkpoint) -> f64);

pub(super) const AGAINST: [Counted; 4] = [
    ("oracle calls", "gradients and HVPs", Unit::Number, |c| {
        (c.cost.inner_gradients + c.cost.hvps) as f64
    }),
    ("outer gradients", "outer gradients", Unit::Number, |c| c.cost.outer_gradients as f64),
    ("samples", "samples seen", Unit::Number, |c| c.cost.samples as f64),
    ("time", "time", Unit::Seconds, |c| c.cost.time.as_secs_f64()),
];

/// Indices in [`AGAINST`].
const SAMPLES: usize = 2;
pub(super) const TIME: usize = 3;

/// Remainders whose times are compared, in decreasing order.
const PARTS: [f64; 3] = [0.1, 0.01, 0.001];

/// Remainders are at least this large when their logarithms are taken, because that of the lowest value of all is 0.
const LEAST: f64 = 1e-4;

/// A point of a course: medians over seeds of the cost so far, and quartiles of the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) iteration: usize,
    pub(super) at: [f64; 4],
    pub(super) values: [f64; 3],
}

/// Returns the course of `value` over the checkpoints and the end of the runs of a group.
pub(super) fn course(group: &Group, value: &dyn Fn(&Checkpoint) -> Option<f64>) -> Vec<Passed> {
    let mut at: BTreeMap<usize, ([Vec<f64>; 4], Vec<f64>)> = BTreeMap::new();
    for done in group.done.iter().filter(|done| !done.checkpoints.is_empty()) {
        let end = done.end(group.cell.iterations());
        for point in done.checkpoints.iter().chain([&end]) {
            let (counts, values) = at.entry(point.iteration).or_default();
            for (counts, (.., count)) in counts.iter_mut().zip(AGAINST) {
                counts.push(count(point));
            }
            values.extend(value(point));
        }
    }
    let told = at.into_iter().filter(|(_, (_, values))| !values.is_empty());
    told.map(|(iteration, (mut counts, mut values))| Passed {
        iteration,
        at: counts.each_mut().map(|counts| quantile(counts, 0.5)),
        values: [0.25, 0.5, 0.75].map(|q| quantile(&mut values, q)),
    })
    .collect()
}

/// One setting of an algorithm or an estimator, of this program or of another.
pub(super) struct Setting<'a> {
    /// The algorithm, which several settings share.
    pub(super) family: String,
    pub(super) label: String,
    pub(super) group: Option<&'a Group<'a>>,
    pub(super) course: Vec<Passed>,
    /// The costs at which each of [`PARTS`] is reached.
    reached: [Option<[f64; 4]>; 3],
}

impl<'a> Setting<'a> {
    pub(super) fn new(
        family: String,
        label: String,
        group: Option<&'a Group<'a>>,
        course: Vec<Passed>,
    ) -> Self {
        Self { family, label, group, course, reached: [None; 3] }
    }

    fn end(&self) -> f64 {
        self.course.last().map_or(f64::INFINITY, |point| point.values[1])
    }

    /// Compares the numbers of parts that are reached, then the times at which the last of them is reached, and then
    /// the remainders at the end.
    fn order(&self, other: &Self) -> Ordering {
        let rank = |setting: &Self| {
            let reached = setting.reached.iter().flatten();
            let last = reached.clone().last().map_or(f64::INFINITY, |at| at[TIME]);
            (reached.count(), last, setting.end())
        };
        let (ours, theirs) = (rank(self), rank(other));
        let sooner = ours.1.total_cmp(&theirs.1).then(ours.2.total_cmp(&theirs.2));
        theirs.0.cmp(&ours.0).then(sooner)
    }
}

/// Returns the best setting of each algorithm, with the course of its remainder, the best of all first. The result is
/// empty if no algorithm has two settings with known courses.
pub(super) fn best_settings(mut all: Vec<Setting>) -> Vec<Setting> {
    all.retain(|setting| setting.course.iter().all(|point| point.values[1].is_finite()));
    all.retain(|setting| setting.course.len() > 1);
    let several =
        |setting: &Setting| all.iter().filter(|s| s.family == setting.family).nth(1).is_some();
    if !all.iter().any(several) {
        return Vec::new();
    }
    let values = all.iter().flat_map(|s| &s.course).map(|point| point.values[1]);
    let best = values.fold(f64::INFINITY, f64::min);
    for setting in &mut all {
        let gain = setting.course[0].values[1] - best;
        setting.course.iter_mut().for_each(|p| p.values = p.values.map(|v| (v - best) / gain));
        setting.reached = PARTS.map(|part| reached(&setting.course, part));
    }
    all.sort_by(Setting::order);
    let mut known = HashSet::new();
    all.retain(|setting| known.insert(setting.family.clone()));
    all
}

/// Returns the costs at which the remainder is at most `part` for the first time, interpolated between the neighbouring
/// points with the logarithm of the remainder.
fn reached(course: &[Passed], part: f64) -> Option<[f64; 4]> {
    let place = course.iter().position(|point| point.values[1] <= part)?;
    let now = &course[place];
    let Some(before) = place.checked_sub(1).map(|place| &course[place]) else {
        return Some(now.at);
    };
    let [high, low] = [before, now].map(|point| point.values[1].max(LEAST).ln());
    let share = (high - part.ln()) / (high - low);
    Some(std::array::from_fn(|k| before.at[k] + share * (now.at[k] - before.at[k])))
}

/// An empty table of best settings.
pub(super) fn table() -> Table {
    let parts = |what: &'static str| PARTS.map(|part| format!(">{what} to {part}"));
    let columns = ["problem", "best setting", ">left at the end"].map(str::to_owned);
    Table::new(columns.into_iter().chain(parts("time")).chain(parts("samples")))
}

/// Adds one row per setting.
pub(super) fn tell(table: &mut Table, problem: &str, best: &[Setting]) {
    for setting in best {
        let told = |k: usize, tell: fn(f64) -> String| {
            setting.reached.map(move |at| {
                at.map(|at| at[k]).filter(|at| at.is_finite()).map_or("-".to_owned(), tell)
            })
        };
        let row = [problem.to_owned(), setting.label.clone(), significant(setting.end(), 2)];
        let samples = told(SAMPLES, |samples| significant(samples.round(), 3));
        table.push(row.into_iter().chain(told(TIME, seconds)).chain(samples));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting<'a>(family: &str, label: &str, values: &[f64]) -> Setting<'a> {
        let passed = |(iteration, &value): (usize, &f64)| Passed {
            iteration,
            at: [iteration as f64; 4],
            values: [value; 3],
        };
        let course = values.iter().enumerate().map(passed).collect();
        Setting::new(family.to_owned(), label.to_owned(), None, course)
    }

    #[test]
    fn the_best_setting_is_the_soonest_to_the_smallest_part() {
        // The best value is 1 and the start is 11. Of the gap of 10, the values leave 1, 0.1, 0.01 and 0.
        let all = vec![
            setting("a", "a:deep", &[11.0, 11.0, 11.0, 1.0]),
            setting("a", "a:shallow", &[11.0, 2.0, 1.1, 1.01]),
            setting("b", "b:far", &[11.0, 9.0]),
            setting("b", "b:near", &[11.0, 6.0]),
            setting("c", "c:not judged", &[11.0, f64::NAN]),
        ];
        let best = best_settings(all);
        let labels: Vec<_> = best.iter().map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["a:deep", "b:near"]);
        assert_eq!(best[1].course[1].values, [0.5; 3]);
        assert_eq!(best[1].reached, [None; 3]);
        assert!(best_settings(vec![setting("a", "a", &[2.0, 1.0])]).is_empty());
    }

    #[test]
    fn parts_are_reached_between_points() {
        let of = |values: &[f64], part| {
            reached(&setting("", "", values).course, part).map(|at| at[TIME])
        };
        assert_eq!(of(&[1.0, 0.1, 0.01], 0.1), Some(1.0));
        // Halfway between 0.1 and 0.01, in logarithms.
        let half = of(&[1.0, 0.1, 0.01], 0.1_f64.powf(1.5)).unwrap();
        assert!((half - 1.5).abs() < 1e-15, "{half}");
        assert_eq!(of(&[1.0, 0.1, 0.01], 0.001), None);
    }
}
