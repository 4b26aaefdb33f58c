//! Turns a strategy, which decides what to keep and how far to advance, into the actions of a whole loop.
//!
//! Kept states and tapes lie on a stack, oldest first. The last step that is not yet reversed is reached from the
//! newest entry; an entry is removed when its own step is reversed. Memory: the stack, with one entry per slot, and the
//! table of the strategy.

use std::iter::FusedIterator;

use crate::error::Error;

use super::action::{Action, Counts, Tier};
use super::binomial::COVERED;
use super::{binomial, disk, mixed, online, uniform};

/// What to keep of the steps, and how far to advance before the next one is kept.
#[derive(Clone, Debug)]
pub(super) enum Strategy {
    /// Every tape.
    Record,
    /// The first state of every segment of this length.
    Uniform(usize),
    /// This number of states.
    Binomial(usize),
    /// This number of states, for a loop of unknown length.
    Online(usize),
    /// States and tapes in `c` slots.
    Mixed { c: usize, tape: usize, table: mixed::Table },
    /// States in memory and on disk.
    Disk(disk::Table),
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    step: usize,
    /// The tier of the state; `None` for a tape.
    tier: Option<Tier>,
    slot: usize,
}

/// Slots `0..used`, of which some are free.
#[derive(Clone, Debug, Default)]
struct Slots {
    used: usize,
    free: Vec<usize>,
}

/// The actions of a schedule for a loop of `r` steps, in order.
///
/// ```
/// use hypertape_solver::{Action, Schedule, Tier};
/// let actions = Schedule::Binomial { c: 1 }.actions(2)?;
/// let tier = Tier::Ram;
/// assert!(actions.eq([
///     Action::Store { step: 0, slot: 0, tier },
///     Action::Advance { from: 0, to: 1 },
///     Action::Turn { from: 1, to: 2 },
///     Action::Reverse { step: 1 },
///     Action::Load { step: 0, slot: 0, tier, last: true },
///     Action::Reverse { step: 0 },
/// ]));
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Actions {
    strategy: Strategy,
    length: usize,
    /// The current state is the one before this step.
    at: usize,
    /// Number of steps not yet reversed.
    left: usize,
    turned: bool,
    kept: Vec<Kept>,
    /// Slots in memory, on disk, and of tapes.
    slots: [Slots; 3],
}

impl Actions {
    pub(super) fn new(strategy: Strategy, length: usize) -> Self {
        let (kept, slots) = (Vec::new(), Default::default());
        Self { strategy, length, at: 0, left: length, turned: false, kept, slots }
    }

    /// Returns the numbers of slots that a loop of `steps` steps needs in memory, on disk, and for tapes. For a
    /// strategy with a table and more steps than it covers, these are as many as the setting allows.
    pub(crate) fn slots(&self, steps: usize) -> [usize; 3] {
        let most = steps.saturating_sub(1);
        match &self.strategy {
            Strategy::Record => [0, 0, steps],
            Strategy::Uniform(k) => [uniform::slots(steps, *k), 0, 0],
            Strategy::Binomial(c) | Strategy::Online(c) => [most.min(*c), 0, 0],
            Strategy::Mixed { c, tape, .. } if steps > COVERED => {
                [most.min(*c), 0, steps.min(c / tape)]
            }
            Strategy::Disk(table) if steps > COVERED => {
                let [ram, disk] = table.slots();
                [most.min(ram), disk, 0]
            }
            Strategy::Mixed { .. } | Strategy::Disk(_) => {
                let Counts { ram, disk, tapes, .. } = self.clone().collect();
                [ram, disk, tapes].map(|traffic| traffic.slots)
            }
        }
    }

    /// Returns the actions of a short loop with the same kinds of actions as this one: further steps would only repeat
    /// them and need more slots. For a strategy with a table, the loop has as many steps as that covers.
    pub(crate) fn abridged(&self) -> Self {
        let (few, most) = (self.length.min(4), self.length.saturating_sub(1));
        let taken_again = match &self.strategy {
            Strategy::Mixed { .. } | Strategy::Disk(_) => {
                return Self::new(self.strategy.clone(), self.length.min(COVERED));
            }
            Strategy::Record => return Self::new(Strategy::Record, few),
            Strategy::Uniform(k) => *k > 1 && self.length > *k,
            Strategy::Binomial(c) | Strategy::Online(c) => most > *c,
        };
        Self::new(if taken_again { Strategy::Binomial(1) } else { Strategy::Uniform(1) }, few)
    }

