//! The state of a run in a file, from which it goes on bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::args::Run as Options;
use super::atomic;
use super::failure::Failure;
use super::list::outer_text;
use crate::{Element, End, Params, Run, RunState, Shape, simd};

/// One outer iteration, as a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) repeat: usize,
    pub(super) iteration: usize,
    pub(super) loss: f64,
    pub(super) gradient_norm: Option<f64>,
    pub(super) inner_gradients: u64,
    pub(super) hvps: u64,
    pub(super) bytes_measured: u64,
    pub(super) seconds: f64,
}

/// Everything that bits depend on, by name.
pub(super) type Settings = BTreeMap<String, String>;

/// The settings of a run; `names` are those of problem, estimator, rule and precision. Limits are not among them, nor is
/// what changes bytes and time alone.
pub(super) fn settings(
    options: &Options,
    run: &Run,
    names: [&str; 4],
    data_seed: Option<u64>,
) -> Settings {
    let optional = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    let tolerance = run.inner.tolerance().map(|t| t.to_string());
    let init = options.common.init.as_ref().map(|path| path.display().to_string());
    let others = [
        ("steps", run.inner.steps().to_string()),
        ("lr", run.inner.lr().to_string()),
        ("tolerance", optional(tolerance)),
        ("init", optional(init)),
        ("outer", outer_text(run.outer)),
        ("coupling", format!("{:?}", run.coupling).to_lowercase()),
        ("seed", run.seed.to_string()),
        ("data", format!("{:?}", options.common.data)),
        ("data seed", optional(data_seed.map(|s| s.to_string()))),
        ("instructions", simd().name().to_owned()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let names = ["problem", "estimator", "rule", "dtype"].into_iter().zip(names.map(String::from));
    names.chain(others).map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Where states come from and go to.
#[derive(Debug)]
pub(super) struct Files {
    /// The folder of `--save`, or of `--resume` without it.
    pub(super) save: Option<PathBuf>,
    resume: Option<PathBuf>,
}

impl Files {
    pub(super) fn of(options: &Options) -> Result<Self, Failure> {
        let resume = options.resume.clone();
        let folder = resume.clone().filter(|path| path.is_dir());
        if resume.is_some() && folder.is_none() && options.repeat > 1 {
            return Err(Failure::usage("--resume: found a file, expected a folder with --repeat"));
        }
        let save = options.common.save.clone().or(folder);
        if let Some(folder) = &save {
            atomic::prepare_dir(folder).map_err(|e| Failure::run(format!("--save: {e}")))?;
        }
        Ok(Self { save, resume })
    }

    pub(super) fn saved(&self, stem: &str) -> Option<PathBuf> {
        self.save.as_ref().map(|folder| folder.join(format!("state{stem}.json")))
    }

    /// What to go on from. Of several runs, those that were not begun are not there.
    pub(super) fn resumed(&self, stem: &str, repeat: usize) -> Option<PathBuf> {
        let path = self.resume.clone()?;
        let path = if path.is_dir() { path.join(format!("state{stem}.json")) } else { path };
        (repeat == 0 || path.exists()).then_some(path)
    }
}

/// An array of a state.
#[derive(Debug, Serialize, Deserialize)]
struct NamedArray {
    name: String,
    rows: u32,
    cols: u32,
    data: Vec<f64>,
}

/// What the file holds. Values are those of the precision of the run, which `f64` and its decimals represent exactly.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    settings: Settings,
    iteration: usize,
    x: Vec<f64>,
    moments: Vec<NamedArray>,
    estimator: Vec<NamedArray>,
    ends: Vec<NamedArray>,
    first_loss: Option<f64>,
    /// Of the estimate at `x`, where the run ended without a step from there.
    stayed: Option<f64>,
    oracle_calls: u64,
    elapsed: Duration,
    records: Vec<Line>,
}

/// Writes `state` and the records that led to it, whole or not at all.
pub(super) fn save<T: Element>(
    path: &Path,
    settings: &Settings,
    state: &RunState<T>,
    records: &[Line],
) -> Result<(), Failure> {
    let arrays = |params: &Params<T>| {
        let each = params.iter().map(|(name, Shape { rows, cols }, values)| NamedArray {
            name: name.to_owned(),
            rows,
            cols,
            data: values.iter().map(|v| v.as_f64()).collect(),
        });
        each.collect()
    };
    let saved = Saved {
        settings: settings.clone(),
        iteration: state.iteration,
        x: state.x.iter().map(|v| v.as_f64()).collect(),
        moments: arrays(&state.moments),
        estimator: arrays(&state.estimator),
        ends: arrays(&state.ends),
        first_loss: state.first_loss,
        stayed: (state.end == Some(End::GradientNorm)).then_some(state.gradient_norm),
        oracle_calls: state.oracle_calls,
        elapsed: state.elapsed,
        records: records.to_vec(),
    };
    atomic::write(path, |file| Ok(serde_json::to_writer(file, &saved)?))
        .map_err(|e| Failure::run(format!("--save: {e}")))
}

/// The state in a file and the records that led to it.
///
/// # Errors
/// A usage error that names the file, and the first setting in which it differs from `settings`.
pub(super) fn load<T: Element>(
    path: &Path,
    settings: &Settings,
) -> Result<(RunState<T>, Vec<Line>), Failure> {
    let refuse = |why: String| Failure::usage(format!("--resume {}: {why}", path.display()));
    let text = fs::read(path).map_err(|e| refuse(e.to_string()))?;
    let saved: Saved = serde_json::from_slice(&text)
        .map_err(|e| refuse(format!("not the state of a run: {e}")))?;
    let none = String::from("nothing");
    for key in settings.keys().chain(saved.settings.keys()) {
        let [expected, found] = [settings, &saved.settings].map(|s| s.get(key).unwrap_or(&none));
        if found != expected {
            return Err(refuse(format!("found {key} {found}, expected {expected}")));
        }
    }
    let values = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let params = |arrays: Vec<NamedArray>| {
        arrays.into_iter().try_fold(
            Params::new(),
            |params, NamedArray { name, rows, cols, data }| {
                let shape = Shape::new(rows, cols);
                if shape.len() != data.len() {
                    return Err(refuse(format!("{name}: {} values, expected {shape}", data.len())));
                }
                Ok(params.with(name, shape, values(data)))
            },
        )
    };
    let state = RunState {
        iteration: saved.iteration,
        moments: params(saved.moments)?,
        estimator: params(saved.estimator)?,
        ends: params(saved.ends)?,
        first_loss: saved.first_loss,
        gradient_norm: saved.stayed.unwrap_or_default(),
        oracle_calls: saved.oracle_calls,
        elapsed: saved.elapsed,
        end: saved.stayed.map(|_| End::GradientNorm),
        ..RunState::new(values(saved.x))
    };
    Ok((state, saved.records))
}

/// Whether Ctrl-C was typed since it was asked for. A second one ends the process at once.
#[derive(Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn watch() -> Result<Self, Failure> {
        let typed = Arc::new(AtomicBool::new(false));
        // In this order, so that the first one only takes note.
        flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&typed))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&typed)))
            .map_err(|e| Failure::run(format!("Ctrl-C: {e}")))?;
        Ok(Self(typed))
    }

    pub(super) fn typed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
