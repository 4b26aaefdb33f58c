//! Samples in arrays: features, and labels that are numbers or texts.

use std::fs::File;

use hypertape_autodiff::Element;
use hypertape_solver::Error;
use hypertape_solver::text::counted;

use super::npy::{self, Header};
use super::npz::Npz;
use super::source::{Features, Label, Name, Rows, Table};

/// Makes a table from the arrays `X` and `y` of an `.npz` file.
pub(crate) fn archive<T: Element>(name: Name) -> Result<Table<T>, Error> {
    let told = |why: String| name.told("", why);
    let file = File::open(name.0).map_err(|e| name.unreadable(&e))?;
    let mut npz = Npz::open(file).map_err(told)?;
    let place = |wanted: &str| {
        let place = npz.names().iter().position(|name| name.eq_ignore_ascii_case(wanted));
        place.ok_or_else(|| told(format!("no array {wanted}, it has {}", npz.names().join(", "))))
    };
    let (x, y) = (place("X")?, place("y")?);
    let features = of_numpy(name, npz.read(x, u64::MAX).map_err(told)?)?;
    pair(features, name, labels(name, &npz.bytes(y).map_err(told)?)?)
}

/// Converts an array to the precision of the problem.
pub(crate) fn of_numpy<T: Element>(name: Name, array: npy::Matrix) -> Result<Rows<T>, Error> {
    let npy::Matrix { rows, cols, values } = array;
    let element = |(i, value): (usize, f64)| name.element(|| format!(" value {i}"), value);
    let values = values.into_iter().enumerate().map(element);
    Ok(Rows { count: rows, cols, values: values.collect::<Result<Vec<T>, _>>()? })
}

/// Reads the labels in the bytes of an `.npy` file. Texts are labels as they are in CSV: numbers or names.
pub(crate) fn labels(name: Name, bytes: &[u8]) -> Result<Rows<Label>, Error> {
    let told = |why: String| name.told("", why);
    let Some(texts) = texts(bytes).map_err(told)? else {
        return Ok(numbers(of_numpy(name, npy::read(bytes).map_err(told)?)?));
    };
    let label = |(i, text): (usize, &String)| name.label(format_args!(" value {i}"), text);
    let values = texts.iter().enumerate().map(label).collect::<Result<Vec<_>, _>>()?;
    Ok(Rows { count: values.len(), cols: 1, values })
}

/// Takes numbers for labels; 0 and -0 are the same.
pub(crate) fn numbers(found: Rows<f64>) -> Rows<Label> {
    let Rows { count, cols, values } = found;
    Rows { count, cols, values: values.into_iter().map(|v| Label::Number(v + 0.0)).collect() }
}

/// Reads an array of texts, whose characters take four bytes and are zeros after the end of a text; `None` if the array is of
/// another type.
fn texts(mut bytes: &[u8]) -> Result<Option<Vec<String>>, String> {
    let Header { descr, shape, .. } = Header::read(&mut bytes)?;
    let Some((order, kind)) = descr.trim_matches('\'').split_at_checked(1) else { return Ok(None) };
    if kind.starts_with(['O', 'S']) {
        let why = "labels are numbers or texts of dtype U, which y.astype(str) makes of others";
        return Err(format!("dtype {descr} is not supported; {why}"));
    }
    let Some(width) = kind.strip_prefix('U').and_then(|n| n.parse::<u64>().ok()) else {
        return Ok(None);
    };
    let (&[count] | &[count, 1]) = &shape[..] else {
        let sizes: Vec<_> = shape.iter().map(u64::to_string).collect();
        return Err(format!("texts of shape ({}), where each sample has one", sizes.join(", ")));
    };
    if width.checked_mul(4).and_then(|each| each.checked_mul(count)) != Some(bytes.len() as u64) {
        let n = bytes.len();
        return Err(format!(
            "{n} bytes, where the header announces {count} texts of {width} characters"
        ));
    }
    let letter = |four: &[u8]| {
        let four = [four[0], four[1], four[2], four[3]];
        char::from_u32(if order == ">" {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        })
    };
    let each = usize::try_from(width).map_or(4, |width| 4 * width.max(1));
    let text = |bytes: &[u8]| bytes.chunks_exact(4).map(letter).collect::<Option<String>>();
    let texts = bytes.chunks_exact(each).map(|b| Some(text(b)?.trim_end_matches('\0').to_owned()));
    texts.collect::<Option<_>>().map(Some).ok_or_else(|| "texts that are no Unicode".to_owned())
}

/// Makes a table from an array of features and one of labels.
pub(crate) fn pair<T: Element>(
    features: Rows<T>,
    label_name: Name,
    labels: Rows<Label>,
) -> Result<Table<T>, Error> {
    let counted = |n: usize, what| counted(n as u64, what);
    let why = match (labels.count, labels.cols) {
        (0, _) if features.count == 0 => "no samples".to_owned(),
        (n, 1) if n == features.count => {
            let (features, labels) = (Features::Dense(features.values), labels.values);
            return Ok(Table { features, labels, notes: Vec::new() });
        }
        (n, 1) => format!("{} for {}", counted(n, "label"), counted(features.count, "sample")),
        (n, cols) => format!("an array of {n}x{cols} labels, where each sample has one"),
    };
    Err(label_name.told("", why))
}
