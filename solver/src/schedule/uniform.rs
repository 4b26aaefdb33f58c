//! Every `k`-th state, and once a segment its inner states: each segment but the last is run twice.
//!
//! For `r` steps in `n = ceil(r / k)` segments: `r + sum over segments but the last of (length - 1)` plain steps, and
//! at most `n + k - 2` slots, because the last state of a segment is the current one. With `k = sqrt(r)` this is
//! `2 r - 2 sqrt(r) + 1` steps in `c = 2 sqrt(r) - 2` slots, as few as `c` slots allow: anywhere in the band
//! `c + 1 < r <= (c + 1) (c + 2) / 2` that is `2 r - c - 1`. `k = 1` stores every state.

/// How far to go from the state before step `at`, which is stored, when the steps before `left` are to be reversed.
pub(super) fn advance(at: usize, left: usize, k: usize) -> usize {
    if at.is_multiple_of(k) && left - at > k { k } else { 1 }
}

/// The states stored at a time: those that begin a segment and, of the last or of one before, those inside it.
pub(super) fn slots(steps: usize, k: usize) -> usize {
    let segments = steps.div_ceil(k);
    let last = steps - segments.saturating_sub(1) * k;
    // A full segment before the last has one fewer before it.
    let inside = if segments > 1 { last.max(k - 1) } else { last };
    (segments.saturating_sub(1) + inside).saturating_sub(1)
}
