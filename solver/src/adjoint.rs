//! Executes a schedule on a loop: forward steps, the turn, and every step in reverse.
//!
//! Memory: two states (the current one and its adjoint), and those that the schedule stores.

use std::collections::HashSet;
use std::mem::discriminant;

use hypertape_autodiff::{Element, List};

use crate::error::Error;
use crate::pool::{Pool, Slots};
use crate::schedule::{Action, Actions, Keep, Schedule, Tier};
use crate::spill::Spill;

/// A loop that can be run forward and in reverse, step by step. Reversed steps add their contributions to `x_bar`.
pub(crate) trait Chain<T> {
    /// Takes step `t`, and returns whether the loop ends with it.
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<bool, Error>;
    /// Takes step `t` and keeps its tape in `slot`.
    fn record(&mut self, _t: usize, _slot: usize, _state: &mut [T]) -> Result<(), Error> {
        Err(Error::invalid("schedule", "one that keeps tapes", "one that keeps states"))
    }
    /// Replaces the final state by its adjoint, writes the direct part of `x_bar`, and returns the loss.
    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error>;
    /// Called before each reversed step, with the current adjoint and the gradient accumulated so far.
    fn look(&mut self, _bar: &mut [T], _x_bar: &mut [T]) -> Result<(), Error> {
        Ok(())
    }
    /// Replaces the adjoint of the state after step `t` by that of `state`, the state before it.
    fn reverse(&mut self, t: usize, state: &[T], bars: [&mut [T]; 2]) -> Result<(), Error>;
    /// Does the same with the tape in `slot`, and releases that tape.
    fn pull(&mut self, _t: usize, _slot: usize, _bars: [&mut [T]; 2]) -> Result<(), Error> {
        Ok(())
    }
    /// The pool that provides vectors and counts bytes.
    fn pool(&mut self) -> &mut Pool<T>;
}

/// How many steps a loop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Exactly this number of steps.
    Known(usize),
    /// Steps until [`Chain::advance`] returns true, at most this number.
    AtMost(usize),
}

/// The actions of a schedule, kept between runs together with the memory that they use.
#[derive(Debug)]
pub(crate) struct Itinerary {
    pub(crate) schedule: Schedule,
    length: Length,
    actions: Actions,
    /// Number of slots for states in memory, states on disk, and tapes.
    slots: [usize; 3],
    /// Bytes that the actions themselves occupy.
    bytes: usize,
    rehearsal: bool,
    /// Number of tapes of the steps that a rehearsal skips; their bytes are held throughout.
    unseen: usize,
}

impl Itinerary {
    /// Returns the itinerary of a loop of the given length. A rehearsal executes only a few of the steps, chosen such
    /// that every kind of action occurs, or as many as a table covers.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the schedule does not suit the loop, and [`Error::Told`] if the number of steps is
    /// not known and the schedule depends on it.
    pub(crate) fn new(schedule: Schedule, length: Length, rehearsal: bool) -> Result<Self, Error> {
        let online = |c: usize, most| {
            Schedule::Online { c }.actions(if rehearsal { most } else { usize::MAX })
        };
        let (mut actions, most) = match (length, schedule) {
            (Length::Known(r), _) => (schedule.actions(r)?, r),
            (Length::AtMost(r), Schedule::Online { c }) => (online(c, r)?, r),
            // No more states than the longest loop has.
            (Length::AtMost(r), Schedule::StoreAll { keep: Keep::States }) => {
                (online(r.max(1), r)?, r)
            }
            (Length::AtMost(_), _) => {
                return Err(Error::told(format!(
                    "an inner loop that ends by a tolerance needs the schedule store-all or online, for example \
                     online:c=10, because {schedule} depends on the number of steps"
                )));
            }
        };
        let slots = actions.slots(most);
        let all = slots.into_iter().fold(0, usize::saturating_add);
        let bytes = actions.bytes(all);
        let mut unseen = 0;
        if rehearsal {
            actions = actions.abridged();
            unseen = slots[2].saturating_sub(actions.slots(actions.length())[2]);
        } else {
            actions.reserve(all)?;
        }
        Ok(Self { schedule, length, actions, slots, bytes, rehearsal, unseen })
    }

    /// Returns the largest number of steps of a loop whose end is found on the way, as a rehearsal finds none.
    fn open(&self) -> Option<usize> {
        match self.length {
            Length::AtMost(most) if !self.rehearsal => Some(most),
            _ => None,
        }
    }

    /// Number of tapes kept at the same time.
    pub(crate) fn tapes(&self) -> usize {
        self.slots[2]
    }

    /// Whether steps are skipped, as in a rehearsal.
    pub(crate) fn is_abridged(&self) -> bool {
        let (Length::Known(most) | Length::AtMost(most)) = self.length;
        self.actions.length() < most
    }

    /// Whether this is the itinerary of `schedule` for a loop of this length.
    pub(crate) fn is(&self, schedule: Schedule, length: Length) -> bool {
        self.schedule == schedule && self.length == length
    }
}

/// Number of states in the first block of a loop whose length is not known.
const FIRST: usize = 16;

/// States in memory, in blocks, so that those of a loop of unknown length take no more than twice what they need.
struct Stored<T> {
    blocks: List<Slots<T>>,
    /// Number of states up to the end of each block.
    ends: List<usize>,
}

impl<T: Element> Default for Stored<T> {
    fn default() -> Self {
        Self { blocks: List::new(), ends: List::new() }
    }
}

impl<T: Element> Stored<T> {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Adds a block of `count` states of `n` values.
    fn extend(&mut self, pool: &mut Pool<T>, count: usize, n: usize) -> Result<(), Error> {
        self.blocks.push(pool.take_slots(count, n)?);
        self.ends.push(self.len() + count);
        Ok(())
    }

