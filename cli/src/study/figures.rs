//! The figures of a study: those for which its records have at least two points.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::cell::{Checkpoint, Done};
use super::course::{self, AGAINST, Passed, Setting, TIME};
use super::file::{Measured, Study};
use super::plot::{Figure, Kind, Point, Series, Unit};
use super::summary::{Group, is_gradient, varying};
use crate::grouped::grouped;
use crate::table::Table;

/// Returns the figures of each problem, separately for gradients and whole runs, for each number of steps and over all
/// of them. Also returns the table of the best setting of each algorithm, if there is a grid of settings.
pub(super) fn all(study: &Study, groups: &[Group]) -> (Vec<Figure>, Option<Table>) {
    let of = |g: &Group| {
        let common = &g.cell.run.common;
        // Other data makes another problem.
        let mut problem = common.problem.clone();
        problem.extend(common.data.train.iter().map(|file| format!(" on {file}")));
        (problem, is_gradient(g))
    };
    let kinds = grouped(groups.iter().map(|group| (of(group), group)));
    let (mut figures, mut best_table) = (Vec::new(), course::table());
    for ((problem, gradient), groups) in &kinds {
        let both = kinds.contains_key(&(problem.clone(), !gradient));
        let name = if both && !gradient { format!("{problem}, runs") } else { problem.clone() };
        let whole = Panel::new(study, name, groups.clone());
        // Other steps and other labels make another problem to be solved.
        let case = |g: &&Group| (g.cell.run.common.steps, g.cell.run.common.data.corruption);
        let mut cases: Vec<_> = whole.groups.iter().map(case).collect();
        cases.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        cases.dedup();
        let steps = cases.chunk_by(|a, b| a.0 == b.0).count();
        for (r, corruption) in &cases {
            let same = whole.groups.iter().copied().filter(|g| case(g) == (*r, *corruption));
            let mut name = whole.name.clone();
            name.extend(r.filter(|_| steps > 1).map(|r| format!(", {r} steps")));
            name.extend(corruption.map(|c| format!(", corruption {c}")));
            let mut panel = Panel::new(study, name, same.collect());
            figures.push(panel.time_and_bytes());
            figures.extend(panel.accuracy());
            let best = panel.best_settings();
            if !best.is_empty() {
                figures.extend(panel.left(&best));
                course::tell(&mut best_table, &panel.name, &best);
                let chosen = best.iter().filter_map(|setting| setting.group).collect();
                panel = Panel { groups: chosen, ..panel };
            }
            figures.extend(panel.convergence());
        }
        figures.push(whole.predicted());
    }
    figures.retain(|f| {
        f.series.iter().filter(|s| s.kind != Kind::Front).flat_map(|s| &s.points).nth(1).is_some()
    });
    let found = best_table.lines.len() > 1;
    (figures, found.then_some(best_table))
}

/// The metric that is the value function.
const VALUE: &str = "h(x)";

/// Groups of one problem that are plotted together.
struct Panel<'a> {
    name: String,
    study: &'a Study,
    groups: Vec<&'a Group<'a>>,
    /// The settings that distinguish the groups.
    keys: Vec<&'a str>,
}

/// Groups points by name, in the order in which the names appear. Marks that are 0 up to rounding cannot be shown on a
/// logarithmic axis, and are only mentioned in the text.
pub(super) fn series(kind: Kind, points: impl Iterator<Item = (String, Point)>) -> Vec<Series> {
    let series = |(name, mut points): (String, Vec<Point>)| {
        points.retain(|point| kind == Kind::Line || point.x.min(point.low) > 1e-13);
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { name, kind, points }
    };
    grouped(points).into_iter().map(series).collect()
}

pub(super) fn point(x: f64, [low, y, high]: [f64; 3], text: String) -> Point {
    Point { x, y, low, high, text }
}

