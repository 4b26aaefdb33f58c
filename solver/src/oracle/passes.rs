//! `Passes`: functions of groups of arrays, evaluated, pushed forward and pulled back through flat vectors.
//!
//! A start, losses, the steps of a rule and the stages of a recurrence are such functions. Each is written once over
//! arrays ([`Stages`]) or numbers (see [`numbers`](crate::oracle::numbers)), and is evaluated by the same few passes.
//! Sums over samples are computed block by block, forward and reverse, in [lanes](crate::oracle::lanes).

use hypertape_autodiff::passes::{
    Bars, Group, Mode, RecordedIn, Tangents, Values, Wanted, evaluate, fitting, one, seed, write,
};
use hypertape_autodiff::{Arena, Array, Element, Fault, List, Tensor, Var};

use crate::error::Error;
use crate::oracle::results::pass;
use crate::oracle::scratch::TOGETHER;
use crate::oracle::workspaces::Workspaces;
use crate::rows::{Blocks, Rows};

/// Number of directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    Nothing,
    One,
    /// Up to [`TOGETHER`].
    Together,
}

/// Where a function is evaluated, and further arguments of a pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'v, T, S> {
    /// Selects the function.
    pub(crate) stage: S,
    /// The state or `w`, the outer variables, and a gradient. If values or directions of the first group are missing,
    /// the content of the result vectors is used, which the result overwrites.
    pub(crate) groups: [Group<'v, T>; 3],
    pub(crate) along: Along,
    /// The arrays of the result, with their adjoints as values. If these are missing, the content of the vectors for the
    /// adjoint of the first group is used.
    pub(crate) result: Group<'v, T>,
    /// Whether adjoints are added to the content of their vectors.
    pub(crate) add: [bool; 3],
    /// Number of blocks of samples, instead of the problem's own, for a scalar that is a sum over samples.
    pub(crate) blocks: Option<usize>,
}

impl<'v, T: Element, S: Copy> At<'v, T, S> {
    pub(crate) fn new(stage: S, groups: [Group<'v, T>; 3], result: Group<'v, T>) -> Self {
        Self { stage, groups, along: Along::Nothing, result, add: [false; 3], blocks: None }
    }

    /// Sets the directions along which the first two groups move.
    pub(crate) fn moving(mut self, along: Along, [first, second]: [&'v [T]; 2]) -> Self {
        (self.groups[0].moving, self.groups[1].moving) = (first, second);
        Self { along, ..self }
    }

    /// Sets the adjoints of the result.
    pub(crate) fn seeded(mut self, adjoints: &'v [T]) -> Self {
        self.result.values = adjoints;
        self
    }

    /// Returns a group, of which missing values and directions are copied from the vectors `out` of the result.
    fn known(
        self,
        group: Group<'v, T>,
        arena: &'v Arena,
        out: [&[T]; 2],
    ) -> Result<Group<'v, T>, Fault> {
        let Group { shapes, gap, values, moving } = group;
        let moves = self.along != Along::Nothing;
        if shapes.is_empty() || !(values.is_empty() || moves && moving.is_empty()) {
            return Ok(group);
        }
        // Without gaps.
        let copy = |flat: &[T]| {
            let copy = arena.copy(&flat[..group.entries()])?;
            let (mut from, mut rest) = (0, &mut *copy);
            for shape in shapes.iter().filter(|_| gap > 0) {
                let (part, others) = rest.split_at_mut(shape.len());
                part.copy_from_slice(&flat[from..][..shape.len()]);
                (rest, from) = (others, from + shape.len() + gap);
            }
            Ok(&*copy)
        };
        let given = |given: &'v [T], out| copy(if given.is_empty() { out } else { given });
        let moving = if moves { given(moving, out[1])? } else { &[] };
        Ok(Group::new(shapes, given(values, out[0])?).moving(moving))
    }

    /// Returns all groups.
    fn groups(self, arena: &'v Arena, out: [&[T]; 2]) -> Result<[Group<'v, T>; 3], Fault> {
        let [first, others @ ..] = self.groups;
        Ok([self.known(first, arena, out)?, others[0], others[1]])
    }
}

/// Values and tangents of the adjoints of the three groups; empty slices are not written.
pub(crate) type Adjoints<'o, T> = [&'o mut [T]; 6];

/// Passes over functions selected by `S`, in the given memory.
pub(crate) trait Passes<T: Element, S>: Send + Sync {
    /// Evaluates a scalar function.
    fn value(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<T, Error>;
    /// Writes the arrays of a function and their tangents, except to empty slices. Returns whether the function has
    /// arrays.
    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, S>,
        out: [&mut [T]; 2],
    ) -> Result<bool, Error>;
    /// Writes or adds the pull-back of the adjoints of arrays, or of 1 for a scalar, and its tangents. Returns the
    /// value of the scalar. Adjoints for empty slices are not computed where that saves work.
    fn pull(&self, memory: &mut Workspaces<T>, at: At<T, S>, out: Adjoints<T>) -> Result<T, Error>;
    /// Whether a function depends on the outer variables.
    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<bool, Error>;
}

