//! Figures as SVG: points, lines, bands and fronts over linear or logarithmic axes.
//!
//! The SVG is written by hand, because the page needs what plotting crates do not provide: classes that follow the
//! reader's light or dark theme, a text for each figure and each mark, and sizes that suit a phone.

use std::fmt::Write;

use crate::table::{bytes, seconds, significant};

/// The unit of an axis. Every axis is logarithmic if its values allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Seconds,
    Number,
}

impl Unit {
    pub(super) fn text(self, value: f64) -> String {
        match self {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
            Self::Bytes => bytes(value as u64),
            Self::Seconds => seconds(value),
            Self::Number => significant(value, 3),
        }
    }

    /// Returns the value in a readable unit, and the name of the unit.
    fn of(self, value: f64) -> (f64, &'static str) {
        let (base, names, first): (f64, &[&str], f64) = match self {
            Self::Bytes => (1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 0.0),
            Self::Seconds => (1000.0, &["ns", "µs", "ms", "s"], -3.0),
            Self::Number => return (1.0, ""),
        };
        let power = value.log(base).floor().clamp(first, first + names.len() as f64 - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let name = names[(power - first) as usize];
        (base.powf(power), name)
    }
}

/// The style of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Marks,
    /// Marks on a line, with a band from `low` to `high`.
    Line,
    /// A dashed line without a colour of its own.
    Front,
}

#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// Name of its file.
    pub(super) id: String,
    pub(super) title: String,
    /// The name of this figure in a switch, on pages that show the same quantity against several others in one place.
    pub(super) tab: Option<&'static str>,
    /// Description in words.
    pub(super) text: String,
    pub(super) x: (String, Unit),
    pub(super) y: (String, Unit),
    pub(super) series: Vec<Series>,
}

/// Colours after Okabe and Ito (2008), which can be distinguished with any colour vision and on light and dark
/// backgrounds. Each has a marker shape.
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c7a00"];

/// Size of the drawing, small enough to be readable at the width of a phone; the legend is placed below.
const SIZE: (f64, f64) = (560.0, 360.0);
const LEFT: f64 = 90.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 56.0;
/// Largest average width of a letter.
const LETTER: f64 = 8.5;

/// Escapes characters that have a meaning in HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One axis: maps values to positions.
struct Scale {
    log: bool,
    range: (f64, f64),
    places: (f64, f64),
}

/// The smallest and the largest of some values.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

impl Scale {
    fn new((low, high): (f64, f64), places: (f64, f64)) -> Self {
        let log = low > 0.0;
        let (low, high) = if log { (low.ln(), high.ln()) } else { (low, high) };
        let margin = if high > low { 0.05 * (high - low) } else { 0.5 };
        Self { log, range: (low - margin, high + margin), places }
    }

    /// The scale of a figure over all values, or, if curves start far from where they continue, over those from their
    /// second points on.
    fn settled(series: &[Series], places: (f64, f64)) -> Self {
        let of = |from: usize| {
            let points = series.iter().flat_map(move |s| {
                s.points.iter().skip(if s.kind == Kind::Line { from } else { 0 })
            });
            Self::new(ends(points.flat_map(|p| [p.low, p.high])), places)
        };
        let (all, rest) = (of(0), of(1));
        let share = |value: f64| (all.at(value) - all.range.0) / (all.range.1 - all.range.0);
        let back = |value: f64| if rest.log { value.exp() } else { value };
        let part = share(back(rest.range.1)) - share(back(rest.range.0));
        if part.is_finite() && part < 1.0 / 3.0 { rest } else { all }
    }

    fn at(&self, value: f64) -> f64 {
        if self.log { value.ln() } else { value }
    }

    /// Returns the position of a value, limited to one width of the drawing outside of it.
    fn place(&self, value: f64) -> f64 {
        let share = (self.at(value) - self.range.0) / (self.range.1 - self.range.0);
        self.places.0 + share.clamp(-1.0, 2.0) * (self.places.1 - self.places.0)
    }

