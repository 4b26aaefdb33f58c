//! The command line arguments and their checks.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args as Options, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::help::{self, DATA, INNER, MEMORY, OUTER, OUTPUT};
use crate::values::{Lr, bytes, delimiter, draws, lr, seed, shard, split, within};
use hypertape_solver::{Error, Range, Schedule};

/// Hypergradients through unrolled inner loops, at the memory you choose.
#[derive(Debug, Parser)]
#[command(name = "hypertape", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = help::FIRST)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub(crate) enum Command {
    /// List the problems, or explain the settings of one
    Problems(Problems),
    /// List the estimators, or explain the settings and cost of one
    #[command(after_help = help::ESTIMATORS)]
    Estimators(Explained),
    /// List the single-loop algorithms, which update w and x together, or explain one
    #[command(after_help = help::ALGORITHMS)]
    Algorithms(Explained),
    /// List the update rules of the inner loop, or explain one
    Rules(Explained),
    /// List the schedules, which say what exact gradients store of the inner loop, or explain one
    Schedules(Explained),
    /// List the outer optimisers, or explain one
    Optimisers(Explained),
    /// List the couplings, which say where each inner loop starts, or explain one
    Couplings(Explained),
    /// Compute one hypergradient per estimator, side by side
    #[command(after_help = help::GRADIENT)]
    Gradient(Gradient),
    /// Check the derivatives of a problem against finite differences and against each other
    #[command(after_help = help::CHECK)]
    Check(Common),
    /// Measure bias, variance and time of estimators, compared with exact gradients
    #[command(after_help = help::CERTIFY)]
    Certify(Certify),
    /// Show which schedules and unbiased estimators fit into --memory, the best first, and recommend one
    #[command(after_help = help::PLAN)]
    Plan(Plan),
    /// Run a whole bilevel optimisation and evaluate its result
    #[command(after_help = help::RUN)]
    Run(Run),
    /// Run a grid of settings from a file, and write tables and figures; go on where an earlier call stopped
    #[command(after_help = help::STUDY)]
    Study(Study),
    /// Compare the times, bytes and results of two studies; the exit status is 1 if the second is worse
    #[command(after_help = help::COMPARE)]
    Compare(Compare),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Name of the shell
        shell: Shell,
    },
}

