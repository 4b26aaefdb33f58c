//! Samples from files (feature `data`).
//!
//! | file | holds | labels |
//! |---|---|---|
//! | svmlight | sparse rows, `LABEL INDEX:VALUE ...`, indices from 0 or 1 | first in each row |
//! | CSV | dense rows with any separator, with or without a header | in one column, the last by default |
//! | IDX | arrays in the format of MNIST; bytes are scaled to [0, 1] | in a separate file |
//! | `.npy` | NumPy arrays; all dimensions after the first are flattened into a row | in a separate file, numbers or texts |
//! | `.npz` | NumPy arrays `X` and `y` | `y`, numbers or texts |
//!
//! All of them may be compressed with gzip. The kind of a file follows from its name (`.svm`, `.svmlight`, `.libsvm`,
//! `.csv`, `.tsv`, `.idx`, `-ubyte`, `.npy`, `.npz`), or from its first bytes if the name has no known ending. A file
//! is read once, from front to back, and memory grows with the data that is present, not with what a header claims.
//! Whatever the loader decides about a file is reported in [`Sets::notes`]. An error is one line that names the file
//! and the line or byte.

mod arrays;
mod csv;
mod idx;
pub mod npy;
pub mod npz;
mod source;
mod svmlight;

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use hypertape_autodiff::Element;
use hypertape_solver::text::plain;
use hypertape_solver::{Error, expect_in};

use crate::labelled::Labelled;
use crate::labels::split;
use crate::sets::Sets;
use source::{Features, Label, Name, Rows, Table, open};

/// The files from which samples are loaded, and how to read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// Training samples: `FILE`, or `FEATURES,LABELS`. A comma that is part of a file name does not separate two files.
    pub train: String,
    /// Validation samples, in the same form; taken from the training file if `None`.
    pub valid: Option<String>,
    /// Test samples, in the same form; taken from the training file if `None`.
    pub test: Option<String>,
    /// Column of the labels in CSV files, by name or by number from 1; the last column if `None`.
    pub label: Option<String>,
    /// Separator of the columns of CSV files; detected if `None`.
    pub delimiter: Option<char>,
    /// Whether indices in svmlight files count from 0 even if no index is 0. If an index is 0 in any of the files,
    /// indices count from 0 in all of them.
    pub zero_based: bool,
    /// Whether dense columns are standardised ([`Sets::standardised`]).
    pub standardise: bool,
    /// Numbers of training, validation and test samples. If `None`, the parts without a file of their own share the
    /// training file equally with the training samples, and the other files are used whole.
    pub split: Option<[usize; 3]>,
    /// Whether labels are numbers to predict instead of classes.
    pub numbers: bool,
    /// Folder to which file names are relative; the working directory if empty.
    pub folder: PathBuf,
}

/// Starting with this number (2^53), a double can represent several whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Largest number of classes. More distinct labels are taken for numbers to predict and refused.
const MOST_CLASSES: usize = 4096;

