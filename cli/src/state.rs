//! The state of a run in a file, from which the run is resumed bit for bit.

use std::fmt::Display;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::{Data, Run as Options};
use crate::atomic;
use crate::failure::Failure;
use crate::table::{seconds, significant};
use crate::{point, ranks};
use hypertape_autodiff::Element;
use hypertape_problems::Precision;
use hypertape_solver::text::counted;
use hypertape_solver::{
    End, Estimator, Observer, Oracle, Record, Run, RunState, Saved, Saving, Schedule, Settings,
};

/// The suffix of the files of a run.
pub(crate) fn stem(options: &Options, repeat: usize) -> String {
    if options.repeat == 1 { String::new() } else { format!("-{repeat}") }
}

/// Returns the settings on which the bits of a run depend.
pub(crate) fn settings<T: Precision>(
    options: &Options,
    run: &Run<T>,
    (oracle, estimator): (&mut Oracle<T>, &dyn Estimator<T>),
    (problem, data_seed): (&str, Option<u64>),
) -> Result<Settings, Failure> {
    let optional = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    let init = options.common.init.as_ref().map(|path| path.display().to_string());
    let data_hash = point::data_hash(oracle, 0).map_err(Failure::run)?;
    let files = options.common.data.train.iter().chain(&options.common.data.valid);
    let files: Vec<_> = files.chain(&options.common.data.test).map(String::as_str).collect();
    Ok(Settings::new(run, oracle, estimator)
        .with("problem", problem)
        .with("init", optional(init))
        .with("data", told(&options.common.data)?)
        .with("data seed", optional(data_seed.map(|s| s.to_string())))
        .with("hash of the data", [&[&*data_hash], &files[..]].concat().join(" of ")))
}

/// Returns the settings of the data that are given, as on the command line.
fn told(data: &Data) -> Result<String, Failure> {
    let all = serde_json::to_value(data).map_err(Failure::run)?;
    let given = all.as_object().into_iter().flatten().filter(|(_, value)| {
        !value.is_null()
            && **value != Value::Bool(false)
            && value.as_array().is_none_or(|v| !v.is_empty())
    });
    let given: Vec<_> =
        given.map(|(name, value)| format!("--{} {value}", name.replace('_', "-"))).collect();
    Ok(if given.is_empty() { "that of the problem".to_owned() } else { given.join(" ") })
}

/// The files from which states are read and to which they are written.
#[derive(Debug)]
pub(crate) struct Files {
    /// The folder of `--save`, or else of `--resume`.
    pub(crate) save: Option<PathBuf>,
    resume: Option<PathBuf>,
    _lock: Option<File>,
}

impl Files {
    pub(crate) fn of(options: &Options) -> Result<Self, Failure> {
        let resume = options.resume.clone();
        if let Some(path) = resume.as_ref().filter(|path| !path.exists()) {
            let why = "there is no such folder, and so no run to resume";
            return Err(Failure::usage(format!("--resume {}: {why}", path.display())));
        }
        let folder = resume.clone().filter(|path| path.is_dir());
        if resume.is_some() && folder.is_none() && options.repeat > 1 {
            return Err(Failure::usage("--resume: found a file, expected a folder with --repeat"));
        }
        if resume.is_some() && options.common.at.is_some() {
            return Err(Failure::usage(
                "--at: a run that goes on from --resume has its point already",
            ));
        }
        let save = options.common.save.clone().or(folder);
        if save.is_none() && options.save_every.is_some() {
            return Err(Failure::usage(
                "--save-every: found neither --save nor --resume DIR, expected one",
            ));
        }
        let lock = save.as_ref().map(|folder| atomic::lock(folder, "saves a run"));
        let lock = lock.transpose().map_err(Failure::of("--save"))?.flatten();
        let files = Self { save, resume, _lock: lock };
        files.keep_others(options)?;
        Ok(files)
    }

    /// Refuses to replace the state of another run than the one to be resumed, because its iterations would be lost. A run
    /// that failed in its first iteration leaves none to lose.
    fn keep_others(&self, options: &Options) -> Result<(), Failure> {
        // When other ranks look, the first one may have saved already.
        let Some(folder) = self.save.as_ref().filter(|_| ranks::first()) else { return Ok(()) };
        for repeat in 0..options.repeat {
            let stem = stem(options, repeat);
            let Some(path) = self.saved(&stem).filter(|path| path.is_file()) else { continue };
            let resumed = self.resumed(&stem, repeat);
            if resumed
                .is_some_and(|resumed| resumed.canonicalize().ok() == path.canonicalize().ok())
            {
                continue;
            }
            let text = fs::read(&path).unwrap_or_default();
            let saved: Value = serde_json::from_slice(&text).unwrap_or_default();
            let whose = match saved["state"]["iteration"].as_u64() {
                Some(0) => continue,
                Some(n) => format!("a run of {}", counted(n, "iteration")),
                None => "another run".to_owned(),
            };
            let folder = folder.display();
            return Err(Failure::usage(format!(
                "--save {folder}: {whose} is saved there and would be lost; --resume {folder} goes on with it, or \
                 save to another folder, or remove this one"
            )));
        }
        Ok(())
    }

