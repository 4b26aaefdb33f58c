//! What readers of several estimates should know: of how many, and the worst.

use serde::{Deserialize, Serialize};

use crate::Soundness;

/// As it stands in records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Warned {
    /// Estimates with a warning.
    #[serde(default)]
    pub(crate) warned: usize,
    /// Those of the worst numbers.
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

    /// A line for each warning, of `all` estimates.
    pub(crate) fn lines(&self, all: usize) -> impl Iterator<Item = String> {
        let estimates = if all == 1 {
            "the estimate".into()
        } else {
            format!("{} of {all} estimates, the worst", self.warned)
        };
        self.warnings.iter().map(move |warning| format!("warning: {estimates}: {warning}"))
    }
}
