//! `Passes`: functions of groups of arrays, evaluated, pushed forward and pulled back through flat vectors.
//!
//! A start, losses, the steps of a rule and the stages of a recurrence are such functions. Each is stated once over arrays
//! ([`Stages`]) or numbers, see [`numbers`](crate::oracle::numbers), and goes through the same few passes. Sums over samples
//! are taken block by block, forward and reverse, in [lanes](crate::oracle::lanes).

use hypertape_autodiff::passes::{
    Bars, Group, Mode, RecordedIn, Tangents, Values, Wanted, evaluate, fitting, one, seed, write,
};
use hypertape_autodiff::{Arena, Array, Element, Fault, List, Shape, Tensor, Var};

use crate::error::Error;
use crate::oracle::results::pass;
use crate::oracle::scratch::TOGETHER;
use crate::oracle::workspaces::Workspaces;
use crate::rows::{Blocks, Rows};

/// How a flat vector is cut into arrays, `gap` entries apart that are none of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut<'v> {
    pub(crate) shapes: &'v [Shape],
    pub(crate) gap: usize,
}

impl<'v> Cut<'v> {
    /// One array right after the other.
    pub(crate) fn dense(shapes: &'v [Shape]) -> Self {
        Self { shapes, gap: 0 }
    }

    /// Entries of the arrays.
    pub(crate) fn len(self) -> usize {
        self.shapes.iter().map(|shape| shape.len()).sum()
    }

    /// The arrays of a vector, copied one right after the other.
    fn copy<'a, T: Element>(self, flat: &[T], arena: &'a Arena) -> Result<&'a [T], Fault> {
        let copy = arena.copy(&flat[..self.len()])?;
        let (mut from, mut rest) = (0, &mut *copy);
        for shape in self.shapes.iter().filter(|_| self.gap > 0) {
            let (part, others) = rest.split_at_mut(shape.len());
            part.copy_from_slice(&flat[from..][..shape.len()]);
            (rest, from) = (others, from + shape.len() + self.gap);
        }
        Ok(copy)
    }

    fn bars<T: Element>(self, [values, tangents]: [&'v mut [T]; 2]) -> Bars<'v, T> {
        Bars::new(self.shapes, values, tangents).apart(self.gap)
    }
}

/// Values of a group of arrays, and the directions that it moves along, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes<'v, T> {
    pub(crate) cut: Cut<'v>,
    pub(crate) values: &'v [T],
    pub(crate) moving: &'v [T],
}

impl<'v, T> Planes<'v, T> {
    pub(crate) const NONE: Self =
        Self { cut: Cut { shapes: &[], gap: 0 }, values: &[], moving: &[] };

    pub(crate) fn new(cut: Cut<'v>, values: &'v [T]) -> Self {
        Self { cut, values, moving: &[] }
    }
}

/// How many directions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    Nothing,
    One,
    /// Up to [`TOGETHER`].
    Together,
}

/// Where a function is evaluated, and what comes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'v, T, S> {
    /// Which function.
    pub(crate) stage: S,
    /// The state or `w`, the outer variables, a gradient. What is missing of the first, values or directions, is what the
    /// result takes the place of.
    pub(crate) groups: [Planes<'v, T>; 3],
    pub(crate) along: Along,
    /// The arrays of the result.
    pub(crate) result: Cut<'v>,
    /// Their adjoints, if not what that of the first group takes the place of.
    pub(crate) seeds: Option<&'v [T]>,
    /// Whether adjoints are added to what is there.
    pub(crate) add: [bool; 3],
    /// So many blocks of samples instead of the problem's own, where a scalar's value is a sum over any.
    pub(crate) blocks: Option<usize>,
}

