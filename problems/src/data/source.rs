//! Reading a file: opening it, the tables that result, and errors that name it.

use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use hypertape_autodiff::{Csr, Element, Fault};
use hypertape_solver::Error;
use hypertape_solver::text::{bytes, plain};

/// Samples in the form in which the file has them.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pub(crate) features: Features<T>,
    pub(crate) labels: Vec<Label>,
    /// Decisions made about the file, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// The values of the samples.
#[derive(Debug)]
pub(crate) enum Features<T> {
    Dense(Vec<T>),
    Sparse(Entries<T>),
}

/// The entries of sparse rows. Columns are numbered as in the file, from 0 or 1.
#[derive(Debug)]
pub(crate) struct Entries<T> {
    /// One more than the last column.
    pub(crate) end: u32,
    pub(crate) starts: Vec<usize>,
    pub(crate) columns: Vec<u32>,
    pub(crate) values: Vec<T>,
}

impl<T: Element> Entries<T> {
    /// Whether column 0 occurs.
    pub(crate) fn counts_from_zero(&self) -> bool {
        self.columns.contains(&0)
    }

    /// Converts the entries to a matrix whose first column has the number `base` in the file.
    pub(crate) fn matrix(mut self, base: u32) -> Result<Csr<T>, Fault> {
        self.columns.iter_mut().for_each(|column| *column -= base);
        Csr::new(self.end - base, self.starts, self.columns, self.values)
    }
}

/// An array: the number of rows, the values per row, and the values.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) count: usize,
    pub(crate) cols: usize,
    pub(crate) values: Vec<T>,
}

/// A label as it is in the file. Numbers sort in ascending order and before names.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    Number(f64),
    Name(Arc<str>),
}

impl Label {
    pub(crate) fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Name(a), Self::Name(b)) => a.cmp(b),
            (Self::Number(_), Self::Name(_)) => Ordering::Less,
            (Self::Name(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Label {}

impl Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => f.write_str(&plain(*number)),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Limit on the size of a file after decompression, as a few bytes may expand to any number.
const MOST: u64 = 1 << 31;

/// Opens a file. Data compressed with gzip is decompressed, whatever the file's name.
pub(crate) fn open(name: &str) -> Result<Box<dyn BufRead>, Error> {
    let unreadable = |e| Error::told(format!("cannot read {name}: {e}"));
    let mut file = BufReader::new(File::open(name).map_err(unreadable)?);
    if file.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::new(Unpacked {
            inner: MultiGzDecoder::new(file),
            left: MOST,
        })));
    }
    Ok(Box::new(file))
}

/// A reader of decompressed data that fails beyond `left` bytes.
pub(super) struct Unpacked<R> {
    pub(super) inner: R,
    pub(super) left: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let most = bytes(MOST);
            io::Error::other(format!(
                "it unpacks to more than {most}; an unpacked file may be larger"
            ))
        })?;
        Ok(read)
    }
}

/// The lines of a text without their line ends, numbered from 1. A byte order mark is not part of the first line.
pub(crate) struct Lines<'n, R> {
    name: Name<'n>,
    reader: R,
    line: u64,
}

impl<'n, R: BufRead> Lines<'n, R> {
    pub(crate) fn new(name: Name<'n>, reader: R) -> Self {
        Self { name, reader, line: 0 }
    }
}

impl<R: BufRead> Iterator for Lines<'_, R> {
    type Item = Result<(u64, String), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::new();
        match self.reader.read_until(b'\n', &mut bytes) {
            Err(e) => return Some(Err(self.name.unreadable(&e))),
            Ok(0) => return None,
            Ok(_) => self.line += 1,
        }
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mark = if self.line == 1 { &b"\xef\xbb\xbf"[..] } else { b"" };
        let text = text.strip_prefix(mark).unwrap_or(text);
        let text = std::str::from_utf8(text).map(|text| (self.line, text.to_owned()));
        Some(text.map_err(|_| {
            let why = "this is not text; svmlight, CSV, IDX, .npy and .npz files are read";
            self.name.told(format_args!(":{}", self.line), why)
        }))
    }
}

/// The name of a file being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'n>(pub(crate) &'n str);

impl Name<'_> {
    /// An error at a place in the file, such as `:12` for a line or ` byte 16`.
    pub(crate) fn wrong(
        self,
        place: impl Display,
        found: impl Display,
        expected: impl Into<String>,
    ) -> Error {
        Error::invalid(format!("{}{place}", self.0), found, expected)
    }

    /// An error at a place in the file that says `why`.
    pub(crate) fn told(self, place: impl Display, why: impl Display) -> Error {
        Error::told(format!("{}{place}: {why}", self.0))
    }

    pub(crate) fn unreadable(self, error: &io::Error) -> Error {
        Error::told(format!("cannot read {}: {error}", self.0))
    }

    /// Parses `text` as a finite number; true and false are 1 and 0.
    pub(crate) fn number(self, line: u64, text: &str) -> Result<f64, Error> {
        number(text).ok_or_else(|| {
            self.wrong(format_args!(":{line}"), format!("{:?}", shown(text)), "a finite number")
        })
    }

    /// Parses `text` as a label, which is a finite number (0 and -0 are the same) or a name.
    pub(crate) fn label(self, place: impl Display, text: &str) -> Result<Label, Error> {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Label::Number(number + 0.0)),
            Err(_) if !text.is_empty() => Ok(Label::Name(text.into())),
            _ => {
                let found = format!("label {text:?}");
                Err(self.wrong(place, found, "a finite number or a name"))
            }
        }
    }

    /// Converts `value` to the precision of the problem.
    pub(crate) fn element<T: Element, P: Display>(
        self,
        place: impl Fn() -> P,
        value: f64,
    ) -> Result<T, Error> {
        let element = T::from_f64(value);
        if element.is_finite() {
            return Ok(element);
        }
        Err(self.wrong(place(), value, format!("a finite number in {}", T::NAME)))
    }
}

/// Parses `text` as a finite number; true and false are 1 and 0.
pub(crate) fn number(text: &str) -> Option<f64> {
    match text.trim() {
        "True" | "TRUE" | "true" => Some(1.0),
        "False" | "FALSE" | "false" => Some(0.0),
        text => text.parse().ok().filter(|v: &f64| v.is_finite()),
    }
}

/// The start of `text`, long enough for an error message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