/// Selects a function.
pub(crate) trait Selects: Copy + Send + Sync {
    /// Returns the names of the function and its results in errors.
    fn names(self) -> Names;
}

/// Names of functions and their results in errors.
pub(crate) struct Names {
    pub(crate) function: &'static str,
    pub(crate) arrays: &'static str,
    pub(crate) scalar: &'static str,
}

/// Functions of three groups of arrays, selected by `S`, each written once for every mode. A function returns arrays, a
/// scalar, or both.
pub(crate) trait Stages<T: Element, S>: Send + Sync {
    /// The blocks of rows over which the scalar is a sum.
    fn blocks(&self, _: S) -> Blocks {
        Blocks::ONE
    }

    fn arrays<'a, A: Array<'a, Elem = T>>(&'a self, stage: S, groups: [&[A]; 3])
    -> Option<List<A>>;

    fn scalar<'a, A: Array<'a, Elem = T>>(
        &'a self,
        stage: S,
        rows: Rows,
        groups: [&[A]; 3],
    ) -> Option<A>;
}

/// The order of derivatives up to which everything is differentiated. The second order is that of the inner loss alone:
/// nothing else is compiled for it, by a test of this constant.
pub(crate) const FIRST: u32 = 1;

/// Passes over `F` in arenas.
pub(crate) struct Arrays<F>(pub(crate) F);

/// Functions that return arrays, in one mode. Passes use them as trait objects, and so are compiled once per mode, not
/// per problem.
pub(crate) trait MakesArrays<'a, A, S>: Sync {
    fn arrays(&'a self, stage: S, groups: [&[A]; 3]) -> Option<List<A>>;
}

/// The same with those that return scalars, of which no pass needs tangents alone.
pub(crate) trait InMode<'a, A, S>: MakesArrays<'a, A, S> {
    fn scalar(&'a self, stage: S, rows: Rows, groups: [&[A]; 3]) -> Option<A>;
}

impl<'a, A: Array<'a>, S, F: Stages<A::Elem, S>> MakesArrays<'a, A, S> for Arrays<F> {
    fn arrays(&'a self, stage: S, groups: [&[A]; 3]) -> Option<List<A>> {
        self.0.arrays(stage, groups)
    }
}

impl<'a, A: Array<'a>, S, F: Stages<A::Elem, S>> InMode<'a, A, S> for Arrays<F> {
    fn scalar(&'a self, stage: S, rows: Rows, groups: [&[A]; 3]) -> Option<A> {
        self.0.scalar(stage, rows, groups)
    }
}

/// Functions to evaluate.
type Plain<'f, T, S> = dyn for<'a> InMode<'a, Tensor<'a, T>, S> + 'f;

/// Functions to evaluate or push forward in mode `M`.
type Pushed<'f, M, T, S> = dyn for<'a> MakesArrays<'a, <M as Mode<T>>::Array<'a>, S> + 'f;

/// Functions to record in mode `M`.
type OnTape<'f, M, T, S> = dyn for<'a> InMode<'a, Var<'a, <M as Mode<T>>::Array<'a>>, S> + 'f;

/// Performs [`Passes::value`].
fn value<T: Element, S: Selects>(
    function: &Plain<T, S>,
    blocks: Blocks,
    memory: &mut Workspaces<T>,
    at: At<T, S>,
) -> Result<T, Error> {
    let names = at.stage.names();
    memory.sum(blocks.len(), [], &|workspace, block, _, []| {
        pass(names.function, || {
            let (record, _) = workspace.arenas();
            let groups = at.groups(record, [&[]; 2])?;
            let value: Option<Tensor<T>> = evaluate(record, &groups, |groups| {
                function.scalar(at.stage, blocks.nth(block), groups)
            })?;
            value.map_or(Ok(T::zero()), |value| one(names.scalar, value))
        })
    })
}

/// Performs [`Passes::push`] in one mode.
fn push<T: Element, M: Mode<T> + 'static, S: Selects>(
    function: &Pushed<M, T, S>,
    memory: &mut Workspaces<T>,
    at: At<T, S>,
    [values, tangents]: [&mut [T]; 2],
) -> Result<bool, Error> {
    let names = at.stage.names();
    pass(names.function, || {
        let (record, _) = memory.first().arenas();
        let groups = at.groups(record, [values, tangents])?;
        let made: Option<List<M::Array<'_>>> =
            evaluate(record, &groups, |groups| function.arrays(at.stage, groups))?;
        let Some(made) = made else { return Ok(false) };
        write(names.arrays, &made, at.result.bars(values, tangents))?;
        Ok(true)
    })
}

