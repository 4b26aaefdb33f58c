//! Checks of the derivatives of a problem, for its author: against central differences, against each other, and the
//! whole hypergradient against two independent ways of computing it.
//!
//! Slopes are compared with differences along random directions; `difference.rs` states step sizes and tolerances.
//! Differences need double precision. In single precision their two errors balance at 2e-5, which with third
//! derivatives is the size of the smallest mistakes worth finding, so these checks are skipped.

mod difference;
mod kinds;

use hypertape_autodiff::{Element, dot};
use rand::RngExt;

use crate::check::difference::{Worst, beyond, difference, norm, relative_gap};
pub(crate) use crate::check::kinds::Kind;
use crate::check::kinds::{
    BLOCKS, DIFFERENCED, FULL_TAPE, HESSIAN, INNER_W, MIXED, OUTER_W, OUTER_X, REPLAY, RUN, START,
    STOCHASTIC, SYMMETRY, USED,
};
pub use crate::check::kinds::{Check, Verdict};
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::estimator::Estimator;
use crate::estimator::exact::Exact;
use crate::estimator::full_tape::FullTape;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point};
use crate::params::largest;
use crate::solve::{mean_loss, solve};

/// Random directions per check. A mistake shows in each of them, except by accident.
const DIRECTIONS: usize = 3;

/// Inner steps to the point at which the losses are checked. They lead away from the start, which may be a special
/// point.
const FEW_STEPS: usize = 3;

/// Outer iterations compared with the first; with few tasks, two iterations may draw the same one.
const ITERATIONS: u64 = 8;

/// Checks the derivatives of a problem at `x` for the first task of `draw`, and the whole hypergradient for its
/// meta-batch.
///
/// `x` should be a generic point (see [`nearby`]), because mistakes can cancel at a special one.
///
/// The problem must be smooth at the point and along the run; otherwise checks may fail.
///
/// Cost: two exact hypergradients, one of them on one tape, and six runs. Memory: that of the tape.
///
/// ```
/// use hypertape_autodiff::{Array, Element, List, Shape};
/// use hypertape_solver::{Bilevel, Draw, InnerLoop, Oracle, Params, Rows, check};
///
/// struct Wrong;
/// impl<T: Element> Bilevel<T> for Wrong {
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
///         w[0].square() + w[0].detach() // the slope of the last term is lost
///     }
/// }
/// let mut oracle = Oracle::<f64>::new(Wrong)?;
/// let checks = check(&mut oracle, &InnerLoop::new(10, 0.1)?, &[0.5], Draw::new(0, 0))?;
/// let failed: Vec<_> = checks.iter().filter(|c| c.failed()).map(|c| c.name).collect();
/// assert_eq!(failed, ["outer gradient in w", "exact = differences"]);
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
///
/// # Errors
/// Returns the errors of an estimator, for example if a length is wrong, the run is not finite, or the problem fails.
pub fn check<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
) -> Result<Vec<Check>, Error> {
    Error::expect_length("the outer point", oracle.outer_dim(), x.len())?;
    let few = InnerLoop::new(inner.steps().min(FEW_STEPS), inner.lr())?;
    let task = draw.for_task(oracle.task(draw, 0));
    let mut w = Vec::new();
    solve(oracle, &few, x, task, &mut w)?;
    let mut site = Site { oracle, x, w: &w, draw: task, step: few.steps(), next: 0 };

    let replay = site.replayed()?;
    if replay.failed() {
        let rest = [STOCHASTIC, BLOCKS]
            .into_iter()
            .chain(DIFFERENCED)
            .chain([SYMMETRY, FULL_TAPE, USED, RUN]);
        let why = "values that change from call to call have no slope";
        return Ok([replay].into_iter().chain(rest.map(|kind| kind.skipped(why))).collect());
    }
    let mut checks = vec![replay, site.stochastic()?, site.blocks()?];
    let doubles = T::epsilon().as_f64() <= f64::EPSILON;
    let why = "differences need f64";
    if doubles {
        checks.push(site.inner_gradient()?);
        checks.extend(site.outer_gradient()?);
        checks.push(site.hessian()?);
        checks.push(site.mixed()?);
        checks.push(site.start()?);
    } else {
        checks.extend(DIFFERENCED.map(|kind| kind.skipped(why)));
    }
    checks.push(site.symmetry()?);
    let (full_tape, gradient) = site.full_tape(inner, draw)?;
    checks.push(full_tape);
    checks.push(used(site.oracle, &gradient));
    checks.push(if doubles { site.run(inner, draw, &gradient)? } else { RUN.skipped(why) });
    Ok(checks)
}

