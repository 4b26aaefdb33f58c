//! A crate with its own bilevel problems, and the whole command line for them.
//!
//! ```text
//! cargo run --release -p own-problem -- problems scales
//! cargo run --release -p own-problem -- check prior:noise=0.1
//! cargo run --release -p own-problem -- gradient prior --estimator exact --estimator full-tape
//! cargo run --release -p own-problem -- run scales:penalty=0.01 --train samples.csv
//! ```

mod prior;
mod scales;

use std::process::ExitCode;

use hypertape::prelude::*;
use prior::Prior;
use scales::Scales;

/// A problem in double precision only. The closure captures the data that the problem is made from.
fn prior() -> Entry {
    let clean: Vec<f64> = (0..16).map(|i| (0.4 * f64::from(i)).sin()).collect();
    let open =
        move |given: &Given<f64>| Oracle::new(Prior::new(&clean, given.get("noise")?, given.seed));
    let noise = Setting::new("noise", 0.3, Kind::Number(0.0..=1.0), "largest error of the data");
    Entry {
        data_seed: Some(0),
        settings: vec![noise],
        ..Entry::new("prior", "strength of a smoothness prior", (60, 0.1), open)
    }
}

/// A problem in both precisions, on the samples of `--train` or on digits.
fn scales() -> Entry {
    let penalty = Setting::new("penalty", 0.001, Kind::NOT_NEGATIVE, "strength of the penalty");
    let summary = "one log-scale per feature of a classifier of 300 digits, or of --train";
    Entry {
        data_seed: Some(0),
        samples: Some(Labels::Classes),
        settings: vec![penalty, Setting::batch()],
        ..Entry::new("scales", summary, (50, 0.5), |given| Oracle::new(Scales::new(given)?))
            .single(|given| Oracle::new(Scales::new(given)?))
    }
}

fn main() -> ExitCode {
    hypertape::cli::main(&[prior(), scales()])
}
