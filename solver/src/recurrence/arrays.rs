//! Passes over a [`Recurrence`] of arrays, in the arenas of one stage.

use hypertape_autodiff::{
    Arena, Array, Dual, Element, Fault, List, NodeId, Shape, Tape, Tensor, Var, Workspace,
};

use crate::oracle::scalar;
use crate::params::Params;
use crate::recurrence::{At, Body, Recurrence, Stage};

/// A recurrence with the shapes of its parameters and of its state.
pub(super) struct Arrays<R, T> {
    recurrence: R,
    x: Params<T>,
    state: Vec<Shape>,
    workspace: Workspace,
}

impl<T: Element, R: Recurrence<T>> Arrays<R, T> {
    /// Shapes are those of `x`, and of the start there.
    pub(super) fn new(recurrence: R, x: Params<T>) -> Result<Self, Fault> {
        let mut workspace = Workspace::new();
        let state = {
            let (record, _) = workspace.arenas();
            let start = recurrence.start(&Tensor::split(record, x.shapes(), x.values())?);
            record.status()?;
            start.iter().map(|array| array.shape()).collect()
        };
        Ok(Self { recurrence, x, state, workspace })
    }

    fn eval<'a, A: Array<'a, Elem = T>>(
        recurrence: &'a R,
        stage: Stage,
        state: &[A],
        x: &[A],
    ) -> List<A> {
        match stage {
            Stage::Start => recurrence.start(x),
            Stage::Step(t) => recurrence.step(state, x, t),
            Stage::Loss => List::from_slice(&[recurrence.loss(state, x)]),
        }
    }

    fn forward_of<const N: usize>(&mut self, at: At<T>, state: &mut [T]) -> Result<(), Fault> {
        let (record, _) = self.workspace.arenas();
        let x = load::<T, N>(record, self.x.shapes(), at.x)?;
        let now = load(record, &self.state, record.copy(state)?)?;
        let next = Self::eval(&self.recurrence, at.stage, &now, &x);
        record.status()?;
        store(next.into_iter().map(Some), &self.state, false, state)
    }

    fn reverse_of<const N: usize>(
        &mut self,
        at: At<T>,
        state: &[T],
        [bar, x_bar]: [&mut [T]; 2],
    ) -> Result<T, Fault> {
        let (record, sweep) = self.workspace.arenas();
        let tape = Tape::new(record)?;
        let is_loss = at.stage == Stage::Loss;
        let now = record.copy(if is_loss { bar } else { state })?;
        let now = load::<T, N>(record, &self.state, now)?;
        let now: List<_> = now.into_iter().map(|v| tape.variable(v)).collect();
        let x = load(record, self.x.shapes(), at.x)?;
        let x: List<_> = x.into_iter().map(|v| tape.variable(v)).collect();
        let out = Self::eval(&self.recurrence, at.stage, &now, &x);
        record.status()?;
        let (mut value, mut seeds): (_, List<(NodeId, _)>) = (T::nan(), List::new());
        if !is_loss {
            let bars = load(sweep, &self.state, sweep.copy(bar)?)?;
            seeds.extend(out.iter().zip(bars).filter_map(|(o, bar)| Some((o.id()?, bar))));
        } else if let Some(loss) = out.first() {
            value = scalar(loss.value())?;
            let one = loss.value().within(sweep).scalar(1.0);
            seeds.extend(loss.id().map(|id| (id, one)));
        }
        let adjoints = tape.finish().pull(&seeds, sweep);
        sweep.status()?;
        let of = |v: &Taped<'_, T, N>| v.id().and_then(|id| adjoints.get(id));
        store(x.iter().map(of), self.x.shapes(), true, x_bar)?;
        store(now.iter().map(of), &self.state, false, bar)?;
        Ok(value)
    }
}

impl<T: Element, R: Recurrence<T>> Body<T> for Arrays<R, T> {
    fn dim(&self) -> usize {
        self.state.iter().map(|shape| shape.len()).sum()
    }

    fn forward(&mut self, at: At<T>, state: &mut [T]) -> Result<usize, Fault> {
        if at.tangent {
            self.forward_of::<1>(at, state)?;
        } else {
            self.forward_of::<0>(at, state)?;
        }
        Ok(self.workspace.take_peak())
    }

    fn reverse(
        &mut self,
        at: At<T>,
        state: &[T],
        bars: [&mut [T]; 2],
    ) -> Result<(T, usize), Fault> {
        let loss = if at.tangent {
            self.reverse_of::<1>(at, state, bars)?
        } else {
            self.reverse_of::<0>(at, state, bars)?
        };
        Ok((loss, self.workspace.take_peak()))
    }
}

type Planes<'a, T, const N: usize> = Dual<Tensor<'a, T>, N>;
type Taped<'a, T, const N: usize> = Var<'a, Planes<'a, T, N>>;

/// Arrays from a vector of planes.
fn load<'a, T: Element, const N: usize>(
    arena: &'a Arena,
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
