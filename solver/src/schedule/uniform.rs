//! Every `k`-th state, and once per segment the states inside it. Each segment but the last is run twice.
//!
//! For `r` steps in `n = ceil(r / k)` segments: `r + sum over segments but the last of (length - 1)` plain steps, and
//! at most `n + k - 2` slots, because the last state of a segment is the current one. With `k = sqrt(r)` this is
//! `2 r - 2 sqrt(r) + 1` steps in `c = 2 sqrt(r) - 2` slots, the fewest steps that `c` slots allow: `2 r - c - 1` for
//! all `c + 1 < r <= (c + 1) (c + 2) / 2`. `k = 1` stores every state.

/// Returns the number of steps to advance from the stored state before step `at` when the steps before `left` remain to
/// be reversed.
pub(super) fn advance(at: usize, left: usize, k: usize) -> usize {
    if at.is_multiple_of(k) && left - at > k { k } else { 1 }
}

/// Returns the number of states stored at the same time: those that begin a segment, and those inside one segment.
pub(super) fn slots(steps: usize, k: usize) -> usize {
    let segments = steps.div_ceil(k);
    let last = steps - segments.saturating_sub(1) * k;
    // A full segment before the last one has one fewer segment before it.
    let inside = if segments > 1 { last.max(k - 1) } else { last };
    (segments.saturating_sub(1) + inside).saturating_sub(1)
}
