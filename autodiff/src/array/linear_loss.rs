//! [`RowLoss`]: losses of linear models, `sum_i p_i l(X_i W, y_i)` over the rows of a constant matrix, as one
//! operation.
//!
//! ```text
//! value       sum_i p_i l_i                      l_i = l(X_i W, y_i)
//! by W        X' S                               S_i = p_i l'(X_i W, y_i)
//! by p        l
//! tangents    X' dS                              dS_i = p_i l''(X_i W, y_i) X_i dW + dp_i l'(X_i W, y_i)
//! ```
//!
//! The sum is a scalar, so its gradient is known up to a factor when it is evaluated. A tape therefore computes both at
//! once, which reads each row once, and its sweep only multiplies. `Tensor` and its tangents have kernels for this;
//! every other type evaluates the formulas above by its operations.

mod composed;
mod tensors;

pub(crate) const NAME: &str = "linear_loss";

/// The loss of a row of scores `z`, with one target per row.
#[derive(Clone, Copy, Debug)]
pub enum RowLoss<'a, T> {
    /// `(z - y)^2` of one score.
    Squared(&'a [T]),
    /// `ln(1 + e^{-y z})` of one score, for `y` of -1 and 1.
    Logistic(&'a [T]),
    /// `ln(1 + e^{y z})` of one score, which is the logistic loss of `-y`.
    Softplus(&'a [T]),
    /// `ln sum_c e^{z_c} - z_y` of one score per class `0, 1, ...`, where `y` is the class.
    CrossEntropy(&'a [u32]),
}

impl<T> RowLoss<'_, T> {
    /// Returns the number of targets.
    pub fn rows(&self) -> usize {
        match self {
            Self::Squared(targets) | Self::Logistic(targets) | Self::Softplus(targets) => {
                targets.len()
            }
            Self::CrossEntropy(labels) => labels.len(),
        }
    }
}

/// The rows of a matrix and their loss.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a, T> {
    pub samples: &'a [T],
    pub loss: RowLoss<'a, T>,
}

/// The derivatives that are computed with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// None.
    Value,
    /// The tangents of the gradient, which move up by one place.
    Tangents,
    /// The gradient.
    Gradient,
}

/// The value and the derivatives of a loss.
#[derive(Clone, Copy, Debug)]
pub struct Parts<A> {
    /// `sum_i p_i l_i`
    pub value: A,
    /// `X' S`, as far as it was requested.
    pub gradient: Option<A>,
    /// `l`, a column.
    pub losses: A,
}

/// The data of a record.
#[derive(Clone, Copy)]
pub(crate) struct Kept<'a, A, T> {
    pub(crate) of: Fitted<'a, T>,
    pub(crate) w: A,
    pub(crate) p: Option<A>,
    pub(crate) parts: Parts<A>,
}

/// The directions of `w` and `p`. At least one of the two is present in each.
pub(crate) type Moving<'k, A> = &'k [(Option<A>, Option<A>)];
