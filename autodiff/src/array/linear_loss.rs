//! [`RowLoss`]: losses of linear models, `sum_i p_i l(X_i W, y_i)` over the rows of a constant matrix, as one operation.
//!
//! ```text
//! value       sum_i p_i l_i                      l_i = l(X_i W, y_i)
//! by W        X' S                               S_i = p_i l'(X_i W, y_i)
//! by p        l
//! tangents    X' dS                              dS_i = p_i l''(X_i W, y_i) X_i dW + dp_i l'(X_i W, y_i)
//! ```
//!
//! A sum is a scalar, so its gradient is known up to a factor when it is evaluated: a tape computes both then, so that a row
//! is read once, and its sweep only multiplies. `Tensor` and its tangents have a way of their own; every other type takes
//! the formulas above by operations that it has.

mod composed;
mod tensors;
#[cfg(test)]
mod tests;

pub(crate) const NAME: &str = "linear_loss";

/// The loss of a row of scores `z`, for targets one per row.
#[derive(Clone, Copy, Debug)]
pub enum RowLoss<'a, T> {
    /// `(z - y)^2` of one score.
    Squared(&'a [T]),
    /// `ln(1 + e^{-y z})` of one score, for `y` of -1 and 1.
    Logistic(&'a [T]),
    /// `ln(1 + e^{y z})` of one score: the same of `-y`.
    Softplus(&'a [T]),
    /// `ln sum_c e^{z_c} - z_y` of a score a class `0, 1, ...`, for the class `y`.
    CrossEntropy(&'a [u32]),
}

impl<T> RowLoss<'_, T> {
    /// Number of targets.
    pub fn rows(&self) -> usize {
        match self {
            Self::Squared(targets) | Self::Logistic(targets) | Self::Softplus(targets) => {
                targets.len()
            }
            Self::CrossEntropy(labels) => labels.len(),
        }
    }
}

/// The rows of a matrix, and their loss.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a, T> {
    pub samples: &'a [T],
    pub loss: RowLoss<'a, T>,
}

/// What is asked for beside the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Value,
    /// The tangents of the gradient, moved up by one place.
    Tangents,
    /// The gradient.
    Gradient,
}

/// What there is to know of a loss.
#[derive(Clone, Copy, Debug)]
pub struct Parts<A> {
    /// `sum_i p_i l_i`
    pub value: A,
    /// `X' S`, as it was asked for.
    pub gradient: Option<A>,
    /// `l`, a column.
    pub losses: A,
}

/// What a record refers to.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a, A, T> {
    pub(crate) of: Fitted<'a, T>,
    pub(crate) w: A,
    pub(crate) p: Option<A>,
    pub(crate) parts: Parts<A>,
}

/// Directions in which `w` and `p` move; none of them is absent from both.
pub(crate) type Moving<'k, A> = &'k [(Option<A>, Option<A>)];
