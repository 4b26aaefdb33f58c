//! The command line of hypertape, as a function over a catalogue of problems.
//!
//! [`main`] is the whole of a program with problems of its own. An [`App`] knows estimators, rules, outer optimisers,
//! couplings and algorithms of its own as well. The package `hypertape` has this library as `hypertape::cli`, and the
//! program `hypertape` with the problems of the project.
//!
//! The feature `mpi` lets processes that `mpirun` started share a run.

mod app;
mod args;
mod arrays;
mod atomic;
mod certify;
mod check;
mod execute;
mod failure;
mod gradient;
mod grouped;
mod help;
mod list;
mod outer;
mod plan;
mod point;
mod ranks;
mod run;
mod state;
mod study;
mod table;
mod values;
mod warned;

pub use app::{App, Precise};
pub use execute::main;
pub use point::data_hash;
pub use values::bytes;
