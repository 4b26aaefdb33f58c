//! `f32` for the elementary functions.

use crate::array::kernels::number::Number;

impl Number for f32 {
    const ROUND: Self = 12_582_912.0;
    const BIAS: Self = 127.0;
    const INVERSE_LN2: Self = std::f32::consts::LOG2_E;
    // 15 bits: exact times integers up to 2^9.
    const LN2: (Self, Self) = (0.693_145_75, 1.428_606_8e-6);
    // The remainder is below 6e-10.
    const FACTORIALS: &'static [[Self; 2]] =
        &[[1.0 / 2.0, 1.0 / 6.0], [1.0 / 24.0, 1.0 / 120.0], [1.0 / 720.0, 1.0 / 5_040.0]];
    // Of fdlibm.
    const LOG_SERIES: &'static [[Self; 2]] =
        &[[0.666_666_6, 0.400_009_72], [0.284_987_87, 0.242_790_79]];
    const EXP_RANGE: (Self, Self) = (-105.0, 90.0);
    const TANH_END: Self = 10.0;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn power_of_two(biased: Self) -> Self {
        Self::from_bits(biased.to_bits() << 23)
    }

    #[inline(always)]
    fn split(self) -> (Self, Self) {
        const ONE: u32 = 0x3f80_0000;
        /// High half of `sqrt(1/2)`.
        const HALF_ROOT: u32 = 0x3f35_0000;
        let bits = self.to_bits().wrapping_add(ONE - HALF_ROOT);
        // The exponent as a number, by way of the mantissa of 2^23.
        let k = Self::from_bits(0x4b00_0000 | (bits >> 23)) - (8_388_608.0 + Self::BIAS);
        (k, Self::from_bits((bits & 0x007f_ffff) + HALF_ROOT))
    }
}
