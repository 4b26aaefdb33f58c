//! `Numbers`: passes over functions of single numbers, on tapes that are kept from call to call.

use hypertape_autodiff::scalar::{Dual, Real, Scalar, Tape, Var};
use hypertape_autodiff::{Element, Fault};

use crate::error::Error;
use crate::oracle::passes::{Adjoints, Along, At, Passes, TOGETHER};
use crate::oracle::results::in_function;
use crate::oracle::workspaces::Workspaces;

/// A number that holds a value and, in forward mode, its tangents.
trait Packed<T>: Scalar<Plain = T> {
    /// From a value and the tangent in each place.
    fn join(value: T, tangent: impl FnMut(usize) -> T) -> Self;

    /// The value in place 0, after it the tangents.
    fn plane(self, place: usize) -> T;
}

impl<T: Element + Scalar<Plain = T>> Packed<T> for T {
    fn join(value: T, _: impl FnMut(usize) -> T) -> T {
        value
    }

    fn plane(self, _: usize) -> T {
        self
    }
}

impl<T: Element + Scalar<Plain = T>, const N: usize> Packed<T> for Dual<T, N> {
    fn join(value: T, tangent: impl FnMut(usize) -> T) -> Self {
        Self::new(value, std::array::from_fn(tangent))
    }

    fn plane(self, place: usize) -> T {
        place.checked_sub(1).map_or(self.value(), |k| self.tangents()[k])
    }
}

/// The numbers of a flat point with those of the directions that `moving` holds one after the other.
fn join<'v, T: Element, S: Packed<T>>(
    at: &'v [T],
    moving: &'v [T],
) -> impl ExactSizeIterator<Item = S> + 'v {
    at.iter().enumerate().map(|(i, &value)| {
        S::join(value, |k| moving.get(k * at.len() + i).copied().unwrap_or_else(T::zero))
    })
}

/// Writes or adds the planes of `numbers`, entry by entry: the values, and the tangents one after the other, each unless
/// there is no room for them.
fn store<T: Element, S: Packed<T>>(numbers: &[S], add: bool, values: &mut [T], tangents: &mut [T]) {
    let tangents = tangents.chunks_exact_mut(numbers.len().max(1)).zip(1..);
    for (plane, place) in std::iter::once((values, 0)).chain(tangents) {
        for (to, from) in plane.iter_mut().zip(numbers) {
            let from = from.plane(place);
            *to = if add { *to + from } else { from };
        }
    }
}

/// Tapes over values, over one tangent, and over as many as travel together.
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    pub(crate) values: Sweep<T>,
    tangent: Sweep<Dual<T>>,
    tangents: Sweep<Dual<T, TOGETHER>>,
}

impl<T: Scalar> Scratch<T> {
    /// Nothing recorded yet, at most `limit` bytes of records a tape.
    pub(crate) fn new(limit: usize) -> Self {
        Self { values: Sweep::new(limit), tangent: Sweep::new(limit), tangents: Sweep::new(limit) }
    }
}

/// A tape with the vectors around it.
#[derive(Debug)]
pub(crate) struct Sweep<S> {
    tape: Tape<S>,
    /// The variables of the last pass, and the adjoints that it left.
    point: Vec<S>,
    pub(crate) bars: Vec<S>,
    /// Its results, and their seeds.
    results: Vec<S>,
    seeds: Vec<S>,
}

impl<S: Scalar> Sweep<S> {
    /// Nothing recorded yet, at most `limit` bytes of records.
    pub(crate) fn new(limit: usize) -> Self {
        let mut tape = Tape::new();
        tape.set_limit(limit);
        let [point, bars, results, seeds] = [(); 4].map(|()| Vec::new());
        Self { tape, point, bars, results, seeds }
    }

    /// Evaluates a function, whose `count` results, zero before, are left in `results`; returns the bytes used.
    fn evaluate(
        &mut self,
        arguments: impl Iterator<Item = S>,
        count: usize,
        f: impl FnOnce(&[S], &mut [S]),
    ) -> usize {
        self.point.clear();
        self.point.extend(arguments);
        self.results.clear();
        self.results.resize(count, S::zero());
        f(&self.point, &mut self.results);
        (self.point.len() + count) * size_of::<S>()
    }

    /// Evaluates a function of `variables` and `constants` that writes arrays and returns a scalar, which is passed on, and leaves
    /// the pull-back of `seeds`, one an entry of the arrays, and 1 in `bars`.
    pub(crate) fn pull(
        &mut self,
        seeds: impl Iterator<Item = S>,
        variables: impl Iterator<Item = S>,
        constants: impl ExactSizeIterator<Item = S>,
        f: impl for<'t> FnOnce(&[Var<'t, S>], &[Var<'t, S>], &mut [Var<'t, S>]) -> Var<'t, S>,
    ) -> Result<S, Fault> {
        self.point.clear();
        self.point.extend(variables);
        self.bars.resize(self.point.len(), S::zero());
        self.seeds.clear();
        self.seeds.extend(seeds);
        let scalar = self.seeds.len();
        self.seeds.push(S::one());
        self.seeds.resize(scalar + 1 + constants.len(), S::zero());
        self.results.resize(self.seeds.len(), S::zero());
        let Self { tape, point, bars, results, seeds } = self;
        tape.vjp(
            |variables, results| {
                // The tape has memory for the numbers that are results, so constants wait among them.
                let (arrays, rest) = results.split_at_mut(scalar);
                let (scalar, others) = rest.split_at_mut(1);
                others.iter_mut().zip(constants).for_each(|(number, c)| *number = Var::from(c));
                scalar[0] = f(variables, others, arrays);
            },
            point,
            results,
            seeds,
            bars,
        )?;
        Ok(results[scalar])
    }

    /// Bytes of the last pass.
    pub(crate) fn used(&mut self) -> usize {
        self.tape.used() + 2 * (self.point.len() + self.seeds.len()) * size_of::<S>()
    }
}

