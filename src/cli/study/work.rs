//! What the process that is started for a cell finds out.
//!
//! A cell is asked twice where `repeats` is not 0: once for losses, counts and bytes, once for times, in a process of its own
//! that does nothing else.

use std::io::{self, BufRead, Read, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::cell::{Accuracy, Cell, Checkpoint, Done, Measure, Metrics, Reply, Task, Trouble};
use crate::cli::app::{App, Precise};
use crate::cli::args::{self, Dtype};
use crate::cli::failure::{Failure, say};
use crate::cli::gradient::{json, process_peak};
use crate::cli::outer;
use crate::cli::point::{self, Opened};
use crate::cli::run::{limits, measure};
use crate::problems::Entry;
use crate::{
    Draw, Error, Estimate, Estimator, Exact, InnerLoop, Params, Record, Run, RunState,
    find_by_name, mean_loss,
};

/// Answers the request on stdin. When stdin ends nobody waits for the answer any more, and the process ends too.
pub(super) fn serve(app: &App, out: &mut dyn Write) -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::run)?;
    let (task, cell): (Task, Cell) =
        serde_json::from_str(&line).map_err(|e| Failure::usage(format!("stdin: {e}")))?;
    std::thread::spawn(|| {
        // Whatever ends the wait, the one who asked is gone.
        let _ = io::stdin().lock().read(&mut [0]);
        std::process::exit(1);
    });
    let reply = match cell.run.common.dtype {
        Dtype::F64 => answer::<f64>(app, task, &cell),
        Dtype::F32 => answer::<f32>(app, task, &cell),
    };
    say(out, json(&reply.unwrap_or_else(Reply::Failed))?)
}

fn answer<T: Precise>(app: &App, task: Task, cell: &Cell) -> Result<Reply, Trouble> {
    let entry = &point::entry(app, &cell.run.common)?;
    if task == Task::Probe {
        return Ok(Reply::Seconds(vec![probe::<T>(app, entry, cell)?]));
    }
    if task == Task::Time {
        return Ready::<T>::new(app, entry, cell)?.times().map(Reply::Seconds);
    }
    // Before the problem is opened for good: the peak of the process is not to hold its data twice.
    let data_hash = data_hash::<T>(app, entry, cell)?;
    let mut ready = Ready::<T>::new(app, entry, cell)?;
    let mut done = ready.begun(data_hash)?;
    match cell.measure {
        Measure::Gradient => ready.gradient(&mut done)?,
        Measure::Run => ready.whole_run(&mut done)?,
    }
    Ok(Reply::Counted(Box::new(done)))
}

/// A cell that can begin.
struct Ready<'a, T> {
    cell: &'a Cell,
    opened: Opened<T>,
    estimator: Box<dyn Estimator<T>>,
    run: Run,
}

impl<'a, T: Precise> Ready<'a, T> {
    fn new(app: &App, entry: &Entry, cell: &'a Cell) -> Result<Self, Trouble> {
        let options = &cell.run;
        let mut opened = point::open::<T>(app, entry, &options.common, 0)?;
        if let Some(name) = &cell.control {
            let controls = opened.oracle.controls(&opened.inner);
            let (_, x) = find_by_name("control", name, &controls, |(name, _)| name)
                .map_err(Failure::usage)?;
            opened.x = x.values().to_vec();
        }
        let (coupling, named, outer) = outer::algorithm(entry, options)?;
        let estimator = point::estimator(app, &mut opened, &options.common, &named)?;
        let run = Run::new(opened.inner, outer, cell.iterations(), options.common.seed);
        let run = Run { coupling, limits: limits(options), ..run };
        Ok(Self { cell, opened, estimator, run })
    }

    /// One estimate from a fresh start, in the order of draws.
    fn estimate(&mut self, draw: u64, gradient: &mut [T]) -> Result<Estimate<T>, Error> {
        self.estimator.set_state(&Params::new())?;
        self.next(draw, gradient)
    }

    /// One that goes on from what the last one learned.
    fn next(&mut self, draw: u64, gradient: &mut [T]) -> Result<Estimate<T>, Error> {
        let Opened { oracle, inner, x, .. } = &mut self.opened;
        self.estimator.estimate(oracle, inner, x, Draw::new(self.run.seed, draw), gradient)
    }

    fn times(&mut self) -> Result<Vec<f64>, Trouble> {
        let mut gradient = vec![T::zero(); self.opened.x.len()];
        self.estimate(0, &mut gradient)?;
        let mut times = Vec::new();
        for _ in 0..self.cell.repeats.unwrap_or_default() {
            times.push(match self.cell.measure {
                Measure::Gradient => self.estimate(0, &mut gradient)?.cost.time,
                Measure::Run => {
                    self.go(|_, _| {})?.1.last().map_or_else(Duration::default, |r| r.elapsed)
                }
            });
        }
        Ok(times.iter().map(Duration::as_secs_f64).collect())
    }