    /// Returns at most 8 round values within the range, with their labels: at equal ratios if the range has three of
    /// those, otherwise at equal steps of one unit.
    fn ticks(&self, unit: Unit) -> Vec<(f64, String)> {
        let (low, high) = self.range;
        let base: f64 = if unit == Unit::Bytes { 2.0 } else { 10.0 };
        let ratios = |every: i32, factors: &[f64]| -> Vec<f64> {
            let powers = (-400..400).filter(|k| k % every == 0).map(|k| base.powi(k));
            let all = powers.flat_map(|p| factors.iter().map(move |f| p * f));
            all.filter(|t| (low..=high).contains(&t.ln())).collect()
        };
        let fine: &[f64] = if base > 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let ratios = || {
            let coarser = (1..400).map(|every| ratios(every, &[1.0]));
            std::iter::once(ratios(1, fine)).chain(coarser).find(|ticks| ticks.len() <= 8)
        };
        if let Some(ticks) = ratios().filter(|ticks| self.log && ticks.len() > 2) {
            return ticks.into_iter().map(|tick| (tick, short(unit, tick))).collect();
        }
        let (low, high) = if self.log { (low.exp(), high.exp()) } else { (low, high) };
        let (whole, name) = unit.of(high);
        let step = 10_f64.powf(((high - low) / whole / 8.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|k| k * step);
        let span = (high - low) / whole;
        let step = steps.into_iter().find(|s| span / s < 8.0).unwrap_or(span);
        let first = (low / whole / step).ceil();
        let ticks = (0..8).map(|i| (first + f64::from(i)) * step).filter(|t| t * whole <= high);
        ticks
            .map(|tick| {
                let label = if name.is_empty() {
                    short(unit, tick)
                } else {
                    format!("{} {name}", significant(tick, 4).parse().unwrap_or(tick))
                };
                (tick * whole, label)
            })
            .collect()
    }
}

/// Positions and labels of the ticks, without labels that would touch the previous one or repeat it. The size of a
/// label is `each` per letter, plus `more`.
fn labels(scale: &Scale, unit: Unit, each: f64, more: f64) -> Vec<(f64, String)> {
    let mut kept: Vec<(f64, String)> = Vec::new();
    for (tick, label) in scale.ticks(unit) {
        let at = scale.place(tick);
        let room = |(last, text): &(f64, String)| {
            (at - last).abs() >= each * label.chars().count() as f64 + more && *text != label
        };
        if kept.last().is_none_or(room) {
            kept.push((at, label));
        }
    }
    kept
}

/// Draws the figure as an SVG document, which can also be embedded in a page.
pub(super) fn svg(figure: &Figure) -> String {
    let (width, height) = SIZE;
    let points = figure.series.iter().flat_map(|s| &s.points);
    let x = Scale::new(ends(points.map(|p| p.x)), (LEFT, width - RIGHT));
    let y = Scale::settled(&figure.series, (height - BOTTOM, TOP));
    let longest = figure.series.iter().map(|s| s.name.chars().count()).max().unwrap_or_default();
    let columns = if longest as f64 * LETTER < width / 2.0 - 40.0 { 2 } else { 1 };
    let legend = 20.0 * figure.series.len().div_ceil(columns) as f64;
    let total = height + legend + 10.0;
    let large = (width / figure.title.chars().count() as f64 / 0.62).min(15.0);
    let (title, text) = (escaped(&figure.title), escaped(&figure.text));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {total}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"15\">\
         <title>{title}</title><desc>{text}</desc>\n<style>text{{fill:#222}}\
         .ground{{fill:#fff}}.grid{{stroke:#ddd}}.front{{stroke:#222}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}.ground{{fill:#161616}}\
         .grid{{stroke:#444}}.front{{stroke:#ddd}}}}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{total}\"/>\n\
         <text class=\"title\" x=\"12\" y=\"22\" font-size=\"{large:.1}\" font-weight=\"bold\">{title}</text>\n"
    );
    // Writing to a string does not fail.
    macro_rules! put {
        ($($text:tt)*) => {{
            let _ = writeln!(out, $($text)*);
        }};
    }
    let (right, bottom) = (width - RIGHT, height - BOTTOM);
    for (at, label) in labels(&x, figure.x.1, LETTER, 6.0) {
        put!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>");
        // Low enough for a label of the other axis in the corner.
        let below = bottom + 23.0;
        put!("<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>");
    }
    for (at, label) in labels(&y, figure.y.1, 0.0, 17.0) {
        put!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>");
        let (left, middle) = (LEFT - 6.0, at + 5.0);
        put!("<text x=\"{left}\" y=\"{middle:.1}\" text-anchor=\"end\">{label}</text>");
    }
    let (middle, low) = (f64::midpoint(LEFT, right), bottom + 42.0);
    let label = escaped(&figure.x.0);
    put!("<text x=\"{middle}\" y=\"{low}\" text-anchor=\"middle\">{label}</text>");
    let (middle, label) = (f64::midpoint(TOP, bottom), escaped(&figure.y.0));
    put!(
        "<text transform=\"translate(16 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
    );
    let (clip, inner, deep) = (&figure.id, right - LEFT + 12.0, bottom - TOP + 6.0);
    let (left, top) = (LEFT - 6.0, TOP - 6.0);
    put!("<clipPath id=\"{clip}\"><path d=\"M{left} {top}h{inner}v{deep}h-{inner}z\"/></clipPath>");
    for (i, series) in figure.series.iter().enumerate() {
        put!("<g class=\"series\" clip-path=\"url(#{clip})\">");
        let (colour, at) = (COLOURS[i % COLOURS.len()], |p: &Point| (x.place(p.x), y.place(p.y)));
        let line = |values: &mut dyn Iterator<Item = (f64, f64)>| {
            values.map(|(x, y)| format!("{x:.1} {y:.1}")).collect::<Vec<_>>().join("L")
        };
        let path = line(&mut series.points.iter().map(at));
        match series.kind {
            Kind::Marks => {}
            Kind::Front => {
                put!(
                    "<path class=\"front\" d=\"M{path}\" fill=\"none\" stroke-dasharray=\"5 4\"/>"
                );
            }
            Kind::Line => {
                let up = series.points.iter().map(|p| (x.place(p.x), y.place(p.high)));
                let down = series.points.iter().rev().map(|p| (x.place(p.x), y.place(p.low)));
                let band = line(&mut up.chain(down));
                put!("<path d=\"M{band}Z\" fill=\"{colour}\" fill-opacity=\"0.2\"/>");
                put!("<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
            }
        }
        for point in series.points.iter().filter(|_| series.kind != Kind::Front) {
            let ((px, py), text) = (at(point), escaped(&point.text));
            let (low, high) = (y.place(point.low), y.place(point.high));
            if (series.kind == Kind::Marks || series.points.len() == 1) && low - high > 1.0 {
                put!("<path d=\"M{px:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\"/>");
            }
            put!("{}<title>{text}</title></path>", mark(i, px, py, colour));
        }
        put!("</g><g class=\"key\">");
        let (row, column) = (i / columns, i % columns);
        let (lx, ly) = (20.0 + width / 2.0 * column as f64, height + 20.0 * row as f64 + 2.0);
        if series.kind == Kind::Front {
            let left = lx - 9.0;
            put!("<path class=\"front\" d=\"M{left} {ly}h18\" stroke-dasharray=\"5 4\"/>");
        } else {
            put!("{}</path>", mark(i, lx, ly, colour));
        }
        let (tx, ty, name) = (lx + 14.0, ly + 5.0, escaped(&series.name));
        put!("<text x=\"{tx}\" y=\"{ty}\">{name}</text></g>");
    }
    out + "</svg>\n"
}

/// The start tag of a mark of series `i`, still open.
fn mark(i: usize, x: f64, y: f64, colour: &str) -> String {
    let shape = [
        "m-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
        "m-5 -5h10v10h-10z",
        "m0 -6l6 11h-12z",
        "m0 -6l6 6l-6 6l-6 -6z",
    ];
    let shape = shape[i % shape.len()];
    format!("<path class=\"mark\" d=\"M{x:.1} {y:.1}{shape}\" fill=\"{colour}\">")
}

/// A round value without superfluous digits: `1 ms`, `16 KiB`.
fn short(unit: Unit, value: f64) -> String {
    let text = unit.text(value);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let (digits, exponent) =
        number.split_once('e').map_or((number, String::new()), |(d, e)| (d, format!("e{e}")));
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    };
    format!("{digits}{exponent} {unit}").trim_end().to_owned()
}
