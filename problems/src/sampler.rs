//! `Sampler`: the choice of the samples of a mini-batch as a pure function of a [`Draw`].
//!
//! Nothing is stored or shuffled. The `i`-th sample of a batch is computed from the draw in constant time: with
//! replacement from a counter-based random number, without replacement from a [`Permutation`].

use std::ops::Range;

use hypertape_autodiff::Array;
use hypertape_solver::{Draw, Permutation, Samples};
use rand::RngExt;

use crate::generator::Stream;
use crate::samples::shape;

/// How mini-batches of `n` samples are chosen, or batches of tasks in
/// [`Bilevel::task`](hypertape_solver::Bilevel::task). Batch sizes below 1 or above `n` are treated as 1 or `n`.
///
/// If batches depend on each other, `draws` is the number of batches per outer iteration at one level. At the inner
/// level it counts the inner steps and the draws that the estimator makes after them (one for a mixed product, one for
/// each factor of a series); for the outer loss it is 1. The batch of step `t` in iteration `k` is then number
/// `k draws + t` of the run.
///
/// ```
/// use hypertape_problems::Sampler;
/// use hypertape_solver::{Draw, Level};
/// let passes = Sampler::Passes { batch: 4, draws: 3 };
/// let draw = Draw::new(7, 0).at(Level::Inner, 0);
/// let of = |step| passes.batch(10, draw.at(Level::Inner, step)).iter().collect::<Vec<_>>();
/// assert_eq!([of(0).len(), of(1).len(), of(2).len()], [4, 4, 2]);
/// let mut pass = [of(0), of(1), of(2)].concat();
/// pass.sort_unstable();
/// assert_eq!(pass, (0..10).collect::<Vec<_>>());
///
/// // Distinct tasks of a meta-batch, by place.
/// let task = |slot| Sampler::Distinct { batch: 2 }.batch(5, draw.at(Level::Task, 0)).sample(slot);
/// assert_ne!(task(0), task(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampler {
    /// All samples, in order.
    All,
    /// Independent uniform choices, that is, with replacement.
    Independent {
        /// Samples per batch.
        batch: usize,
    },
    /// Distinct samples within a batch, independent of the other batches.
    Distinct {
        /// Samples per batch.
        batch: usize,
    },
    /// Without replacement from batch to batch: each pass visits all samples in a new random order, and its last batch
    /// may be smaller.
    Passes {
        /// Samples per batch.
        batch: usize,
        /// Batches per outer iteration.
        draws: usize,
    },
    /// The sampling of the field's benchmark (`benchmark_bilevel`; Dagréou et al. 2022), for comparisons. Batches are
    /// contiguous blocks, in natural order in the first pass and shuffled in later passes. The last block overlaps its
    /// neighbour so that it is full, and is drawn twice per pass. This fault of the benchmark is kept, so samples do
    /// not all have equal weight.
    Blocks {
        /// Samples per batch.
        batch: usize,
        /// Batches per outer iteration.
        draws: usize,
    },
}

impl Sampler {
    /// Samples per batch out of `n`.
    fn size(self, n: usize) -> usize {
        match self {
            Self::All => n,
            Self::Independent { batch }
            | Self::Distinct { batch }
            | Self::Passes { batch, .. }
            | Self::Blocks { batch, .. } => batch.clamp(1, n),
        }
    }

    /// Number of batches into which `n` samples are divided.
    pub fn batches(self, n: usize) -> usize {
        n.div_ceil(self.size(n))
    }

