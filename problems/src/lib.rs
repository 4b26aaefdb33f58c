//! Bilevel benchmark problems with known answers and real data, and a catalogue of them by name.

mod catalogue;
mod chain;
mod cleaning;
#[cfg(feature = "data")]
pub mod data;
pub mod digits;
mod divergence;
pub mod generator;
mod gmm;
mod labelled;
pub mod labels;
mod maml;
mod penalised;
mod quadratic;
mod samples;
mod selection;
mod sets;
mod sinusoid;

pub use catalogue::{Entry, Made, OnData, Open, OpenOn, Precision, catalogue};
pub use chain::Chain;
pub use cleaning::{Cleaning, DigitsSettings};
pub use divergence::{Divergence, Gradients, Moments, TwoTasks};
pub use gmm::{Gmm, Wishart};
pub use labelled::Labelled;
pub use maml::Maml;
pub use penalised::{Limit, Penalised, RIDGE, SampleLoss};
pub use quadratic::Quadratic;
pub use selection::Selection;
pub use sets::{Choices, Penalties, Sets};