    /// Returns the block of a state, and its place there.
    fn place(&self, slot: usize) -> [usize; 2] {
        let block = self.ends.partition_point(|&end| end <= slot);
        [block, slot - block.checked_sub(1).map_or(0, |before| self.ends[before])]
    }

    fn at(&self, slot: usize) -> &[T] {
        let [block, place] = self.place(slot);
        &self.blocks[block][place]
    }

    /// Copies `state`, with a new block if there is no such state yet, of at most `most` in all.
    fn store(
        &mut self,
        slot: usize,
        state: &[T],
        (pool, most): (&mut Pool<T>, usize),
    ) -> Result<(), Error> {
        if slot >= self.len() {
            self.extend(pool, self.len().max(FIRST).min(most - self.len()), state.len())?;
        }
        let [block, place] = self.place(slot);
        self.blocks[block][place].copy_from_slice(state);
        Ok(())
    }
}

/// Runs `chain` from `state` and returns the loss and the adjoint of the first state. The final content of `state` is
/// unspecified.
///
/// # Errors
/// Returns the errors of the chain, and [`Error::Spill`] if the file of stored states cannot be written or read.
pub(crate) fn execute<T: Element, C: Chain<T>>(
    chain: &mut C,
    itinerary: &mut Itinerary,
    state: &mut Vec<T>,
    x_bar: &mut [T],
) -> Result<(T, Vec<T>), Error> {
    let (n, open) = (state.len(), itinerary.open());
    let Itinerary { actions, slots, bytes, rehearsal, unseen, .. } = itinerary;
    actions.restart();
    chain.pool().meter.hold(*bytes);
    let mut ram = Stored::default();
    if open.is_none() {
        ram.extend(chain.pool(), slots[0], n)?;
    }
    let mut spill: Option<Spill> = None;
    let mut bar = chain.pool().take(n)?;
    // Whether the spare vector, which is `bar` until the turn, holds the state after the current one.
    let mut ahead = false;
    if let Some(most) = open {
        for t in 0..most {
            bar.copy_from_slice(state);
            if chain.advance(t, &mut bar)? || t + 1 == most {
                ahead = true;
                actions.stop(t + 1)?;
                break;
            }
            let mut next = actions.next();
            if let Some(Action::Store { slot, .. }) = next {
                ram.store(slot, state, (chain.pool(), slots[0]))?;
                next = actions.next();
            }
            debug_assert_eq!(next, Some(Action::Advance { from: t, to: t + 1 }));
            std::mem::swap(state, &mut bar);
        }
        if most == 0 {
            actions.stop(0)?;
        }
    }
    let mut loss = T::nan();
    // The slot of a loaded state. It is copied into the current state only if a step is taken from it.
    let mut loaded = None;
    // For a rehearsal: the actions already executed at each number of held bytes, and the bytes of a tape.
    let (mut done, mut tape) = (HashSet::new(), 0);
    for action in actions {
        if let Action::Reverse { .. } | Action::Pull { .. } = action {
            chain.look(&mut bar, x_bar)?;
        }
        let held = chain.pool().meter.held();
        let tier = match action {
            Action::Store { tier, .. } | Action::Load { tier, .. } => tier as usize,
            _ => 0,
        };
        if *rehearsal && !done.insert((discriminant(&action), tier, held)) {
            // It uses no more than before.
            match action {
                Action::Record { .. } => chain.pool().meter.hold(tape),
                Action::Pull { .. } => chain.pool().meter.release(tape),
                _ => {}
            }
            continue;
        }
        if let Some(slot) = loaded.take_if(|_| action.copies()) {
            state.copy_from_slice(ram.at(slot));
        }
        let before = loaded.map_or(&**state, |slot| ram.at(slot));
        match action {
            Action::Store { slot, tier: Tier::Ram, .. } => {
                ram.store(slot, state, (chain.pool(), slots[0]))?;
            }
            Action::Load { slot, tier: Tier::Ram, .. } => loaded = Some(slot),
            Action::Store { slot, .. } | Action::Load { slot, .. } => {
                let loads = matches!(action, Action::Load { .. });
                chain.pool().meter.hold(Spill::BYTES);
                match &mut spill {
                    _ if *rehearsal => {}
                    Some(file) if loads => file.read(slot, state)?,
                    Some(file) => file.write(slot, state)?,
                    None => spill.insert(Spill::new(n)?).write(slot, state)?,
                }
                chain.pool().meter.release(Spill::BYTES);
            }
            Action::Advance { from, to } => {
                chain.pool().each(from..to).try_for_each(|t| chain.advance(t, state).map(drop))?;
            }
            Action::Record { step, slot } => {
                chain.record(step, slot, state)?;
                if *rehearsal && tape == 0 {
                    let more = chain.pool().meter.held() - held;
                    tape = usize::try_from(more).unwrap_or(usize::MAX);
                    chain.pool().meter.hold(unseen.saturating_mul(tape));
                }
            }
            Action::Turn { from, to } => {
                if !ahead {
                    bar.copy_from_slice(state);
                    (from..to).try_for_each(|t| chain.advance(t, &mut bar).map(drop))?;
                }
                loss = chain.turn(&mut bar, x_bar)?;
            }
            Action::Reverse { step } => chain.reverse(step, before, [&mut bar, x_bar])?,
            Action::Pull { step, slot } => chain.pull(step, slot, [&mut bar, x_bar])?,
        }
    }
    ram.blocks.into_iter().for_each(|block| chain.pool().give_slots(block));
    chain.pool().meter.release(unseen.saturating_mul(tape));
    chain.pool().meter.release(*bytes);
    Ok((loss, bar))
}
