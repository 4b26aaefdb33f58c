//! `Loop`: checkpointing for any loop outside bilevel problems.
//!
//! Cost of a gradient: `plain_steps` plain steps, and one recorded and swept step for each of the `r` steps. Memory for
//! a state of `n` values: `n (slots + 2)` values, and the arenas or the tape of one step. A Hessian-vector product
//! needs twice as many values.

use std::fmt;
use std::time::Instant;

use hypertape_autodiff::passes::{Group, evaluate};
use hypertape_autodiff::scalar::Scalar;
use hypertape_autodiff::{Array, Element, List, Shape, Tensor};

use crate::adjoint::{Chain, Itinerary, Length, execute};
use crate::cost::Cost;
use crate::error::Error;
use crate::oracle::lanes::Team;
use crate::oracle::numbers::Numbers;
use crate::oracle::passes::{Along, Arrays, At, Passes};
use crate::oracle::results::in_function;
use crate::oracle::workspaces::Workspaces;
use crate::params::Params;
use crate::pool::Pool;
use crate::recurrence::{LOOP, Recurrence, ScalarRecurrence, Stage, Staged};
use crate::schedule::Schedule;

/// A [`Recurrence`] or [`ScalarRecurrence`] that is differentiated under a [`Schedule`] of states.
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
    body: Box<dyn Passes<T, Stage> + 'r>,
    memory: Workspaces<T>,
    /// Shapes of the state and of the parameters.
    shapes: [Vec<Shape>; 2],
    steps: usize,
    plan: Itinerary,
    /// Whether the loop ends with the step that led to a state.
    until: Option<Box<Until<'r, T>>>,
    pool: Pool<T>,
}

/// Whether a loop ends with the step that led to a state, given the number of steps taken.
type Until<'r, T> = dyn Fn(&[T], usize) -> bool + Send + 'r;

/// Result of running a loop forward.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended<T> {
    /// The value of the loop: its loss and running losses.
    pub value: T,
    /// The last state, its arrays one after the other.
    pub state: Vec<T>,
    /// Number of steps taken.
    pub steps: usize,
    /// Cost of the run.
    pub cost: Cost,
}

impl<T: fmt::Debug> fmt::Debug for Loop<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<'r, T: Element> Loop<'r, T> {
    /// Creates a loop of `steps` steps, with parameters of the shapes of `x`.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the start fails at `x`, and [`Error::Invalid`] if the schedule does not suit the
    /// loop.
    #[expect(clippy::needless_pass_by_value, reason = "a loop may keep it")]
    pub fn new(
        recurrence: impl Recurrence<T> + 'r,
        x: Params<T>,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        let mut memory = Workspaces::new(Team::default(), 1);
        let state = {
            let (record, _) = memory.first().arenas();
            let at = [Group::new(x.shapes(), x.values())];
            let start: Result<List<Tensor<T>>, _> =
                evaluate(record, &at, |[x]| recurrence.start(x));
            start.map_err(in_function(LOOP))?.iter().map(|array| array.shape()).collect()
        };
        let shapes = [state, x.shapes().to_vec()];
        Self::of(Box::new(Arrays(Staged(recurrence))), memory, shapes, (steps, schedule))
    }

