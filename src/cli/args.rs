//! What was typed, checked, nothing more.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args as Options, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use super::help::{self, DATA, INNER, MEMORY, OUTER, OUTPUT};
use super::values::{
    Lr, at_least_one, bytes, count, delimiter, draws, lr, not_negative, positive, seed, shard,
    split,
};
use crate::{Error, Schedule};

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
    /// List the problems, with their default settings, or tell the settings of one
    Problems(Problems),
    /// List the estimators, with their settings and costs, or explain one
    #[command(after_help = help::ESTIMATORS)]
    Estimators(Explained),
    /// List the algorithms that move w and x together, with their settings and costs, or explain one
    #[command(after_help = help::ALGORITHMS)]
    Algorithms(Explained),
    /// List the inner update rules, or explain one
    Rules(Explained),
    /// List the schedules: what exact gradients store of the inner run; or explain one
    Schedules(Explained),
    /// List the outer optimisers, or explain one
    Optimisers(Explained),
    /// List the couplings: how one inner loop goes on from the last; or explain one
    Couplings(Explained),
    /// Compute one hypergradient per estimator, side by side
    #[command(after_help = help::GRADIENT)]
    Gradient(Gradient),
    /// Check a problem's own derivatives against differences and against each other
    #[command(after_help = help::CHECK)]
    Check(Common),
    /// Measure error, variance and time of estimators over draws, beside exact gradients
    #[command(after_help = help::CERTIFY)]
    Certify(Certify),
    /// Show the schedules and unbiased estimators that fit into --memory, the best first, and which to take
    #[command(after_help = help::PLAN)]
    Plan(Plan),
    /// Run a whole bilevel optimisation and judge its result
    #[command(after_help = help::RUN)]
    Run(Run),
    /// Run a grid of settings from a file, recorded as it goes and resumed where it stopped
    #[command(after_help = help::STUDY)]
    Study(Study),
    /// Compare two studies cell by cell: ratios of times, bytes and losses; status 1 if the second is worse
    #[command(after_help = help::COMPARE)]
    Compare(Compare),
    /// Print what completes the words of this command line in a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Name of the shell
        shell: Shell,
    },
}

/// Of a list of choices.
#[derive(Clone, Debug, Options)]
pub(crate) struct Explained {
    /// Name of the one whose settings are explained
    pub(crate) name: Option<String>,
}

#[derive(Debug, Options)]
pub(crate) struct Problems {
    /// Name of the problem whose settings are told [default: all problems in a line each]
    pub(crate) problem: Option<String>,
}

