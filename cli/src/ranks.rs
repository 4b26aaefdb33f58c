//! Processes that `mpirun` started, as ranks of one run (feature `mpi`). All of them compute; the first one prints and
//! writes.

use std::sync::{Arc, OnceLock};

use hypertape_solver::Ranks;

/// The ranks of this run, if this process is one of several.
static RANKS: OnceLock<Arc<dyn Ranks>> = OnceLock::new();

/// The processes that share a run with this one.
pub(crate) fn ranks() -> Option<&'static Arc<dyn Ranks>> {
    RANKS.get()
}

/// Whether this process is the one that prints and writes.
pub(crate) fn first() -> bool {
    ranks().is_none_or(|ranks| ranks.rank() == 0)
}

#[cfg(feature = "mpi")]
pub(crate) mod processes {
    use std::sync::Arc;

    use mpi::collective::CommunicatorCollectives;
    use mpi::datatype::PartitionMut;
    use mpi::environment::Universe;
    use mpi::topology::{Communicator, SimpleCommunicator};

    use super::RANKS;
    use hypertape_solver::Ranks;

    /// All processes of `mpirun`.
    struct World;

    /// Converts to the integer type of MPI. Ranks fit, and so do messages of up to 16 GiB.
    fn int(n: usize) -> i32 {
        i32::try_from(n).expect("a message of 2^31 numbers or more is refused by MPI")
    }

    impl Ranks for World {
        fn rank(&self) -> usize {
            usize::try_from(SimpleCommunicator::world().rank()).unwrap_or_default()
        }

        fn count(&self) -> usize {
            usize::try_from(SimpleCommunicator::world().size()).unwrap_or(1)
        }

        fn gather(&self, values: &mut [f64], lengths: &[usize]) {
            let rank = self.rank();
            let start: usize = lengths[..rank].iter().sum();
            let own = values[start..start + lengths[rank]].to_vec();
            let counts: Vec<i32> = lengths.iter().map(|&n| int(n)).collect();
            let starts = counts.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n)));
            let starts: Vec<i32> = starts.collect();
            let mut parts = PartitionMut::new(values, counts, starts);
            SimpleCommunicator::world().all_gather_varcount_into(&own[..], &mut parts);
        }
    }

    /// Joins the other processes if `mpirun` started this one, until the returned value is dropped.
    pub(crate) fn join() -> Option<Universe> {
        let started = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"].map(std::env::var_os);
        started.iter().flatten().next()?;
        let universe = mpi::initialize()?;
        if World.count() > 1 {
            // This is the first time that it is set, because MPI is initialised only once.
            let _ = RANKS.set(Arc::new(World));
        }
        Some(universe)
    }

    /// Ends all processes of a run if this one cannot continue.
    pub(crate) fn end(status: u8) {
        if RANKS.get().is_some() {
            SimpleCommunicator::world().abort(status.into());
        }
    }
}
