//! The progress of a run: its records, its state, and its observers.

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
    /// Index of the iteration, from 0.
    pub iteration: usize,
    /// The outer loss.
    pub loss: f64,
    /// Euclidean norm of the hypergradient estimate.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub gradient_norm: f64,
    /// Cost of the estimate.
    pub cost: Cost,
    /// Wall time since the run began, without the time of observers.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::seconds"))]
    pub elapsed: Duration,
    /// What a reader of the estimate should know.
    pub soundness: Soundness,
    /// Reason why the run ended with this iteration, if it did.
    pub end: Option<End>,
}

/// The state of a run: all that is needed to continue it as if it had not stopped.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound = "T: Element"))]
pub struct RunState<T> {
    /// Number of iterations whose step was taken.
    pub iteration: usize,
    /// The outer point.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::values"))]
    pub x: Vec<T>,
    /// Moments of the outer optimiser, see [`Outer::moments`](crate::Outer::moments).
    pub moments: Params<T>,
    /// State of the estimator, see [`Estimator::state`](crate::Estimator::state).
    pub estimator: Params<T>,
    /// Ends of inner loops, see [`Oracle::warm`](crate::Oracle::warm).
    pub ends: Params<T>,
    /// Loss of the first iteration, which the criterion of divergence refers to.
    pub first_loss: Option<f64>,
    /// Smallest outer loss of an iteration so far, infinite before the first. If tasks are drawn, it is the loss of
    /// those that were drawn. It is not recorded for estimators that are [brief](crate::Estimator::brief), whose losses
    /// are those of mini-batches.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub best_loss: f64,
    /// The point with that loss; empty before the first iteration.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::values"))]
    pub best: Vec<T>,
    /// Norm of the last estimate; 0 before the first iteration.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::overflowing"))]
    pub gradient_norm: f64,
    /// Number of inner gradients and Hessian-vector products so far.
    pub oracle_calls: u64,
    /// Wall time so far, without the time of observers.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::seconds"))]
    pub elapsed: Duration,
    /// Reason why the run stopped here; `None` before and during the run.
    pub end: Option<End>,
}

impl<T: Element> RunState<T> {
    /// Creates the state at the start of a run from `x`.
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

/// An observer of a run, for example a progress bar, a file of records, or save points.
///
/// Its time does not count as time of the run.
pub trait Observer<T> {
    /// Called when the run begins or continues from `state`.
    ///
    /// # Errors
    /// An error ends the run.
    fn begin(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }

    /// Called after the estimate of an iteration at `x`, before its step. A break ends the run after that step.
    fn record(&mut self, _record: &Record, _x: &[T]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Number of iterations between calls of [`save`](Self::save).
    fn every(&self) -> usize {
        usize::MAX
    }

    /// Called after every [`every`](Self::every) iterations; the run continues from `state`.
    ///
    /// # Errors
    /// An error ends the run.
    fn save(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }

    /// Returns a function that requests the end of the run.
    ///
    /// It is called before each evaluation, and the unfinished iteration does not count.
    fn stop(&self) -> Option<Arc<dyn Fn() -> bool + Send + Sync>> {
        None
    }

    /// Called when the run ended with `state`, unless it failed.
    ///
    /// # Errors
    /// The run returns the error.
    fn end(&mut self, _state: &RunState<T>) -> Result<(), Error> {
        Ok(())
    }
}

/// A function observes each iteration.
impl<T, F: FnMut(&Record, &[T]) -> ControlFlow<()>> Observer<T> for F {
    fn record(&mut self, record: &Record, x: &[T]) -> ControlFlow<()> {
        self(record, x)
    }
}
