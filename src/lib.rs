//! Hypergradients through unrolled inner loops, at the memory you choose.
//!
//! This package combines the library crates and has the program `hypertape`. Write a problem as a [`Bilevel`], make an
//! [`Oracle`] of it, and ask an [`Estimator`] for its hypergradient; see [`Bilevel`] for an example.
//!
//! | you want | start with |
//! |---|---|
//! | a hypergradient of losses of your own | [`Bilevel`], [`Oracle`], [`Exact`]; `examples/ridge.rs` is a whole program |
//! | a hypergradient of scalar losses | [`ScalarBilevel`] |
//! | derivatives of a loop that is not an optimiser | [`Loop`], [`Recurrence`]; `examples/predator.rs`, 20 000 steps of an ODE solver |
//! | automatic differentiation alone | [`Function`], [`Workspace`], [`scalar`]; `autodiff/examples/network.rs`, `least_squares.rs`, `newton_cg.rs` |
//! | a layer that is the solution of an equation | [`fixed_point`], [`Factored`]; `autodiff/examples/implicit_layer.rs` |
//! | an outer loop, saved and resumed | [`Run`] |
//! | to choose a schedule or an estimator for a budget | [`Profile`], and `hypertape plan` |
//! | to measure bias and variance | [`certify()`] |
//! | your own estimator, linear solver, outer optimiser or algorithm | `examples/own-methods`, checked by [`contract`] |
//! | a problem with the command line, on samples from files | [`problems::Entry`], `examples/own-problem`, `examples/newsgroups.rs` |
//! | a problem in a file, without a compiler | [`problems::GraphProblem`]; `examples/graph.rs` |
//! | few-shot learning from folders of images | [`problems::ImageClasses`], `examples/omniglot.rs` |
//! | to repeat experiments of papers | `examples/orders.rs`, `examples/equal_time.rs`, the studies in `studies/` |
//!
//! The guide is in `docs/` of the repository: first tasks, concepts, the choice of an estimator, memory, from a JAX
//! loop, a tutorial.

pub use hypertape_autodiff::*;
pub use hypertape_solver::*;
#[doc(no_inline)]
pub use hypertape_solver::{rand, rand_pcg};

/// Benchmark problems and their catalogue.
pub mod problems {
    pub use hypertape_problems::*;
}

/// The imports of a crate with its own problems, estimators or rules: `use hypertape::prelude::*;`
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
    #[doc(no_inline)]
    pub use crate::rand::RngExt;
    pub use crate::single_loop::{Joint, Kept, Moving, Sampled, SingleLoop, Sizes, Steps};
    pub use crate::{
        About, Arena, Array, Bilevel, Cost, Draw, Element, Error, Estimate, Estimator, Exact,
        InnerLoop, Level, LinearSolver, List, Metric, Named, Oracle, Outer, Params, Point, Profile,
        Range, Rollout, Rows, Rule, RuleForm, Run, ScalarBilevel, Shape, Spelled, Step, Stop, Task,
        Tensor, Visit, axpy, dot, final_state, finite_loss, norm, scale, spelled,
    };
}

#[cfg(feature = "cli")]
#[doc(inline)]
pub use hypertape_cli as cli;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Tests the examples in the pages of the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../docs/from-jax.md")]
    struct FromJax;
    #[doc = include_str!("../docs/adding-a-problem.md")]
    struct AddingAProblem;
    #[doc = include_str!("../docs/adding-a-method.md")]
    struct AddingAMethod;
}
