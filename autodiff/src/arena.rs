//! Bump arena: the memory of all arrays, nodes and lists of a pass.
//!
//! The size of each allocation is rounded up to a multiple of [`ALIGNMENT`] bytes, and its start is aligned to it. The
//! bytes of a pass are therefore the sum of `ALIGNMENT * ceil(size / ALIGNMENT)` over its allocations, padding
//! included, and can be predicted. The limit applies to these bytes and is checked before an allocation is made.
//!
//! The crate `bumpalo` provides the chunks, with two differences. Its limit and its count apply to chunks, ours to used
//! bytes. Its reset frees all chunks but the last; ours leaves one chunk of the total size, so that no pass after the
//! first allocates from the system.

use std::alloc::Layout;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use bumpalo::Bump;

use crate::fault::Fault;
use crate::pages::advise;
use crate::shape::Shape;
use crate::tally::{Count, Event, Tally};

/// Alignment of every allocation and the unit in which bytes are counted: one cache line.
pub const ALIGNMENT: usize = 64;

/// A bump arena with an exact count of the used bytes, a limit, and the first fault of the pass.
///
/// ```
/// use hypertape_autodiff::Arena;
/// let arena = Arena::new();
/// arena.copy(&[1.0; 9]).unwrap(); // 72 bytes, rounded up to two cache lines
/// assert_eq!(arena.used(), 128);
/// ```
pub struct Arena {
    bump: Bump,
    used: Cell<usize>,
    limit: Cell<usize>,
    fault: Cell<Option<Fault>>,
    check_finite: Cell<bool>,
    /// The cost of each operation, if it is recorded.
    count: Cell<Option<Box<Count>>>,
    /// Used bytes that `count` includes.
    counted: Cell<usize>,
    forms: Forms,
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("used", &self.used.get()).finish_non_exhaustive()
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Arena {
    /// Creates an empty arena without a limit. It allocates nothing from the system until it is first used.
    pub fn new() -> Self {
        Self {
            bump: Bump::new(),
            used: Cell::new(0),
            limit: Cell::new(usize::MAX),
            fault: Cell::new(None),
            check_finite: Cell::new(false),
            count: Cell::new(None),
            counted: Cell::new(0),
            forms: Forms::default(),
        }
    }

    /// Returns the bytes in use, padding included. They only grow between two resets, so they are also the peak of a
    /// pass.
    pub fn used(&self) -> usize {
        self.used.get()
    }

    /// Sets the limit on used bytes. An allocation beyond it is not made and raises [`Fault::Memory`].
    pub fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes);
    }

    /// Sets whether each result is checked. The first that is not finite then raises [`Fault::NonFinite`].
    pub fn check_finite(&self, on: bool) {
        self.check_finite.set(on);
    }

    pub(crate) fn checks_finite(&self) -> bool {
        self.check_finite.get()
    }

    /// Returns `Ok` if no fault was raised since the last reset.
    ///
    /// # Errors
    /// Returns the first fault if there is one.
    pub fn status(&self) -> Result<(), Fault> {
        self.fault.get().map_or(Ok(()), Err)
    }

    /// Keeps `fault` unless an earlier one was kept.
    pub fn raise(&self, fault: Fault) {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
        }
    }

    /// Sets whether the cost of each [operation](Tally) in a record or sweep of this arena is recorded. Recording reads
    /// the clock once per operation.
    pub fn tally(&self, on: bool) {
        self.count.set(on.then(|| Box::new(Count::new())));
        self.counted.set(self.used());
    }

    /// Returns the cost of each operation since the last call.
    pub fn take_tally(&self) -> Vec<Tally> {
        self.note(Event::Other, || "not recorded");
        let mut count = self.count.take();
        let rows = count.as_mut().map(|count| std::mem::take(&mut count.rows));
        self.count.set(count);
        rows.unwrap_or_default()
    }

    /// Moves the tally of this arena to `other`, which continues it; this arena keeps none from here on.
    #[doc(hidden)]
    pub fn lend_tally(&self, other: &Self) {
        self.note(Event::Other, || "not recorded");
        other.count.set(self.count.take());
        other.counted.set(other.used());
    }

    /// Records an event in the tally, if there is one.
    #[inline(always)]
    pub(crate) fn note(&self, event: Event, name: impl FnOnce() -> &'static str) {
        if let Some(mut count) = self.count.take() {
            let used = self.used();
            count.add(event, name(), used - self.counted.replace(used));
            self.count.set(Some(count));
        }
    }

    /// Frees everything and clears the fault; the limit and the checks stay. The memory is kept as one chunk of the
    /// total size.
    pub fn reset(&mut self) {
        self.note(Event::Other, || "not recorded");
        self.merge_chunks();
        self.forms.clear();
        self.bump.reset();
        self.used.set(0);
        self.counted.set(0);
        self.fault.set(None);
    }

    /// Merges several chunks into one at the end of a pass, so that the next pass allocates nothing from the system
    /// from its start. Frees everything; the count and the fault stay until `reset`.
    pub(crate) fn merge_chunks(&mut self) {
        if self.bump.iter_allocated_chunks().count() > 1 {
            self.forms.clear();
            // Free first, so that old and new memory do not add up to twice the peak.
            self.bump = Bump::new();
            self.bump = Bump::with_capacity(self.used.get() + ALIGNMENT);
        }
    }

    /// Allocates space for `len` values, or raises a fault if the limit would be exceeded.
    #[expect(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    #[inline(always)]
    pub(crate) fn uninit<T>(&self, len: usize) -> Result<&mut [MaybeUninit<T>], Fault> {
        let align = const {
            assert!(align_of::<T>() <= ALIGNMENT);
            ALIGNMENT
        };
        let bytes = len.checked_mul(size_of::<T>()).and_then(|n| n.checked_next_multiple_of(align));
        let Some(start) = bytes.and_then(|bytes| self.take(bytes)) else {
            return Err(self.refuse(bytes));
        };
        // SAFETY: `start` is the start of `bytes >= len * size_of::<T>()` fresh bytes, aligned to 64, which no other
        // allocation shares and which stay in place until `merge_chunks`, `reset` or drop, which all need `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast(), len) })
    }

    /// Takes a whole number of lines, unless that would exceed the limit.
    #[inline]
    fn take(&self, bytes: usize) -> Option<NonNull<u8>> {
        let used = self.used.get();
        if bytes > self.limit.get().saturating_sub(used) {
            return None;
        }
        let layout = Layout::from_size_align(bytes, ALIGNMENT).ok()?;
        let start = if used == 0 || bytes > self.bump.chunk_capacity() {
            self.take_chunk(layout)?
        } else {
            self.bump.try_alloc_layout(layout).ok()?
        };
        self.used.set(used + bytes);
        Some(start)
    }

    /// Takes the first bytes of a chunk.
    #[cold]
    fn take_chunk(&self, layout: Layout) -> Option<NonNull<u8>> {
        let start = self.bump.try_alloc_layout(layout).ok()?;
        // The rest of a chunk lies below what is handed out.
        let rest = self.bump.chunk_capacity();
        advise(start.as_ptr().wrapping_sub(rest), rest + layout.size());
        Some(start)
    }

    /// Raises and returns the fault of an allocation that was not made.
    #[cold]
    fn refuse(&self, bytes: Option<usize>) -> Fault {
        let (used, limit) = (self.used.get(), self.limit.get());
        let fault = Fault::Memory { used, requested: bytes.unwrap_or(usize::MAX), limit };
        self.raise(fault);
        fault
    }

    /// Allocates an array of the first `len` items of `values`.
    ///
    /// # Panics
    /// Panics if `values` ends early, which is a bug of the caller.
    #[expect(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    pub(crate) fn collect<T: Copy>(
        &self,
        len: usize,
        values: impl Iterator<Item = T>,
    ) -> Result<&mut [T], Fault> {
        let space = self.uninit(len)?;
        let mut written = 0;
        for (place, value) in space.iter_mut().zip(values) {
            place.write(value);
            written += 1;
        }
        assert_eq!(written, len, "an iterator ended before its array was full");
        // SAFETY: all `len` places were written.
        Ok(unsafe { filled(space) })
    }

    /// Allocates a copy of `values`.
    ///
    /// # Errors
    /// Raises and returns [`Fault::Memory`] if the limit would be exceeded.
    #[expect(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    pub fn copy<T: Copy>(&self, values: &[T]) -> Result<&mut [T], Fault> {
        let space = self.uninit(values.len())?;
        // SAFETY: a value and the place for one have the same layout.
        space.copy_from_slice(unsafe { &*(std::ptr::from_ref(values) as *const [MaybeUninit<T>]) });
        // SAFETY: all places were written.
        Ok(unsafe { filled(space) })
    }

    /// Allocates `len` copies of `value`.
    ///
    /// # Errors
    /// Raises and returns [`Fault::Memory`] if the limit would be exceeded.
    #[expect(clippy::mut_from_ref, reason = "each call hands out memory of its own")]
    pub fn fill<T: Copy>(&self, len: usize, value: T) -> Result<&mut [T], Fault> {
        let space = self.uninit(len)?;
        space.fill(MaybeUninit::new(value));
        // SAFETY: all places were written.
        Ok(unsafe { filled(space) })
    }

    /// Allocates a single value, whose type must not need to be dropped. Inlined, so that the value is constructed in
    /// place.
    #[inline(always)]
    pub(crate) fn put<T>(&self, value: T) -> Result<&T, Fault> {
        const { assert!(!std::mem::needs_drop::<T>()) };
        Ok(self.uninit::<T>(1)?[0].write(value))
    }
}

