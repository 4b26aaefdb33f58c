//! Groups of arrays in flat vectors: cut out in any mode, and written back plane by plane. The planes of an array are
//! its value and its tangents.

use crate::arena::Arena;
use crate::array::dual::Dual;
use crate::array::element::Element;
use crate::array::tensor::Tensor;
use crate::array::var::Var;
use crate::array::vectors::axpy;
use crate::array::{Array, List};
use crate::fault::{Fault, expect_length};
use crate::shape::Shape;

/// The part of the adjoint of a group that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: the group is passive.
    Nothing,
    /// Only the tangents, which move up by one place, so that the first is in the place of the value.
    Tangents,
    /// Everything.
    All,
}

/// An array with a value and, in forward mode, tangents.
pub trait Planes<'a, T: Element>: Array<'a, Elem = T> {
    /// Returns the value for place 0, and a tangent for each place after it; `None` stands for zero.
    fn plane(self, place: usize) -> Option<&'a [T]> {
        (place == 0).then(|| self.values())
    }
}

impl<'a, T: Element> Planes<'a, T> for Tensor<'a, T> {}

impl<'a, T: Element, A: Array<'a, Elem = T>> Planes<'a, T> for Var<'a, A> {}

impl<'a, T: Element, const N: usize> Planes<'a, T> for Dual<Tensor<'a, T>, N> {
    fn plane(self, place: usize) -> Option<&'a [T]> {
        let Some(k) = place.checked_sub(1) else { return Some(self.values()) };
        self.tangents().get(k).copied().flatten().map(Tensor::values)
    }
}

/// An array that can be cut out of flat vectors.
pub trait Join<'a, T: Element>: Planes<'a, T> {
    /// Joins a value with the tangent in each place.
    fn join(value: Tensor<'a, T>, tangent: impl FnMut(usize) -> Option<Tensor<'a, T>>) -> Self;
}

impl<'a, T: Element> Join<'a, T> for Tensor<'a, T> {
    fn join(value: Self, _: impl FnMut(usize) -> Option<Self>) -> Self {
        value
    }
}

impl<'a, T: Element, const N: usize> Join<'a, T> for Dual<Tensor<'a, T>, N> {
    fn join(value: Tensor<'a, T>, tangent: impl FnMut(usize) -> Option<Tensor<'a, T>>) -> Self {
        Self::new(value, std::array::from_fn(tangent))
    }
}

/// A mode by name, for code that is generic over modes and owns its arenas: [`Tensor`] or [`Dual`].
pub trait Mode<T: Element> {
    /// The arrays of this mode.
    type Array<'a>: Join<'a, T>;
}

/// The mode of values alone.
#[derive(Clone, Copy, Debug)]
pub struct Values;

/// The mode of values with `N` tangents.
#[derive(Clone, Copy, Debug)]
pub struct Tangents<const N: usize>;

impl<T: Element> Mode<T> for Values {
    type Array<'a> = Tensor<'a, T>;
}

impl<T: Element, const N: usize> Mode<T> for Tangents<N> {
    type Array<'a> = Dual<Tensor<'a, T>, N>;
}

/// Arrays that are stored one after the other in a flat vector.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a, T> {
    /// The shapes of the arrays.
    pub shapes: &'a [Shape],
    /// Number of entries between one array and the next that belong to neither.
    pub gap: usize,
    /// The entries of the arrays, and those between them.
    pub values: &'a [T],
    /// The directions of the tangents: any number of them, one after the other, each as long as the values.
    pub moving: &'a [T],
}

impl<'a, T: Element> Group<'a, T> {
    /// A group without arrays.
    pub const NONE: Self = Self { shapes: &[], gap: 0, values: &[], moving: &[] };

    /// Creates a group of arrays of these shapes, without gaps and directions.
    pub fn new(shapes: &'a [Shape], values: &'a [T]) -> Self {
        Self { shapes, values, ..Self::NONE }
    }

    /// Sets the number of entries between one array and the next that belong to neither.
    #[must_use]
    pub fn apart(self, gap: usize) -> Self {
        Self { gap, ..self }
    }

    /// Sets the directions of the tangents.
    #[must_use]
    pub fn moving(self, moving: &'a [T]) -> Self {
        Self { moving, ..self }
    }

    /// Returns the number of entries of the arrays, without gaps.
    pub fn entries(&self) -> usize {
        self.shapes.iter().map(|shape| shape.len()).sum()
    }

    /// Creates buffers for planes of such arrays, which are overwritten.
    pub fn bars<'o>(&self, values: &'o mut [T], tangents: &'o mut [T]) -> Bars<'o, T>
    where
        'a: 'o,
    {
        Bars::new(self.shapes, values, tangents).apart(self.gap)
    }

