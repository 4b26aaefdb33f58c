//! `Tally`: the bytes that array operations put into an arena, and the time that they take.

use std::time::{Duration, Instant};

/// The cost of all operations of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Name of the operation. Two names denote no operation: `not recorded` is computation that no record follows, and
    /// `adjoints` is the seeds and the table of adjoints of a sweep.
    pub name: &'static str,
    /// Number of records.
    pub records: u64,
    /// Bytes in the arena: records, results and intermediate values that have no record; in a sweep, adjoints.
    pub bytes: u64,
    /// Time to compute and record the operations, each counted from the record before.
    pub forward: Duration,
    /// Time of the pull-backs.
    pub back: Duration,
}

impl Tally {
    /// Adds the cost in `other` to the row of the same name.
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

/// The event that has just happened in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Recorded,
    PulledBack,
    /// An event that belongs to no operation.
    Other,
}

/// The rows so far, and the time of the last event.
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
