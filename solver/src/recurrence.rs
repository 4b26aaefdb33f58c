//! `Recurrence` and `ScalarRecurrence`: loops outside bilevel problems, and their common passes.
//!
//! ```text
//! s_0 = start(x),    s_{t+1} = step(s_t, x, t),    f(x) = sum_{t < r} running(s_t, x, t) + loss(s_r, x)
//! ```

pub(crate) mod checkpointed;

use hypertape_autodiff::scalar::Real;
use hypertape_autodiff::{Array, Element, List};

use crate::oracle::numbers::NumberStages;
use crate::oracle::passes::{Names, Selects, Stages};
use crate::rows::Rows;

/// A loop over arrays and a loss of its last state, written once for every mode.
pub trait Recurrence<T: Element>: Send + Sync {
    /// Computes the first state, one or several arrays.
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A>;

    /// Computes the state after step `t`, arrays of the same shapes.
    fn step<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A], t: usize) -> List<A>;

    /// Computes a scalar loss of the last state.
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, state: &[A], x: &[A]) -> A;

    /// Computes a scalar loss of the state before step `t`, which is added to the value.
    ///
    /// It must be present for every step or for none.
    fn running<'a, A: Array<'a, Elem = T>>(
        &'a self,
        _state: &[A],
        _x: &[A],
        _t: usize,
    ) -> Option<A> {
        None
    }
}

/// The counterpart of [`Recurrence`] over scalars, for [`Loop::scalar`](crate::Loop::scalar).
///
/// It is faster if a step consists of a few operations on few numbers, or branches.
pub trait ScalarRecurrence<T: Element>: Send + Sync {
    /// Number of entries of a state.
    fn dim(&self) -> usize;

    /// Writes the first state into `state`, which is zero before.
    fn start<R: Real<T>>(&self, x: &[R], state: &mut [R]);

    /// Writes the state after step `t` into `next`, which is zero before.
    fn step<R: Real<T>>(&self, state: &[R], x: &[R], t: usize, next: &mut [R]);

    /// Computes a loss of the last state.
    fn loss<R: Real<T>>(&self, state: &[R], x: &[R]) -> R;

    /// Computes a loss of the state before step `t`, which is added to the value.
    ///
    /// It must be present for every step or for none.
    fn running<R: Real<T>>(&self, _state: &[R], _x: &[R], _t: usize) -> Option<R> {
        None
    }
}

/// The part of a recurrence that a pass evaluates.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Start,
    Step(usize),
    Loss,
}

/// A recurrence as stages with the arguments `[state, x]`. Each returns a state, adds to the value, or both.
struct Staged<R>(R);

const LOOP: &str = "recurrence";

impl Selects for Stage {
    fn names(self) -> Names {
        let (arrays, scalar) = ("the state of a recurrence", "the loss of a recurrence");
        Names { function: LOOP, arrays, scalar }
    }
}

impl<T: Element, R: Recurrence<T>> Stages<T, Stage> for Staged<R> {
    fn arrays<'a, A: Array<'a, Elem = T>>(
        &'a self,
        stage: Stage,
        [state, x, _]: [&[A]; 3],
    ) -> Option<List<A>> {
        match stage {
            Stage::Start => Some(self.0.start(x)),
            Stage::Step(t) => Some(self.0.step(state, x, t)),
            Stage::Loss => None,
        }
    }

    fn scalar<'a, A: Array<'a, Elem = T>>(
        &'a self,
        stage: Stage,
        _: Rows,
        [state, x, _]: [&[A]; 3],
    ) -> Option<A> {
        match stage {
            Stage::Start => None,
            Stage::Step(t) => self.0.running(state, x, t),
            Stage::Loss => Some(self.0.loss(state, x)),
        }
    }
}

impl<T: Element, R: ScalarRecurrence<T>> NumberStages<T, Stage> for Staged<R> {
    fn arrays<S: Real<T>>(&self, stage: Stage, [state, x]: [&[S]; 2], next: &mut [S]) {
        match stage {
            Stage::Start => self.0.start(x, next),
            Stage::Step(t) => self.0.step(state, x, t, next),
            Stage::Loss => {}
        }
    }

    fn scalar<S: Real<T>>(&self, stage: Stage, [state, x]: [&[S]; 2]) -> Option<S> {
        match stage {
            Stage::Start => None,
            Stage::Step(t) => self.0.running(state, x, t),
            Stage::Loss => Some(self.0.loss(state, x)),
        }
    }
}