/// Loads the training, validation and test samples, drawn with `seed` and, for classes, stratified. The classes are the
/// distinct labels of the training file: numbers in ascending order, then names in alphabetical order.
///
/// # Errors
/// Returns [`Error::Told`] or [`Error::Invalid`], naming the file and the place in it, if a file is malformed, if
/// another part has a class that the training file lacks, or if a file has fewer samples than its parts need.
pub fn load<'f, T: Element>(files: &'f Files, seed: u64) -> Result<Sets<T>, Error> {
    let table = |name| Ok::<_, Error>((name, read::<T>(name, files)?));
    let own = |name: &'f Option<String>| name.as_deref().map(table).transpose();
    let mut tables = vec![table(&files.train)?];
    let others = [own(&files.valid)?, own(&files.test)?];
    let present = others.each_ref().map(Option::is_some);
    tables.extend(others.into_iter().flatten());
    let mut notes: Vec<_> = tables.iter_mut().flat_map(|(_, t)| t.notes.split_off(0)).collect();
    // If one file counts columns from 0, all files do.
    let counted = tables.iter().find(|(_, table)| table.counts_from_zero());
    let base = u32::from(counted.is_none() && !files.zero_based);
    if let (Some((name, _)), false) = (counted, files.zero_based) {
        notes.push(format!("{name}: indices count from 0"));
    }
    let labels = labels(files, &tables)?;
    let whole = |label: &Label| label.number().is_some_and(|number| number.fract() == 0.0);
    if !files.numbers && !labels.iter().all(whole) {
        let all: Vec<_> = labels.iter().take(10).map(ToString::to_string).collect();
        let more = if labels.len() > all.len() { ", ..." } else { "" };
        notes.push(format!("{}: {} classes: {}{more}", files.train, labels.len(), all.join(", ")));
    }
    let mut samples = tables.into_iter();
    let mut next = || {
        let (name, table) = samples.next()?;
        Some(table.labelled(name, &labels, base).map(|samples| (name, samples)))
    };
    let draw = |name: &str, part: &Labelled<T>, sizes: [usize; 3]| {
        if sizes.iter().sum::<usize>() == 0 {
            let why = match files.split {
                Some(_) => "--split leaves no samples".to_owned(),
                None => format!("{} samples are too few for a share of each part", part.len()),
            };
            return Err(Error::told(format!("{name}: {why}")));
        }
        let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
        let alike = vec![0; part.len()];
        let strata = if files.numbers { &alike } else { part.labels() };
        split(strata, count, sizes, seed).map_err(|e| Error::told(format!("{name}: {e}")))
    };
    let Some((name, train)) = next().transpose()? else { return Err(Error::told("no file")) };
    let share = train.len() / (1 + present.iter().filter(|&&own| !own).count());
    let own = |k: usize| files.split.map_or(share, |s| s[k + 1]) * usize::from(!present[k]);
    let sizes = [files.split.map_or(share, |s| s[0]), own(0), own(1)];
    let parts = draw(name, &train, sizes)?;
    let mut other = |k: usize, indices: Vec<usize>| {
        if present[k]
            && let Some((name, samples)) = next().transpose()?
        {
            let size = files.split.map_or(samples.len(), |s| s[k + 1]);
            let drawn = draw(name, &samples, [size, 0, 0])?.train;
            return Ok::<_, Error>((part(name, &samples, &drawn)?, drawn));
        }
        Ok((part(name, &train, &indices)?, indices))
    };
    let ((valid, of_valid), (test, of_test)) = (other(0, parts.valid)?, other(1, parts.test)?);
    let (train, rows) = (part(name, &train, &parts.train)?, [parts.train, of_valid, of_test]);
    if !files.standardise
        && let Some(note) = unscaled(&files.train, &train)
    {
        notes.push(note);
    }
    if files.standardise && files.numbers && !train.has_constant() {
        notes.push(
            "--standardise moves the mean of each feature to 0, and the models have no intercept: add a column of ones \
             if the targets have another mean"
                .to_owned(),
        );
    }
    let parts = [train, valid, test];
    let sets = if files.numbers {
        let numbers = labels.iter().filter_map(Label::number).collect();
        Sets { numbers, notes, rows, ..Sets::of(parts, u32::MAX)? }
    } else {
        let names: Vec<_> = labels.iter().map(ToString::to_string).collect();
        let classes = u32::try_from(names.len()).unwrap_or(u32::MAX);
        Sets { names, notes, rows, ..Sets::of(parts, classes)? }
    };
    if !files.standardise {
        return Ok(sets);
    }
    sets.standardised().map_err(|e| Error::told(format!("--standardise: {e}")))
}

/// Root mean square of a column above which a note is given: the step sizes of the problems suit values of about 1.
const UNSCALED: f64 = 10.0;

/// Returns a note if the values of some column are much larger than 1.
fn unscaled<T: Element>(name: &str, samples: &Labelled<T>) -> Option<String> {
    let sizes = samples.columns()?.into_iter().map(|[mean, deviation]| mean.hypot(deviation));
    let (column, size) = sizes.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (size > UNSCALED).then(|| {
        format!(
            "{name}: the values of feature {} are of size {}, and the default step sizes are for values of about 1: \
             --standardise scales all features, --lr auto adapts the step size",
            column + 1,
            plain((size * 10.0).round() / 10.0)
        )
    })
}

