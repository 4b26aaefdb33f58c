//! Dense rows of numbers with commas between. The first line is a header if none of its fields is a number.

use std::io::Read;

use csv::{ReaderBuilder, StringRecord};
use hypertape_autodiff::Element;
use hypertape_solver::Error;

use super::source::{Features, Name, Table, shown};

/// Reads a table whose labels stand in the column called `label`, or of that number, from 1, or in the last.
pub(crate) fn read<T: Element>(
    name: Name,
    reader: impl Read,
    label: Option<&str>,
) -> Result<Table<T>, Error> {
    let mut records = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let (mut record, mut layout) = (StringRecord::new(), None);
    while records.read_record(&mut record).map_err(|e| name.wrong("", e, "lines of numbers"))? {
        let line = record.position().map_or(0, csv::Position::line);
        let at = || format!(":{line}");
        let (width, place) = if let Some(layout) = layout {
            layout
        } else {
            let is_header = record.iter().all(|field| field.trim().parse::<f64>().is_err());
            let place = column(&record, is_header, label).ok_or_else(|| {
                let found = format!("no column {:?}", shown(label.unwrap_or_default()));
                let expected =
                    format!("a name in the header, or a number from 1 to {}", record.len());
                name.wrong(at(), found, expected)
            })?;
            if record.len() < 2 {
                return Err(name.wrong(at(), "one column", "a label and one feature at least"));
            }
            layout = Some((record.len(), place));
            if is_header {
                continue;
            }
            (record.len(), place)
        };
        if record.len() != width {
            let expected = format!("{width}, as in the first line");
            return Err(name.wrong(at(), format!("{} fields", record.len()), expected));
        }
        for (i, field) in record.iter().enumerate() {
            let number = name.number(line, field)?;
            if i == place {
                labels.push(number);
            } else {
                values.push(name.element(at, number)?);
            }
        }
    }
    Ok(Table { features: Features::Dense(values), labels })
}

/// The place of the labels.
fn column(first: &StringRecord, is_header: bool, label: Option<&str>) -> Option<usize> {
    let Some(label) = label else { return first.len().checked_sub(1) };
    let named = first.iter().position(|field| is_header && field.trim() == label);
    let numbered = label.parse().ok().filter(|&n: &usize| 0 < n && n <= first.len());
    named.or(numbered.map(|n| n - 1))
}
