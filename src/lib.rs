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

/// What a crate with problems, estimators or rules of its own uses: `use hypertape::prelude::*;`
///
/// ```
/// use hypertape::prelude::*;
/// // Random numbers of a problem come from the draw that it is given, by the generator that is exported with it.
/// let coin = |seed| Draw::new(seed, 0).at(Level::Inner, 3).stream().random::<f64>();
/// assert_eq!(coin(7), coin(7));
/// assert!((0.0..1.0).contains(&coin(7)) && coin(7) != coin(8));
/// ```
pub mod prelude {
    pub use crate::linear::System;
    pub use crate::problems::{Entry, Given, Kind, Labelled, Labels, Made, Sets, Setting, Targets};
    pub use crate::rand::RngExt;
    pub use crate::{
        About, Arena, Array, Bilevel, Cost, Draw, Element, Error, Estimate, Estimator, Exact,
        InnerLoop, Level, LinearSolver, List, Metric, Named, Oracle, Outer, Params, Point, Profile,
        Range, Rollout, Rows, Rule, Run, ScalarBilevel, Shape, Spelled, Step, Stop, Task, Tensor,
        Visit, axpy, dot, final_state, finite_loss, norm, scale,
    };
}

#[cfg(feature = "cli")]
pub mod cli;

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The pages of the guide that have examples, tested.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/from-jax.md")]
    struct FromJax;
    #[doc = include_str!("../docs/adding-a-problem.md")]
    struct AddingAProblem;
    #[doc = include_str!("../docs/adding-a-method.md")]
    struct AddingAMethod;
}
