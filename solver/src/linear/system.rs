//! `LinearSolver` and what it is given: the system by its products, vectors to work with, when iterations end.

use std::fmt;
use std::sync::Arc;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::params::norm;
use crate::spelling::{Named, Range, Visit};

/// A matrix `A` that is known by its products with vectors, and the memory that a solver takes its vectors from. A closure
/// that writes `A u` is one, with memory of the system's.
pub trait Operator<T> {
    /// Writes `A u` into `au`.
    ///
    /// # Errors
    /// Those of whatever evaluates it; a solver passes them on.
    fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error>;

    /// A vector of `len` values, which may be anything.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no memory for it.
    fn take(&mut self, len: usize) -> Result<Vec<T>, Error>;

    /// Gives one back.
    fn give(&mut self, _vector: Vec<T>) {}
}

impl<T: Element, F: FnMut(&[T], &mut [T]) -> Result<(), Error>> Operator<T> for F {
    fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error> {
        self(u, au)
    }

    fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        Ok(vec![T::zero(); len])
    }
}

/// `A v = b`, from a start in `v`.
#[non_exhaustive]
pub struct System<'s, T> {
    /// The right-hand side.
    pub b: &'s [T],
    /// The start, then the solution.
    pub v: &'s mut [T],
    /// Whether the start is another than zero.
    pub warm: bool,
    /// Whether `A` is symmetric.
    pub symmetric: bool,
    /// The number `c` for which `v <- v + c (b - A v)` is an iteration by inner steps: their size for a Hessian, 1 for a
    /// fixed point.
    pub step: f64,
    /// The name of random choices.
    pub draw: Draw,
    unknowns: usize,
    started: bool,
    operator: &'s mut dyn Operator<T>,
}

impl<T> fmt::Debug for System<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("unknowns", &self.unknowns).finish_non_exhaustive()
    }
}

impl<'s, T: Element> System<'s, T> {
    /// With a symmetric matrix, a start at `v = 0`, and a step of 1; change a field for anything else.
    pub fn new(operator: &'s mut dyn Operator<T>, b: &'s [T], v: &'s mut [T]) -> Self {
        let (unknowns, draw) = (b.len(), Draw::new(0, 0));
        v.fill(T::zero());
        Self {
            b,
            v,
            warm: false,
            symmetric: true,
            step: 1.0,
            draw,
            unknowns,
            started: false,
            operator,
        }
    }

    /// Their number, which sizes of vectors follow from. `b` has as many entries, or none where only the memory that a solver
    /// takes is asked for.
    pub fn unknowns(&self) -> usize {
        self.unknowns
    }

    /// Writes `A u` into `au`.
    ///
    /// # Errors
    /// Those of the [`Operator`].
    pub fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error> {
        self.operator.product(u, au)
    }

    /// Writes `b - A v` into `r`, without a product where `v` is zero. The first time, a start that is worse than zero is put
    /// aside.
    ///
    /// # Errors
    /// Those of the [`Operator`].
    pub fn residual(&mut self, r: &mut [T]) -> Result<(), Error> {
        let first = !std::mem::replace(&mut self.started, true);
        if !self.warm {
            r.copy_from_slice(self.b);
            return Ok(());
        }
        self.operator.product(self.v, r)?;
        for (r, &b) in r.iter_mut().zip(self.b) {
            *r = b - *r;
        }
        if first && norm(r) > norm(self.b) {
            self.v.fill(T::zero());
            r.copy_from_slice(self.b);
        }
        Ok(())
    }

    /// A vector of `len` values, which may be anything: all are taken before the first product, counted as used, and given
    /// back.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no memory for it.
    pub fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.operator.take(len)
    }

    /// As many vectors of one value an unknown.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn vectors<const N: usize>(&mut self) -> Result<[Vec<T>; N], Error> {
        let mut all = [(); N].map(|()| Vec::new());
        for vector in &mut all {
            *vector = self.take(self.unknowns)?;
        }
        Ok(all)
    }

    /// Gives vectors back.
    pub fn give<const N: usize>(&mut self, vectors: [Vec<T>; N]) {
        for vector in vectors {
            self.operator.give(vector);
        }
    }
}

/// When iterations end: after so many, or once the residual is at most `tolerance |b|`, where a tolerance below the
/// precision of the element type counts as that precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Most iterations.
    pub iterations: usize,
    /// Of the residual, relative to `b`.
    pub tolerance: f64,
}

impl Stop {
    /// The norm of the residual at which iterations end.
    pub fn residual<T: Element>(&self, b: &[T]) -> T {
        T::from_f64(self.tolerance).max(T::epsilon()) * norm(b)
    }

