//! Bilevel benchmark problems with known answers and real data, and a catalogue of them by name.

mod catalogue;
mod cleaning;
pub mod digits;
mod divergence;
pub mod generator;
pub mod labels;
mod maml;
mod penalised;
mod quadratic;
mod samples;

pub use catalogue::{Entry, Open, Precision, catalogue};
pub use cleaning::{Cleaning, DigitsSettings};
pub use maml::Maml;
pub use divergence::{Divergence, Gradients, Moments, TwoTasks};
pub use penalised::{Penalised, SampleLoss};
pub use quadratic::Quadratic;
