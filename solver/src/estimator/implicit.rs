//! `Implicit`: the gradient of the limit of the inner loop, by the implicit function theorem at `w_r`.
//!
//! ```text
//! H v = df/dw,    x_bar = df/dx - B^T v    all at w_r
//! ```
//!
//! with the linear system left to a [`LinearSolver`] (Pedregosa 2016; Grazzi, Franceschi, Pontil and Salzo 2020; as AID-BiO
//! with conjugate gradients and a warm start of `v`: Ji, Yang and Liang 2021).
//!
//! Bias: against the unrolled loop, this is the gradient of another function, which misses that `w_r` falls short of the
//! limit `w*` and that the start may depend on `x`. Against the limit it is of the order of `|w_r - w*|` and of the
//! residual: on quadratics `g = w'A w/2 + x'C w`, `f = w'F w/2 + x'K w`, an exact solve is off by
//! `(K - C A^-1 F) (I - lr A)^r (w_0 - w*)`.
//!
//! Cost: `r + 1` inner gradients, one outer gradient, the products of the solver (`linear.rs` has a table), and one sweep
//! that gives the mixed product and with it the true residual. The inner loss is evaluated as at step `r`. Memory:
//! a state and `2 p + max(scratch, p + d)` values, the arenas of one sweep, and with a warm start `p` values a task that
//! stay in the estimator between calls.

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::by_place::ByPlace;
use crate::draw::Level;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::linear::{LinearSolver, System};
use crate::oracle::{Oracle, Point};
use crate::params::{Params, norm};
use crate::profile::Profile;
use crate::report::Report;
use crate::rollout::{At, Rollout, finite_loss};
use crate::spelling::{About, Range, Settings, Spelled};

/// The implicit hypergradient.
///
/// ```
/// use hypertape_autodiff::{Array, Element, List, Shape};
/// use hypertape_solver::{Bilevel, Draw, Estimator, Implicit, InnerLoop, LinearSolver, Oracle, Params, Rows, Stop};
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
/// let mut cg = Implicit::new(LinearSolver::Cg { stop: Stop { iterations: 5, tolerance: 0.0 } })?;
/// let mut gradient = [0.0];
/// let estimate =
///     cg.estimate(&mut oracle, &InnerLoop::new(10, 0.1)?, &[0.5], Draw::new(0, 0), &mut gradient)?;
/// // -2 w_10, where the limit has -2 w* = 1
/// assert!((gradient[0] - -0.0460353203).abs() < 1e-15);
/// let report = estimate.report.unwrap();
/// assert_eq!((report.residual, report.iterations), (Some(0.0), 1));
/// assert!((report.inner_norm - 0.52301766015).abs() < 1e-15);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Implicit<T: Element> {
    solver: LinearSolver,
    mu: Option<f64>,
    kept: Option<ByPlace<T>>,
}

impl<T: Element> Implicit<T> {
    /// With `solver` from zero in every call.
    ///
    /// # Errors
    /// [`Error::Invalid`] for settings of `solver` that make no sense.
    pub fn new(solver: LinearSolver) -> Result<Self, Error> {
        Self { solver, mu: None, kept: None }.checked()
    }

    /// By each solver, as they are listed.
    pub(crate) fn listed() -> [Self; 6] {
        LinearSolver::listed().map(|solver| {
            let warm = matches!(solver, LinearSolver::FixedPoint { .. });
            Self { solver, mu: None, kept: warm.then(ByPlace::default) }
        })
    }

    /// Starts each solve from the last solution in the same place of the meta-batch, if that was of the same task.
    #[must_use]
    pub fn warm(self) -> Self {
        Self { kept: Some(ByPlace::default()), ..self }
    }

    /// For inner losses that are `mu`-strongly convex in `w`, which bounds the error of the solution.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `mu` is positive and finite.
    pub fn strongly_convex(self, mu: f64) -> Result<Self, Error> {
        Self { mu: Some(mu), ..self }.checked()
    }
}

impl<T: Element> Spelled for Implicit<T> {
    fn about(&self) -> About {
        self.solver.about()
    }

    fn spell(&self, settings: &mut Settings) -> Result<Self, Error> {
        let solver = self.solver.spell(settings)?;
        let help = "strong convexity of the inner loss, which bounds the error of the solution";
        let mu = settings.get("mu", self.mu, Range::POSITIVE, help);
        let mut warm = self.kept.is_some();
        // The others end where they end, whatever they start from.
        if !matches!(solver, LinearSolver::Neumann { .. } | LinearSolver::Dense) {
            let shown = warm || matches!(solver, LinearSolver::FixedPoint { .. });
            let help = "start each solve from the last solution";
            warm = settings.get_if(shown, "warm", warm, Range::SWITCH, help);
        }
        let kept = warm.then(|| self.kept.clone().unwrap_or_default());
        Ok(Self { solver, mu, kept })
    }
}

impl<T: Element> Estimator<T> for Implicit<T> {
    fn name(&self) -> String {
        self.text()
    }