    fn go(
        &mut self,
        mut see: impl FnMut(&Record, &[T]),
    ) -> Result<(RunState<T>, Vec<Record>), Error> {
        let mut state = RunState::new(self.opened.x.clone());
        let estimator = self.estimator.as_mut();
        let records =
            self.run.go_on(&mut self.opened.oracle, estimator, &mut state, |record, x| {
                see(record, x);
                ControlFlow::Continue(())
            })?;
        Ok((state, records))
    }

    /// Loss and metrics of `x`, after the inner loop of an iteration.
    fn judge(&mut self, x: &[T], iteration: usize) -> Result<(f64, Metrics), Error> {
        let inner = self.run.coupling.inner(&self.run.inner, iteration);
        let draw = Draw::new(self.run.seed, iteration as u64);
        let (loss, metrics) = measure(&mut self.opened.oracle, &inner, x, draw, &mut Vec::new())?;
        Ok((loss, metrics.into_iter().map(|(name, v)| (name.to_owned(), finite(v))).collect()))
    }

    /// What is known without an estimate.
    fn begun(&mut self, data_hash: String) -> Result<Done, Trouble> {
        let Opened { oracle, inner, x, .. } = &mut self.opened;
        let bytes_predicted =
            self.estimator.admit(oracle, inner, x, Draw::new(self.run.seed, 0))?;
        Ok(Done {
            loss: f64::NAN,
            gradient_norm: None,
            metrics: Metrics::new(),
            ended: String::new(),
            schedule_taken: self.estimator.schedule().map(|schedule| schedule.to_string()),
            plain_steps: 0,
            inner_gradients: 0,
            hvps: 0,
            bytes_predicted,
            bytes_measured: 0,
            process_peak_bytes: None,
            seconds: 0.0,
            seconds_low: 0.0,
            seconds_high: 0.0,
            times: Vec::new(),
            accuracy: None,
            data_hash,
            checkpoints: Vec::new(),
        })
    }

    fn gradient(&mut self, done: &mut Done) -> Result<(), Trouble> {
        let mut gradient = vec![T::zero(); self.opened.x.len()];
        let Estimate { loss, cost, .. } = self.estimate(0, &mut gradient)?;
        done.loss = loss.as_f64();
        done.gradient_norm = finite(crate::dot(&gradient, &gradient).as_f64().sqrt());
        (done.plain_steps, done.inner_gradients) = (cost.plain_steps, cost.inner_gradients);
        (done.hvps, done.bytes_measured) = (cost.hvps, cost.bytes_measured);
        done.timed(vec![cost.time.as_secs_f64()]);
        done.process_peak_bytes = process_peak("self");
        if self.cell.draws > 0 {
            done.accuracy = Some(self.accuracy()?);
        }
        Ok(())
    }

    /// Sums over draws, the variance by Welford (1962). Exact gradients are taken in turn, so that load falls on both.
    fn accuracy(&mut self) -> Result<Accuracy, Trouble> {
        // The reference may take what it needs.
        self.opened.oracle.set_memory(None);
        let dim = self.opened.x.len();
        let [mut gradient, mut exact] = [0; 2].map(|_| vec![T::zero(); dim]);
        let [mut mean, mut reference] = [0; 2].map(|_| vec![0.0; dim]);
        let (mut spread, mut squares, mut seconds) = (0.0, 0.0, 0.0);
        let [mut exact_squares, mut exact_seconds] = [0.0; 2];
        let n = self.cell.draws as f64;
        for i in 0..self.cell.draws as u64 {
            seconds += self.next(i, &mut gradient)?.cost.time.as_secs_f64() / n;
            let Opened { oracle, inner, x, .. } = &mut self.opened;
            let draw = Draw::new(self.run.seed, i);
            let known = Exact::default().estimate(oracle, inner, x, draw, &mut exact)?;
            exact_seconds += known.cost.time.as_secs_f64() / n;
            exact_squares += crate::dot(&exact, &exact).as_f64() / n;
            for k in 0..dim {
                let value = gradient[k].as_f64();
                let step = value - mean[k];
                mean[k] += step / (i + 1) as f64;
                spread += step * (value - mean[k]);
                squares += value * value / n;
                reference[k] += exact[k].as_f64() / n;
            }
        }
        let norm: f64 = reference.iter().map(|g| g * g).sum();
        let bias: f64 = mean.iter().zip(&reference).map(|(m, g)| (m - g).powi(2)).sum();
        let variance = if n > 1.0 { spread / (n - 1.0) / norm } else { 0.0 };
        let (bias, second_moment) = ((bias / norm).sqrt(), squares / norm);
        let relative = finite(seconds * squares / (exact_seconds * exact_squares));
        Ok(Accuracy { bias, variance, second_moment, seconds, relative })
    }

