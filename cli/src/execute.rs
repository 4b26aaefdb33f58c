//! The command line, as a function over a catalogue of problems.
//!
//! Exit status: 0 if all went well, 1 if a run failed, 2 if the command was wrong, 130 if it was interrupted. An error
//! is one line on stderr.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::app::App;
use crate::args::{Args, Command, in_precision};
use crate::failure::{self, Failure};
use crate::{certify, check, gradient, list, plan, ranks, run, study};
use hypertape_autodiff::Simd;
use hypertape_problems::Entry;
use hypertape_solver::{Ranks, Schedule};

/// Runs the command line of this process on `catalogue`.
pub fn main(catalogue: &[Entry]) -> ExitCode {
    App::new(catalogue).main()
}

impl App<'_> {
    /// Runs the command line of this process and returns its exit status.
    pub fn main(&self) -> ExitCode {
        ExitCode::from(self.main_with(std::env::args_os()))
    }

    /// Runs the command line `arguments`, the first of which is the program's name, and returns the exit status.
    pub fn main_with(&self, arguments: impl IntoIterator<Item = OsString>) -> u8 {
        let args = match Args::try_parse_from(arguments) {
            Ok(args) => args,
            Err(error) => return refuse(&error),
        };
        #[cfg(feature = "mpi")]
        let _until_the_end = ranks::processes::join();
        let checked = Simd::from_environment().map_err(Failure::usage);
        let (status, why) = match checked.and_then(|_| execute(args.command, self)) {
            Ok(()) => return 0,
            Err(Failure::Usage(why)) => (2, Some(why)),
            Err(Failure::Unread) => (1, None),
            Err(Failure::Interrupted(why)) => (130, Some(why)),
            Err(failure) => (1, Some(failure.why())),
        };
        if let Some(why) = why {
            complain(&why);
        }
        #[cfg(feature = "mpi")]
        ranks::processes::end(status);
        status
    }
}

fn execute(command: Command, app: &App) -> Result<(), Failure> {
    if ranks::ranks().is_some() && !matches!(command, Command::Gradient(_) | Command::Run(_)) {
        return Err(Failure::usage("only gradient and run can be shared by mpirun"));
    }
    let (mut all, mut none) = (io::stdout().lock(), io::sink());
    let mut out: &mut dyn Write = if ranks::first() { &mut all } else { &mut none };
    // Names are the same in both precisions.
    let known = || app.registry::<f64>();
    match command {
        Command::Problems(options) => list::problems(app.catalogue, &options, &mut out),
        Command::Estimators(one) => list::choices(&known().estimators, &one, &mut out),
        Command::Rules(one) => list::choices(&known().rules, &one, &mut out),
        Command::Schedules(one) => list::choices(&Schedule::spellings(), &one, &mut out),
        Command::Optimisers(one) => list::choices(&known().outers, &one, &mut out),
        Command::Algorithms(one) => list::choices(&known().algorithms, &one, &mut out),
        Command::Couplings(one) => list::choices(&known().couplings, &one, &mut out),
        Command::Gradient(options) => {
            in_precision!(options.common.dtype, gradient::run(app, &options, &mut out))
        }
        Command::Check(options) => {
            in_precision!(options.dtype, check::run(app, &options, &mut out))
        }
        Command::Certify(options) => {
            in_precision!(options.common.dtype, certify::run(app, &options, &mut out))
        }
        Command::Plan(options) => {
            in_precision!(options.common.dtype, plan::run(app, &options, &mut out))
        }
        Command::Run(options) => {
            in_precision!(options.common.dtype, run::run(app, &options, &mut out))
        }
        Command::Study(options) => study::run(app, &options, &mut out),
        Command::Compare(options) => study::compare(app, &options, &mut out),
        Command::Completions { shell } => {
            let (mut command, mut text) = (Args::command(), Vec::new());
            clap_complete::generate(shell, &mut command, "hypertape", &mut text);
            let text = String::from_utf8_lossy(&text);
            failure::say(out, text.trim_end())
        }
    }
}

/// Prints an error as one line on stderr, with control characters escaped and the system's error numbers removed.
fn complain(why: &str) {
    let mut parts = why.split(" (os error ");
    let mut told = parts.next().unwrap_or_default().to_owned();
    told.extend(parts.map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)));
    let rank = |ranks: &Arc<dyn Ranks>| format!("error: rank {}: ", ranks.rank());
    let mut line = ranks::ranks().map_or_else(|| "error: ".to_owned(), rank);
    for c in told.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    // Nothing can be done if even the error cannot be written.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints help and version as they are, and every other message of the parser as one line.
fn refuse(error: &clap::Error) -> u8 {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let printed = error.print().and_then(|()| io::stdout().flush());
        let unwritten = printed.err().filter(|e| e.kind() != io::ErrorKind::BrokenPipe);
        if let Some(why) = &unwritten {
            complain(&format!("standard output: {why}"));
        }
        return if asked { u8::from(unwritten.is_some()) } else { 2 };
    }
    let text = error.to_string();
    // The text has the error, then tips, then the usage and a pointer to --help.
    let told =
        text.split("\n\n").take_while(|p| !p.starts_with("Usage:") && !p.starts_with("For more"));
    let told: Vec<String> =
        told.map(|p| p.lines().map(str::trim).collect::<Vec<_>>().join(" ")).collect();
    let line =
        told.join("; ").replace("the following required arguments were not provided:", "missing:");
    complain(&format!("{} (see --help)", line.strip_prefix("error: ").unwrap_or(&line)));
    2
}
