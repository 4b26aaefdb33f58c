//! `Linearisation`: finished tapes that own their memory, so that they can be stored and pulled back later, any number
//! of times.
//!
//! Records and values live in an arena and borrow from it, and from the data of the recorded function. A linearisation
//! owns the arena and shares the data, so it has no lifetime.
//!
//! Memory: the bytes of the recorded passes in the arena. A pull-back costs one reverse sweep and no evaluation.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::array::element::Element;
use crate::array::tape::{NodeId, Recording, Tape};
use crate::array::tensor::Tensor;
use crate::array::var::Var;
use crate::array::{Array, List};
use crate::fault::{Fault, expect_length};
use crate::shape::Shape;

/// A finished tape together with its input and output arrays. Adjoints enter at the outputs and leave at the inputs.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a, T> {
    recording: Recording<'a, Tensor<'a, T>, T>,
    inputs: &'a [Option<NodeId>],
    outputs: &'a [(Option<NodeId>, Shape)],
}

impl<'a, T: Element> Piece<'a, T> {
    /// Ends the recording of `tape` and makes it the function from `inputs` to `outputs`.
    ///
    /// # Errors
    /// Returns [`Fault::Memory`] if the limit of the tape's arena would be exceeded.
    pub fn new(
        tape: &'a Tape<'a, Tensor<'a, T>>,
        inputs: impl Iterator<Item = Var<'a, Tensor<'a, T>>>,
        outputs: impl Iterator<Item = Var<'a, Tensor<'a, T>>>,
    ) -> Result<Self, Fault> {
        let (arena, recording) = (tape.arena(), tape.finish());
        // Room for twice the variables of a `List`, because a problem has two groups.
        let inputs: SmallVec<[_; 12]> = inputs.map(Var::id).collect();
        let outputs: List<_> = outputs.map(|v| (v.id(), v.shape())).collect();
        let (inputs, outputs) = (arena.copy(&inputs)?, arena.copy(&outputs)?);
        Ok(Self { recording, inputs, outputs })
    }

    fn pull<'s>(
        &'s self,
        y_bar: &'s [T],
        sweep: &'s Arena,
        take: &mut impl FnMut(usize, &[T]),
    ) -> Result<(), Fault> {
        let expected = self.outputs.iter().map(|(_, shape)| shape.len()).sum();
        expect_length("the adjoints of a linearisation", expected, y_bar.len())?;
        let mut rest = y_bar;
        let mut seeds = List::new();
        for &(id, shape) in self.outputs {
            let (piece, others) = rest.split_at(shape.len());
            rest = others;
            if let Some(id) = id {
                seeds.push((id, Tensor::new(sweep, shape, piece)));
            }
        }
        let recording: Recording<'s, Tensor<'s, T>, T> = self.recording;
        let adjoints = recording.pull(&seeds, sweep);
        sweep.status()?;
        for (i, id) in self.inputs.iter().enumerate() {
            if let Some(adjoint) = id.and_then(|id| adjoints.get(id)) {
                take(i, adjoint.values());
            }
        }
        Ok(())
    }
}

/// The linear map `y_bar -> J^T y_bar` of a recorded function at a point, or the sum of several such maps.
///
/// ```
/// use std::sync::Arc;
/// use hypertape_autodiff::{Arena, Array, Linearisation, Piece, Shape, Tape, Tensor, axpy};
/// let mut kept = Linearisation::<f64>::new();
/// kept.record(&Arc::new(vec![2.0, 3.0]), |point, arena| {
///     let tape = Tape::new(arena)?;
///     let x = tape.variable(Tensor::new(arena, Shape::column(2), point));
///     Piece::new(tape, [x].into_iter(), [x.square()].into_iter())
/// })?;
/// let mut x_bar = [0.0; 2];
/// kept.pull(&[1.0, 10.0], &mut Arena::new(), |_, part| axpy(&mut x_bar, 1.0, part))?;
/// assert_eq!(x_bar, [4.0, 60.0]);
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
pub struct Linearisation<'d, T: 'static> {
    // The lifetime is in truth that of `data` and `home`, which are declared after `pieces` and therefore dropped
    // later.
    pieces: Vec<Piece<'static, T>>,
    data: Option<Arc<dyn Data + 'd>>,
    home: Home,
}

