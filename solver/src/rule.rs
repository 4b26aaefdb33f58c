//! `Rule`: how an inner step follows from a gradient, stated once over arrays.
//!
//! The state of an inner loop is `w` and as many more vectors as the rule remembers (a momentum, second moments), each
//! zero at the start. One statement gives the step, its pull-back, its push-forward and its place on a whole-run tape.

pub(crate) mod adaptive;
pub(crate) mod descent;
pub(crate) mod momentum;
pub(crate) mod proximal;

use std::fmt;

use hypertape_autodiff::{Array, Element, List};

use crate::spelling::Named;

/// Which step of the inner loop, and of which array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Its index, from 0.
    pub index: usize,
    /// The step size of the inner loop.
    pub lr: f64,
    /// The array of `w` that is moved, in the order of [`Bilevel::init`](crate::Bilevel::init), from 0.
    pub array: usize,
}

impl Step {
    /// Step `index` of size `lr`, of the first array.
    pub fn new(index: usize, lr: f64) -> Self {
        Self { index, lr, array: 0 }
    }
}

/// How a step depends on state, gradient and outer variables, by which its pull-back takes the value of the gradient or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleForm {
    /// Affine in all of them together: not at all.
    Affine,
    /// Affine in state and gradient where the outer variables are fixed, such as learned step sizes: for the outer variables
    /// alone, and the sweep of the products gives it on the way.
    AffineInState,
    /// Any other: for everything, so that it is evaluated once more in the reverse sweep.
    Nonlinear,
}

/// An inner update rule. It acts on each array of `w` by itself; [`Step::array`] says which.
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
    /// Vectors of the state beside `w`, each of the shape of `w`.
    fn memory(&self) -> usize {
        0
    }

    /// Where the gradient is taken, if not at `w`.
    fn query<'a, A: Array<'a, Elem = T>>(&self, _state: &[A], _step: Step) -> Option<A>
    where
        Self: Sized,
    {
        None
    }

    /// The next state, from the state before (`state[0]` is `w`), the gradient of the inner loss, and the outer variables.
    fn update<'a, A: Array<'a, Elem = T>>(
        &self,
        state: &[A],
        gradient: A,
        x: &[A],
        step: Step,
    ) -> List<A>
    where
        Self: Sized;

    /// The number `c` where the next state is `w + c g` and nothing else, in all arrays alike, at every step or at none. Such
    /// a step is taken and reversed in one pass over `w`, without recording.
    fn multiple(&self, _step: Step) -> Option<f64> {
        None
    }

    /// How the next state depends on what it follows from. A rule that claims too much gets NaN, and so an error.
    fn form(&self) -> RuleForm {
        RuleForm::Nonlinear
    }

    /// Whether the length of a step does not depend on that of the gradient, so that no curvature tells a step size.
    fn adaptive(&self) -> bool {
        false
    }

    /// Whether its steps come to rest where `dg/dw = 0`, which implicit estimates then solve for; where not, as those of a
    /// proximal map, they differentiate the fixed point of a step.
    fn stationary(&self) -> bool {
        true
    }
}
