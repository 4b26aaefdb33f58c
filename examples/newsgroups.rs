//! The problem `text` at the size of 20 Newsgroups, penalties for a classifier of generated texts, with the whole command line:
//!
//! ```text
//! cargo run --release --example newsgroups -- gradient text --estimator exact --estimator cg:iterations=10
//! cargo run --release --example newsgroups -- study studies/newsgroups-control.toml
//! ```

use std::process::ExitCode;

use hypertape::problems::{Choices, Entry, Made, OnData, Selection, Sets};
use hypertape::{Element, Optimiser, Oracle};

/// 5657 texts to train on, as many to choose the penalties on, 7532 to judge the result; 20 classes. Penalties start at 0.001.
fn open<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let choices = &Choices { penalty: choices.penalty.or(Some(1e-3)), ..*choices };
    let own = || Sets::text([5657, 5657, 7532], 130_107, 20, choices.seed);
    Oracle::new(Selection::new(sets.map_or_else(own, Ok)?, choices)?)
}

fn main() -> ExitCode {
    let summary =
        "softmax regression on generated texts, 5657 x 130107 x 20, one log-penalty a word";
    let (double, single) = (|seed| open(None, &with(seed)), |seed| open(None, &with(seed)));
    hypertape::cli::main(&[Entry {
        outer: Optimiser::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        data_seed: Some(0),
        on_data: Some(OnData { numbers: false, open_f64: open, open_f32: open }),
        ..Entry::new("text", summary, (10, 30.0), double, single)
    }])
}

fn with(seed: u64) -> Choices {
    Choices { seed, ..Choices::default() }
}
