//! `Loop`: the schedules for any loop, outside bilevel problems.
//!
//! Cost of a gradient: `plain_steps` steps, one recorded and swept step for each of the `r`. Memory for a state of `n` and
//! `d` parameters: `n (slots + 2)` values, and the arenas or the tape of one step; a Hessian-vector product has twice as
//! many values.

use std::fmt;
use std::time::Instant;

use hypertape_autodiff::scalar::Scalar;
use hypertape_autodiff::{Element, Fault};

use crate::adjoint::{Chain, Itinerary, Length, execute};
use crate::cost::Cost;
use crate::error::Error;
use crate::params::Params;
use crate::pool::Pool;
use crate::recurrence::arrays::Arrays;
use crate::recurrence::numbers::Numbers;
use crate::recurrence::{Body, Recurrence, ScalarRecurrence, Stage, Visit};
use crate::schedule::Schedule;

/// A [`Recurrence`] or [`ScalarRecurrence`], differentiated under a [`Schedule`] of states.
///
/// ```
/// use hypertape_autodiff::{Array, Element, List, Shape};
/// use hypertape_solver::{Loop, Params, Recurrence};
///
/// /// `s' = -x s`, `s(0) = 1`, by Euler steps of 0.01; the loss is `s`.
/// struct Decay;
/// impl<T: Element> Recurrence<T> for Decay {
///     fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A> {
///         List::from_slice(&[x[0].scalar(1.0)])
///     }
///     fn step<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A], _: usize) -> List<A> {
///         List::from_slice(&[s[0] - x[0] * s[0] * 0.01])
///     }
///     fn loss<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], _: &[A]) -> A { s[0] }
/// }
///
/// let x = Params::new().with("rate", Shape::SCALAR, [0.5]);
/// let mut run = Loop::new(Decay, x, 1000, "binomial:c=10".parse()?)?;
/// let (mut gradient, mut product) = ([0.0], [0.0]);
/// let (loss, cost) = run.hvp(&[0.5], &[1.0], &mut gradient, &mut product)?;
/// assert!((loss - 0.995_f64.powi(1000)).abs() < 1e-15);
/// assert!((gradient[0] - -10.0 * 0.995_f64.powi(999)).abs() < 1e-14);
/// assert!((product[0] - 99.9 * 0.995_f64.powi(998)).abs() < 1e-13);
/// assert_eq!((cost.plain_steps, cost.bytes_measured < 8192), (3637, true));
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
pub struct Loop<'r, T> {
    body: Box<dyn Body<T> + 'r>,
    /// Number of parameters.
    dim: usize,
    steps: usize,
    plan: Itinerary,
    /// Whether the loop ends with the step that led to a state.
    until: Option<Box<Until<'r, T>>>,
    pool: Pool<T>,
}

/// Whether a loop ends with the step that led to a state, of which so many were taken.
type Until<'r, T> = dyn Fn(&[T], usize) -> bool + Send + 'r;

/// Where a loop ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended<T> {
    /// The value.
    pub value: T,
    /// The last state, its arrays one after the other.
    pub state: Vec<T>,
    /// Steps that were taken.
    pub steps: usize,
    /// What it cost.
    pub cost: Cost,
}

impl<T: fmt::Debug> fmt::Debug for Loop<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<'r, T: Element> Loop<'r, T> {
    /// `steps` steps, with parameters of the shapes of `x`.
    ///
    /// # Errors
    /// [`Error::Function`] if the start fails at `x`; [`Error::Invalid`] for a schedule that does not fit.
    pub fn new(
        recurrence: impl Recurrence<T> + 'r,
        x: Params<T>,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        let dim = x.values().len();
        Self::of(Box::new(Arrays::new(recurrence, x).map_err(in_loop)?), dim, steps, schedule)
    }

