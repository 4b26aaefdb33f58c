//! How far a run has come: its records, its state, and who watches it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hypertape_autodiff::Element;

use crate::cost::Cost;
use crate::error::Error;
use crate::limits::End;
use crate::params::Params;
use crate::report::Soundness;

/// One outer iteration, at the point before its step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
#[non_exhaustive]
pub struct Record {
    /// From 0.
    pub iteration: usize,
    /// The outer loss.
    pub loss: f64,
    /// Euclidean norm of the hypergradient estimate.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub gradient_norm: f64,
    /// What the estimate cost.
    pub cost: Cost,
    /// Wall time since the run began, observers excluded.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::seconds"))]
    pub elapsed: Duration,
    /// What the reader of the estimate should know.
    pub soundness: Soundness,
    /// Why the run ended with this iteration, if it did.
    pub end: Option<End>,
}

/// Where a run is: what it needs to go on as if it had not stopped.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Element"))]
pub struct RunState<T> {
    /// Iterations whose step was taken.
    pub iteration: usize,
    /// The outer point.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::values"))]
    pub x: Vec<T>,
    /// What the outer optimiser remembers, [`Outer::moments`](crate::Outer::moments).
    pub moments: Params<T>,
    /// What the estimator keeps, [`Estimator::state`](crate::Estimator::state).
    pub estimator: Params<T>,
    /// Where inner loops ended, [`Oracle::warm`](crate::Oracle::warm).
    pub ends: Params<T>,
    /// The loss of the first iteration, by which divergence is judged.
    pub first_loss: Option<f64>,
    /// The least outer loss of an iteration so far, infinite before the first: of tasks that are drawn, as they were drawn. Not kept of
    /// estimators that are [brief](crate::Estimator::brief), whose losses are those of mini-batches.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub best_loss: f64,
    /// The point where that was; none before the first.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::values"))]
    pub best: Vec<T>,
    /// Norm of the last estimate; 0 before the first.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub gradient_norm: f64,
    /// Inner gradients and Hessian-vector products so far.
    pub oracle_calls: u64,
    /// Wall time so far, observers excluded.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::seconds"))]
    pub elapsed: Duration,
    /// Why the run stopped here; `None` at its start and on its way.
    pub end: Option<End>,
}

impl<T: Element> RunState<T> {
    /// At the start, from `x`.
    pub fn new(x: Vec<T>) -> Self {
        let [moments, estimator, ends] = std::array::from_fn(|_| Params::new());
        Self {
            iteration: 0,
            x,
            moments,
            estimator,
            ends,
            first_loss: None,
            best_loss: f64::INFINITY,
            best: Vec::new(),
            gradient_norm: 0.0,
            oracle_calls: 0,
            elapsed: Duration::ZERO,
            end: None,
        }
    }
}

/// Who watches a run: a progress bar, a file of records, save points. Their time is not the run's.
pub trait Observer<T> {
    /// The run begins, or goes on, from `state`.
    ///
    /// # Errors
    /// Ends the run.
    fn begin(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }

    /// An iteration was done, at `x`, and its step is not yet taken. A break ends the run after that step.
    fn record(&mut self, _record: &Record, _x: &[T]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Iterations from one [`save`](Self::save) to the next.
    fn every(&self) -> usize {
        usize::MAX
    }

    /// So many iterations were done, and the run goes on from `state`.
    ///
    /// # Errors
    /// Ends the run.
    fn save(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }

    /// What asks the run to end, looked at before each evaluation: the iteration that it falls into is not counted.
    fn stop(&self) -> Option<Arc<dyn Fn() -> bool + Send + Sync>> {
        None
    }

    /// The run ended with `state`. Not told of a run that fails.
    ///
    /// # Errors
    /// That of the run.
    fn end(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }
}

/// A function as the observer of each iteration.
#[derive(Debug)]
pub(crate) struct Each<F>(pub(crate) F);

impl<T, F: FnMut(&Record, &[T]) -> ControlFlow<()>> Observer<T> for Each<F> {
    fn record(&mut self, record: &Record, x: &[T]) -> ControlFlow<()> {
        (self.0)(record, x)
    }
}
