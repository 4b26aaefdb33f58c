//! `Implicit`: the gradient of the limit of the inner loop, by the implicit function theorem at `w_r`.
//!
//! ```text
//! H v = df/dw,    x_bar = df/dx - B^T v    all at w_r
//! ```
//!
//! where a [`LinearSolver`] solves the linear system (Pedregosa 2016; Grazzi, Franceschi, Pontil and Salzo 2020; as
//! AID-BiO with conjugate gradients and a warm start of `v`: Ji, Yang and Liang 2021). For rules with other fixed
//! points, such as `ista` and `projected`, the system is that of the fixed point (`equation.rs`), which is not
//! symmetric.
//!
//! Bias: compared with the unrolled loop, this is the gradient of another function. It ignores that `w_r` differs from
//! the limit `w*`, and that the start may depend on `x`. Compared with the limit, the bias is of the order of
//! `|w_r - w*|` and of the residual. On quadratics `g = w'A w/2 + x'C w`, `f = w'F w/2 + x'K w`, an exact solve is off
//! by `(K - C A^-1 F) (I - lr A)^r (w_0 - w*)`.
//!
//! Cost: `r + 1` inner gradients, one outer gradient, the products of the solver (see the table in `linear.rs`), and
//! one sweep that computes the mixed product and with it the true residual; a fixed point takes one further step. The
//! inner loss is evaluated as at step `r`. Memory: a state and `2 p + max(scratch, p + d)` values, the arenas of one
//! sweep, and with a warm start `p` values per task that stay in the estimator between calls. For a fixed point,
//! replace `p` by the length of the state, and add `3 p + d` values, or `4 p + d` if the rule takes the gradient at a
//! point ahead of `w`.

use std::sync::Arc;

use hypertape_autodiff::{Element, axpy};

use crate::by_place::ByPlace;
use crate::draw::{Level, Samples};
use crate::error::Error;
use crate::estimator::Estimator;
use crate::estimator::equation::Equation;
use crate::inner::finite;
use crate::linear::{LinearSolver, System, scratch};
use crate::minimise::minimise;
use crate::oracle::Oracle;
use crate::params::{Params, norm};
use crate::report::{Report, Soundness};
use crate::rollout::{Rollout, Task, finite_loss};
use crate::spelling::{Named, Range, Value, Visit};

/// The implicit hypergradient.
///
/// ```
/// use hypertape_autodiff::{Array, Element, List, Shape};
/// use hypertape_solver::linear::{Cg, Stop};
/// use hypertape_solver::{Bilevel, Draw, Estimator, Implicit, InnerLoop, Oracle, Params, Rows};
///
/// /// `g = w^2/2 + x w`, `f = w^2`, started at `w = 1`.
/// struct Scalar;
/// impl<T: Element> Bilevel<T> for Scalar {
///     fn start(&self) -> Params<T> {
///         Params::new().with("x", Shape::SCALAR, [T::from_f64(0.5)])
///     }
///     fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
///         List::from_slice(&[x[0].scalar(1.0)])
///     }
///     fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
///         w[0].square() * 0.5 + x[0] * w[0]
///     }
///     fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
///         w[0].square()
///     }
/// }
///
/// let mut oracle = Oracle::<f64>::new(Scalar)?;
/// let mut cg = Implicit::new(Cg { stop: Stop { iterations: 5, tolerance: 0.0 } })?;
/// let mut gradient = [0.0];
/// let estimate =
///     cg.estimate(&mut oracle, &InnerLoop::new(10, 0.1)?, &[0.5], Draw::new(0, 0), &mut gradient)?;
/// // -2 w_10, where the limit has -2 w* = 1
/// assert!((gradient[0] - -0.0460353203).abs() < 1e-15);
/// let report = estimate.soundness.report.unwrap();
/// assert_eq!((report.residual, report.iterations), (Some(0.0), 1));
/// assert!((report.inner_norm - 0.52301766015).abs() < 1e-15);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Debug)]
pub struct Implicit<T> {
    solver: Arc<dyn LinearSolver<T>>,
    mu: Option<f64>,
    minimum: Option<f64>,
    kept: Option<ByPlace<T>>,
}

impl<T: Element> Implicit<T> {
    /// Creates the estimator with `solver`, which starts from zero in every call.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if a setting of `solver` is out of range.
    pub fn new(solver: impl LinearSolver<T> + 'static) -> Result<Self, Error> {
        Self::shared(Arc::new(solver))
    }