/// Returns the distinct labels in order. Classes are those of the training file, which comes first.
fn labels<T: Element>(files: &Files, tables: &[(&str, Table<T>)]) -> Result<Vec<Label>, Error> {
    for (name, table) in tables {
        expect_labels::<T>(name, &table.labels, files.numbers)?;
    }
    let of = if files.numbers { tables } else { &tables[..1] };
    let mut labels: Vec<_> =
        of.iter().flat_map(|(_, table)| table.labels.iter().cloned()).collect();
    labels.sort_unstable();
    labels.dedup();
    let (name, n) = (&files.train, labels.len());
    // A class of one sample can be learned if the other parts have files of their own and the labels are no measured numbers.
    let measured = labels.iter().filter_map(Label::number).any(|number| number.fract() != 0.0);
    let alone = measured || files.valid.is_none() || files.test.is_none();
    let why = match &labels[..] {
        [only] => {
            let what = if files.numbers { "target" } else { "label" };
            format!("{name}: every {what} is {only}, nothing can be learned")
        }
        [first, .., last] if n > 2 && n == tables[0].1.labels.len() && !files.numbers && alone => {
            format!(
                "{name}: each of the {n} samples has a label of its own, from {first} to {last}, so that no class can be \
                 learned; for numbers to predict take a problem of regression, such as ridge, and for classes another column"
            )
        }
        _ if n > MOST_CLASSES && !files.numbers => {
            format!("{name}: {n} different labels, at most {MOST_CLASSES} are classes")
        }
        _ => return Ok(labels),
    };
    Err(Error::told(why))
}

/// Refuses labels that do not fit the problem, which predicts either numbers or classes.
fn expect_labels<T: Element>(name: &str, labels: &[Label], numbers: bool) -> Result<(), Error> {
    for (i, label) in labels.iter().enumerate() {
        let what = || format!("{name}: label {label} of sample {}", i + 1);
        let why = match label.number() {
            None if numbers => {
                "is not a number, which this problem predicts; --label chooses another column"
            }
            Some(number) if numbers => {
                if !T::from_f64(number).is_finite() {
                    expect_in::<T>(&what(), number)?;
                }
                continue;
            }
            Some(number) if number.abs() >= EXACT => {
                "is too large for a class, which is below 2^53"
            }
            _ => continue,
        };
        return Err(Error::told(format!("{} {why}", what())));
    }
    Ok(())
}

/// Returns the samples at `indices`, of which there must be at least one.
fn part<T: Element>(
    name: &str,
    from: &Labelled<T>,
    indices: &[usize],
) -> Result<Labelled<T>, Error> {
    if indices.is_empty() {
        return Err(Error::told(format!("{name}: too few samples for one in each part")));
    }
    Ok(from.select(indices))
}

/// Turns an error about samples into one that names their file.
fn of_file(name: &str, error: Error) -> Error {
    match error {
        Error::Invalid { found, expected, .. } => Error::invalid(name, found, expected),
        error => error,
    }
}

impl<T: Element> Table<T> {
    /// Whether the table is sparse and uses column 0.
    fn counts_from_zero(&self) -> bool {
        matches!(&self.features, Features::Sparse(entries) if entries.counts_from_zero())
    }

    /// Replaces labels by their positions in `classes`, and counts sparse columns from `base`.
    fn labelled(self, name: &str, classes: &[Label], base: u32) -> Result<Labelled<T>, Error> {
        let class = |(i, label): (usize, &Label)| {
            let place = classes.binary_search(label);
            place.ok().and_then(|place| u32::try_from(place).ok()).ok_or_else(|| {
                let (first, last) = (&classes[0], &classes[classes.len() - 1]);
                let expected =
                    format!("one of the {} of training, from {first} to {last}", classes.len());
                Error::invalid(name, format!("label {label} of sample {}", i + 1), expected)
            })
        };
        let labels = self.labels.iter().enumerate().map(class).collect::<Result<Vec<u32>, _>>()?;
        let made = match self.features {
            Features::Dense(values) => Labelled::dense(values, labels),
            Features::Sparse(entries) => {
                let fault = |fault| Name(name).wrong("", fault, "a sparse matrix");
                Labelled::sparse(entries.matrix(base).map_err(fault)?, labels)
            }
        };
        made.map_err(|e| of_file(name, e))
    }
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Svmlight,
    Csv,
    Idx,
    Npy,
    Npz,
}

/// Detects the kind of a file from the end of its name, or else from its first bytes.
fn kind(name: &str, begins: &[u8]) -> Kind {
    const ENDS: [(&str, Kind); 9] = [
        (".svm", Kind::Svmlight),
        (".svmlight", Kind::Svmlight),
        (".libsvm", Kind::Svmlight),
        (".csv", Kind::Csv),
        (".tsv", Kind::Csv),
        (".idx", Kind::Idx),
        ("-ubyte", Kind::Idx),
        (".npy", Kind::Npy),
        (".npz", Kind::Npz),
    ];
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if let Some((_, kind)) = ENDS.iter().find(|(end, _)| name.ends_with(end)) {
        return *kind;
    }
    let text = String::from_utf8_lossy(begins);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let second = lines.next().and_then(|line| line.split_ascii_whitespace().nth(1));
    match begins {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Kind::Npy,
        [b'P', b'K', 3, 4, ..] => Kind::Npz,
        [0, 0, 8..=14, 1..=8, ..] => Kind::Idx,
        _ if second.is_some_and(|field| field.contains(':')) => Kind::Svmlight,
        _ => Kind::Csv,
    }
}

