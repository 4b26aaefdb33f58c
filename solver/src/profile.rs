//! `Profile`: what the pieces of an estimate take in bytes and time, measured once at a point, before anything is run.
//!
//! Every estimator predicts its peak of bytes from these numbers, the dimensions and the number of steps. Shapes do not
//! depend on values, so the bytes are those of the run.

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
    /// An inner gradient.
    pub gradient: Evaluation,
    /// An inner gradient whose tape is kept, besides the tape.
    pub record: Evaluation,
    /// Bytes of a kept tape.
    pub tape: u64,
    /// The pull-back of a kept tape.
    pub pull_tape: Evaluation,
    /// A Hessian-vector product with the mixed product.
    pub products: Evaluation,
    /// A Hessian-vector product alone.
    pub hessian: Evaluation,
    /// Products along several directions at once, with their gradient.
    pub push_gradient: Evaluation,
    /// The start along several directions at once.
    pub push_init: Evaluation,
    /// Bytes of both along 1, 2 and 3 directions, where there are more.
    pub(crate) push_fewer: [u64; 3],
    /// The outer loss.
    pub outer_value: Evaluation,
    /// The outer gradient.
    pub outer_gradient: Evaluation,
    /// The pull-back of the start.
    pub pull_init: Evaluation,
    /// The update of a step, besides its gradient.
    pub update: Evaluation,
    /// The pull-back of an update.
    pub pull_update: Evaluation,
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
    /// Bytes of one tape over a whole run of 0, 1, 2, 3 and 10 steps.
    pub(crate) whole_run: [u64; 5],
    /// Bytes of finding out where a step takes its gradient.
    pub(crate) query: u64,
    /// Vectors of the length of `w` that a step needs beside state and gradient.
    pub(crate) extra: u64,
    /// Whether a reverse step evaluates the gradient by itself.
    pub(crate) again: bool,
    /// Whether the rule comes to rest elsewhere than where `dg/dw = 0`.
    pub(crate) fixed_point: bool,
}

impl Profile {
    /// The peak of used bytes of a [`Rollout`](crate::Rollout) that is started and taken forward by so many steps, its state
    /// included: a part of what an estimator of one's own tells as its [`task_bytes`](crate::Estimator::task_bytes).
    pub fn forward_bytes(&self, steps: usize) -> u64 {
        let Self { value, inner, state, extra, .. } = *self;
        let start = value * (state + inner) + self.init.bytes;
        let step = if steps > 0 { self.gradient.bytes.max(self.update.bytes) } else { 0 };
        start.max(value * (state + inner * (1 + extra)) + step.max(self.query))
    }

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