/// Returns the values of a slice whose places were all written.
///
/// # Safety
/// All places were written.
pub(crate) unsafe fn filled<T>(space: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: as promised by the caller; a value and the place for one have the same layout.
    unsafe { &mut *(std::ptr::from_mut(space) as *mut [T]) }
}

/// The shape of arrays, and the arena in which operations on them put their results.
pub(crate) struct Form {
    shape: Shape,
    arena: Cell<NonNull<Arena>>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)
    }
}

impl Form {
    #[inline(always)]
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    #[inline(always)]
    pub(crate) fn arena(&self) -> &Arena {
        // SAFETY: a form is only handed out by the arena to which it points, for as long as that is borrowed.
        unsafe { self.arena.get().as_ref() }
    }
}

/// Number of places for forms that are known.
const PLACES: usize = 32;

/// The known forms of an arena, each in the place that its shape selects.
#[derive(Default)]
struct Forms {
    known: [Cell<Option<NonNull<Form>>>; PLACES],
    /// The form of the results of operations that raised a fault. It does not need memory of the arena, which may be
    /// at its limit.
    faulty: OnceCell<Box<Form>>,
}

// SAFETY: pointers lead into memory of the arena, which is sent together with them, and to the arena itself. The latter
// are set anew before they are followed.
unsafe impl Send for Forms {}

