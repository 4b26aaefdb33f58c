//! A tool of the benchmark suite `GradBench`: the suite's evals, written over the numbers and arrays of hypertape.
//!
//! `README.md` explains how the suite runs it, and what each eval is written over.

mod ba;
mod descent;
mod det;
mod gmm;
mod hello;
mod ht;
mod kmeans;
mod llsq;
mod lse;
mod lstm;
pub mod mixture;
mod ode;
mod particle;
mod protocol;
mod saddle;

pub use protocol::answer;
use protocol::{Call, Error, Outcome};

/// The functions of a module of the suite.
type Eval = fn(&Call) -> Result<Outcome, Error>;

const MODULES: [(&str, Eval); 12] = [
    ("ba", ba::eval),
    ("det", det::eval),
    ("gmm", gmm::eval),
    ("hello", hello::eval),
    ("ht", ht::eval),
    ("kmeans", kmeans::eval),
    ("llsq", llsq::eval),
    ("lse", lse::eval),
    ("lstm", lstm::eval),
    ("ode", ode::eval),
    ("particle", particle::eval),
    ("saddle", saddle::eval),
];
