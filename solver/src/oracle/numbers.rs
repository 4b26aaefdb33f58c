//! `Numbers`: passes over functions of scalars, on tapes.

use hypertape_autodiff::passes::Group;
use hypertape_autodiff::scalar::{Real, Scalar, Var};
use hypertape_autodiff::{Element, Fault};

use crate::error::Error;
use crate::oracle::passes::{Adjoints, Along, At, Passes, Selects};
use crate::oracle::results::in_function;
use crate::oracle::scratch::{Packed, Scratch, Sweep, join, store};
use crate::oracle::workspaces::Workspaces;

/// Functions of two groups of numbers, selected by `S`, each written once for every mode. A function writes arrays, returns a scalar, or
/// both.
pub(crate) trait NumberStages<T: Element, S>: Send + Sync {
    /// Writes the arrays, which are zero before.
    fn arrays<R: Real<T>>(&self, stage: S, groups: [&[R]; 2], next: &mut [R]);

    fn scalar<R: Real<T>>(&self, stage: S, groups: [&[R]; 2]) -> Option<R>;
}

/// Passes over `F` on tapes.
pub(crate) struct Numbers<F>(pub(crate) F);

/// Returns the numbers of a group. If its values are missing, the content of the result vectors is used, which the result
/// overwrites.
fn known<'v, T: Element, S: Packed<T>>(
    group: Group<'v, T>,
    [values, tangents]: [&'v [T]; 2],
) -> impl ExactSizeIterator<Item = S> + 'v {
    let missing = group.values.is_empty() && !group.shapes.is_empty();
    if missing { join(values, tangents) } else { join(group.values, group.moving) }
}

/// Performs [`Passes::push`] on one of the tapes, and returns its bytes.
fn push<T: Element, N: Packed<T>, S: Copy, F: NumberStages<T, S>>(
    function: &F,
    sweep: &mut Sweep<N>,
    at: At<T, S>,
    [values, tangents]: [&mut [T]; 2],
) -> usize {
    let (state, params) = (known(at.groups[0], [values, tangents]), at.groups[1]);
    let split = state.len();
    let point = state.chain(join(params.values, params.moving));
    let bytes = sweep.evaluate(point, at.result.entries(), |point, next| {
        let (state, x) = point.split_at(split);
        function.arrays(at.stage, [state, x], next);
    });
    store(&sweep.results, false, values, tangents);
    bytes
}

/// Performs [`Passes::pull`] on one of the tapes, and returns its bytes as well.
fn pull<T: Element, N: Packed<T>, S: Copy, F: NumberStages<T, S>>(
    function: &F,
    sweep: &mut Sweep<N>,
    at: At<T, S>,
    [w, dw, x, dx, ..]: Adjoints<T>,
) -> Result<(T, usize), Fault> {
    let (seeds, state) = (known(at.result, [w, dw]), known(at.groups[0], [w, dw]));
    let params = at.groups[1];
    let params = || join(params.values, params.moving);
    let passive = x.is_empty() && dx.is_empty();
    let (split, active) = (state.len(), if passive { 0 } else { params().len() });
    let (variables, constants) = (state.chain(params().take(active)), params().skip(active));
    let value = sweep.pull(seeds, variables, constants, |variables, constants, next| {
        let (state, x) = variables.split_at(split);
        let groups = [state, if passive { constants } else { x }];
        function.arrays(at.stage, groups, next);
        function.scalar(at.stage, groups).unwrap_or_else(|| Var::from(N::zero()))
    })?;
    let (of_state, of_x) = sweep.bars.split_at(split);
    store(of_state, at.add[0], w, dw);
    store(of_x, at.add[1], x, dx);
    Ok((value.plane(0), sweep.used()))
}

impl<T, S, F> Passes<T, S> for Numbers<F>
where
    T: Element + Scalar<Plain = T>,
    S: Selects,
    F: NumberStages<T, S>,
{
    fn value(&self, _: &mut Workspaces<T>, at: At<T, S>) -> Result<T, Error> {
        let [state, x, _] = at.groups.map(|group| group.values);
        Ok(self.0.scalar(at.stage, [state, x]).unwrap_or_else(T::zero))
    }

    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, S>,
        out: [&mut [T]; 2],
    ) -> Result<bool, Error> {
        let Scratch { values, tangent, tangents } = memory.scratch();
        let bytes = match at.along {
            Along::Nothing => push(&self.0, values, at, out),
            Along::One => push(&self.0, tangent, at, out),
            Along::Together => push(&self.0, tangents, at, out),
        };
        memory.note(bytes);
        Ok(true)
    }

    fn pull(&self, memory: &mut Workspaces<T>, at: At<T, S>, out: Adjoints<T>) -> Result<T, Error> {
        let Scratch { values, tangent, tangents } = memory.scratch();
        let pulled = match at.along {
            Along::Nothing => pull(&self.0, values, at, out),
            Along::One => pull(&self.0, tangent, at, out),
            Along::Together => pull(&self.0, tangents, at, out),
        };
        let (value, bytes) = pulled.map_err(in_function(at.stage.names().function))?;
        memory.note(bytes);
        Ok(value)
    }

    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<bool, Error> {
        let [w, x, _] = at.groups.map(|group| group.values);
        let (seeds, constants) = (vec![T::zero(); at.result.entries()], w.iter().copied());
        let (sweep, mut depends) = (&mut memory.scratch().values, false);
        let pulled = sweep.pull(seeds.into_iter(), x.iter().copied(), constants, |x, w, next| {
            self.0.arrays(at.stage, [w, x], next);
            let scalar = self.0.scalar(at.stage, [w, x]);
            depends = next.iter().copied().chain(scalar).any(|made| !made.is_constant());
            scalar.unwrap_or_else(|| Var::from(T::zero()))
        });
        pulled.map(|_| depends).map_err(in_function(at.stage.names().function))
    }
}
