//! `Exact`: the gradient of the unrolled inner loop, from stored states or kept tapes.
//!
//! Forward, each of the states `w_0 .. w_{r-1}` is stored, or the tape of the gradient there. Backward, with
//! `w_bar = df/dw` and `x_bar = df/dx` at `w_r`, each step from the last to the first takes one sweep, which gives both
//! products: forward over reverse at a stored state, the pull-back of a kept tape.
//!
//! ```text
//! x_bar <- x_bar - lr (d2g/dw dx)^T w_bar
//! w_bar <- w_bar - lr d2g/dw2 w_bar
//! ```
//!
//! and at the start `x_bar <- x_bar + (dw_0/dx)^T w_bar` (reverse-mode unrolling: Maclaurin, Duvenaud and Adams 2015;
//! Franceschi et al. 2017, algorithm 1).
//!
//! Cost for `r` steps, `p` inner and `d` outer variables: `r` inner gradients, `r` Hessian-vector products with `r`
//! mixed products, one outer gradient. Memory: `2 p` values (`w_bar` and one product), `p` more forward (the running
//! state) and `d` more backward (a mixed product), the arenas of one sweep, and `r p` values for the states, or for each
//! tape `p + d` values and every value and record of one gradient. No bias. Tapes sum in another order than states, so
//! the two agree to rounding.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::rollout::{Look, Rollout, Task};
use crate::schedule::{Action, Schedule, Tier};
use crate::spelling::{About, Spelled};
use crate::spill::Spill;

/// The exact hypergradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    schedule: Schedule,
}

impl Exact {
    /// With what `schedule` stores.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule }
    }
}

impl Spelled for Exact {
    fn about(&self) -> About {
        About {
            name: "exact",
            summary: "gradient of the unrolled inner loop, from what its schedule stores; no bias",
            cost: "r gradients, r HVPs, r + 3 states",
        }
    }
}

impl<T: Element> Estimator<T> for Exact {
    fn schedule(&self) -> Option<Schedule> {
        Some(self.schedule)
    }

    fn under(&self, schedule: Schedule) -> Option<Box<dyn Estimator<T>>> {
        Some(Box::new(Self::new(schedule)))
    }

    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        bytes(profile, self.schedule, (steps, steps), 0, &[])
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        at: Task<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        evaluate(oracle, inner, self.schedule, None, at, gradient, None)
    }
}

/// Bytes of [`evaluate`] for `depth` of `steps` steps: of all that is held as the actions of an abridged loop follow each
/// other, and `beside` it, where the start is pulled back after `looks` of the reversed steps too. Cost: that of the schedule's
/// table and of 4 steps, under a table of at most 1000, whatever their number.
pub(crate) fn bytes(
    profile: &Profile,
    schedule: Schedule,
    (depth, steps): (usize, usize),
    beside: u64,
    looks: &[usize],
) -> Result<u64, Error> {
    let Profile { value, inner, outer, state, extra, .. } = *profile;
    let all = schedule.actions(depth)?;
    let slots = all.slots(depth);
    let noted = all.bytes(slots.into_iter().fold(0, usize::saturating_add)) as u64;
    let (actions, [ram, _, kept]) = (all.abridged(), slots);
    let walked = actions.length();
    let seen = if walked < depth { actions.slots(walked)[2] } else { kept };
    let beside = beside.saturating_add(noted);
    let own = beside.saturating_add(value * (state + inner * (1 + extra)));
    let states = (value * state).saturating_mul(ram as u64 + 1);
    // A kept step of a rule that is more than a multiple of its gradient keeps state and gradient too.
    let tape = profile.tape + if extra > 0 { value * (state + inner) } else { 0 };
    // Tapes of the steps that are not walked are there all the time.
    let unseen = kept.saturating_sub(seen);
    let held = own.saturating_add(states).saturating_add(tape.saturating_mul(unseen as u64));
    let step = profile.gradient.bytes.max(profile.update.bytes);
    let back = profile.products.bytes.max(profile.pull_update.bytes);
    let back = if profile.again { back.max(profile.gradient.bytes) } else { back };
    let start = beside.saturating_add(value * (state + inner) + profile.init.bytes);
    let before = if depth < steps { step } else { profile.query };
    let mut peak = start.max(own.saturating_add(before.max(profile.query)));
    let (mut tapes, mut mixed, mut reversed) = (0, 0, 0);
    for action in actions {
        if let Action::Reverse { .. } | Action::Pull { .. } = action {
            // Of a loop that is walked in part, any look after the first step may come when most is held.
            let looks = looks.iter().any(|&k| match reversed {
                0 => k == 0,
                _ if walked < depth => (1..depth).contains(&k),
                _ => k == reversed,
            });
            let look = if looks { profile.pull_init.bytes } else { 0 };
            peak = peak.max(held.saturating_add(tapes + mixed + look));
            reversed += 1;
        }
        let now = match action {
            Action::Advance { .. } => step,
            Action::Record { .. } => {
                tapes += tape;
                profile.record.bytes.max(profile.update.bytes)
            }
            Action::Turn { from, to } => {
                let step = if from < to { step } else { 0 };
                step.max(profile.outer_gradient.bytes)
            }
            Action::Reverse { .. } => {
                mixed = value * outer;
                back
            }
            Action::Pull { .. } => {
                mixed = value * outer;
                profile.pull_tape.bytes.max(profile.pull_update.bytes)
            }
            Action::Store { tier: Tier::Disk, .. } | Action::Load { tier: Tier::Disk, .. } => {
                Spill::BYTES as u64
            }
            Action::Store { .. } | Action::Load { .. } => 0,
        };
        peak = peak.max(held.saturating_add(tapes + mixed + now));
        if let Action::Pull { .. } = action {
            tapes -= tape;
        }
    }
    Ok(peak.max(own.saturating_add(value * state + mixed + profile.pull_init.bytes)))
}

/// The gradient through the last `depth` steps, or all: those before count as the identity, so that the start is always pulled
/// back. `look(run, k, bar, x_bar)` is shown the adjoint and the gradient so far after `k` = 0, 1, ... reversed steps.
pub(crate) fn evaluate<'v, T: Element>(
    oracle: &mut Oracle<T>,
    inner: &'v InnerLoop,
    schedule: Schedule,
    depth: Option<usize>,
    at: Task<'v, T>,
    gradient: &mut [T],
    look: Option<Look<'v, T>>,
) -> Result<T, Error> {
    let (mut run, mut state) = Rollout::start(oracle, inner, at)?;
    if let Some(depth) = depth {
        run.skip_to(depth, &mut state)?;
    }
    let (loss, bar) = run.reverse_under(schedule, &mut state, gradient, look)?;
    run.pull_start(&bar, gradient)?;
    run.close([bar, state]);
    Ok(loss)
}
