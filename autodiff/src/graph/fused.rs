//! [`Fused`]: a loss of a linear model as one operation of a graph, [`Array::linear_loss`]. `fuse.rs` finds them.

use crate::array::Array;
use crate::array::linear_loss::RowLoss;
use crate::graph::setting::{At, Indices, Setting};

/// The loss of a row of scores, see [`RowLoss`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Losses {
    Squared,
    Logistic,
    CrossEntropy(Indices),
}

/// `sum_i p_i l(X_i w, y_i)`. The operands are `X`, `w`, then `y` unless it is a list of labels, and `p` if there are
/// weights. `X` and `y` are data, so only their values are used.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub(crate) losses: Losses,
    pub(crate) weighted: bool,
}

impl Fused {
    /// Returns the number of operands.
    pub(crate) fn operands(&self) -> usize {
        let targets = !matches!(self.losses, Losses::CrossEntropy(_));
        2 + usize::from(targets) + usize::from(self.weighted)
    }

    /// Computes the loss in the mode of the operands.
    pub(crate) fn eval<'a, A: Array<'a>>(&'a self, of: &[A], at: &At<'a, '_>) -> A {
        let loss = match &self.losses {
            Losses::Squared => RowLoss::Squared(of[2].values()),
            Losses::Logistic => RowLoss::Logistic(of[2].values()),
            Losses::CrossEntropy(labels) => RowLoss::CrossEntropy(labels.give(at)),
        };
        let weights = self.weighted.then(|| of[of.len() - 1]);
        of[1].linear_loss(of[0].values(), loss, weights)
    }
}