/// A list, or one of its entries.
#[derive(Clone, Debug, Options)]
pub(crate) struct Explained {
    /// Name of the entry to explain [default: list all]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Options)]
pub(crate) struct Problems {
    /// Name of the problem to explain [default: list all]
    pub(crate) problem: Option<String>,
}

/// Options that every command on a problem takes; those of files and of the form of the output are not settings of a study.
#[derive(Clone, Debug, Options, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Name of a problem (see `hypertape problems`), perhaps with settings as NAME:setting=value,... (see `hypertape problems NAME`),
    /// or an .npz file that holds one
    pub(crate) problem: String,
    /// Number of inner steps [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "R", value_parser = within::<usize>(Range::COUNT), allow_hyphen_values = true)]
    pub(crate) steps: Option<usize>,
    /// Inner step size, or auto: the inverse of a bound on the curvature at the start of the loop, computed anew for each estimate and
    /// treated as a constant in derivatives [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "A", value_parser = lr, allow_hyphen_values = true)]
    pub(crate) lr: Option<Lr>,
    /// Update rule of the inner loop, such as adam:b1=0.8 (see `hypertape rules`) [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "RULE", allow_hyphen_values = true)]
    pub(crate) rule: Option<String>,
    /// End the inner loop at the first step with |w' - w| <= TOL lr, or after --steps
    #[arg(help_heading = INNER, long, value_name = "TOL", value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    pub(crate) tolerance: Option<f64>,
    /// What exact gradients store of the inner loop, such as binomial:c=10 (see `hypertape schedules`), or auto: the fastest that
    /// fits into --memory. Schedules of states all give the same bits. Schedules that keep tapes may differ in the last digits, and
    /// so may two runs with auto, which goes by measured times [default: store-all, or as many checkpoints as fit into --memory]
    #[arg(help_heading = MEMORY, long, value_name = "S", value_parser = |text: &str| Asked::try_from(text.to_owned()), allow_hyphen_values = true)]
    pub(crate) schedule: Option<Asked>,
    /// Memory that an estimate may take, such as 64MiB; checked before it runs, and never exceeded
    #[arg(help_heading = MEMORY, long, value_name = "BYTES", value_parser = bytes, allow_hyphen_values = true)]
    pub(crate) memory: Option<u64>,
    /// Seed of all random choices of the run
    #[arg(help_heading = OUTER, long, value_name = "S", default_value_t = 0, value_parser = seed, allow_hyphen_values = true)]
    pub(crate) seed: u64,
    /// Seed of the problem's data, or of the parts that are drawn from the files of samples [default: the problem's]
    #[arg(help_heading = DATA, long, value_name = "S", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) data_seed: Option<u64>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Precision
    #[arg(help_heading = MEMORY, long, value_enum, default_value_t = Dtype::F64)]
    pub(crate) dtype: Dtype,
    /// Number of parts into which a sum over tasks or rows is split; at most as many threads or processes can share it, and the last
    /// digits of results depend on it [default: 8]
    #[arg(help_heading = MEMORY, long, value_name = "N", value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    #[serde(default)]
    pub(crate) lanes: Option<usize>,
    /// Number of threads that share the tasks of a meta-batch, or the rows of a single task; results do not depend on it
    #[arg(help_heading = MEMORY, long, value_name = "N", default_value_t = 1, value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    pub(crate) threads: usize,
    /// Outer point, from a .npy file (all arrays in one vector) or a .npz file (arrays by name) [default: the problem's start]
    #[arg(help_heading = OUTER, long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) at: Option<PathBuf>,
    /// Start of the inner loop, from a file as for --at; refused if the problem's own start depends on the outer point
    #[arg(help_heading = INNER, long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) init: Option<PathBuf>,
    /// Write results to this folder, as .npz and .json
    #[arg(help_heading = OUTPUT, long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) save: Option<PathBuf>,
    /// Print JSON, one object per line, instead of a table
    #[arg(help_heading = OUTPUT, long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

impl Common {
    /// Calls `write` with the folder of `--save`, if one is given.
    pub(crate) fn saved(
        &self,
        write: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> Result<(), Failure> {
        self.save.as_deref().map_or(Ok(()), write).map_err(Failure::of("--save"))
    }
}

/// Samples in place of the problem's own, and what is chosen about the problem on them.
#[derive(Clone, Debug, Default, PartialEq, Options, Serialize, Deserialize)]
pub(crate) struct Data {
    /// Training samples to use instead of the problem's: an svmlight, CSV or .npz file (arrays X and y), or two .npy or IDX files
    /// as FEATURES,LABELS; any of them may be compressed by gzip
    #[arg(help_heading = DATA, long, value_name = "FILE")]
    pub(crate) train: Option<String>,
    /// Validation samples, likewise [default: a share of --train]
    #[arg(help_heading = DATA, long, value_name = "FILE", requires = "train")]
    pub(crate) valid: Option<String>,
    /// Test samples, likewise [default: a share of --train]
    #[arg(help_heading = DATA, long, value_name = "FILE", requires = "train")]
    pub(crate) test: Option<String>,
    /// Column of the labels in .csv, by name or by number from 1 [default: the last]
    #[arg(help_heading = DATA, long, value_name = "COLUMN", requires = "train")]
    pub(crate) label: Option<String>,
    /// Separator of the columns of .csv: a character, tab or space [default: detected]
    #[arg(help_heading = DATA, long, value_name = "D", requires = "train", value_parser = delimiter)]
    #[serde(default)]
    pub(crate) delimiter: Option<char>,
    /// Indices of svmlight files count from 0 [default: if an index is 0]
    #[arg(help_heading = DATA, long, requires = "train", action = ArgAction::Set, value_name = "BOOL")]
    #[arg(default_value_t = false, default_missing_value = "true", hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, hide_possible_values = true)]
    #[serde(default)]
    pub(crate) zero_based: bool,
    /// Shift and scale every column of dense samples to mean 0 and standard deviation 1, as measured on the training samples,
    /// and constant columns to size 1
    #[arg(help_heading = DATA, long, requires = "train", action = ArgAction::Set, value_name = "BOOL")]
    #[arg(default_value_t = false, default_missing_value = "true", hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, hide_possible_values = true)]
    #[serde(default)]
    pub(crate) standardise: bool,
    /// What the names of files are relative to: the folder of a study
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Numbers of training, validation and test samples, drawn by --data-seed [default: all samples; parts without a file of their
    /// own take equal shares of --train]
    #[arg(help_heading = DATA, long, value_name = "N,M,K", requires = "train", value_parser = split)]
    pub(crate) split: Option<[usize; 3]>,
    /// Share of the training labels to corrupt, for problems that clean labels [default: 0.4]
    #[arg(help_heading = DATA, long, value_name = "SHARE", value_parser = within::<f64>(Range::NOT_NEGATIVE), allow_hyphen_values = true)]
    pub(crate) corruption: Option<f64>,
    /// Strength of the penalty, at the start if it is an outer variable [default: the problem's]
    #[arg(help_heading = DATA, long, value_name = "P", value_parser = within::<f64>(Range::NOT_NEGATIVE), allow_hyphen_values = true)]
    pub(crate) penalty: Option<f64>,
    /// What has a penalty of its own: one (for all), class or feature [default: the problem's]
    #[arg(help_heading = DATA, long, value_name = "WHICH")]
    pub(crate) penalties: Option<String>,
    /// Samples per mini-batch, of inner and outer loss [default: all]
    #[arg(help_heading = DATA, long, value_name = "B", value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    pub(crate) batch: Option<usize>,
}

impl Data {
    /// Returns the options that are settings of the problem, by name and value.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("corruption", self.corruption.map(|share| share.to_string())),
            ("penalty", self.penalty.map(|penalty| penalty.to_string())),
            ("penalties", self.penalties.clone()),
            ("batch", self.batch.map(|batch| batch.to_string())),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// A schedule, or `auto` for the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Asked {
    Auto,
    Given(Schedule),
}

impl From<Asked> for String {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Auto => "auto".to_owned(),
            Asked::Given(schedule) => schedule.to_string(),
        }
    }
}

impl TryFrom<String> for Asked {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Given) }
    }
}