    /// `steps` steps over single numbers, `dim` of which are parameters.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Real;
    /// use hypertape_solver::{Loop, ScalarRecurrence};
    ///
    /// /// `s' = x s (1 - s)`, the logistic map; the loss is `s`.
    /// struct Logistic;
    /// impl ScalarRecurrence<f64> for Logistic {
    ///     fn dim(&self) -> usize { 1 }
    ///     fn start<R: Real>(&self, _: &[R], s: &mut [R]) { s[0] = R::constant(0.5) }
    ///     fn step<R: Real>(&self, s: &[R], x: &[R], _: usize, next: &mut [R]) {
    ///         next[0] = x[0] * s[0] * (-s[0] + 1.0);
    ///     }
    ///     fn loss<R: Real>(&self, s: &[R], _: &[R]) -> R { s[0] }
    /// }
    ///
    /// // From 1/2 two steps lead to x^2/4 - x^3/16.
    /// let mut run = Loop::scalar(Logistic, 1, 2, "constant".parse()?)?;
    /// let (mut gradient, mut product) = ([0.0], [0.0]);
    /// let (loss, _) = run.hvp(&[2.0], &[1.0], &mut gradient, &mut product)?;
    /// assert_eq!((loss, gradient, product), (0.5, [0.25], [-0.25]));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a schedule that does not fit.
    pub fn scalar(
        recurrence: impl ScalarRecurrence<T> + 'r,
        dim: usize,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error>
    where
        T: Scalar<Plain = T>,
    {
        Self::of(Box::new(Numbers::new(recurrence)), dim, steps, schedule)
    }

    fn of(
        body: Box<dyn Body<T> + 'r>,
        dim: usize,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        let plan = Itinerary::new(schedule, Length::Known(steps), false)?;
        Ok(Self { body, dim, steps, plan, until: None, pool: Pool::default() })
    }

    /// Ends the loop with the first step after which `until` says so of the state and the steps taken, at the latest after
    /// those that it was given. The number of steps is not differentiated.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Real;
    /// use hypertape_solver::{Loop, ScalarRecurrence};
    ///
    /// /// Newton's iteration for the square root of `x`, from 1.
    /// struct Root;
    /// impl ScalarRecurrence<f64> for Root {
    ///     fn dim(&self) -> usize { 1 }
    ///     fn start<R: Real>(&self, _: &[R], s: &mut [R]) { s[0] = R::constant(1.0) }
    ///     fn step<R: Real>(&self, s: &[R], x: &[R], _: usize, next: &mut [R]) {
    ///         next[0] = (s[0] + x[0] / s[0]) * 0.5;
    ///     }
    ///     fn loss<R: Real>(&self, s: &[R], _: &[R]) -> R { s[0] }
    /// }
    ///
    /// let root = Loop::scalar(Root, 1, 100, "online:c=2".parse()?)?;
    /// let mut root = root.until(|s, _| (s[0] * s[0] - 2.0).abs() < 1e-14)?;
    /// let mut gradient = [0.0];
    /// let (value, _) = root.gradient(&[2.0], &mut gradient)?;
    /// assert_eq!(root.run(&[2.0])?.steps, 5);
    /// assert!((value - 2.0_f64.sqrt()).abs() < 1e-14 && (gradient[0] - 0.125_f64.sqrt()).abs() < 1e-10);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for a schedule that is not online, as the number of steps is not known before.
    pub fn until(self, until: impl Fn(&[T], usize) -> bool + Send + 'r) -> Result<Self, Error> {
        let plan = Itinerary::new(self.plan.schedule(), Length::AtMost(self.steps), false)?;
        Ok(Self { plan, until: Some(Box::new(until)), ..self })
    }

    /// Runs the loop forward. Cost: its steps, and a state.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Real;
    /// use hypertape_solver::{Loop, ScalarRecurrence};
    ///
    /// /// A sum of squares of `x^t` for `t < 3`: a running loss.
    /// struct Powers;
    /// impl ScalarRecurrence<f64> for Powers {
    ///     fn dim(&self) -> usize { 1 }
    ///     fn start<R: Real>(&self, _: &[R], s: &mut [R]) { s[0] = R::constant(1.0) }
    ///     fn step<R: Real>(&self, s: &[R], x: &[R], _: usize, next: &mut [R]) { next[0] = s[0] * x[0] }
    ///     fn running<R: Real>(&self, s: &[R], _: &[R], _: usize) -> Option<R> { Some(s[0].square()) }
    ///     fn loss<R: Real>(&self, _: &[R], _: &[R]) -> R { R::constant(0.0) }
    /// }
    ///
    /// let mut powers = Loop::scalar(Powers, 1, 3, "store-all".parse()?)?;
    /// let (ended, mut gradient) = (powers.run(&[2.0])?, [0.0]);
    /// assert_eq!((ended.value, &ended.state[..], ended.steps), (1.0 + 4.0 + 16.0, &[8.0][..], 3));
    /// // 2 x + 4 x^3
    /// assert_eq!((powers.gradient(&[2.0], &mut gradient)?.0, gradient), (21.0, [36.0]));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient).
    pub fn run(&mut self, x: &[T]) -> Result<Ended<T>, Error> {
        self.expect(&[("the point", x.len())])?;
        let (clock, most) = (Instant::now(), self.steps);
        let Self { body, until, pool, .. } = self;
        let mut pass = Pass::new(body.as_mut(), until.as_deref(), false, x, pool);
        let mut state = pass.pool.take(pass.body.dim())?;
        pass.forward(Stage::Start, &mut state)?;
        let (mut value, mut steps) = (T::zero(), 0);
        while steps < most && !pass.ended {
            value += pass.value(Stage::Step(steps), &state)?;
            pass.advance(steps, &mut state)?;
            steps += 1;
        }
        value += pass.value(Stage::Loss, &state)?;
        let (kept, cost) = (state.clone(), pass.pool.meter.cost);
        pass.pool.give(state);
        Ok(Ended { value, state: kept, steps, cost: Cost { time: clock.elapsed(), ..cost } })
    }

    /// Writes `df/dx`; returns `f` and what it cost.
    ///
    /// # Errors
    /// [`Error::Function`] if a function fails, [`Error::Invalid`] if a length does not match, [`Error::Spill`].
    pub fn gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        self.expect(&[("the point", x.len()), ("the gradient buffer", gradient.len())])?;
        self.pull(false, x, gradient)
    }

