//! [`Tape`]: the record of a computation on scalars for reverse mode, and the sweep back over it.
//!
//! A record is a statement with two arguments: their partials, and the numbers of the nodes that they depend on. Its
//! own node is implied by its place. Extra arguments of a statement are in a second stream, the last argument on top.
//!
//! ```text
//! node = inputs + place      record: w_0, w_1, i_0, i_1 | FLAG     extra: w, i | FLAG
//! ```
//!
//! `FLAG` on a record says that it has extra arguments; on an extra argument it says that there is one more below. In
//! `f64`, a record takes 24 bytes and 8 for its adjoint, and an extra argument 12. Functions of one argument and
//! operations with constants record nothing, see [`Var`].
//!
//! The sweep visits nodes from the last to the first. It takes the adjoint out of its slot, which leaves zeros for the
//! next sweep, and adds partial times adjoint to the adjoints of the arguments. An adjoint of zero passes nothing on,
//! not even to an infinite partial. Absorption by zero partials is left to a second sweep, which is needed only if the
//! result has a `NaN`.

use std::array::from_fn;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;

use super::chain::INNER;
use super::lanes::together;
use super::real::Scalar;
use super::stream::Stream;
use crate::fault::Fault;
use crate::pages::advise;

/// The bit of an argument that does not belong to the number of its node.
const FLAG: u32 = 1 << 31;
/// Initial capacity for records, and for extra arguments: little, since memory that is never used is not counted.
const FIRST: usize = 64;

#[derive(Clone, Copy)]
struct Record<T> {
    partials: [T; 2],
    arguments: [u32; 2],
}

#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct ExtraArgument<T> {
    partial: T,
    argument: u32,
}

/// The records of a computation, with the memory for their adjoints. All memory is kept and reused: after a first pass,
/// a pass of the same length allocates nothing.
pub struct Tape<T> {
    inputs: u32,
    records: UnsafeCell<Stream<Record<T>>>,
    extra: UnsafeCell<Stream<ExtraArgument<T>>>,
    /// The node of the first record in the chunk being written, and the number of records that fit into it.
    first: Cell<u32>,
    room: Cell<usize>,
    limit: usize,
    strict: bool,
    fault: Cell<Option<Fault>>,
    singular: Cell<Option<(&'static str, usize)>>,
    /// All zero between sweeps.
    adjoints: Vec<T>,
    /// Memory for the arguments and results of the function; empty between passes.
    numbers: Vec<Var<'static, T>>,
    /// The results of the last pass: value, derivative, and number of the node.
    results: Vec<(T, T, Option<u32>)>,
}

/// A number that is recorded on a tape, or a constant: a value, and its derivative with respect to the single node that
/// it depends on.
///
/// A function of one argument multiplies this derivative and needs no record. The same holds for an operation with a
/// constant, and for one of two numbers that depend on the same node. Only where two different nodes meet, a record
/// makes a new one.
///
/// The lifetime is that of one recording and of no other: numbers of different tapes, or from before a reset, cannot be
/// mixed.
///
/// ```compile_fail
/// use hypertape_autodiff::scalar::{Tape, Var};
/// let (mut outer, mut inner) = (Tape::<f64>::new(), Tape::<f64>::new());
/// outer.gradient(|x| {
///     inner.gradient(|y| y[0] * x[0], &[1.0], &mut [0.0]);
///     x[0]
/// }, &[1.0], &mut [0.0]);
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Var<'t, T> {
    pub(super) value: T,
    pub(super) slope: T,
    pub(super) node: Option<Node<'t, T>>,
}

/// A node of the tape that is recording. The lifetime is invariant, see [`Tape::record`].
pub(crate) struct Node<'t, T> {
    tape: NonNull<Tape<T>>,
    number: u32,
    brand: PhantomData<fn(&'t ()) -> &'t ()>,
}

impl<T> Clone for Node<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Node<'_, T> {}