impl Forms {
    /// Forgets all forms, whose memory is about to be freed.
    fn clear(&mut self) {
        self.known = Default::default();
    }
}

/// Returns the place of the form of a shape: the leading bits of a product, which depend on all bits of the shape.
#[inline(always)]
fn place(shape: Shape) -> usize {
    let mixed = shape.rows.wrapping_mul(0x9E37_79B1) ^ shape.cols.wrapping_mul(0x85EB_CA77);
    (mixed >> (u32::BITS - PLACES.ilog2())) as usize
}

impl Arena {
    /// Returns the form of arrays of a shape in this arena. At the limit this raises a fault and returns the form of
    /// the results of faults.
    ///
    /// Cost: one cache line for a shape whose form is not known.
    #[inline]
    pub(crate) fn form(&self, shape: Shape) -> &Form {
        // SAFETY: forms are forgotten before their memory is freed.
        let known = self.forms.known[place(shape)].get().map(|form| unsafe { form.as_ref() });
        match known {
            Some(form) if form.shape == shape => {
                // It may be of before a move of the arena.
                form.arena.set(NonNull::from(self));
                form
            }
            _ => self.new_form(shape),
        }
    }

    #[inline(never)]
    fn new_form(&self, shape: Shape) -> &Form {
        match self.put(Form { shape, arena: Cell::new(NonNull::from(self)) }) {
            Ok(form) => {
                self.forms.known[place(shape)].set(Some(NonNull::from(form)));
                form
            }
            Err(_) => self.faulty(),
        }
    }