    /// Returns the batch that `draw` chooses from `n` samples. If the draw names its [samples](Draw::samples), it is
    /// all of them in order, or the batch with that number of consecutive samples. The last such batch may be smaller;
    /// that of [`Blocks`](Self::Blocks) overlaps its neighbour instead. Cost: a few random numbers.
    ///
    /// # Panics
    /// Panics if `n` is 0.
    #[track_caller]
    pub fn batch(self, n: usize, draw: Draw) -> Batch {
        assert!(n > 0, "no samples to draw from");
        let number = |draws: usize| draw.iteration * draws as u64 + draw.step;
        let stream = |draw: Draw| Stream::sequential(draw.stream().random());
        // The step `u64::MAX` keeps the random orders of passes apart from the draws of steps.
        let pass = |pass| stream(Draw { iteration: pass, step: u64::MAX, ..draw });
        let (size, batches) = (self.size(n), self.batches(n) as u64);
        let natural = |start, len| Batch { n, start, len, order: Order::Natural };
        match (draw.samples, self) {
            (Samples::All, _) => return natural(0, n),
            (Samples::Batch(k), Self::Blocks { .. }) => {
                return natural((place(k % batches) * size).min(n - size), size);
            }
            (Samples::Batch(k), _) => {
                let start = place(k % batches) * size;
                return natural(start, size.min(n - start));
            }
            (Samples::Own, _) => {}
        }
        let (start, len, order) = match self {
            Self::All => (0, n, Order::Natural),
            Self::Independent { .. } => (0, size, Order::Independent(stream(draw))),
            Self::Distinct { .. } => (0, size, Order::Permuted(Permutation::new(n), stream(draw))),
            Self::Passes { draws, .. } => {
                let number = number(draws);
                let start = place(number % batches) * size;
                let order = Order::Permuted(Permutation::new(n), pass(number / batches));
                (start, size.min(n - start), order)
            }
            Self::Blocks { draws, .. } => {
                let number = number(draws);
                let (pass_number, k) = (number / (batches + 1), number % (batches + 1));
                let k = k.min(batches - 1);
                let order = Permutation::new(place(batches));
                let shuffled = || order.at(k, |i| pass(pass_number).bits(i));
                let block = if pass_number == 0 { k } else { shuffled() };
                ((place(block) * size).min(n - size), size, Order::Natural)
            }
        };
        Batch { n, start, len, order }
    }
}

/// The samples of one mini-batch.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    n: usize,
    start: usize,
    len: usize,
    order: Order,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Natural,
    Independent(Stream),
    Permuted(Permutation, Stream),
}

#[expect(clippy::len_without_is_empty, reason = "a batch has one sample or more")]
impl Batch {
    /// Number of samples, repetitions included.
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns the sample at position `i`.
    ///
    /// # Panics
    /// Panics if `i` is not below the number of samples.
    #[track_caller]
    pub fn sample(self, i: usize) -> usize {
        assert!(i < self.len, "sample {i} of a batch of {}", self.len);
        match self.order {
            Order::Natural => self.start + i,
            Order::Independent(stream) => {
                place(Permutation::scaled(stream.bits(i as u64), self.n as u64))
            }
            Order::Permuted(order, stream) => {
                place(order.at((self.start + i) as u64, |i| stream.bits(i)))
            }
        }
    }

    /// Iterates over the samples in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.len).map(move |i| self.sample(i))
    }

    /// Returns the range of the samples if they are consecutive.
    pub fn range(self) -> Option<Range<usize>> {
        matches!(self.order, Order::Natural).then(|| self.start..self.start + self.len)
    }

    /// Returns the batch's rows of `data` as a constant of the type of `like`. They are copied unless they are
    /// consecutive.
    ///
    /// # Panics
    /// Panics if there are more than `u32::MAX` rows or columns.
    pub fn rows<'a, A: Array<'a>>(self, like: A, data: &'a [A::Elem]) -> A {
        let width = data.len() / self.n;
        if let Some(range) = self.range() {
            let rows = &data[range.start * width..range.end * width];
            return like.constant(shape(self.len, width), rows);
        }
        let index = |i| u32::try_from(self.sample(i)).expect("as many rows as u32 counts");
        like.constant(shape(self.n, width), data).gather_rows(like.indices(self.len, index))
    }
}

fn place(i: u64) -> usize {
    usize::try_from(i).expect("below a number of samples")
}
