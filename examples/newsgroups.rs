//! The problem `text` at the size of 20 Newsgroups, with the whole command line: penalties of a classifier of generated
//! texts are learned.
//!
//! ```text
//! cargo run --release --example newsgroups -- gradient text --estimator exact --estimator cg:iterations=10
//! cargo run --release --example newsgroups -- study studies/newsgroups-control.toml
//! ```

use std::process::ExitCode;

use hypertape::problems::{Entry, Given, Labels, Made, Penalties, Selection, Sets};
use hypertape::{Element, Optimiser, Oracle};

/// 5657 training texts, 5657 validation texts for the choice of the penalties, 7532 test texts, and 20 classes.
/// Penalties start at 0.001.
fn open<T: Element>(given: &Given<T>) -> Made<T> {
    let sets = given.sets_or(|seed| Sets::text([5657, 5657, 7532], 130_107, 20, seed))?;
    Oracle::new(Selection::given(sets, given)?)
}

fn main() -> ExitCode {
    let summary =
        "softmax regression on generated texts, 5657 x 130107 x 20, one log-penalty per word";
    hypertape::cli::main(&[Entry {
        outer: Optimiser::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        data_seed: Some(0),
        settings: Penalties::settings(1e-3).into(),
        samples: Some(Labels::Classes),
        ..Entry::new("text", summary, (10, 30.0), open::<f64>).single(open::<f32>)
    }])
}