/// Returns `x` with each entry moved by up to 0.01, or by up to 1 % for absolute values above 1, in a random direction
/// taken from `draw`.
///
/// This is far enough to leave a special point and near enough to stay where the problem is well behaved.
pub fn nearby<T: Element>(x: &[T], draw: Draw) -> Vec<T> {
    let mut random = draw.at(Level::Coin, usize::MAX).stream();
    let mut moved = |&v: &T| {
        let by: f64 = random.random_range(-0.01..0.01);
        v + T::from_f64(by) * v.abs().max(T::one())
    };
    x.iter().map(&mut moved).collect()
}

impl Worst {
    fn judged(self, kind: Kind) -> Check {
        kind.judged(self.observed, self.allowed)
    }
}

/// A problem at the point where it is checked.
struct Site<'s, 'p, T> {
    oracle: &'s mut Oracle<'p, T>,
    x: &'s [T],
    w: &'s [T],
    draw: Draw,
    /// The inner step that is evaluated.
    step: usize,
    /// Number of the next direction.
    next: usize,
}

impl<'s, T: Element> Site<'s, '_, T> {
    fn point(&self) -> Point<'s, T> {
        Point { w: self.w, x: self.x, draw: self.draw }
    }

    /// Returns a random direction for the point `p`. The draws of level `Coin` are free, because no randomised
    /// estimator takes part.
    fn direction(&mut self, p: &[T]) -> Vec<T> {
        let mut random = self.draw.at(Level::Coin, self.next).stream();
        self.next += 1;
        let mut sign = |v: &T| {
            let size = v.abs().max(T::one());
            if random.random_bool(0.5) { size } else { -size }
        };
        p.iter().map(&mut sign).collect()
    }

    /// Returns start, inner gradient with its loss, and both outer gradients with their loss, at inner step `step` of
    /// `draw`.
    fn everything(&mut self, draw: Draw, step: usize) -> Result<Vec<T>, Error> {
        let point = Point { draw, ..self.point() };
        let (p, d) = (self.w.len(), self.x.len());
        let (mut start, mut by_w, mut f_w) =
            (vec![T::zero(); p], vec![T::zero(); p], vec![T::zero(); p]);
        let mut f_x = vec![T::zero(); d];
        self.oracle.init(self.x, draw, &mut start)?;
        let g = self.oracle.inner_gradient(point, step, &mut by_w)?;
        let f = self.oracle.outer_gradient(point, &mut f_w, &mut f_x)?;
        Ok([start, by_w, f_w, f_x, vec![g, f]].concat())
    }

    /// Counts the entries whose bits differ between an evaluation and its repetition after another one.
    fn replayed(&mut self) -> Result<Check, Error> {
        let first = self.everything(self.draw, self.step)?;
        self.everything(self.draw, self.step + 1)?;
        let again = self.everything(self.draw, self.step)?;
        let bits = |v: T| v.as_f64().to_bits();
        let changed = first.iter().zip(&again).filter(|&(&a, &b)| bits(a) != bits(b)).count();
        Ok(REPLAY.judged(changed as f64, 0.0))
    }

    /// Compares both losses over all samples at once with the sums over two and three blocks.
    fn blocks(&mut self) -> Result<Check, Error> {
        let mut observed = 0.0_f64;
        for step in [Some(self.step), None] {
            let point = self.point();
            let [whole, two, three] = [1, 2, 3].map(|n| self.oracle.value_in(point, step, Some(n)));
            let whole = whole?;
            for parts in [two?, three?] {
                observed = observed.max(relative_gap(&[whole], &[parts]));
            }
        }
        Ok(BLOCKS.judged(observed, rounding::<T>()))
    }

    /// Whether other outer iterations see other values, through their tasks or through random choices within a task.
    fn stochastic(&mut self) -> Result<Check, Error> {
        let (first, mut gap) = (self.everything(self.draw, self.step)?, 0.0);
        for later in 1..=ITERATIONS {
            let iteration = self.draw.iteration.wrapping_add(later);
            let draw = Draw { iteration, ..self.draw }.for_task(0).at(Level::Init, 0);
            let draw = draw.for_task(self.oracle.task(draw, 0));
            gap = relative_gap(&first, &self.everything(draw, self.step)?);
            if gap > 0.0 {
                return Ok(STOCHASTIC.noted(gap, "stochastic"));
            }
        }
        Ok(STOCHASTIC.noted(gap, "deterministic"))
    }

    fn inner_gradient(&mut self) -> Result<Check, Error> {
        let (point, step) = (self.point(), self.step);
        let mut gradient = vec![T::zero(); self.w.len()];
        let g = self.oracle.inner_gradient(point, step, &mut gradient)?.as_f64();
        let mut worst = Worst::default();
        for _ in 0..DIRECTIONS {
            let u = self.direction(self.w);
            let value = |w: &[T]| Ok([self.oracle.inner_value(Point { w, ..point }, step)?]);
            worst.slope(&gradient, &u, difference(self.w, &u, value)?, g);
        }
        Ok(worst.judged(INNER_W))
    }

    fn outer_gradient(&mut self) -> Result<[Check; 2], Error> {
        let point = self.point();
        let (mut by_w, mut by_x) = (vec![T::zero(); self.w.len()], vec![T::zero(); self.x.len()]);
        let f = self.oracle.outer_gradient(point, &mut by_w, &mut by_x)?.as_f64();
        let mut worst = [Worst::default(); 2];
        for _ in 0..DIRECTIONS {
            let u = self.direction(self.w);
            let value = |w: &[T]| Ok([self.oracle.outer_value(Point { w, ..point })?]);
            worst[0].slope(&by_w, &u, difference(self.w, &u, value)?, f);
            let u = self.direction(self.x);
            let value = |x: &[T]| Ok([self.oracle.outer_value(Point { x, ..point })?]);
            worst[1].slope(&by_x, &u, difference(self.x, &u, value)?, f);
        }
        Ok([worst[0].judged(OUTER_W), worst[1].judged(OUTER_X)])
    }

    /// `d2g/dw2 v` and `(d2g/dw dx)^T v`
    fn products(&mut self, v: &[T]) -> Result<[Vec<T>; 2], Error> {
        let (point, step) = (self.point(), self.step);
        let (mut by_w, mut by_x) = (vec![T::zero(); self.w.len()], vec![T::zero(); self.x.len()]);
        self.oracle.inner_products(point, step, v, &mut by_w, &mut by_x)?;
        Ok([by_w, by_x])
    }

    fn gradient_at(&mut self, w: &[T], x: &[T]) -> Result<Vec<T>, Error> {
        let point = Point { w, x, draw: self.draw };
        let mut gradient = vec![T::zero(); w.len()];
        self.oracle.inner_gradient(point, self.step, &mut gradient)?;
        Ok(gradient)
    }

    fn hessian(&mut self) -> Result<Check, Error> {
        let here = norm(&self.gradient_at(self.w, self.x)?);
        let (w, x, mut worst) = (self.w, self.x, Worst::default());
        for _ in 0..DIRECTIONS {
            let v = self.direction(w);
            let [product, _] = self.products(&v)?;
            let differences = difference(w, &v, |w| self.gradient_at(w, x))?;
            worst.vectors(&product, &differences, here);
        }
        Ok(worst.judged(HESSIAN))
    }

    fn mixed(&mut self) -> Result<Check, Error> {
        let here = norm(&self.gradient_at(self.w, self.x)?);
        let (w, x, mut worst) = (self.w, self.x, Worst::default());
        for _ in 0..DIRECTIONS {
            let (v, u) = (self.direction(w), self.direction(x));
            let [_, product] = self.products(&v)?;
            let slope = difference(x, &u, |x| Ok([dot(&self.gradient_at(w, x)?, &v)]))?;
            worst.slope(&product, &u, slope, here * largest(&v));
        }
        Ok(worst.judged(MIXED))
    }

    fn start(&mut self) -> Result<Check, Error> {
        let draw = self.draw;
        let mut start = vec![T::zero(); self.w.len()];
        self.oracle.init(self.x, draw, &mut start)?;
        let here = norm(&start);
        let mut worst = Worst::default();
        for _ in 0..DIRECTIONS {
            let (v, u) = (self.direction(&start), self.direction(self.x));
            let mut pulled = vec![T::zero(); self.x.len()];
            self.oracle.pull_init(self.x, draw, &v, &mut pulled)?;
            let mut there = vec![T::zero(); self.w.len()];
            let slope = difference(self.x, &u, |x| {
                self.oracle.init(x, draw, &mut there)?;
                Ok([dot(&there, &v)])
            })?;
            worst.slope(&pulled, &u, slope, here * largest(&v));
        }
        Ok(worst.judged(START))
    }

    fn symmetry(&mut self) -> Result<Check, Error> {
        let mut observed = 0.0_f64;
        for _ in 0..DIRECTIONS {
            let (u, v) = (self.direction(self.w), self.direction(self.w));
            let ([hu, _], [hv, _]) = (self.products(&u)?, self.products(&v)?);
            let gap = (dot(&u, &hv) - dot(&v, &hu)).as_f64().abs();
            let scale = (norm(&u) * norm(&hv)).max(norm(&v) * norm(&hu));
            if gap != 0.0 && beyond(gap / scale, observed) {
                observed = gap / scale;
            }
        }
        Ok(SYMMETRY.judged(observed, rounding::<T>()))
    }

    /// Compares the two exact estimators, and returns the gradient of the first as well.
    fn full_tape(&mut self, inner: &InnerLoop, draw: Draw) -> Result<(Check, Vec<T>), Error> {
        let mut gradients = [vec![T::zero(); self.x.len()], vec![T::zero(); self.x.len()]];
        let [exact, whole] = &mut gradients;
        Exact::default().estimate(self.oracle, inner, self.x, draw, exact)?;
        FullTape.estimate(self.oracle, inner, self.x, draw, whole)?;
        let check = FULL_TAPE.judged(relative_gap(exact, whole), rounding::<T>());
        let [exact, _] = gradients;
        Ok((check, exact))
    }

    fn run(&mut self, inner: &InnerLoop, draw: Draw, gradient: &[T]) -> Result<Check, Error> {
        let mut w = Vec::new();
        let loss = mean_loss(self.oracle, inner, self.x, draw, &mut w)?.as_f64();
        let mut worst = Worst::default();
        for _ in 0..DIRECTIONS {
            let u = self.direction(self.x);
            let value = |x: &[T]| Ok([mean_loss(self.oracle, inner, x, draw, &mut w)?]);
            worst.slope(gradient, &u, difference(self.x, &u, value)?, loss);
        }
        Ok(worst.judged(RUN))
    }
}

/// Whether every outer array influences the result.
fn used<T: Element>(oracle: &Oracle<T>, gradient: &[T]) -> Check {
    let named = oracle.start().with_values(gradient);
    let idle = named.iter().filter(|(.., values)| values.iter().all(|&v| v == T::zero())).count();
    USED.noted(idle as f64, if idle == 0 { "all" } else { "NOT ALL" })
}

/// Tolerance where two computations of the same value differ by rounding alone, in sums of many terms over many steps.
fn rounding<T: Element>() -> f64 {
    if T::epsilon().as_f64() <= f64::EPSILON { 1e-11 } else { 1e-4 }
}
