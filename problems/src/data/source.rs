//! A file being read: how it is opened, what comes of it, and errors that name it.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use hypertape_autodiff::{Csr, Element};
use hypertape_solver::Error;

/// Samples as they stand in a file.
#[derive(Debug)]
pub(crate) struct Table<T> {
    pub(crate) features: Features<T>,
    pub(crate) labels: Vec<f64>,
}

/// Their values.
#[derive(Debug)]
pub(crate) enum Features<T> {
    Dense(Vec<T>),
    Sparse(Csr<T>),
}

/// An array: number of rows, values a row, the values.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub(crate) count: usize,
    pub(crate) cols: usize,
    pub(crate) values: Vec<T>,
}

/// Opens a file, and unpacks it if its name ends in `.gz`.
pub(crate) fn open(name: &str) -> Result<Box<dyn BufRead>, Error> {
    let file = File::open(name).map_err(|e| {
        let text = e.to_string();
        let why = text.split(" (os error").next().unwrap_or(&text);
        Error::told(format!("cannot read {name}: {why}"))
    })?;
    let file = BufReader::new(file);
    if Path::new(name).extension().is_some_and(|end| end == "gz") {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    Ok(Box::new(file))
}

/// The name of a file being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'n>(pub(crate) &'n str);

impl Name<'_> {
    /// An error at a place, such as `:12` for a line or ` byte 16`.
    pub(crate) fn wrong(
        self,
        place: impl Display,
        found: impl Display,
        expected: impl Into<String>,
    ) -> Error {
        Error::invalid(format!("{}{place}", self.0), found, expected)
    }

    pub(crate) fn unreadable(self, error: &std::io::Error) -> Error {
        self.wrong("", error, "a file to read to its end")
    }

    /// `text` as a finite number.
    pub(crate) fn number(self, line: u64, text: &str) -> Result<f64, Error> {
        let number = text.trim().parse().ok().filter(|v: &f64| v.is_finite());
        number.ok_or_else(|| {
            self.wrong(format_args!(":{line}"), format!("{:?}", shown(text)), "a finite number")
        })
    }

    /// `value` in the precision of the problem.
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

/// Enough of `text` for an error.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