    /// Number of steps of the loop.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Bytes of the strategy's table, and of the entries for `slots` slots of all kinds.
    pub(crate) fn bytes(&self, slots: usize) -> usize {
        let table = match &self.strategy {
            Strategy::Mixed { table, .. } => table.bytes(),
            Strategy::Disk(table) => table.bytes(),
            _ => 0,
        };
        let each = size_of::<Kept>() + self.slots.len() * size_of::<usize>();
        slots.saturating_mul(each).saturating_add(table)
    }

    /// Reserves memory for this number of slots.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if there is not enough memory.
    pub(crate) fn reserve(&mut self, slots: usize) -> Result<(), Error> {
        let mut room = self.kept.try_reserve_exact(slots);
        for Slots { free, .. } in &mut self.slots {
            room = room.and_then(|()| free.try_reserve_exact(slots));
        }
        room.map_err(|_| {
            Error::invalid("slots of a schedule", slots, "as many as there is memory for")
        })
    }

    /// Starts over, with the same table and memory.
    ///
    /// ```
    /// let mut actions = hypertape_solver::Schedule::Constant.actions(3)?;
    /// assert_eq!(actions.by_ref().count(), 9);
    /// actions.restart();
    /// assert_eq!(actions.count(), 9);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    pub fn restart(&mut self) {
        (self.at, self.left, self.turned) = (0, self.length, false);
        self.kept.clear();
        for slots in &mut self.slots {
            slots.used = 0;
            slots.free.clear();
        }
    }

    /// Ends a loop of unknown length after `steps` steps, which must be the number that the actions have taken, or one
    /// more.
    ///
    /// Such a loop begins as an online schedule of `usize::MAX` steps. One more step costs least: [`Action::Turn`]
    /// takes that step, which the caller may have tried already, and the state before it is reversed at once.
    ///
    /// ```
    /// use hypertape_solver::{Action, Counts, Schedule};
    /// let mut actions = Schedule::Online { c: 3 }.actions(usize::MAX)?;
    /// let (mut state, mut steps, mut seen) = (1.0, 0, Vec::new());
    /// while 0.5 * state > 1e-3 {
    ///     // The loop goes on: perhaps the state is stored, then the step is taken.
    ///     seen.extend(actions.next());
    ///     if let Some(Action::Advance { to, .. }) = seen.last() {
    ///         (state, steps) = (0.5 * state, *to);
    ///     }
    /// }
    /// actions.stop(steps + 1)?;
    /// let counts: Counts = seen.into_iter().chain(actions).collect();
    /// assert_eq!((steps + 1, counts.plain_steps), (10, 16)); // no more than if the length were known
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the schedule is not online, its loop has ended, or `steps` is another number.
    pub fn stop(&mut self, steps: usize) -> Result<(), Error> {
        let fits = steps == self.at || steps == self.at + 1;
        if self.turned || !fits || !matches!(self.strategy, Strategy::Online(_)) {
            let expected = format!("an online loop, {} or {} steps", self.at, self.at + 1);
            return Err(Error::invalid("end of a loop", format!("{steps} steps"), expected));
        }
        self.left = steps;
        // The current state was stored to continue from, which is no longer needed.
        if let Some(kept) = self.kept.pop_if(|kept| kept.step == self.at) {
            self.release(kept);
        }
        Ok(())
    }

    /// Returns where to keep the current state (`None`: record the step instead), and how far to advance afterwards.
    fn next_move(&self) -> (Option<Tier>, usize) {
        let (steps, here) = (self.left - self.at, self.here());
        let others = |tier| {
            let Slots { used, free } = &self.slots[index(tier)];
            used - free.len() - usize::from(here.is_some() && here == tier)
        };
        let in_ram = others(Some(Tier::Ram));
        match &self.strategy {
            Strategy::Record => (None, 1),
            Strategy::Uniform(k) => (Some(Tier::Ram), uniform::advance(self.at, self.left, *k)),
            Strategy::Binomial(c) | Strategy::Online(c) => {
                (Some(Tier::Ram), binomial::advance(steps, c - in_ram))
            }
            Strategy::Mixed { c, tape, table } => {
                let advance = table.advance(steps, c - in_ram - tape * others(None));
                (advance.map(|_| Tier::Ram), advance.unwrap_or(1))
            }
            Strategy::Disk(table) => {
                let (tier, m) = table.advance(steps, [in_ram, others(Some(Tier::Disk))], here);
                (Some(tier), m)
            }
        }
    }

    /// Takes one step of a loop that may end after any step.
    fn go_on(&mut self, c: usize) -> Action {
        if self.here().is_some() {
            return self.advance(1);
        }
        if self.kept.len() == c {
            let dropped = online::dispensable(|i| self.kept[i].step, c, self.at);
            if dropped == c {
                return self.advance(1);
            }
            let dropped = self.kept.remove(dropped);
            self.release(dropped);
        }
        self.store(Tier::Ram)
    }

    /// Returns to the newest entry, to reverse the last remaining step.
    fn back(&mut self) -> Option<Action> {
        let Kept { step, tier, slot } = *self.kept.last()?;
        let action = if let Some(tier) = tier {
            self.at = step;
            let last = self.left == step + 1 || self.next_move().0 != Some(tier);
            Action::Load { step, slot, tier, last }
        } else {
            self.left = step;
            Action::Pull { step, slot }
        };
        if !matches!(action, Action::Load { last: false, .. }) {
            self.kept.pop();
            self.release(Kept { step, tier, slot });
        }
        Some(action)
    }

    fn store(&mut self, tier: Tier) -> Action {
        Action::Store { step: self.at, slot: self.keep(Some(tier)), tier }
    }

    fn advance(&mut self, steps: usize) -> Action {
        let from = self.at;
        self.at += steps;
        Action::Advance { from, to: self.at }
    }

    /// Returns where the current state is kept, if it is.
    fn here(&self) -> Option<Tier> {
        self.kept.last().filter(|kept| kept.step == self.at)?.tier
    }

    fn keep(&mut self, tier: Option<Tier>) -> usize {
        let Slots { used, free } = &mut self.slots[index(tier)];
        let slot = free.pop().unwrap_or(*used);
        *used = (*used).max(slot + 1);
        self.kept.push(Kept { step: self.at, tier, slot });
        slot
    }

    fn release(&mut self, Kept { tier, slot, .. }: Kept) {
        self.slots[index(tier)].free.push(slot);
    }
}

