//! A cell: its settings, the requests about it, and the results.
//!
//! The settings are the options of `run`, parsed by the same parser, and a few that only studies have.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args as Options, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::app::{App, Precise};
use crate::args::{self, Asked, in_precision};
use crate::failure::{Failure, json};
use crate::outer::{self, Algorithm, Typed};
use crate::point;
use crate::values::{ABOVE_ONE, Lr, draws, within};
use crate::warned::Warned;
use hypertape_problems::Entry;
use hypertape_solver::stats::median_and_interval;
use hypertape_solver::{Cost, Error, Range, Schedule};

/// The task of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measure {
    /// A whole run.
    Run,
    /// One hypergradient at the problem's start.
    Gradient,
}

/// The settings of one cell. With all defaults filled in, they identify its record.
#[derive(Clone, Debug, Options, Serialize, Deserialize)]
pub(crate) struct Cell {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) run: args::Run,
    /// A whole run, or a gradient at the problem's start
    #[arg(long, value_enum, default_value_t = Measure::Run)]
    pub(crate) measure: Measure,
    /// Also evaluate points by h(x) and |dh/dx| at the inner minimum, to this fraction of |dg/dw| at the start, off the clock
    #[arg(long, value_parser = within::<f64>(Range::POSITIVE))]
    #[serde(default)]
    pub(crate) value_tolerance: Option<f64>,
    /// Checkpoints whose iterations are in this ratio at least, of those that --record-every makes
    #[arg(long, value_parser = within::<f64>(ABOVE_ONE))]
    #[serde(default)]
    pub(crate) record_ratio: Option<f64>,
    /// Timed repetitions, after one gradient that is not timed; 0 takes the time of a run while it is counted
    #[arg(long, value_parser = within::<usize>(Range::COUNT))]
    pub(crate) repeats: Option<usize>,
    /// Estimates, each by draws of its own, from which bias and variance against the exact gradient are taken
    #[arg(long, value_parser = draws, default_value_t = 0)]
    pub(crate) draws: u64,
    /// Where to start instead: a control of the problem, by the name that `run` prints
    #[arg(long)]
    pub(crate) control: Option<String>,
}

/// Keys that have no meaning for a gradient.
pub(super) const OF_RUNS: [&str; 12] = [
    "algorithm",
    "iterations",
    "outer",
    "outer_lr",
    "outer_power",
    "outer_momentum",
    "coupling",
    "gradient_norm",
    "oracle_calls",
    "time",
    "record_every",
    "record_ratio",
];

impl Cell {
    /// Fills in the defaults and checks every name.
    ///
    /// # Errors
    /// Returns a usage error that begins with the option at fault.
    pub(super) fn resolve(mut self, app: &App) -> Result<Self, Failure> {
        let of = |option, e: Failure| Failure::usage(format!("--{option}: {}", e.why()));
        let common = &mut self.run.common;
        let entry = &point::entry(app, common).map_err(|e| of("problem", e))?;
        common.data_seed = point::data_seed(entry, common)?;
        common.steps.get_or_insert(entry.steps);
        common.lr.get_or_insert(Lr::Size(entry.lr));
        if common.memory.is_none() {
            common.schedule.get_or_insert(Asked::Given(Schedule::default()));
        }
        let (estimator, outer) = in_precision!(common.dtype, named(app, entry, &self.run))?;
        let run = &mut self.run;
        match &mut run.algorithm {
            Some(algorithm) => *algorithm = estimator,
            None => run.estimator = Some(estimator),
        }
        if self.measure == Measure::Gradient {
            run.iterations = Some(0);
            self.repeats.get_or_insert(5);
            return Ok(self);
        }
        run.iterations.get_or_insert(entry.iterations);
        self.repeats.get_or_insert(0);
        let numbers = [run.outer_lr, run.outer_power, run.outer_momentum];
        // The outer optimiser of an algorithm follows from the algorithm's own settings.
        if run.algorithm.is_none() || run.outer.is_some() || numbers.iter().any(Option::is_some) {
            let (text, [lr, power, momentum]) = outer;
            run.outer = Some(text);
            (run.outer_lr, run.outer_power, run.outer_momentum) = (lr, power, momentum);
        }
        Ok(self)
    }

    /// Returns a text that is equal for two cells if and only if they are the same.
    pub(super) fn key(&self) -> Result<String, Failure> {
        json(self)
    }

    /// Returns a text that is equal for cells that differ only in their seed.
    pub(super) fn key_of_seeds(&self) -> Result<String, Failure> {
        let mut cell = self.clone();
        cell.run.common.seed = 0;
        cell.key()
    }

    /// The text of the estimator or of the algorithm.
    pub(super) fn estimator(&self) -> &str {
        let Self { run: args::Run { algorithm, estimator, .. }, .. } = self;
        algorithm.as_deref().or(estimator.as_deref()).unwrap_or_default()
    }

    pub(super) fn iterations(&self) -> usize {
        self.run.iterations.unwrap_or_default()
    }
}

