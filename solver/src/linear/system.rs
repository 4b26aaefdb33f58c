//! `LinearSolver` and its input: the system given by products, working memory, and the stopping criterion.

use std::fmt;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::params::norm;
use crate::spelling::{Named, Range, Visit};

/// A matrix `A` given by its products with vectors, and the source of a solver's working memory.
///
/// A closure that writes `A u` is an operator whose vectors come from the heap.
pub trait Operator<T> {
    /// Writes `A u` into `au`.
    ///
    /// # Errors
    /// Returns any error of the evaluation; a solver passes it on.
    fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error>;

    /// Returns a vector of `len` unspecified values.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    fn take(&mut self, len: usize) -> Result<Vec<T>, Error>;

    /// Gives a vector back.
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

/// The system `A v = b`, with a start in `v`.
#[non_exhaustive]
pub struct System<'s, T> {
    /// Right-hand side.
    pub b: &'s [T],
    /// On entry the start, on return the solution.
    pub v: &'s mut [T],
    /// Whether the start is different from zero.
    pub warm: bool,
    /// Whether `A` is symmetric.
    pub symmetric: bool,
    /// The number `c` for which `v <- v + c (b - A v)` iterates by inner steps: their size for a Hessian, 1 for a fixed
    /// point.
    pub step: f64,
    /// Identifies the random choices of the solver.
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
    /// Creates a system with a symmetric matrix, the start `v = 0` and step 1. Change the fields for other values.
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

    /// Number of unknowns, from which a solver derives the lengths of its vectors.
    ///
    /// `b` has as many entries, or none if only the solver's memory is counted.
    pub fn unknowns(&self) -> usize {
        self.unknowns
    }

    /// Writes `A u` into `au`.
    ///
    /// # Errors
    /// Returns the errors of the [`Operator`].
    pub fn product(&mut self, u: &[T], au: &mut [T]) -> Result<(), Error> {
        self.operator.product(u, au)
    }

    /// Writes `b - A v` into `r`, without a product if `v` is zero.
    ///
    /// The first call replaces a start that is worse than zero by zero.
    ///
    /// # Errors
    /// Returns the errors of the [`Operator`].
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

    /// Returns a vector of `len` unspecified values that is counted as used.
    ///
    /// A solver must take all its vectors before the first product, and give them back.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    pub fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.operator.take(len)
    }

    /// Returns `N` vectors with one value per unknown.
    ///
    /// # Errors
    /// Returns the errors of [`take`](Self::take).
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

/// When iterations end: after `iterations`, or once the residual is at most `tolerance |b|`.
///
/// A tolerance below the precision of the element type counts as that precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stop {
    /// Largest number of iterations.
    pub iterations: usize,
    /// Norm of the residual relative to that of `b`.
    pub tolerance: f64,
}

impl Default for Stop {
    /// At most 20 iterations, down to a relative residual of 1e-12.
    fn default() -> Self {
        Self { iterations: 20, tolerance: 1e-12 }
    }
}

impl Stop {
    /// Returns the norm of the residual at which iterations end.
    pub fn residual<T: Element>(&self, b: &[T]) -> T {
        T::from_f64(self.tolerance).max(T::epsilon()) * norm(b)
    }

    /// Visits both settings; a solver visits them after its own.
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

/// A solver of the linear system of an implicit estimate.
///
/// It accesses the matrix only through products. The matrix is `H = d2g/dw2`, or, for a rule with other fixed points
/// than `dg/dw = 0`, `I - (dw'/dw)^T` of a step.
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
    /// Whether an estimate starts each solve from the last solution by default.
    ///
    /// `None` means that the solver ignores its start.
    fn warm(&self) -> Option<bool> {
        Some(false)
    }

    /// Whether it requires a symmetric matrix, which that of a fixed point is not.
    fn symmetric(&self) -> bool {
        true
    }

    /// Writes the solution to `system.v` and returns the number of iterations. The caller evaluates the residual.
    ///
    /// # Errors
    /// Returns [`Error::Indefinite`] or [`Error::Singular`] if the matrix is not suitable, and the errors of the
    /// products.
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error>;
}

/// Number of values of working memory that a solver takes for `unknowns` unknowns. The solver runs without memory until
/// it requests a product.
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
    // Whether it ends before the first product or because of it makes no difference.
    let _ = solver.solve(&mut System { unknowns, ..System::new(&mut charge, &[], &mut []) });
    charge.0
}
