//! Deferred parts of adjoints in a reverse sweep. The adjoints of slices, gathers and similar operations wait until the
//! sweep reaches their array, so that they are added to its adjoint in one pass and none is formed in full.

use crate::arena::Arena;
use crate::array::Array;
use crate::array::element::Element;
use crate::array::linear::Linear;
use crate::shape::Shape;

/// A part of an adjoint, how it is spread over the adjoint, and the part before it.
#[derive(Clone, Copy)]
struct Part<'a, A, T> {
    of: (A, Linear<'a, T>),
    before: Option<&'a Self>,
    /// Number of parts up to this one.
    count: usize,
}

/// The last waiting part of each record. It allocates nothing until there is one.
pub(crate) struct Waiting<'a, A, T> {
    last: &'a mut [Option<&'a Part<'a, A, T>>],
}

impl<A, T> Default for Waiting<'_, A, T> {
    fn default() -> Self {
        Self { last: &mut [] }
    }
}

impl<'a, T: Element, A: Array<'a, Elem = T>> Waiting<'a, A, T> {
    /// Defers a part for record number `record` of `records`.
    pub(crate) fn push(
        &mut self,
        arena: &'a Arena,
        records: usize,
        record: usize,
        part: (A, Linear<'a, T>),
    ) {
        if self.last.is_empty() {
            let Ok(last) = arena.fill(records, None) else { return };
            self.last = last;
        }
        let before = self.last[record];
        let count = before.map_or(0, |before| before.count) + 1;
        self.last[record] = arena.put(Part { of: part, before, count }).ok();
    }

    /// Returns the sum of the parts that wait for a record.
    pub(crate) fn take(&self, arena: &'a Arena, record: usize) -> Option<A> {
        let last = self.last.get(record).copied().flatten()?;
        let parts = std::iter::successors(Some(last), |part| part.before).map(|part| part.of);
        let parts = arena.collect(last.count, parts).ok()?;
        // In the order in which they were added.
        parts.reverse();
        let (part, f) = last.of;
        Some(match parts.len() {
            1 => part.map_linear(f),
            _ => part.assemble(parts, f.result(part.shape()).unwrap_or(Shape::EMPTY), false),
        })
    }
}
