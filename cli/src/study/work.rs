//! The work of the process that is started for a cell.
//!
//! If `repeats` is not 0, a cell is requested twice: once for losses, counts and bytes, and once for times, in a
//! separate process that does nothing else.

use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::cell::{Accuracy, Cell, Checkpoint, Done, Measure, Metrics, Task, Trouble};
use crate::app::{App, Precise};
use crate::args::{self, in_precision};
use crate::failure::{Failure, Out, say_json};
use crate::gradient::process_peak;
use crate::outer;
use crate::point::{self, Opened};
use crate::run::{limits, measure};
use crate::table::finite;
use crate::warned::Warned;
use hypertape_solver::linear::{Cg, Stop};
use hypertape_solver::pace::{DISTURBED, pace};
use hypertape_solver::{
    Draw, Error, Estimate, Estimates, Estimator, Exact, Implicit, InnerLoop, Level, Params, Record,
    Run, RunState, Samples, find_by_name, norm,
};

/// Answers the request on stdin. When stdin ends, nobody waits for the answer any more, and the process ends as well.
pub(super) fn serve(app: &App, out: Out) -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::run)?;
    let (task, folder, mut cell): (Task, PathBuf, Cell) =
        serde_json::from_str(&line).map_err(|e| Failure::usage(format!("stdin: {e}")))?;
    cell.run.common.data.folder = folder;
    std::thread::spawn(|| {
        // Whatever ends this read, the parent process is gone.
        let _ = io::stdin().lock().read(&mut [0]);
        std::process::exit(1);
    });
    in_precision!(cell.run.common.dtype, answer(app, task, &cell, out))
}

fn answer<T: Precise>(app: &App, task: Task, cell: &Cell, out: Out) -> Result<(), Failure> {
    let ready = || Ready::<T>::new(app, cell);
    match task {
        Task::Count => say_json(out, [&ready().and_then(|mut ready| ready.count())]),
        Task::Time => say_json(out, [&ready().and_then(|mut ready| ready.times())]),
        Task::Probe => say_json(out, [&probe::<T>(app, cell)]),
    }
}

/// A cell that is ready to run.
struct Ready<'a, T> {
    cell: &'a Cell,
    opened: Opened<T>,
    estimator: Box<dyn Estimator<T>>,
    run: Run<T>,
}

impl<'a, T: Precise> Ready<'a, T> {
    fn new(app: &App, cell: &'a Cell) -> Result<Self, Trouble> {
        let options = &cell.run;
        let entry = &point::entry(app, &options.common)?;
        let mut opened = point::open::<T>(app, entry, &options.common, 0)?;
        if let Some(name) = &cell.control {
            let controls = opened.oracle.controls(&opened.inner);
            let (_, x) = find_by_name("control", name, &controls, |(name, _)| name)
                .map_err(Failure::usage)?;
            opened.x = x.values().to_vec();
        }
        let algorithm = outer::algorithm::<T>(app, entry, options)?;
        // The table of the report has a column of schedules.
        let (estimator, _) = opened.scheduled(algorithm.estimator)?;
        let record_every =
            options.algorithm.as_ref().map(|_| outer::record_every(options, cell.iterations()));
        let run = Run {
            inner: opened.inner,
            outer: algorithm.outer,
            iterations: cell.iterations(),
            seed: options.common.seed,
            coupling: algorithm.coupling,
            limits: limits(options),
            record_every: record_every.unwrap_or(1),
        };
        Ok(Self { cell, opened, estimator, run })
    }

    /// Computes one estimate from the initial state, and returns its gradient as well.
    fn estimate(&mut self, seed: u64) -> Result<(Estimate<T>, Vec<T>), Error> {
        self.estimator.set_state(&Params::new())?;
        let Opened { oracle, inner, x, .. } = &mut self.opened;
        let mut gradient = vec![T::zero(); x.len()];
        let draw = Draw::new(seed, 0);
        let estimate = self.estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
        Ok((estimate, gradient))
    }

    /// Returns times, each with the slower of the paces of the machine before and after it. Disturbed times are
    /// measured again, up to twice as many in total, and the least disturbed ones are kept.
    fn times(&mut self) -> Result<Vec<[f64; 2]>, Trouble> {
        let seed = self.run.seed;
        self.estimate(seed)?;
        let (mut before, mut times) = (pace(), Vec::new());
        let (repeats, mut best) = (self.cell.repeats.unwrap_or_default(), before);
        let undisturbed = |times: &[[f64; 2]], best: f64| {
            times.iter().filter(|&&[_, pace]| pace <= DISTURBED * best).count()
        };
        while times.len() < 2 * repeats && undisturbed(&times, best) < repeats {
            let time = match self.cell.measure {
                Measure::Gradient => self.estimate(seed)?.0.cost.time,
                Measure::Run => {
                    let (_, records) = self.go(|_, _| ControlFlow::Continue(()))?;
                    records.last().map_or(Duration::ZERO, |record| record.elapsed)
                }
            };
            let after = pace();
            times.push([time.as_secs_f64(), before.max(after)]);
            (before, best) = (after, best.min(after));
        }
        times.sort_by(|[_, a], [_, b]| a.total_cmp(b));
        times.truncate(repeats);
        Ok(times)
    }