    pub(crate) fn saved(&self, stem: &str) -> Option<PathBuf> {
        self.save.as_ref().map(|folder| folder.join(format!("state{stem}.json")))
    }

    /// Returns the schedule of the run to be resumed, because another one that keeps tapes may give other bits.
    pub(crate) fn schedule<T: Element>(
        &self,
        stem: &str,
        repeat: usize,
    ) -> Result<Option<Schedule>, Failure> {
        let Some(path) = self.resumed(stem, repeat) else { return Ok(None) };
        let refuse = |e: &dyn Display| Failure::usage(format!("--resume {}: {e}", path.display()));
        let text = fs::read(&path).map_err(|e| refuse(&e))?;
        let saved = Saved::<T>::read_any(&text).map_err(|e| refuse(&e))?;
        Ok(saved.settings.get("schedule").and_then(|schedule| schedule.parse().ok()))
    }

    /// Returns the file to resume from. Of several runs, those that had not begun have no file.
    pub(crate) fn resumed(&self, stem: &str, repeat: usize) -> Option<PathBuf> {
        let path = self.resume.clone()?;
        let path = if path.is_dir() { path.join(format!("state{stem}.json")) } else { path };
        (repeat == 0 || path.exists()).then_some(path)
    }
    /// Returns the state to go on from and the records that led to it, or that of a new run from `x`.
    pub(crate) fn begin<T: Element>(
        &self,
        stem: &str,
        repeat: usize,
        settings: &Settings,
        x: Vec<T>,
    ) -> Result<(RunState<T>, Vec<Record>), Failure> {
        let Some(path) = self.resumed(stem, repeat) else {
            return Ok((RunState::new(x), Vec::new()));
        };
        let refuse = |e| Failure::usage(format!("--resume {}: {e}", path.display()));
        Saved::load(&path, settings).map(|saved| (saved.state, saved.records)).map_err(refuse)
    }
}

/// Returns a `Saving` that replaces a file atomically.
pub(crate) fn saving(path: PathBuf, every: Option<usize>, settings: Settings) -> Saving<'static> {
    Saving::by(every.unwrap_or(100), settings, move |text| {
        atomic::write(&path, |file| Ok(file.write_all(text)?)).map_err(|e| e.to_string())
    })
}

/// Returns a note if a run that was resumed after `begun` iterations ended without another one.
pub(crate) fn nothing_left<T>(state: &RunState<T>, begun: usize) -> Option<String> {
    if begun == 0 || state.iteration > begun {
        return None;
    }
    let counts = |option, made: String| {
        format!("{option} counts earlier sessions, which {made}: give more than that")
    };
    let why = match state.end? {
        End::Iterations => counts("--iterations", format!("made {}", state.iteration)),
        End::Time => counts("--time", format!("took {}", seconds(state.elapsed.as_secs_f64()))),
        End::OracleCalls => counts("--oracle-calls", format!("made {}", state.oracle_calls)),
        End::GradientNorm => {
            let norm = significant(state.gradient_norm, 4);
            format!("the norm of the hypergradient is {norm}: give a smaller --gradient-norm")
        }
        End::Callback => return None,
    };
    Some(format!("nothing was left to do: {why}"))
}

/// Prints the first of the notes `idle` if all `repeat` runs have one: the first run may well have been complete when a
/// later one was interrupted.
pub(crate) fn tell_idle(idle: &[String], repeat: usize) {
    if let Some(note) = idle.first().filter(|_| idle.len() == repeat) {
        point::note(note);
    }
}

/// Whether Ctrl-C was pressed since `watch` was called, or the system asked the process to end, as batch systems do. A
/// second signal ends the process at once.
#[derive(Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(crate) fn watch() -> Result<Self, Failure> {
        let typed = Arc::new(AtomicBool::new(false));
        // In this order, the first signal only sets the flag.
        for (signal, status) in [(SIGINT, 130), (SIGTERM, 143)] {
            flag::register_conditional_shutdown(signal, status, Arc::clone(&typed))
                .and_then(|_| flag::register(signal, Arc::clone(&typed)))
                .map_err(|e| Failure::run(format!("Ctrl-C: {e}")))?;
        }
        Ok(Self(typed))
    }
}

impl<T> Observer<T> for Interrupt {
    fn stop(&self) -> Option<Arc<dyn Fn() -> bool + Send + Sync>> {
        let typed = Arc::clone(&self.0);
        Some(Arc::new(move || typed.load(Ordering::Relaxed)))
    }
}