impl<'v, T: Element, S: Copy> At<'v, T, S> {
    pub(crate) fn new(stage: S, groups: [Planes<'v, T>; 3], result: Cut<'v>) -> Self {
        Self {
            stage,
            groups,
            along: Along::Nothing,
            result,
            seeds: None,
            add: [false; 3],
            blocks: None,
        }
    }

    /// Moving the first two groups along what is given.
    pub(crate) fn moving(mut self, along: Along, [first, second]: [&'v [T]; 2]) -> Self {
        (self.groups[0].moving, self.groups[1].moving) = (first, second);
        Self { along, ..self }
    }

    /// Its groups; of the first, what is missing is copied from the vectors that the result is written to.
    fn groups(self, arena: &'v Arena, out: [&[T]; 2]) -> Result<[Group<'v, T>; 3], Fault> {
        let mut groups = self.groups.map(|Planes { cut, values, moving }| {
            Group::new(cut.shapes, values).apart(cut.gap).moving(moving)
        });
        let Planes { cut, values, moving } = self.groups[0];
        let moves = self.along != Along::Nothing;
        if !cut.shapes.is_empty() && (values.is_empty() || moves && moving.is_empty()) {
            let copy =
                |given: &[T], out| cut.copy(if given.is_empty() { out } else { given }, arena);
            let moving = if moves { copy(moving, out[1])? } else { &[] };
            groups[0] = Group::new(cut.shapes, copy(values, out[0])?).moving(moving);
        }
        Ok(groups)
    }

    /// The adjoints of the result in any mode.
    fn seeds(self, arena: &'v Arena, out: [&[T]; 2]) -> Result<Group<'v, T>, Fault> {
        let Cut { shapes, gap } = self.result;
        if let Some(seeds) = self.seeds {
            return Ok(Group::new(shapes, seeds).apart(gap));
        }
        let moves = self.along != Along::Nothing;
        let moving = if moves { self.result.copy(out[1], arena)? } else { &[] };
        Ok(Group::new(shapes, self.result.copy(out[0], arena)?).moving(moving))
    }
}

/// The values and tangents that the adjoints of the three groups are written to; empty where they are not wanted.
pub(crate) type Adjoints<'o, T> = [&'o mut [T]; 6];

/// Passes over functions that are told apart by `S`, in the memory that they are given.
pub(crate) trait Passes<T: Element, S>: Send + Sync {
    /// A scalar function.
    fn value(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<T, Error>;
    /// Writes the arrays of a function, and how they move, each unless its slice is empty; whether there are any.
    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, S>,
        out: [&mut [T]; 2],
    ) -> Result<bool, Error>;
    /// Writes or adds the pull-back of the adjoints of arrays, or of 1 for a scalar, whose value it returns, and how it moves.
    /// What is not wanted is not computed where that can be saved.
    fn pull(&self, memory: &mut Workspaces<T>, at: At<T, S>, out: Adjoints<T>) -> Result<T, Error>;
    /// Whether a function contains the outer variables.
    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, S>) -> Result<bool, Error>;
}

/// What functions and their results are called in errors.
pub(crate) struct Names {
    pub(crate) function: &'static str,
    pub(crate) arrays: &'static str,
    pub(crate) scalar: &'static str,
}

/// Functions of three groups of arrays, each stated once for every mode: of arrays, a scalar, or both.
pub(crate) trait Stages<T: Element>: Send + Sync {
    /// What tells them apart.
    type Stage: Copy + Send + Sync;

    fn names(stage: Self::Stage) -> Names;

    /// The blocks of rows that the scalar is a sum over.
    fn blocks(&self, _: Self::Stage) -> Blocks {
        Blocks::ONE
    }

    fn arrays<'a, A: Array<'a, Elem = T>>(
        &'a self,
        stage: Self::Stage,
        groups: [&[A]; 3],
    ) -> Option<List<A>>;

