//! `Recurrence` and `ScalarRecurrence`: loops outside bilevel problems, and what their passes have in common.
//!
//! ```text
//! s_0 = start(x),    s_{t+1} = step(s_t, x, t),    f(x) = sum_{t < r} running(s_t, x, t) + loss(s_r, x)
//! ```

mod arrays;
pub(crate) mod checkpointed;
mod numbers;

use hypertape_autodiff::scalar::Real;
use hypertape_autodiff::{Array, Element, Fault, List};

/// A loop over arrays and a loss of its last state, written once for every mode.
pub trait Recurrence<T: Element>: Send + Sync {
    /// The first state, one or several arrays.
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A>;

    /// The state after step `t`, arrays of the same shapes.
    fn step<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A], t: usize) -> List<A>;

    /// A scalar of the last state.
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A]) -> A;

    /// A scalar of the state before step `t` that is added to the value, at every step or at none.
    fn running<'a, A: Array<'a, Elem = T>>(
        &'a self,
        _state: &[A],
        _x: &[A],
        _t: usize,
    ) -> Option<A> {
        None
    }
}

/// The twin of [`Recurrence`] over single numbers, for [`Loop::scalar`](crate::Loop::scalar): faster where a step is a few
/// operations on few numbers, or branches.
pub trait ScalarRecurrence<T: Element>: Send + Sync {
    /// Number of entries of a state.
    fn dim(&self) -> usize;

    /// Writes the first state, which is zero before.
    fn start<R: Real<T>>(&self, x: &[R], state: &mut [R]);

    /// Writes the state after step `t`, which is zero before.
    fn step<R: Real<T>>(&self, state: &[R], x: &[R], t: usize, next: &mut [R]);

    /// A loss of the last state.
    fn loss<R: Real<T>>(&self, state: &[R], x: &[R]) -> R;

    /// A loss of the state before step `t` that is added to the value, at every step or at none.
    fn running<R: Real<T>>(&self, _state: &[R], _x: &[R], _t: usize) -> Option<R> {
        None
    }
}

/// What a pass evaluates.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Start,
    Step(usize),
    Loss,
}

/// A stage at parameters `x`. With a tangent its plane follows that of the values, in every vector.
#[derive(Clone, Copy)]
struct Visit<'x, T> {
    stage: Stage,
    x: &'x [T],
    tangent: bool,
}

/// Passes over the stages of a loop, through flat vectors. Each returns the bytes that it used.
trait Body<T>: Send {
    /// Number of values of a state.
    fn dim(&self) -> usize;

    /// Replaces `state` by that after a stage.
    fn forward(&mut self, at: Visit<T>, state: &mut [T]) -> Result<usize, Fault>;

    /// What a stage adds to the value, without tangents.
    fn value(&mut self, at: Visit<T>, state: &[T]) -> Result<(T, usize), Fault>;

    /// Replaces the first of `bars`, the adjoint of what a stage makes of `state`, by that of `state`, and adds that of the
    /// parameters to the second. Of a loss it is the state that is replaced. Returns what the stage adds to the value.
    fn reverse(
        &mut self,
        at: Visit<T>,
        state: &[T],
        bars: [&mut [T]; 2],
    ) -> Result<(T, usize), Fault>;
}