    /// Creates the estimator with a solver whose type is not known statically.
    ///
    /// # Errors
    /// Returns the errors of [`new`](Self::new).
    pub fn shared(solver: Arc<dyn LinearSolver<T>>) -> Result<Self, Error> {
        solver.check()?;
        Ok(Self { solver, mu: None, minimum: None, kept: None })
    }

    /// Starts each solve from the last solution in the same place of the meta-batch, if that belongs to the same task.
    #[must_use]
    pub fn warm(self) -> Self {
        Self { kept: Some(ByPlace::default()), ..self }
    }

    /// First moves `w_r` to a minimum of the inner loss over all samples by L-BFGS, until `|dg/dw|` is the fraction
    /// `part` of its value at the start of the loop, as far as rounding allows.
    ///
    /// The [`Report`] states how far it got.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `part` is positive and finite.
    pub fn to_minimum(self, part: f64) -> Result<Self, Error> {
        Range::POSITIVE.check("minimum", part)?;
        Ok(Self { minimum: Some(part), ..self })
    }

    /// Declares that inner losses are `mu`-strongly convex in `w`, which bounds the error of the solution.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] unless `mu` is positive and finite.
    pub fn strongly_convex(self, mu: f64) -> Result<Self, Error> {
        Range::POSITIVE.check("mu", mu)?;
        Ok(Self { mu: Some(mu), ..self })
    }

    /// Creates the estimator with `solver`, and visits the settings of the estimator itself.
    pub(crate) fn spell(solver: impl LinearSolver<T> + 'static, visit: &mut Visit) -> Self {
        let help =
            "strong convexity of the inner loss; if given, the error of the solution is bounded";
        let mu = visit.get("mu", None, Range::POSITIVE, help);
        let help =
            "first minimise g by L-BFGS until |dg/dw| is this fraction of its value at the start";
        let minimum = visit.get("minimum", None, Range::POSITIVE, help);
        let help = "start each solve from the last solution";
        let warm = |warm| visit.get("warm", warm, Range::SWITCH, help);
        let kept = solver.warm().is_some_and(warm).then(ByPlace::default);
        Self { solver: Arc::new(solver), mu, minimum, kept }
    }
}

impl<T: Element> Named for Implicit<T> {
    fn name(&self) -> String {
        let (mut name, warm) = (self.solver.name(), self.kept.is_some());
        // A default of the command line is printed if it is switched off.
        let shown = warm || self.solver.warm() == Some(true);
        let own = [
            ("mu", self.mu.print()),
            ("minimum", self.minimum.print()),
            ("warm", shown.then(|| u8::from(warm).to_string())),
        ];
        for (setting, value) in own {
            let Some(value) = value else { continue };
            let sign = if name.contains(':') { ',' } else { ':' };
            name = format!("{name}{sign}{setting}={value}");
        }
        name
    }
}

impl<T: Element> Estimator<T> for Implicit<T> {
    /// Returns the kept solutions, named `v.PLACE.TASK`.
    fn state(&self) -> Params<T> {
        self.kept.as_ref().map_or_else(Params::new, |kept| kept.state("v"))
    }

    fn set_state(&mut self, state: &Params<T>) -> Result<(), Error> {
        let (read, found) = (ByPlace::read("v", state)?, state.names().len());
        match &mut self.kept {
            Some(kept) => *kept = read,
            None if found == 0 => {}
            None => return Err(Error::invalid("kept solutions", found, "0 without warm=1")),
        }
        Ok(())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        if self.solver.symmetric() && !oracle.stationary() {
            let expected = "one that comes to rest where dg/dw = 0; fixed-point, neumann, gmres and dense differentiate \
                            the fixed points of others";
            return Err(Error::invalid("the inner rule", oracle.rule(), expected));
        }
        let coin = at.draw.at(Level::Coin, at.slot);
        hypergradient(oracle, (at, self.minimum), gradient, |equation, b, v| {
            if equation.oracle.rehearses() {
                // Counts the solver's memory, which it states without allocating it, and one product.
                let taken = scratch(&*self.solver, v.len()).saturating_mul(size_of::<T>());
                equation.oracle.hold(taken);
                equation.apply(at.inner.steps(), b, v, None)?;
                equation.oracle.release(taken);
                return Ok((0, None));
            }
            // The matrix of a fixed point is not symmetric.
            let (step, symmetric) = (equation.step(), equation.oracle.stationary());
            // For a fixed point, `A` is at least `lr mu` if a step contracts by `1 - lr mu`.
            let mu = self.mu.map(|mu| if symmetric { mu } else { mu * at.inner.lr() });
            let mut system = System::new(equation, b, v);
            (system.symmetric, system.step, system.draw) = (symmetric, step, coin);
            if let Some(kept) = &self.kept {
                system.warm = kept.load(at.slot, coin.task, system.v);
            }
            let iterations = self.solver.solve(&mut system)?;
            if let Some(kept) = &self.kept {
                kept.store(at.slot, coin.task, system.v);
            }
            Ok((iterations, Some(mu)))
        })
    }
}

