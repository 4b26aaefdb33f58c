//! The problem `text` at the size of 20 Newsgroups, penalties for a classifier of generated texts, with the whole command line:
//!
//! ```text
//! cargo run --release --example newsgroups -- gradient text --estimator exact --estimator cg:iterations=10
//! cargo run --release --example newsgroups -- study studies/newsgroups-control.toml
//! ```

use std::process::ExitCode;

use hypertape::problems::{Entry, Given, Kind, Labels, Made, Penalties, Selection, Sets, Setting};
use hypertape::{Element, Oracle, Outer};

/// 5657 texts to train on, as many to choose the penalties on, 7532 to judge the result; 20 classes.
fn open<T: Element>(given: &Given<T>) -> Made<T> {
    let sets = given.sets_or(|seed| Sets::text([5657, 5657, 7532], 130_107, 20, seed))?;
    Oracle::new(Selection::new(sets, Penalties::Feature, given.get("penalty")?, None)?)
}

fn main() -> ExitCode {
    let summary =
        "softmax regression on generated texts, 5657 x 130107 x 20, one log-penalty a word";
    let help = "strength of the penalties at the start";
    hypertape::cli::main(&[Entry {
        outer: Outer::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        data_seed: Some(0),
        settings: vec![Setting::new("penalty", 1e-3, Kind::Number(0.0..=f64::MAX), help)],
        samples: Some(Labels::Classes),
        ..Entry::new("text", summary, (10, 30.0), open::<f64>).single(open::<f32>)
    }])
}
