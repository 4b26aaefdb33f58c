//! Sparse rows in the format of `svm_light` and `LIBSVM`: `LABEL qid:QUERY INDEX:VALUE ... # comment`. Indices increase
//! within a row, from 1, or from 0 as in files from scikit-learn. Query identifiers are ignored.

use std::io::BufRead;

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use super::source::{Entries, Features, Lines, Name, Table, shown};

/// Largest index. Weights are dense, so a larger index is most likely a mistake and would exhaust memory.
const MOST: u32 = 1 << 24;

/// Reads a table. Columns keep their numbers in the file.
pub(crate) fn read<T: Element>(name: Name, reader: impl BufRead) -> Result<Table<T>, Error> {
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    let (mut labels, mut width, mut queries) = (Vec::new(), 0, false);
    for row in Lines::new(name, reader) {
        let (line, text) = row?;
        let at = || format!(":{line}");
        let mut fields = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(label) = fields.next() else { continue };
        if label.contains([',', ':']) {
            let has = if label.contains(':') { "no label, and" } else { "several labels, as" };
            let begins = shown(label);
            let why = format!("the row has {has} it begins with {begins}: one label is needed");
            return Err(name.told(at(), why));
        }
        labels.push(name.label(format_args!(":{line}"), label)?);
        let mut least = 0;
        for field in fields {
            let Some((index, value)) = field.split_once(':') else {
                return Err(name.wrong(at(), format!("{:?}", shown(field)), "INDEX:VALUE"));
            };
            if index == "qid" {
                queries = true;
                continue;
            }
            match index.parse::<u32>() {
                Ok(index) if least <= index && index <= MOST => least = index + 1,
                _ => {
                    let expected = format!("one from {least} to {MOST}");
                    return Err(name.wrong(at(), format!("index {:?}", shown(index)), expected));
                }
            }
            columns.push(least - 1);
            values.push(name.element(at, name.number(line, value)?)?);
        }
        width = width.max(least);
        starts.push(values.len());
    }
    if width == 0 && !labels.is_empty() {
        return Err(name.told("", "no entries"));
    }
    let notes = queries.then(|| format!("{}: queries (qid) are left out", name.0));
    let features = Features::Sparse(Entries { end: width, starts, columns, values });
    Ok(Table { features, labels, notes: notes.into_iter().collect() })
}
