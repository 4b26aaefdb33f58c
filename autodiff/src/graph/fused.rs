//! [`Fused`]: what several operations compute, as one operation of a graph. `fuse.rs` finds them.

use crate::array::Array;
use crate::array::linear_loss::{NAME, RowLoss};
use crate::graph::setting::{At, Indices, Setting};
use crate::shape::Shape;

/// The loss of a row of scores, see [`RowLoss`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Losses {
    Squared,
    Logistic,
    Softplus,
    CrossEntropy(Indices),
}

/// An operation that stands for several.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub enum Fused {
    /// `sum_i p_i l(X_i w, y_i)`, which is [`Array::linear_loss`]. The operands are `X`, `w`, then `y` unless it is a list
    /// of labels, and `p` if there are weights. `X` and `y` are data, so only their values are used.
    #[allow(private_interfaces, reason = "hidden")]
    Loss { losses: Losses, weighted: bool },
    /// `A B + c`, which is [`Array::affine`].
    Affine,
}

impl Fused {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Loss { .. } => NAME,
            Self::Affine => "affine",
        }
    }

    /// Returns the number of operands.
    pub(crate) fn operands(&self) -> usize {
        match self {
            Self::Loss { losses, weighted } => {
                let targets = !matches!(losses, Losses::CrossEntropy(_));
                2 + usize::from(targets) + usize::from(*weighted)
            }
            Self::Affine => 3,
        }
    }

    /// Returns the shape of the result from those of the operands, which fit.
    pub(crate) fn result(&self, of: &[Shape]) -> Shape {
        match self {
            Self::Loss { .. } => Shape::SCALAR,
            Self::Affine => Shape::new(of[0].rows, of[1].cols),
        }
    }

    /// Computes the result in the mode of the operands.
    pub(crate) fn eval<'a, A: Array<'a>>(&'a self, of: &[A], at: &At<'a, '_>) -> A {
        let Self::Loss { losses, weighted } = self else { return of[0].affine(of[1], of[2]) };
        let loss = match losses {
            Losses::Squared => RowLoss::Squared(of[2].values()),
            Losses::Logistic => RowLoss::Logistic(of[2].values()),
            Losses::Softplus => RowLoss::Softplus(of[2].values()),
            Losses::CrossEntropy(labels) => RowLoss::CrossEntropy(labels.give(at)),
        };
        let weights = weighted.then(|| of[of.len() - 1]);
        of[1].linear_loss(of[0].values(), loss, weights)
    }
}
