//! `Entry`: a named problem of a catalogue, with its default settings and the functions that make it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hypertape_autodiff::Element;
use hypertape_solver::{Error, Optimiser, Oracle};

use crate::compiled::Compiled;
use crate::image_classes::ImageClasses;
use crate::sets::Sets;
use crate::setting::Setting;

/// A problem ready to be evaluated, or the reason why it cannot be made.
pub type Made<T> = Result<Oracle<'static, T>, Error>;

/// Makes a problem in one precision. The closure may capture data.
pub type Open<T> = Arc<dyn Fn(&Given<T>) -> Made<T> + Send + Sync>;

/// The input from which an [`Open`] closure makes a problem.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// Seed of the data.
    pub seed: u64,
    /// Samples that replace the problem's own (`--train` on the command line).
    pub sets: Option<Sets<T>>,
    /// Images that replace the problem's own (`--train` on the command line).
    pub images: Option<ImageClasses<T>>,
    settings: Vec<Setting>,
}

impl<T: Element> Given<T> {
    /// Returns the value of a setting that the problem declares.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is no such setting, or its value does not parse as a `V`.
    pub fn get<V: FromStr>(&self, name: &str) -> Result<V, Error> {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        setting
            .ok_or_else(|| Error::invalid("setting", format!("'{name}'"), "a declared one"))?
            .get()
    }

    /// Returns the samples per mini-batch according to [`Setting::batch`], or `None` if every evaluation uses all
    /// samples.
    ///
    /// # Errors
    /// Returns the errors of [`get`](Self::get).
    pub fn batch(&self) -> Result<Option<usize>, Error> {
        Ok(Some(self.get("batch")?).filter(|&batch| batch > 0))
    }

    /// Returns the samples that were given, or those that `own` makes from the data seed if none were.
    ///
    /// # Errors
    /// Returns the error of `own`.
    pub fn sets_or(
        &self,
        own: impl FnOnce(u64) -> Result<Sets<T>, Error>,
    ) -> Result<Sets<T>, Error> {
        self.sets.clone().map_or_else(|| own(self.seed), Ok)
    }
}

/// The meaning of the labels in `--train`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Classes, numbered from 0.
    Classes,
    /// Numbers to predict.
    Numbers,
    /// Classes of images, one folder per class.
    Images,
}

/// A problem of a catalogue.
///
/// ```
/// use hypertape_problems::{Entry, Kind, Quadratic, Setting};
/// use hypertape_solver::Oracle;
/// let known = vec![7_u64]; // Whatever the problem needs is captured.
/// let entry = Entry {
///     settings: vec![Setting::new("scale", 2, Kind::Count(1..=9), "a size")],
///     ..Entry::new("mine", "a problem of your own", (5, 0.3), move |given| {
///         assert_eq!((known[0], given.get::<usize>("scale")?), (7, 3));
///         Oracle::new(Quadratic::general())
///     })
/// };
/// let entry = entry.with([("scale", "3")])?;
/// assert_eq!(entry.name, "mine:scale=3");
/// assert_eq!(entry.open::<f64>(None)?.outer_dim(), 2);
/// let error = entry.open::<f32>(None).unwrap_err().to_string();
/// assert_eq!(error, "mine:scale=3 has no precision but f64");
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone)]
pub struct Entry {
    /// Name by which users choose the problem, followed by the settings that differ from their defaults.
    pub name: String,
    /// Description in one line.
    pub summary: String,
    /// Default number of inner steps.
    pub steps: usize,
    /// Default inner step size.
    pub lr: f64,
    /// Default outer optimiser.
    pub outer: Optimiser,
    /// Default number of outer iterations.
    pub iterations: usize,
    /// Default seed of the data, or `None` if the data is fixed.
    pub data_seed: Option<u64>,
    /// Settings that the problem declares.
    pub settings: Vec<Setting>,
    /// The setting that every problem has, [`Setting::lanes`].
    pub lanes: Setting,
    /// Meaning of the labels in `--train`, or `None` if the problem takes no samples.
    pub samples: Option<Labels>,
    /// Makes the problem in double precision.
    pub open_f64: Open<f64>,
    /// Makes the problem in single precision, if it supports that.
    pub open_f32: Option<Open<f32>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An element type in which the catalogue opens problems.
pub trait Precision: Compiled {
    /// Returns the closure that opens `entry` in this precision.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the problem does not support this precision.
    fn opener(entry: &Entry) -> Result<&Open<Self>, Error>;
}

impl Precision for f64 {
    fn opener(entry: &Entry) -> Result<&Open<Self>, Error> {
        Ok(&entry.open_f64)
    }
}

impl Precision for f32 {
    fn opener(entry: &Entry) -> Result<&Open<Self>, Error> {
        let why = || format!("{} has no precision but f64", entry.name);
        entry.open_f32.as_ref().ok_or_else(|| Error::told(why()))
    }
}

impl Entry {
    /// Creates a problem in double precision with its default inner `(steps, lr)`, fixed data and no settings. The
    /// default outer loop is 100 iterations of Adam with step size 0.1. Other defaults are set by changing the fields.
    pub fn new(
        name: &str,
        summary: &str,
        (steps, lr): (usize, f64),
        open: impl Fn(&Given<f64>) -> Made<f64> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            summary: summary.to_owned(),
            steps,
            lr,
            outer: Optimiser::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            iterations: 100,
            data_seed: None,
            settings: Vec::new(),
            lanes: Setting::lanes(),
            samples: None,
            open_f64: Arc::new(open),
            open_f32: None,
        }
    }

