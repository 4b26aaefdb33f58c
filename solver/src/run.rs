//! The outer loop: estimate, step, record, stop.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hypertape_autodiff::{Element, dot};

use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::outer::{Outer, OuterState};

/// Settings of a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The inner loop.
    pub inner: InnerLoop,
    /// The outer optimiser.
    pub outer: Outer,
    /// Number of outer iterations.
    pub iterations: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

/// The run counts as diverged when the outer loss exceeds `max(1, |first loss|)` by this factor.
const DIVERGED: f64 = 1e6;

/// One outer iteration, at the point before its step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// From 0.
    pub iteration: usize,
    /// The outer loss.
    pub loss: f64,
    /// Euclidean norm of the hypergradient estimate.
    pub gradient_norm: f64,
    /// What the estimate cost.
    pub cost: Cost,
    /// Wall time since the run began, callbacks excluded.
    pub elapsed: Duration,
}

impl Run {
    /// Runs from `x` on, which ends at the last point; `callback` sees each record and the point it is about, and may
    /// break off.
    ///
    /// # Errors
    /// [`Error::Iteration`], with the iteration and the cause: divergence, a quantity that is not finite, a problem
    /// that fails. `x` is then the last point that was reached.
    pub fn go<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        estimator: &mut dyn Estimator<T>,
        x: &mut [T],
        mut callback: impl FnMut(&Record, &[T]) -> ControlFlow<()>,
    ) -> Result<Vec<Record>, Error> {
        let mut state = OuterState::new(self.outer, x.len());
        let mut gradient = vec![T::zero(); x.len()];
        let mut records: Vec<Record> = Vec::new();
        let mut elapsed = Duration::ZERO;
        for iteration in 0..self.iterations {
            let clock = Instant::now();
            let failed = |cause| Error::Iteration { iteration, cause: Box::new(cause) };
            let draw = Draw::new(self.seed, iteration as u64);
            let estimate =
                estimator.estimate(oracle, &self.inner, x, draw, &mut gradient).map_err(failed)?;
            let loss = estimate.loss.as_f64();
            let limit = DIVERGED * records.first().map_or(loss, |r| r.loss).abs().max(1.0);
            if loss > limit {
                return Err(failed(Error::Diverged { loss, limit }));
            }
            let gradient_norm = dot(&gradient, &gradient).as_f64().sqrt();
            let record = Record {
                iteration,
                loss,
                gradient_norm,
                cost: estimate.cost,
                elapsed: elapsed + clock.elapsed(),
            };
            records.push(record);
            let flow = callback(&record, x);
            let clock = Instant::now();
            state.step(x, &gradient);
            elapsed = record.elapsed + clock.elapsed();
            if flow.is_break() {
                break;
            }
        }
        Ok(records)
    }
}
