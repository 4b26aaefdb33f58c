//! Passes over a [`Recurrence`] of arrays, in the arenas of one stage.

use hypertape_autodiff::passes::{
    Bars, Group, Mode, RecordedIn, Tangents, Values, Wanted, evaluate, fitting, one, seed, write,
};
use hypertape_autodiff::{Array, Element, Fault, List, Shape, Tensor, Workspace};

use crate::params::Params;
use crate::recurrence::{Body, Recurrence, Stage, Visit};

/// A recurrence with the shapes of its parameters and of its state.
pub(super) struct Arrays<R, T> {
    recurrence: R,
    x: Params<T>,
    state: Vec<Shape>,
    workspace: Workspace,
}

const STATE: &str = "the state of a recurrence";
const LOSS: &str = "the loss of a recurrence";

/// The state after a stage.
fn next<'a, T: Element, A: Array<'a, Elem = T>>(
    recurrence: &'a impl Recurrence<T>,
    stage: Stage,
    state: &[A],
    x: &[A],
) -> List<A> {
    match stage {
        Stage::Start => recurrence.start(x),
        Stage::Step(t) => recurrence.step(state, x, t),
        Stage::Loss => List::new(),
    }
}

/// What a stage adds to the value.
fn loss<'a, T: Element, A: Array<'a, Elem = T>>(
    recurrence: &'a impl Recurrence<T>,
    stage: Stage,
    state: &[A],
    x: &[A],
) -> Option<A> {
    match stage {
        Stage::Start => None,
        Stage::Step(t) => recurrence.running(state, x, t),
        Stage::Loss => Some(recurrence.loss(state, x)),
    }
}

/// Arrays of a vector of planes.
fn planes<'a, T: Element>(shapes: &'a [Shape], flat: &'a [T]) -> Group<'a, T> {
    let (values, tangents) = flat.split_at(len(shapes));
    Group::new(shapes, values).moving(tangents)
}

/// The same to be written.
fn planes_mut<'a, T: Element>(shapes: &'a [Shape], flat: &'a mut [T]) -> Bars<'a, T> {
    let (values, tangents) = flat.split_at_mut(len(shapes));
    Bars::new(shapes, values, tangents)
}

fn len(shapes: &[Shape]) -> usize {
    shapes.iter().map(|shape| shape.len()).sum()
}

impl<T: Element, R: Recurrence<T>> Arrays<R, T> {
    /// Shapes are those of `x`, and of the start there.
    pub(super) fn new(recurrence: R, x: Params<T>) -> Result<Self, Fault> {
        let mut workspace = Workspace::new();
        let state = {
            let (record, _) = workspace.arenas();
            let at = [Group::new(x.shapes(), x.values())];
            let start: List<Tensor<T>> = evaluate(record, &at, |[x]| recurrence.start(x))?;
            start.iter().map(|array| array.shape()).collect()
        };
        Ok(Self { recurrence, x, state, workspace })
    }

    fn forward_in<M: Mode<T>>(&mut self, at: Visit<T>, state: &mut [T]) -> Result<(), Fault> {
        let (record, _) = self.workspace.arenas();
        let now = record.copy(state)?;
        let groups = [planes(&self.state, now), planes(self.x.shapes(), at.x)];
        let next: List<M::Array<'_>> =
            evaluate(record, &groups, |[s, x]| next(&self.recurrence, at.stage, s, x))?;
        write(STATE, &next, planes_mut(&self.state, state))
    }

    fn reverse_in<M: Mode<T>>(
        &mut self,
        at: Visit<T>,
        state: &[T],
        [bar, x_bar]: [&mut [T]; 2],
    ) -> Result<T, Fault> {
        let (record, sweep) = self.workspace.arenas();
        let is_loss = at.stage == Stage::Loss;
        let (shapes, x_shapes) = (&self.state[..], self.x.shapes());
        let now = record.copy(if is_loss { &*bar } else { state })?;
        let groups = [planes(shapes, now), planes(x_shapes, at.x)];
        let wanted = [Wanted::All; 2];
        let (recorded, (next, loss)) =
            RecordedIn::<M, T, 2>::at(record, &groups, wanted, |[s, x]| {
                let next = next(&self.recurrence, at.stage, s, x);
                (next, loss(&self.recurrence, at.stage, s, x))
            })?;
        let mut seeds = List::new();
        if !is_loss {
            fitting(STATE, &next, shapes)?;
            let bars: List<M::Array<'_>> = planes(shapes, sweep.copy(bar)?).load(sweep)?;
            seeds.extend(next.iter().map(|next| next.id()).zip(bars));
        }
        let mut value = T::zero();
        if let Some(loss) = loss {
            value = one(LOSS, loss)?;
            seeds.push(seed(loss, sweep));
        }
        let pulled = recorded.pull(seeds, sweep)?;
        pulled.write([planes_mut(shapes, bar), planes_mut(x_shapes, x_bar).added(true)]);
        Ok(value)
    }
}

impl<T: Element, R: Recurrence<T>> Body<T> for Arrays<R, T> {
    fn dim(&self) -> usize {
        len(&self.state)
    }

    fn forward(&mut self, at: Visit<T>, state: &mut [T]) -> Result<usize, Fault> {
        if at.tangent {
            self.forward_in::<Tangents<1>>(at, state)?;
        } else {
            self.forward_in::<Values>(at, state)?;
        }
        Ok(self.workspace.take_peak())
    }

    fn value(&mut self, at: Visit<T>, state: &[T]) -> Result<(T, usize), Fault> {
        let value = {
            let (record, _) = self.workspace.arenas();
            let groups = [Group::new(&self.state, state), Group::new(self.x.shapes(), at.x)];
            let value: Option<Tensor<T>> =
                evaluate(record, &groups, |[s, x]| loss(&self.recurrence, at.stage, s, x))?;
            value.map_or(Ok(T::zero()), |value| one(LOSS, value))?
        };
        Ok((value, self.workspace.take_peak()))
    }

    fn reverse(
        &mut self,
        at: Visit<T>,
        state: &[T],
        bars: [&mut [T]; 2],
    ) -> Result<(T, usize), Fault> {
        let value = if at.tangent {
            self.reverse_in::<Tangents<1>>(at, state, bars)?
        } else {
            self.reverse_in::<Values>(at, state, bars)?
        };
        Ok((value, self.workspace.take_peak()))
    }
}
