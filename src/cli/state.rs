//! The state of a run in a file, from which it goes on bit for bit.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use super::args::Run as Options;
use super::atomic;
use super::failure::Failure;
use crate::{Element, Estimator, Observer, Oracle, Record, Run, Saved, Saving, Settings};

/// What the bits of a run depend on.
pub(super) fn settings<T: Element>(
    options: &Options,
    run: &Run<T>,
    (oracle, estimator): (&Oracle<T>, &dyn Estimator<T>),
    (problem, data_seed): (&str, Option<u64>),
) -> Settings {
    let optional = |text: Option<String>| text.unwrap_or_else(|| "none".into());
    let init = options.common.init.as_ref().map(|path| path.display().to_string());
    Settings::new(run, oracle, estimator)
        .with("problem", problem)
        .with("init", optional(init))
        .with("data", format!("{:?}", options.common.data))
        .with("data seed", optional(data_seed.map(|s| s.to_string())))
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

/// What saves a run to a file that appears whole or not at all.
pub(super) fn saving(path: PathBuf, every: usize, settings: Settings) -> Saving<'static> {
    Saving::by(every, settings, move |text| {
        atomic::write(&path, |file| Ok(file.write_all(text)?)).map_err(|e| e.to_string())
    })
}

/// The state in a file and the records that led to it.
pub(super) fn load<T: Element>(path: &Path, settings: &Settings) -> Result<Saved<T>, Failure> {
    let refuse = |e| Failure::usage(format!("--resume {}: {e}", path.display()));
    Saved::load(path, settings).map_err(refuse)
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
}

impl<T> Observer<T> for Interrupt {
    fn record(&mut self, _: &Record, _: &[T]) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
