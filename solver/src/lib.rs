//! Hypergradients of bilevel problems: one problem statement, all estimators, and an exact account of their cost.
//!
//! A problem is a [`Bilevel`]. An [`Oracle`] evaluates and differentiates it, an [`Estimator`] returns loss, gradient
//! and [`Cost`], and a [`Run`] takes outer steps. See [`Bilevel`] for an example. A loop that is not an optimiser, such
//! as the steps of an ODE solver, is a [`Recurrence`], which [`Loop`] differentiates with checkpoints.
//!
//! - **Choices by name.** [`Registry`] parses `ufom:q=0.2` or `binomial:c=10`, lists all choices, and explains their
//!   settings.
//! - **Memory budgets.** [`Oracle::set_memory`] refuses what does not fit, [`Profile`] measures and predicts, and
//!   [`Estimator::predict`] returns the memory of an estimate before it runs.
//! - **Verification.** [`check()`] tests the derivatives of a problem, [`certify()`] measures bias and variance, and
//!   [`contract`] checks an estimator of your own against a known answer.
//! - **Extensions.** [`Estimator`], [`LinearSolver`], [`Rule`], [`Outer`], [`SingleLoop`] and `Coupling` are traits, each
//!   with short implementations in this crate to start from.
//!
//! Whole programs in the repository: `examples/ridge.rs` (a problem, its hypergradients and a run),
//! `examples/predator.rs` (an ODE), `examples/graph.rs` (a problem in a file), `examples/own-methods` (estimator,
//! linear solver, outer optimiser and single-loop algorithm), `examples/orders.rs` and `examples/equal_time.rs`
//! (experiments).
//!
//! The feature `threads` adds `Oracle::set_threads`. The feature `serde` adds runs that are saved and resumed (`Saved`,
//! `Saving`), and makes costs, records, states and named arrays serialisable.

mod adjoint;
mod breakdown;
mod by_place;
mod certify;
mod check;
pub mod contract;
mod cost;
pub mod coupling;
mod curvature;
mod draw;
mod error;
mod estimator;
mod fingerprint;
mod inner;
mod limits;
pub mod linear;
mod minimise;
mod oracle;
mod outer;
pub mod pace;
mod params;
mod permutation;
mod plan;
mod pool;
mod problem;
mod profile;
mod progress;
mod ranks;
mod recurrence;
mod registry;
#[cfg(feature = "serde")]
mod replace;
mod report;
mod rollout;
mod rows;
mod rule;
mod run;
#[cfg(feature = "serde")]
mod saved;
mod scalar;
mod schedule;
#[cfg(feature = "serde")]
mod serial;
pub mod single_loop;
mod solve;
mod spelling;
mod spill;
pub mod stats;
pub mod text;
mod tridiagonal;
mod variance;
mod weigh;

/// The versions of these crates whose traits apply to [`Draw::stream`].
#[doc(no_inline)]
pub use {rand, rand_pcg};

pub use breakdown::{Breakdown, Call, Share};
pub use certify::{Certificate, Estimates, Judgement, certify};
pub use check::{Check, Verdict, check, nearby};
pub use cost::Cost;
pub use coupling::Coupling;
pub use draw::{Draw, Level, Samples, split_mix};
pub use error::Error;
pub use estimator::exact::Exact;
pub use estimator::first_order::FirstOrder;
pub use estimator::forward::Forward;
pub use estimator::forward_gradient::ForwardGradient;
pub use estimator::full_tape::FullTape;
pub use estimator::implicit::Implicit;
pub use estimator::jump::Jump;
pub use estimator::probability::Probability;
pub use estimator::reversible::Reversible;
pub use estimator::roulette::Roulette;
pub use estimator::stochastic::{StochasticNeumann, Terms};
pub use estimator::thinned::Thinned;
pub use estimator::truncated::Truncated;
pub use estimator::ufom::{Cheap, Ufom};
pub use estimator::{Estimate, Estimator};
pub use fingerprint::fingerprint;
pub use inner::InnerLoop;
pub use limits::{End, Limits};
pub use linear::{LinearSolver, Stop};
pub use oracle::stepper::AnyRule;
pub use oracle::{Oracle, Point};
pub use outer::{Optimiser, Outer};
pub use params::{Params, norm, scale};
pub use permutation::Permutation;
pub use plan::{Alternative, plan};
pub use pool::Slots;
pub use problem::{Bilevel, Metric};
pub use profile::{Evaluation, KeptSteps, Profile};
pub use progress::{Observer, Record, RunState};
pub use ranks::Ranks;
pub use recurrence::checkpointed::{Ended, Loop};
pub use recurrence::{Recurrence, ScalarRecurrence};
pub use registry::{Registry, Spelling, Spellings};
#[cfg(feature = "serde")]
pub use replace::{UNFINISHED, replace};
pub use report::{Report, Soundness};
pub use rollout::{Look, Rollout, Task, finite_loss};
pub use rows::Rows;
pub use rule::adaptive::{Adam, RmsProp};
pub use rule::descent::GradientDescent;
pub use rule::momentum::Momentum;
pub use rule::proximal::{Ista, Projected, Simplex};
pub use rule::{Rule, RuleForm, Step};
pub use run::Run;
#[cfg(feature = "serde")]
pub use saved::{Saved, Saving, Settings};
pub use scalar::ScalarBilevel;
pub use schedule::{Action, Actions, Counts, Keep, Prices, Schedule, Tier, Traffic};
pub use single_loop::{Joint, SingleLoop};
pub use solve::{final_state, mean_loss, solve};
pub use spelling::{
    About, Described, Named, Range, Spelled, Value, Visit, expect_in, find_by_name,
};
pub use variance::{Levels, mean_square_factor, optimal_probability};
pub use weigh::{Weighed, weigh};
