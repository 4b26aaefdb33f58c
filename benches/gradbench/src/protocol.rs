//! The protocol: one message per line of JSON in, one response per line out.
//!
//! The response to a `define` is whether there is a module of that name, to an `evaluate` the output and times or an
//! error, and to every other message its number only. A function is evaluated until it has taken as many runs and
//! seconds as the input asks for. The time is that of the function, from the parsed input to its numbers, without JSON.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A one-line error message.
pub(crate) type Error = Box<dyn std::error::Error>;

#[derive(Deserialize)]
struct Message {
    id: u64,
    kind: String,
    #[serde(default)]
    module: String,
    #[serde(default)]
    function: String,
    #[serde(default)]
    input: Value,
}

/// Returns the response to a message.
///
/// # Errors
///
/// Returns an error if the line is not a message.
pub fn answer(line: &str) -> Result<Value, serde_json::Error> {
    let Message { id, kind, module, function, input } = serde_json::from_str(line)?;
    let eval = crate::MODULES.iter().find(|(name, _)| *name == module);
    Ok(match (kind.as_str(), eval) {
        ("start", _) => json!({ "id": id, "tool": "hypertape" }),
        ("define", Some(_)) => json!({ "id": id, "success": true }),
        ("define", None) => failure(id, &format!("no module {module:?}")),
        ("evaluate", None) => failure(id, &format!("no module {module:?}")),
        ("evaluate", Some((_, evaluate))) => match evaluate(&Call { function, input }) {
            Ok(Outcome { output, timings }) => {
                json!({ "id": id, "success": true, "output": output, "timings": timings })
            }
            Err(error) => failure(id, &format!("{module}: {error}")),
        },
        _ => json!({ "id": id }),
    })
}

fn failure(id: u64, error: &str) -> Value {
    json!({ "id": id, "success": false, "error": error })
}

/// A function of a module, and its input.
pub(crate) struct Call {
    pub(crate) function: String,
    input: Value,
}

/// An output, and the time of each run.
pub(crate) struct Outcome {
    output: Value,
    timings: Vec<Value>,
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    min_runs: usize,
    #[serde(default)]
    min_seconds: f64,
}

impl Call {
    /// The input.
    pub(crate) fn input<I: DeserializeOwned>(&self) -> Result<I, Error> {
        Ok(I::deserialize(&self.input)?)
    }

    /// Like [`evaluate`](Self::evaluate), for functions that cannot fail.
    pub(crate) fn compute<M>(
        &self,
        memory: M,
        mut run: impl FnMut(&mut M),
        show: impl FnOnce(M) -> Value,
    ) -> Result<Outcome, Error> {
        let run = |memory: &mut M| {
            run(memory);
            Ok::<(), Error>(())
        };
        self.evaluate(memory, run, show)
    }

    /// Evaluates as often as the input asks for, and returns what the last run left in `memory` as JSON.
    pub(crate) fn evaluate<M, E: Into<Error>>(
        &self,
        mut memory: M,
        mut run: impl FnMut(&mut M) -> Result<(), E>,
        show: impl FnOnce(M) -> Value,
    ) -> Result<Outcome, Error> {
        // A plain number, as `hello` has it, asks for one run.
        let once = Runs { min_runs: 1, min_seconds: 0.0 };
        let runs = if self.input.is_object() { self.input::<Runs>()? } else { once };
        let (mut timings, mut all) = (Vec::new(), Duration::ZERO);
        loop {
            let start = Instant::now();
            run(&mut memory).map_err(Into::into)?;
            let time = start.elapsed();
            all += time;
            timings.push(json!({ "name": "evaluate", "nanoseconds": time.as_nanos() as u64 }));
            if timings.len() >= runs.min_runs && all.as_secs_f64() >= runs.min_seconds {
                return Ok(Outcome { output: show(memory), timings });
            }
        }
    }

    /// The error of an unknown function.
    pub(crate) fn unknown(&self) -> Error {
        format!("no function {:?}", self.function).into()
    }
}

/// Checks a length.
pub(crate) fn expect(what: &str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: found {found}, expected {expected}").into())
}

/// Checks that the number of each pair is below its bound; the error names the first that is not.
pub(crate) fn below(
    what: &str,
    mut pairs: impl Iterator<Item = (usize, usize)>,
) -> Result<(), Error> {
    pairs.find(|(number, bound)| number >= bound).map_or(Ok(()), |(number, bound)| {
        Err(format!("{what}: found {number}, expected less than {bound}").into())
    })
}

/// The rows, of `cols` numbers each, one after the other.
pub(crate) fn flat(what: &str, cols: usize, rows: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    rows.iter().try_for_each(|row| expect(what, cols, row.len()))?;
    Ok(rows.concat())
}
