//! One process for each request about a cell, so that no cell is affected by the memory, the caches or a crash of
//! another.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::cell::{Cell, Done, Task, Trouble};
use crate::app::App;
use crate::args::{Asked, Study as Options};
use crate::failure::{Failure, json};
use crate::gradient::process_peak;
use crate::table::{bytes, seconds};

/// The longest wait before the state of a process is checked again.
const LOOK: Duration = Duration::from_millis(20);

/// Returns the limit of one process that is exceeded, if any.
fn exceeded(options: &Options, clock: Instant, child: &Child) -> Option<Trouble> {
    if let Some(limit) = options.cell_time.filter(|&limit| clock.elapsed().as_secs_f64() > limit) {
        let why = format!("ended after {}, the limit of --cell-time", seconds(limit));
        return Some(Trouble::new("timeout", why));
    }
    let limit = options.cell_memory?;
    let held = process_peak(&child.id().to_string()).filter(|&held| held > limit)?;
    let (held, limit) = (bytes(held), bytes(limit));
    let why = format!("ended with {held} in memory, above the {limit} of --cell-memory");
    Some(Trouble::new("over memory", why))
}

/// Counting processes take read locks, timed processes take the write lock, so that no other process of the study runs
/// during a timed one.
pub(super) type Turns = RwLock<()>;

/// Returns the whole result of a cell: counts, and times if repetitions are requested.
///
/// # Errors
/// Returns an error if this program cannot be started again. A cell that fails is a result.
pub(super) fn run(
    app: &App,
    cell: &Cell,
    options: &Options,
    turns: &Turns,
) -> Result<Result<Done, Trouble>, Failure> {
    let counted: Result<Done, _> = {
        let _turn = turns.read();
        ask(app, cell, Task::Count, options)?
    };
    let Ok(mut done) = counted else { return Ok(counted) };
    if cell.repeats != Some(0) {
        let _turn = turns.write();
        let mut cell = cell.clone();
        if let Some(Ok(taken)) = done.schedule_taken.as_deref().map(str::parse) {
            // The choice of `auto` is kept, because another measurement might choose differently.
            cell.run.common.schedule = Some(Asked::Given(taken));
        }
        match ask::<Vec<[f64; 2]>>(app, &cell, Task::Time, options)? {
            Ok(both) => {
                done.paces = both.iter().map(|&[_, pace]| pace).collect();
                done.timed(both.iter().map(|&[time, _]| time).collect());
            }
            Err(trouble) => return Ok(Err(trouble)),
        }
    }
    Ok(Ok(done))
}

/// Makes one request about a cell, which a separate process answers.
pub(super) fn ask<R: DeserializeOwned>(
    app: &App,
    cell: &Cell,
    task: Task,
    options: &Options,
) -> Result<Result<R, Trouble>, Failure> {
    let told = |e: io::Error| Failure::run(format!("cannot start a process for a cell: {e}"));
    let (program, arguments) = match app.program.split_first() {
        Some((program, arguments)) => (program.clone(), arguments),
        None => (std::env::current_exe().map_err(told)?.into(), &[][..]),
    };
    let mut command = Command::new(program);
    command.args(arguments).args(["study", "cell"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(told)?;
    let clock = Instant::now();
    // Stdin stays open until the answer is there, so that the process ends when this one ends.
    let mut stdin = child.stdin.take();
    let request = json(&(task, &cell.run.common.data.folder, cell))? + "\n";
    if let Some(stdin) = &mut stdin {
        // A process that does not read has ended, which is reported below.
        let _ = stdin.write_all(request.as_bytes());
    }
    let stdout = child.stdout.take();
    let reader = thread::spawn(move || stdout.and_then(|stdout| io::read_to_string(stdout).ok()));
    let (mut pause, mut cause) = (Duration::from_millis(1), None);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(told)? {
            break status;
        }
        if cause.is_none() {
            cause = exceeded(options, clock, &child);
            if cause.is_some() {
                child.kill().map_err(told)?;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    };
    let text = reader.join().ok().flatten().unwrap_or_default();
    Ok(match serde_json::from_str(&text) {
        Ok(reply) if status.success() => reply,
        _ => Err(cause.unwrap_or_else(|| {
            let kind = if status.code().is_none() { "killed" } else { "failed" };
            Trouble::new(kind, format!("its process ended without an answer: {status}"))
        })),
    })
}