/// The Pareto front: the points that no other point beats in both directions, from left to right.
fn front(all: &[Series]) -> Series {
    let mut points: Vec<Point> = all.iter().flat_map(|s| &s.points).cloned().collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
    let mut best = f64::INFINITY;
    points.retain(|p| {
        p.y < best && {
            best = p.y;
            true
        }
    });
    for point in &mut points {
        (point.low, point.high) = (point.y, point.y);
    }
    Series { name: "Pareto front".to_owned(), kind: Kind::Front, points }
}

/// Whether a larger value is better, judged by the name of the quantity.
fn high_is_better(quantity: &str) -> bool {
    ["F1", "accuracy", "precision", "recall"].iter().any(|name| quantity.contains(name))
}

/// Makes a figure with its description in words.
pub(super) fn figure(
    id: &str,
    name: &str,
    what: &str,
    [x, y]: [(&str, Unit); 2],
    mut series: Vec<Series>,
) -> Figure {
    let stem = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let points: Vec<_> =
        series.iter().filter(|s| s.kind != Kind::Front).flat_map(|s| &s.points).collect();
    let by_height = |a: &&&Point, b: &&&Point| a.y.total_cmp(&b.y);
    let (best, word) = if high_is_better(y.0) {
        (points.iter().max_by(by_height), "highest")
    } else {
        (points.iter().min_by(by_height), "lowest")
    };
    let mut text = format!("{name}: {what}, {} points", points.len());
    let mut add = |more: String| text += &more;
    if let Some(best) = best {
        add(format!("; the {word} is {}", best.text));
    }
    let of = |front: bool| series.iter().filter(move |s| (s.kind == Kind::Front) == front);
    let front: Vec<_> = of(true).flat_map(|s| &s.points).map(|p| p.text.as_str()).collect();
    if front.iter().any(|text| !text.is_empty()) {
        add(format!("; on the Pareto front: {}", front.join("; ")));
    }
    let zeros: Vec<_> =
        of(false).filter(|s| s.points.is_empty()).map(|s| s.name.as_str()).collect();
    if !zeros.is_empty() {
        add(format!("; zero, and so not drawn: {}", zeros.join(", ")));
    }
    // A front of a single point is no line.
    series.retain(|s| s.points.len() > usize::from(s.kind == Kind::Front));
    let title = format!("{name}: {what}");
    let id = format!("{}-{id}", name.replace(", ", "-")).chars().map(stem).collect();
    let (x, y) = ((x.0.to_owned(), x.1), (y.0.to_owned(), y.1));
    Figure { id, title, tab: None, text, x, y, series }
}

impl<'a> Panel<'a> {
    fn new(study: &'a Study, name: String, groups: Vec<&'a Group<'a>>) -> Self {
        let keys = varying(&groups);
        Self { name, study, groups, keys }
    }

    /// The estimator and, if schedules differ, the schedule, without their numbers. Marks of one family have the same
    /// colour.
    fn family(&self, group: &Group) -> String {
        let name = |text: &str| match text.split_once(':') {
            Some((name, settings)) if settings.contains(|c: char| c.is_ascii_digit()) => {
                name.to_owned()
            }
            _ => text.to_owned(),
        };
        let estimator = name(group.cell.estimator());
        let taken = group.done.first().and_then(|done| done.schedule_taken.as_deref());
        match taken.filter(|_| self.keys.contains(&"schedule")) {
            Some(schedule) => format!("{estimator}, {}", name(schedule)),
            None => estimator,
        }
    }

    fn label(&self, group: &Group) -> String {
        group.label(&self.keys)
    }

