//! Bilevel benchmark problems with known answers and real data, and a catalogue of them by name.
//!
//! ```
//! use hypertape_problems::Quadratic;
//! use hypertape_solver::{Draw, Estimator, Exact, InnerLoop, Oracle};
//! // A problem of the library, by its type: two outer variables, closed form.
//! let mut oracle = Oracle::<f64>::new(Quadratic::general())?;
//! let (x, mut gradient) = (oracle.start().values().to_vec(), [0.0; 2]);
//! Exact::default().estimate(&mut oracle, &InnerLoop::new(5, 0.3)?, &x, Draw::new(0, 0), &mut gradient)?;
//! assert!((gradient[0] - 0.889_454_368_725_553_7).abs() < 1e-15);
//! # Ok::<(), hypertape_solver::Error>(())
//! ```
//!
//! [`catalogue`] lists all problems with their default settings, and you can add an [`Entry`] of your own. [`Sets`]
//! holds training, validation and test samples, for example from files. Its parts, [`Labelled`] or [`Targets`], give a
//! problem the values, losses, matrix products and error rates that it needs.
//!
//! The repository has whole programs: `examples/own-problem` (two problems with a command line, one of them reads
//! files), `examples/graph.rs` (a problem in a file), `examples/newsgroups.rs` (sparse texts) and
//! `examples/omniglot.rs` (few-shot learning from images).

mod catalogue;
mod chain;
mod cleaning;
mod compiled;
#[cfg(feature = "data")]
pub mod data;
pub mod digits;
mod divergence;
mod elastic_net;
mod entry;
mod fewshot;
pub mod generator;
mod graphs;
mod image_classes;
#[cfg(feature = "data")]
mod image_files;
mod labelled;
pub mod labels;
mod learned_steps;
mod maml;
mod network;
mod penalised;
mod quadratic;
mod regressions;
mod sampler;
mod samples;
mod selection;
mod sets;
mod setting;
mod sinusoid;
mod targets;

pub use catalogue::catalogue;
pub use chain::Chain;
pub use cleaning::{Cleaning, CleaningSettings};
pub use compiled::Compiled;
pub use divergence::{Divergence, Gradients, TwoTasks};
pub use elastic_net::ElasticNet;
pub use entry::{Entry, Given, Labels, Made, Open, Precision};
pub use fewshot::{Fewshot, FewshotSettings, Learner};
pub use graphs::{GraphProblem, GraphStatement, InnerStart};
#[cfg(feature = "data")]
pub use graphs::{read_problem, write_problem};
pub use image_classes::ImageClasses;
pub use labelled::{ContiguousBatch, Labelled};
pub use learned_steps::LearnedSteps;
pub use maml::Maml;
pub use network::{Layer, Network};
pub use penalised::{Penalised, SampleLoss};
pub use quadratic::Quadratic;
pub use quadratic::limit::QuadraticLimit;
pub use quadratic::sampled::{SampledQuadratic, SampledSettings};
pub use regressions::Regressions;
pub use sampler::{Batch, Sampler};
pub use samples::DataMatrix;
pub use selection::{Penalties, Selection};
pub use sets::Sets;
pub use setting::{Kind, Setting};
pub use targets::Targets;
