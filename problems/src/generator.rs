//! The counter-based generator of the synthetic workloads, and the arrays made with it.
//!
//! Every value is a pure function of a seed, a stream number and an index, so an array can be made in any order and in
//! any language with the same bits. All integer arithmetic wraps at 64 bits. Floating point arithmetic uses only `+`,
//! `-`, `*`, `/` and comparisons, each rounded separately, without fused multiply-add or library functions. With
//! `G = 0x9E3779B97F4A7C15`,
//!
//! ```text
//! key  = mix(seed + G (stream + 1))
//! bits = mix(key + G (i + 1)),          i = 0, 1, 2, ... in row-major order
//! ```
//!
//! where `mix` is the output function of `SplitMix64` (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", OOPSLA 2014).

mod workloads;

use hypertape_solver::split_mix;

pub use workloads::{W1, W2, W3, W4};

/// One sequence of random values, addressed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream with number `stream` of the given seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { key: split_mix(seed, stream) }
    }

    /// `SplitMix64` itself, started at `seed`.
    ///
    /// ```
    /// use hypertape_problems::generator::Stream;
    /// assert_eq!(Stream::sequential(0).bits(0), 0xe220_a839_7b1d_cdaf);
    /// ```
    pub fn sequential(seed: u64) -> Self {
        Self { key: seed }
    }

    /// Value number `i` as 64 raw bits.
    ///
    /// ```
    /// use hypertape_problems::generator::Stream;
    /// assert_eq!(Stream::new(1, 0).bits(0), 0x5e41_ab08_7439_611e);
    /// ```
    pub fn bits(self, i: u64) -> u64 {
        split_mix(self.key, i)
    }

    /// Value number `i` as a multiple of 2⁻⁵³ in `[0, 1)`.
    ///
    /// ```
    /// use hypertape_problems::generator::Stream;
    /// assert!((Stream::new(1, 0).uniform(0) - 0.368_189_515_7).abs() < 1e-10);
    /// ```
    pub fn uniform(self, i: u64) -> f64 {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        (self.bits(i) >> 11) as f64 * UNIT
    }

    /// Value number `i`, roughly standard normal.
    ///
    /// The four 16-bit fields of the raw bits are summed, centred and scaled to unit variance. The magnitude is at most
    /// 3.47.
    ///
    /// ```
    /// use hypertape_problems::generator::Stream;
    /// assert!((Stream::new(1, 0).gauss(0) + 0.225_756_518).abs() < 1e-15);
    /// ```
    pub fn gauss(self, i: u64) -> f64 {
        let b = self.bits(i);
        let sum = (b & 0xFFFF) + ((b >> 16) & 0xFFFF) + ((b >> 32) & 0xFFFF) + (b >> 48);
        (sum as f64 - 131_070.0) * 2.6429e-5
    }

    /// Value number `i` as a class in `0..classes`.
    ///
    /// ```
    /// use hypertape_problems::generator::Stream;
    /// assert_eq!(Stream::new(2, 1).class(0, 10), 8);
    /// ```
    ///
    /// # Panics
    /// Panics if `classes` is zero.
    pub fn class(self, i: u64, classes: u32) -> u32 {
        let class = self.bits(i) % u64::from(classes);
        u32::try_from(class).expect("a remainder of division by a u32 fits in a u32")
    }

    /// The first `n` values of [`uniform`](Self::uniform).
    pub fn uniforms(self, n: usize) -> Vec<f64> {
        (0..n as u64).map(|i| self.uniform(i)).collect()
    }

    /// The first `n` values of [`uniform`](Self::uniform), scaled to `[low, high)`.
    pub fn uniforms_between(self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n as u64).map(|i| low + (high - low) * self.uniform(i)).collect()
    }

    /// The first `n` values of [`gauss`](Self::gauss).
    pub fn gausses(self, n: usize) -> Vec<f64> {
        (0..n as u64).map(|i| self.gauss(i)).collect()
    }
}

/// A periodic function that is close to a sine and is made of two parabolas; the phase is in turns.
///
/// Let `f` be the fractional part of `turns`, and `s = 16 f (0.5 - f)` in the first half turn and its mirror image in
/// the second. The value is `0.775 s + 0.225 s |s|`.
///
/// ```
/// use hypertape_problems::generator::parabolic_sine;
/// assert_eq!([parabolic_sine(0.25), parabolic_sine(-0.25)], [1.0, -1.0]);
/// ```
pub fn parabolic_sine(turns: f64) -> f64 {
    let f = turns - turns.floor();
    let s = if f < 0.5 { (16.0 * f) * (0.5 - f) } else { -((16.0 * (f - 0.5)) * (1.0 - f)) };
    0.775 * s + (0.225 * s) * s.abs()
}

/// The product of a row-major matrix with `columns` columns and the vector `w`.
///
/// Each row is summed from the first column to the last, with separate multiplications and additions, because the
/// result must have the same bits wherever it is computed.
///
/// ```
/// use hypertape_problems::generator::column_sum_product;
/// assert_eq!(column_sum_product(&[1.0, 2.0, 3.0, 4.0], 2, &[10.0, 1.0]), [12.0, 34.0]);
/// ```
///
/// # Panics
/// Panics if `columns` is zero, does not divide the length of `x`, or is not the length of `w`.
pub fn column_sum_product(x: &[f64], columns: usize, w: &[f64]) -> Vec<f64> {
    assert_eq!(w.len(), columns, "the vector needs one entry per column");
    let rows = x.chunks_exact(columns);
    assert!(rows.remainder().is_empty(), "the matrix needs a whole number of rows");
    rows.map(|row| row.iter().zip(w).fold(0.0, |sum, (a, b)| sum + a * b)).collect()
}

/// A checksum over the bits of an array: the wrapping sum of `bits(x_i) (2 i + 1)`.
///
/// ```
/// use hypertape_problems::generator::checksum;
/// assert_eq!(checksum(&[1.0, 2.0]), 0xfff0_0000_0000_0000);
/// ```
pub fn checksum(values: &[f64]) -> u64 {
    let odd = (1u64..).step_by(2);
    values.iter().zip(odd).fold(0, |sum, (x, k)| sum.wrapping_add(x.to_bits().wrapping_mul(k)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_streams_give_different_values() {
        let first = |seed, stream| Stream::new(seed, stream).bits(0);
        assert!(first(1, 0) != first(2, 0) && first(1, 0) != first(1, 1));
    }
}