impl<T: Scalar> Node<'_, T> {
    #[inline(always)]
    fn tape(&self) -> &Tape<T> {
        // SAFETY: nodes are only made by `Tape::record`, for a closure that must accept every lifetime, so none
        // outlives the shared borrow of the tape from which it is made.
        unsafe { self.tape.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn is(self, other: Self) -> bool {
        self.number == other.number
    }

    /// Records a statement with two arguments and, if it has `extra` ones, those that were pushed before it. Returns
    /// `None` and raises a fault if there is no memory for it.
    #[inline(always)]
    pub(crate) fn record(self, other: Self, partials: [T; 2], extra: bool) -> Option<Self> {
        let flag = if extra { FLAG } else { 0 };
        let record = Record { partials, arguments: [self.number, other.number | flag] };
        let tape = self.tape();
        // SAFETY: a tape is not shared between threads, and no reference into its streams leaves a function.
        let records = unsafe { &mut *tape.records.get() };
        if records.last.len() == tape.room.get() && !tape.grow(records) {
            return None;
        }
        let chunk = &mut records.last;
        let place = chunk.len();
        // SAFETY: `room` is at most the capacity.
        unsafe {
            chunk.as_mut_ptr().add(place).write(record);
            chunk.set_len(place + 1);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "`most` leaves room for fewer nodes than `FLAG`"
        )]
        Some(Self { number: tape.first.get() + place as u32, ..self })
    }

    /// Records an extra argument of the statement that is recorded next; `more` says that it is not the first.
    #[inline(always)]
    pub(crate) fn push_extra(self, partial: T, more: bool) {
        let tape = self.tape();
        // SAFETY: as in `record`.
        let extra = unsafe { &mut *tape.extra.get() };
        if extra.last.len() < extra.last.capacity() || tape.enlarge(extra, usize::MAX) {
            extra.last.push(ExtraArgument {
                partial,
                argument: self.number | if more { FLAG } else { 0 },
            });
        }
    }

    /// Records that a convention or an absorbed product stands in for a derivative.
    #[cold]
    pub(crate) fn note(self, operation: &'static str) {
        let tape = self.tape();
        let (first, count) = tape.singular.get().unwrap_or((operation, 0));
        tape.singular.set(Some((first, count + 1)));
        if tape.strict {
            tape.raise(Fault::Singular { operation });
        }
    }
}

