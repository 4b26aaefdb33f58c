//! `Ranks`: processes that share one run.

/// The processes that run the same program on the same data, and how they exchange results.
///
/// Each process computes its own [lanes](crate::Oracle::set_ranks) on one thread, receives those of the others, and
/// adds all of them in the same order. All processes therefore have the same bits, which are those of a single process,
/// and make the same decisions.
pub trait Ranks: Send + Sync {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn count(&self) -> usize;

    /// Exchanges parts of `values`, one per rank with the length in `lengths`: sends this rank's part, which contains
    /// its data, and fills in the others.
    ///
    /// All ranks call it in the same order, each from one thread, and it returns when all have sent.
    fn gather(&self, values: &mut [f64], lengths: &[usize]);
}