    /// The kept solutions: `v.PLACE.TASK` for each.
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

    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        let p = usize::try_from(profile.inner).unwrap_or(usize::MAX);
        Ok(bytes(profile, steps, self.solver.scratch(p) as u64))
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        let coin = at.draw.at(Level::Coin, at.slot);
        hypergradient(oracle, inner, at, gradient, inner.steps(), |oracle, point, b, v| {
            let warm = self.kept.as_ref().is_some_and(|kept| kept.load(at.slot, coin.task, v));
            if !warm {
                v.fill(T::zero());
            }
            let mut scratch = oracle.take(self.solver.scratch(v.len()))?;
            let product =
                |u: &[T], hu: &mut [T]| product(oracle, inner, point, inner.steps(), u, hu);
            let mut system = System { b, v: &mut *v, warm };
            let settings = (inner.lr(), coin);
            let iterations = self.solver.solve(product, &mut system, &mut scratch, settings)?;
            oracle.give(scratch);
            if let Some(kept) = &self.kept {
                kept.store(at.slot, coin.task, v);
            }
            Ok((iterations, Some(self.mu)))
        })
    }
}

/// Bytes of an implicit estimate whose solver takes `scratch` values.
pub(crate) fn bytes(profile: &Profile, steps: usize, scratch: u64) -> u64 {
    let Profile { value, inner, outer, state, extra, .. } = *profile;
    let start = value * (state + inner) + profile.init.bytes;
    let step = if steps > 0 { profile.gradient.bytes.max(profile.update.bytes) } else { 0 };
    let run = value * (state + inner * (1 + extra)) + step.max(profile.query);
    let ends = profile.outer_gradient.bytes.max(profile.gradient.bytes);
    let solve = (value * scratch + profile.hessian.bytes).max(ends);
    let last = value * (inner + outer) + profile.products.bytes;
    start.max(run).max(value * (state + 2 * inner) + solve.max(last))
}

/// The part that all implicit estimates share. `solve(oracle, point, b, v)` writes a solution of `H v = b` at `point` into `v`,
/// and returns its iterations, and `Some(mu)` if `H` is the same in every product, so that there is a residual. The mixed product is that of inner step `mixed_step`.
pub(crate) fn hypergradient<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    At { x, draw, slot }: At<T>,
    gradient: &mut [T],
    mixed_step: usize,
    solve: impl FnOnce(
        &mut Oracle<T>,
        Point<T>,
        &[T],
        &mut [T],
    ) -> Result<(usize, Option<Option<f64>>), Error>,
) -> Result<T, Error> {
    if !oracle.stationary() {
        let expected = "one whose steps come to rest where dg/dw = 0";
        return Err(Error::invalid("the rule of an implicit estimate", oracle.rule(), expected));
    }
    if oracle.implicit_vanishes()? {
        return Err(Error::ImplicitVanishes);
    }
    let (steps, p) = (inner.steps(), oracle.inner_dim());
    let (mut run, mut state) = Rollout::start(oracle, inner, At { x, draw, slot })?;
    let mut before = None;
    run.forward(&mut state, |gradient| {
        before.get_or_insert_with(|| norm(gradient));
    })?;
    run.close([]);
    oracle.keep_end(draw, &state[..p]);
    let (mut v, mut b) = (oracle.take(p)?, oracle.take(p)?);
    let point = Point { w: &state[..p], x, draw };
    let loss = finite_loss(oracle.outer_gradient(point, &mut b, gradient)?, inner)?;
    finite(&b, "the outer gradient", inner)?;
    oracle.inner_gradient(point, steps, &mut v)?;
    finite(&v, "the gradient of the inner loss", inner)?;
    let after = norm(&v);
    let (iterations, mu) = solve(oracle, point, &b, &mut v)?;
    let (mut product, mut mixed) = (oracle.take(p)?, oracle.take(x.len())?);
    oracle.inner_products(point, mixed_step, &v, &mut product, &mut mixed)?;
    axpy(gradient, -T::one(), &mixed);
    axpy(&mut product, -T::one(), &b);
    finite(&product, "the residual of the linear system", inner)?;
    let left = norm(&product);
    oracle.note(Report {
        residual: mu.map(|_| ratio(left, norm(&b))),
        iterations,
        inner_norm: after.as_f64(),
        inner_ratio: ratio(after, before.unwrap_or(after)),
        solution_error: mu.flatten().map(|mu| left.as_f64() / mu),
    });
    for vector in [mixed, product, b, v, state] {
        oracle.give(vector);
    }
    Ok(loss)
}

/// `H u` at inner step `step`, finite.
pub(crate) fn product<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    point: Point<T>,
    step: usize,
    u: &[T],
    hu: &mut [T],
) -> Result<(), Error> {
    oracle.hessian_product(point, step, u, hu)?;
    finite(hu, "a product with the inner Hessian", inner)
}

fn finite<T: Element>(a: &[T], quantity: &'static str, inner: &InnerLoop) -> Result<(), Error> {
    if all_finite(a) {
        return Ok(());
    }
    Err(Error::NonFinite { quantity, step: None, lr: inner.lr() })
}

/// `a / b`, and 0 for `a = 0`.
fn ratio<T: Element>(a: T, b: T) -> f64 {
    if a.is_zero() { 0.0 } else { a.as_f64() / b.as_f64() }
}