impl<T: Scalar> Tape<T> {
    /// Creates an empty tape. It allocates nothing.
    pub fn new() -> Self {
        Self {
            inputs: 0,
            records: UnsafeCell::default(),
            extra: UnsafeCell::default(),
            first: Cell::new(0),
            room: Cell::new(0),
            limit: usize::MAX,
            strict: false,
            fault: Cell::new(None),
            singular: Cell::new(None),
            adjoints: Vec::new(),
            numbers: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Sets whether a convention that stands in for a derivative which does not exist, and a partial that is not
    /// finite, are faults. Off by default.
    pub fn set_strict(&mut self, on: bool) {
        self.strict = on;
    }

    /// Limits the bytes of the records, and separately those of the extra arguments. There are at most 2^31 nodes in
    /// any case.
    pub fn set_limit(&mut self, bytes: usize) {
        *self = Self { limit: bytes, strict: self.strict, ..Self::new() };
    }

    /// Returns the bytes that the last pass used for records, extra arguments and adjoints.
    pub fn used(&mut self) -> usize {
        let (records, extra) = (self.records.get_mut(), self.extra.get_mut());
        let (records, extra) = (records.len(), extra.len());
        let nodes = self.inputs as usize + records;
        records * size_of::<Record<T>>()
            + extra * size_of::<ExtraArgument<T>>()
            + nodes * size_of::<T>()
    }

    /// Returns the first operation of the last pass in which a convention stood in for a derivative that does not
    /// exist, or whose partial was not finite, and the number of such operations.
    pub fn singular(&self) -> Option<(&'static str, usize)> {
        self.singular.get()
    }

    fn raise(&self, fault: Fault) {
        self.fault.set(self.fault.get().or(Some(fault)));
    }

    /// Evaluates a function on a cleared tape. The function takes `x`, followed by `data`, with respect to which it is
    /// not differentiated, and writes `m` results.
    ///
    /// The function accepts every lifetime, so it cannot keep a number beyond its call or mix it with numbers of
    /// another recording.
    pub(super) fn record(
        &mut self,
        x: impl ExactSizeIterator<Item = T>,
        data: impl ExactSizeIterator<Item = T>,
        m: usize,
        f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
    ) -> Result<(), Fault> {
        self.records.get_mut().clear();
        self.extra.get_mut().clear();
        self.results.clear();
        self.fault.set(None);
        self.singular.set(None);
        let (n, all) = (x.len(), x.len() + data.len());
        self.inputs = u32::try_from(n).unwrap_or(FLAG).min(FLAG);
        if self.inputs == FLAG {
            let [requested, limit] = [n, FLAG as usize].map(|n| n.saturating_mul(size_of::<T>()));
            return Err(Fault::Memory { used: 0, requested, limit });
        }
        self.first.set(self.inputs);
        self.room.set(self.records.get_mut().last.capacity().min(self.most()));
        let mut numbers = mem::take(&mut self.numbers);
        numbers.reserve_exact(all + m);
        advise(numbers.as_ptr(), numbers.capacity());
        let tape = NonNull::from(&*self);
        numbers.extend(x.zip(0..).map(|(value, number)| Var {
            value,
            slope: T::one(),
            node: Some(Node { tape, number, brand: PhantomData }),
        }));
        numbers.extend(data.map(Var::from));
        numbers.resize(all + m, Var::from(T::zero()));
        let (x, y) = numbers.split_at_mut(all);
        let outer = INNER.replace(None);
        if together(|| f(x, y)).is_none() {
            self.raise(Fault::Branches);
        }
        if let Some((operation, count)) = INNER.replace(outer) {
            self.singular.set(self.singular.get().or(Some((operation, count))));
            if self.strict {
                self.raise(Fault::Singular { operation });
            }
        }
        self.results.extend(y.iter().map(|y| (y.value, y.slope, y.node.map(|node| node.number))));
        numbers.clear();
        self.numbers = numbers;
        self.fault.get().map_or(Ok(()), Err)
    }

    /// Returns the values of the results.
    pub(super) fn values(&self) -> impl Iterator<Item = T> {
        self.results.iter().map(|&(value, ..)| value)
    }

    /// Returns the greatest number of records that the numbering of nodes and the limit allow.
    fn most(&self) -> usize {
        ((FLAG - self.inputs) as usize).min(self.limit / size_of::<Record<T>>())
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, records: &mut Stream<Record<T>>) -> bool {
        let most = self.most();
        if !self.enlarge(records, most) {
            return false;
        }
        let before = records.before();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "`most` leaves room for fewer nodes than `FLAG`"
        )]
        self.first.set(self.inputs + before as u32);
        self.room.set(records.last.capacity().min(most - before));
        true
    }

    /// Makes room for at least one more entry, and for four times as many if the limits and the system allow it.
    #[cold]
    #[inline(never)]
    fn enlarge<E: Copy>(&self, stream: &mut Stream<E>, most: usize) -> bool {
        let length = stream.len();
        let most = most.min(self.limit / size_of::<E>());
        let more = (3 * length).max(FIRST).min(most.saturating_sub(length));
        if more > 0 && stream.open(more) {
            return true;
        }
        let (used, requested) = (length * size_of::<E>(), size_of::<E>());
        let limit = self.limit.min((FLAG as usize).saturating_mul(size_of::<Record<T>>()));
        self.raise(Fault::Memory { used, requested, limit });
        false
    }

