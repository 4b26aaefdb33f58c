//! `SingleLoop`: the trait of single-loop algorithms.

use std::fmt;

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::outer::Optimiser;
use crate::pool::Slots;
use crate::single_loop::sampled::{Sampled, Sizes};
use crate::single_loop::steps::Steps;
use crate::spelling::Named;

/// Vectors that an algorithm keeps from one iteration to the next: `count` vectors of this length, initially zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of the vectors in saved states.
    pub name: &'static str,
    /// Number of vectors.
    pub count: usize,
    /// Number of values per vector.
    pub length: usize,
}

impl Kept {
    /// A single vector.
    pub fn one(name: &'static str, length: usize) -> Self {
        Self { name, count: 1, length }
    }
}

/// The vectors of an iteration: the point and the kept vectors at its beginning, and the direction of `x`.
#[derive(Debug)]
pub struct Moving<'a, T> {
    /// The inner variables, which the iteration moves.
    pub w: &'a mut [T],
    /// The outer variables, which the outer optimiser moves after the iteration.
    pub x: &'a [T],
    /// The direction of `x`, which the iteration writes.
    pub x_bar: &'a mut [T],
    pub(super) kept: &'a mut [Slots<T>],
}

/// `w`, `x`, the direction of `x`, and `N` kept vectors.
type Parts<'a, T, const N: usize> = (&'a mut [T], &'a [T], &'a mut [T], &'a mut [Slots<T>; N]);

impl<T> Moving<'_, T> {
    /// Returns `w`, `x`, the direction of `x`, and the kept vectors in the order in which they were declared.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if `N` is not their number.
    pub fn parts<const N: usize>(&mut self) -> Result<Parts<'_, T, N>, Error> {
        let found = self.kept.len();
        let kept = self.kept.as_mut().try_into();
        let kept = kept.map_err(|_| Error::invalid("kept vectors", found, N.to_string()))?;
        Ok((self.w, self.x, self.x_bar, kept))
    }
}

/// A single-loop algorithm: its settings, and what it does in an iteration.
///
/// ```
/// use hypertape_solver::single_loop::{Joint, Kept, Moving, Sampled, SingleLoop, Sizes, Steps};
/// use hypertape_autodiff::axpy;
/// use hypertape_solver::{Error, InnerLoop, Named, Oracle, Run};
/// # use hypertape_autodiff::{Array, Element, List, Shape};
/// # use hypertape_solver::{Bilevel, Draw, Params, Rows};
/// # struct Scalar;
/// # impl<T: Element> Bilevel<T> for Scalar {
/// #     fn start(&self) -> Params<T> { Params::new().with("x", Shape::SCALAR, [T::from_f64(0.5)]) }
/// #     fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> { List::from_slice(&[x[0].scalar(1.0)]) }
/// #     fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A { w[0].square() * 0.5 + x[0] * w[0] }
/// #     fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A { w[0].square() }
/// # }
///
/// /// A step on `w`, one on `v`, and the implicit direction there.
/// #[derive(Debug)]
/// struct InTurn { steps: Steps }
/// impl Named for InTurn {
///     fn name(&self) -> String { "in-turn".into() }
/// }
/// impl SingleLoop<f64> for InTurn {
///     fn steps(&self) -> Steps { self.steps }
///     fn kept(&self, sizes: Sizes) -> Vec<Kept> { vec![Kept::one("v", sizes.p)] }
///     fn iterate(&self, on: &mut Sampled<f64>, at: &mut Moving<f64>) -> Result<(), Error> {
///         let (lr, (w, x, x_bar, [v])) = (self.steps.at(on.iteration()), at.parts()?);
///         let [mut g, mut b] = on.oracle.vectors(w.len())?;
///         let mut mixed = on.oracle.take(x.len())?;
///         let (i, o) = (on.inner(), on.outer());
///         on.gradient(i, [w, x], &mut g)?;
///         axpy(w, -lr[0], &g);
///         on.outer_gradients(o, [w, x], &mut b, x_bar)?;
///         on.hessian_product(i, [w, x], &v[0], &mut g)?;
///         axpy(&mut v[0], lr[1], &b);
///         axpy(&mut v[0], -lr[1], &g);
///         on.mixed_product(i, [w, x], &v[0], &mut mixed)?;
///         axpy(x_bar, -1.0, &mixed);
///         on.oracle.give_all([g, b, mixed]);
///         Ok(())
///     }
/// }
///
/// // The limit is h(x) = x^2.
/// let algorithm = InTurn { steps: Steps::new(0.5, 5.0, [0.0; 3]) };
/// let run = Run::new(InnerLoop::new(1, 0.5)?, algorithm.steps.outer(), 200, 0);
/// let (mut oracle, mut x) = (Oracle::<f64>::new(Scalar)?, [0.5]);
/// run.go(&mut oracle, &mut Joint::new(algorithm), &mut x, |_, _| std::ops::ControlFlow::Continue(()))?;
/// assert!(x[0].abs() < 1e-6, "{x:?}");
/// # Ok::<(), Error>(())
/// ```
pub trait SingleLoop<T: Element>: Named + fmt::Debug + Send + Sync {
    /// Step sizes of the algorithm.
    fn steps(&self) -> Steps;

    /// Vectors that are kept besides `w`; none by default.
    fn kept(&self, _: Sizes) -> Vec<Kept> {
        Vec::new()
    }

    /// Executes one iteration: moves `w` and the kept vectors, and writes the direction of `x`.
    ///
    /// The method also runs on an oracle that [rehearses](crate::Oracle::rehearses), to count its bytes. Iterate over
    /// [`Oracle::each`](crate::Oracle::each) of the steps, and execute all alternatives between which a random choice or a
    /// period decides.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails, and [`Error::Invalid`] if the settings do not suit it.
    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error>;

    /// The default outer optimiser for `x`.
    fn outer(&self) -> Optimiser {
        self.steps().outer()
    }
}
