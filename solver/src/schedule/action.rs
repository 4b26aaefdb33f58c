//! What a schedule tells an executor to do, one action at a time, and what the actions add up to.

/// Where a state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// In memory.
    Ram,
    /// On disk.
    Disk,
}

/// One action on the *current state*, a pair of the inner variables and a number of steps taken.
///
/// "The state before step `t`" is that after `t` steps, so a loop of `r` steps goes from the state before step 0 to the
/// final state, before step `r`. Slots are numbered from 0, on their own for each tier and for tapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Copy the current state, before step `step`, to a slot. In the forward run of an online schedule this may replace
    /// what the slot held; otherwise the slot is free.
    Store {
        /// Steps before the state.
        step: usize,
        /// The slot.
        slot: usize,
        /// Where the slot is.
        tier: Tier,
    },
    /// Make the state in a slot, before step `step`, the current one.
    Load {
        /// Steps before the state.
        step: usize,
        /// The slot.
        slot: usize,
        /// Where the slot is.
        tier: Tier,
        /// Whether the slot is free afterwards, so that the state may be moved rather than copied.
        last: bool,
    },
    /// Take steps `from..to` and keep nothing.
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
        /// The tape's slot, which is free.
        slot: usize,
    },
    /// The end of the forward run: the outer loss and its gradient at the final state. Exactly once.
    ///
    /// Either `from == to`, and the current state is the final one, or `from + 1 == to`: step `from` is taken into a
    /// spare vector, and the current state stays that before it, which is reversed next.
    Turn {
        /// Steps before the current state.
        from: usize,
        /// Steps of the whole loop.
        to: usize,
    },
    /// Reverse step `step` at the current state, before that step: one sweep, which evaluates the gradient again.
    Reverse {
        /// The step.
        step: usize,
    },
    /// Reverse step `step` by pulling back its tape. The slot is free afterwards.
    Pull {
        /// The step.
        step: usize,
        /// The tape's slot.
        slot: usize,
    },
}

impl Action {
    /// Whether it needs the current state in a place of its own. A state in memory is made current, and reversed, where it is.
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
    /// Slots needed: the largest number in use at a time.
    pub slots: usize,
    /// Times that one is filled.
    pub writes: usize,
    /// Times that one is read.
    pub reads: usize,
}

impl Traffic {
    fn write(&mut self, slot: usize) {
        self.slots = self.slots.max(slot + 1);
        self.writes += 1;
    }
}

/// What actions add up to: `actions.collect::<Counts>()`.
///
/// Time is `plain_steps` gradients and, for `r` steps, `r - tapes.reads` sweeps from states and `tapes.reads`
/// pull-backs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps taken forward, again each time that one is taken again. Sweeps from states do not count.
    pub plain_steps: usize,
    /// States in memory, beside the current one.
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
