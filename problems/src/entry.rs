//! `Entry`: a problem of a catalogue, by name, with the settings that it is usually run with and what makes it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hypertape_autodiff::Element;
use hypertape_solver::{Error, Optimiser, Oracle};

use crate::image_classes::ImageClasses;
use crate::sets::Sets;
use crate::setting::Setting;

/// A problem ready to be evaluated, or why there is none.
pub type Made<T> = Result<Oracle<'static, T>, Error>;

/// Makes a problem in one precision; it may capture what it needs.
pub type Open<T> = Arc<dyn Fn(&Given<T>) -> Made<T> + Send + Sync>;

/// What a problem is made from.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// Seed of its data.
    pub seed: u64,
    /// Samples in place of its own, of `--train`.
    pub sets: Option<Sets<T>>,
    /// Images in place of its own, likewise.
    pub images: Option<ImageClasses<T>>,
    settings: Vec<Setting>,
}

impl<T: Element> Given<T> {
    /// The value of a setting that the problem declares.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such setting, or it cannot be read as a `V`.
    pub fn get<V: FromStr>(&self, name: &str) -> Result<V, Error> {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        setting
            .ok_or_else(|| Error::invalid("setting", format!("'{name}'"), "a declared one"))?
            .get()
    }

    /// Samples per mini-batch, if they are to be drawn, by the setting [`Setting::batch`].
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn batch(&self) -> Result<Option<usize>, Error> {
        Ok(Some(self.get("batch")?).filter(|&batch| batch > 0))
    }

    /// The samples that were given, or else those that `own` makes from the data seed.
    ///
    /// # Errors
    /// Those of `own`.
    pub fn sets_or(
        &self,
        own: impl FnOnce(u64) -> Result<Sets<T>, Error>,
    ) -> Result<Sets<T>, Error> {
        self.sets.clone().map_or_else(|| own(self.seed), Ok)
    }
}

/// What labels of samples stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Classes, from 0 on.
    Classes,
    /// Numbers to predict.
    Numbers,
    /// Classes of images, in folders.
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
///     ..Entry::new("mine", "a problem of one's own", (5, 0.3), move |given| {
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
    /// The name by which it is chosen, and its settings that are not their defaults.
    pub name: String,
    /// What it is, in one line.
    pub summary: String,
    /// Inner steps by default.
    pub steps: usize,
    /// Inner step size by default.
    pub lr: f64,
    /// Outer optimiser by default.
    pub outer: Optimiser,
    /// Outer iterations by default.
    pub iterations: usize,
    /// Seed of its data by default; `None` if its data is fixed.
    pub data_seed: Option<u64>,
    /// Options of its own.
    pub settings: Vec<Setting>,
    /// The option of all, [`Setting::lanes`].
    pub lanes: Setting,
    /// What the labels of `--train` stand for, if it takes samples.
    pub samples: Option<Labels>,
    /// Makes it in double precision.
    pub open_f64: Open<f64>,
    /// Makes it in single precision, if it has that.
    pub open_f32: Option<Open<f32>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An element type that the catalogue opens problems in.
pub trait Precision: Element {
    /// What opens `entry` in this precision.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not have this precision.
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
    /// A problem in double precision, with its inner `(steps, lr)`, fixed data, no settings, and 100 outer iterations of Adam
    /// with step 0.1. Change a field for anything else.
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

    /// The same in single precision as well.
    #[must_use]
    pub fn single(self, open: impl Fn(&Given<f32>) -> Made<f32> + Send + Sync + 'static) -> Self {
        Self { open_f32: Some(Arc::new(open)), ..self }
    }

    /// The same with these settings, by name and value; its name tells them where they are not the defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a setting that it does not declare, or that is given twice, or a value of another kind.
    pub fn with<'s>(
        mut self,
        given: impl IntoIterator<Item = (&'s str, &'s str)>,
    ) -> Result<Self, Error> {
        for (name, value) in given {
            let names: Vec<_> = self.all_settings().map(|setting| setting.name).collect();
            let mut all = self.settings.iter_mut().chain([&mut self.lanes]);
            let Some(setting) = all.find(|setting| setting.name == name) else {
                let has = names.join(", ");
                let why = format!("{} has no setting '{name}', it has {has}", self.name);
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

    /// Its own settings, and the one that all have.
    pub fn all_settings(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().chain([&self.lanes])
    }

    /// Makes the problem, from `data_seed` or its own seed. Problems with fixed data do not look at it.
    ///
    /// # Errors
    /// As [`open_on`](Self::open_on).
    pub fn open<T: Precision>(&self, data_seed: Option<u64>) -> Made<T> {
        self.open_on(None, data_seed)
    }

    /// Makes the problem on `sets`, or its own samples without them.
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
    /// [`Error::Invalid`] if the problem does not have this precision, takes no samples, or cannot be made from these; as
    /// [`Oracle::new`].
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
    /// As [`open_on`](Self::open_on).
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
