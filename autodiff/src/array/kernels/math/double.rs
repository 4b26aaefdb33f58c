//! Constants of the elementary functions for `f64`.

use crate::array::kernels::number::Number;

impl Number for f64 {
    const ROUND: Self = 6_755_399_441_055_744.0;
    const BIAS: Self = 1023.0;
    const INVERSE_LN2: Self = std::f64::consts::LOG2_E;
    // The first part has 32 bits, so its products with integers up to 2^21 are exact.
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
    // The coefficients are those of fdlibm.
    const LOG_SERIES: &'static [[Self; 2]] = &[
        [6.666_666_666_666_735e-1, 3.999_999_999_940_942e-1],
        [2.857_142_874_366_239e-1, 2.222_219_843_214_978_4e-1],
        [1.818_357_216_161_805e-1, 1.531_383_769_920_937_3e-1],
        [1.479_819_860_511_658_6e-1, 0.0],
    ];
    const EXP_RANGE: (Self, Self) = (-746.0, 710.5);
    const TANH_END: Self = 22.0;
    // 2^400
    const SQUARE_RANGE: Self = Self::from_bits((1023 + 400) << 52);
    const SATURATED: Self = 1.0 - 1.0 / 1_048_576.0;
    // Remainders below 8.0e-18 and 8.0e-18.
    const ERF_SERIES: &'static [[Self; 2]] = &[
        [std::f64::consts::FRAC_2_SQRT_PI, -3.761_263_890_318_354_3e-1],
        [1.128_379_167_094_500_6e-1, -2.686_617_064_323_777e-2],
        [5.223_977_607_116_422_5e-3, -8.548_325_975_389_692e-4],
        [1.205_529_490_483_970_7e-4, -1.492_473_690_741_966e-5],
        [1.644_742_470_331_736_2e-6, -1.620_848_380_187_170_5e-7],
        [1.372_006_454_677_768_6e-8, -7.795_898_827_002_142e-10],
    ];
    const ERFC_SERIES: &'static [[Self; 2]] = &[
        [1.237_512_630_837_827_5, -1.402_405_985_855_468_6e-1],
        [3.585_415_485_466_77e-3, 8.227_673_849_013_085e-2],
        [-1.088_039_301_419_083_5e-1, 9.230_432_116_096_986e-2],
        [-5.869_339_858_540_868e-2, 2.836_227_740_801_565_8e-2],
        [-9.746_579_615_410_653e-3, 1.755_625_962_155_246_3e-3],
        [2.937_141_196_906_728e-4, -2.901_547_296_007_037_3e-4],
        [5.164_685_609_739_529e-5, 2.238_664_337_578_259_4e-5],
        [-1.143_700_990_231_990_6e-5, -9.791_881_070_531_835e-7],
        [1.736_957_302_499_181_7e-6, -4.905_353_130_502_860_5e-8],
        [-2.396_734_253_341_607e-7, 1.640_452_579_596_939_5e-8],
        [2.435_956_132_778_267_3e-8, -9.380_331_878_153_154e-10],
    ];
    const ERFC_END: Self = 28.0;
    const SPLIT: Self = 134_217_729.0;

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
        /// The high word of `sqrt(1/2)`.
        const HALF_ROOT: u64 = 0x3fe6_a09e_0000_0000;
        let bits = self.to_bits().wrapping_add(ONE - HALF_ROOT);
        // The exponent as a number, by means of the mantissa of 2^52.
        let k = Self::from_bits(0x4330_0000_0000_0000 | (bits >> 52))
            - (4_503_599_627_370_496.0 + Self::BIAS);
        (k, Self::from_bits((bits & 0x000f_ffff_ffff_ffff) + HALF_ROOT))
    }
}
