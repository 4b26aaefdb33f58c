//! `Stepper`: the object-safe side of a rule, in flat slices.
//!
//! A state holds `w`, then the rule's other vectors, each array after array. A step is taken array by array; its
//! pull-back is that of a tape of the rule's few operations.

use std::fmt;
use std::sync::Arc;

use hypertape_autodiff::{
    Array, Element, Fault, List, NodeId, Shape, Tape, Tensor, Var, Workspace,
};

use crate::oracle::results::collect;
use crate::rule::{Rule, Step};

/// Shapes that cut flat points, and the outer point.
#[derive(Clone, Copy)]
pub(crate) struct Cut<'v, T> {
    pub(crate) inner: &'v [Shape],
    pub(crate) outer: &'v [Shape],
    pub(crate) x: &'v [T],
}

/// A value on the tape of a whole run.
type Taped<'a, T> = Var<'a, Tensor<'a, T>>;

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

/// The entries of each array in a flat vector, with its shape.
fn arrays<T: Copy>(cut: Cut<'_, T>) -> impl Iterator<Item = (std::ops::Range<usize>, Shape)> {
    let mut end = 0;
    cut.inner.iter().map(move |&shape| {
        let start = end;
        end += shape.len();
        (start..end, shape)
    })
}

/// Number of inner variables.
fn dim<T: Copy>(cut: Cut<'_, T>) -> usize {
    cut.inner.iter().map(|shape| shape.len()).sum()
}

/// A state's part of each vector that belongs to one array.
fn parts<T>(state: &[T], dim: usize, range: std::ops::Range<usize>) -> impl Iterator<Item = &[T]> {
    state.chunks_exact(dim.max(1)).map(move |vector| &vector[range.clone()])
}

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
        for (range, shape) in arrays(cut) {
            let state = parts(state, dim(cut), range.clone());
            let state: List<_> = state.map(|part| Tensor::new(record, shape, part)).collect();
            let Some(at) = Rule::query(self, &state, step) else { return Ok(false) };
            record.status()?;
            y[range].copy_from_slice(fitting(at, shape)?.values());
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
        for (range, shape) in arrays(cut) {
            let tape = Tape::new(record)?;
            let state: List<_> = parts(state, dim(cut), range.clone())
                .map(|part| tape.variable(Tensor::new(record, shape, part)))
                .collect();
            let at = Rule::query(self, &state, step).and_then(Var::id);
            let seed = at.map(|id| (id, Tensor::new(sweep, shape, &y_bar[range.clone()])));
            let adjoints = tape.finish().pull(&seed.into_iter().collect::<List<_>>(), sweep);
            record.status().and(sweep.status())?;
            for (bar, state) in state_bar.chunks_exact_mut(dim(cut).max(1)).zip(&state) {
                collect(&adjoints, &[*state], Some, false, &mut bar[range.clone()]);
            }
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
        let x = Tensor::split(record, cut.outer, cut.x)?;
        for (range, shape) in arrays(cut) {
            let gradient = Tensor::new(record, shape, &gradient[range.clone()]);
            let now = parts(state, dim(cut), range.clone());
            let now = now.map(|part| Ok(Tensor::new(record, shape, record.copy(part)?)));
            let now = now.collect::<Result<List<_>, Fault>>()?;
            let next = self.update(&now, gradient, &x, step);
            record.status()?;
            expect(now.len(), next.len())?;
            for (vector, next) in state.chunks_exact_mut(dim(cut).max(1)).zip(next) {
                vector[range.clone()].copy_from_slice(fitting(next, shape)?.values());
            }
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
        let p = dim(cut);
        for (range, shape) in arrays(cut) {
            let tape = Tape::new(record)?;
            let variable = |part| tape.variable(Tensor::new(record, shape, part));
            let x = Tensor::split(record, cut.outer, cut.x)?;
            let x: List<_> = x.into_iter().map(|x| tape.variable(x)).collect();
            let gradient = variable(&gradient[range.clone()]);
            let state: List<_> = parts(state, p, range.clone()).map(variable).collect();
            let next = self.update(&state, gradient, &x, step);
            record.status()?;
            expect(state.len(), next.len())?;
            let mut seeds: List<(NodeId, _)> = List::new();
            for (bar, next) in parts(state_bar, p, range.clone()).zip(next) {
                let seed = Tensor::new(sweep, fitting(next, shape)?.shape(), sweep.copy(bar)?);
                seeds.extend(next.id().map(|id| (id, seed)));
            }
            let adjoints = tape.finish().pull(&seeds, sweep);
            sweep.status()?;
            for (bar, state) in state_bar.chunks_exact_mut(p.max(1)).zip(&state) {
                collect(&adjoints, &[*state], Some, true, &mut bar[range.clone()]);
            }
            collect(&adjoints, &[gradient], Some, true, &mut u[range]);
            collect(&adjoints, &x, Some, false, x_bar);
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

/// An array that a rule returned, if it has the shape that it was given.
fn fitting<'a, A: Array<'a>>(array: A, shape: Shape) -> Result<A, Fault> {
    if array.shape() == shape {
        return Ok(array);
    }
    let (operation, left, right) = ("the step of a rule", shape, array.shape());
    Err(Fault::Shapes { operation, left, right })
}

fn expect(expected: usize, found: usize) -> Result<(), Fault> {
    let what = "the state after the step of a rule";
    if expected == found { Ok(()) } else { Err(Fault::Length { what, expected, found }) }
}