    /// With the settings of both, which those of a solver end with.
    #[must_use]
    pub fn spell(&self, visit: &mut Visit) -> Self {
        let help = "residual at which the iterations end, relative to |df/dw|";
        let (most, least) = (Range::ONE_OR_MORE, Range::NOT_NEGATIVE);
        Self {
            iterations: visit.get(
                "iterations",
                self.iterations,
                most,
                "maximum number of iterations",
            ),
            tolerance: visit.get("tolerance", self.tolerance, least, help),
        }
    }
}

/// How the linear system of an implicit estimate is solved. It sees the matrix by products alone: `H = d2g/dw2`, or, for a
/// rule that comes to rest elsewhere than where `dg/dw = 0`, `I - (dw'/dw)^T` of a step.
///
/// ```
/// use hypertape_autodiff::{Element, axpy, dot};
/// use hypertape_solver::linear::{LinearSolver, Stop, System};
/// use hypertape_solver::{Error, Named, norm};
///
/// /// Steps along the residual, each as long as makes the next one smallest.
/// #[derive(Debug)]
/// struct Steepest(Stop);
/// impl Named for Steepest {
///     fn name(&self) -> String { "steepest".into() }
/// }
/// impl<T: Element> LinearSolver<T> for Steepest {
///     fn symmetric(&self) -> bool { false }
///     fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
///         let ([mut r, mut ar], limit) = (system.vectors()?, self.0.residual(system.b));
///         system.residual(&mut r)?;
///         let mut iterations = 0;
///         while norm(&r) > limit && iterations < self.0.iterations {
///             system.product(&r, &mut ar)?;
///             let step = dot(&r, &ar) / dot(&ar, &ar);
///             axpy(system.v, step, &r);
///             axpy(&mut r, -step, &ar);
///             iterations += 1;
///         }
///         system.give([r, ar]);
///         Ok(iterations)
///     }
/// }
///
/// let mut matrix = |u: &[f64], au: &mut [f64]| {
///     au.copy_from_slice(&[2.0 * u[0] + u[1], 3.0 * u[1]]);
///     Ok(())
/// };
/// let mut v = [0.0; 2];
/// let stop = Stop { iterations: 100, tolerance: 1e-12 };
/// Steepest(stop).solve(&mut System::new(&mut matrix, &[5.0, 3.0], &mut v))?;
/// assert!((v[0] - 2.0).abs() < 1e-11 && (v[1] - 1.0).abs() < 1e-11);
/// # Ok::<(), Error>(())
/// ```
pub trait LinearSolver<T: Element>: Named + fmt::Debug + Send + Sync {
    /// Whether an estimate starts each solve from the last solution unless it is told otherwise; `None` of a solver that
    /// takes no notice of its start.
    fn warm(&self) -> Option<bool> {
        Some(false)
    }

    /// Whether it rests on a symmetric matrix, as that of a fixed point is not.
    fn symmetric(&self) -> bool {
        true
    }

    /// Leaves the solution in `system.v` and returns the number of iterations. What is left of the system is for the caller
    /// to evaluate.
    ///
    /// # Errors
    /// [`Error::Indefinite`] or [`Error::Singular`] of a matrix that it cannot solve with; those of the products.
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error>;
}

impl<S: Named + ?Sized> Named for Arc<S> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn check(&self) -> Result<(), Error> {
        (**self).check()
    }
}

impl<T: Element, S: LinearSolver<T> + ?Sized> LinearSolver<T> for Arc<S> {
    fn warm(&self) -> Option<bool> {
        (**self).warm()
    }

    fn symmetric(&self) -> bool {
        (**self).symmetric()
    }

    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        (**self).solve(system)
    }
}

/// Values of scratch that a solver takes for so many unknowns: it is run without any, until it asks for a product.
pub(crate) fn scratch<T: Element>(solver: &dyn LinearSolver<T>, unknowns: usize) -> usize {
    struct Charge(usize);
    impl<T> Operator<T> for Charge {
        fn product(&mut self, _: &[T], _: &mut [T]) -> Result<(), Error> {
            Err(Error::invalid("a product", "none", "one"))
        }

        fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
            self.0 = self.0.saturating_add(len);
            Ok(Vec::new())
        }
    }
    let mut charge = Charge(0);
    // Whether it ends by itself or with the product does not matter.
    let _ = solver.solve(&mut System { unknowns, ..System::new(&mut charge, &[], &mut []) });
    charge.0
}
