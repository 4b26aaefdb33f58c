//! `Recurrence` and `Loop`: the schedules for any loop, outside bilevel problems.
//!
//! ```text
//! s_0 = start(x),    s_{t+1} = step(s_t, x, t),    f(x) = loss(s_r, x)
//! ```
//!
//! Cost of a gradient: `plain_steps` steps, one recorded and swept step for each of the `r`. Memory for a state of `n` and
//! `d` parameters: `n (slots + 2)` values, and the arenas of one step; a Hessian-vector product has twice as many values.

use std::time::Instant;

use hypertape_autodiff::{
    Array, Dual, Element, Fault, List, NodeId, Shape, Tape, Tensor, Var, Workspace,
};

use crate::adjoint::{Chain, Length, Plan, execute};
use crate::cost::Cost;
use crate::error::Error;
use crate::oracle::scalar;
use crate::params::Params;
use crate::pool::Pool;
use crate::schedule::Schedule;

/// A loop and a loss of its last state, written once for every mode.
pub trait Recurrence<T: Element>: Sync {
    /// The first state, one or several arrays.
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A>;

    /// The state after step `t`, arrays of the same shapes.
    fn step<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A], t: usize) -> List<A>;

    /// A scalar.
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A]) -> A;
}

/// A [`Recurrence`] of a known number of steps, differentiated under a [`Schedule`] of states.
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
#[derive(Debug)]
pub struct Loop<R, T> {
    recurrence: R,
    x: Params<T>,
    state: Vec<Shape>,
    plan: Plan,
    workspace: Workspace,
    pool: Pool<T>,
}

impl<T: Element, R: Recurrence<T>> Loop<R, T> {
    /// `steps` steps, with parameters of the shapes of `x`.
    ///
    /// # Errors
    /// [`Error::Function`] if the start fails at `x`; [`Error::Invalid`] for a schedule that does not fit.
    pub fn new(
        recurrence: R,
        x: Params<T>,
        steps: usize,
        schedule: Schedule,
    ) -> Result<Self, Error> {
        let plan = Plan::new(schedule, Length::Known(steps))?;
        let mut workspace = Workspace::new();
        let shapes = {
            let (record, _) = workspace.arenas();
            let at = Tensor::split(record, x.shapes(), x.values()).map_err(in_loop)?;
            let start = recurrence.start(&at);
            record.status().map_err(in_loop)?;
            start.iter().map(|array| array.shape()).collect()
        };
        let (state, pool) = (shapes, Pool::default());
        Ok(Self { recurrence, x, state, plan, workspace, pool })
    }

    /// Writes `df/dx`; returns `f` and what it cost.
    ///
    /// # Errors
    /// [`Error::Function`] if a function fails, [`Error::Invalid`] if a length does not match, [`Error::Spill`].
    pub fn gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        self.run::<0>(x, gradient)
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
        let d = self.x.values().len();
        let (point, mut out) = ([x, v].concat(), vec![T::zero(); 2 * d]);
        for (what, len) in [("the point", x.len()), ("the direction", v.len())] {
            if len != d {
                return Err(Error::length(what, d, len));
            }
        }
        let result = self.run::<1>(&point, &mut out)?;
        for (what, to, from) in [
            ("the gradient buffer", gradient, &out[..d]),
            ("the product buffer", product, &out[d..]),
        ] {
            if to.len() != d {
                return Err(Error::length(what, d, to.len()));
            }
            to.copy_from_slice(from);
        }
        Ok(result)
    }

    /// With `N` tangents, whose planes follow those of the values in every vector.
    fn run<const N: usize>(&mut self, x: &[T], gradient: &mut [T]) -> Result<(T, Cost), Error> {
        let clock = Instant::now();
        let d = (N + 1) * self.x.values().len();
        for (what, len) in [("the point", x.len()), ("the gradient buffer", gradient.len())] {
            if len != d {
                return Err(Error::length(what, d, len));
            }
        }
        let n = (N + 1) * self.state.iter().map(|shape| shape.len()).sum::<usize>();
        let Self { recurrence, x: params, state: shapes, plan, workspace, pool } = self;
        let shapes = [&shapes[..], params.shapes()];
        pool.meter.reset();
        let mut pass = Pass::<'_, R, T, N> { recurrence, x, shapes, workspace, pool };
        let mut state = pass.take(n)?;
        pass.forward(&mut state, |recurrence, _, x| recurrence.start(x))?;
        let (loss, mut bar) = execute(&mut pass, plan, &mut state, gradient)?;
        // The start does not look at a state: any will do.
        let none = bar.clone();
        pass.reverse_of(Some(&none), &mut bar, gradient, |r, _, x| r.start(x))?;
        pass.give(bar);
        pass.give(state);
        Ok((loss, Cost { time: clock.elapsed(), ..pass.pool.meter.cost }))
    }
}

