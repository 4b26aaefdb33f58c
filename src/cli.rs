//! The command line, as a function over a catalogue of problems.
//!
//! Exit status: 0 if all went well, 1 if a run failed, 2 if the command was wrong. Errors are one line on stderr.

mod args;
mod arrays;
mod atomic;
mod estimators;
mod gradient;
mod list;
mod names;
mod point;
mod run;
mod table;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::problems::Entry;
use args::{Args, Command};

/// Why a command ended without its result.
#[derive(Debug)]
enum Failure {
    /// The command was wrong: exit status 2.
    Usage(String),
    /// The run failed: exit status 1.
    Run(String),
}

impl Failure {
    fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    fn run(why: impl fmt::Display) -> Self {
        Self::Run(why.to_string())
    }
}

/// Runs the command line of this process on `catalogue`.
pub fn main(catalogue: &[Entry]) -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let mut out = std::io::stdout().lock();
    let result = match args.command {
        Command::Problems => list::problems(catalogue, &mut out),
        Command::Estimators => list::estimators(&mut out),
        Command::Gradient(options) => gradient::run(catalogue, &options, &mut out),
        Command::Run(options) => run::run(catalogue, &options, &mut out),
    };
    let (status, why) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => (2, why),
        Err(Failure::Run(why)) => (1, why),
    };
    eprintln!("error: {why}");
    ExitCode::from(status)
}

/// Help and version as they are; every other answer of the parser as one line.
fn refuse(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nothing is left to do where even the help cannot be written.
        let _ = error.print();
        return ExitCode::from(if asked { 0 } else { 2 });
    }
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or(&text);
    let line: Vec<&str> = paragraph.lines().map(str::trim).collect();
    eprintln!("{} (see --help)", line.join(" "));
    ExitCode::from(2)
}

/// A line on stdout. A reader that went away ends the command quietly with status 1.
fn say(out: &mut dyn Write, line: impl fmt::Display) -> Result<(), Failure> {
    writeln!(out, "{line}").map_err(|e| Failure::run(format!("standard output: {e}")))
}
