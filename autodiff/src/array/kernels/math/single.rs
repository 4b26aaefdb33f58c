//! Constants of the elementary functions for `f32`.

use crate::array::kernels::number::Number;

impl Number for f32 {
    const ROUND: Self = 12_582_912.0;
    const BIAS: Self = 127.0;
    const INVERSE_LN2: Self = std::f32::consts::LOG2_E;
    // The first part has 15 bits, so its products with integers up to 2^9 are exact.
    const LN2: (Self, Self) = (0.693_145_75, 1.428_606_8e-6);
    // The remainder is below 6e-10.
    const FACTORIALS: &'static [[Self; 2]] =
        &[[1.0 / 2.0, 1.0 / 6.0], [1.0 / 24.0, 1.0 / 120.0], [1.0 / 720.0, 1.0 / 5_040.0]];
    // The coefficients are those of fdlibm.
    const LOG_SERIES: &'static [[Self; 2]] =
        &[[0.666_666_6, 0.400_009_72], [0.284_987_87, 0.242_790_79]];
    const EXP_RANGE: (Self, Self) = (-105.0, 89.5);
    // 2^50
    const SQUARE_RANGE: Self = Self::from_bits((127 + 50) << 23);
    const SATURATED: Self = 1.0 - 1.0 / 1024.0;
    const TANH_END: Self = 10.0;
    // Remainders below 4.0e-11 and 9.0e-11.
    const ERF_SERIES: &'static [[Self; 2]] = &[
        [1.283_791_7e-1, -3.761_263_8e-1],
        [1.128_378_2e-1, -2.686_543e-2],
        [5.221_031_6e-3, -8.484_080_3e-4],
        [1.126_595_9e-4, -9.667_045e-6],
    ];
    // The remainder, times `x erfc x`, is below 2.5e-9.
    const ERF_TAIL: &'static [[Self; 2]] = &[
        [1.128_480_1, 6.358_315e-1],
        [1.051_161_1e-1, -2.279_844e-2],
        [3.186_939_3e-3, -2.106_422_9e-4],
    ];
    const ERF_END: Self = 4.0;
    // The remainder is below 2.7e-11.
    const ERFC_SERIES: &'static [[Self; 2]] = &[
        [-1.248_737e-2, -1.402_406e-1],
        [3.585_420_5e-3, 8.227_671e-2],
        [-1.088_041_14e-1, 9.230_481e-2],
        [-5.869_097e-2, 2.835_921_4e-2],
        [-9.761_798e-3, 1.761_320_7e-3],
        [3.383_440_8e-4, -2.827_041_6e-4],
    ];
    const ERFC_END: Self = 10.5;
    const SPLIT: Self = 4_097.0;

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
        /// The high half of `sqrt(1/2)`.
        const HALF_ROOT: u32 = 0x3f35_0000;
        let bits = self.to_bits().wrapping_add(ONE - HALF_ROOT);
        // The exponent as a number, by means of the mantissa of 2^23.
        let k = Self::from_bits(0x4b00_0000 | (bits >> 23)) - (8_388_608.0 + Self::BIAS);
        (k, Self::from_bits((bits & 0x007f_ffff) + HALF_ROOT))
    }
}
