//! A run in a file, from which it continues bit for bit (feature `serde`).
//!
//! The file is JSON: its format, a checksum of the rest, the settings on which bits depend, the state, and the records
//! so far. Numbers are decimals that read back as the same bits.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use hypertape_autodiff::{Element, simd};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::fingerprint::fingerprint;
use crate::oracle::Oracle;
use crate::progress::{Observer, Record, RunState};
use crate::replace::replace;
use crate::run::Run;

/// Format of the files that are written. Format 1, without a number, was used only by the command line.
const FORMAT: u32 = 3;

/// The text before the part that the checksum covers.
fn head(checksum: u64) -> String {
    format!("{{\"format\":{FORMAT},\"checksum\":\"{checksum:016x}\",")
}

/// Everything on which the bits of a run depend, by name.
///
/// Limits and the number of iterations are not included. The schedule is, because kept tapes and stored states differ
/// in the last bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Returns the settings of the parts of a run. The caller adds those of the problem with [`with`](Self::with).
    pub fn new<T: Element>(run: &Run<T>, oracle: &Oracle<T>, estimator: &dyn Estimator<T>) -> Self {
        let tolerance = run.inner.tolerance().map_or_else(|| "none".into(), |t| t.to_string());
        let all = [
            ("estimator", estimator.name()),
            ("schedule", estimator.schedule().map_or_else(|| "none".into(), |s| s.to_string())),
            ("rule", oracle.rule()),
            ("dtype", T::NAME.to_owned()),
            ("steps", run.inner.steps().to_string()),
            ("lr", if run.inner.is_auto() { "auto".into() } else { run.inner.lr().to_string() }),
            ("tolerance", tolerance),
            ("outer", run.outer.name()),
            ("coupling", run.coupling.name()),
            ("seed", run.seed.to_string()),
            ("instructions", simd().name().to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Self(all.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// Adds or replaces a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Returns the value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns an error unless these settings equal `expected`.
    fn check(&self, expected: &Self) -> Result<(), Error> {
        for name in expected.0.keys().chain(self.0.keys()) {
            let [found, expected] = [self, expected].map(|s| s.0.get(name));
            if found != expected {
                let [found, expected] = [found, expected].map(|v| v.map_or("nothing", |v| v));
                let why = format!("found {name} {found}, expected {expected}");
                return Err(Error::State { why });
            }
        }
        Ok(())
    }
}

/// A run as it is stored in a file.
///
/// ```
/// use hypertape_solver::{Exact, InnerLoop, Optimiser, Oracle, Run, RunState, Saved, Saving, Settings};
/// # use hypertape_autodiff::{Array, Element, List, Shape};
/// # use hypertape_solver::{Bilevel, Draw, Params, Rows};
/// # struct Scalar;
/// # impl<T: Element> Bilevel<T> for Scalar {
/// #     fn start(&self) -> Params<T> { Params::new().with("x", Shape::SCALAR, [T::from_f64(0.5)]) }
/// #     fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> { List::from_slice(&[x[0].scalar(1.0)]) }
/// #     fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A { w[0].square() * 0.5 + x[0] * w[0] }
/// #     fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A { w[0].square() }
/// # }
/// # let mut oracle = Oracle::<f64>::new(Scalar)?;
/// let run = |iterations| Ok::<_, hypertape_solver::Error>(
///     Run::new(InnerLoop::new(10, 0.1)?, Optimiser::adam(0.1)?, iterations, 0));
/// let path = std::env::temp_dir().join(format!("hypertape-saved-{}.json", std::process::id()));
/// let settings = Settings::new(&run(4)?, &oracle, &Exact::default()).with("problem", "scalar");
///
/// // Four iterations, saved after every second.
/// let mut saving = Saving::to(&path, 2, settings.clone());
/// let mut state = RunState::new(vec![0.5]);
/// run(4)?.observe(&mut oracle, &mut Exact::default(), &mut state, &mut [&mut saving])?;
///
/// // Another process goes on to the ninth, and is where one run of nine would be.
/// let Saved { mut state, records, .. } = Saved::load(&path, &settings)?;
/// assert_eq!((state.iteration, records.len()), (4, 4));
/// let mut saving = Saving::to(&path, 2, settings.clone()).after(records);
/// run(9)?.observe(&mut oracle, &mut Exact::default(), &mut state, &mut [&mut saving])?;
/// let mut once = RunState::new(vec![0.5]);
/// run(9)?.observe(&mut oracle, &mut Exact::default(), &mut once, &mut [])?;
/// assert_eq!((state.x, saving.records().len()), (once.x, 9));
///
/// let other = Settings::new(&run(9)?, &oracle, &Exact::default()).with("problem", "ridge");
/// let error = Saved::<f64>::load(&path, &other).unwrap_err();
/// assert_eq!(error.to_string(), "not the state of this run: found problem scalar, expected ridge");
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "T: Element")]
#[non_exhaustive]
pub struct Saved<T> {
    format: u32,
    checksum: String,
    /// Settings of the run.
    pub settings: Settings,
    /// State of the run.
    pub state: RunState<T>,
    /// Records up to that state.
    pub records: Vec<Record>,
}

impl<T: Element> Saved<T> {
    /// Reads the text that [`Saving`] wrote.
    ///
    /// # Errors
    /// Returns [`Error::State`] if the text is invalid or has another format, and for the first setting that differs
    /// from `settings`.
    pub fn read(text: &[u8], settings: &Settings) -> Result<Self, Error> {
        let saved = Self::read_any(text)?;
        saved.settings.check(settings)?;
        Ok(saved)
    }

    /// Reads the text of a run with any settings.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read), except those about settings.
    pub fn read_any(text: &[u8]) -> Result<Self, Error> {
        /// The part that all formats share.
        #[derive(Deserialize)]
        struct Head {
            format: Option<u32>,
        }
        let refuse = |why: String| Error::State { why };
        let told = |e: serde_json::Error| refuse(e.to_string());
        let Head { format } = serde_json::from_slice(text).map_err(told)?;
        if format != Some(FORMAT) {
            let found =
                format.map_or_else(|| "an earlier version".into(), |n| format!("format {n}"));
            return Err(refuse(format!("found a file of {found}, expected format {FORMAT}")));
        }
        let sealed = text.split_at_checked(head(0).len());
        let sealed = sealed.is_some_and(|(start, rest)| {
            start == head(fingerprint(rest.iter().copied())).as_bytes()
        });
        if !sealed {
            return Err(refuse("found another text than was written, by its checksum".into()));
        }
        serde_json::from_slice(text).map_err(told)
    }

    /// Reads the file that [`Saving::to`] wrote.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read), and [`Error::State`] if the file cannot be read.
    pub fn load(path: &Path, settings: &Settings) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|e| Error::State { why: e.to_string() })?;
        Self::read(&text, settings)
    }
}