    /// Returns the form of the results of operations that raised a fault.
    #[cold]
    pub(crate) fn faulty(&self) -> &Form {
        let here = NonNull::from(self);
        let made = || Box::new(Form { shape: Shape::EMPTY, arena: Cell::new(here) });
        let form = self.forms.faulty.get_or_init(made);
        form.arena.set(here);
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_bytes_are_rounded_up_and_reset_to_zero() {
        let mut arena = Arena::new();
        arena.fill(1, 0_u8).unwrap();
        arena.fill(8, 0.0_f64).unwrap();
        arena.fill(9, 0.0_f32).unwrap();
        arena.fill(0, 0.0_f32).unwrap();
        assert_eq!(arena.used(), 64 + 64 + 64);
        arena.reset();
        assert_eq!(arena.used(), 0);
    }

    #[test]
    fn every_allocation_is_aligned() {
        let arena = Arena::new();
        for len in 1..100 {
            let at = arena.fill(len, 0_u8).unwrap().as_ptr() as usize;
            assert_eq!(at % ALIGNMENT, 0);
        }
    }

    #[test]
    fn the_limit_is_on_used_bytes_and_reported() {
        let arena = Arena::new();
        arena.set_limit(256);
        assert!(arena.fill(24, 0.0_f64).is_ok()); // 192 bytes
        assert!(arena.fill(9, 0.0_f64).is_err()); // 128 more
        assert_eq!(arena.status(), Err(Fault::Memory { used: 192, requested: 128, limit: 256 }));
        assert_eq!(arena.used(), 192);
        assert!(arena.fill(8, 0.0_f64).is_ok(), "what fits is still given");
    }

    #[test]
    fn one_chunk_of_the_total_is_left_behind() {
        let mut arena = Arena::new();
        let pass = |arena: &Arena| {
            for _ in 0..1000 {
                arena.fill(100, 1.0_f64).unwrap();
            }
        };
        pass(&arena);
        assert!(arena.bump.iter_allocated_chunks().count() > 1);
        arena.reset();
        let capacity = arena.bump.allocated_bytes();
        assert!(capacity >= 1000 * 832);
        pass(&arena);
        assert_eq!(arena.bump.iter_allocated_chunks().count(), 1);
        assert_eq!(arena.bump.allocated_bytes(), capacity);
    }

    #[test]
    fn the_first_fault_is_kept() {
        let mut arena = Arena::new();
        arena.raise(Fault::ForeignTape { operation: "a" });
        arena.raise(Fault::ForeignTape { operation: "b" });
        assert_eq!(arena.status(), Err(Fault::ForeignTape { operation: "a" }));
        arena.reset();
        assert_eq!(arena.status(), Ok(()));
    }

    #[test]
    fn arrays_of_a_shape_share_a_form_until_their_memory_is_freed() {
        let arena = Arena::new();
        let shape = Shape::new(3, 4);
        let first = std::ptr::from_ref(arena.form(shape));
        assert_eq!((std::ptr::from_ref(arena.form(shape)), arena.used()), (first, 64));
        // Another shape takes the place of the first one, which is then made again.
        let rival =
            (5..1000).map(Shape::column).find(|rival| place(*rival) == place(shape)).unwrap();
        assert_eq!((arena.form(rival).shape(), arena.form(shape).shape()), (rival, shape));
        assert_eq!(arena.used(), 3 * 64);
        // After a move a known form leads to the new place.
        let mut moved = Box::new(arena);
        assert!(std::ptr::eq(moved.form(shape).arena(), &raw const *moved));
        moved.reset();
        assert_eq!((moved.form(shape).shape(), moved.used()), (shape, 64));
    }
}
