//! `Breakdown`: where the time and the bytes of an estimate went, by what was evaluated and by array operation.

use std::time::Duration;

use hypertape_autodiff::Tally;

/// What an oracle is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// The start of the inner loop.
    Start,
    /// An inner gradient.
    InnerGradient,
    /// An inner gradient whose tape is kept.
    Record,
    /// The update of a step, and its pull-back.
    Update,
    /// The loss at the end, with or without its gradient.
    Outer,
    /// Products with second derivatives, from a state.
    Products,
    /// Products with second derivatives, by a kept tape.
    PullTape,
    /// An inner gradient along several directions.
    Push,
    /// The whole run on one tape.
    WholeRun,
    /// The pull-back of the start.
    PullStart,
}

/// An evaluation, which of its forms (what is wanted of it, or along how many directions), and the samples that it sees.
pub(crate) type Form = (Call, usize, usize);

impl Call {
    /// All of them, in the order of a run.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::InnerGradient,
        Self::Record,
        Self::Update,
        Self::Outer,
        Self::Products,
        Self::PullTape,
        Self::Push,
        Self::WholeRun,
        Self::PullStart,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::InnerGradient => "inner gradient",
            Self::Record => "inner gradient, tape kept",
            Self::Update => "update of a step",
            Self::Outer => "outer loss",
            Self::Products => "products from states",
            Self::PullTape => "products from tapes",
            Self::Push => "forward mode",
            Self::WholeRun => "one tape",
            Self::PullStart => "pull-back of the start",
        }
    }
}

/// Of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Evaluations.
    pub calls: u64,
    /// Their time, added over threads.
    pub time: Duration,
    /// The most bytes that one took in arenas and lanes.
    pub bytes: u64,
}

/// Of each [`Call`], and of what is held besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    shares: [Share; Call::ALL.len()],
    operations: [Vec<Tally>; Call::ALL.len()],
    /// The most bytes in states, adjoints and kept tapes.
    pub held: u64,
}

impl Breakdown {
    /// Of one kind.
    pub fn of(&self, call: Call) -> Share {
        self.shares[call as usize]
    }

    /// Of the array operations of one kind, all its evaluations together, over threads as well. Their bytes are those of
    /// the arenas; problems over single numbers have none.
    pub fn operations(&self, call: Call) -> &[Tally] {
        &self.operations[call as usize]
    }

    /// Takes note of an evaluation.
    pub(crate) fn add(&mut self, call: Call, time: Duration, bytes: u64, operations: Vec<Tally>) {
        let share = &mut self.shares[call as usize];
        share.calls += 1;
        share.time += time;
        share.bytes = share.bytes.max(bytes);
        let rows = &mut self.operations[call as usize];
        for row in operations {
            Tally::join(rows, row);
        }
    }

    /// Takes note of another one, made beside this one.
    pub(crate) fn join(&mut self, other: Self) {
        self.held += other.held;
        for (share, other) in self.shares.iter_mut().zip(&other.shares) {
            share.calls += other.calls;
            share.time += other.time;
            share.bytes += other.bytes;
        }
        for (rows, others) in self.operations.iter_mut().zip(other.operations) {
            for row in others {
                Tally::join(rows, row);
            }
        }
    }
}