    /// Creates a loop of `steps` steps over scalars, with `dim` parameters.
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
    /// Returns [`Error::Invalid`] if the schedule does not suit the loop.
    pub fn scalar(
        recurrence: impl ScalarRecurrence<T> + 'r,
        dim: usize,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error>
    where
        T: Scalar<Plain = T>,
    {
        let memory = Workspaces::new(Team::default(), 1);
        let column = |n| {
            let many = |_| Error::invalid("numbers of a loop", n, "at most u32::MAX");
            u32::try_from(n).map(|n| vec![Shape::column(n)]).map_err(many)
        };
        let shapes = [column(recurrence.dim())?, column(dim)?];
        Self::of(Box::new(Numbers(Staged(recurrence))), memory, shapes, (steps, schedule))
    }

    fn of(
        body: Box<dyn Passes<T, Stage> + 'r>,
        memory: Workspaces<T>,
        shapes: [Vec<Shape>; 2],
        (steps, schedule): (usize, Schedule),
    ) -> Result<Self, Error> {
        let plan = Itinerary::new(schedule, Length::Known(steps), false)?;
        Ok(Self { body, memory, shapes, steps, plan, until: None, pool: Pool::default() })
    }

    /// Ends the loop with the first step after which `until` returns true for the state and the number of steps taken,
    /// at the latest after the number of steps given before.
    ///
    /// The number of steps is not differentiated.
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
    /// let root = Loop::scalar(Root, 1, 100, "store-all".parse()?)?;
    /// let mut root = root.until(|s, _| (s[0] * s[0] - 2.0).abs() < 1e-14)?;
    /// let mut gradient = [0.0];
    /// let (value, _) = root.gradient(&[2.0], &mut gradient)?;
    /// assert_eq!(root.run(&[2.0])?.steps, 5);
    /// assert!((value - 2.0_f64.sqrt()).abs() < 1e-14 && (gradient[0] - 0.125_f64.sqrt()).abs() < 1e-10);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Told`] unless the schedule is `store-all` or online: others depend on the number of steps.
    pub fn until(self, until: impl Fn(&[T], usize) -> bool + Send + 'r) -> Result<Self, Error> {
        let plan = Itinerary::new(self.plan.schedule, Length::AtMost(self.steps), false)?;
        Ok(Self { plan, until: Some(Box::new(until)), ..self })
    }

    /// Runs the loop forward. Cost: its steps. Memory: a state.
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
    /// Returns the errors of [`gradient`](Self::gradient).
    pub fn run(&mut self, x: &[T]) -> Result<Ended<T>, Error> {
        self.expect(&[("the point", x.len())])?;
        let (clock, most) = (Instant::now(), self.steps);
        let (mut pass, _) = self.pass(false, x);
        let mut state = pass.pool.take(pass.dim())?;
        pass.forward(Stage::Start, &mut state)?;
        let (mut value, mut steps, mut ended) = (T::zero(), 0, false);
        while steps < most && !ended {
            value += pass.value(Stage::Step(steps), &state)?;
            ended = pass.advance(steps, &mut state)?;
            steps += 1;
        }
        value += pass.value(Stage::Loss, &state)?;
        let (kept, cost) = (state.clone(), pass.pool.meter.cost);
        pass.pool.give(state);
        Ok(Ended { value, state: kept, steps, cost: Cost { time: clock.elapsed(), ..cost } })
    }

    /// Writes `df/dx`, and returns `f` and the cost.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if a function fails, [`Error::Invalid`] if a length does not match, and
    /// [`Error::Spill`] if the file of stored states cannot be written or read.
    pub fn gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        self.expect(&[("the point", x.len()), ("the gradient buffer", gradient.len())])?;
        self.pull(false, x, gradient)
    }

    /// Writes `df/dx` and `d2f/dx2 v`, and returns `f` and the cost.
    ///
    /// # Errors
    /// Returns the errors of [`gradient`](Self::gradient).
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
        let dim = Group::<T>::new(&self.shapes[1], &[]).entries();
        lengths.iter().try_for_each(|&(what, len)| Error::expect_length(what, dim, len))
    }

    /// Returns a pass with counts reset, and the schedule.
    fn pass<'l>(&'l mut self, tangent: bool, x: &'l [T]) -> (Pass<'l, 'r, T>, &'l mut Itinerary) {
        let Self { body, memory, shapes, plan, until, pool, .. } = self;
        pool.meter.reset();
        let [state, params] = shapes.each_ref().map(|shapes| Group::new(shapes, &[]));
        let (along, running) = (if tangent { Along::One } else { Along::Nothing }, T::zero());
        let (body, x, until) = (&**body, planes(params, x), until.as_deref());
        (Pass { body, memory, state, x, along, until, running, pool }, plan)
    }

    /// Computes a gradient. If there is a tangent, its plane follows that of the values in every vector.
    fn pull(&mut self, tangent: bool, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        let clock = Instant::now();
        let (mut pass, plan) = self.pass(tangent, x);
        let planes = if tangent { 2 } else { 1 };
        let mut state = pass.pool.take(planes * pass.dim())?;
        pass.forward(Stage::Start, &mut state)?;
        let (loss, mut bar) = execute(&mut pass, plan, &mut state, gradient)?;
        // The start does not depend on a state, so any state will do.
        pass.pull_back(Stage::Start, &state, [&mut bar, gradient])?;
        pass.pool.give(bar);
        pass.pool.give(state);
        Ok((loss + pass.running, Cost { time: clock.elapsed(), ..pass.pool.meter.cost }))
    }
}

