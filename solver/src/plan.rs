//! `plan`: the fastest schedule under a memory budget, predicted from measured parts.
//!
//! ```text
//! seconds = tasks ( plain_steps step + (r - tapes) reverse + tapes (record + pull) + ends + disk )
//! ```
//!
//! with the median times of whole steps, forward and in reverse, and with times of tapes that depend on how many are
//! held. Bytes are those that the estimator predicts. For a kind of schedule whose time decreases with its memory, the
//! largest that fits is considered, for others a fixed set, so that the best predicted time never increases with the
//! budget.

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::{Estimator, largest};
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::schedule::{Counts, Keep, Prices, Schedule};

/// Number of states that a schedule may keep on disk: with more, its table becomes expensive.
const TABLE: usize = 100;

/// A schedule and its predicted cost.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Alternative {
    /// The schedule.
    pub schedule: Schedule,
    /// Counts for one task.
    pub counts: Counts,
    /// Predicted bytes.
    pub bytes: u64,
    /// Predicted seconds of one estimate.
    pub seconds: f64,
}

/// Returns the schedules of `estimator` that fit into `memory` bytes, fastest first: the largest of each kind, and
/// smaller ones for comparison.
///
/// `profile` must contain times.
///
/// # Errors
/// Returns [`Error::Memory`] if none fits, [`Error::Invalid`] if the estimator has no schedule, and [`Error::Told`] for
/// more than 10^8 steps.
pub fn plan<T: Element>(
    estimator: &dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    profile: &Profile,
    memory: u64,
) -> Result<Vec<Alternative>, Error> {
    let (steps, x) = (inner.steps(), oracle.start().values().to_vec());
    inner.expect_countable("plan")?;
    let mut consider = |schedule: Schedule| -> Result<Alternative, Error> {
        let Some(other) = estimator.under(schedule) else {
            let expected = "an estimator with a schedule, such as exact";
            return Err(Error::invalid("plan", estimator.name(), expected));
        };
        let bytes = other.predict(oracle, inner, &x, Draw::new(0, 0))?;
        // A schedule that does not fit is rejected without iterating over its actions.
        let counts = if bytes > memory { Counts::default() } else { schedule.counts(steps)? };
        let seconds = oracle.longest() as f64 * seconds(profile, &counts, steps);
        Ok(Alternative { schedule, counts, bytes, seconds })
    };
    let least = consider(Schedule::Constant)?;
    let fits = |alternative: &Alternative| alternative.bytes <= memory;
    let fitting = |found: Result<Alternative, Error>| found.map(|found| Some(found).filter(fits));
    let mut found = Vec::new();
    let states = steps.saturating_sub(1).max(1);
    if inner.tolerance().is_some() {
        found.extend(largest(states, |c| fitting(consider(Schedule::Online { c })))?);
    } else {
        found.push(consider(Schedule::StoreAll { keep: Keep::Tapes })?);
        found.push(consider(Schedule::StoreAll { keep: Keep::States })?);
        found.push(least);
        let binomial = largest(states, |c| fitting(consider(Schedule::Binomial { c })))?;
        let most = binomial.as_ref().map_or(0, |best| best.counts.ram.slots);
        found.extend(binomial.filter(|best| best.counts.ram.slots < states));
        for c in std::iter::successors(Some(2), |c| Some(2 * c)).take_while(|&c| c < most) {
            found.push(consider(Schedule::Binomial { c })?);
        }
        let state = profile.value * profile.state;
        let tape = usize::try_from(profile.tape.div_ceil(state.max(1))).unwrap_or(usize::MAX);
        // With expensive tapes, more slots may take more time. A fixed set of slots ensures that more memory only adds
        // choices.
        let slots = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96];
        for c in slots.into_iter().filter(|&c| tape <= c && c <= tape.saturating_mul(steps)) {
            let mixed = consider(Schedule::Mixed { c, tape: tape.max(1) })?;
            if fits(&mixed) {
                found.push(mixed);
            }
        }
        if most < states {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive")]
            let whole = |seconds: f64| (seconds * 1e9).round().max(1.0) as usize;
            let step = whole(profile.step_seconds);
            let prices = Prices {
                step,
                write: whole(profile.write.seconds),
                read: whole(profile.read.seconds),
            };
            found.extend(largest(most.max(1), |ram| {
                fitting(consider(Schedule::Disk { ram, disk: TABLE.min(states), prices }))
            })?);
        }
    }
    found.retain(fits);
    if found.is_empty() {
        return Err(Error::Memory { limit: memory, needed: least.bytes, advice: None });
    }
    found.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.bytes.cmp(&b.bytes)));
    found.dedup_by(|a, b| a.schedule == b.schedule);
    Ok(found)
}

/// Predicted seconds of one task.
pub(crate) fn seconds(profile: &Profile, counts: &Counts, steps: usize) -> f64 {
    let from_states = steps.saturating_sub(counts.tapes.reads) as f64;
    let kept = profile.kept_at(counts.tapes.slots);
    let plain = (counts.plain_steps - counts.tapes.writes) as f64;
    profile.init.seconds
        + profile.outer_gradient.seconds
        + profile.pull_init.seconds
        + plain * profile.step_seconds
        + counts.tapes.writes as f64 * kept.record
        + from_states * profile.reverse_seconds
        + counts.tapes.reads as f64 * kept.pull
        + counts.disk.writes as f64 * profile.write.seconds
        + counts.disk.reads as f64 * profile.read.seconds
}
