//! `Breakdown`: the time and bytes of an estimate, by kind of evaluation and by array operation.

use std::time::Duration;

use hypertape_autodiff::Tally;

/// Defines the kinds of evaluations in the order in which a run makes them, each with its name.
macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $call:ident $name:literal,)+) => {
        /// A kind of evaluation that an oracle makes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Call {
            $($(#[doc = $doc])+ $call,)+
        }

        impl Call {
            /// All kinds, in the order in which a run makes them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$call),+];

            /// Name of this kind, as printed in tables.
            pub fn name(self) -> &'static str {
                [$($name),+][self as usize]
            }
        }
    };
}

calls! {
    /// The start of the inner loop.
    Start "start",
    /// An inner gradient.
    InnerGradient "inner gradient",
    /// An inner gradient whose tape is kept.
    Record "inner gradient, tape kept",
    /// The update of a step, or its pull-back.
    Update "update of a step",
    /// The outer loss at the end of the loop, with or without its gradient.
    Outer "outer loss",
    /// Products with second derivatives, computed from a state.
    Products "products from states",
    /// Products with second derivatives, computed from a kept tape.
    PullTape "products from tapes",
    /// An inner gradient and its derivatives along several directions.
    Push "forward mode",
    /// The whole run on one tape.
    WholeRun "one tape",
    /// The pull-back of the start.
    PullStart "pull-back of the start",
}

/// A kind of evaluation, its form (what is computed, or along how many directions), and the number of samples it uses.
pub(crate) type Form = (Call, usize, usize);

/// Totals of one kind of evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Number of evaluations.
    pub calls: u64,
    /// Total time, summed over threads.
    pub time: Duration,
    /// Largest number of bytes in arenas and lanes that one evaluation used.
    pub bytes: u64,
}

/// Totals of every kind of [`Call`], and the bytes held in addition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    shares: [Share; Call::ALL.len()],
    operations: [Vec<Tally>; Call::ALL.len()],
    /// Largest number of bytes held in states, adjoints and kept tapes.
    pub held: u64,
}

impl Breakdown {
    /// Returns the totals of one kind of evaluation.
    pub fn of(&self, call: Call) -> Share {
        self.shares[call as usize]
    }

    /// Returns the array operations of one kind of evaluation, summed over all its evaluations and threads.
    ///
    /// Their bytes are those in arenas. The result is empty for problems over scalars.
    pub fn operations(&self, call: Call) -> &[Tally] {
        &self.operations[call as usize]
    }

    /// Adds one evaluation.
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

    /// Adds another breakdown, of a worker that ran in parallel with this one.
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
