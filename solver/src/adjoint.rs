//! Executes a schedule on a loop: forward, the turn, and every step in reverse.
//!
//! Memory: two states (the current one and its adjoint), and those that the schedule keeps.

use std::collections::HashSet;
use std::mem::discriminant;

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::pool::Pool;
use crate::schedule::{Action, Actions, Schedule, Tier};
use crate::spill::Spill;

/// A loop that can be run forward and in reverse, step by step. Its adjoint adds to `x_bar` as it goes.
pub(crate) trait Chain<T> {
    /// Takes step `t`.
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<(), Error>;
    /// Whether the loop ends with the step that was taken last.
    fn ended(&self) -> bool;
    /// Takes step `t` and keeps its tape in `slot`.
    fn record(&mut self, _t: usize, _slot: usize, _state: &mut [T]) -> Result<(), Error> {
        Err(Error::invalid("schedule", "one that keeps tapes", "one that keeps states"))
    }
    /// Replaces the final state by its adjoint, writes the direct part of `x_bar`, and returns the loss.
    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error>;
    /// Sees the adjoint before the next step that is reversed, and the gradient so far.
    fn look(&mut self, _bar: &mut [T], _x_bar: &mut [T]) -> Result<(), Error> {
        Ok(())
    }
    /// Replaces the adjoint of the state after step `t` by that of the state before it, which is given.
    fn reverse(&mut self, t: usize, state: &[T], bars: [&mut [T]; 2]) -> Result<(), Error>;
    /// The same by the tape in `slot`, which is let go.
    fn pull(&mut self, _t: usize, _slot: usize, _bars: [&mut [T]; 2]) -> Result<(), Error> {
        Ok(())
    }
    /// Where vectors come from, and what is counted.
    fn pool(&mut self) -> &mut Pool<T>;
}

/// How many steps a loop takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many.
    Known(usize),
    /// As many as it takes until [`Chain::ended`], at most so many.
    AtMost(usize),
}

/// The actions of a schedule, kept between runs with the memory that they take.
#[derive(Debug)]
pub(crate) struct Itinerary {
    schedule: Schedule,
    length: Length,
    actions: Actions,
    /// States in memory, on disk, tapes.
    slots: [usize; 3],
    /// Bytes of the actions' own.
    bytes: usize,
    rehearsal: bool,
    /// Tapes of the steps that a rehearsal leaves out, which are there all the time.
    unseen: usize,
}

impl Itinerary {
    /// For a loop of so many steps. A rehearsal goes through few of them that do all that the others do, or through as many as
    /// a table covers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a schedule that does not fit.
    pub(crate) fn new(schedule: Schedule, length: Length, rehearsal: bool) -> Result<Self, Error> {
        let (mut actions, most) = match (length, schedule) {
            (Length::Known(r), _) => (schedule.actions(r)?, r),
            (Length::AtMost(r), Schedule::Online { .. }) => {
                (schedule.actions(if rehearsal { r } else { usize::MAX })?, r)
            }
            (Length::AtMost(_), _) => {
                let why = "an inner loop that ends by a tolerance needs the schedule online, for example online:c=10";
                return Err(Error::told(why));
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

    /// Tapes that are kept at a time.
    pub(crate) fn tapes(&self) -> usize {
        self.slots[2]
    }

    /// Whether it leaves steps out.
    pub(crate) fn is_abridged(&self) -> bool {
        let (Length::Known(most) | Length::AtMost(most)) = self.length;
        self.actions.length() < most
    }

    /// What it was made from.
    pub(crate) fn schedule(&self) -> Schedule {
        self.schedule
    }

    /// Whether this is the itinerary of a loop.
    pub(crate) fn is(&self, schedule: Schedule, length: Length) -> bool {
        self.schedule == schedule && self.length == length
    }
}

/// Runs `chain` from `state`, which ends as that before the first step, and returns the loss and the adjoint of the first
/// state.
///
/// # Errors
/// Those of the chain; [`Error::Spill`].
pub(crate) fn execute<T: Element, C: Chain<T>>(
    chain: &mut C,
    itinerary: &mut Itinerary,
    state: &mut Vec<T>,
    x_bar: &mut [T],
) -> Result<(T, Vec<T>), Error> {
    let n = state.len();
    let Itinerary { actions, slots, length, bytes, rehearsal, unseen, .. } = itinerary;
    actions.restart();
    chain.pool().meter.hold(*bytes);
    let mut ram = chain.pool().take_slots(slots[0], n)?;
    let mut spill: Option<Spill> = None;
    let mut bar = chain.pool().take(n)?;
    // Whether the spare vector, which `bar` is until the turn, holds the state after the current one.
    let mut ahead = false;
    if let (Length::AtMost(most), false) = (*length, *rehearsal) {
        for t in 0..most {
            bar.copy_from_slice(state);
            chain.advance(t, &mut bar)?;
            if chain.ended() || t + 1 == most {
                ahead = true;
                actions.stop(t + 1)?;
                break;
            }
            let mut next = actions.next();
            if let Some(Action::Store { slot, .. }) = next {
                ram[slot].copy_from_slice(state);
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
    // Of a rehearsal: what was done while so much was held, and bytes of a tape.
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
            // It takes no more than before.
            match action {
                Action::Record { .. } => chain.pool().meter.hold(tape),
                Action::Pull { .. } => chain.pool().meter.release(tape),
                _ => {}
            }
            continue;
        }
        match action {
            Action::Store { slot, tier: Tier::Ram, .. } => ram[slot].copy_from_slice(state),
            Action::Load { slot, tier: Tier::Ram, .. } => state.copy_from_slice(&ram[slot]),
            Action::Store { slot, tier: Tier::Disk, .. } => {
                chain.pool().meter.hold(Spill::BYTES);
                if !*rehearsal {
                    let file = match &mut spill {
                        Some(file) => file,
                        None => spill.insert(Spill::new(n)?),
                    };
                    file.write(slot, state)?;
                }
                chain.pool().meter.release(Spill::BYTES);
            }
            Action::Load { slot, tier: Tier::Disk, .. } => {
                chain.pool().meter.hold(Spill::BYTES);
                if let Some(file) = &mut spill {
                    file.read(slot, state)?;
                }
                chain.pool().meter.release(Spill::BYTES);
            }
            Action::Advance { from, to } => {
                chain.pool().each(from..to).try_for_each(|t| chain.advance(t, state))?;
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
                    (from..to).try_for_each(|t| chain.advance(t, &mut bar))?;
                }
                loss = chain.turn(&mut bar, x_bar)?;
            }
            Action::Reverse { step } => chain.reverse(step, state, [&mut bar, x_bar])?,
            Action::Pull { step, slot } => chain.pull(step, slot, [&mut bar, x_bar])?,
        }
    }
    chain.pool().give_slots(ram);
    chain.pool().meter.release(unseen.saturating_mul(tape));
    chain.pool().meter.release(*bytes);
    Ok((loss, bar))
}
