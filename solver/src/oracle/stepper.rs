//! `Stepper`: the object-safe side of a rule, in flat slices.
//!
//! A state holds `w`, then the rule's other vectors, each array after array. A step is taken array by array; its
//! pull-back is that of a tape of the rule's few operations.

use std::fmt;
use std::sync::Arc;

use std::ops::Range;

use hypertape_autodiff::passes::{
    Bars, Group, RecordedIn, Values, Wanted, evaluate, fitting, write,
};
use hypertape_autodiff::{Arena, Dual, Element, Fault, List, Shape, Tensor, Var, Workspace};

use crate::rule::{Rule, Step};

/// Shapes that cut flat points, and the outer point.
#[derive(Clone, Copy)]
pub(crate) struct Cut<'v, T> {
    pub(crate) inner: &'v [Shape],
    pub(crate) outer: &'v [Shape],
    pub(crate) x: &'v [T],
}

/// A value on the tape of a whole run.
pub(crate) type Taped<'a, T> = Var<'a, Tensor<'a, T>>;

/// A value that moves along one direction.
type Moved<'a, T> = Dual<Tensor<'a, T>, 1>;

/// The object-safe side of a [`Rule`]. Whatever computes is given the memory to do it in.
pub(crate) trait Stepper<T: Element>: fmt::Debug + Send + Sync {
    fn name(&self) -> String;
    fn memory(&self) -> usize;
    fn multiple(&self, step: Step) -> Option<f64>;
    fn nonlinear(&self) -> bool;
    fn stationary(&self) -> bool;
    /// Writes the point at which the gradient is taken into `y`, or says that it is `w`.
    fn query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &[T],
        step: Step,
        y: &mut [T],
    ) -> Result<bool, Fault>;
    /// Adds the pull-back of `y_bar` through that point to `state_bar`.
    fn pull_query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &[T],
        step: Step,
        y_bar: &[T],
        state_bar: &mut [T],
    ) -> Result<(), Fault>;
    /// Takes a step.
    fn advance(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &mut [T],
        gradient: &[T],
        step: Step,
    ) -> Result<(), Fault>;
    /// Replaces a tangent of the state by that of the next one, given those of gradient and `x`.
    fn push(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: (&[T], &mut [T]),
        gradient: [&[T]; 2],
        dx: &[T],
        step: Step,
    ) -> Result<(), Fault>;
    /// Writes the tangent of the point at which the gradient is taken, where that is not `w`.
    fn push_query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: [&[T]; 2],
        step: Step,
        dy: &mut [T],
    ) -> Result<(), Fault>;
    /// Replaces the adjoint of the next state by that of `state`, writes that of the gradient into `u`, and adds to that
    /// of `x`.
    #[expect(clippy::too_many_arguments, reason = "three inputs, each with its adjoint")]
    fn pull(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        at: (&[T], &[T]),
        step: Step,
        state_bar: &mut [T],
        u: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Fault>;
    fn query_on_tape<'a>(&self, state: &[Taped<'a, T>], step: Step) -> Option<Taped<'a, T>>;
    fn update_on_tape<'a>(
        &self,
        state: &[Taped<'a, T>],
        gradient: Taped<'a, T>,
        x: &[Taped<'a, T>],
        step: Step,
    ) -> List<Taped<'a, T>>;
}

/// A [`Rule`] of any type, such as one that was [parsed](std::str::FromStr).
#[derive(Clone, Debug)]
pub struct AnyRule<'p, T: Element>(pub(crate) Arc<dyn Stepper<T> + 'p>);

impl<'p, T: Element> AnyRule<'p, T> {
    /// Of `rule`.
    pub fn new(rule: impl Rule<T> + 'p) -> Self {
        Self(Arc::new(rule))
    }

    /// The name under which it is chosen, with its settings.
    pub fn name(&self) -> String {
        self.0.name()
    }
}

/// One array of `w`, and its part of each vector of a state.
struct Place {
    /// Its entries in `w`.
    range: Range<usize>,
    /// The shape of each part, how many entries lie between one and the next, where they start and end.
    shapes: List<Shape>,
    gap: usize,
    span: Range<usize>,
}

/// The arrays of a state of `vectors`, each with the step that moves it.
fn places<T: Copy>(
    cut: Cut<'_, T>,
    vectors: usize,
    step: Step,
) -> impl Iterator<Item = (Place, Step)> {
    let dim: usize = cut.inner.iter().map(|shape| shape.len()).sum();
    let mut end = 0;
    cut.inner.iter().enumerate().map(move |(array, &shape)| {
        let range = end..end + shape.len();
        end = range.end;
        let (gap, span) = (dim - shape.len(), range.start..(vectors - 1) * dim + end);
        let shapes = std::iter::repeat_n(shape, vectors).collect();
        (Place { range, shapes, gap, span }, Step { array, ..step })
    })
}

impl Place {
    fn shape(&self) -> &[Shape] {
        &self.shapes[..1]
    }

    fn group<'v, T: Element>(&'v self, state: &'v [T]) -> Group<'v, T> {
        Group::new(&self.shapes, &state[self.span.clone()]).apart(self.gap)
    }

    fn bars<'v, T: Element>(&'v self, state: &'v mut [T]) -> Bars<'v, T> {
        Bars::new(&self.shapes, &mut state[self.span.clone()], &mut []).apart(self.gap)
    }

    /// The parts, copied.
    fn copy<'a, T: Element>(
        &self,
        state: &[T],
        arena: &'a Arena,
    ) -> Result<List<Tensor<'a, T>>, Fault> {
        let starts = self.span.clone().step_by((self.range.len() + self.gap).max(1));
        let parts = starts.zip(&self.shapes).map(|(start, &shape)| {
            let part = &state[start..][..shape.len()];
            Ok(Tensor::new(arena, shape, arena.copy(part)?))
        });
        parts.collect()
    }
}

