//! `Shaped`: entries in two words. Their shape and their arena are kept once for many arrays, as a [`Form`].
//!
//! Two words are passed in registers. Longer handles are copied through memory at each call.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::arena::Form;

/// Entries with their form.
pub(crate) struct Shaped<'a, T> {
    start: NonNull<T>,
    form: &'a Form,
    entries: PhantomData<&'a [T]>,
}

impl<T> Clone for Shaped<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shaped<'_, T> {}

impl<T: fmt::Debug> fmt::Debug for Shaped<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.form)?;
        self.values().fmt(f)
    }
}

impl<'a, T> Shaped<'a, T> {
    /// Joins entries and a form of their number. Another number is taken as the result of a fault.
    #[inline(always)]
    pub(crate) fn new(form: &'a Form, values: &'a [T]) -> Self {
        let form = if values.len() == form.shape().len() { form } else { form.arena().faulty() };
        Self { start: NonNull::from(values).cast(), form, entries: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn form(self) -> &'a Form {
        self.form
    }

    #[inline(always)]
    pub(crate) fn values(self) -> &'a [T] {
        // SAFETY: `new` was given a slice of at least so many entries.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.form.shape().len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;
    use crate::fault::Fault;
    use crate::shape::Shape;

    #[test]
    fn entries_without_a_form_are_the_result_of_a_fault() {
        let arena = Arena::new();
        arena.set_limit(64);
        let form = arena.form(Shape::column(2));
        assert_eq!(Shaped::new(form, &[1.0, 2.0]).values(), [1.0, 2.0]);
        assert_eq!(Shaped::new(form, &[1.0]).form().shape(), Shape::EMPTY);
        assert_eq!(arena.status(), Ok(()));
        assert_eq!(arena.form(Shape::SCALAR).shape(), Shape::EMPTY);
        assert_eq!(arena.status(), Err(Fault::Memory { used: 64, requested: 64, limit: 64 }));
    }
}