/// Returns the texts of the estimator and of the outer optimiser, after checking every name.
fn named<T: Precise>(
    app: &App,
    entry: &Entry,
    run: &args::Run,
) -> Result<(String, Typed), Failure> {
    if let Some(rule) = &run.common.rule {
        let refuse = |e| Failure::usage(format!("--rule: {e}"));
        app.registry::<T>().rules.parse(rule).map_err(refuse)?;
    }
    let Algorithm { text, typed, .. } = outer::algorithm::<T>(app, entry, run)?;
    Ok((text, typed))
}

/// The request to a process, which replies with a `Result<_, Trouble>`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Task {
    /// Everything but times: [`Done`].
    Count,
    /// Times, each with the pace of the machine: `Vec<[f64; 2]>`.
    Time,
    /// The seconds of one gradient, estimated from short inner loops: `f64`.
    Probe,
}

/// The reason why a cell has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// `diverged`, `over budget` or `failed`; or, if the process failed, `timeout`, `over memory` or `killed`.
    pub(crate) failure: String,
    /// The error message.
    pub(crate) error: String,
}

impl Trouble {
    pub(super) fn new(failure: &str, error: String) -> Self {
        Self { failure: failure.to_owned(), error }
    }

    /// Whether the same cell fails in the same way whenever it is run. Everything else may have been the machine: a limit of
    /// time or memory, a signal, a full disk, a missing file.
    pub(super) fn repeats(&self) -> bool {
        ["diverged", "over budget"].contains(&self.failure.as_str())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Solver(error) => error.into(),
            failure => Self::new("failed", failure.why()),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let cause = if let Error::Iteration { cause, .. } = &error { cause } else { &error };
        let kind = match cause {
            Error::NonFinite { .. } | Error::Diverged { .. } => "diverged",
            Error::Memory { .. } => "over budget",
            _ => "failed",
        };
        Self::new(kind, error.to_string())
    }
}

/// Metrics by name. A metric that is undefined is `null`, because JSON has no NaN.
pub(crate) type Metrics = BTreeMap<String, Option<f64>>;

/// The result of a cell at its last point, and the cost of its estimates. Evaluations that were made only for the
/// record are not included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) loss: f64,
    /// Norm of the last estimate, at the point before its step; `None` if there was no estimate, or if it overflowed.
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) metrics: Metrics,
    /// The reason why the run ended.
    pub(crate) ended: String,
    /// The schedule, which may have been chosen to fit.
    pub(crate) schedule_taken: Option<String>,
    /// Cost of all estimates. The time is the median of `times`.
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// Predicted bytes of one estimate.
    pub(crate) bytes_predicted: u64,
    /// Peak memory of the whole process that counted, if the system reports it.
    pub(crate) process_peak_bytes: Option<u64>,
    /// The 95 % confidence interval of the median time.
    pub(crate) seconds_low: f64,
    pub(crate) seconds_high: f64,
    pub(crate) times: Vec<f64>,
    /// Seconds that a fixed workload took next to each time.
    #[serde(default)]
    pub(crate) paces: Vec<f64>,
    pub(crate) accuracy: Option<Accuracy>,
    #[serde(flatten)]
    pub(crate) warned: Warned,
    /// Hash of the data. Two cells with the same instructions, precision and hash differentiate the same functions.
    pub(crate) data_hash: String,
    /// Whether any seed has an influence. If none has, a single seed stands for all.
    pub(crate) random: bool,
    /// Decisions made about files of samples.
    pub(crate) notes: Vec<String>,
    pub(crate) checkpoints: Vec<Checkpoint>,
}

impl Done {
    /// The last point of a run, as the last of its checkpoints.
    pub(super) fn end(&self, iteration: usize) -> Checkpoint {
        Checkpoint {
            iteration,
            cost: self.cost,
            loss: self.loss,
            gradient_norm: self.gradient_norm,
            metrics: self.metrics.clone(),
        }
    }

    /// Sets the times, if there are any.
    pub(super) fn timed(&mut self, times: Vec<f64>) {
        if let Some([low, median, high]) = median_and_interval(&mut times.clone()) {
            (self.seconds_low, self.seconds_high) = (low, high);
            self.cost.time = Duration::from_secs_f64(median);
            self.times = times;
        }
    }
}

/// The errors of estimates `G` of the exact gradients `g` of the same draws, in units of `|E g|`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Accuracy {
    /// `|E (G - g)| / |E g|`.
    pub(crate) bias: f64,
    /// `tr Cov G / |E g|^2`.
    pub(crate) variance: f64,
    /// `E |G|^2 / |E g|^2`.
    pub(crate) second_moment: f64,
    /// Mean time of an estimate, because the time may depend on the draw.
    pub(crate) seconds: f64,
    /// Time times second moment, divided by the same product for exact gradients that store every state.
    pub(crate) relative: Option<f64>,
}

/// A point of a run before its end, with the cost of the estimates that led to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) iteration: usize,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// Outer loss according to the estimate at this point. For a problem that draws tasks, it is that of the drawn
    /// tasks.
    pub(crate) loss: f64,
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) metrics: Metrics,
}