    /// Adds single precision.
    #[must_use]
    pub fn single(self, open: impl Fn(&Given<f32>) -> Made<f32> + Send + Sync + 'static) -> Self {
        Self { open_f32: Some(Arc::new(open)), ..self }
    }

    /// Sets these settings, given by name and value. Values that differ from the default become part of the entry's
    /// name.
    ///
    /// # Errors
    /// Returns [`Error::Told`] for a setting that the problem does not declare or that is given twice, and
    /// [`Error::Invalid`] for a value of another kind.
    pub fn with<'s>(
        mut self,
        given: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<Self, Error> {
        for (name, value) in given {
            let names: Vec<_> = self.all_settings().map(|setting| setting.name).collect();
            let mut all = self.settings.iter_mut().chain([&mut self.lanes]);
            let Some(setting) = all.find(|setting| setting.name == name) else {
                let has = names.join(", ");
                let why = format!("{} has no setting '{name}'; it has {has}", self.name);
                return Err(Error::told(why));
            };
            setting.give(value)?;
        }
        let changed: Vec<_> = self.all_settings().filter_map(Setting::changed).collect();
        if !changed.is_empty() {
            let name = self.name.split(':').next().unwrap_or_default();
            self.name = format!("{name}:{}", changed.join(","));
        }
        Ok(self)
    }

    /// Returns the settings of the problem and the one that all problems have.
    pub fn all_settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().chain([&self.lanes])
    }

    /// Makes the problem from `data_seed`, or from the default seed without one. Problems with fixed data ignore both.
    ///
    /// # Errors
    /// Returns the errors of [`open_on`](Self::open_on).
    pub fn open<T: Precision>(&self, data_seed: Option<u64>) -> Made<T> {
        self.open_on(None, data_seed)
    }

    /// Makes the problem on `sets`, or on its own samples without them.
    ///
    /// ```
    /// use hypertape_problems::{Sets, catalogue};
    /// let entry = |name| catalogue().into_iter().find(|e| e.name == name).unwrap();
    /// let few = Sets::<f64>::digits([50, 50, 50], 0)?;
    /// assert_eq!(entry("digits-clean").open_on(Some(few.clone()), None)?.outer_dim(), 50);
    /// let error = entry("quadratic").open_on(Some(few), None).unwrap_err().to_string();
    /// assert_eq!(error, "quadratic takes no samples");
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the problem does not support this precision or takes no samples, the error of its
    /// closure if it cannot be made from these samples, and the errors of [`Oracle::new`].
    pub fn open_on<T: Precision>(&self, sets: Option<Sets<T>>, data_seed: Option<u64>) -> Made<T> {
        let open = T::opener(self)?;
        if sets.is_some() && self.samples.is_none_or(|labels| labels == Labels::Images) {
            return Err(Error::told(format!("{} takes no samples", self.name)));
        }
        self.made(open, sets, None, data_seed)
    }

    fn made<T: Precision>(
        &self,
        open: &Open<T>,
        sets: Option<Sets<T>>,
        images: Option<ImageClasses<T>>,
        data_seed: Option<u64>,
    ) -> Made<T> {
        let seed = data_seed.or(self.data_seed).unwrap_or(0);
        let mut oracle = open(&Given { seed, sets, images, settings: self.settings.clone() })?;
        if self.lanes.is_given() {
            oracle.set_lanes(self.lanes.get()?)?;
        }
        Ok(oracle)
    }

    /// Makes the problem on `images`.
    ///
    /// # Errors
    /// Returns [`Error::Told`] if the problem does not support this precision or takes no images, the error of its
    /// closure if it cannot be made from these images, and the errors of [`Oracle::new`].
    pub fn open_on_images<T: Precision>(
        &self,
        images: ImageClasses<T>,
        data_seed: Option<u64>,
    ) -> Made<T> {
        let open = T::opener(self)?;
        if self.samples != Some(Labels::Images) {
            return Err(Error::told(format!("{} takes no images", self.name)));
        }
        self.made(open, None, Some(images), data_seed)
    }
}
