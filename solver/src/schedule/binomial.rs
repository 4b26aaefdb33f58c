//! The fewest plain steps that `c` stored states allow: binomial checkpointing.
//!
//! Let `beta(c, t) = (c + t)! / (c! t!)`, the length of the longest loop that `c` slots can reverse if no step is taken
//! more than `t` times before its reversal. Then `l` steps from a stored state (in one of the `c` slots) take
//!
//! ```text
//! p(l, c) = min over m of  m + p(m, c) + p(l - m, c - 1) = t l - beta(c + 1, t - 1),  t = min { t : beta(c, t) >= l }
//! ```
//!
//! plain steps, and a loop takes `p(r, c) + 1`, because the last step leads to the final state (Griewank 1992; Griewank
//! and Walther 2000, algorithm 799 *revolve*). All `m` in an interval are optimal; the one chosen here, that of
//! algorithm 799, also has the fewest writes. Cost of each function: `t` multiplications.

/// Number of steps that the tables of other schedules cover, with disk in multiples of a grain. Longer stretches are
/// split binomially.
pub(crate) const COVERED: usize = 1000;

/// Returns `p(steps, slots)`. `usize::MAX` stands for larger numbers, and for loops that cannot be reversed.
pub(super) fn extra_steps(steps: usize, slots: usize) -> usize {
    match (steps, slots) {
        (0 | 1, _) => 0,
        (_, 0) => usize::MAX,
        (l, 1) => l.saturating_mul(l - 1) / 2,
        (l, c) => {
            let (t, beta) = repetitions(l, c);
            let extra = t * l as u128 - beta * t / (c as u128 + 1);
            usize::try_from(extra).unwrap_or(usize::MAX)
        }
    }
}

/// Number of steps to advance from a stored state that begins `steps` steps, in one of `slots` slots.
pub(super) fn advance(steps: usize, slots: usize) -> usize {
    let (l, c) = (steps as u128, slots.min(steps - 1) as u128);
    if c < 2 {
        return (steps - 1).max(1);
    }
    let (t, beta) = repetitions(steps, slots.min(steps - 1));
    // beta(c, t - 1), beta(c, t - 2), beta(c - 1, t - 1), beta(c - 2, t - 1)
    let once = beta * t / (c + t);
    let twice = once * (t - 1) / (c + t - 1);
    let fewer = once * c / (c + t - 1);
    let fewest = fewer * (c - 1) / (c + t - 2);
    let m = if l <= once + fewest {
        twice
    } else if l < once + fewer + fewest {
        l - fewer - fewest
    } else {
        once
    };
    usize::try_from(m).expect("less than the steps")
}

/// Returns the smallest `t` with `beta(c, t) >= steps`, and that `beta`.
fn repetitions(steps: usize, slots: usize) -> (u128, u128) {
    let (mut t, mut beta) = (0, 1);
    while beta < steps as u128 {
        t += 1;
        beta = beta * (slots as u128 + t) / t;
    }
    (t, beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beta(c: usize, t: usize) -> usize {
        (1..=c).fold(1, |b, i| b * (t + i) / i)
    }

    /// Computes `p(l, c)` by its recursion, and the splits that attain it.
    fn table(steps: usize, slots: usize) -> (Vec<Vec<usize>>, Vec<Vec<Vec<usize>>>) {
        let mut p = vec![vec![usize::MAX / 4; steps + 1]; slots + 1];
        let mut splits = vec![vec![Vec::new(); steps + 1]; slots + 1];
        for c in 0..=slots {
            p[c][1] = 0;
            for l in 2..=if c == 0 { 0 } else { steps } {
                let cost = |m| m + p[c][m] + p[c - 1][l - m];
                let best = (1..l).map(cost).min().unwrap();
                splits[c][l] = (1..l).filter(|m| cost(*m) == best).collect();
                p[c][l] = best;
            }
        }
        (p, splits)
    }

    #[test]
    fn closed_form_is_the_dynamic_programme() {
        let (p, _) = table(160, 14);
        for (c, row) in p.iter().enumerate().skip(1) {
            for (l, cost) in row.iter().enumerate().skip(1) {
                assert_eq!(extra_steps(l, c), *cost, "l {l}, c {c}");
            }
        }
        assert_eq!(extra_steps(usize::MAX, 1), usize::MAX / 2);
        assert_eq!(extra_steps(2, 0), usize::MAX);
    }

    #[test]
    fn optimal_splits_are_an_interval_that_holds_ours() {
        let (_, splits) = table(120, 8);
        for (c, splits) in splits.iter().enumerate().skip(2) {
            for (l, optimal) in splits.iter().enumerate().skip(2) {
                let t = (1..=l).find(|t| beta(c, *t) >= l).unwrap();
                let low = l.saturating_sub(beta(c - 1, t)).max(1);
                let low = if t > 1 { low.max(beta(c, t - 2)) } else { low };
                let high = beta(c, t - 1).min(l - beta(c - 1, t - 1));
                assert!(optimal.iter().copied().eq(low..=high), "l {l}, c {c}: {optimal:?}");
                assert!(optimal.contains(&advance(l, c)), "l {l}, c {c}");
            }
        }
    }
}