fn in_loop(fault: Fault) -> Error {
    Error::Function { function: "recurrence", fault }
}

/// One pass over a loop, with `N` tangents.
struct Pass<'l, R, T, const N: usize> {
    recurrence: &'l R,
    x: &'l [T],
    /// Of the state and of the parameters.
    shapes: [&'l [Shape]; 2],
    workspace: &'l mut Workspace,
    pool: &'l mut Pool<T>,
}

type Planes<'a, T, const N: usize> = Dual<Tensor<'a, T>, N>;
type Taped<'a, T, const N: usize> = Var<'a, Planes<'a, T, N>>;

/// Arrays from a vector of planes.
fn load<'a, T: Element, const N: usize>(
    arena: &'a hypertape_autodiff::Arena,
    shapes: &[Shape],
    flat: &'a [T],
) -> Result<List<Planes<'a, T, N>>, Fault> {
    let len = flat.len() / (N + 1);
    let plane = |k: usize| Tensor::split(arena, shapes, &flat[k * len..(k + 1) * len]);
    let tangents: Vec<List<_>> = (1..=N).map(plane).collect::<Result<_, _>>()?;
    let values = plane(0)?.into_iter().enumerate();
    Ok(values.map(|(i, v)| Dual::new(v, std::array::from_fn(|k| Some(tangents[k][i])))).collect())
}

/// Writes arrays, or adds them, to a vector of planes.
fn store<'a, T: Element, const N: usize>(
    arrays: impl Iterator<Item = Option<Planes<'a, T, N>>>,
    shapes: &[Shape],
    add: bool,
    flat: &mut [T],
) -> Result<(), Fault> {
    let (len, mut at, mut count) = (flat.len() / (N + 1), 0, 0);
    for (array, &shape) in arrays.zip(shapes) {
        count += 1;
        let planes = array.map(|a| {
            let tangents = a.tangents().map(|t| t.map(Tensor::values));
            (a.shape(), std::iter::once(Some(a.value().values())).chain(tangents))
        });
        let range = at..at + shape.len();
        at = range.end;
        let Some((found, planes)) = planes else {
            let rest = flat.chunks_exact_mut(len.max(1)).map(|plane| &mut plane[range.clone()]);
            rest.filter(|_| !add).for_each(|plane| plane.fill(T::zero()));
            continue;
        };
        if found != shape {
            let (operation, left, right) = ("the step of a recurrence", shape, found);
            return Err(Fault::Shapes { operation, left, right });
        }
        for (plane, from) in flat.chunks_exact_mut(len.max(1)).zip(planes) {
            let plane = &mut plane[range.clone()];
            match from {
                Some(from) if add => hypertape_autodiff::axpy(plane, T::one(), from),
                Some(from) => plane.copy_from_slice(from),
                None if add => {}
                None => plane.fill(T::zero()),
            }
        }
    }
    if count == shapes.len() {
        return Ok(());
    }
    Err(Fault::Length { what: "the state of a recurrence", expected: shapes.len(), found: count })
}