    fn time_and_bytes(&self) -> Figure {
        let mark = |family: String, name: &str, bytes: u64, times: [f64; 3]| {
            let bytes = bytes as f64;
            let [size, time] = [Unit::Bytes.text(bytes), Unit::Seconds.text(times[1])];
            (family, point(bytes, times, format!("{name}: {size}, {time}")))
        };
        let ours = self.groups.iter().filter_map(|group| {
            Some(mark(self.family(group), &self.label(group), group.bytes()?, group.seconds()?))
        });
        // External measurements are of gradients.
        let first = self.groups.first().filter(|g| is_gradient(g)).map(|g| &g.cell.run.common);
        let (problem, steps) = (first.map(|c| &c.problem), first.and_then(|c| c.steps));
        let others = self
            .study
            .external
            .iter()
            .filter(|e| Some(&e.problem) == problem && (e.steps.is_none() || e.steps == steps));
        let others = others.filter_map(|e| match e.measured {
            Measured::Gradient { bytes, seconds } => {
                Some(mark(e.name.clone(), &e.name, bytes, [seconds; 3]))
            }
            Measured::Curve(_) => None,
        });
        let mut series = series(Kind::Marks, ours.chain(others));
        series.push(front(&series));
        let axes = [("bytes", Unit::Bytes), ("time", Unit::Seconds)];
        figure("time-bytes", &self.name, "time against bytes", axes, series)
    }

    /// Figures of bias and variance against time, and of J, the time x second moment relative to exact gradients,
    /// against memory, if draws were requested: means, and the range over seeds.
    fn accuracy(&self) -> Vec<Figure> {
        let within = |key: &&str| ["memory", "schedule"].contains(key);
        let keys: Vec<_> = self.keys.iter().copied().filter(|key| !within(key)).collect();
        let of = |id: &str, what: &str, axes: [_; 2], kind, y: &dyn Fn(&Done) -> Option<f64>| {
            let points = self.groups.iter().filter_map(|group| {
                let x = match axes[0] {
                    (_, Unit::Bytes) => group.bytes()? as f64,
                    _ => group.mean(|done| Some(done.accuracy?.seconds))?,
                };
                let y = group.range(y)?;
                let text = format!("{}: {}", self.label(group), Unit::Number.text(y[1]));
                Some((group.label(&keys), point(x, y, text)))
            });
            figure(id, &self.name, what, axes, series(kind, points))
        };
        let number = |what| (what, Unit::Number);
        let (time, bytes) = (("time", Unit::Seconds), ("bytes", Unit::Bytes));
        let [bias, variance] = [number("|E(G - g)| / |E g|"), number("tr Cov G / |E g|²")];
        let merit = number("time x E|G|² of exact");
        vec![
            of("bias", "bias against time", [time, bias], Kind::Marks, &|d| Some(d.accuracy?.bias)),
            of("variance", "variance against time", [time, variance], Kind::Marks, &|d| {
                Some(d.accuracy?.variance)
            }),
            of(
                "merit",
                "J = time × E|G|², of exact, by memory",
                [bytes, merit],
                Kind::Line,
                &|d| d.accuracy?.relative,
            ),
        ]
    }

    /// Figures of the loss and the metrics during the runs, against calls, samples and time: medians and quartiles over
    /// seeds.
    fn convergence(&self) -> Vec<Figure> {
        let done = self.groups.iter().flat_map(|g| &g.done);
        let metrics: BTreeSet<&String> = done.flat_map(|d| d.metrics.keys()).collect();
        // Precision and recall need no figures if F1, which combines them, has one.
        let whole = metrics.iter().any(|name| *name == "F1");
        let parts = |name: &&&String| !(whole && ["precision", "recall"].contains(&name.as_str()));
        let metrics = metrics.iter().filter(parts).copied();
        let mut figures = Vec::new();
        for quantity in std::iter::once(None).chain(metrics.map(Some)) {
            let value = |c: &Checkpoint| match quantity {
                None => Some(c.loss),
                Some(metric) => c.metrics.get(metric).copied()?,
            };
            let what = quantity.map_or("outer loss", String::as_str);
            let id = quantity.map_or("loss", String::as_str);
            let courses = self.groups.iter().map(|g| (self.label(g), course::course(g, &value)));
            figures.extend(self.against([id, what], &courses.collect::<Vec<_>>()));
        }
        figures
    }

