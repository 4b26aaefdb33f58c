//! Hypergradients through unrolled inner loops, at the memory you choose.
//!
//! This package gathers the library crates and adds the command line. State a problem as a [`Bilevel`], make an
//! [`Oracle`] of it, and ask an [`Estimator`] for its hypergradient; see [`Bilevel`] for an example.

pub use hypertape_autodiff::*;
pub use hypertape_solver::*;

/// Benchmark problems and the catalogue of them.
pub mod problems {
    pub use hypertape_problems::*;
}

#[cfg(feature = "cli")]
pub mod cli;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The page on problems of one's own, tested.
#[cfg(doctest)]
#[doc = include_str!("../docs/adding-a-problem.md")]
struct AddingAProblem;