impl<R: Recurrence<T>, T: Element, const N: usize> Pass<'_, R, T, N> {
    /// Replaces `state` by what `next` makes of it and of the parameters.
    fn forward(
        &mut self,
        state: &mut [T],
        next: impl for<'a> FnOnce(
            &'a R,
            &[Planes<'a, T, N>],
            &[Planes<'a, T, N>],
        ) -> List<Planes<'a, T, N>>,
    ) -> Result<(), Error> {
        let (record, _) = self.workspace.arenas();
        let act = || {
            let x = load(record, self.shapes[1], self.x)?;
            let now = load(record, self.shapes[0], record.copy(state)?)?;
            let next = next(self.recurrence, &now, &x);
            record.status()?;
            store(next.into_iter().map(Some), self.shapes[0], false, state)
        };
        act().map_err(in_loop)?;
        self.pool.meter.observe(self.workspace.take_peak());
        Ok(())
    }

    /// Replaces `bar`, the adjoint of what `f` makes of parameters and `state`, by that of `state`, and adds that of the
    /// parameters to `x_bar`. Without `state`, that is in `bar`, and the adjoint is the one of a loss, 1; the loss is
    /// returned.
    fn reverse_of(
        &mut self,
        state: Option<&[T]>,
        bar: &mut [T],
        x_bar: &mut [T],
        f: impl for<'a> FnOnce(&'a R, &[Taped<'a, T, N>], &[Taped<'a, T, N>]) -> List<Taped<'a, T, N>>,
    ) -> Result<T, Error> {
        let (record, sweep) = self.workspace.arenas();
        let act = || {
            let tape = Tape::new(record)?;
            let now = load(record, self.shapes[0], record.copy(state.unwrap_or(bar))?)?;
            let now: List<_> = now.into_iter().map(|v| tape.variable(v)).collect();
            let x = load(record, self.shapes[1], self.x)?;
            let x: List<_> = x.into_iter().map(|v| tape.variable(v)).collect();
            let out = f(self.recurrence, &now, &x);
            record.status()?;
            let (mut value, mut seeds): (_, List<(NodeId, _)>) = (T::nan(), List::new());
            if state.is_some() {
                let bars = load(sweep, self.shapes[0], sweep.copy(bar)?)?;
                seeds.extend(out.iter().zip(bars).filter_map(|(o, bar)| Some((o.id()?, bar))));
            } else if let Some(loss) = out.first() {
                value = scalar(loss.value())?;
                let one = loss.value().within(sweep).scalar(1.0);
                seeds.extend(loss.id().map(|id| (id, one)));
            }
            let adjoints = tape.finish().pull(&seeds, sweep);
            sweep.status()?;
            let of = |v: &Taped<'_, T, N>| v.id().and_then(|id| adjoints.get(id));
            store(x.iter().map(of), self.shapes[1], true, x_bar)?;
            store(now.iter().map(of), self.shapes[0], false, bar)?;
            Ok(value)
        };
        let value = act().map_err(in_loop)?;
        self.pool.meter.observe(self.workspace.take_peak());
        Ok(value)
    }
}

impl<R: Recurrence<T>, T: Element, const N: usize> Chain<T> for Pass<'_, R, T, N> {
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        self.pool.meter.cost.plain_steps += 1;
        self.forward(state, |recurrence, state, x| recurrence.step(state, x, t))
    }

    fn ended(&self) -> bool {
        false
    }

    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        x_bar.fill(T::zero());
        self.reverse_of(None, state, x_bar, |r, state, x| List::from_slice(&[r.loss(state, x)]))
    }

    fn reverse(
        &mut self,
        t: usize,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.reverse_of(Some(state), bar, x_bar, |r, state, x| r.step(state, x, t)).map(|_| ())
    }

    fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.pool.take(len)
    }

    fn give(&mut self, vector: Vec<T>) {
        self.pool.give(vector);
    }

    fn hold(&mut self, bytes: usize) {
        self.pool.meter.hold(bytes);
    }

    fn release(&mut self, bytes: usize) {
        self.pool.meter.release(bytes);
    }
}
