//! Failures of commands, and functions that write to stdout.

use std::fmt;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::Value;

use hypertape_solver::Error;

/// The reason why a command ended without its result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command was wrong: exit status 2.
    Usage(String),
    /// The run failed: exit status 1.
    Run(String),
    /// The run failed by an error of the solver: exit status 1.
    Solver(Error),
    /// The run was interrupted by Ctrl-C, and its progress was saved: exit status 130.
    Interrupted(String),
    /// Nobody reads the output: exit status 1 without a message.
    Unread,
}

impl Failure {
    pub(crate) fn usage(why: impl fmt::Display) -> Self {
        Self::Usage(why.to_string())
    }

    pub(crate) fn run(why: impl fmt::Display) -> Self {
        Self::Run(why.to_string())
    }

    /// The failure of what `option` asks for.
    pub(crate) fn of<E: fmt::Display>(option: &'static str) -> impl Fn(E) -> Self {
        move |why| Self::run(format!("{option}: {why}"))
    }

    /// The failure of a command for each of the reasons in `whys`, if there are any.
    pub(crate) fn of_all(whys: &[String]) -> Result<(), Self> {
        if whys.is_empty() { Ok(()) } else { Err(Self::run(whys.join("; "))) }
    }

    /// Returns the text only, to be reported in another way.
    pub(crate) fn why(self) -> String {
        match self {
            Self::Usage(why) | Self::Run(why) | Self::Interrupted(why) => why,
            Self::Solver(error) => error.to_string(),
            Self::Unread => "nobody reads the output".to_owned(),
        }
    }
}

/// The output of a command.
pub(crate) type Out<'o> = &'o mut dyn Write;

/// Writes a line to stdout. If the reader is gone, the command ends quietly with status 1.
pub(crate) fn say(out: Out, line: impl fmt::Display) -> Result<(), Failure> {
    writeln!(out, "{line}").map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::run(format!("standard output: {e}")),
    })
}

/// A row of JSON: its fields by name, in this order.
pub(crate) struct Fields<const N: usize>(pub(crate) [(&'static str, Value); N]);

impl<const N: usize> Serialize for Fields<N> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Formats a row as one line of JSON.
pub(crate) fn json(row: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(row).map_err(Failure::run)
}

/// Writes the rows to stdout, each as a JSON object.
pub(crate) fn say_json<'r, R: Serialize + 'r>(
    out: Out,
    rows: impl IntoIterator<Item = &'r R>,
) -> Result<(), Failure> {
    rows.into_iter().try_for_each(|row| say(out, json(row)?))
}