/// Options that every command on a problem takes; those of files and of the form of the output are not settings of a study.
#[derive(Clone, Debug, Options, Serialize, Deserialize)]
pub(crate) struct Common {
    /// Name of the problem, see `hypertape problems`, with settings as NAME:setting=value,..., see `hypertape problems NAME`
    pub(crate) problem: String,
    /// Inner steps [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "R", value_parser = count, allow_hyphen_values = true)]
    pub(crate) steps: Option<usize>,
    /// Inner step size, or auto: the inverse of a bound of the curvature where the loop starts, chosen afresh for each estimate and
    /// held fixed in derivatives [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "A", value_parser = lr, allow_hyphen_values = true)]
    pub(crate) lr: Option<Lr>,
    /// Inner update rule, such as adam:b1=0.8, see `hypertape rules` [default: the problem's]
    #[arg(help_heading = INNER, long, value_name = "RULE", allow_hyphen_values = true)]
    pub(crate) rule: Option<String>,
    /// End the inner loop with the first step of length |w' - w| <= TOL lr, after R steps at the latest
    #[arg(help_heading = INNER, long, value_name = "TOL", value_parser = positive, allow_hyphen_values = true)]
    pub(crate) tolerance: Option<f64>,
    /// What exact gradients store of the inner run, such as binomial:c=10, see `hypertape schedules`, or auto: the fastest
    /// that fits into --memory. Stored states give the same bits in every schedule, kept tapes others in the last places; auto
    /// goes by a clock, so that two runs of it may differ there
    #[arg(help_heading = MEMORY, long, value_name = "S", default_value = "store-all", allow_hyphen_values = true)]
    pub(crate) schedule: Asked,
    /// Bytes that an estimate may take, such as 64MiB; predicted before it runs, and never exceeded
    #[arg(help_heading = MEMORY, long, value_name = "BYTES", value_parser = bytes, allow_hyphen_values = true)]
    pub(crate) memory: Option<u64>,
    /// Seed of all random choices of the run
    #[arg(help_heading = OUTER, long, value_name = "S", default_value_t = 0, value_parser = seed, allow_hyphen_values = true)]
    pub(crate) seed: u64,
    /// Seed of the problem's data [default: the problem's]
    #[arg(help_heading = DATA, long, value_name = "S", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) data_seed: Option<u64>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Precision
    #[arg(help_heading = MEMORY, long, value_enum, default_value_t = Dtype::F64)]
    pub(crate) dtype: Dtype,
    /// Threads that share the tasks of a meta-batch or, of one task, the blocks of rows; results do not depend on it
    #[arg(help_heading = MEMORY, long, value_name = "N", default_value_t = 1, value_parser = at_least_one, allow_hyphen_values = true)]
    pub(crate) threads: usize,
    /// Outer point: .npy (all arrays flat, in order) or .npz (by name) [default: the problem's start]
    #[arg(help_heading = OUTER, long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) at: Option<PathBuf>,
    /// Inner start: a file as for --at; an error where the problem's start depends on the outer point
    #[arg(help_heading = INNER, long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) init: Option<PathBuf>,
    /// Folder to write results to (.npz and .json)
    #[arg(help_heading = OUTPUT, long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) save: Option<PathBuf>,
    /// Print one JSON object per line instead of a table
    #[arg(help_heading = OUTPUT, long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

/// Samples in place of the problem's own, and what is chosen about the problem on them.
#[derive(Clone, Debug, Default, PartialEq, Options, Serialize, Deserialize)]
pub(crate) struct Data {
    /// Training samples in place of the problem's: a file of svmlight, CSV or .npz (X and y), or FEATURES,LABELS of .npy or IDX;
    /// packed by gzip or not
    #[arg(help_heading = DATA, long, value_name = "FILE")]
    pub(crate) train: Option<String>,
    /// Validation samples, likewise [default: a share of --train]
    #[arg(help_heading = DATA, long, value_name = "FILE", requires = "train")]
    pub(crate) valid: Option<String>,
    /// Test samples, likewise [default: a share of --train]
    #[arg(help_heading = DATA, long, value_name = "FILE", requires = "train")]
    pub(crate) test: Option<String>,
    /// Column of the labels in .csv, by name or number, from 1 [default: the last]
    #[arg(help_heading = DATA, long, value_name = "COLUMN", requires = "train")]
    pub(crate) label: Option<String>,
    /// What separates the columns of .csv: a character, tab or space [default: found out]
    #[arg(help_heading = DATA, long, value_name = "D", requires = "train", value_parser = delimiter)]
    #[serde(default)]
    pub(crate) delimiter: Option<char>,
    /// Indices of svmlight files count from 0 [default: where one is 0]
    #[arg(help_heading = DATA, long, requires = "train", action = ArgAction::Set, value_name = "BOOL")]
    #[arg(default_value_t = false, default_missing_value = "true", hide_default_value = true)]
    #[arg(num_args = 0..=1, require_equals = true, hide_possible_values = true)]
    #[serde(default)]
    pub(crate) zero_based: bool,
    /// What the names of files are relative to: the folder of a study
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Numbers of training, validation and test samples N,M,K, drawn by --data-seed [default: all, parts without a file
    /// sharing --train equally]
    #[arg(help_heading = DATA, long, value_name = "N,M,K", requires = "train", value_parser = split)]
    pub(crate) split: Option<[usize; 3]>,
    /// Share of training labels that are made wrong, where they are cleaned [default: 0.4]
    #[arg(help_heading = DATA, long, value_name = "SHARE", value_parser = not_negative, allow_hyphen_values = true)]
    pub(crate) corruption: Option<f64>,
    /// Strength of the penalty, or the one to start from where it is chosen [default: the problem's]
    #[arg(help_heading = DATA, long, value_name = "P", value_parser = not_negative, allow_hyphen_values = true)]
    pub(crate) penalty: Option<f64>,
    /// Which penalties are chosen: one, class (one a class) or feature [default: one a feature]
    #[arg(help_heading = DATA, long, value_name = "WHICH")]
    pub(crate) penalties: Option<String>,
    /// Samples a mini-batch, for inner and outer loss [default: all]
    #[arg(help_heading = DATA, long, value_name = "B", value_parser = at_least_one, allow_hyphen_values = true)]
    pub(crate) batch: Option<usize>,
}

impl Data {
    /// Those options that are settings of the problem, by name and value.
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

/// A schedule, or the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum Asked {
    Auto,
    Given(Schedule),
}

impl FromStr for Asked {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Given) }
    }
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
        text.parse()
    }
}

