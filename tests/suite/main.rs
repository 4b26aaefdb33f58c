//! A single binary of all integration tests, so that the problems are compiled for the engine once instead of once per
//! file.

#[macro_use]
mod support;

mod agreement;
mod bytes;
mod check;
#[cfg(feature = "cli")]
mod cli;
mod coupled;
mod divergence;
mod estimators;
mod fixed_points;
#[cfg(feature = "cli")]
mod guide;
#[cfg(feature = "cli")]
mod help;
mod implicit;
mod inner_rules;
mod known_answers;
mod levels;
mod memory;
mod oracle;
#[cfg(feature = "threads")]
mod ranks;
mod recurrence;
mod resume;
mod ridge;
mod run;
mod samples;
mod scalar;
#[cfg(feature = "cli")]
mod silent;
mod stochastic;
#[cfg(feature = "cli")]
mod study;
#[cfg(feature = "threads")]
mod threads;
mod unbiased;
mod unrolled;