/// Returns the arrays of a vector in which a tangent, if there is one, follows the values.
fn planes<'v, T: Element>(group: Group<'v, T>, flat: &'v [T]) -> Group<'v, T> {
    let (values, moving) = flat.split_at(group.entries().min(flat.len()));
    Group { values, moving, ..group }
}

/// One pass over a loop.
struct Pass<'l, 'r, T> {
    body: &'l (dyn Passes<T, Stage> + 'r),
    memory: &'l mut Workspaces<T>,
    /// The arrays of a state.
    state: Group<'l, T>,
    x: Group<'l, T>,
    along: Along,
    until: Option<&'l Until<'r, T>>,
    /// Sum of the running losses of the reversed steps.
    running: T,
    pool: &'l mut Pool<T>,
}

impl<T: Element> Pass<'_, '_, T> {
    /// Number of entries of a state.
    fn dim(&self) -> usize {
        self.state.entries()
    }

    /// Evaluates a stage. If `state` is empty, the content of the result vectors is used, which the result overwrites.
    fn evaluate<R>(
        &mut self,
        stage: Stage,
        state: &[T],
        act: impl FnOnce(&dyn Passes<T, Stage>, &mut Workspaces<T>, At<T, Stage>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let groups = [planes(self.state, state), self.x, Group::NONE];
        let result = if stage == Stage::Loss { Group::NONE } else { self.state };
        let at = At { along: self.along, ..At::new(stage, groups, result) };
        let result = act(self.body, self.memory, At { add: [false, true, false], ..at })?;
        self.pool.meter.observe(self.memory.take_peak());
        Ok(result)
    }

    /// Returns the contribution of a stage to the value, without tangents.
    fn value(&mut self, stage: Stage, state: &[T]) -> Result<T, Error> {
        self.evaluate(stage, state, |body, memory, at| body.value(memory, at))
    }

    /// Replaces `state` by the state after a stage.
    fn forward(&mut self, stage: Stage, state: &mut [T]) -> Result<(), Error> {
        let (values, tangents) = state.split_at_mut(self.dim());
        let made =
            self.evaluate(stage, &[], |body, memory, at| body.push(memory, at, [values, tangents]));
        made.map(|_| ())
    }

    /// Replaces the first of `bars`, the adjoint of the state after a stage, by that of `state`, and adds that of the
    /// parameters to the second. For a loss, the first of `bars` holds the state before. Returns the contribution of
    /// the stage to the value.
    fn pull_back(
        &mut self,
        stage: Stage,
        state: &[T],
        [bar, x_bar]: [&mut [T]; 2],
    ) -> Result<T, Error> {
        let (bar, tangent) = bar.split_at_mut(self.dim());
        let (x_bar, x_tangent) = x_bar.split_at_mut(self.x.values.len());
        self.evaluate(stage, state, |body, memory, at| {
            body.pull(memory, at, [bar, tangent, x_bar, x_tangent, &mut [], &mut []])
        })
    }
}

impl<T: Element> Chain<T> for Pass<'_, '_, T> {
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<bool, Error> {
        self.pool.meter.cost.plain_steps += 1;
        self.forward(Stage::Step(t), state)?;
        let values = &state[..self.dim()];
        Ok(self.until.is_some_and(|until| until(values, t + 1)))
    }

    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        x_bar.fill(T::zero());
        self.pull_back(Stage::Loss, &[], [state, x_bar])
    }

    fn reverse(&mut self, t: usize, state: &[T], bars: [&mut [T]; 2]) -> Result<(), Error> {
        let running = self.pull_back(Stage::Step(t), state, bars)?;
        self.running += running;
        Ok(())
    }

    fn pool(&mut self) -> &mut Pool<T> {
        self.pool
    }
}
