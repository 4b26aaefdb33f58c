//! Warnings about several estimates: how many have one, and the worst.

use serde::{Deserialize, Serialize};

use hypertape_solver::Soundness;

/// Warnings in the form of the records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Warned {
    /// Number of estimates with a warning.
    #[serde(default)]
    pub(crate) warned: usize,
    /// The warnings with the worst numbers.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl Warned {
    pub(crate) fn of(all: impl IntoIterator<Item = Soundness>) -> Self {
        let (mut warned, mut worst) = (0, Soundness::default());
        for soundness in all {
            warned += usize::from(!soundness.warnings().is_empty());
            worst = worst.worst(soundness);
        }
        Self { warned, warnings: worst.warnings() }
    }

    /// Returns one line per warning, about `all` estimates.
    pub(crate) fn lines(&self, all: usize) -> impl Iterator<Item = String> {
        let estimates = if all == 1 {
            "the estimate".into()
        } else {
            format!("{} of {all} estimates, the worst", self.warned)
        };
        self.warnings.iter().map(move |warning| format!("warning: {estimates}: {warning}"))
    }
}