    /// Returns the arrays.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if the number of entries of the shapes, gaps included, is not the length of the
    /// vector.
    pub fn load<A: Join<'a, T>>(&self, arena: &'a Arena) -> Result<List<A>, Fault> {
        let mut arrays = List::new();
        self.load_into(arena, &mut arrays)?;
        Ok(arrays)
    }

    /// As [`load`](Self::load), but into an existing list, because lists are large to move.
    pub(super) fn load_into<A: Join<'a, T>>(
        &self,
        arena: &'a Arena,
        arrays: &mut List<A>,
    ) -> Result<(), Fault> {
        let n = self.values.len();
        let moving = |k| self.moving.get(k * n..).filter(|_| n > 0);
        cut(arena, (self.shapes, self.gap), self.values, moving, arrays)
    }
}

/// Cuts arrays of these shapes, which are `gap` entries apart, out of a flat vector, and their tangents out of one for
/// each place.
pub(crate) fn cut<'a, T: Element, A: Join<'a, T>>(
    arena: &'a Arena,
    (shapes, gap): (&[Shape], usize),
    values: &'a [T],
    moving: impl Fn(usize) -> Option<&'a [T]>,
    arrays: &mut List<A>,
) -> Result<(), Fault> {
    let gaps = gap * shapes.len().saturating_sub(1);
    let expected = shapes.iter().fold(gaps, |n, s| n.saturating_add(s.len()));
    expect_length("the point", expected, values.len())?;
    let mut at = 0;
    arrays.extend(shapes.iter().map(|&shape| {
        let start = at;
        at += shape.len() + gap;
        let tangent = |k| {
            let part = moving(k)?.get(start..)?.get(..shape.len())?;
            Some(Tensor::new(arena, shape, part))
        };
        A::join(Tensor::new(arena, shape, &values[start..][..shape.len()]), tangent)
    }));
    Ok(())
}

/// Flat vectors into which planes of arrays of these shapes are written or added. A vector that is not wanted is empty.
#[derive(Debug)]
pub struct Bars<'o, T> {
    pub(super) shapes: &'o [Shape],
    gap: usize,
    pub(super) values: &'o mut [T],
    tangents: &'o mut [T],
    add: bool,
}

impl<'o, T: Element> Bars<'o, T> {
    /// Creates buffers that are overwritten: one for the values, and one for the tangents one after the other.
    pub fn new(shapes: &'o [Shape], values: &'o mut [T], tangents: &'o mut [T]) -> Self {
        Self { shapes, gap: 0, values, tangents, add: false }
    }

    /// Sets the number of entries between one array and the next that stay unchanged.
    #[must_use]
    pub fn apart(self, gap: usize) -> Self {
        Self { gap, ..self }
    }

    /// Sets whether planes are added instead of written.
    #[must_use]
    pub fn added(self, add: bool) -> Self {
        Self { add, ..self }
    }

    /// Returns what is wanted of each group according to which vectors are empty.
    pub fn wanted<const G: usize>(bars: &[Self; G]) -> [Wanted; G] {
        bars.each_ref().map(|bars| match (bars.values.is_empty(), bars.tangents.is_empty()) {
            (true, true) => Wanted::Nothing,
            (true, false) => Wanted::Tangents,
            (false, _) => Wanted::All,
        })
    }

    /// Writes or adds the planes of arrays whose tangents start in place `first`.
    pub(super) fn take<'a, A: Planes<'a, T>>(
        self,
        first: usize,
        arrays: &(impl Iterator<Item = Option<A>> + Clone),
    ) {
        let Self { shapes, gap, values, tangents, add } = self;
        if !values.is_empty() {
            write_plane(arrays.clone(), 0, (shapes, gap), add, values);
        }
        if !tangents.is_empty() {
            let gaps = gap * shapes.len().saturating_sub(1);
            let n = shapes.iter().fold(gaps, |n, shape| n + shape.len()).max(1);
            for (place, vector) in (first..).zip(tangents.chunks_exact_mut(n)) {
                write_plane(arrays.clone(), place, (shapes, gap), add, vector);
            }
        }
    }
}

/// Writes or adds one plane of arrays of these shapes, which are `gap` entries apart in the vector. A plane that is
/// `None` is zero.
pub(crate) fn write_plane<'a, T: Element, A: Planes<'a, T>>(
    arrays: impl Iterator<Item = Option<A>>,
    place: usize,
    (shapes, gap): (&[Shape], usize),
    add: bool,
    vector: &mut [T],
) {
    let mut rest = vector;
    for (array, shape) in arrays.zip(shapes) {
        let (piece, others) = rest.split_at_mut(shape.len());
        rest = others.get_mut(gap..).unwrap_or_default();
        match array.and_then(|array| array.plane(place)) {
            Some(part) if add => axpy(piece, T::one(), part),
            Some(part) => piece.copy_from_slice(part),
            None if add => {}
            None => piece.fill(T::zero()),
        }
    }
}
