//! Hypergradients of bilevel problems: one problem statement, every estimator, with counted costs.
//!
//! A problem is stated once as a [`Bilevel`]; an [`Oracle`] makes it callable; an [`Estimator`] returns loss, gradient
//! and [`Cost`]; a [`Run`] takes outer steps. See [`Bilevel`] for an example.
//!
//! Feature `threads` adds `Oracle::set_threads`.

mod check;
mod cost;
mod draw;
mod error;
mod estimator;
mod linear;
mod oracle;
mod outer;
mod params;
mod problem;
mod report;
mod rollout;
mod rows;
mod rule;
mod run;
mod schedule;

pub use check::{Check, Verdict, check, nearby};
pub use cost::Cost;
pub use draw::{Draw, Level};
pub use error::Error;
pub use estimator::exact::Exact;
pub use estimator::first_order::FirstOrder;
pub use estimator::forward::Forward;
pub use estimator::full_tape::FullTape;
pub use estimator::implicit::Implicit;
pub use estimator::stochastic::{StochasticNeumann, Terms};
pub use estimator::truncated::Truncated;
pub use estimator::ufom::{Ufom, optimal_probability};
pub use estimator::{At, Estimate, Estimator};
pub use linear::{LinearSolver, Stop};
pub use oracle::Oracle;
pub use outer::{Outer, OuterState};
pub use params::Params;
pub use problem::{Bilevel, Metric};
pub use report::Report;
pub use rollout::{mean_loss, solve};
pub use rows::Rows;
pub use rule::InnerLoop;
pub use run::{Record, Run};
pub use schedule::{Keep, Schedule};
