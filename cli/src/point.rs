//! A problem opened with the options of a command: the oracle, the inner loop and the outer point.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::app::{App, Precise};
use crate::args::{Asked, Common, Data, Dtype};
use crate::arrays;
use crate::failure::Failure;
use crate::ranks;
use crate::table::bytes;
use crate::values::Lr;
use hypertape_autodiff::{Element, axpy};
use hypertape_problems::data::Files;
use hypertape_problems::{Entry, Labels, Precision, Setting, read_problem};
use hypertape_solver::{
    Draw, Error, Estimator, InnerLoop, Oracle, Params, Point, Profile, Schedule, expect_in,
    find_by_name, fingerprint, plan,
};

/// An estimator of any kind.
pub(crate) type Chosen<T> = Box<dyn Estimator<T>>;

/// A problem ready to be differentiated.
pub(crate) struct Opened<T> {
    pub(crate) oracle: Oracle<'static, T>,
    pub(crate) inner: InnerLoop,
    pub(crate) x: Vec<T>,
    pub(crate) data_seed: Option<u64>,
    /// Seed of the draws, and the schedule, if one was requested.
    pub(crate) seed: u64,
    pub(crate) schedule: Option<Asked>,
    /// Decisions made about files of samples and about schedules, one sentence each.
    pub(crate) notes: Vec<String>,
    /// Indices of the training, validation and test samples in their files.
    pub(crate) rows: [Vec<usize>; 3],
}

impl<T> Opened<T> {
    /// Prints a line on stderr for each note.
    pub(crate) fn told(self) -> Self {
        self.notes.iter().for_each(|text| note(text));
        self
    }
}

/// Prints a note as a line on stderr.
pub(crate) fn note(text: &str) {
    if ranks::first() {
        // A note that cannot be printed is no reason to stop.
        let _ = writeln!(io::stderr(), "note: {text}");
    }
}

/// Returns the entry that the command names, with the settings that are given in the name or as options.
pub(crate) fn entry(app: &App, common: &Common) -> Result<Entry, Failure> {
    let (name, settings) = common.problem.split_once(':').unwrap_or((&common.problem, ""));
    let entry = named(app.catalogue, name, &common.data.folder)?;
    let typed = settings.split(',').filter(|setting| !setting.is_empty());
    let typed = typed.map(|setting| setting.split_once('=').unwrap_or((setting, "")));
    let mut options = common.data.settings();
    options.extend(common.lanes.map(|lanes| ("lanes", lanes.to_string())));
    let options = options.iter().map(|(name, value)| (*name, value.as_str()));
    let entry = entry.with(typed.chain(options)).map_err(Failure::usage)?;
    if common.dtype == Dtype::F32 {
        f32::opener(&entry).map_err(Failure::usage)?;
    }
    if common.data.train.is_some() && entry.samples.is_none() {
        return Err(Failure::usage(format!("--train: {} takes no samples", entry.name)));
    }
    Ok(entry)
}

/// Returns the problem of this name, or the one in this file, which is searched in `folder` first.
pub(crate) fn named(catalogue: &[Entry], name: &str, folder: &Path) -> Result<Entry, Failure> {
    let (path, within) = (Path::new(name), folder.join(name));
    if path.extension().is_some_and(|end| end == "npz") {
        let read = read_problem(if within.exists() { &within } else { path })
            .and_then(|statement| Arc::new(statement).into_entry(name));
        return read.map_err(Failure::usage);
    }
    let entry = find_by_name("problem", name, catalogue, |e| &e.name);
    Ok(entry.map_err(Failure::usage)?.clone())
}

