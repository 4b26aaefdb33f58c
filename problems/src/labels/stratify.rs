//! How many samples of each class go to each part of a stratified split.
//!
//! The counts are the shares `size * members / n`, each rounded down or up, such that the counts of each part sum to
//! its size and no class is used more often than it has members. Rounding up by largest remainder, one part after the
//! other, can violate the last condition. Therefore the choice of what to round up is a bipartite matching of parts
//! with classes: a part that finds no class left takes one from another part that can use a different class. The
//! unrounded shares are a fractional matching, so an integral one exists and the search finds it.

use std::cmp::Reverse;

/// Number of samples of each class in each part.
///
/// `members` holds the size of each class, and the sum of `sizes` must not exceed their sum.
pub(super) fn stratify(members: &[usize], sizes: [usize; 3]) -> [Vec<usize>; 3] {
    let n = members.iter().sum::<usize>().max(1);
    let mut counts: [Vec<usize>; 3] =
        sizes.map(|size| members.iter().map(|m| size * m / n).collect());
    let taken = |class: usize| counts.iter().map(|part| part[class]).sum::<usize>();
    let mut rounding = Rounding {
        spare: members.iter().enumerate().map(|(class, m)| m - taken(class)).collect(),
        candidates: sizes.map(|size| {
            let remainder = |class: &usize| size * members[*class] % n;
            let mut classes: Vec<_> = (0..members.len()).filter(|c| remainder(c) > 0).collect();
            classes.sort_by_key(|class| Reverse(remainder(class)));
            classes
        }),
        up: [0; 3].map(|_| vec![false; members.len()]),
    };
    for (part, size) in sizes.into_iter().enumerate() {
        for _ in counts[part].iter().sum::<usize>()..size {
            let fits = rounding.raise(part, &mut vec![false; members.len()]);
            assert!(fits, "the unrounded shares show that a rounding exists");
        }
    }
    for (counts, up) in counts.iter_mut().zip(rounding.up) {
        for (count, up) in counts.iter_mut().zip(up) {
            *count += usize::from(up);
        }
    }
    counts
}

/// The choice of the classes that each part rounds up.
struct Rounding {
    /// Number of samples of each class that are not used by any part.
    spare: Vec<usize>,
    /// Classes with a fractional share in each part, largest remainder first.
    candidates: [Vec<usize>; 3],
    /// Whether each part rounds up each class.
    up: [Vec<bool>; 3],
}

impl Rounding {
    /// Rounds up one more class in `part`, if necessary by moving a choice of another part.
    ///
    /// `visited` marks the classes that this search has tried. Returns whether the search succeeded; if not, nothing
    /// has changed.
    fn raise(&mut self, part: usize, visited: &mut [bool]) -> bool {
        for at in 0..self.candidates[part].len() {
            let class = self.candidates[part][at];
            if self.up[part][class] || std::mem::replace(&mut visited[class], true) {
                continue;
            }
            if self.spare[class] > 0 {
                self.spare[class] -= 1;
                self.up[part][class] = true;
                return true;
            }
            for other in 0..3 {
                if self.up[other][class] && self.raise(other, visited) {
                    self.up[other][class] = false;
                    self.up[part][class] = true;
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    #[test]
    fn stratified_counts_fit_and_are_within_one_of_the_share() {
        let mut random = Pcg64::seed_from_u64(5);
        for case in 0..2000 {
            let members: Vec<usize> =
                (0..random.random_range(1..7)).map(|_| random.random_range(0..6)).collect();
            let n: usize = members.iter().sum();
            let train = random.random_range(0..=n);
            let valid = random.random_range(0..=n - train);
            // Every other case uses the whole set, so that the rounding has no slack.
            let rest = n - train - valid;
            let test = if case % 2 == 0 { rest } else { random.random_range(0..=rest) };
            let sizes = [train, valid, test];
            let counts = stratify(&members, sizes);
            for (part, size) in counts.iter().zip(sizes) {
                assert_eq!(part.iter().sum::<usize>(), size);
                for (count, whole) in part.iter().zip(&members) {
                    assert!((count * n).abs_diff(size * whole) < n.max(1));
                }
            }
            for (class, &whole) in members.iter().enumerate() {
                assert!(counts.iter().map(|part| part[class]).sum::<usize>() <= whole);
            }
        }
    }

    #[test]
    fn largest_remainders_are_rounded_up() {
        // The shares of the first part are 1.5, 0.9 and 0.6.
        assert_eq!(stratify(&[5, 3, 2], [3, 0, 0]), [vec![1, 1, 1], vec![0; 3], vec![0; 3]]);
        // The shares of the first part are 2.8, 1.2 and 2.0.
        assert_eq!(stratify(&[7, 3, 5], [6, 0, 0])[0], [3, 1, 2]);
    }

    #[test]
    fn empty_sets_have_empty_parts() {
        assert_eq!(stratify(&[], [0, 0, 0]), [const { Vec::<usize>::new() }; 3]);
        assert_eq!(stratify(&[0, 0], [0, 0, 0]), [vec![0, 0], vec![0, 0], vec![0, 0]]);
    }
}
