//! States in memory and on disk, where access to the disk costs time.
//!
//! Let there be `a` slots in memory, which cost nothing, and `b` on disk, with given prices of a step, a write and a
//! read, and let `p` be that of binomial checkpointing. Then `l` steps that begin at the current state cost
//! `live(l, b)` in addition to the unavoidable cost:
//!
//! ```text
//! live(l, 0)   = step p(l, a)
//! live(l, m)   = min( step p(l, a),  write + stored(l, m) )
//! stored(l, m) = min( step p(l, a),  min over j of  step j + live(l - j, m - 1) + read + stored(j, m) )
//! ```
//!
//! (Herrmann and Pallez 2020, *H-Revolve*, for two levels). Memory is used only inside stretches that disk does not
//! divide, which loses nothing; the cost of a reversal plays no role. If disk costs nothing, this is binomial
//! checkpointing in `a + b` slots.
//!
//! The tables take `b N^2 / 2` additions and `2 b N` numbers for `N = min(r, 1000)`. Longer loops use the disk only at
//! multiples of `ceil(r / 1000)` steps. Their cost is never above that of memory alone. In 18 cases from 1001 to 5000
//! steps it is at most 1.3 % above the optimum, or 16 % if disk costs nothing. The table for 20 slots on disk and 1000
//! steps takes 15 ms.

use super::action::Tier;
use super::binomial::{self, COVERED};

/// Relative prices in a schedule with disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Price of a plain step.
    pub step: usize,
    /// Price of writing a state to disk.
    pub write: usize,
    /// Price of reading a state from disk.
    pub read: usize,
}

impl Default for Prices {
    /// Sets equal prices.
    fn default() -> Self {
        Self { step: 1, write: 1, read: 1 }
    }
}

/// `live` and `stored` by rows `m`, for stretches in units of `grain` steps.
#[derive(Clone, Debug)]
pub(super) struct Table {
    ram: usize,
    disk: usize,
    prices: Prices,
    grain: usize,
    live: Vec<Vec<usize>>,
    stored: Vec<Vec<usize>>,
}

impl Table {
    /// Number of bytes of the table.
    pub(super) fn bytes(&self) -> usize {
        self.live.iter().chain(&self.stored).map(|row| size_of_val(&row[..])).sum()
    }

    /// Largest numbers of slots in memory and on disk.
    pub(super) fn slots(&self) -> [usize; 2] {
        [self.ram, self.disk]
    }

    pub(super) fn new(steps: usize, ram: usize, disk: usize, prices: Prices) -> Self {
        let grain = steps.div_ceil(COVERED).max(1);
        let length = steps.div_ceil(grain);
        let disk = disk.min(length);
        let mut table = Self { ram, disk, prices, grain, live: Vec::new(), stored: Vec::new() };
        let alone: Vec<usize> =
            (0..=length).map(|n| table.alone(n.saturating_mul(grain))).collect();
        table.stored.push(alone.clone());
        table.live.push(alone.clone());
        for m in 1..=disk {
            table.stored.push(Vec::new());
            for (n, alone) in alone.iter().enumerate() {
                let divided = table.divided(n, m).min().unwrap_or(usize::MAX);
                table.stored[m].push(divided.min(*alone));
            }
            let with_write = table.stored[m].iter().map(|s| s.saturating_add(prices.write));
            let live = alone.iter().zip(with_write).map(|(alone, w)| w.min(*alone)).collect();
            table.live.push(live);
        }
        table
    }

    /// Returns the tier for the state that begins `steps` steps, and the number of steps to advance next. The arguments
    /// are the slots taken by others, and where that state is stored already, if it is.
    pub(super) fn advance(
        &self,
        steps: usize,
        [in_ram, on_disk]: [usize; 2],
        here: Option<Tier>,
    ) -> (Tier, usize) {
        // Stretches that begin with a state in memory are not divided by disk.
        if in_ram == 0 && here != Some(Tier::Ram) && on_disk < self.disk {
            let divided = self.divided(steps.div_ceil(self.grain), self.disk - on_disk);
            let write = if here.is_some() { 0 } else { self.prices.write };
            if let Some((price, j)) = divided.zip(1..).min()
                && price.saturating_add(write) < self.alone(steps)
            {
                return (Tier::Disk, j * self.grain);
            }
        }
        (Tier::Ram, binomial::advance(steps, self.ram - in_ram))
    }

    /// Returns the price of `steps` steps in memory alone.
    fn alone(&self, steps: usize) -> usize {
        self.prices.step.saturating_mul(binomial::extra_steps(steps, self.ram))
    }

    /// Returns the price of continuing from a state on disk, in one of `m` slots there, for each number of steps to
    /// advance, from 1.
    fn divided(&self, n: usize, m: usize) -> impl Iterator<Item = usize> {
        let Prices { step, read, .. } = self.prices;
        let steps = step.saturating_mul(self.grain);
        let (near, far) = (&self.stored[m][..n], &self.live[m - 1][..n]);
        (1..n).map(move |j| {
            let going = steps.saturating_mul(j).saturating_add(read);
            going.saturating_add(near[j]).saturating_add(far[n - j])
        })
    }
}