/// The data that a recorded function borrows from.
trait Data: Send + Sync {}
impl<D: Send + Sync> Data for D {}

/// An arena at a fixed address. It is held by a raw pointer because moving a `Box` asserts that nothing else points
/// into it.
struct Home(NonNull<Arena>);

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: the pointer comes from a leaked box, and is freed only here.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

// SAFETY: pieces are reached through `self` alone. They hold references into the arena, which moves along, and into the
// data, which any thread may read. They may also hold references to arenas that live forever, by handles of arrays made
// there. Of those only entries are read, which do not change, because a sweep first takes every handle `within` its own
// arena.
unsafe impl<T: Send + Sync + 'static> Send for Linearisation<'_, T> {}

impl<T: Element> Default for Linearisation<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> fmt::Debug for Linearisation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linearisation").field("pieces", &self.pieces.len()).finish_non_exhaustive()
    }
}

impl<'d, T: Element> Linearisation<'d, T> {
    /// Creates the zero map.
    pub fn new() -> Self {
        let home = Home(NonNull::from(Box::leak(Box::new(Arena::new()))));
        Self { pieces: Vec::new(), data: None, home }
    }

    /// Returns the bytes used in the arena, padding included.
    pub fn used(&self) -> usize {
        // SAFETY: the arena lives as long as `self`, and is borrowed exclusively only in `clear`.
        unsafe { self.home.0.as_ref() }.used()
    }

    /// Resets the map to zero. The memory is kept.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.data = None;
        // SAFETY: nothing that borrows from the arena is left.
        unsafe { self.home.0.as_mut() }.reset();
    }

    /// Adds the piece that `make` records from the data in the arena. All pieces of one linearisation have the same
    /// data; other data than before clears it first.
    ///
    /// # Errors
    /// Returns the error of `make`. Nothing is added then, but the memory stays in use until [`clear`](Self::clear).
    pub fn record<D: Send + Sync + 'd, E>(
        &mut self,
        data: &Arc<D>,
        make: impl for<'a> FnOnce(&'a D, &'a Arena) -> Result<Piece<'a, T>, E>,
    ) -> Result<(), E> {
        let held = self.data.as_ref().map(|held| Arc::as_ptr(held).cast::<D>());
        if held != Some(Arc::as_ptr(data)) {
            self.clear();
            self.data = Some(Arc::<D>::clone(data));
        }
        // SAFETY: as in `used`.
        let piece = make(data, unsafe { self.home.0.as_ref() })?;
        // SAFETY: only the lifetime changes. As `make` works for every lifetime, the piece borrows only from the arena
        // and from what `data` points to. Both stay in place and, apart from the arena's cells, unchanged until the
        // pieces are dropped: by `clear`, or by the order of the fields.
        let piece = unsafe { std::mem::transmute::<Piece<'_, T>, Piece<'static, T>>(piece) };
        self.pieces.push(piece);
        Ok(())
    }

    /// Computes `J^T y_bar`, piece by piece. For each input, `take` receives its number and a part of its adjoint; the
    /// caller adds the parts. `y_bar` is flat, in the order of the outputs. `sweep` is reset for each piece.
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if `y_bar` has the wrong length, and [`Fault::Memory`] if the limit of `sweep` would
    /// be exceeded.
    pub fn pull(
        &self,
        y_bar: &[T],
        sweep: &mut Arena,
        mut take: impl FnMut(usize, &[T]),
    ) -> Result<(), Fault> {
        self.pieces.iter().try_for_each(|piece| {
            sweep.reset();
            piece.pull(y_bar, sweep, &mut take)
        })
    }
}