#[derive(Debug, Options)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator that takes a schedule (see `hypertape estimators`)
    #[arg(help_heading = OUTER, long, value_name = "E", default_value = "exact")]
    pub(crate) estimator: String,
    /// Draws of a pilot run that weighs unbiased estimators by time and second moment; 0 to leave them out
    #[arg(help_heading = OUTER, long, value_name = "N", default_value_t = 4, value_parser = draws, allow_hyphen_values = true)]
    pub(crate) draws: u64,
}

#[derive(Debug, Options)]
pub(crate) struct Certify {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator (see `hypertape estimators`); may be repeated
    #[arg(help_heading = OUTER, long = "estimator", value_name = "E", default_value = "ufom")]
    pub(crate) estimators: Vec<String>,
    /// Number of draws of tasks, mini-batches and the estimators' own random choices
    #[arg(help_heading = OUTER, long, value_name = "N", default_value_t = 100, value_parser = draws, allow_hyphen_values = true)]
    pub(crate) draws: u64,
}

#[derive(Debug, Options)]
pub(crate) struct Gradient {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator (see `hypertape estimators`); may be repeated
    #[arg(help_heading = OUTER, long = "estimator", value_name = "E", default_value = "exact")]
    pub(crate) estimators: Vec<String>,
    /// Show where time and bytes of each estimate went, by evaluation and by array operation
    #[arg(help_heading = OUTPUT, long)]
    pub(crate) breakdown: bool,
    /// Number of timed repetitions, after one that is not timed
    #[arg(help_heading = OUTPUT, long, value_name = "N", default_value_t = 1, value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    pub(crate) repeat: usize,
}