    fn scalar<'a, A: Array<'a, Elem = T>>(
        &'a self,
        stage: Self::Stage,
        rows: Rows,
        groups: [&[A]; 3],
    ) -> Option<A>;
}

/// Passes in arenas.
pub(crate) struct Arrays<F>(pub(crate) F);

/// [`Passes::push`] in one mode.
fn push<T: Element, M: Mode<T>, F: Stages<T>>(
    function: &F,
    memory: &mut Workspaces<T>,
    at: At<T, F::Stage>,
    [values, tangents]: [&mut [T]; 2],
) -> Result<bool, Error> {
    let names = F::names(at.stage);
    pass(names.function, || {
        let (record, _) = memory.first().arenas();
        let groups = at.groups(record, [values, tangents])?;
        let made: Option<List<M::Array<'_>>> =
            evaluate(record, &groups, |groups| function.arrays(at.stage, groups))?;
        let Some(made) = made else { return Ok(false) };
        write(names.arrays, &made, at.result.bars([values, tangents]))?;
        Ok(true)
    })
}

/// [`Passes::pull`] in one mode.
fn pull<T: Element, M: Mode<T>, F: Stages<T>>(
    function: &F,
    memory: &mut Workspaces<T>,
    at: At<T, F::Stage>,
    out: Adjoints<T>,
) -> Result<T, Error> {
    let (names, blocks) = (F::names(at.stage), memory.cut(function.blocks(at.stage)));
    memory.sum(blocks.len(), out, &|workspace, block, first, [w, dw, x, dx, g, dg]| {
        pass(names.function, || {
            let (record, sweep) = workspace.arenas();
            let groups = at.groups(record, [w, dw])?;
            let seeds = at.seeds(sweep, [w, dw])?;
            let cuts = at.groups.map(|group| group.cut);
            let bars = [cuts[0].bars([w, dw]), cuts[1].bars([x, dx]), cuts[2].bars([g, dg])];
            let mut add = at.add.into_iter();
            let bars = bars.map(|bars| bars.added(add.next() == Some(true) || !first));
            // Lists are large to move, and losses have none.
            let (wanted, mut arrays) = (Bars::wanted(&bars), None);
            let (recorded, scalar) =
                RecordedIn::<M, T, 3>::at(record, &groups, wanted, |groups| {
                    if !at.result.shapes.is_empty() {
                        arrays = function.arrays(at.stage, groups);
                    }
                    function.scalar(at.stage, blocks.nth(block), groups)
                })?;
            let mut adjoints = List::new();
            if let Some(arrays) = &arrays {
                fitting(names.arrays, arrays, at.result.shapes)?;
                let seeds: List<M::Array<'_>> = seeds.load(sweep)?;
                adjoints.extend(arrays.iter().map(|array| array.id()).zip(seeds));
            }
            let mut value = T::zero();
            if let Some(scalar) = scalar {
                value = one(names.scalar, scalar)?;
                adjoints.push(seed(scalar, sweep));
            }
            recorded.pull(adjoints.iter().copied(), sweep)?.write(bars);
            Ok(value)
        })
    })
}

impl<T: Element, F: Stages<T>> Passes<T, F::Stage> for Arrays<F> {
    fn value(&self, memory: &mut Workspaces<T>, at: At<T, F::Stage>) -> Result<T, Error> {
        let (names, mut blocks) = (F::names(at.stage), memory.cut(self.0.blocks(at.stage)));
        // All samples in one block need not look at rows.
        if let (Some(count), true) = (at.blocks, blocks.block < usize::MAX) {
            blocks.block = blocks.samples.div_ceil(count.max(1));
        }
        memory.sum(blocks.len(), [], &|workspace, block, _, []| {
            pass(names.function, || {
                let (record, _) = workspace.arenas();
                let groups = at.groups(record, [&[]; 2])?;
                let value: Option<Tensor<T>> = evaluate(record, &groups, |groups| {
                    self.0.scalar(at.stage, blocks.nth(block), groups)
                })?;
                value.map_or(Ok(T::zero()), |value| one(names.scalar, value))
            })
        })
    }

    fn push(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, F::Stage>,
        out: [&mut [T]; 2],
    ) -> Result<bool, Error> {
        match at.along {
            Along::Nothing => push::<T, Values, F>(&self.0, memory, at, out),
            _ => push::<T, Tangents<TOGETHER>, F>(&self.0, memory, at, out),
        }
    }

    fn pull(
        &self,
        memory: &mut Workspaces<T>,
        at: At<T, F::Stage>,
        out: Adjoints<T>,
    ) -> Result<T, Error> {
        match at.along {
            Along::Nothing => pull::<T, Values, F>(&self.0, memory, at, out),
            Along::One => pull::<T, Tangents<1>, F>(&self.0, memory, at, out),
            Along::Together => pull::<T, Tangents<TOGETHER>, F>(&self.0, memory, at, out),
        }
    }

    fn depends(&self, memory: &mut Workspaces<T>, at: At<T, F::Stage>) -> Result<bool, Error> {
        let wanted = [Wanted::Nothing, Wanted::All, Wanted::Nothing];
        let mut depends = false;
        for rows in self.0.blocks(at.stage).iter() {
            depends |= pass(F::names(at.stage).function, || {
                let (record, _) = memory.first().arenas();
                let groups = at.groups(record, [&[]; 2])?;
                let (_, depends) = RecordedIn::<Values, T, 3>::at(record, &groups, wanted, |of| {
                    let arrays: Option<List<Var<_>>> = self.0.arrays(at.stage, of);
                    let scalar = self.0.scalar(at.stage, rows, of);
                    arrays.into_iter().flatten().chain(scalar).any(|made| made.id().is_some())
                })?;
                Ok(depends)
            })?;
        }
        Ok(depends)
    }
}
