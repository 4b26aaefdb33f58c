//! `Profile`: what the pieces of an estimate take in bytes and time, measured once at a point, before anything is run.
//!
//! Schedules are chosen by these times. Shapes do not depend on values, so the bytes are those of the run.

mod measure;

/// What one evaluation takes, beyond the vectors that it is given.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Evaluation {
    /// Bytes in arenas and lanes.
    pub bytes: u64,
    /// Seconds, the least of the repeats.
    pub seconds: f64,
}

/// Steps whose tapes are kept, timed while so many are held: the more there are, the further they lie from the processor.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct KeptSteps {
    /// Tapes that are held at a time.
    pub tapes: usize,
    /// Seconds of a whole step that keeps its tape.
    pub record: f64,
    /// Seconds of its reversal.
    pub pull: f64,
}

/// The dimensions of a problem under a rule, and the pieces of its estimates.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Profile {
    /// Bytes of a value.
    pub value: u64,
    /// Values of `w`.
    pub inner: u64,
    /// Values of `x`.
    pub outer: u64,
    /// Values of a state: `w` and what the rule remembers.
    pub state: u64,
    /// The start.
    pub init: Evaluation,
    /// Bytes of a kept tape.
    pub tape: u64,
    /// A Hessian-vector product with the mixed product.
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
    /// Seconds of a whole step, where times were asked for.
    pub step_seconds: f64,
    /// Seconds of the reversal of a step from its state, likewise.
    pub reverse_seconds: f64,
    /// Steps with few tapes, likewise.
    pub near: KeptSteps,
    /// Steps with as many as a run keeps within the memory limit, or as leave the last cache.
    pub far: KeptSteps,
    /// A state written to disk, where times were asked for.
    pub write: Evaluation,
    /// A state read from disk, likewise.
    pub read: Evaluation,
}

impl Profile {
    /// Steps that hold `tapes`, between the two that were timed.
    pub(crate) fn kept_at(&self, tapes: usize) -> KeptSteps {
        let Self { near, far, .. } = self;
        let span = far.tapes.saturating_sub(near.tapes).max(1);
        let share = (tapes.saturating_sub(near.tapes) as f64 / span as f64).min(1.0);
        let between = |near: f64, far: f64| near + share * (far - near);
        let [record, pull] = [between(near.record, far.record), between(near.pull, far.pull)];
        KeptSteps { tapes, record, pull }
    }
}
