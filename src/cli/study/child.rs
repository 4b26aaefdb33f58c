//! One process for each request about a cell, so that no cell is affected by the memory, the caches or a crash of
//! another.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::thread;
use std::time::{Duration, Instant};

use super::cell::{Cell, Done, Reply, Task, Trouble};
use crate::cli::app::App;
use crate::cli::args::{Asked, Study as Options};
use crate::cli::failure::{Failure, json};
use crate::cli::gradient::process_peak;
use crate::cli::table::{bytes, seconds};

/// The longest wait before the state of a process is checked again.
const LOOK: Duration = Duration::from_millis(20);

/// Limits of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    pub(super) seconds: Option<f64>,
    pub(super) bytes: Option<u64>,
}

impl Bounds {
    pub(super) fn of(options: &Options) -> Self {
        Self { seconds: options.cell_time, bytes: options.cell_memory }
    }

    fn passed(&self, clock: Instant, child: &Child) -> Option<Trouble> {
        if let Some(limit) = self.seconds.filter(|&limit| clock.elapsed().as_secs_f64() > limit) {
            let why = format!("ended after {}, the limit of --cell-time", seconds(limit));
            return Some(Trouble::new("timeout", why));
        }
        let limit = self.bytes?;
        let held = process_peak(&child.id().to_string()).filter(|&held| held > limit)?;
        let (held, limit) = (bytes(held), bytes(limit));
        let why = format!("ended with {held} in memory, above the {limit} of --cell-memory");
        Some(Trouble::new("over memory", why))
    }
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
    folder: &Path,
    bounds: Bounds,
    turns: &Turns,
) -> Result<Result<Done, Trouble>, Failure> {
    let counted = {
        let _turn = turns.read();
        ask(app, cell, folder, Task::Count, bounds)?
    };
    let mut done = match counted {
        Reply::Counted(done) => *done,
        Reply::Failed(trouble) => return Ok(Err(trouble)),
        _ => return Ok(Err(Trouble::new("failed", "another answer".to_owned()))),
    };
    if cell.repeats != Some(0) {
        let _turn = turns.write();
        let mut cell = cell.clone();
        if let Some(Ok(taken)) = done.schedule_taken.as_deref().map(str::parse) {
            // The choice of `auto` is kept, because another measurement might choose differently.
            cell.run.common.schedule = Some(Asked::Given(taken));
        }
        match ask(app, &cell, folder, Task::Time, bounds)? {
            Reply::Timed(both) => {
                done.paces = both.iter().map(|&[_, pace]| pace).collect();
                done.timed(both.iter().map(|&[time, _]| time).collect());
            }
            Reply::Failed(trouble) => return Ok(Err(trouble)),
            _ => {
                return Ok(Err(Trouble::new("failed", "another answer".to_owned())));
            }
        }
    }
    Ok(Ok(done))
}

/// Makes one request about a cell of the study in `folder`, which a separate process answers.
pub(super) fn ask(
    app: &App,
    cell: &Cell,
    folder: &Path,
    task: Task,
    bounds: Bounds,
) -> Result<Reply, Failure> {
    let told = |e: std::io::Error| Failure::run(format!("cannot start a process for a cell: {e}"));
    let mut command = match app.program.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        None => Command::new(std::env::current_exe().map_err(told)?),
    };
    command.args(["study", "cell"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(told)?;
    let clock = Instant::now();
    // Stdin stays open until the answer is there, so that the process ends when this one ends.
    let mut stdin = child.stdin.take();
    let request = json(&(task, folder, cell))? + "\n";
    if let Some(stdin) = &mut stdin {
        // A process that does not read has ended, which is reported below.
        let _ = stdin.write_all(request.as_bytes());
    }
    let mut stdout = child.stdout.take();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.as_mut().map(|stdout| stdout.read_to_string(&mut text));
        (text, read)
    });
    let (mut pause, mut cause) = (Duration::from_millis(1), None);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(told)? {
            break status;
        }
        if cause.is_none() {
            cause = bounds.passed(clock, &child);
            if cause.is_some() {
                child.kill().map_err(told)?;
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    };
    let text = reader.join().map_or_else(|_| String::new(), |(text, _)| text);
    Ok(match serde_json::from_str(&text) {
        Ok(reply) if status.success() => reply,
        _ => Reply::Failed(cause.unwrap_or_else(|| {
            let kind = if status.code().is_none() { "killed" } else { "failed" };
            Trouble::new(kind, format!("its process ended without an answer: {status}"))
        })),
    })
}