/// Receives the text of a saved run.
type Sink<'a> = Box<dyn FnMut(&[u8]) -> Result<(), String> + 'a>;

/// An observer that saves a run at its beginning, every `every` iterations, and at its end; see [`Saved`].
pub struct Saving<'a> {
    every: usize,
    settings: Settings,
    records: Vec<Record>,
    sink: Sink<'a>,
}

impl<'a> Saving<'a> {
    /// Saves to a file, which is replaced as a whole each time.
    pub fn to(path: impl Into<PathBuf>, every: usize, settings: Settings) -> Self {
        let path = path.into();
        Self::by(every, settings, move |text| {
            replace(&path, |file| file.write_all(text)).map_err(|e: io::Error| e.to_string())
        })
    }

    /// Saves by calling `sink` with the text each time.
    pub fn by(
        every: usize,
        settings: Settings,
        sink: impl FnMut(&[u8]) -> Result<(), String> + 'a,
    ) -> Self {
        Self { every, settings, records: Vec::new(), sink: Box::new(sink) }
    }

    /// Continues after the records of a resumed run.
    #[must_use]
    pub fn after(self, records: Vec<Record>) -> Self {
        Self { records, ..self }
    }

    /// All records, including earlier ones.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    fn write<T: Element>(&mut self, state: &RunState<T>) -> Result<(), Error> {
        let (settings, records) = (self.settings.clone(), std::mem::take(&mut self.records));
        let (state, checksum) = (state.clone(), format!("{:016x}", 0));
        let saved = Saved { format: FORMAT, checksum, settings, state, records };
        let text = serde_json::to_vec(&saved).map_err(|e| e.to_string()).map(|mut text| {
            let (start, rest) = text.split_at_mut(head(0).len());
            start.copy_from_slice(head(fingerprint(rest.iter().copied())).as_bytes());
            text
        });
        self.records = saved.records;
        text.and_then(|text| (self.sink)(&text)).map_err(|why| Error::Saving { why })
    }
}

impl std::fmt::Debug for Saving<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { every, settings, records, .. } = self;
        let mut shown = f.debug_struct("Saving");
        shown.field("every", every).field("settings", settings).field("records", records);
        shown.finish_non_exhaustive()
    }
}

impl<T: Element> Observer<T> for Saving<'_> {
    fn begin(&mut self, state: &RunState<T>) -> Result<(), Error> {
        self.write(state)
    }

    fn record(&mut self, record: &Record, _: &[T]) -> ControlFlow<()> {
        self.records.push(*record);
        ControlFlow::Continue(())
    }

    fn every(&self) -> usize {
        self.every
    }

    fn save(&mut self, state: &RunState<T>) -> Result<(), Error> {
        self.write(state)
    }

    fn end(&mut self, state: &RunState<T>) -> Result<(), Error> {
        self.write(state)
    }
}
