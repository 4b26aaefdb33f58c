//! Stored states and kept tapes in the same `c` slots, with a fixed number of slots per tape.
//!
//! A step whose tape was kept is not evaluated again. Therefore `X(n, s)` gradients are needed to reverse `n` steps in
//! `s` slots, with `tape` slots per tape:
//!
//! ```text
//! X(1, s) = 1
//! X(n, s) = min( 1 + X(n - 1, s - tape) if s >= tape,   min over i of  i + X(i, s) + X(n - i, s - 1) if s >= 1 )
//! ```
//!
//! Either the tape of the first step is kept, or its state is stored and the loop advances by `i` steps (Maddison
//! 2024). Gradients are those of plain steps and of sweeps from states, and one more if the tape of the last step does
//! not fit. There are never more of them than from states alone; the gain fades as `tape r` exceeds `c`.
//!
//! The table takes `c N^2 / 2` additions and `c N` numbers for `N = min(r, 1000)`; longer stretches are split as if
//! there were only states, down to 1000 steps. The table for 10 slots and 1000 steps takes 4 ms.

use super::binomial::{self, COVERED};

/// `X(n, s)` in row `s`.
#[derive(Clone, Debug)]
pub(super) struct Table {
    tape: usize,
    gradients: Vec<Vec<usize>>,
}

impl Table {
    /// Number of bytes of the table.
    pub(super) fn bytes(&self) -> usize {
        self.gradients.iter().map(|row| size_of_val(&row[..])).sum()
    }

    pub(super) fn new(steps: usize, slots: usize, tape: usize) -> Self {
        let covered = steps.min(COVERED);
        let mut without = vec![usize::MAX; covered.max(1) + 1];
        without[..2].copy_from_slice(&[0, 1]);
        let mut table = Self { tape, gradients: vec![without] };
        for s in 1..=slots.min(covered.saturating_mul(tape)) {
            table.gradients.push(vec![0, 1]);
            for n in 2..=covered {
                let least = table.stored(n, s).min().unwrap_or(usize::MAX);
                let least = least.min(table.recorded(n, s));
                table.gradients[s].push(least);
            }
        }
        table
    }

    /// Returns the number of steps to advance after storing the state that begins `steps` steps. `None` means to record
    /// the first of them instead.
    pub(super) fn advance(&self, steps: usize, slots: usize) -> Option<usize> {
        if steps == 1 {
            return (slots < self.tape).then_some(1);
        }
        if steps >= self.gradients[0].len() {
            return Some(binomial::advance(steps, slots));
        }
        let slots = slots.min(self.gradients.len() - 1);
        let (least, i) = self.stored(steps, slots).zip(1..).min()?;
        (least < self.recorded(steps, slots)).then_some(i)
    }

    /// Returns the number of gradients for `n` steps if the first is recorded.
    fn recorded(&self, n: usize, s: usize) -> usize {
        let left = s.checked_sub(self.tape).map(|s| self.gradients[s][n - 1]);
        left.map_or(usize::MAX, |left| left.saturating_add(1))
    }

    /// Returns the number of gradients if the first state is stored in one of `s` slots, for each number of steps to
    /// advance, from 1.
    fn stored(&self, n: usize, s: usize) -> impl Iterator<Item = usize> {
        let (near, far) = (&self.gradients[s][1..n], &self.gradients[s - 1][1..n]);
        let both = near.iter().zip(far.iter().rev());
        both.zip(1..).map(|((near, far), i)| far.saturating_add(near + i))
    }
}