#[derive(Debug, Options)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator with a schedule, see `hypertape estimators`
    #[arg(help_heading = OUTER, long, value_name = "E", default_value = "exact")]
    pub(crate) estimator: String,
    /// Draws of a pilot that weighs unbiased estimators too, by time and second moment; 0 for none
    #[arg(help_heading = OUTER, long, value_name = "N", default_value_t = 4, value_parser = draws, allow_hyphen_values = true)]
    pub(crate) draws: u64,
}

#[derive(Debug, Options)]
pub(crate) struct Certify {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator, see `hypertape estimators`; may be repeated
    #[arg(help_heading = OUTER, long = "estimator", value_name = "E", default_value = "ufom")]
    pub(crate) estimators: Vec<String>,
    /// Draws of tasks, mini-batches and the estimators' own chance, each of an outer iteration
    #[arg(help_heading = OUTER, long, value_name = "N", default_value_t = 100, value_parser = draws, allow_hyphen_values = true)]
    pub(crate) draws: u64,
}

#[derive(Debug, Options)]
pub(crate) struct Gradient {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Estimator, see `hypertape estimators`; may be repeated
    #[arg(help_heading = OUTER, long = "estimator", value_name = "E", default_value = "exact")]
    pub(crate) estimators: Vec<String>,
    /// Tell where time and bytes of each estimate went, by what was evaluated and by array operation
    #[arg(help_heading = OUTPUT, long)]
    pub(crate) breakdown: bool,
    /// Timed repetitions, after one that is not timed
    #[arg(help_heading = OUTPUT, long, value_name = "N", default_value_t = 1, value_parser = at_least_one, allow_hyphen_values = true)]
    pub(crate) repeat: usize,
}

