//! The pace of the machine during timings.
//!
//! A core that is shared takes 1.2 to 2 times as long for the same work for half a minute, and then returns to normal.
//! The factor depends on the work, so times cannot be corrected by it. But a fixed workload before and after each
//! repetition shows which times are undisturbed, and only these are compared.

use std::hint::black_box;
use std::time::Instant;

use crate::stats::quantile;

/// A time is disturbed if the fixed workload next to it took longer than this factor times its fastest time. The
/// undisturbed workload varies by 2 %; with a neighbour on the same core it varies by 20 to 100 %.
pub const DISTURBED: f64 = 1.05;

/// Seconds of a fixed workload: multiplications and additions over 128 KiB, which exceeds the first level of cache, as
/// most estimates do. It is the median of nine times of about half a millisecond each.
///
/// ```
/// use hypertape_solver::pace::pace;
/// assert!(pace() > 0.0);
/// ```
pub fn pace() -> f64 {
    let (mut numbers, mut times) = (vec![1.0; 1 << 14], [0.0; 9]);
    for time in &mut times {
        let clock = Instant::now();
        for _ in 0..200 {
            for number in black_box(&mut numbers[..]) {
                *number = *number * 0.75 + 0.25;
            }
        }
        *time = clock.elapsed().as_secs_f64();
    }
    quantile(&mut times, 0.5)
}