#[derive(Clone, Debug, Options, Serialize, Deserialize)]
pub(crate) struct Run {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    /// Estimator (see `hypertape estimators`) [default: exact]
    #[arg(help_heading = OUTER, long, value_name = "E")]
    pub(crate) estimator: Option<String>,
    /// Single-loop algorithm to use in place of an estimator, such as soba:step=0.1,ratio=10 (see `hypertape algorithms`); x is moved
    /// by sgd, and the inner loop is run only to evaluate the result
    #[arg(help_heading = OUTER, long, value_name = "A", conflicts_with_all = ["estimator", "coupling"])]
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    /// Where each inner loop starts (see `hypertape couplings`)
    #[arg(help_heading = OUTER, long, value_name = "C", default_value = "cold")]
    pub(crate) coupling: String,
    /// Outer optimiser, such as sgd or adam:b1=0.8 (see `hypertape optimisers`) [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "O", allow_hyphen_values = true)]
    pub(crate) outer: Option<String>,
    /// Outer step size [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "A", value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    pub(crate) outer_lr: Option<f64>,
    /// Decay of the outer step size of sgd, lr / k^P at iteration k [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "P", value_parser = within::<f64>(Range::NOT_NEGATIVE), allow_hyphen_values = true)]
    pub(crate) outer_power: Option<f64>,
    /// Momentum of the outer optimiser, if that is momentum [default: 0.9]
    #[arg(help_heading = OUTER, long, value_name = "M", value_parser = within::<f64>(Range::NOT_NEGATIVE), allow_hyphen_values = true)]
    pub(crate) outer_momentum: Option<f64>,
    /// Stop when the norm of the hypergradient is at most TOL
    #[arg(help_heading = OUTER, long, value_name = "TOL", value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    #[serde(rename = "gradient_norm_limit")]
    pub(crate) gradient_norm: Option<f64>,
    /// Stop after this many inner gradients and Hessian-vector products, those of earlier sessions included
    #[arg(help_heading = OUTER, long, value_name = "CALLS", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) oracle_calls: Option<u64>,
    /// Stop after this many seconds, earlier sessions of a run that is resumed included
    #[arg(help_heading = OUTER, long, value_name = "SECONDS", value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    pub(crate) time: Option<f64>,
    /// Record one outer iteration in K [default: 1; with --algorithm, a thousandth of --iterations]
    #[arg(help_heading = OUTPUT, long, value_name = "K", value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    pub(crate) record_every: Option<usize>,
    /// Resume the run that --save left in this folder, and keep saving there, or resume from a state file; Ctrl-C saves the state too
    #[arg(help_heading = OUTPUT, long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) resume: Option<PathBuf>,
    /// Number of iterations between saved states [default: 100]
    #[arg(help_heading = OUTPUT, long, value_name = "K", value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    #[serde(skip)]
    pub(crate) save_every: Option<usize>,
    /// Number of outer iterations, those of earlier sessions of a run that is resumed included [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "K", value_parser = within::<usize>(Range::COUNT), allow_hyphen_values = true)]
    pub(crate) iterations: Option<usize>,
    /// Number of runs, with seeds and data seeds S, S+1, ...; prints means and standard deviations
    #[arg(help_heading = OUTPUT, long, value_name = "N", default_value_t = 1, value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    #[serde(skip)]
    pub(crate) repeat: usize,
}

#[derive(Debug, Options)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Study {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    /// The study, in TOML: `[[grid]]` tables of settings, each with one value or a list of them [default: a small study on digits]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Folder for the records and the report; cells that are recorded there are not run again
    /// [default: hypertape-study/NAME for NAME.toml]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Number of cells to run at the same time; timed repetitions always run alone
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = within::<usize>(Range::ONE_OR_MORE), allow_hyphen_values = true)]
    pub(crate) jobs: usize,
    /// Stop a cell after this many seconds, and record that as its result
    #[arg(long, value_name = "SECONDS", value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    pub(crate) cell_time: Option<f64>,
    /// Stop a cell whose process takes more memory than this (on Linux), and record that as its result
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_hyphen_values = true)]
    pub(crate) cell_memory: Option<u64>,
    /// Run only every N-th cell, starting with the I-th; `study merge` joins the folders
    #[arg(long, value_name = "I/N", value_parser = shard, allow_hyphen_values = true)]
    pub(crate) shard: Option<(usize, usize)>,
    /// Run nothing; print the number of cells and an estimate of the time they take
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Join the records of shards, and report cells that are missing, duplicate or different
    Merge {
        /// Folders of one study
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
        /// Folder for the joined records and their report
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write the report of a study again from its records
    Report {
        /// Folder of a study
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Answer the request on stdin: what a study starts for each cell
    #[command(hide = true)]
    Cell,
}

#[derive(Debug, Options)]
pub(crate) struct Compare {
    /// Folder of the study before
    pub(crate) before: PathBuf,
    /// Folder of the study after
    pub(crate) after: PathBuf,
    /// Ratio of median times from which a row counts as slower, and its inverse as faster, if a rank test agrees, by which at most 1 in
    /// 100 comparisons of equal programs has such a row; rows with fewer than 6 times per side are not compared
    #[arg(long, value_name = "RATIO", default_value_t = 1.05, value_parser = within::<f64>(Range::POSITIVE), allow_hyphen_values = true)]
    pub(crate) slower: f64,
    /// Write the comparison as an HTML page, with a figure of the ratios and their intervals
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    #[value(alias = "float64")]
    F64,
    #[value(alias = "float32")]
    F32,
}

/// Calls a function in the requested precision.
macro_rules! in_precision {
    ($dtype:expr, $($function:ident)::+($($argument:expr),*)) => {
        match $dtype {
            $crate::args::Dtype::F64 => $($function)::+::<f64>($($argument),*),
            $crate::args::Dtype::F32 => $($function)::+::<f32>($($argument),*),
        }
    };
}
pub(crate) use in_precision;
