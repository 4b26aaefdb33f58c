//! The protocol: a message a line of JSON in, a response a line out.
//!
//! A `define` is answered by whether there is a module of that name, an `evaluate` by output and times or by an error, and
//! every other message by its number alone. A function is evaluated until it has taken as many runs and seconds as the
//! input asks for; what is timed is the function, from the parsed input to its numbers, without JSON.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What went wrong, in a line.
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

/// The response to a message.
///
/// # Errors
/// A line that is no message.
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

/// An output, and how long each run took.
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

    /// [`evaluate`](Self::evaluate) what cannot fail.
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

    /// Evaluates as often as the input asks for, and says in JSON what the last run left in `memory`.
    pub(crate) fn evaluate<M, E: Into<Error>>(
        &self,
        mut memory: M,
        mut run: impl FnMut(&mut M) -> Result<(), E>,
        show: impl FnOnce(M) -> Value,
    ) -> Result<Outcome, Error> {
        // A number alone, as `hello` has it, asks for one run.
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

    /// That there is no such function.
    pub(crate) fn unknown(&self) -> Error {
        format!("no function {:?}", self.function).into()
    }
}

/// That something has another length than it should have.
pub(crate) fn expect(what: &str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}: found {found}, expected {expected}").into())
}

/// That a number is not below its bound, of the first pair for which that is so.
pub(crate) fn below(
    what: &str,
    mut pairs: impl Iterator<Item = (usize, usize)>,
) -> Result<(), Error> {
    pairs.find(|(number, bound)| number >= bound).map_or(Ok(()), |(number, bound)| {
        Err(format!("{what}: found {number}, expected less than {bound}").into())
    })
}

/// The rows one after the other, each of which has `cols` numbers.
pub(crate) fn flat(what: &str, cols: usize, rows: &[Vec<f64>]) -> Result<Vec<f64>, Error> {
    rows.iter().try_for_each(|row| expect(what, cols, row.len()))?;
    Ok(rows.concat())
}