/// Performs [`Passes::pull`] in one mode.
fn pull<T: Element, M: Mode<T> + 'static, S: Selects>(
    function: &OnTape<M, T, S>,
    blocks: Blocks,
    memory: &mut Workspaces<T>,
    at: At<T, S>,
    out: Adjoints<T>,
) -> Result<T, Error> {
    let names = at.stage.names();
    memory.sum(blocks.len(), out, &|workspace, block, first, [w, dw, x, dx, g, dg]| {
        pass(names.function, || {
            let (record, sweep) = workspace.arenas();
            let groups = at.groups(record, [w, dw])?;
            let adjoints = at.known(at.result, sweep, [w, dw])?;
            let [of_w, of_x, of_g] = &at.groups;
            let bars = [of_w.bars(w, dw), of_x.bars(x, dx), of_g.bars(g, dg)];
            let mut add = at.add.into_iter();
            let bars = bars.map(|bars| bars.added(add.next() == Some(true) || !first));
            // Lists are expensive to move, and losses have none.
            let (wanted, mut arrays) = (Bars::wanted(&bars), None);
            let (recorded, scalar) =
                RecordedIn::<M, T, 3>::at(record, &groups, wanted, |groups| {
                    if !at.result.shapes.is_empty() {
                        arrays = function.arrays(at.stage, groups);
                    }
                    function.scalar(at.stage, blocks.nth(block), groups)
                })?;
            let mut seeds: List<M::Array<'_>> = List::new();
            if let Some(arrays) = &arrays {
                fitting(names.arrays, arrays, at.result.shapes)?;
                seeds = adjoints.load(sweep)?;
            }
            let value = scalar.map_or(Ok(T::zero()), |scalar| one(names.scalar, scalar))?;
            let ids = arrays.iter().flatten().map(|array| array.id());
            let seeds = ids.zip(seeds).chain(scalar.map(|scalar| seed(scalar, sweep)));
            recorded.pull(seeds, sweep)?.write(bars);
            Ok(value)
        })
    })
}

/// Performs [`Passes::depends`].
fn depends<T: Element, S: Selects>(
    function: &OnTape<Values, T, S>,
    blocks: Blocks,
    memory: &mut Workspaces<T>,
    at: At<T, S>,
) -> Result<bool, Error> {
    let names = at.stage.names();
    let wanted = [Wanted::Nothing, Wanted::All, Wanted::Nothing];
    let mut depends = false;
    for rows in blocks.iter() {
        depends |= pass(names.function, || {
            let (record, _) = memory.first().arenas();
            let groups = at.groups(record, [&[]; 2])?;
            let (_, depends) = RecordedIn::<Values, T, 3>::at(record, &groups, wanted, |of| {
                let arrays: Option<List<Var<_>>> = function.arrays(at.stage, of);
                let scalar = function.scalar(at.stage, rows, of);
                arrays.into_iter().flatten().chain(scalar).any(|made| made.id().is_some())
            })?;
            Ok(depends)
        })?;
    }
    Ok(depends)
}

impl<T: Element, S: Selects, F: Stages<T, S>> Passes<T, S> for Arrays<F> {
    fn value(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<T, Error> {
        let mut blocks = memory.cut(self.0.blocks(at.stage));
        // A loss over a single block need not support rows.
        if let (Some(count), true) = (at.blocks, blocks.block < usize::MAX) {
            blocks.block = blocks.samples.div_ceil(count.max(1));
        }
        value(self, blocks, memory, at)
    }

    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, S>,
        out: [&mut [T]; 2],
    ) -> Result<bool, Error> {
        match at.along {
            Along::Nothing => push::<T, Values, _>(self, memory, at, out),
            _ => push::<T, Tangents<TOGETHER>, _>(self, memory, at, out),
        }
    }

    fn pull(&self, memory: &mut Workspaces<T>, at: At<T, S>, out: Adjoints<T>) -> Result<T, Error> {
        let blocks = memory.cut(self.0.blocks(at.stage));
        match at.along {
            Along::Nothing => pull::<T, Values, _>(self, blocks, memory, at, out),
            Along::One => pull::<T, Tangents<1>, _>(self, blocks, memory, at, out),
            Along::Together => pull::<T, Tangents<TOGETHER>, _>(self, blocks, memory, at, out),
        }
    }

    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<bool, Error> {
        let blocks = memory.cut(self.0.blocks(at.stage));
        depends(self, blocks, memory, at)
    }
}
