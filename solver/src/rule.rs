//! `Rule`: how an inner step follows from a gradient, written once over arrays.
//!
//! The state of an inner loop consists of `w` and of the vectors that the rule needs (a momentum, second moments), each
//! initially zero. One definition determines the step, its pull-back, its push-forward and its record on a whole-run
//! tape.

pub(crate) mod adaptive;
pub(crate) mod descent;
pub(crate) mod momentum;
pub(crate) mod proximal;

use std::fmt;

use hypertape_autodiff::{Array, Element, List};

use crate::spelling::Named;

/// A step of the inner loop, and the array that it moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Index of the step, from 0.
    pub index: usize,
    /// Step size of the inner loop.
    pub lr: f64,
    /// The array of `w` that is moved, in the order of [`Bilevel::init`](crate::Bilevel::init), from 0.
    pub array: usize,
}

impl Step {
    /// Step `index` of size `lr`, for the first array.
    pub fn new(index: usize, lr: f64) -> Self {
        Self { index, lr, array: 0 }
    }
}

/// How a step depends on state, gradient and outer variables, which determines whether its pull-back needs the value of
/// the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleForm {
    /// Affine in all of them jointly. The pull-back does not need the gradient.
    Affine,
    /// Affine in state and gradient for fixed outer variables, such as learned step sizes. Only the adjoint of the
    /// outer variables needs the gradient, which the sweep of the products computes as well.
    AffineInState,
    /// Any other dependence. The gradient is evaluated once more in the reverse sweep.
    Nonlinear,
}

/// An inner update rule. It acts on each array of `w` separately, unless it is [entrywise](Rule::entrywise);
/// [`Step::array`] is the index of the array.
///
/// ```
/// use hypertape_autodiff::{Arena, Array, Element, List, Shape, Tensor};
/// use hypertape_solver::{Named, Rule, Step};
///
/// /// Steps of a size that does not depend on that of the gradient, smoothed.
/// #[derive(Debug)]
/// struct SoftSign;
/// impl Named for SoftSign {
///     fn name(&self) -> String { "soft-sign".into() }
/// }
/// impl<T: Element> Rule<T> for SoftSign {
///     fn update<'a, A: Array<'a, Elem = T>>(&self, w: &[A], g: A, _: &[A], step: Step) -> List<A> {
///         List::from_slice(&[w[0] - g / (g.square() + 1.0).sqrt() * step.lr])
///     }
/// }
/// let arena = Arena::new();
/// let (w, g) = (Tensor::new(&arena, Shape::SCALAR, &[1.0]), Tensor::new(&arena, Shape::SCALAR, &[0.75]));
/// let next = SoftSign.update(&[w], g, &[], Step::new(0, 0.5));
/// assert_eq!(next[0].values(), [0.7]);
/// ```
pub trait Rule<T: Element>: Named + fmt::Debug + Send + Sync {
    /// Number of vectors of the state besides `w`, each of the shape of `w`.
    fn memory(&self) -> usize {
        0
    }

    /// Returns the point at which the gradient is taken, if that is not `w`.
    fn query<'a, A: Array<'a, Elem = T>>(&self, _state: &[A], _step: Step) -> Option<A>
    where
        Self: Sized,
    {
        None
    }

    /// Returns the next state, given the previous state (`state[0]` is `w`), the gradient of the inner loss, and the
    /// outer variables.
    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        x: &[A],
        step: Step,
    ) -> List<A>
    where
        Self: Sized;

    /// Returns the number `c` if the next state is `w + c g` and nothing else, with the same `c` for all arrays.
    ///
    /// It must be present at every step or at none. Such a step is taken and reversed in one pass over `w`, without
    /// recording.
    fn multiple(&self, _step: Step) -> Option<f64> {
        None
    }

    /// Whether each entry of the next state is the same function of the entries at its place of the state and the
    /// gradient, and of numbers: of single entries of outer variables, and of the step without [`Step::array`].
    ///
    /// Small arrays are then joined and moved as one, of one row, which saves a recording for each. Norms, sums and
    /// shapes would be those of the joined array; [`check`](crate::check()) compares both ways.
    fn entrywise(&self) -> bool {
        false
    }

    /// How the next state depends on its arguments.
    ///
    /// A rule that claims a simpler form than it has produces NaN, and so an error.
    fn form(&self) -> RuleForm {
        RuleForm::Nonlinear
    }

    /// Whether the length of a step is independent of that of the gradient, so that the curvature does not determine a
    /// step size.
    fn adaptive(&self) -> bool {
        false
    }

    /// Whether the fixed points of its steps are the points where `dg/dw = 0`, which implicit estimates then solve for.
    ///
    /// For other rules, such as a proximal map, they differentiate the fixed point of a step.
    fn stationary(&self) -> bool {
        true
    }
}
