//! `Scratch`: tapes of passes over scalars, kept from call to call.

use hypertape_autodiff::scalar::{Dual, Scalar, Tape, Var};
use hypertape_autodiff::{Element, Fault};

/// Largest number of directions in one forward pass.
pub(crate) const TOGETHER: usize = 4;

/// A number that holds a value and, in forward mode, its tangents.
pub(crate) trait Packed<T>: Scalar<Plain = T> {
    /// Creates a number from a value and a function that returns its tangents.
    fn join(value: T, tangent: impl FnMut(usize) -> T) -> Self;

    /// Returns the value for place 0, and the tangents for the places after it.
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

/// Returns the numbers of a flat point with the tangents of the directions in `moving`, which are stored one after the
/// other.
pub(crate) fn join<'v, T: Element, S: Packed<T>>(
    at: &'v [T],
    moving: &'v [T],
) -> impl ExactSizeIterator<Item = S> + 'v {
    at.iter().enumerate().map(|(i, &value)| {
        S::join(value, |k| moving.get(k * at.len() + i).copied().unwrap_or_else(T::zero))
    })
}

/// Writes or adds the planes of `numbers`: the values, and the tangents one direction after the other. Empty slices are
/// skipped.
pub(crate) fn store<T: Element, S: Packed<T>>(
    numbers: &[S],
    add: bool,
    values: &mut [T],
    tangents: &mut [T],
) {
    let tangents = tangents.chunks_exact_mut(numbers.len().max(1)).zip(1..);
    for (plane, place) in std::iter::once((values, 0)).chain(tangents) {
        for (to, from) in plane.iter_mut().zip(numbers) {
            let from = from.plane(place);
            *to = if add { *to + from } else { from };
        }
    }
}

/// Tapes over values, over one tangent, and over [`TOGETHER`] tangents.
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    pub(crate) values: Sweep<T>,
    pub(crate) tangent: Sweep<Dual<T>>,
    pub(crate) tangents: Sweep<Dual<T, TOGETHER>>,
}

impl<T: Scalar> Scratch<T> {
    /// Creates empty tapes with at most `limit` bytes of records each.
    pub(crate) fn new(limit: usize) -> Self {
        Self { values: Sweep::new(limit), tangent: Sweep::new(limit), tangents: Sweep::new(limit) }
    }
}

/// A tape and its vectors.
#[derive(Debug)]
pub(crate) struct Sweep<S> {
    tape: Tape<S>,
    /// The variables of the last pass, and their adjoints.
    point: Vec<S>,
    pub(crate) bars: Vec<S>,
    /// The results of the last pass, and their seeds.
    pub(crate) results: Vec<S>,
    seeds: Vec<S>,
}

impl<S: Scalar> Sweep<S> {
    /// Creates an empty tape with at most `limit` bytes of records.
    pub(crate) fn new(limit: usize) -> Self {
        let mut tape = Tape::new();
        tape.set_limit(limit);
        let [point, bars, results, seeds] = [(); 4].map(|()| Vec::new());
        Self { tape, point, bars, results, seeds }
    }

    /// Evaluates a function, whose `count` results, initially zero, are written to `results`; returns the bytes used.
    pub(crate) fn evaluate(
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

    /// Evaluates a function of `variables` and `constants` that writes arrays and returns a scalar. Writes to `bars`
    /// the pull-back of `seeds`, one per entry of the arrays, and of 1 for the scalar, and returns the scalar.
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
                // The tape has memory for numbers only among the results, so the constants are stored there.
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

    /// Number of bytes of the last pass.
    pub(crate) fn used(&mut self) -> usize {
        self.tape.used() + 2 * (self.point.len() + self.seeds.len()) * size_of::<S>()
    }
}
