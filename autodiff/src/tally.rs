//! `Tally`: what array operations put into an arena, and how long they took.

use std::time::{Duration, Instant};

/// What the operations of one name took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// The operation. Two are none: `not recorded`, what no record followed, and `adjoints`, the seeds and the table of a
    /// sweep.
    pub name: &'static str,
    /// Records.
    pub records: u64,
    /// Bytes in the arena: records, results, and what was computed on the way to them without a record, in a sweep the
    /// adjoints.
    pub bytes: u64,
    /// Time until they were recorded, from the record before.
    pub forward: Duration,
    /// Time of their pull-backs.
    pub back: Duration,
}

impl Tally {
    /// Adds what `other` took to the row of its name.
    pub fn join(rows: &mut Vec<Self>, other: Self) {
        let Some(row) = rows.iter_mut().find(|row| row.name == other.name) else {
            return rows.push(other);
        };
        row.records += other.records;
        row.bytes += other.bytes;
        row.forward += other.forward;
        row.back += other.back;
    }
}

/// What has just happened in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Recorded,
    PulledBack,
    /// Something that belongs to no operation.
    Other,
}

/// The rows so far, and when the last was added to.
#[derive(Debug)]
pub(crate) struct Count {
    pub(crate) rows: Vec<Tally>,
    last: Instant,
}

impl Count {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), last: Instant::now() }
    }

    #[cold]
    pub(crate) fn add(&mut self, event: Event, name: &'static str, bytes: usize) {
        let last = std::mem::replace(&mut self.last, Instant::now());
        let took = |wanted| if event == wanted { self.last - last } else { Duration::ZERO };
        let (forward, back) = (took(Event::Recorded), took(Event::PulledBack));
        let records = u64::from(event == Event::Recorded);
        let row = Tally { name, records, bytes: bytes as u64, forward, back };
        Tally::join(&mut self.rows, row);
    }
}