    /// Sweeps back `K` times at once, from adjoints of each result, and passes the adjoints of each input to `take`.
    /// They are `NaN` if a result whose adjoint does not vanish is `NaN`.
    pub(super) fn pull<const K: usize>(
        &mut self,
        y_bar: impl Fn(usize) -> [T; K],
        mut take: impl FnMut(usize, [T; K]),
    ) {
        let inputs = self.inputs as usize;
        let nodes = inputs + self.records.get_mut().len();
        if self.adjoints.len() < nodes * K {
            // Replaced, not extended, because the old entries are zeros.
            self.adjoints = Vec::with_capacity(nodes * K);
            advise(self.adjoints.as_ptr(), nodes * K);
            self.adjoints.resize(nodes * K, T::zero());
        }
        self.sweep::<K, false>(&y_bar);
        // Anything that a zero should have absorbed reaches an input as `NaN`.
        let found = &mut self.adjoints[..inputs * K];
        if found.iter().any(|bar| !bar.surely_number()) {
            found.fill(T::zero());
            self.sweep::<K, true>(&y_bar);
        }
        let mut lost = None;
        for (k, (value, ..)) in self.results.iter().enumerate() {
            if let Some(nan) = value.lost() {
                let sum = lost.get_or_insert([T::zero(); K]);
                sum.iter_mut().zip(y_bar(k)).for_each(|(sum, bar)| *sum += nan.absorb(bar));
            }
        }
        let adjoints = &mut self.adjoints.as_chunks_mut::<K>().0[..inputs];
        for (i, slot) in adjoints.iter_mut().enumerate() {
            let bars = mem::replace(slot, [T::zero(); K]);
            take(i, lost.map_or(bars, |lost| from_fn(|k| bars[k] - lost[k])));
        }
    }

    /// Computes the adjoints of the inputs. Zero partials absorb if `ABSORB`.
    fn sweep<const K: usize, const ABSORB: bool>(&mut self, y_bar: impl Fn(usize) -> [T; K]) {
        let accumulate = |slot: T, partial: T, bar: T| {
            slot + if ABSORB { partial.absorb(bar) } else { partial.product(bar) }
        };
        let (records, extra) = (self.records.get_mut(), self.extra.get_mut());
        let inputs = self.inputs as usize;
        let adjoints = &mut self.adjoints.as_chunks_mut::<K>().0[..inputs + records.len()];
        for (k, &(_, slope, node)) in self.results.iter().enumerate() {
            let Some(node) = node else { continue };
            for (slot, bar) in adjoints[node as usize].iter_mut().zip(y_bar(k)) {
                *slot += slope.absorb(bar);
            }
        }
        let (mut chunks, mut extra) = (extra.backwards(), &[][..]);
        // The contribution of the next node to this one, which would otherwise wait for a store.
        let mut carried = [T::zero(); K];
        // Nodes are numbered by place: counting down, the loop has fewer instructions and takes a fifth more time.
        for (before, chunk) in records.backwards() {
            let first = inputs + before;
            for (place, record) in chunk.iter().enumerate().rev() {
                let node = first + place;
                let mut bar = mem::replace(&mut adjoints[node], [T::zero(); K]);
                for (bar, carried) in bar.iter_mut().zip(&mut carried) {
                    *bar += mem::take(carried);
                }
                let passes = bar.iter().any(|bar| !bar.vanishes());
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "numbers of nodes are below `FLAG`"
                )]
                let previous = (node - 1) as u32;
                let mut add = |argument: u32, partial: T| {
                    let number = argument & !FLAG;
                    // SAFETY: arguments are nodes of this recording, whose numbers are below `nodes`.
                    let slot = unsafe { adjoints.get_unchecked_mut(number as usize) };
                    for (slot, bar) in slot.iter_mut().zip(bar) {
                        if K == 1 || !bar.vanishes() {
                            *slot = accumulate(*slot, partial, bar);
                        }
                    }
                };
                let ([w, u], [i, j]) = (record.partials, record.arguments);
                if passes {
                    if i == previous {
                        for (c, bar) in carried.iter_mut().zip(bar) {
                            *c = accumulate(*c, w, bar);
                        }
                    } else {
                        add(i, w);
                    }
                    add(j, u);
                }
                let mut more = j & FLAG != 0;
                while more {
                    let Some((&ExtraArgument { partial, argument }, rest)) = extra.split_last()
                    else {
                        let Some((_, chunk)) = chunks.next() else { break };
                        extra = chunk;
                        continue;
                    };
                    extra = rest;
                    if passes {
                        add(argument, partial);
                    }
                    more = argument & FLAG != 0;
                }
            }
        }
        for (bar, carried) in adjoints[..inputs].last_mut().into_iter().flatten().zip(carried) {
            *bar += carried;
        }
    }
}

impl<T: Scalar> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

// SAFETY: everything is owned, and `numbers`, whose elements are not `Send`, is empty whenever a tape can be moved.
unsafe impl<T: Send> Send for Tape<T> {}
