//! `Workspaces`: the memory that evaluations reuse, and the threads that share the blocks of an evaluation.

use std::sync::Arc;

use hypertape_autodiff::scalar::Scalar;
use hypertape_autodiff::{Element, Tally, Workspace};

use crate::error::Error;
use crate::oracle::lanes::{Add, LANES, Sharing, Team};
use crate::oracle::scratch::Scratch;
use crate::ranks::Ranks;
use crate::rows::Blocks;

/// Arenas of each worker, and the vectors that lanes need.
pub(crate) struct Workspaces<T> {
    pub(crate) team: Team,
    /// Processes that share sums with this one.
    pub(crate) ranks: Option<Arc<dyn Ranks>>,
    /// Largest number of lanes of a sum.
    pub(crate) lanes: usize,
    /// Smallest number of blocks of rows, if there are as many samples and the loss is a sum over rows.
    pub(crate) least: usize,
    each: Vec<Workspace>,
    spare: Vec<T>,
    /// Number of values of `spare` in use.
    used: usize,
    /// Tapes for scalars, created at their first use, and the bytes of the last pass over them or of the messages of
    /// ranks.
    scratch: Option<Scratch<T>>,
    scalars: usize,
    limit: usize,
}

impl<T: Element> Workspaces<T> {
    /// Creates the memory of `workers` workers of `team`, including the calling thread.
    pub(crate) fn new(team: Team, workers: usize) -> Self {
        let each = (0..workers).map(|_| Workspace::new()).collect();
        Self {
            team,
            ranks: None,
            lanes: LANES,
            least: 1,
            each,
            spare: Vec::new(),
            used: 0,
            scratch: None,
            scalars: 0,
            limit: usize::MAX,
        }
    }

    /// Creates the memory of `workers` workers of `team`, without ranks, that split sums as these do.
    pub(crate) fn alike(&self, team: Team, workers: usize) -> Self {
        let mut other = Self::new(team, workers);
        (other.lanes, other.least) = (self.lanes, self.least);
        other
    }

    /// Returns how a sum of `items` is shared among the workers.
    pub(crate) fn sharing(&self, items: usize) -> Sharing {
        Sharing::new(items, self.lanes, self.workers())
    }

    /// Returns the blocks of a sum over samples: `blocks`, or smaller blocks if there are fewer than `least`.
    pub(crate) fn cut(&self, blocks: Blocks) -> Blocks {
        // A loss that puts all samples into one block may ignore the rows.
        if blocks.block == usize::MAX {
            return blocks;
        }
        let block = blocks.samples.div_ceil(self.least).clamp(1, blocks.block.max(1));
        Blocks { block, ..blocks }
    }

    /// Limits the bytes of each arena.
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.each.iter_mut().for_each(|workspace| workspace.set_limit(bytes));
        (self.scratch, self.limit) = (None, bytes);
    }

    /// Whether evaluations record the bytes and times of array operations.
    pub(crate) fn tally(&mut self, on: bool) {
        self.each.iter_mut().for_each(|workspace| workspace.tally(on));
    }

    /// Returns the records since the last call.
    pub(crate) fn take_tally(&mut self) -> Vec<Tally> {
        let mut rows = Vec::new();
        let all = self.each.iter_mut().flat_map(Workspace::take_tally);
        all.for_each(|row| Tally::join(&mut rows, row));
        rows
    }

    /// Number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.each.len()
    }

    /// The workspace of the calling thread, for work that is not shared.
    pub(crate) fn first(&mut self) -> &mut Workspace {
        &mut self.each[0]
    }

    /// Tapes for scalars.
    pub(crate) fn scratch(&mut self) -> &mut Scratch<T>
    where
        T: Scalar,
    {
        self.scratch.get_or_insert_with(|| Scratch::new(self.limit))
    }

    /// Records the bytes of a pass over scalars.
    pub(crate) fn note(&mut self, bytes: usize) {
        self.scalars = self.scalars.max(bytes);
    }

    /// Computes [`Sharing::sum`] over `items`; each worker uses its own arenas.
    pub(crate) fn sum<const N: usize>(
        &mut self,
        items: usize,
        out: [&mut [T]; N],
        add: &Add<T, Workspace, N>,
    ) -> Result<T, Error> {
        if items == 1 {
            return add(&mut self.each[0], 0, true, out);
        }
        let plan = self.sharing(items);
        let width = out.iter().map(|part| part.len()).sum();
        if let Some(ranks) = self.ranks.as_deref().filter(|_| items > 1) {
            self.scalars = self.scalars.max(plan.message(width));
            return plan.sum_over(ranks, &mut self.each[0], out, add);
        }
        self.used = plan.vectors() * width;
        if self.spare.len() < self.used {
            // Reserves no more than is counted.
            self.spare.reserve_exact(self.used - self.spare.len());
            self.spare.resize(self.used, T::zero());
        }
        plan.sum(&self.team, &mut self.each, &mut self.spare[..self.used], out, add)
    }

    /// Bytes of the last evaluation: the peaks of all workers' arenas, the vectors of its lanes, and scalars.
    pub(crate) fn take_peak(&mut self) -> usize {
        let lanes = std::mem::take(&mut self.used) * size_of::<T>();
        let scalars = std::mem::take(&mut self.scalars);
        lanes + scalars + self.each.iter_mut().map(Workspace::take_peak).sum::<usize>()
    }
}