    fn whole_run(&mut self, done: &mut Done) -> Result<(), Trouble> {
        // The oracle is busy while the run lasts: points are kept and looked at afterwards.
        let (mut points, every) = (Vec::new(), self.cell.record_every);
        let (state, records) = self.go(|record, x| {
            if every.is_some_and(|every| record.iteration.is_multiple_of(every)) {
                points.push((record.iteration, x.to_vec()));
            }
        })?;
        done.process_peak_bytes = process_peak("self");
        let (mut points, mut seconds) = (points.into_iter().peekable(), 0.0);
        for record in &records {
            if let Some((iteration, x)) = points.next_if(|(i, _)| *i == record.iteration) {
                done.checkpoints.push(Checkpoint {
                    iteration,
                    inner_gradients: done.inner_gradients,
                    hvps: done.hvps,
                    seconds,
                    loss: record.loss,
                    gradient_norm: finite(record.gradient_norm),
                    metrics: self.judge(&x, iteration)?.1,
                });
            }
            seconds = record.elapsed.as_secs_f64();
            done.plain_steps += record.cost.plain_steps;
            done.inner_gradients += record.cost.inner_gradients;
            done.hvps += record.cost.hvps;
            done.bytes_measured = done.bytes_measured.max(record.cost.bytes_measured);
        }
        (done.loss, done.metrics) = self.judge(&state.x, state.iteration)?;
        done.gradient_norm = records.last().and_then(|r| finite(r.gradient_norm));
        done.ended = state.end.map_or_else(String::new, |end| end.to_string());
        done.timed(vec![seconds]);
        Ok(())
    }
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|v| v.is_finite())
}

/// Of the bits of the start, of `w_1 = w_0 - lr dg/dw`, which the training data decides, and of the outer loss there, which
/// the rest does (Fowler, Noll and Vo, 64 bits, 1a).
fn data_hash<T: Precise>(app: &App, entry: &Entry, cell: &Cell) -> Result<String, Trouble> {
    let common = args::Common {
        rule: None,
        tolerance: None,
        memory: None,
        threads: 1,
        steps: Some(1),
        lr: Some(1e-3),
        ..cell.run.common.clone()
    };
    let (mut opened, mut w) = (point::open::<T>(app, entry, &common, 0)?, Vec::new());
    let Opened { oracle, inner, x, .. } = &mut opened;
    let loss = mean_loss(oracle, inner, x, Draw::new(0, 0), &mut w)?;
    let values = x.iter().chain(oracle.inner_start().values()).chain(&w).chain([&loss]);
    let hash = values
        .flat_map(|v| v.as_f64().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    Ok(format!("{hash:016x}"))
}

/// The seconds of one estimate, by short inner loops of up to 8 and 16 steps: linear in the number of steps, and a plain step
/// for each that the schedule takes again.
fn probe<T: Precise>(app: &App, entry: &Entry, cell: &Cell) -> Result<f64, Trouble> {
    let common = args::Common { memory: None, tolerance: None, ..cell.run.common.clone() };
    let Opened { mut oracle, inner, x, .. } = point::open::<T>(app, entry, &common, 0)?;
    let (steps, mut gradient) = (inner.steps(), vec![T::zero(); x.len()]);
    let mut timed = |steps, gradient: &mut [T]| {
        let inner = InnerLoop::new(steps, inner.lr())?;
        let mut estimator = T::registry(app).estimators.parse(cell.estimator())?;
        let draw = Draw::new(common.seed, 0);
        let (mut best, mut forward) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..2 {
            let clock = Instant::now();
            mean_loss(&mut oracle, &inner, &x, draw, &mut Vec::new())?;
            forward = forward.min(clock.elapsed().as_secs_f64());
            let estimate = estimator.estimate(&mut oracle, &inner, &x, draw, gradient)?;
            best = best.min(estimate.cost.time.as_secs_f64());
        }
        Ok::<_, Trouble>((best, forward))
    };
    let (few, more) = (steps.min(8), steps.min(16));
    let (first, _) = timed(few, &mut gradient)?;
    let (second, forward) = timed(more, &mut gradient)?;
    let each = (second - first).max(0.0) / (more - few).max(1) as f64;
    let again = match common.schedule {
        args::Asked::Given(schedule) => {
            schedule.counts(steps).map_or(0, |counts| counts.plain_steps.saturating_sub(steps))
        }
        args::Asked::Auto => 0,
    };
    let plain = again as f64 * forward / more.max(1) as f64;
    Ok(second + each * (steps - more) as f64 + plain)
}