    /// Writes `df/dx` and `d2f/dx2 v`; returns `f` and what it cost.
    ///
    /// # Errors
    /// As [`gradient`](Self::gradient).
    pub fn hvp(
        &mut self,
        x: &[T],
        v: &[T],
        gradient: &mut [T],
        product: &mut [T],
    ) -> Result<(T, Cost), Error> {
        let buffers =
            [("the gradient buffer", gradient.len()), ("the product buffer", product.len())];
        self.expect(&[("the point", x.len()), ("the direction", v.len())])?;
        self.expect(&buffers)?;
        let (point, mut out) = ([x, v].concat(), vec![T::zero(); 2 * x.len()]);
        let result = self.pull(true, &point, &mut out)?;
        gradient.copy_from_slice(&out[..x.len()]);
        product.copy_from_slice(&out[x.len()..]);
        Ok(result)
    }

    fn expect(&self, lengths: &[(&str, usize)]) -> Result<(), Error> {
        let wrong = lengths.iter().find(|(_, len)| *len != self.dim);
        wrong.map_or(Ok(()), |&(what, len)| Err(Error::length(what, self.dim, len)))
    }

    /// With a tangent, its plane follows that of the values in every vector.
    fn pull(&mut self, tangent: bool, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        let clock = Instant::now();
        let Self { body, plan, until, pool, .. } = self;
        let mut pass = Pass::new(body.as_mut(), until.as_deref(), tangent, x, pool);
        let planes = if tangent { 2 } else { 1 };
        let mut state = pass.pool.take(planes * pass.body.dim())?;
        pass.forward(Stage::Start, &mut state)?;
        let (loss, mut bar) = execute(&mut pass, plan, &mut state, gradient)?;
        // The start does not look at a state: any will do.
        pass.pull_back(Stage::Start, &state, [&mut bar, gradient])?;
        pass.pool.give(bar);
        pass.pool.give(state);
        Ok((loss + pass.running, Cost { time: clock.elapsed(), ..pass.pool.meter.cost }))
    }
}

fn in_loop(fault: Fault) -> Error {
    Error::Function { function: "recurrence", fault }
}

/// One pass over a loop.
struct Pass<'l, 'r, T> {
    body: &'l mut (dyn Body<T> + 'r),
    at: Visit<'l, T>,
    until: Option<&'l Until<'r, T>>,
    /// Whether the loop ended with the last step.
    ended: bool,
    /// The losses of the steps that were reversed.
    running: T,
    pool: &'l mut Pool<T>,
}

impl<'l, 'r, T: Element> Pass<'l, 'r, T> {
    /// Counts afresh.
    fn new(
        body: &'l mut (dyn Body<T> + 'r),
        until: Option<&'l Until<'r, T>>,
        tangent: bool,
        x: &'l [T],
        pool: &'l mut Pool<T>,
    ) -> Self {
        pool.meter.reset();
        let at = Visit { stage: Stage::Start, x, tangent };
        Self { body, at, until, ended: false, running: T::zero(), pool }
    }

    fn value(&mut self, stage: Stage, state: &[T]) -> Result<T, Error> {
        let (value, bytes) = self.body.value(Visit { stage, ..self.at }, state).map_err(in_loop)?;
        self.pool.meter.observe(bytes);
        Ok(value)
    }

    fn forward(&mut self, stage: Stage, state: &mut [T]) -> Result<(), Error> {
        let bytes = self.body.forward(Visit { stage, ..self.at }, state).map_err(in_loop)?;
        self.pool.meter.observe(bytes);
        Ok(())
    }

    fn pull_back(&mut self, stage: Stage, state: &[T], bars: [&mut [T]; 2]) -> Result<T, Error> {
        let pulled = self.body.reverse(Visit { stage, ..self.at }, state, bars);
        let (loss, bytes) = pulled.map_err(in_loop)?;
        self.pool.meter.observe(bytes);
        Ok(loss)
    }
}

impl<T: Element> Chain<T> for Pass<'_, '_, T> {
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        self.pool.meter.cost.plain_steps += 1;
        self.forward(Stage::Step(t), state)?;
        let values = &state[..self.body.dim()];
        self.ended = self.until.is_some_and(|until| until(values, t + 1));
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        x_bar.fill(T::zero());
        self.pull_back(Stage::Loss, &[], [state, x_bar])
    }

    fn reverse(
        &mut self,
        t: usize,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let running = self.pull_back(Stage::Step(t), state, [bar, x_bar])?;
        self.running += running;
        Ok(())
    }

    fn pool(&mut self) -> &mut Pool<T> {
        self.pool
    }
}
