//! The actions of a schedule for an executor, and their counts.

/// The place where a state is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In memory.
    Ram,
    /// On disk.
    Disk,
}

/// One action on the *current state*, a pair of the inner variables and a number of steps taken.
///
/// "The state before step `t`" is that after `t` steps, so a loop of `r` steps leads from the state before step 0 to
/// the final state, before step `r`. Slots are numbered from 0, separately for each tier and for tapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Copy the current state, before step `step`, to a slot. In the forward run of an online schedule this may
    /// overwrite the slot; otherwise the slot is free.
    Store {
        /// Number of steps before the state.
        step: usize,
        /// The slot.
        slot: usize,
        /// Tier of the slot.
        tier: Tier,
    },
    /// Make the state in a slot, before step `step`, the current one.
    Load {
        /// Number of steps before the state.
        step: usize,
        /// The slot.
        slot: usize,
        /// Tier of the slot.
        tier: Tier,
        /// Whether the slot is free afterwards, so that the state may be moved rather than copied.
        last: bool,
    },
    /// Take steps `from..to` without storing anything.
    Advance {
        /// The first step.
        from: usize,
        /// The step after the last.
        to: usize,
    },
    /// Take step `step` and keep the tape of its gradient.
    Record {
        /// The step.
        step: usize,
        /// Slot for the tape, which is free.
        slot: usize,
    },
    /// The end of the forward run: evaluate the outer loss and its gradient at the final state. It occurs exactly once.
    ///
    /// Either `from == to`, and the current state is the final one, or `from + 1 == to`: step `from` is taken into a
    /// spare vector, and the current state stays that before it, which is reversed next.
    Turn {
        /// Number of steps before the current state.
        from: usize,
        /// Number of steps of the whole loop.
        to: usize,
    },
    /// Reverse step `step` at the current state, before that step, by one sweep, which evaluates the gradient again.
    Reverse {
        /// The step.
        step: usize,
    },
    /// Reverse step `step` by pulling back its tape. The slot is free afterwards.
    Pull {
        /// The step.
        step: usize,
        /// Slot of the tape.
        slot: usize,
    },
}

impl Action {
    /// Whether the action needs its own copy of the current state. A state in memory is made current and reversed in
    /// place.
    pub(crate) fn copies(self) -> bool {
        !matches!(
            self,
            Self::Load { tier: Tier::Ram, .. } | Self::Reverse { .. } | Self::Pull { .. }
        )
    }
}

/// Slots of one kind, and how often they are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of slots needed, which is the largest number in use at the same time.
    pub slots: usize,
    /// Number of writes.
    pub writes: usize,
    /// Number of reads.
    pub reads: usize,
}

impl Traffic {
    fn write(&mut self, slot: usize) {
        self.slots = self.slots.max(slot + 1);
        self.writes += 1;
    }
}

/// The counts of a sequence of actions: `actions.collect::<Counts>()`.
///
/// For `r` steps, the time is that of `plain_steps` gradients, `r - tapes.reads` sweeps from states, and `tapes.reads`
/// pull-backs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of steps taken forward, including repetitions. Sweeps from states do not count.
    pub plain_steps: usize,
    /// States in memory, besides the current one.
    pub ram: Traffic,
    /// States on disk.
    pub disk: Traffic,
    /// Kept tapes.
    pub tapes: Traffic,
}

impl FromIterator<Action> for Counts {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let mut counts = Self::default();
        for action in actions {
            match action {
                Action::Store { slot, tier: Tier::Ram, .. } => counts.ram.write(slot),
                Action::Store { slot, tier: Tier::Disk, .. } => counts.disk.write(slot),
                Action::Load { tier: Tier::Ram, .. } => counts.ram.reads += 1,
                Action::Load { tier: Tier::Disk, .. } => counts.disk.reads += 1,
                Action::Advance { from, to } | Action::Turn { from, to } => {
                    counts.plain_steps = counts.plain_steps.saturating_add(to - from);
                }
                Action::Record { slot, .. } => {
                    counts.plain_steps += 1;
                    counts.tapes.write(slot);
                }
                Action::Pull { .. } => counts.tapes.reads += 1,
                Action::Reverse { .. } => {}
            }
        }
        counts
    }
}
