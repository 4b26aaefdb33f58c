//! `report.html`, one page that needs no network; `report.md`; the figures as files of their own.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::figures;
use super::file::Study;
use super::plot::{Figure, Kind, escaped, svg};
use super::records::Records;
use super::summary::Group;
use crate::cli::atomic;
use crate::cli::failure::Failure;
use crate::cli::table::Table;

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:16px/1.5 sans-serif;max-width:60rem;margin:auto;padding:1rem;color:#222;background:#fff}
figure{margin:0}
h2{margin:2rem 0 0}
figcaption{overflow-wrap:anywhere}
svg{width:100%;max-width:42rem;height:auto}
svg .title{display:none}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .6rem;border-bottom:1px solid #8884;text-align:right;white-space:nowrap}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}
pre{overflow-x:auto}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}}";

/// Writes them beside the records.
pub(super) fn write(
    study: &Study,
    records: &Records,
    groups: &[Group],
    (table, warnings): (&Table, &[String]),
) -> Result<(), Failure> {
    let figures = figures::all(study, groups);
    if !figures.is_empty() {
        atomic::prepare_dir(&records.folder.join("figures")).map_err(Failure::of("--out"))?;
    }
    for figure in &figures {
        let name = format!("figures/{}.svg", figure.id);
        records.write(&name, |file| Ok(file.write_all(svg(figure).as_bytes())?))?;
    }
    let page = html(study, records, &figures, (table, warnings));
    records.write("report.html", |file| Ok(file.write_all(page.as_bytes())?))?;
    let title = study.title.as_deref().unwrap_or("Study");
    let lines = warnings.iter().fold(String::new(), |lines, line| lines + "\n- " + line);
    let page = format!("# {title}\n\n{}\n\n{}\n{lines}\n", origin(records), table.markdown());
    records.write("report.md", |file| Ok(file.write_all(page.as_bytes())?))
}

/// Where the records come from, and how many there are.
fn origin(records: &Records) -> String {
    let known = || records.slots.iter().flatten();
    let told: BTreeSet<String> = known()
        .map(|r| {
            format!(
                "hypertape {}, {}, {}",
                r.origin.version, r.origin.machine, r.origin.instructions
            )
        })
        .collect();
    let told: Vec<_> = told.into_iter().collect();
    let (cells, all) = (known().count(), records.slots.len());
    let failed = known().filter(|r| r.outcome.is_err()).count();
    format!("{cells} of {all} cells recorded, {failed} failed. {}.", told.join("; "))
}

fn html(
    study: &Study,
    records: &Records,
    figures: &[Figure],
    (table, warnings): (&Table, &[String]),
) -> String {
    let title = escaped(study.title.as_deref().unwrap_or("Study"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{}</p>\n\
         <div class=\"wide\">{}</div>\n",
        escaped(&origin(records)),
        html_table(table.rows()),
    );
    page.extend(warnings.iter().map(|line| format!("<p>{}</p>\n", escaped(line))));
    for figure in figures {
        // Writing to a string does not fail.
        let _ = write!(
            page,
            "<h2>{}</h2>\n<figure>\n{}<figcaption>{}.</figcaption>\n</figure>\n\
             <details><summary>Data of this figure</summary><div class=\"wide\">{}</div></details>\n",
            escaped(&figure.title),
            svg(figure),
            escaped(&figure.text),
            html_table(&data(figure)),
        );
    }
    let study = escaped(&study.text);
    page + &format!(
        "<h2>Made by</h2>\n<pre>hypertape study study.toml --out DIR</pre>\n\
         <p>All records: records.jsonl and records.csv. study.toml:</p>\n<pre>{study}</pre>\n</html>\n"
    )
}

fn html_table(rows: &[Vec<String>]) -> String {
    let row = |(i, row): (usize, &Vec<String>)| {
        let tag = if i == 0 { "th" } else { "td" };
        let cells = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    format!("<table>\n{}</table>", rows.iter().enumerate().map(row).collect::<String>())
}

fn data(figure: &Figure) -> Vec<Vec<String>> {
    let head = ["series", "point", &figure.x.0, &figure.y.0, "low", "high"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for series in figure.series.iter().filter(|series| series.kind != Kind::Front) {
        for p in &series.points {
            let numbers = [p.x, p.y, p.low, p.high].map(|v| v.to_string());
            rows.push([&[series.name.clone(), p.text.clone()][..], &numbers].concat());
        }
    }
    rows
}
