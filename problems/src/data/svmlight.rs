//! Sparse rows, as `svm_light` and `LIBSVM` write them: `LABEL INDEX:VALUE ... # comment`, with indices that grow from 1.

use std::io::BufRead;

use hypertape_autodiff::{Csr, Element};
use hypertape_solver::Error;

use super::source::{Features, Name, Table, shown};

/// Largest index: weights are dense, so one larger is a mistake that would fill memory.
const MOST: u32 = 1 << 24;

pub(crate) fn read<T: Element>(name: Name, mut reader: impl BufRead) -> Result<Table<T>, Error> {
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    let (mut labels, mut width, mut bytes) = (Vec::new(), 0, Vec::new());
    for line in 1.. {
        bytes.clear();
        let read = reader.read_until(b'\n', &mut bytes).map_err(|e| name.unreadable(&e))?;
        if read == 0 {
            break;
        }
        let at = || format!(":{line}");
        let Ok(text) = std::str::from_utf8(&bytes) else {
            return Err(name.wrong(at(), "bytes that are no text", "LABEL INDEX:VALUE ..."));
        };
        let mut fields = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(label) = fields.next() else { continue };
        labels.push(name.number(line, label)?);
        let mut last = 0;
        for field in fields {
            let Some((index, value)) = field.split_once(':') else {
                return Err(name.wrong(at(), format!("{:?}", shown(field)), "INDEX:VALUE"));
            };
            match index.parse::<u32>() {
                Ok(index) if last < index && index <= MOST => last = index,
                _ => {
                    let expected = format!("one from {} to {MOST}", last + 1);
                    return Err(name.wrong(at(), format!("index {:?}", shown(index)), expected));
                }
            }
            columns.push(last - 1);
            values.push(name.element(at, name.number(line, value)?)?);
        }
        width = width.max(last);
        starts.push(values.len());
    }
    if width == 0 && !labels.is_empty() {
        return Err(name.wrong("", "no entries", "one at least"));
    }
    let matrix = Csr::new(width, starts, columns, values);
    let matrix = matrix.map_err(|fault| name.wrong("", fault, "a sparse matrix"))?;
    Ok(Table { features: Features::Sparse(matrix), labels })
}
