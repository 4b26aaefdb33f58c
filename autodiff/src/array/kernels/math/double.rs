//! `f64` for the elementary functions.

use crate::array::kernels::number::Number;

impl Number for f64 {
    const ROUND: Self = 6_755_399_441_055_744.0;
    const BIAS: Self = 1023.0;
    const INVERSE_LN2: Self = std::f64::consts::LOG2_E;
    // 32 bits: exact times integers up to 2^21.
    const LN2: (Self, Self) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    // The remainder is below 5e-18.
    const FACTORIALS: &'static [[Self; 2]] = &[
        [1.0 / 2.0, 1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 120.0],
        [1.0 / 720.0, 1.0 / 5_040.0],
        [1.0 / 40_320.0, 1.0 / 362_880.0],
        [1.0 / 3_628_800.0, 1.0 / 39_916_800.0],
        [1.0 / 479_001_600.0, 1.0 / 6_227_020_800.0],
    ];
    // Of fdlibm.
    const LOG_SERIES: &'static [[Self; 2]] = &[
        [6.666_666_666_666_735e-1, 3.999_999_999_940_942e-1],
        [2.857_142_874_366_239e-1, 2.222_219_843_214_978_4e-1],
        [1.818_357_216_161_805e-1, 1.531_383_769_920_937_3e-1],
        [1.479_819_860_511_658_6e-1, 0.0],
    ];
    const EXP_RANGE: (Self, Self) = (-746.0, 711.0);
    const TANH_END: Self = 22.0;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn power_of_two(biased: Self) -> Self {
        Self::from_bits(biased.to_bits() << 52)
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        const ONE: u64 = 0x3ff0_0000_0000_0000;
        /// High word of `sqrt(1/2)`.
        const HALF_ROOT: u64 = 0x3fe6_a09e_0000_0000;
        let bits = self.to_bits().wrapping_add(ONE - HALF_ROOT);
        // The exponent as a number, by way of the mantissa of 2^52.
        let k = Self::from_bits(0x4330_0000_0000_0000 | (bits >> 52))
            - (4_503_599_627_370_496.0 + Self::BIAS);
        (k, Self::from_bits((bits & 0x000f_ffff_ffff_ffff) + HALF_ROOT))
    }
}
