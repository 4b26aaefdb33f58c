//! The state to drop when a loop of unknown length continues and all slots are taken.
//!
//! If the loop ended after `r = w + 1` steps, with states stored before steps `s_1 = 0 < .. < s_k`, and `s_{k+1} = w`,
//! it would take in total
//!
//! ```text
//! F = r + sum over i of p(s_{i+1} - s_i, c - i + 1)
//! ```
//!
//! plain steps, with `p` as in binomial checkpointing. Before each step the current state joins the stored ones, and
//! one of them, but not the first, is dropped: the one that leaves the smallest `F` after the next step, and the oldest
//! if there are several.
//!
//! The result is optimal for every `r` up to `(c + 1) (c + 2) / 2 + 1`, the longest loop for which any online rule is
//! optimal. Beyond that, the worst loop takes 1.062, 1.046, 1.026, 1.031 times the optimum of a known `r` for `c` = 3,
//! 5, 10, 20 and `r` up to 120, 300, 1001, 2500 (1.135 for `c` = 2), where the rule of Wang, Moin and Iaccarino (2009)
//! takes 1.18, 1.25, 1.31, 1.38. Looking further ahead than one step changed no decision. Cost of a choice: `4 c`
//! evaluations of `p`, 0.4 to 1.8 us per step for `c` = 10 to 100.

use super::binomial::extra_steps;

/// Returns the index of the state to drop, among `c` stored states before steps `start(0) .. start(c - 1)` and, with
/// index `c`, the current one before step `at`.
pub(super) fn dispensable(start: impl Fn(usize) -> usize, c: usize, at: usize) -> usize {
    let point = |i| if i < c { start(i) } else { at + i - c };
    let p = |from, to, slots| extra_steps(point(to) - point(from), slots) as i128;
    let (mut cost, mut best) = (0, (0, 1));
    // Costs relative to dropping 1. To drop i + 1 instead of i only changes the stretches around both.
    for i in 1..c {
        cost += p(i - 1, i, c - i + 1) + p(i, i + 2, c - i);
        cost -= p(i - 1, i + 1, c - i + 1) + p(i + 1, i + 2, c - i);
        best = best.min((cost, i + 1));
    }
    best.1
}