/// Functions of two groups of numbers, each stated once for every mode: of arrays, a scalar, or both.
pub(crate) trait NumberStages<T: Element>: Send + Sync {
    /// What tells them apart.
    type Stage: Copy + Send + Sync;

    /// What it is called in errors.
    fn name(stage: Self::Stage) -> &'static str;

    /// Writes the arrays, which are zero before.
    fn arrays<R: Real<T>>(&self, stage: Self::Stage, groups: [&[R]; 2], next: &mut [R]);

    fn scalar<R: Real<T>>(&self, stage: Self::Stage, groups: [&[R]; 2]) -> Option<R>;
}

/// Passes on tapes.
pub(crate) struct Numbers<F>(pub(crate) F);

/// The first group; where it is missing, what the result takes the place of.
fn first<'v, T: Element, S: Packed<T>, K>(
    at: &At<'v, T, K>,
    [values, tangents]: [&'v [T]; 2],
) -> impl ExactSizeIterator<Item = S> + 'v {
    let group = at.groups[0];
    let missing = group.values.is_empty() && !group.cut.shapes.is_empty();
    if missing { join(values, tangents) } else { join(group.values, group.moving) }
}

/// [`Passes::push`] on one of the tapes; returns its bytes.
fn push<T: Element, S: Packed<T>, F: NumberStages<T>>(
    function: &F,
    sweep: &mut Sweep<S>,
    at: At<T, F::Stage>,
    [values, tangents]: [&mut [T]; 2],
) -> usize {
    let (state, params) = (first(&at, [values, tangents]), at.groups[1]);
    let split = state.len();
    let point = state.chain(join(params.values, params.moving));
    let bytes = sweep.evaluate(point, at.result.len(), |point, next| {
        let (state, x) = point.split_at(split);
        function.arrays(at.stage, [state, x], next);
    });
    store(&sweep.results, false, values, tangents);
    bytes
}

/// [`Passes::pull`] on one of the tapes; returns its bytes as well.
fn pull<T: Element, S: Packed<T>, F: NumberStages<T>>(
    function: &F,
    sweep: &mut Sweep<S>,
    at: At<T, F::Stage>,
    [w, dw, x, dx, ..]: Adjoints<T>,
) -> Result<(T, usize), Fault> {
    let seeds = match at.seeds {
        Some(seeds) => join(seeds, &[]),
        None if at.result.shapes.is_empty() => join(&[], &[]),
        None => join(w, dw),
    };
    let (state, params) = (first(&at, [w, dw]), at.groups[1]);
    let params = || join(params.values, params.moving);
    let passive = x.is_empty() && dx.is_empty();
    let (split, active) = (state.len(), if passive { 0 } else { params().len() });
    let (variables, constants) = (state.chain(params().take(active)), params().skip(active));
    let value = sweep.pull(seeds, variables, constants, |variables, constants, next| {
        let (state, x) = variables.split_at(split);
        let groups = [state, if passive { constants } else { x }];
        function.arrays(at.stage, groups, next);
        function.scalar(at.stage, groups).unwrap_or_else(|| Var::from(S::zero()))
    })?;
    let (of_state, of_x) = sweep.bars.split_at(split);
    store(of_state, at.add[0], w, dw);
    store(of_x, at.add[1], x, dx);
    Ok((value.plane(0), sweep.used()))
}

impl<T: Element + Scalar<Plain = T>, F: NumberStages<T>> Passes<T, F::Stage> for Numbers<F> {
    fn value(&self, _: &mut Workspaces<T>, at: At<T, F::Stage>) -> Result<T, Error> {
        let [state, x, _] = at.groups.map(|group| group.values);
        Ok(self.0.scalar(at.stage, [state, x]).unwrap_or_else(T::zero))
    }

    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, F::Stage>,
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

    fn pull(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, F::Stage>,
        out: Adjoints<T>,
    ) -> Result<T, Error> {
        let Scratch { values, tangent, tangents } = memory.scratch();
        let pulled = match at.along {
            Along::Nothing => pull(&self.0, values, at, out),
            Along::One => pull(&self.0, tangent, at, out),
            Along::Together => pull(&self.0, tangents, at, out),
        };
        let (value, bytes) = pulled.map_err(in_function(F::name(at.stage)))?;
        memory.note(bytes);
        Ok(value)
    }

    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, F::Stage>) -> Result<bool, Error> {
        let [w, x, _] = at.groups.map(|group| group.values);
        let (seeds, constants) = (vec![T::zero(); at.result.len()], w.iter().copied());
        let (sweep, mut depends) = (&mut memory.scratch().values, false);
        let pulled = sweep.pull(seeds.into_iter(), x.iter().copied(), constants, |x, w, next| {
            self.0.arrays(at.stage, [w, x], next);
            let scalar = self.0.scalar(at.stage, [w, x]);
            depends = next.iter().copied().chain(scalar).any(|made| !made.is_constant());
            scalar.unwrap_or_else(|| Var::from(T::zero()))
        });
        pulled.map(|_| depends).map_err(in_function(F::name(at.stage)))
    }
}
