//! `report.html`, a page that needs no network; `report.md`; and the figures in separate files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::file::Study;
use super::plot::{Figure, Kind, Series, Unit, escaped, svg};
use super::records::{Origin, Recorded, Records};
use super::summary::Comparison;
use crate::atomic;
use crate::failure::Failure;
use crate::grouped::grouped;
use crate::table::{Align, Table};

/// The style of the page, and the script for points, series and the sorting of tables.
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The text of the report: the table of all combinations, other tables with their headings, and warnings.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) all: &'a Table,
    pub(super) more: &'a [(&'static str, Table)],
    pub(super) warnings: &'a [String],
}

/// Writes the report and the figures into the folder of the records.
pub(super) fn write(
    study: &Study,
    records: &Records,
    figures: &[Figure],
    tables: Tables,
) -> Result<(), Failure> {
    if !figures.is_empty() {
        atomic::prepare_dir(&records.folder.join("figures")).map_err(Failure::of("--out"))?;
    }
    for figure in figures {
        let name = format!("figures/{}.svg", figure.id);
        records.write(&name, &svg(figure))?;
    }
    let all: Vec<_> = (0..study.cells.len()).collect();
    let missing = records.missing(&study.cells, &all)?.len();
    let origin = origin(records, missing);
    let page = html(study, &origin, figures, tables);
    records.write("report.html", &page)?;
    let title = study.title.as_deref().unwrap_or("Study");
    let lines = tables.warnings.iter().fold(String::new(), |lines, line| lines + "\n- " + line);
    let told = tables.more.iter().fold(String::new(), |told, (what, table)| {
        told + "\n## " + what + "\n\n" + &table.markdown() + "\n"
    });
    let rows = tables.all.markdown();
    let page = format!("# {title}\n\n{origin}\n\n{rows}\n{lines}\n{told}");
    records.write("report.md", &page)
}

/// States the origin of the records, how many there are, and how many are missing.
fn origin(records: &Records, missing: usize) -> String {
    let known = || records.slots.iter().flatten();
    let of = |recorded: &Recorded| {
        let Origin { version, machine, instructions, .. } = &recorded.origin;
        format!("hypertape {version}, {machine}, {instructions}")
    };
    let told: BTreeSet<String> = known().map(of).collect();
    let told: Vec<_> = told.into_iter().collect();
    let (cells, failed) = (known().count(), known().filter(|r| r.outcome.is_err()).count());
    let missing = if missing == 0 { String::new() } else { format!(", {missing} missing") };
    format!("{cells} cells recorded{missing}, {failed} failed. {}.", told.join("; "))
}

/// A complete HTML document.
fn document(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n{body}\
         <script>\n{SCRIPT}</script>\n</html>\n"
    )
}

fn html(study: &Study, told: &str, figures: &[Figure], tables: Tables) -> String {
    let (told, rows) = (escaped(told), html_table(tables.all));
    let mut page = format!("<p>{told}</p>\n<div class=\"wide\">{rows}</div>\n");
    for (what, table) in tables.more {
        let rows = html_table(table);
        page.extend(["<h2>", what, "</h2>\n<div class=\"wide\">", &rows, "</div>\n"]);
    }
    if !tables.warnings.is_empty() {
        let lines = tables.warnings.iter().map(|line| format!("<li>{}</li>\n", escaped(line)));
        page += "<ul class=\"warnings\">\n";
        page.extend(lines);
        page += "</ul>\n";
    }
    page += &drawn(figures);
    let (title, text) = (study.title.as_deref().unwrap_or("Study"), escaped(&study.text));
    let made = format!(
        "<h2>How this page was made</h2>\n<pre>hypertape study study.toml --out DIR</pre>\n\
         <p>All records are in records.jsonl and records.csv. The file study.toml:</p>\n<pre>{text}</pre>\n"
    );
    document(title, &(page + &made))
}

/// Figures side by side. Figures of the same quantity against several others share one place.
fn drawn(figures: &[Figure]) -> String {
    let mut page = "<div class=\"figures\">\n".to_owned();
    for same in figures.chunk_by(|a, b| a.tab.is_some() && b.tab.is_some() && a.y == b.y) {
        // Writing to a string does not fail.
        let _ = writeln!(page, "<div class=\"{}\">", if same.len() > 1 { "switch" } else { "one" });
        for figure in same {
            // The text begins with the title, which is already shown above.
            let text = figure.text.strip_prefix(&format!("{}, ", figure.title));
            let _ = write!(
                page,
                "<section data-tab=\"{}\"><h2>{}</h2>\n<figure>\n{}<figcaption>{}.</figcaption>\n</figure>\n\
                 <details><summary>Data of this figure</summary><div class=\"wide\">{}</div></details></section>\n",
                figure.tab.unwrap_or_default(),
                escaped(&figure.title),
                svg(figure),
                escaped(text.unwrap_or(&figure.text)),
                html_table(&data(figure)),
            );
        }
        page += "</div>\n";
    }
    page + "</div>\n"
}

/// The page of a comparison: its table, and a figure of ratios against the old times.
pub(super) fn comparison(
    [a, b]: &[String; 2],
    [before, after]: [&Records; 2],
    told: &str,
    found: &Comparison,
) -> String {
    let verdicts = grouped(found.ratios.iter().cloned()).into_iter();
    let series =
        verdicts.map(|(name, points)| Series { name: name.to_owned(), kind: Kind::Marks, points });
    let figure = Figure {
        id: "ratios".to_owned(),
        title: "Time after over time before".to_owned(),
        tab: None,
        text: "Ratios of medians with their intervals, against the time before; below 1 is faster"
            .to_owned(),
        x: ("time before".to_owned(), Unit::Seconds),
        y: ("time after / before".to_owned(), Unit::Number),
        series: series.collect(),
    };
    let figures = if found.ratios.is_empty() { String::new() } else { drawn(&[figure]) };
    let [was, is] = [before, after].map(|records| escaped(&origin(records, 0)));
    let (a, b, told, rows) = (escaped(a), escaped(b), escaped(told), html_table(&found.table));
    let body = format!(
        "<p>Before: {a}. {was}</p>\n<p>After: {b}. {is}</p>\n<p>{told}, {} worse than before.</p>\n\
         <div class=\"wide\">{rows}</div>\n{figures}",
        found.worse
    );
    document("Before and after", &body)
}

/// An HTML table with a header, with numbers aligned to the right.
fn html_table(table: &Table) -> String {
    let row = |(i, row): (usize, &Vec<String>)| {
        let tag = if i == 0 { "th" } else { "td" };
        let cells = row.iter().zip(&table.align).map(|(cell, &align)| {
            let class = if align == Align::Left { " class=\"text\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escaped(cell))
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let mut rows = table.lines.iter().enumerate().map(row);
    let head = rows.next().unwrap_or_default();
    format!("<table>\n<thead>{head}</thead>\n<tbody>{}</tbody></table>", rows.collect::<String>())
}

fn data(figure: &Figure) -> Table {
    let [x, y] = [&figure.x.0, &figure.y.0].map(|name| format!(">{name}"));
    let mut table = Table::new(["series", "point", &x, &y, ">low", ">high"]);
    for series in figure.series.iter().filter(|series| series.kind != Kind::Front) {
        for p in &series.points {
            let numbers = [p.x, p.y, p.low, p.high].map(|v| v.to_string());
            table.push([&[series.name.clone(), p.text.clone()][..], &numbers].concat());
        }
    }
    table
}
