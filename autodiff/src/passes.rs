//! Passes: a function of several groups of arrays is evaluated, recorded and pulled back through flat vectors.
//!
//! The drivers of [`Function`](crate::Function) are made of these steps. They are public for functions of other forms,
//! for evaluation in blocks, and for tapes of your own:
//!
//! ```text
//! group      flat vectors, cut by shapes; with directions to move along in the modes that carry tangents
//! evaluate   the function in one mode, a closure over its arrays
//! record     the same on a tape
//! pull       adjoints of the outputs back
//! write      planes of arrays, or of adjoints, into flat vectors
//! ```
//!
//! A group whose adjoint is not wanted is passive. A group of whose adjoint only the tangents are wanted is a [variable
//! of tangents](Tape::variable_of_tangents).
//!
//! ```
//! use hypertape_autodiff::passes::{Bars, Group, RecordedIn, Tangents};
//! use hypertape_autodiff::{Array, Shape, Workspace};
//! // d2f/dw2 v and (d2f/dw dx)^T v of f = x w^3 at w = 2 and x = 3 for v = 5, in one sweep.
//! let (scalar, mut workspace, mut hessian, mut mixed) = ([Shape::SCALAR], Workspace::new(), [0.0], [0.0]);
//! let at = [Group::new(&scalar, &[2.0]).moving(&[5.0]), Group::new(&scalar, &[3.0])];
//! let bars = [Bars::new(&scalar, &mut [], &mut hessian), Bars::new(&scalar, &mut [], &mut mixed)];
//! let (record, sweep) = workspace.arenas();
//! let recorded = RecordedIn::<Tangents<1>, f64, 2>::at(record, &at, Bars::wanted(&bars), |[w, x]| x[0] * w[0].powi(3));
//! let (recorded, value) = recorded?;
//! let (value, pulled) = recorded.pull_scalar("f", value, sweep)?;
//! pulled.write(bars);
//! assert_eq!((value, hessian, mixed), (24.0, [180.0], [60.0]));
//! # Ok::<(), hypertape_autodiff::Fault>(())
//! ```

mod flat;

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::tape::{Adjoints, NodeId, Recording, Tape};
use crate::array::var::Var;
use crate::array::{Array, List};
use crate::fault::{Fault, expect_length};
use crate::shape::Shape;

pub use crate::passes::flat::{Bars, Group, Join, Mode, Planes, Tangents, Values, Wanted};
pub(crate) use crate::passes::flat::{cut, write_plane};

