//! What the forward run stores for the way back, as data: actions over integers, which no array enters.
//!
//! A step is reversed at the state before it, which is stored or reached again from an earlier one, or by a tape that
//! was kept when the step was taken. Each schedule stands in a file of its own, with its formula and source.

mod action;
mod binomial;
mod disk;
mod machine;
mod mixed;
mod online;
mod uniform;

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

pub use action::{Action, Counts, Tier, Traffic};
pub use disk::Prices;
pub use machine::Actions;

use machine::Rule;

/// What is stored of each inner step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The state before it. On the way back loss and gradient are evaluated again, with their tangents.
    #[default]
    States,
    /// The tape of its gradient, which is pulled back without evaluating anything again: faster, for the memory of
    /// every intermediate value.
    Tapes,
}

/// Which steps of an unrolled run are stored, and how.
///
/// Plain steps for `r` inner steps, and slots beside the current state:
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
/// with `beta(c, t) = (c + t)! / (c! t!)` and the least `t` for which it is `r` or more.
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
    StoreAll {
        /// What is stored of it.
        keep: Keep,
    },
    /// Every `k`-th state, and the states between two of them when these are reversed.
    Uniform {
        /// Steps from one to the next.
        k: usize,
    },
    /// Binomial checkpointing (*revolve*): the fewest plain steps, and of these the fewest writes.
    Binomial {
        /// States stored at a time.
        c: usize,
    },
    /// One stored state.
    Constant,
    /// States and tapes.
    Mixed {
        /// Slots for both.
        c: usize,
        /// Slots that a tape takes.
        tape: usize,
    },
    /// States in memory and on disk.
    Disk {
        /// States in memory at a time.
        ram: usize,
        /// States on disk at a time.
        disk: usize,
        /// What disk is weighed by.
        prices: Prices,
    },
    /// States, chosen as if the number of steps were not known.
    Online {
        /// States stored at a time.
        c: usize,
    },
}

impl Schedule {
    /// What to do for a loop of `steps` steps.
    ///
    /// # Errors
    /// If a setting is 0 that must not be.
    pub fn actions(&self, steps: usize) -> Result<Actions, Error> {
        self.check()?;
        let rule = match *self {
            Self::StoreAll { keep: Keep::Tapes } => Rule::Record,
            Self::StoreAll { keep: Keep::States } => Rule::Uniform(1),
            Self::Uniform { k } => Rule::Uniform(k),
            Self::Constant => Rule::Binomial(1),
            Self::Binomial { c } => Rule::Binomial(c),
            Self::Online { c } => Rule::Online(c),
            Self::Mixed { c, tape } => {
                Rule::Mixed { c, tape, table: mixed::Table::new(steps, c, tape) }
            }
            Self::Disk { ram, disk, prices } => {
                Rule::Disk(disk::Table::new(steps, ram, disk, prices))
            }
        };
        Ok(Actions::new(rule, steps))
    }

    /// What that adds up to. Cost: that of going through all actions.
    ///
    /// ```
    /// use hypertape_solver::Schedule;
    /// let counts = Schedule::Uniform { k: 10 }.counts(100)?;
    /// assert_eq!((counts.plain_steps, counts.ram.slots), (181, 18));
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Schedule::actions`].
    pub fn counts(&self, steps: usize) -> Result<Counts, Error> {
        Ok(self.actions(steps)?.collect())
    }

    fn check(&self) -> Result<(), Error> {
        let positive: &[(&str, usize)] = match *self {
            Self::StoreAll { .. } | Self::Constant => &[],
            Self::Uniform { k } => &[("k", k)],
            Self::Binomial { c } | Self::Online { c } => &[("c", c)],
            Self::Mixed { c, tape } => &[("c", c), ("tape", tape)],
            Self::Disk { ram, .. } => &[("ram", ram)],
        };
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(Error::invalid(format!("{name} of {self}"), 0, "1 or more")),
            None => Ok(()),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::StoreAll { keep: Keep::States }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::StoreAll { keep: Keep::States } => f.write_str("store-all"),
            Self::StoreAll { keep: Keep::Tapes } => f.write_str("store-all:keep=tapes"),
            Self::Uniform { k } => write!(f, "uniform:k={k}"),
            Self::Binomial { c } => write!(f, "binomial:c={c}"),
            Self::Constant => f.write_str("constant"),
            Self::Mixed { c, tape: 1 } => write!(f, "mixed:c={c}"),
            Self::Mixed { c, tape } => write!(f, "mixed:c={c},tape={tape}"),
            Self::Disk { ram, disk, prices } => {
                write!(f, "disk:ram={ram},disk={disk}")?;
                if prices == Prices::default() {
                    return Ok(());
                }
                let Prices { step, write, read } = prices;
                write!(f, ",step={step},write={write},read={read}")
            }
            Self::Online { c } => write!(f, "online:c={c}"),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut given: Vec<(&str, &str)> = settings
            .split(',')
            .filter(|setting| !setting.is_empty())
            .map(|setting| setting.split_once('=').unwrap_or((setting, "")))
            .collect();
        let mut take = |key| {
            let place = given.iter().position(|(name, _)| *name == key);
            place.map(|place| given.remove(place).1)
        };
        let mut number = |key, default: Option<usize>| match (take(key), default) {
            (None, Some(default)) => Ok(default),
            (value, _) => value.unwrap_or_default().parse().map_err(|_| {
                let found = value.unwrap_or("nothing");
                Error::invalid(format!("{key} of {text}"), found, "a whole number")
            }),
        };
        let schedule = match name {
            "store-all" => match take("keep") {
                None | Some("states") => Self::StoreAll { keep: Keep::States },
                Some("tapes") => Self::StoreAll { keep: Keep::Tapes },
                Some(keep) => {
                    return Err(Error::invalid(format!("keep of {text}"), keep, "states or tapes"));
                }
            },
            "uniform" => Self::Uniform { k: number("k", None)? },
            "binomial" => Self::Binomial { c: number("c", None)? },
            "constant" => Self::Constant,
            "mixed" => Self::Mixed { c: number("c", None)?, tape: number("tape", Some(1))? },
            "disk" => {
                let mut price = |name| number(name, Some(1));
                let prices =
                    Prices { step: price("step")?, write: price("write")?, read: price("read")? };
                Self::Disk { ram: number("ram", None)?, disk: number("disk", None)?, prices }
            }
            "online" => Self::Online { c: number("c", None)? },
            _ => {
                let expected = "store-all, uniform, binomial, constant, mixed, disk or online";
                return Err(Error::invalid("schedule", name, expected));
            }
        };
        if let Some((unknown, _)) = given.first() {
            return Err(Error::invalid(format!("settings of {text}"), unknown, "none besides"));
        }
        schedule.check()?;
        Ok(schedule)
    }
}
