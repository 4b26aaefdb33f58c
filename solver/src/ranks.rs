//! `Ranks`: processes that share one run.

/// The processes that run the same program on the same data, and how they tell each other what they found.
///
/// Each computes, on one thread, the [lanes](crate::Oracle::set_ranks) that are its own, is told the others', and adds all of them in the
/// same order: so all hold the same bits, those of one process, and decide alike.
pub trait Ranks: Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Cuts `values` into a part of the length that `lengths` holds for each rank, sends the own part, which is given, and
    /// fills in the others. All ranks call it in the same order, each from one thread; it returns when all have sent.
    fn gather(&self, values: &mut [f64], lengths: &[usize]);
}
