//! `SingleLoop`: algorithms that move `w`, the solution `v` of the linear system, and `x` together, a little each iteration.
//!
//! Where an estimator runs a whole inner loop for one hypergradient, these take a step or a few on `w`, a step or a few on
//! `H v = df/dw`, and give the direction in which an outer optimiser then moves `x`, all by mini-batches. One file each:
//!
//! | file | algorithms |
//! |---|---|
//! | `directions.rs` | SOBA, MA-SOBA, SABA, SRBA, SPABA, PnPBO: one step of each, by plain, corrected or recursive directions |
//! | `amigo.rs`, `stocbio.rs` | AmIGO; stocBiO, BSA, TTSA: some steps on `w`, then a system solved by steps or by a series |
//! | `fsla.rs`, `mrbo.rs`, `vrbo.rs` | FSLA; MRBO, SUSTAIN; VRBO: directions with a memory of the last point |
//! | `f2sa.rs`, `bome.rs`, `pzobo.rs` | F2SA, F2SA-p; BOME; PZOBO: no second derivatives |
//!
//! Steps of `w` and `v` are `a / k^p` in iteration `k`, counted from 1, and so are those of `x` unless another outer optimiser
//! moves it. In an iteration nothing is allocated. [`Joint`] makes an [`Estimator`](crate::Estimator) of an algorithm, so that
//! runs, limits, files and budgets are the same.

mod amigo;
mod bome;
mod directions;
mod f2sa;
mod fsla;
mod joint;
mod mrbo;
mod pzobo;
mod sampled;
mod series;
mod steps;
mod stocbio;
mod vrbo;

use std::fmt;

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::outer::Optimiser;
use crate::pool::Slots;
use crate::spelling::Named;

pub use crate::single_loop::amigo::Amigo;
pub use crate::single_loop::bome::Bome;
pub use crate::single_loop::directions::{Directions, Plug, Restart};
pub use crate::single_loop::f2sa::{F2sa, F2saP};
pub use crate::single_loop::fsla::Fsla;
pub use crate::single_loop::joint::Joint;
pub use crate::single_loop::mrbo::Mrbo;
pub use crate::single_loop::pzobo::Pzobo;
pub use crate::single_loop::sampled::{Chance, Drawn, Sampled};
pub use crate::single_loop::steps::{Decay, Steps};
pub use crate::single_loop::stocbio::{Bsa, Stocbio, Ttsa};
pub use crate::single_loop::vrbo::Vrbo;

/// What an algorithm is about: its numbers of variables and mini-batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Inner variables.
    pub p: usize,
    /// Outer variables.
    pub d: usize,
    /// Mini-batches of the inner and of the outer loss.
    pub batches: [usize; 2],
}

/// Vectors that an algorithm keeps from one iteration to the next: so many of this length, zero at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Their name in saved states.
    pub name: &'static str,
    /// Their number.
    pub count: usize,
    /// Values of each.
    pub length: usize,
}

impl Kept {
    /// One vector.
    pub fn one(name: &'static str, length: usize) -> Self {
        Self { name, count: 1, length }
    }
}

/// Where an iteration begins: the point, and what is kept.
#[derive(Debug)]
pub struct Moving<'a, T> {
    /// The inner variables, which the iteration moves.
    pub w: &'a mut [T],
    /// The outer variables, which the outer optimiser moves after it.
    pub x: &'a [T],
    kept: &'a mut [Slots<T>],
}

impl<T> Moving<'_, T> {
    /// The point, and what is kept, in the order in which it was declared.
    ///
    /// # Errors
    /// [`Error::Invalid`] if that is another number.
    #[expect(clippy::type_complexity, reason = "a point in its parts")]
    pub fn parts<const N: usize>(&mut self) -> Result<(&mut [T], &[T], &mut [Slots<T>; N]), Error> {
        let found = self.kept.len();
        let kept = self.kept.as_mut().try_into();
        let kept = kept.map_err(|_| Error::invalid("kept vectors", found, N.to_string()))?;
        Ok((self.w, self.x, kept))
    }
}

/// An algorithm of one loop: settings, and what they do in an iteration.
///
/// ```
/// use hypertape_solver::single_loop::{Joint, Kept, Moving, Sampled, SingleLoop, Sizes, Steps};
/// use hypertape_solver::{Error, InnerLoop, Named, Oracle, Run, axpy};
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
///     fn iterate(&self, on: &mut Sampled<f64>, at: &mut Moving<f64>, x_bar: &mut [f64]) -> Result<(), Error> {
///         let (lr, (w, x, [v])) = (self.steps.at(on.iteration()), at.parts()?);
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
///         on.give([g, b, mixed]);
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
    /// Its steps.
    fn steps(&self) -> Steps;

    /// What it keeps beside `w`.
    fn kept(&self, sizes: Sizes) -> Vec<Kept>;

    /// One iteration: moves `w` and what is kept, writes the direction of `x`.
    ///
    /// It is also run on an oracle that [rehearses](crate::Oracle::rehearses), to know its bytes: loops of steps go over
    /// [`Sampled::each`], and of what a coin or a period decides, all is done then.
    ///
    /// # Errors
    /// [`Error::Function`] if the problem fails, [`Error::Invalid`] for settings that do not fit it.
    fn iterate(
        &self,
        on: &mut Sampled<T>,
        at: &mut Moving<T>,
        x_bar: &mut [T],
    ) -> Result<(), Error>;

    /// What moves `x` unless another optimiser is asked for.
    fn outer(&self) -> Optimiser {
        self.steps().outer()
    }
}

/// `y <- y + a x`
fn add<T: Element>(y: &mut [T], a: f64, x: &[T]) {
    axpy(y, T::from_f64(a), x);
}