/// Returns the seed of the data of `entry`, unless the data is fixed. Of files it draws the parts and the corrupted labels.
pub(crate) fn data_seed(entry: &Entry, common: &Common) -> Result<Option<u64>, Failure> {
    let Data { train, valid, test, split, .. } = &common.data;
    let whole = valid.is_some() && test.is_some() && split.is_none();
    let corrupted = entry.settings.iter().any(|setting| setting.name == "corruption");
    let (default, why) = match train {
        None => (entry.data_seed, ""),
        Some(_) if whole && !corrupted => (None, ", as all samples of its three files are used"),
        Some(_) => (entry.data_seed.or(Some(0)), ""),
    };
    if common.data_seed.is_some() && default.is_none() {
        let name = &entry.name;
        return Err(Failure::usage(format!("--data-seed: the data of '{name}' is fixed{why}")));
    }
    Ok(common.data_seed.or(default))
}

/// Opens `entry` with `shift` added to its data seed.
pub(crate) fn open<T: Precise>(
    app: &App,
    entry: &Entry,
    common: &Common,
    shift: u64,
) -> Result<Opened<T>, Failure> {
    let data_seed = data_seed(entry, common)?.map(|seed| seed.wrapping_add(shift));
    let (mut oracle, (notes, rows)) = on(entry, common, data_seed)?;
    oracle.set_threads(common.threads).map_err(Failure::run)?;
    oracle.set_memory(common.memory);
    if let Some(ranks) = ranks::ranks() {
        oracle.set_ranks(Arc::clone(ranks));
    }
    let steps = common.steps.unwrap_or(entry.steps);
    let mut inner = match common.lr.unwrap_or(Lr::Size(entry.lr)) {
        Lr::Size(lr) => {
            expect_in::<T>("--lr", lr).map_err(Failure::usage)?;
            InnerLoop::new(steps, lr).map_err(Failure::usage)?
        }
        Lr::Auto => InnerLoop::auto(steps),
    };
    if let Some(tolerance) = common.tolerance {
        inner = inner.until(tolerance).map_err(Failure::usage)?;
    }
    if let Some(rule) = &common.rule {
        oracle.set_any_rule(T::registry(app).rules.parse(rule).map_err(Failure::usage)?);
    }
    let x = match &common.at {
        Some(path) => point(path, oracle.start(), "--at")?,
        None => oracle.start().values().to_vec(),
    };
    if let Some(path) = &common.init {
        let w = point(path, oracle.inner_start(), "--init")?;
        oracle.set_init(w).map_err(|e| Failure::usage(format!("--init: {e}")))?;
    }
    let (seed, schedule) = (common.seed, common.schedule);
    Ok(Opened { oracle, inner, x, data_seed, seed, schedule, notes, rows })
}

/// Opens the problem of a command that uses a single point, with a step size that is settled there.
pub(crate) fn open_at<T: Precise>(
    app: &App,
    common: &Common,
) -> Result<(Entry, Opened<T>), Failure> {
    let entry = entry(app, common)?;
    let mut opened = open::<T>(app, &entry, common, 0)?;
    let Opened { oracle, inner, x, .. } = &mut opened;
    *inner = inner.settled(oracle, x, Draw::new(common.seed, 0)).map_err(Failure::run)?;
    Ok((entry, opened))
}

/// Hashes the data at the draws of `seed`. The hash covers the bits of the starts, of `w_1 = w_0 - dg/dw / 1000`, which
/// depends on the training data, and of the outer loss at `w_1`, which depends on the rest, for every task of the first
/// meta-batch.
///
/// # Errors
/// Returns the errors of evaluating the problem.
pub fn data_hash<T: Precision>(oracle: &mut Oracle<T>, seed: u64) -> Result<String, Error> {
    // The memory limit of an estimate does not apply here.
    let memory = oracle.memory();
    oracle.set_memory(None);
    let (x, draw) = (oracle.start().values().to_vec(), Draw::new(seed, 0));
    let mut values = [&x, oracle.inner_start().values()].concat();
    let [mut w, mut slope] = oracle.vectors(oracle.inner_dim())?;
    for slot in 0..oracle.batch() {
        let draw = draw.for_task(oracle.task(draw, slot));
        oracle.init(&x, draw, &mut w)?;
        oracle.inner_gradient(Point { w: &w, x: &x, draw }, 0, &mut slope)?;
        axpy(&mut w, T::from_f64(-1e-3), &slope);
        values.push(oracle.outer_value(Point { w: &w, x: &x, draw })?);
        values.extend_from_slice(&w);
    }
    oracle.give_all([w, slope]);
    oracle.set_memory(memory);
    let bytes = values.iter().flat_map(|v| v.as_f64().to_le_bytes());
    Ok(format!("{:016x}", fingerprint(bytes)))
}

