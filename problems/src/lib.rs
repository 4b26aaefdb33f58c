//! Bilevel benchmark problems with known answers and real data, and a catalogue of them by name.

mod catalogue;
mod chain;
mod cleaning;
pub mod digits;
mod divergence;
pub mod generator;
mod gmm;
pub mod labels;
mod maml;
mod penalised;
mod quadratic;
mod samples;
mod sinusoid;

pub use catalogue::{Entry, Open, Precision, catalogue};
pub use chain::Chain;
pub use cleaning::{Cleaning, DigitsSettings};
pub use divergence::{Divergence, Gradients, Moments, TwoTasks};
pub use gmm::{Gmm, Wishart};
pub use maml::Maml;
pub use penalised::{Limit, Penalised, RIDGE, SampleLoss};
pub use quadratic::Quadratic;
