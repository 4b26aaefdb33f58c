//! A problem opened with the options of a command: the oracle, the inner loop and the outer point.

use std::path::Path;
use std::sync::Arc;

use super::app::{App, Precise};
use super::args::{Asked, Common, Data, Dtype};
use super::arrays;
use super::failure::Failure;
use super::ranks;
use crate::problems::data::{Files, load};
use crate::problems::{Entry, Labels, Precision};
use crate::{
    Alternative, Draw, Element, Error, Estimator, InnerLoop, Oracle, Params, Point, Profile, axpy,
    find_by_name, fingerprint, plan,
};

/// A problem ready to be differentiated.
pub(crate) struct Opened<T> {
    pub(crate) oracle: Oracle<'static, T>,
    pub(crate) inner: InnerLoop,
    pub(crate) x: Vec<T>,
    pub(crate) data_seed: Option<u64>,
}

/// The entry that the command names, with the settings that it gives in the name or as options.
pub(crate) fn entry(app: &App, common: &Common) -> Result<Entry, Failure> {
    let (name, settings) = common.problem.split_once(':').unwrap_or((&common.problem, ""));
    let entry = find_by_name("problem", name, app.catalogue, |e| &e.name);
    let entry = entry.map_err(Failure::usage)?;
    let typed = settings.split(',').filter(|setting| !setting.is_empty());
    let typed = typed.map(|setting| setting.split_once('=').unwrap_or((setting, "")));
    let options = common.data.settings();
    let options = options.iter().map(|(name, value)| (*name, value.as_str()));
    let entry = entry.clone().with(typed.chain(options)).map_err(Failure::usage)?;
    if common.dtype == Dtype::F32 {
        f32::opener(&entry).map_err(Failure::usage)?;
    }
    if common.data.train.is_some() && entry.samples.is_none() {
        let name = &entry.name;
        return Err(Failure::usage(format!(
            "--train: found '{name}', expected a problem that takes samples"
        )));
    }
    Ok(entry)
}

/// The seed of the data of `entry`, if that is not fixed.
pub(crate) fn data_seed(entry: &Entry, common: &Common) -> Result<Option<u64>, Failure> {
    if common.data_seed.is_some() && entry.data_seed.is_none() {
        let name = &entry.name;
        return Err(Failure::usage(format!("--data-seed: the data of '{name}' is fixed")));
    }
    Ok(common.data_seed.or(entry.data_seed))
}

/// Opens `entry`, its data seed moved on by `shift`.
pub(crate) fn open<T: Precise>(
    app: &App,
    entry: &Entry,
    common: &Common,
    shift: u64,
) -> Result<Opened<T>, Failure> {
    let data_seed = data_seed(entry, common)?.map(|seed| seed.wrapping_add(shift));
    let mut oracle = on(entry, common, data_seed)?;
    oracle.set_threads(common.threads).map_err(Failure::run)?;
    oracle.set_memory(common.memory);
    if let Some(ranks) = ranks::ranks() {
        oracle.set_ranks(Arc::clone(ranks));
    }
    let steps = common.steps.unwrap_or(entry.steps);
    let mut inner = InnerLoop::new(steps, common.lr.unwrap_or(entry.lr)).map_err(Failure::usage)?;
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
    Ok(Opened { oracle, inner, x, data_seed })
}

/// Of the bits of the start, of `w_1 = w_0 - dg/dw / 1000`, which the training data decides, and of the outer loss there, which
/// the rest does; of every task of the first meta-batch.
///
/// # Errors
/// As the evaluations of the problem.
pub fn data_hash<T: Precision>(oracle: &mut Oracle<T>) -> Result<String, Error> {
    // What an estimate may take is no matter here.
    let memory = oracle.memory();
    oracle.set_memory(None);
    let (x, draw) = (oracle.start().values().to_vec(), Draw::new(0, 0));
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
    for vector in [w, slope] {
        oracle.give(vector);
    }
    oracle.set_memory(memory);
    let bytes = values.iter().flat_map(|v| v.as_f64().to_le_bytes());
    Ok(format!("{:016x}", fingerprint(bytes)))
}

/// The problem, on the samples that the command gives, if it gives any.
fn on<T: Precision>(
    entry: &Entry,
    common: &Common,
    seed: Option<u64>,
) -> Result<Oracle<'static, T>, Failure> {
    let Data { train, valid, test, label, split, .. } = common.data.clone();
    let numbers = entry.samples == Some(Labels::Numbers);
    let files = train.map(|train| Files { train, valid, test, label, split, numbers });
    let sets = files.map(|files| load::<T>(&files, seed.unwrap_or(0))).transpose();
    entry.open_on(sets.map_err(Failure::usage)?, seed).map_err(|e| match e {
        Error::Invalid { .. } => Failure::usage(e),
        e => Failure::run(e),
    })
}

/// The estimator that `text` names, under the schedule that the command asks for.
pub(crate) fn estimator<T: Precise>(
    app: &App,
    opened: &mut Opened<T>,
    common: &Common,
    text: &str,
) -> Result<Box<dyn Estimator<T>>, Failure> {
    let made = T::registry(app).estimators.parse(text).map_err(Failure::usage)?;
    let schedule = match common.schedule {
        Asked::Given(schedule) => schedule,
        Asked::Auto if ranks::ranks().is_some() => {
            let found = "--schedule auto: found several processes, whose times differ";
            return Err(Failure::usage(format!("{found}, expected a schedule")));
        }
        Asked::Auto if made.schedule().is_none() => return Ok(made),
        Asked::Auto => alternatives(opened, &*made, common)?[0].schedule,
    };
    Ok(made.under(schedule).unwrap_or(made))
}

/// Schedules of `estimator` that fit into the memory of the command, fastest first; at least one.
fn alternatives<T: Precision>(
    opened: &mut Opened<T>,
    estimator: &dyn Estimator<T>,
    common: &Common,
) -> Result<Vec<Alternative>, Failure> {
    let (profile, memory) = (profile(opened, common)?, common.memory.unwrap_or(u64::MAX));
    plan(estimator, &mut opened.oracle, &opened.inner, &profile, memory).map_err(Failure::run)
}

/// What pieces of an estimate take there, in bytes and time.
pub(crate) fn profile<T: Precision>(
    opened: &mut Opened<T>,
    common: &Common,
) -> Result<Profile, Failure> {
    let Opened { oracle, inner, x, .. } = opened;
    Profile::measure(oracle, inner, x, Draw::new(common.seed, 0), 5).map_err(Failure::run)
}

/// The values of a file in the order of `like`.
fn point<T: Element>(path: &Path, like: &Params<T>, option: &str) -> Result<Vec<T>, Failure> {
    let what = format!("{option} {}", path.display());
    // Room for what is plainly another array, to be named; not for what would fill memory.
    let most = like.values().len().saturating_mul(16).saturating_add(1024);
    let file = arrays::read(path, most).map_err(|e| Failure::usage(format!("{option}: {e}")))?;
    let values = arrays::assign(&file, like, &what).map_err(Failure::usage)?;
    let rounded: Vec<T> = values.iter().map(|&v| T::from_f64(v)).collect();
    match rounded.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(Failure::usage(format!("{what}: value {i} overflows {}", T::NAME))),
        None => Ok(rounded),
    }
}