/// A larger relative residual is an error: it exceeds that of `v = 0` by more than rounding.
const UNSOLVED: f64 = 1.0 + 1e-3;

/// The part that all implicit estimates share. `solve(equation, b, v)` writes a solution of `A v = b` into `v`. It
/// returns its number of iterations, and `Some(mu)` if `A` is the same in every product, so that there is a residual.
pub(crate) fn hypergradient<T: Element>(
    oracle: &mut Oracle<T>,
    (at, minimum): (Task<T>, Option<f64>),
    gradient: &mut [T],
    solve: impl FnOnce(&mut Equation<T>, &[T], &mut [T]) -> Result<(usize, Option<Option<f64>>), Error>,
) -> Result<T, Error> {
    let (p, stationary) = (oracle.inner_dim(), oracle.stationary());
    let vanishing = oracle.implicit_vanishes()?;
    if vanishing && stationary {
        return Err(Error::ImplicitVanishes);
    }
    let (mut run, mut state) = Rollout::start(oracle, at)?;
    let mut before = None;
    run.forward(&mut state, |gradient, moved| {
        let unrest =
            || if stationary { norm(gradient) } else { norm(moved) / T::from_f64(at.inner.lr()) };
        before.get_or_insert_with(unrest);
    })?;
    run.close([]);
    if let Some(part) = minimum {
        if !stationary {
            let expected = "one that comes to rest where dg/dw = 0, for minimum";
            return Err(Error::invalid("the inner rule", oracle.rule(), expected));
        }
        let mut start = oracle.take(p)?;
        start.copy_from_slice(&state[..p]);
        let all = Task { draw: at.draw.on(Samples::All), ..at };
        let point = all.point(&start);
        let first = if let Some(before) = before {
            before
        } else {
            oracle.inner_gradient(point, at.inner.steps(), &mut state[..p])?;
            *before.insert(norm(&state[..p]))
        };
        minimise(oracle, point, at.inner.steps(), &mut state[..p], first * T::from_f64(part))?;
        oracle.give(start);
    }
    oracle.keep_end(at.draw, &state[..p]);
    // The rule's own variables are no part of a minimum.
    let n = if stationary { p } else { state.len() };
    let (mut v, mut b) = (oracle.take(n)?, oracle.take(n)?);
    let point = at.point(&state[..p]);
    let loss = finite_loss(oracle.outer_gradient(point, &mut b[..p], gradient)?, at.inner)?;
    b[p..].fill(T::zero());
    finite(&b, "the outer gradient", at.inner)?;
    let mut equation = Equation::new(oracle, at, &state[..n])?;
    if vanishing && !equation.rule_sees_x()? {
        return Err(Error::ImplicitVanishes);
    }
    let after = equation.unrest(&mut v)?;
    let (iterations, mu) = solve(&mut equation, &b, &mut v)?;
    let mut product = equation.oracle.take(n)?;
    equation.apply(at.inner.steps(), &v, &mut product, Some(gradient))?;
    axpy(&mut product, -T::one(), &b);
    finite(&product, "the residual of the linear system", at.inner)?;
    let left = norm(&product);
    let residual = mu.map(|_| ratio(left, norm(&b)));
    if let Some(residual) = residual.filter(|residual| *residual > UNSOLVED) {
        return Err(Error::Unsolved { residual, iterations });
    }
    let report = Report {
        residual,
        iterations,
        inner_norm: after.as_f64(),
        inner_ratio: ratio(after, before.unwrap_or(after)),
        solution_error: mu.flatten().map(|mu| left.as_f64() / mu),
        fixed_point: !stationary,
    };
    equation.oracle.note(Soundness { report: Some(report), ..Soundness::default() });
    equation.close();
    oracle.give_all([product, b, v, state]);
    Ok(loss)
}

/// Returns `a / b`, and 0 for `a = 0`.
fn ratio<T: Element>(a: T, b: T) -> f64 {
    if a.is_zero() { 0.0 } else { a.as_f64() / b.as_f64() }
}
