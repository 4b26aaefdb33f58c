//! How a command ends without its result, and what writes to stdout.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

use crate::Error;

/// Why a command ended without its result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command was wrong: exit status 2.
    Usage(String),
    /// The run failed: exit status 1.
    Run(String),
    /// The same, by an error of the solver.
    Solver(Error),
    /// Ctrl-C, after what was done is saved: exit status 130.
    Interrupted(String),
    /// Nobody reads the output: exit status 1 without a word.
    Unread,
}

impl Failure {
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    pub(crate) fn run(why: impl fmt::Display) -> Self {
        Self::Run(why.to_string())
    }

    /// That what `option` asks for failed.
    pub(crate) fn of<E: fmt::Display>(option: &'static str) -> impl Fn(E) -> Self {
        move |why| Self::run(format!("{option}: {why}"))
    }

    /// Its text alone, for a place that tells it in another way.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Usage(why) | Self::Run(why) | Self::Interrupted(why) => why,
            Self::Solver(error) => error.to_string(),
            Self::Unread => "nobody reads the output".to_owned(),
        }
    }
}

/// What a command tells goes there.
pub(crate) type Out<'o> = &'o mut dyn Write;

/// A line on stdout. A reader that went away ends the command quietly with status 1.
pub(crate) fn say(out: Out, line: impl fmt::Display) -> Result<(), Failure> {
    writeln!(out, "{line}").map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::run(format!("standard output: {e}")),
    })
}

/// As JSON, in a line.
pub(crate) fn json(row: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(row).map_err(Failure::run)
}

/// The rows on stdout, each as an object of JSON.
pub(crate) fn say_json<'r, R: Serialize + 'r>(
    out: Out,
    rows: impl IntoIterator<Item = &'r R>,
) -> Result<(), Failure> {
    rows.into_iter().try_for_each(|row| say(out, json(row)?))
}
