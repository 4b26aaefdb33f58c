//! Your own methods, in one file each, with the whole command line: an estimator, a linear solver, an outer optimiser,
//! a single-loop algorithm and a problem. `tests/` checks them against known answers.
//!
//! ```text
//! cargo run --release -p own-methods -- estimators bicgstab
//! cargo run --release -p own-methods -- gradient decay --estimator bicgstab --estimator residuals --estimator dense
//! cargo run --release -p own-methods -- run decay --train samples.csv --estimator bicgstab --outer lion:lr=0.05
//! cargo run --release -p own-methods -- run decay --algorithm heavy-soba:step=0.1,momentum=0.5
//! ```

mod bicgstab;
mod decay;
mod heavy_soba;
mod lion;
mod residuals;

use hypertape::cli::App;
use hypertape::prelude::*;

pub use bicgstab::Bicgstab;
pub use decay::Decay;
pub use heavy_soba::HeavySoba;
pub use lion::Lion;
pub use residuals::Residuals;

/// The problem as a catalogue entry, in both precisions.
pub fn problems() -> Vec<Entry> {
    let summary = "weight decay of a linear classifier of 200 digits, or of --train";
    let entry = Entry::new("decay", summary, (100, 0.5), |given| Oracle::new(Decay::new(given)?));
    let entry = entry.single(|given| Oracle::new(Decay::new(given)?));
    vec![Entry { data_seed: Some(0), samples: Some(Labels::Classes), ..entry }]
}

/// The command line over `problems`, with the methods of this crate in addition to the built-in ones.
pub fn app(problems: &[Entry]) -> App<'_> {
    App::new(problems)
        .estimator(Bicgstab)
        .solver(Residuals::default())
        .outer(Lion::default())
        .algorithm(HeavySoba::default())
}
