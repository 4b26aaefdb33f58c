//! Samples from files (feature `data`).
//!
//! | file | holds | labels |
//! |---|---|---|
//! | `.svm`, `.svmlight`, `.libsvm` | sparse rows, `LABEL INDEX:VALUE ...` | first in each row |
//! | `.csv` | dense rows, with a header or not | in a column, the last by default |
//! | `.idx`, `...-ubyte` | arrays of the MNIST kind; bytes are scaled to [0, 1] | in a file of their own |
//! | `.npy` | numpy arrays | in a file of their own |
//!
//! Any may end in `.gz`. Files are read once, from front to end; memory grows with what is there, not with what a header
//! claims. An error is one line: the file, the line or byte, what was found and what was expected.

mod csv;
mod idx;
pub mod npy;
pub mod npz;
mod source;
mod svmlight;

use std::io::{BufRead, Read};

use hypertape_autodiff::Element;
use hypertape_solver::Error;

use crate::labelled::Labelled;
use crate::labels::split;
use crate::sets::Sets;
use source::{Features, Name, Rows, Table, open};

/// Where samples come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// Training samples: `FILE`, or `FEATURES,LABELS`.
    pub train: String,
    /// Validation samples, likewise; from the training file without.
    pub valid: Option<String>,
    /// Test samples, likewise.
    pub test: Option<String>,
    /// Column of the labels in CSV files, by name or number, from 1; the last without.
    pub label: Option<String>,
    /// Numbers of training, validation and test samples. Without, parts that have no file of their own share the training
    /// file equally, and others are taken whole.
    pub split: Option<[usize; 3]>,
    /// Whether labels are numbers to predict, not classes.
    pub numbers: bool,
}

/// From here on doubles stand for several whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Most classes: more distinct labels are numbers to predict.
const MOST_CLASSES: usize = 4096;

/// The three parts, drawn by `seed` and, of classes, stratified. Classes are the distinct labels of the training file, in order.
///
/// # Errors
/// [`Error::Invalid`] that names file and place for what is no file of its kind, a class of another part that training does
/// not have, or parts larger than their file.
pub fn load<T: Element>(files: &Files, seed: u64) -> Result<Sets<T>, Error> {
    let others = [&files.valid, &files.test];
    let table = |name: &String| {
        let mut table = read::<T>(name, files.label.as_deref())?;
        // Both zeros are one label.
        table.labels.iter_mut().for_each(|label| *label += 0.0);
        match table.labels.iter().find(|label| label.abs() >= EXACT) {
            Some(label) if !files.numbers => {
                let why =
                    format!("{name}: label {label} is too large for a class, which is below 2^53");
                Err(Error::told(why))
            }
            _ => Ok(table),
        }
    };
    let train = table(&files.train)?;
    let [valid, test] = others.map(|name| name.as_ref().map(table).transpose());
    let mut tables = [valid?, test?];
    let mut labels = train.labels.clone();
    if files.numbers {
        labels.extend(tables.iter().flatten().flat_map(|table| &table.labels));
    }
    labels.sort_unstable_by(f64::total_cmp);
    labels.dedup();
    let (name, what) = (&files.train, if files.numbers { "target" } else { "label" });
    if let [only] = labels[..] {
        return Err(Error::told(format!("{name}: every {what} is {only}, nothing can be learned")));
    }
    if labels.len() > MOST_CLASSES && !files.numbers {
        let n = labels.len();
        return Err(Error::told(format!(
            "{name}: {n} different labels, at most {MOST_CLASSES} are classes"
        )));
    }
    let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let train = train.labelled(&files.train, &labels)?;
    let sharing = 1 + others.iter().filter(|file| file.is_none()).count();
    let draw = |name: &str, part: &Labelled<T>, sizes: [usize; 3]| {
        if sizes.iter().sum::<usize>() == 0 {
            if files.split.is_some() {
                return Err(Error::invalid(
                    name,
                    "no samples asked for",
                    "one of each part at least",
                ));
            }
            let n = part.len();
            return Err(Error::told(format!(
                "{name}: {n} samples are too few for a share of each part"
            )));
        }
        let alike = vec![0; part.len()];
        let strata = if files.numbers { &alike } else { part.labels() };
        split(strata, count, sizes, seed).map_err(|e| of_file(name, e))
    };
    let share = train.len() / sharing;
    let own = |k: usize| {
        others[k].as_ref().map_or_else(|| files.split.map_or(share, |s| s[k + 1]), |_| 0)
    };
    let sizes = [files.split.map_or(share, |s| s[0]), own(0), own(1)];
    let parts = draw(&files.train, &train, sizes)?;
    let mut other = |k: usize, indices: &[usize]| {
        let (Some(name), Some(table)) = (others[k], tables[k].take()) else {
            return part(&files.train, &train, indices);
        };
        let samples = table.labelled(name, &labels)?;
        let size = files.split.map_or(samples.len(), |s| s[k + 1]);
        part(name, &samples, &draw(name, &samples, [size, 0, 0])?.train)
    };
    let (valid, test) = (other(0, &parts.valid)?, other(1, &parts.test)?);
    let train = part(&files.train, &train, &parts.train)?;
    if files.numbers {
        return Sets::of_numbers([train, valid, test], labels);
    }
    Sets::of_values([train, valid, test], labels)
}