/// What a rule returns.
const NEXT: &str = "the state after the step of a rule";

impl<T: Element, R: Rule<T>> Stepper<T> for R {
    fn name(&self) -> String {
        Rule::name(self)
    }

    fn memory(&self) -> usize {
        Rule::memory(self)
    }

    fn multiple(&self, step: Step) -> Option<f64> {
        Rule::multiple(self, step)
    }

    fn nonlinear(&self) -> bool {
        Rule::nonlinear(self)
    }

    fn stationary(&self) -> bool {
        Rule::stationary(self)
    }

    fn query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &[T],
        step: Step,
        y: &mut [T],
    ) -> Result<bool, Fault> {
        let (record, _) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let at = [place.group(state)];
            let at: Option<Tensor<T>> = evaluate(record, &at, |[s]| Rule::query(self, s, step))?;
            let Some(at) = at else { return Ok(false) };
            write(NEXT, &[at], Bars::new(place.shape(), &mut y[place.range.clone()], &mut []))?;
        }
        Ok(true)
    }

    fn pull_query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &[T],
        step: Step,
        y_bar: &[T],
        state_bar: &mut [T],
    ) -> Result<(), Fault> {
        let (record, sweep) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let at = [place.group(state)];
            let (recorded, y) =
                RecordedIn::<Values, T, 1>::at(record, &at, [Wanted::All], |[s]| {
                    Rule::query(self, s, step)
                })?;
            let bar = &y_bar[place.range.clone()];
            let seed = y.map(|y| (y.id(), Tensor::new(sweep, place.shapes[0], bar)));
            recorded.pull(seed, sweep)?.write([place.bars(state_bar).added(true)]);
        }
        Ok(())
    }

    fn advance(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        state: &mut [T],
        gradient: &[T],
        step: Step,
    ) -> Result<(), Fault> {
        let (record, _) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let now = place.copy(state, record)?;
            let gradient = Group::new(place.shape(), &gradient[place.range.clone()]);
            let at = [gradient, Group::new(cut.outer, cut.x)];
            let next: List<Tensor<T>> =
                evaluate(record, &at, |[g, x]| self.update(&now, g[0], x, step))?;
            write(NEXT, &next, place.bars(state))?;
        }
        Ok(())
    }

    fn push(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        (state, tangent): (&[T], &mut [T]),
        [gradient, pushed]: [&[T]; 2],
        dx: &[T],
        step: Step,
    ) -> Result<(), Fault> {
        let (record, _) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let entries = place.range.clone();
            let moving = place.copy(tangent, record)?;
            let now = place.copy(state, record)?.into_iter().zip(moving);
            let now: List<Moved<T>> = now.map(|(s, ds)| Dual::new(s, [Some(ds)])).collect();
            let gradient = Group::new(place.shape(), &gradient[entries.clone()]);
            let at = [gradient.moving(&pushed[entries]), Group::new(cut.outer, cut.x).moving(dx)];
            let next: List<Moved<T>> =
                evaluate(record, &at, |[g, x]| self.update(&now, g[0], x, step))?;
            let moved = &mut tangent[place.span.clone()];
            write(NEXT, &next, Bars::new(&place.shapes, &mut [], moved).apart(place.gap))?;
        }
        Ok(())
    }

    fn push_query(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        [state, tangent]: [&[T]; 2],
        step: Step,
        dy: &mut [T],
    ) -> Result<(), Fault> {
        let (record, _) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let at = [place.group(state).moving(&tangent[place.span.clone()])];
            let y: Option<Moved<T>> = evaluate(record, &at, |[s]| Rule::query(self, s, step))?;
            let moved = &mut dy[place.range.clone()];
            write(NEXT, y.as_slice(), Bars::new(place.shape(), &mut [], moved))?;
        }
        Ok(())
    }

    fn pull(
        &self,
        memory: &mut Workspace,
        cut: Cut<T>,
        (state, gradient): (&[T], &[T]),
        step: Step,
        state_bar: &mut [T],
        u: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Fault> {
        let (record, sweep) = memory.arenas();
        for (place, step) in places(cut, 1 + Rule::memory(self), step) {
            let entries = place.range.clone();
            let gradient = Group::new(place.shape(), &gradient[entries.clone()]);
            let at = [place.group(state), gradient, Group::new(cut.outer, cut.x)];
            let (recorded, next) =
                RecordedIn::<Values, T, 3>::at(record, &at, [Wanted::All; 3], |[state, g, x]| {
                    self.update(state, g[0], x, step)
                })?;
            fitting(NEXT, &next, &place.shapes)?;
            let seeds = next.iter().map(|next| next.id()).zip(place.copy(state_bar, sweep)?);
            recorded.pull(seeds, sweep)?.write([
                place.bars(state_bar),
                Bars::new(place.shape(), &mut u[entries], &mut []),
                Bars::new(cut.outer, x_bar, &mut []).added(true),
            ]);
        }
        Ok(())
    }

    fn query_on_tape<'a>(&self, state: &[Taped<'a, T>], step: Step) -> Option<Taped<'a, T>> {
        Rule::query(self, state, step)
    }

    fn update_on_tape<'a>(
        &self,
        state: &[Taped<'a, T>],
        gradient: Taped<'a, T>,
        x: &[Taped<'a, T>],
        step: Step,
    ) -> List<Taped<'a, T>> {
        self.update(state, gradient, x, step)
    }
}