    fn go(
        &mut self,
        mut see: impl FnMut(&Record, &[T]) -> ControlFlow<()>,
    ) -> Result<(RunState<T>, Vec<Record>), Error> {
        let mut state = RunState::new(self.opened.x.clone());
        let (oracle, estimator) = (&mut self.opened.oracle, self.estimator.as_mut());
        let records = T::observe(&self.run, oracle, estimator, &mut state, &mut [&mut see])?;
        Ok((state, records))
    }

    /// Returns the loss and metrics of `x`, after the inner loop of an iteration.
    fn judge(&mut self, x: &[T], iteration: usize) -> Result<(f64, Metrics), Error> {
        let inner = self.run.coupling.inner(&self.run.inner, iteration);
        let draw = Draw::new(self.run.seed, iteration as u64);
        let (loss, metrics) = measure(&mut self.opened.oracle, &inner, x, draw, &mut Vec::new())?;
        let mut metrics: Metrics =
            metrics.into_iter().map(|(name, v)| (name.to_owned(), finite(v))).collect();
        if let Some(tolerance) = self.cell.value_tolerance {
            let [value, slope] = self.value(x, draw, tolerance)?;
            metrics.insert("h(x)".to_owned(), value);
            metrics.insert("|dh/dx|".to_owned(), slope);
        }
        Ok((loss, metrics))
    }

    /// Returns the value function and the norm of its gradient over all samples, without counting their time. They are
    /// computed by L-BFGS from the start of the inner loop and by conjugate gradients, and are `None` if these do not
    /// converge, up to rounding.
    fn value(&mut self, x: &[T], draw: Draw, tolerance: f64) -> Result<[Option<f64>; 2], Error> {
        let stop = Stop { iterations: 1000, tolerance };
        let mut at_rest = Implicit::new(Cg { stop })?.to_minimum(tolerance)?;
        let (oracle, mut gradient) = (&mut self.opened.oracle, vec![T::zero(); x.len()]);
        let memory = oracle.memory();
        oracle.set_memory(None);
        let (inner, draw) = (InnerLoop::new(0, 1.0)?, draw.on(Samples::All));
        let found = at_rest.estimate(oracle, &inner, x, draw, &mut gradient)?;
        oracle.set_memory(memory);
        let enough = tolerance.max(T::epsilon().as_f64().sqrt());
        let arrived = |part: f64| part <= enough;
        let report = found.soundness.report;
        let at_minimum = report.is_some_and(|report| arrived(report.inner_ratio));
        let value = finite(found.loss.as_f64()).filter(|_| at_minimum);
        let solved = report.and_then(|report| report.residual).is_some_and(arrived);
        let slope = finite(norm(&gradient).as_f64()).filter(|_| value.is_some() && solved);
        Ok([value, slope])
    }

    /// Whether a seed may have an influence, either because the problem or the estimator says so, or because the data
    /// or an estimate differ between seeds.
    fn random(&mut self, data_hash: &str) -> bool {
        let oracle = &mut self.opened.oracle;
        let mini_batches = [Level::Inner, Level::Outer].map(|level| oracle.mini_batches(level));
        if self.cell.run.algorithm.is_some()
            || self.estimator.chance()
            || oracle.batch() < oracle.tasks()
            || mini_batches != [1; 2]
            || (1..4).any(|seed| point::data_hash(oracle, seed).ok().is_none_or(|h| h != data_hash))
        {
            return true;
        }
        let mut of = |seed| {
            let (estimate, gradient) = self.estimate(seed).ok()?;
            Some((estimate.loss, gradient))
        };
        // The sketch of a solver is not a random choice of the estimator, but random nevertheless.
        let (first, second) = (of(0), of(1));
        first.is_none() || first != second
    }

    /// Returns everything but the times of repetitions.
    fn count(&mut self) -> Result<Done, Trouble> {
        let data_hash = point::data_hash(&mut self.opened.oracle, 0)?;
        let random = self.random(&data_hash);
        let Opened { oracle, inner, x, .. } = &mut self.opened;
        let bytes_predicted =
            self.estimator.admit(oracle, inner, x, Draw::new(self.run.seed, 0))?;
        let mut done = Done {
            schedule_taken: self.estimator.schedule().map(|schedule| schedule.to_string()),
            bytes_predicted,
            data_hash,
            random,
            notes: self.opened.notes.clone(),
            ..Done::default()
        };
        match self.cell.measure {
            Measure::Gradient => self.gradient(&mut done)?,
            Measure::Run => self.whole_run(&mut done)?,
        }
        Ok(done)
    }