/// Splits `FEATURES,LABELS` into two names. If there are several commas, it takes the first one with an existing file
/// on both sides.
fn parts<'n>(folder: &Path, names: &'n str) -> (&'n str, Option<&'n str>) {
    let exists = |name: &str| folder.join(name).exists();
    if exists(names) {
        return (names, None);
    }
    let mut both = names.match_indices(',').map(|(i, _)| (&names[..i], &names[i + 1..]));
    let found = both.clone().find(|(features, labels)| exists(features) && exists(labels));
    found.or_else(|| both.next()).map_or((names, None), |(f, l)| (f, Some(l)))
}

/// Reads `FILE` or `FEATURES,LABELS`.
fn read<T: Element>(names: &str, files: &Files) -> Result<Table<T>, Error> {
    let (name, labels) = parts(&files.folder, names);
    let within = |name| files.folder.join(name).display().to_string();
    let (name, labels) = (&*within(name), labels.map(within));
    if Path::new(name).is_dir() {
        return Err(Error::told(format!("{name} is a folder; a file of samples is needed")));
    }
    let mut reader = open(name)?;
    let begins = reader.fill_buf().map_err(|e| Name(name).unreadable(&e))?;
    let kind_of = kind(name, begins);
    let (of_csv, of_svmlight) = (kind_of == Kind::Csv, kind_of == Kind::Svmlight);
    for (given, why) in [
        (files.label.is_some() && !of_csv, "--label chooses a column of a CSV file"),
        (files.delimiter.is_some() && !of_csv, "--delimiter separates the columns of a CSV file"),
        (files.zero_based && !of_svmlight, "--zero-based counts the indices of an svmlight file"),
    ] {
        if given {
            return Err(Error::told(format!("{why}, and {name} is none")));
        }
    }
    match (kind_of, labels) {
        (Kind::Svmlight | Kind::Csv | Kind::Npz, Some(labels)) => {
            Err(Error::told(format!("{name} contains the labels already: leave out {labels}")))
        }
        (Kind::Svmlight | Kind::Csv, None) => table(kind_of, Name(name), reader, files),
        (Kind::Npz, None) => arrays::archive(Name(name)),
        (_, None) => Err(Error::told(format!(
            "{name} contains no labels: give a file of them too, as {name},LABELS"
        ))),
        (kind_of, Some(labels)) => {
            let features = rows(kind_of, Name(name), reader, true)?;
            let mut reader = open(&labels)?;
            let begins = reader.fill_buf().map_err(|e| Name(&labels).unreadable(&e))?;
            let found = match kind(&labels, begins) {
                Kind::Npy => {
                    let mut bytes = Vec::new();
                    let read = reader.read_to_end(&mut bytes);
                    read.map_err(|e| Name(&labels).unreadable(&e))?;
                    arrays::labels(Name(&labels), &bytes)?
                }
                kind => arrays::numbers(rows(kind, Name(&labels), reader, false)?),
            };
            arrays::pair(features, Name(&labels), found)
        }
    }
}

/// Reads a table from a file that contains both features and labels.
fn table<T: Element>(
    kind: Kind,
    name: Name,
    reader: impl BufRead,
    files: &Files,
) -> Result<Table<T>, Error> {
    let table = if kind == Kind::Csv {
        csv::read(name, reader, (files.label.as_deref(), files.delimiter))?
    } else {
        svmlight::read(name, reader)?
    };
    if table.labels.is_empty() {
        return Err(name.told("", "no samples"));
    }
    Ok(table)
}

/// Reads an array; bytes are divided by 255 if `scaled`.
fn rows<T: Element>(
    kind: Kind,
    name: Name,
    reader: impl Read,
    scaled: bool,
) -> Result<Rows<T>, Error> {
    match kind {
        Kind::Idx => idx::read(name, reader, scaled),
        Kind::Npy => arrays::of_numpy(name, npy::read(reader).map_err(|why| name.told("", why))?),
        _ => Err(Error::told(format!("{} is a file of samples, not an array of labels", name.0))),
    }
}

#[cfg(test)]
mod tests;