#[derive(Clone, Debug, Options, Serialize, Deserialize)]
pub(crate) struct Run {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) common: Common,
    /// Estimator, see `hypertape estimators` [default: exact]
    #[arg(help_heading = OUTER, long, value_name = "E")]
    pub(crate) estimator: Option<String>,
    /// Algorithm that moves w and x together instead, such as soba:step=0.1,ratio=10, see `hypertape algorithms`; it brings sgd for
    /// x, and the inner loop is that of the final judgement alone
    #[arg(help_heading = OUTER, long, value_name = "A", conflicts_with_all = ["estimator", "coupling"])]
    #[serde(default)]
    pub(crate) algorithm: Option<String>,
    /// How one inner loop goes on from the last, see `hypertape couplings`
    #[arg(help_heading = OUTER, long, value_name = "C", default_value = "cold")]
    pub(crate) coupling: String,
    /// Outer optimiser, such as sgd or adam:b1=0.8, see `hypertape optimisers` [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "O", allow_hyphen_values = true)]
    pub(crate) outer: Option<String>,
    /// Outer step size [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "A", value_parser = positive, allow_hyphen_values = true)]
    pub(crate) outer_lr: Option<f64>,
    /// Power by which the outer step size of sgd decays, lr / k^P [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "P", value_parser = not_negative, allow_hyphen_values = true)]
    pub(crate) outer_power: Option<f64>,
    /// Momentum of the outer optimiser of that name [default: 0.9]
    #[arg(help_heading = OUTER, long, value_name = "M", value_parser = not_negative, allow_hyphen_values = true)]
    pub(crate) outer_momentum: Option<f64>,
    /// End with a hypergradient of norm TOL or less
    #[arg(help_heading = OUTER, long, value_name = "TOL", value_parser = positive, allow_hyphen_values = true)]
    #[serde(rename = "gradient_norm_limit")]
    pub(crate) gradient_norm: Option<f64>,
    /// End when so many inner gradients and Hessian-vector products are spent
    #[arg(help_heading = OUTER, long, value_name = "CALLS", value_parser = seed, allow_hyphen_values = true)]
    pub(crate) oracle_calls: Option<u64>,
    /// End after so many seconds
    #[arg(help_heading = OUTER, long, value_name = "SECONDS", value_parser = positive, allow_hyphen_values = true)]
    pub(crate) time: Option<f64>,
    /// Outer iterations from one record, or checkpoint of a study, to the next [default: 1, with --algorithm 1 in 1000]
    #[arg(help_heading = OUTPUT, long, value_name = "K", value_parser = at_least_one, allow_hyphen_values = true)]
    pub(crate) record_every: Option<usize>,
    /// Go on from the state that --save left in this folder (and save there), or from this file; Ctrl-C saves it too
    #[arg(help_heading = OUTPUT, long, value_name = "DIR")]
    #[serde(skip)]
    pub(crate) resume: Option<PathBuf>,
    /// Iterations from one saved state to the next
    #[arg(help_heading = OUTPUT, long, value_name = "K", default_value_t = 100, value_parser = at_least_one, allow_hyphen_values = true)]
    #[serde(skip)]
    pub(crate) save_every: usize,
    /// Outer iterations [default: the problem's]
    #[arg(help_heading = OUTER, long, value_name = "K", value_parser = count, allow_hyphen_values = true)]
    pub(crate) iterations: Option<usize>,
    /// Whole runs, with seeds and data seeds S, S+1, ...: means and standard deviations
    #[arg(help_heading = OUTPUT, long, value_name = "N", default_value_t = 1, value_parser = at_least_one, allow_hyphen_values = true)]
    #[serde(skip)]
    pub(crate) repeat: usize,
}

#[derive(Debug, Options)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Study {
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
    /// The grid, in TOML: `[[grid]]` tables of settings, each with one value or a list [default: a small study on digits]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Folder of records and report; cells that are recorded there are not run again
    /// [default: hypertape-study/ and the name of FILE]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Cells that run at a time; timed repetitions always run alone
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = at_least_one, allow_hyphen_values = true)]
    pub(crate) jobs: usize,
    /// End a cell's process after so many seconds, which is then its result
    #[arg(long, value_name = "SECONDS", value_parser = positive, allow_hyphen_values = true)]
    pub(crate) cell_time: Option<f64>,
    /// End a cell's process that holds more bytes than this (on Linux), which is then its result
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_hyphen_values = true)]
    pub(crate) cell_memory: Option<u64>,
    /// Run only every N-th cell, from the I-th on; `study merge` joins the folders
    #[arg(long, value_name = "I/N", value_parser = shard, allow_hyphen_values = true)]
    pub(crate) shard: Option<(usize, usize)>,
    /// Tell the number of cells and, after short measurements, the time that they may take; run none
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Join the records of shards, and name what is missing, double or different
    Merge {
        /// Folders of one study
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
        /// Folder of the joined records and their report
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Write the report of recorded cells again
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
    /// Ratio of the median times from which a row counts as slower, or its inverse as faster, where a test of ranks agrees: of
    /// two equal programs 1 of 100 comparisons has such a row at most. Fewer than 6 times per side are not compared
    #[arg(long, value_name = "RATIO", default_value_t = 1.05, value_parser = positive, allow_hyphen_values = true)]
    pub(crate) slower: f64,
    /// Write the comparison as a page, with a figure of the ratios and their intervals
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    F64,
    F32,
}