    fn gradient(&mut self, done: &mut Done) -> Result<(), Trouble> {
        let (estimate, gradient) = self.estimate(self.run.seed)?;
        done.warned = Warned::of([estimate.soundness]);
        let Estimate { loss, cost, .. } = estimate;
        done.loss = loss.as_f64();
        done.gradient_norm = finite(norm(&gradient).as_f64());
        done.cost = cost;
        done.timed(vec![cost.time.as_secs_f64()]);
        done.process_peak_bytes = process_peak("self");
        if self.cell.draws > 0 {
            done.accuracy = Some(self.accuracy()?);
        }
        Ok(())
    }

    fn accuracy(&mut self) -> Result<Accuracy, Trouble> {
        let Opened { oracle, inner, x, .. } = &mut self.opened;
        // The memory limit does not apply to the reference.
        oracle.set_memory(None);
        let draws: Vec<_> = (0..self.cell.draws).map(|i| Draw::new(self.run.seed, i)).collect();
        let mut both: [&mut dyn Estimator<T>; 2] = [self.estimator.as_mut(), &mut Exact::default()];
        let found = Estimates::in_turn(&mut both, oracle, inner, x, &draws)?;
        let [ours, exact] = [0, 1].map(|k| found[k].beside(&found[1]));
        let (norm, time) = (exact.exact_norm.powi(2), exact.seconds * exact.second_moment[0]);
        Ok(Accuracy {
            bias: ours.error,
            variance: if draws.len() > 1 { ours.variance[0] / norm } else { 0.0 },
            second_moment: ours.second_moment[0] / norm,
            seconds: ours.seconds,
            relative: finite(ours.seconds * ours.second_moment[0] / time),
        })
    }

    fn whole_run(&mut self, done: &mut Done) -> Result<(), Trouble> {
        // The oracle is in use during the run, so the points are stored and evaluated afterwards.
        let (mut points, mut next) = (Vec::new(), 0.0);
        let (given, ratio) = (self.cell.run.record_every, self.cell.record_ratio);
        let every = given.or(ratio.map(|_| self.run.record_every));
        let ratio = ratio.unwrap_or(1.0);
        let (state, records) = self.go(|record, x| {
            let iteration = record.iteration;
            if every.is_some_and(|every| iteration.is_multiple_of(every))
                && iteration as f64 >= next
            {
                points.push((iteration, x.to_vec()));
                next = ratio * iteration as f64;
            }
            ControlFlow::Continue(())
        })?;
        done.process_peak_bytes = process_peak("self");
        done.warned = Warned::of(records.iter().map(|record| record.soundness));
        let mut points = points.into_iter().peekable();
        for record in &records {
            if let Some((iteration, x)) = points.next_if(|(i, _)| *i == record.iteration) {
                done.checkpoints.push(Checkpoint {
                    iteration,
                    cost: done.cost,
                    loss: record.loss,
                    gradient_norm: finite(record.gradient_norm),
                    metrics: self.judge(&x, iteration)?.1,
                });
            }
            done.cost += record.cost;
            done.cost.time = record.elapsed;
        }
        (done.loss, done.metrics) = self.judge(&state.x, state.iteration)?;
        done.gradient_norm = records.last().and_then(|r| finite(r.gradient_norm));
        done.ended = state.end.map_or_else(String::new, |end| end.to_string());
        done.timed(vec![done.cost.time.as_secs_f64()]);
        Ok(())
    }
}

/// Predicts the seconds of one estimate from short inner loops of up to 8 and 16 steps, linearly in the number of
/// steps, with one plain step added for each step that the schedule computes again.
fn probe<T: Precise>(app: &App, cell: &Cell) -> Result<f64, Trouble> {
    let entry = &point::entry(app, &cell.run.common)?;
    let common = args::Common { memory: None, tolerance: None, ..cell.run.common.clone() };
    let Opened { mut oracle, inner, x, .. } = point::open::<T>(app, entry, &common, 0)?;
    let (steps, mut gradient) = (inner.steps(), vec![T::zero(); x.len()]);
    let mut timed = |steps, gradient: &mut [T]| {
        let inner = inner.with_steps(steps);
        let mut estimator = outer::algorithm::<T>(app, entry, &cell.run)?.estimator;
        let draw = Draw::new(common.seed, 0);
        let (mut best, mut forward) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..2 {
            let clock = Instant::now();
            T::mean_loss(&mut oracle, &inner, &x, draw, &mut Vec::new())?;
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
        Some(args::Asked::Given(schedule)) => {
            schedule.counts(steps).map_or(0, |counts| counts.plain_steps.saturating_sub(steps))
        }
        Some(args::Asked::Auto) | None => 0,
    };
    let plain = again as f64 * forward / more.max(1) as f64;
    Ok(second + each * (steps - more) as f64 + plain)
}
