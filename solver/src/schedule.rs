//! What the forward run stores for the reverse pass, as data: actions over integers, independent of arrays.
//!
//! A step is reversed at the state before it, which is stored or recomputed from an earlier one, or by a tape that was
//! kept when the step was taken. Each schedule has a file with its formula and source.

mod action;
mod binomial;
mod disk;
mod machine;
mod mixed;
mod online;
mod uniform;

use std::fmt;

use crate::error::Error;
use crate::spelling::{Range, Spelled, Visit, spelled};

pub use action::{Action, Counts, Tier, Traffic};
pub use disk::Prices;
pub use machine::Actions;

pub(crate) use binomial::COVERED;
use machine::Strategy;

/// What is stored of each inner step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The state before the step. In the reverse pass, loss and gradient are evaluated again, with their tangents.
    #[default]
    States,
    /// The tape of its gradient, which is pulled back without evaluating anything again. This is faster, but needs the
    /// memory of every intermediate value.
    Tapes,
}

impl Keep {
    fn spell(self, visit: &mut Visit) -> Self {
        let help = "what is kept of a step: the state before it, or the tape of its gradient";
        visit.word("keep", self, &[("states", Self::States), ("tapes", Self::Tapes)], help)
    }
}

spelled! {
    /// Which steps of an unrolled run are stored, and how.
    ///
    /// Numbers of plain steps for `r` inner steps, and of slots in addition to the current state:
    ///
    /// | spelled | plain steps | slots |
    /// |---|---|---|
    /// | `store-all` | `r` | `r - 1` states |
    /// | `store-all:keep=tapes` | `r` | `r` tapes |
    /// | `uniform:k=10` | `2 r - 2 sqrt(r) + 1` for `k = sqrt(r)` | `ceil(r / k) + k - 2` states |
    /// | `binomial:c=10` | the fewest: `t r - beta(c + 1, t - 1) + 1` | `c` states |
    /// | `constant` | `r (r - 1) / 2 + 1` | 1 state |
    /// | `mixed:c=10`, `mixed:c=10,tape=4` | fewest with the sweeps from states | `c`, a tape counted `tape` times |
    /// | `disk:ram=3,disk=20`, with `step=1,write=1,read=1` | cheapest with reads and writes | `ram + disk` states |
    /// | `online:c=10` | as binomial up to `r = (c + 1) (c + 2) / 2 + 1`, within 7 % beyond for `c >= 3` | `c` states |
    ///
    /// with `beta(c, t) = (c + t)! / (c! t!)` and the smallest `t` for which `beta(c, t)` is at least `r`.
    ///
    /// ```
    /// use hypertape_solver::{Keep, Schedule};
    /// assert_eq!(Schedule::default().to_string(), "store-all");
    /// let tapes: Schedule = "store-all:keep=tapes".parse()?;
    /// assert_eq!(tapes, Schedule::StoreAll { keep: Keep::Tapes });
    /// let few: Schedule = "binomial:c=10".parse()?;
    /// assert_eq!(few.counts(1000)?.plain_steps, 3637);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Schedule {
        /// Every step.
        StoreAll: "store-all", "stores every state", "r plain steps, r - 1 states or r tapes" {
            /// What is stored of each step.
            keep: Keep = Keep::States;
        }
        /// Every `k`-th state, and the states between two of them when these are reversed.
        Uniform: "uniform",
            "stores every k-th state and recomputes the others",
            "2 r - r/k - k + 1 plain steps, r/k + k - 2 states" {
            /// Number of steps between stored states.
            k (needed): usize = 10, Range::ONE_OR_MORE, "steps between stored states";
        }
        /// Binomial checkpointing (*revolve*): the fewest plain steps, and among those the fewest writes.
        Binomial: "binomial",
            "recomputes as few steps as c stored states allow",
            "t r - beta(c + 1, t - 1) + 1 plain steps, c states" {
            /// Number of states stored at the same time.
            c (needed): usize = 10, Range::ONE_OR_MORE, STATES;
        }
        /// A single stored state.
        Constant: "constant",
            "stores the start alone and recomputes every state from it",
            "r (r - 1)/2 + 1 plain steps, 1 state"
        /// States and tapes.
        Mixed: "mixed",
            "stores states and tapes in c slots, with the fewest steps and sweeps",
            "c slots" {
            /// Number of slots for states and tapes.
            c (needed): usize = 10, Range::ONE_OR_MORE, "slots for states and tapes";
            /// Number of slots that a tape takes.
            tape (quiet): usize = 1, Range::ONE_OR_MORE, "slots that a tape takes";
        }
        /// States in memory and on disk.
        Disk: "disk", "stores states in memory and on disk, at the least cost", "ram + disk states" {
            /// Number of states in memory at the same time.
            ram (needed): usize = 3, Range::ONE_OR_MORE, "states in memory at a time";
            /// Number of states on disk at the same time.
            disk (needed): usize = 20, Range::COUNT, "states on disk at a time";
            /// Relative costs of steps, writes and reads.
            prices: Prices = Prices::default();
        }
        /// States, chosen without knowledge of the number of steps.
        Online: "online", "stores c states, for loops that end by a tolerance", "c states" {
            /// Number of states stored at the same time.
            c (needed): usize = 10, Range::ONE_OR_MORE, STATES;
        }
    }
}

const STATES: &str = "states stored at a time";

impl Prices {
    /// All prices are printed if one differs from its default.
    fn spell(self, visit: &mut Visit) -> Self {
        let shown = self != Self::default();
        let mut price = |name, value, help| visit.get_if(shown, name, value, Range::COUNT, help);
        Self {
            step: price("step", self.step, "cost of a plain step"),
            write: price("write", self.write, "cost of writing a state to disk"),
            read: price("read", self.read, "cost of reading one back"),
        }
    }
}

impl Schedule {
    /// Returns the actions for a loop of `steps` steps.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if a setting is 0 that must be positive.
    pub fn actions(&self, steps: usize) -> Result<Actions, Error> {
        self.checked()?;
        let strategy = match *self {
            Self::StoreAll { keep: Keep::Tapes } => Strategy::Record,
            Self::StoreAll { keep: Keep::States } => Strategy::Uniform(1),
            Self::Uniform { k } => Strategy::Uniform(k),
            Self::Constant => Strategy::Binomial(1),
            Self::Binomial { c } => Strategy::Binomial(c),
            Self::Online { c } => Strategy::Online(c),
            Self::Mixed { c, tape } => {
                Strategy::Mixed { c, tape, table: mixed::Table::new(steps, c, tape) }
            }
            Self::Disk { ram, disk, prices } => {
                Strategy::Disk(disk::Table::new(steps, ram, disk, prices))
            }
        };
        Ok(Actions::new(strategy, steps))
    }

    /// Returns the counts of these actions. Cost: one iteration over all of them.
    ///
    /// ```
    /// use hypertape_solver::Schedule;
    /// let counts = Schedule::Uniform { k: 10 }.counts(100)?;
    /// assert_eq!((counts.plain_steps, counts.ram.slots), (181, 18));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`Schedule::actions`].
    pub fn counts(&self, steps: usize) -> Result<Counts, Error> {
        Ok(self.actions(steps)?.collect())
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::StoreAll { keep: Keep::States }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
