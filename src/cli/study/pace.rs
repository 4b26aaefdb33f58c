//! The pace of the machine beside the times that are taken on it.
//!
//! A core that is shared takes 1.2 to 2 times as long for the same work, for half a minute, and then not. How much depends on the
//! work, so times cannot be mended by it; but a fixed work before and after each repetition tells which times are of the program
//! alone, and comparisons are made of these.

use std::hint::black_box;
use std::time::Instant;

use crate::stats::quantile;

/// A time is disturbed where the fixed work took so many times as long beside it as at the best moment: undisturbed it varies by
/// 2 %, with a neighbour on the same core by 20 to 100 %.
pub(super) const DISTURBED: f64 = 1.05;

/// A fixed work: multiplications and additions over 128 KiB, which is beyond the first level of cache as most cells are.
pub(super) struct Pace {
    numbers: Vec<f64>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { numbers: vec![1.0; 1 << 14] }
    }

    /// Seconds of the work: the median of nine times of about half a millisecond each.
    pub(super) fn seconds(&mut self) -> f64 {
        let mut times = [0.0; 9];
        for time in &mut times {
            let clock = Instant::now();
            for _ in 0..60 {
                for number in black_box(&mut self.numbers[..]) {
                    *number = *number * 0.75 + 0.25;
                }
            }
            *time = clock.elapsed().as_secs_f64();
        }
        quantile(&mut times, 0.5)
    }
}