/// Decisions made about files of samples, and the indices of the samples in their files.
type FromFiles = (Vec<String>, [Vec<usize>; 3]);

/// Makes the problem, on the samples that the command gives, if any.
fn on<T: Precision>(
    entry: &Entry,
    common: &Common,
    seed: Option<u64>,
) -> Result<(Oracle<'static, T>, FromFiles), Failure> {
    let Data {
        train, valid, test, label, delimiter, zero_based, standardise, folder, split, ..
    } = common.data.clone();
    let told = |e: Error| match e {
        Error::Invalid { .. } | Error::Told { .. } => Failure::usage(e),
        e => Failure::Solver(e),
    };
    if let (Some(train), Some(Labels::Images)) = (&train, entry.samples) {
        let given = [
            ("valid", valid.is_some()),
            ("test", test.is_some()),
            ("label", label.is_some()),
            ("delimiter", delimiter.is_some()),
            ("zero-based", zero_based),
            ("standardise", standardise),
            ("split", split.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            let name = &entry.name;
            let why = format!("--{option}: {name} takes images from --train alone");
            return Err(Failure::usage(why));
        }
        let side = entry.settings.iter().find(|setting| setting.name == "side");
        let side = side.map_or(Ok(16), Setting::get).map_err(Failure::usage)?;
        let images = T::load_images(&[folder.join(train)], side);
        let opened = entry.open_on_images(images.map_err(Failure::usage)?, seed);
        return Ok((opened.map_err(told)?, FromFiles::default()));
    }
    let numbers = entry.samples == Some(Labels::Numbers);
    let files = train.map(|train| {
        let columns = Files { label, delimiter, zero_based, standardise, ..Files::default() };
        Files { train, valid, test, split, numbers, folder, ..columns }
    });
    let sets =
        files.map(|files| T::load(&files, seed.or(entry.data_seed).unwrap_or(0))).transpose();
    let sets = sets.map_err(Failure::usage)?;
    let known = sets.as_ref().map(|sets| (sets.notes().to_vec(), sets.rows().clone()));
    Ok((entry.open_on(sets, seed).map_err(told)?, known.unwrap_or_default()))
}

impl<T: Precise> Opened<T> {
    /// Returns the estimator that `text` names, with the schedule of the command.
    pub(crate) fn estimator(&mut self, app: &App, text: &str) -> Result<Chosen<T>, Failure> {
        let made = T::registry(app).estimators.parse(text).map_err(Failure::usage)?;
        let (made, note) = self.scheduled(made)?;
        // The same estimator may be asked for twice.
        self.notes.extend(note.filter(|note| !self.notes.contains(note)));
        Ok(made)
    }

    /// Sets the schedule of the command on `made`. `auto` is the fastest that fits into the memory of the command. Without
    /// a requested schedule it is `store-all` or, with a note, as many checkpoints as fit.
    pub(crate) fn scheduled(
        &mut self,
        made: Chosen<T>,
    ) -> Result<(Chosen<T>, Option<String>), Failure> {
        let schedule = match self.schedule {
            None => Schedule::default(),
            Some(Asked::Given(schedule)) => schedule,
            Some(Asked::Auto) if ranks::ranks().is_some() => {
                let why =
                    "--schedule auto goes by times, which differ from process to process: name one";
                return Err(Failure::usage(why));
            }
            Some(Asked::Auto) if made.schedule().is_none() => return Ok((made, None)),
            Some(Asked::Auto) => {
                let profile = self.profile()?;
                let memory = self.oracle.memory().unwrap_or(u64::MAX);
                let found = plan(&*made, &mut self.oracle, &self.inner, &profile, memory);
                found.map_err(Failure::Solver)?[0].schedule
            }
        };
        let made = made.under(schedule).unwrap_or(made);
        if self.schedule.is_some() {
            let note = self.of_disk(schedule, &*made);
            return Ok((made, note));
        }
        let Some((schedule, note)) = self.fitting(&*made) else { return Ok((made, None)) };
        Ok((made.under(schedule).unwrap_or(made), Some(note)))
    }

    /// Notes that a requested schedule does nothing, if no estimator of the command takes one.
    pub(crate) fn tell_idle_schedule(&mut self, chosen: &[Chosen<T>]) {
        let Some(Asked::Given(schedule)) = self.schedule else { return };
        if chosen.iter().all(|made| made.schedule().is_none()) {
            let names: Vec<_> = chosen.iter().map(|made| made.name()).collect();
            let names = names.join(" and ");
            self.notes.push(format!("--schedule {schedule} does nothing for {names}"));
        }
    }

    /// Returns a note if states on disk take more memory than all states in memory, which small ones do, as their file has
    /// buffers.
    fn of_disk(&mut self, schedule: Schedule, made: &dyn Estimator<T>) -> Option<String> {
        let (name, Self { oracle, inner, x, seed, .. }) = (made.name(), self);
        let all = made.under(Schedule::default())?;
        if !matches!(schedule, Schedule::Disk { .. }) {
            return None;
        }
        let sizes =
            [made, &*all].map(|e| e.predict(oracle, inner, x, Draw::new(*seed, 0)).unwrap_or(0));
        let [takes, all] = sizes.map(bytes);
        let why = format!(
            "{name} takes {takes} of memory under {schedule}, more than the {all} of store-all, because the buffers of \
             the file take more than the states in it"
        );
        // What cannot be predicted is left to refuse itself.
        Some(why).filter(|_| sizes[0] > sizes[1] && sizes[1] > 0)
    }

    /// Returns the schedule with as many checkpoints as fit into the memory of the command, and a note about it, if `made`
    /// does not fit. An estimate that cannot be made to fit is left to refuse itself.
    fn fitting(&mut self, made: &dyn Estimator<T>) -> Option<(Schedule, String)> {
        let Self { oracle, inner, x, seed, .. } = self;
        oracle.memory()?;
        let admitted = made.admit(oracle, inner, x, Draw::new(*seed, 0));
        let Err(Error::Memory { limit, needed, advice: Some((schedule, takes)) }) = admitted else {
            return None;
        };
        let [limit, needed, takes] = [limit, needed, takes].map(bytes);
        let note = format!(
            "{} stores checkpoints (--schedule {schedule}, {takes}), because all states take {needed} \
             and {limit} is allowed; the result has the same bits",
            made.name()
        );
        Some((schedule.parse().ok()?, note))
    }

    /// Measures the bytes and times of the parts of an estimate at the outer point.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let draw = Draw::new(self.seed, 0);
        T::profile(&self.oracle, &self.inner, &self.x, draw, 5).map_err(Failure::run)
    }
}

/// Reads the values of a file in the order of `like`.
fn point<T: Element>(path: &Path, like: &Params<T>, option: &str) -> Result<Vec<T>, Failure> {
    let what = format!("{option} {}", path.display());
    // The limit allows an array of another size to be named in an error, but not one that would fill memory.
    let most = like.values().len().saturating_mul(16).saturating_add(1024);
    let file = arrays::read(path, most).map_err(|e| Failure::usage(format!("{option}: {e}")))?;
    let values = arrays::assign(&file, like, &what).map_err(Failure::usage)?;
    let rounded: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
    match rounded.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(Failure::usage(format!("{what}: value {i} overflows {}", T::NAME))),
        None => Ok(rounded),
    }
}