/// The samples at `indices`, one at least.
fn part<T: Element>(
    name: &str,
    from: &Labelled<T>,
    indices: &[usize],
) -> Result<Labelled<T>, Error> {
    if indices.is_empty() {
        return Err(Error::invalid(name, "too few samples", "one for each part at least"));
    }
    Ok(from.select(indices))
}

/// An error of samples as one of the file that they are from.
fn of_file(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid { found, expected, .. } => Error::invalid(name, found, expected),
        error => error,
    }
}

impl<T: Element> Table<T> {
    /// With labels as places in `classes`, the known ones.
    fn labelled(self, name: &str, classes: &[f64]) -> Result<Labelled<T>, Error> {
        let class = |(i, label): (usize, &f64)| {
            let place = classes.binary_search_by(|class| class.total_cmp(label));
            place.ok().and_then(|place| u32::try_from(place).ok()).ok_or_else(|| {
                let (first, last) = (classes[0], classes[classes.len() - 1]);
                let expected =
                    format!("one of the {} of training, from {first} to {last}", classes.len());
                Error::invalid(name, format!("label {label} of sample {}", i + 1), expected)
            })
        };
        let labels = self.labels.iter().enumerate().map(class).collect::<Result<Vec<u32>, _>>()?;
        let made = match self.features {
            Features::Dense(values) => Labelled::dense(values, labels),
            Features::Sparse(matrix) => Labelled::sparse(matrix, labels),
        };
        made.map_err(|e| of_file(name, e))
    }
}

/// The kinds of files, by the end of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svmlight,
    Csv,
    Idx,
    Npy,
}

fn kind(name: &str) -> Result<Kind, Error> {
    let inner = name.strip_suffix(".gz").unwrap_or(name);
    let ends = |ends: &[&str]| ends.iter().any(|end| inner.ends_with(end));
    Ok(match () {
        () if ends(&[".svm", ".svmlight", ".libsvm"]) => Kind::Svmlight,
        () if ends(&[".csv"]) => Kind::Csv,
        () if ends(&[".idx", "-ubyte"]) => Kind::Idx,
        () if ends(&[".npy"]) => Kind::Npy,
        () => {
            let expected = "a name that ends in .svm, .svmlight, .libsvm, .csv, .idx, -ubyte or .npy, or one of these and .gz";
            return Err(Error::invalid(name, "an unknown kind of file", expected));
        }
    })
}

/// Reads `FILE` or `FEATURES,LABELS`.
fn read<T: Element>(names: &str, label: Option<&str>) -> Result<Table<T>, Error> {
    let (name, labels) = names.split_once(',').map_or((names, None), |(f, l)| (f, Some(l)));
    match (kind(name)?, labels) {
        (Kind::Svmlight, None) if label.is_some() => Err(Error::told(format!(
            "--label: rows of {name} begin with their label, only .csv has columns"
        ))),
        (kind @ (Kind::Svmlight | Kind::Csv), None) => table(kind, Name(name), open(name)?, label),
        (Kind::Svmlight | Kind::Csv, Some(labels)) => Err(Error::invalid(
            name,
            format!("a file of labels, {labels}"),
            "none, as it has labels",
        )),
        (kind, None) => {
            let expected =
                format!("{name},LABELS, since files of this kind ({kind:?}) hold one array");
            Err(Error::invalid(name, "no file of labels", expected))
        }
        (kind_of, Some(labels)) => {
            let features = rows(kind_of, Name(name), open(name)?, true)?;
            let found = rows(kind(labels)?, Name(labels), open(labels)?, false)?;
            pair(features, Name(labels), found)
        }
    }
}

/// A table from a file that holds all of it.
fn table<T: Element>(
    kind: Kind,
    name: Name,
    reader: impl BufRead,
    label: Option<&str>,
) -> Result<Table<T>, Error> {
    let table = if kind == Kind::Csv {
        csv::read(name, reader, label)?
    } else {
        svmlight::read(name, reader)?
    };
    if table.labels.is_empty() {
        return Err(name.wrong("", "no samples", "one at least"));
    }
    Ok(table)
}

/// An array, bytes over 255 if they are to be `scaled`.
fn rows<T: Element>(
    kind: Kind,
    name: Name,
    reader: impl Read,
    scaled: bool,
) -> Result<Rows<T>, Error> {
    match kind {
        Kind::Idx => idx::read(name, reader, scaled),
        Kind::Npy => {
            let array = npy::read(reader);
            let npy::Matrix { rows, cols, values } =
                array.map_err(|why| name.wrong("", why, "a numpy array of finite numbers"))?;
            let element = |(i, value): (usize, f64)| name.element(|| format!(" value {i}"), value);
            let values = values.into_iter().enumerate().map(element);
            Ok(Rows { count: rows, cols, values: values.collect::<Result<Vec<T>, _>>()? })
        }
        _ => Err(name.wrong("", "a file of samples", "an array, .idx, -ubyte or .npy")),
    }
}

/// A table from an array of features and one of labels.
fn pair<T: Element>(
    features: Rows<T>,
    label_name: Name,
    labels: Rows<f64>,
) -> Result<Table<T>, Error> {
    if labels.cols != 1 || labels.count != features.count || labels.count == 0 {
        let found = format!("{} rows of {}", labels.count, labels.cols);
        let expected = format!("a label for each of {} samples, one or more", features.count);
        return Err(label_name.wrong("", found, expected));
    }
    Ok(Table { features: Features::Dense(features.values), labels: labels.values })
}

#[cfg(test)]
mod tests;
