//! Random choices as data: a [`Draw`] identifies a choice, and the same draw gives the same random numbers.
//!
//! There is no hidden random state, so a result does not depend on the schedule, the number of threads or an
//! interruption. A step that is computed again receives the same draw and sees the same mini-batch.

use rand_pcg::Pcg64;

use crate::permutation::Permutation;

/// The purpose of a random choice. Its number in this list is part of every choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// The start of the inner loop.
    Init,
    /// The inner loss.
    Inner,
    /// The outer loss.
    Outer,
    /// The tasks of a meta-batch; the step is the place in it.
    Task,
    /// The coin of a randomised estimator; the step is the place in the meta-batch.
    Coin,
}

impl Level {
    /// Name of the problem's function at this level.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Inner => "inner loss",
            Self::Outer => "outer loss",
            _ => "init",
        }
    }
}

/// Which samples an evaluation of a loss uses, for problems with mini-batches.
///
/// Algorithms may mix them: a mini-batch in one place, all samples in another, the same mini-batch at an old and at a
/// new point. The number of mini-batches of a level is [`Bilevel::mini_batches`](crate::Bilevel::mini_batches).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Samples {
    /// The samples that the problem chooses for this draw: a mini-batch, or all.
    #[default]
    Own,
    /// All samples.
    All,
    /// The mini-batch of this number. Numbers start at 0 and wrap around after the last mini-batch.
    Batch(u64),
}

/// Identifies a random choice, and the samples on which a loss is evaluated.
///
/// ```
/// use hypertape_solver::{Draw, Level, Samples};
/// use rand::RngExt;
/// let draw = Draw::new(7, 3).at(Level::Inner, 12);
/// let batch: [u8; 4] = draw.stream().random();
/// assert_eq!(batch, draw.stream().random::<[u8; 4]>());
/// assert_ne!(batch, draw.at(Level::Inner, 13).stream().random::<[u8; 4]>());
/// // Random numbers do not depend on the samples.
/// assert_eq!(batch, draw.on(Samples::Batch(3)).stream().random::<[u8; 4]>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Outer iteration.
    pub iteration: u64,
    /// Task within the iteration.
    pub task: u64,
    /// Purpose of the choice.
    pub level: Level,
    /// Inner step.
    pub step: u64,
    /// The samples on which a loss is evaluated. They do not identify the choice: the random numbers are the same for
    /// all.
    pub samples: Samples,
}

impl Draw {
    /// Returns the first choice of an outer iteration.
    pub fn new(seed: u64, iteration: u64) -> Self {
        Self { seed, iteration, task: 0, level: Level::Init, step: 0, samples: Samples::Own }
    }

    /// Returns the choice of the same iteration and task at another level and step.
    #[must_use]
    pub fn at(self, level: Level, step: usize) -> Self {
        Self { level, step: step as u64, ..self }
    }

    /// Returns the choice of the same iteration for another task.
    #[must_use]
    pub fn for_task(self, task: usize) -> Self {
        Self { task: task as u64, ..self }
    }

    /// Returns the same choice with losses evaluated on `samples`.
    #[must_use]
    pub fn on(self, samples: Samples) -> Self {
        Self { samples, ..self }
    }

    /// Returns which of `count` items is chosen in this iteration, if the same choice is made once per iteration. The
    /// items are chosen in passes: each occurs once per pass, and every pass has its own random order.
    ///
    /// ```
    /// use hypertape_solver::{Draw, Level};
    /// let mut pass: Vec<_> = (10..15).map(|t| Draw::new(7, t).at(Level::Inner, 0).in_passes(5)).collect();
    /// pass.sort_unstable();
    /// assert_eq!(pass, [0, 1, 2, 3, 4]);
    /// ```
    pub fn in_passes(self, count: usize) -> usize {
        let n = count.max(1) as u64;
        let key = Self { iteration: self.iteration / n, ..self }.hash(3);
        let item = Permutation::new(count).at(self.iteration % n, |i| split_mix(key, i));
        usize::try_from(item).unwrap_or_default()
    }

    /// Returns the random numbers of this choice.
    pub fn stream(self) -> Pcg64 {
        let wide = |salt: u64| u128::from(self.hash(salt)) << 64 | u128::from(self.hash(!salt));
        Pcg64::new(wide(1), wide(2))
    }

    /// Each field passes through a bijective mixer, so draws that differ in one field differ in the hash.
    fn hash(self, salt: u64) -> u64 {
        let mix = |z| split_mix(z, 0);
        let fields = [self.seed, self.iteration, self.task, self.level as u64, self.step];
        fields.iter().fold(salt, |hash, &field| mix(hash ^ mix(field)))
    }
}

/// Number `i` of `SplitMix64` started at `seed` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014). It is a bijection of the seed.
///
/// ```
/// assert_eq!(hypertape_solver::split_mix(0, 0), 0xe220_a839_7b1d_cdaf);
/// ```
#[inline]
pub fn split_mix(seed: u64, i: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(i.wrapping_add(1)));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngExt;

    use super::*;

    #[test]
    fn neighbouring_draws_differ() {
        let mut seen = HashSet::new();
        for seed in 0..3 {
            for iteration in 0..3 {
                for task in 0..3 {
                    for level in [Level::Init, Level::Inner, Level::Outer, Level::Task, Level::Coin]
                    {
                        for step in 0..3 {
                            let draw = Draw { task, level, step, ..Draw::new(seed, iteration) };
                            assert!(seen.insert(draw.stream().random::<u64>()), "{draw:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_stream_stays_what_it_was() {
        // Stored results refer to a seed, and can be reproduced only while this holds.
        let draw = Draw::new(1, 2).for_task(3).at(Level::Outer, 4);
        assert_eq!(draw.stream().random::<u64>(), 1_132_304_041_810_711_688);
    }
}
