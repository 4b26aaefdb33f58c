//! Bilevel benchmark problems with known answers and real data, and a catalogue of them by name.

mod catalogue;
mod chain;
mod cleaning;
pub mod digits;
mod divergence;
mod elastic_net;
mod fewshot;
pub mod generator;
mod gmm;
mod image_classes;
#[cfg(feature = "data")]
mod image_files;
pub mod labels;
mod learned_steps;
mod maml;
mod penalised;
mod quadratic;
mod sampler;
mod samples;
mod sinusoid;

pub use catalogue::{Entry, Open, Precision, catalogue};
pub use chain::Chain;
pub use cleaning::{Cleaning, DigitsSettings};
pub use divergence::{Divergence, Gradients, Moments, TwoTasks};
pub use elastic_net::ElasticNet;
pub use fewshot::{Fewshot, FewshotSettings, Learner};
pub use gmm::{Gmm, Wishart};
pub use image_classes::ImageClasses;
pub use learned_steps::LearnedSteps;
pub use maml::Maml;
pub use penalised::{Limit, Penalised, RIDGE, SampleLoss};
pub use quadratic::Quadratic;
pub use quadratic::limit::QuadraticLimit;
pub use quadratic::sampled::{SampledQuadratic, SampledSettings};
pub use sampler::{Batch, Sampler};