/// Evaluates a function in one mode.
///
/// # Errors
/// Returns [`Fault::Length`] if a length does not match, or the first fault of the evaluation.
pub fn evaluate<'a, T: Element, A: Join<'a, T>, O, const G: usize>(
    arena: &'a Arena,
    at: &[Group<'a, T>; G],
    f: impl FnOnce([&[A]; G]) -> O,
) -> Result<O, Fault> {
    let mut groups = lists();
    load(arena, at, &mut groups)?;
    let out = f(groups.each_ref().map(|group| &group[..]));
    arena.status()?;
    Ok(out)
}

fn lists<A, const G: usize>() -> [List<A>; G] {
    std::array::from_fn(|_| List::new())
}

fn load<'a, T: Element, A: Join<'a, T>, const G: usize>(
    arena: &'a Arena,
    at: &[Group<'a, T>; G],
    groups: &mut [List<A>; G],
) -> Result<(), Fault> {
    groups.iter_mut().zip(at).try_for_each(|(arrays, group)| group.load_into(arena, arrays))
}

/// Writes the arrays that a function returned, which must have the shapes of `out`. Faults call the arrays `what`.
///
/// # Errors
/// Returns [`Fault::Length`] if the number of arrays differs, and [`Fault::Shapes`] if a shape does.
pub fn write<'a, T: Element, A: Planes<'a, T>>(
    what: &'static str,
    arrays: &[A],
    out: Bars<T>,
) -> Result<(), Fault> {
    fitting(what, arrays, out.shapes)?;
    out.take(1, &arrays.iter().copied().map(Some));
    Ok(())
}

/// Checks that the arrays that a function returned have these shapes. Faults call the arrays `what`.
///
/// # Errors
/// Returns [`Fault::Length`] if the number of arrays differs, and [`Fault::Shapes`] if a shape does.
pub fn fitting<'a, A: Array<'a>>(
    what: &'static str,
    arrays: &[A],
    shapes: &[Shape],
) -> Result<(), Fault> {
    let (expected, found) = (shapes.len(), arrays.len());
    if found != expected {
        return Err(Fault::Length { what, expected, found });
    }
    match arrays.iter().zip(shapes).find(|(array, shape)| array.shape() != **shape) {
        Some((array, &left)) => Err(Fault::Shapes { operation: what, left, right: array.shape() }),
        None => Ok(()),
    }
}

/// [`Recorded`] with the mode given by name.
pub type RecordedIn<'a, M, T, const G: usize> = Recorded<'a, <M as Mode<T>>::Array<'a>, T, G>;

/// A recorded evaluation of a function of `G` groups.
#[derive(Debug)]
pub struct Recorded<'a, A, T, const G: usize> {
    recording: Recording<'a, A, T>,
    inputs: [Inputs; G],
}

/// The records of a group: one for each array from `first` on if it is active, none otherwise.
#[derive(Clone, Copy, Debug)]
struct Inputs {
    first: usize,
    arrays: usize,
    active: bool,
}

impl<'a, T: Element, A: Array<'a, Elem = T>, const G: usize> Recorded<'a, A, T, G> {
    /// Records the function at arrays of any mode, and returns its results as well.
    ///
    /// # Errors
    /// Returns the first fault of the evaluation.
    pub fn new<O>(
        arena: &'a Arena,
        groups: [(&[A], Wanted); G],
        f: impl FnOnce([&[Var<'a, A>]; G]) -> O,
    ) -> Result<(Self, O), Fault> {
        let tape = Tape::new(arena)?;
        let mut first = 0;
        let inputs = groups.map(|(arrays, wanted)| {
            let (arrays, active) = (arrays.len(), wanted != Wanted::Nothing);
            let inputs = Inputs { first, arrays, active };
            first += if active { arrays } else { 0 };
            inputs
        });
        let mut variables = lists();
        for (variables, (arrays, wanted)) in variables.iter_mut().zip(groups) {
            variables.extend(arrays.iter().map(|&array| match wanted {
                Wanted::Nothing => tape.passive(array),
                Wanted::Tangents => tape.variable_of_tangents(array),
                Wanted::All => tape.variable(array),
            }));
        }
        let results = f(variables.each_ref().map(|group| &group[..]));
        arena.status()?;
        Ok((Self { recording: tape.finish(), inputs }, results))
    }

    /// Runs the reverse sweep from adjoints of results. A result without a record does not depend on what is wanted;
    /// its seed is ignored.
    ///
    /// # Errors
    /// Returns the first fault of the sweep.
    pub fn pull(
        &self,
        seeds: impl IntoIterator<Item = (Option<NodeId>, A)>,
        sweep: &'a Arena,
    ) -> Result<Pulled<'a, A, G>, Fault> {
        let seeds = seeds.into_iter().filter_map(|(id, seed)| Some((id?, seed)));
        let adjoints = self.recording.pull(&seeds.collect::<List<_>>(), sweep);
        sweep.status()?;
        Ok(Pulled { adjoints, inputs: self.inputs })
    }

    /// Runs the reverse sweep from a scalar, whose adjoint is 1, and returns its value as well.
    ///
    /// # Errors
    /// Returns the first fault of the sweep, or [`Fault::Length`] if `what` is not a scalar.
    pub fn pull_scalar(
        &self,
        what: &'static str,
        scalar: Var<'a, A>,
        sweep: &'a Arena,
    ) -> Result<(T, Pulled<'a, A, G>), Fault> {
        let value = one(what, scalar)?;
        Ok((value, self.pull([seed(scalar, sweep)], sweep)?))
    }
}

/// Returns the seed of a scalar: its record and the adjoint 1.
pub fn seed<'a, A: Array<'a>>(scalar: Var<'a, A>, sweep: &'a Arena) -> (Option<NodeId>, A) {
    (scalar.id(), scalar.value().within(sweep).scalar(1.0))
}

/// Returns the value of a scalar.
///
/// # Errors
/// Returns [`Fault::Length`] if `what` is not a scalar.
pub fn one<'a, A: Array<'a>>(what: &'static str, scalar: A) -> Result<A::Elem, Fault> {
    expect_length(what, 1, scalar.values().len())?;
    Ok(scalar.values()[0])
}

impl<'a, T: Element, A: Join<'a, T>, const G: usize> Recorded<'a, A, T, G> {
    /// Records the function at flat vectors, and returns its results as well.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, or the first fault of the evaluation.
    pub fn at<O>(
        arena: &'a Arena,
        at: &[Group<'a, T>; G],
        wanted: [Wanted; G],
        f: impl FnOnce([&[Var<'a, A>]; G]) -> O,
    ) -> Result<(Self, O), Fault> {
        let mut groups = lists();
        load(arena, at, &mut groups)?;
        Self::new(arena, std::array::from_fn(|g| (&groups[g][..], wanted[g])), f)
    }
}

/// The adjoints that a sweep computed.
#[derive(Debug)]
pub struct Pulled<'a, A, const G: usize> {
    adjoints: Adjoints<'a, A>,
    inputs: [Inputs; G],
}

impl<'a, A: Array<'a>, const G: usize> Pulled<'a, A, G> {
    /// Returns the adjoints of a group; `None` stands for zero.
    pub fn of(&self, group: usize) -> impl ExactSizeIterator<Item = Option<A>> + Clone {
        let Inputs { first, arrays, active } = self.inputs[group];
        (first..first + arrays).map(move |record| self.adjoints.at(record).filter(|_| active))
    }

    /// Writes or adds the planes that are wanted of each group.
    pub fn write<T: Element>(&self, bars: [Bars<T>; G])
    where
        A: Planes<'a, T>,
    {
        for (g, bars) in bars.into_iter().enumerate() {
            // Tangents that were moved up by one place start in the place of the value.
            let first = usize::from(!bars.values.is_empty());
            bars.take(first, &self.of(g));
        }
    }
}
