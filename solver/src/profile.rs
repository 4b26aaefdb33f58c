//! `Profile`: bytes and times of the parts of an estimate, measured once at a point before a run.
//!
//! Schedules are chosen by these times. Shapes do not depend on values, so the bytes are those of the run.

mod measure;

/// Cost of one evaluation, without the vectors that are passed to it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Evaluation {
    /// Bytes in arenas and lanes.
    pub bytes: u64,
    /// Seconds, the minimum over the repeats.
    pub seconds: f64,
}

/// Times of steps whose tapes are kept, measured with a given number of tapes.
///
/// More tapes take more time, because they leave the caches.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KeptSteps {
    /// Number of tapes held at the same time.
    pub tapes: usize,
    /// Seconds of a whole step that keeps its tape.
    pub record: f64,
    /// Seconds of the reversal of such a step.
    pub pull: f64,
}

/// Dimensions of a problem with a rule, and costs of the parts of its estimates.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Profile {
    /// Bytes per value.
    pub value: u64,
    /// Number of values of `w`.
    pub inner: u64,
    /// Number of values of `x`.
    pub outer: u64,
    /// Number of values of a state: `w` and the rule's own vectors.
    pub state: u64,
    /// The start.
    pub init: Evaluation,
    /// Bytes of a kept tape.
    pub tape: u64,
    /// A Hessian-vector product together with the mixed product.
    pub products: Evaluation,
    /// A Hessian-vector product alone.
    pub hessian: Evaluation,
    /// Products along several directions at once, with their gradient.
    pub push_gradient: Evaluation,
    /// The start along several directions at once.
    pub push_init: Evaluation,
    /// The outer gradient.
    pub outer_gradient: Evaluation,
    /// The pull-back of the start.
    pub pull_init: Evaluation,
    /// Seconds of a whole step, if times were measured.
    pub step_seconds: f64,
    /// Seconds of the reversal of a step from its state, if times were measured.
    pub reverse_seconds: f64,
    /// Steps with few tapes, if times were measured.
    pub near: KeptSteps,
    /// Steps with as many tapes as a run keeps within the memory limit, or as exceed the last cache.
    pub far: KeptSteps,
    /// Writing a state to disk, if times were measured.
    pub write: Evaluation,
    /// Reading a state from disk, if times were measured.
    pub read: Evaluation,
}

impl Profile {
    /// Returns the times of steps that hold `tapes` tapes, interpolated between the two that were measured.
    pub(crate) fn kept_at(&self, tapes: usize) -> KeptSteps {
        let Self { near, far, .. } = self;
        let span = far.tapes.saturating_sub(near.tapes).max(1);
        let share = (tapes.saturating_sub(near.tapes) as f64 / span as f64).min(1.0);
        let between = |near: f64, far: f64| near + share * (far - near);
        let [record, pull] = [between(near.record, far.record), between(near.pull, far.pull)];
        KeptSteps { tapes, record, pull }
    }
}