impl Iterator for Actions {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        if self.turned && self.at >= self.left {
            return self.back();
        }
        let steps = self.left - self.at;
        match self.strategy {
            _ if self.turned && steps == 1 => {
                self.left -= 1;
                return Some(Action::Reverse { step: self.left });
            }
            Strategy::Online(c) if !self.turned && steps > 1 => return Some(self.go_on(c)),
            _ => {}
        }
        let next = (steps > 0).then(|| self.next_move());
        Some(match next {
            Some((None, _)) => {
                let (step, slot) = (self.at, self.keep(None));
                self.at += 1;
                Action::Record { step, slot }
            }
            Some((tier, m)) if steps > 1 && self.here() == tier => self.advance(m),
            Some((Some(tier), _)) if steps > 1 => self.store(tier),
            _ => {
                self.turned = true;
                Action::Turn { from: self.at, to: self.left }
            }
        })
    }
}

impl FusedIterator for Actions {}

fn index(tier: Option<Tier>) -> usize {
    tier.map_or(2, |tier| tier as usize)
}

#[cfg(test)]
mod tests {
    use crate::schedule::{Counts, Schedule};

    fn counted(schedule: Schedule, steps: usize) -> [usize; 3] {
        let Counts { ram, disk, tapes, .. } = schedule.counts(steps).unwrap();
        [ram, disk, tapes].map(|traffic| traffic.slots)
    }

    #[test]
    fn slots_without_a_walk_are_those_of_all_actions() {
        let plain = ["store-all", "store-all:keep=tapes", "constant"].map(str::to_owned);
        let set = (1..=20).flat_map(|c| {
            ["uniform:k", "binomial:c", "online:c"].map(|schedule| format!("{schedule}={c}"))
        });
        for text in plain.into_iter().chain(set) {
            let schedule: Schedule = text.parse().unwrap();
            for steps in 0..=130 {
                let slots = schedule.actions(steps).unwrap().slots(steps);
                assert_eq!(slots, counted(schedule, steps), "{text} {steps} steps");
            }
        }
    }

    #[test]
    fn loops_beyond_the_tables_take_all_slots() {
        for text in ["mixed:c=1", "mixed:c=7,tape=2", "mixed:c=12,tape=5", "disk:ram=1,disk=3"] {
            let schedule: Schedule = text.parse().unwrap();
            for steps in [1001, 1500, 4321] {
                let slots = schedule.actions(steps).unwrap().slots(steps);
                assert_eq!(slots, counted(schedule, steps), "{text} {steps} steps");
            }
        }
    }
}