    /// Returns the best settings of this program and of others, if the points of all runs were evaluated by the value
    /// function. Outer losses after inner loops of different lengths are not comparable.
    fn best_settings(&self) -> Vec<Setting<'a>> {
        if !self.groups.iter().flat_map(|g| &g.done).all(|done| done.metrics.contains_key(VALUE)) {
            return Vec::new();
        }
        let value = |c: &Checkpoint| c.metrics.get(VALUE).copied()?;
        let ours = self.groups.iter().map(|&group| {
            let course = course::course(group, &value);
            Setting::new(self.family(group), self.label(group), Some(group), course)
        });
        let of = |problem: &str| {
            problem == self.name || self.groups.iter().any(|g| g.cell.run.common.problem == problem)
        };
        let others = self.study.external.iter().filter_map(|e| {
            let Measured::Curve(points) = &e.measured else { return None };
            let passed = |&[time, value]: &[f64; 2]| Passed {
                iteration: 0,
                at: [f64::NAN, f64::NAN, f64::NAN, time],
                values: [value; 3],
            };
            let family = e.name.split(':').next().unwrap_or_default().to_owned();
            let course = points.iter().map(passed).collect();
            of(&e.problem).then(|| Setting::new(family, e.name.clone(), None, course))
        });
        course::best_settings(ours.chain(others).collect())
    }

    /// Figures of the remainders of the best settings, as far as a logarithmic axis can show them.
    fn left(&self, best: &[Setting]) -> Vec<Figure> {
        let shown = |passed: &Passed| {
            let [low, left, high] = passed.values;
            let values = [if low > 0.0 { low } else { left }, left, high];
            (left > 0.0 && passed.at[TIME] > 0.0).then_some(Passed { values, ..*passed })
        };
        let course = |setting: &Setting| setting.course.iter().filter_map(shown).collect();
        let courses: Vec<_> = best.iter().map(|s| (s.label.clone(), course(s))).collect();
        self.against(["left", "part of h(x) left, best settings"], &courses)
    }

    /// Plots the courses of a quantity against everything that is counted.
    fn against(&self, [id, what]: [&str; 2], courses: &[(String, Vec<Passed>)]) -> Vec<Figure> {
        let figure = |(k, (tab, axis, unit, _)): (usize, course::Counted)| {
            let points = courses.iter().flat_map(|(label, course)| {
                course.iter().filter(|passed| passed.at[k].is_finite()).map(move |passed| {
                    let value = Unit::Number.text(passed.values[1]);
                    let text = format!("{label}: {value} at iteration {}", passed.iteration);
                    (label.clone(), point(passed.at[k], passed.values, text))
                })
            });
            let axes = [(axis, unit), (what, Unit::Number)];
            let (id, title) = (format!("{id}-{tab}"), format!("{what} against {tab}"));
            let figure = figure(&id, &self.name, &title, axes, series(Kind::Line, points));
            Figure { tab: Some(tab), ..figure }
        };
        AGAINST.into_iter().enumerate().map(figure).collect()
    }

    fn predicted(&self) -> Figure {
        let points = self.groups.iter().filter(|group| is_gradient(group)).filter_map(|group| {
            let measured = group.bytes()? as f64;
            let predicted = group.mean(|done| Some(done.bytes_predicted as f64))?;
            let [before, after] = [predicted, measured].map(|bytes| Unit::Bytes.text(bytes));
            let text = format!("{}: predicted {before}, measured {after}", self.label(group));
            Some((self.family(group), point(predicted, [measured; 3], text)))
        });
        let mut series = series(Kind::Marks, points);
        let all = series.iter().flat_map(|s| s.points.iter().map(|p| p.x));
        let ends = [all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max)];
        if ends[1] > 0.0 {
            let points = ends.map(|x| point(x, [x; 3], String::new())).to_vec();
            series.push(Series { name: "as predicted".to_owned(), kind: Kind::Front, points });
        }
        let axes = [("bytes predicted", Unit::Bytes), ("bytes measured", Unit::Bytes)];
        figure("predicted", &self.name, "predicted and measured bytes", axes, series)
    }
}
