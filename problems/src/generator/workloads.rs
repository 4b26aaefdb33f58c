//! The arrays of the synthetic workloads, as functions of the seed.
//!
//! The reference uses seed 1 for workload 1 and seed 2 for workload 2.

use super::{Stream, column_sum_product, parabolic_sine};

/// The arrays of workload 1: linear models with one log-penalty per feature.
///
/// Features have scales that decrease as `1 / (1 + 0.02 j)`, and every fourth true weight is nonzero. Matrices are
/// row-major.
#[derive(Debug, Clone)]
pub struct W1 {
    /// Training inputs, `SAMPLES` by `FEATURES` unless other sizes are given.
    pub x: Vec<f64>,
    /// Training targets: real for ridge, −1 or 1 for logistic regression.
    pub y: Vec<f64>,
    /// Validation inputs, `VALIDATION` by `FEATURES`.
    pub x_valid: Vec<f64>,
    /// Validation targets.
    pub y_valid: Vec<f64>,
    /// Outer variable: the logarithm of the penalty on each weight.
    pub log_penalty: Vec<f64>,
    /// Initial weights of the inner loop.
    pub w0: Vec<f64>,
}

impl W1 {
    /// Number of training samples.
    pub const SAMPLES: usize = 2000;
    /// Number of validation samples.
    pub const VALIDATION: usize = 1000;
    /// Number of features.
    pub const FEATURES: usize = 200;

    /// Data for ridge regression: targets are the linear model plus noise of standard deviation 0.5.
    pub fn ridge(seed: u64) -> Self {
        Self::sized_ridge(seed, [Self::SAMPLES, Self::FEATURES])
    }

    /// The data of [`ridge`](Self::ridge) with `size = [samples, features]`, and half as many validation samples.
    pub fn sized_ridge(seed: u64, size: [usize; 2]) -> Self {
        Self::build(seed, size, |signal, noise| signal + 0.5 * noise)
    }

    /// Data for logistic regression: targets are the sign of the linear model plus unit noise.
    pub fn logistic(seed: u64) -> Self {
        Self::sized_logistic(seed, [Self::SAMPLES, Self::FEATURES])
    }

    /// The data of [`logistic`](Self::logistic) with `size = [samples, features]`, and half as many validation samples.
    pub fn sized_logistic(seed: u64, size: [usize; 2]) -> Self {
        Self::build(seed, size, |signal, noise| if signal + noise >= 0.0 { 1.0 } else { -1.0 })
    }

    fn build(seed: u64, [n, d]: [usize; 2], target: impl Fn(f64, f64) -> f64) -> Self {
        let stream = |number| Stream::new(seed, number);
        let scales: Vec<f64> = (0..d).map(|j| 1.0 / (1.0 + 0.02 * j as f64)).collect();
        let inputs = |number, rows: usize| {
            let mut x = stream(number).gausses(rows * d);
            x.iter_mut().zip(scales.iter().cycle()).for_each(|(x, scale)| *x *= scale);
            x
        };
        let mut truth = stream(2).gausses(d);
        truth.iter_mut().enumerate().filter(|(j, _)| j % 4 != 0).for_each(|(_, w)| *w = 0.0);
        let targets = |x: &[f64], number| -> Vec<f64> {
            let signal = column_sum_product(x, d, &truth);
            let noise = stream(number).gausses(signal.len());
            signal.into_iter().zip(noise).map(|(z, e)| target(z, e)).collect()
        };
        let (x, x_valid) = (inputs(0, n), inputs(1, n.div_ceil(2)));
        let (y, y_valid) = (targets(&x, 3), targets(&x_valid, 4));
        let log_penalty = stream(5).gausses(d).into_iter().map(|g| -4.0 + 0.25 * g).collect();
        let w0 = stream(6).gausses(d).into_iter().map(|g| 0.1 * g).collect();
        Self { x, y, x_valid, y_valid, log_penalty, w0 }
    }
}

/// The arrays of workload 2: a softmax classifier with one weight logit per training sample.
///
/// Each image is the sparse prototype of its class plus noise, clamped to `[0, 1]`. Half of the training labels are
/// replaced by random ones; the validation labels are clean. Matrices are row-major.
#[derive(Debug, Clone)]
pub struct W2 {
    /// Training images, `SAMPLES` by `FEATURES`.
    pub x: Vec<f64>,
    /// Training labels, noisy.
    pub labels: Vec<u32>,
    /// Validation images, `VALIDATION` by `FEATURES`.
    pub x_valid: Vec<f64>,
    /// Validation labels, clean.
    pub labels_valid: Vec<u32>,
    /// Outer variable: the logit of the weight of each training sample.
    pub logits: Vec<f64>,
    /// Initial weights of the inner loop, `FEATURES` by `CLASSES`.
    pub w0: Vec<f64>,
}

impl W2 {
    /// Number of training samples.
    pub const SAMPLES: usize = 5000;
    /// Number of validation samples.
    pub const VALIDATION: usize = 5000;
    /// Pixels per image.
    pub const FEATURES: usize = 784;
    /// Number of classes.
    pub const CLASSES: u32 = 10;

    /// The workload of the given seed.
    pub fn new(seed: u64) -> Self {
        let (n, m, d, k) = (Self::SAMPLES, Self::VALIDATION, Self::FEATURES, Self::CLASSES);
        let stream = |number| Stream::new(seed, number);
        let classes = |number, count: usize| -> Vec<u32> {
            (0..count as u64).map(|i| stream(number).class(i, k)).collect()
        };
        let mut prototypes = stream(0).uniforms(k as usize * d);
        prototypes.iter_mut().filter(|p| **p < 0.7).for_each(|p| *p = 0.0);
        let images = |classes: &[u32], number| -> Vec<f64> {
            let mut x = stream(number).gausses(classes.len() * d);
            for (image, &class) in x.chunks_exact_mut(d).zip(classes) {
                let prototype = &prototypes[class as usize * d..][..d];
                for (x, p) in image.iter_mut().zip(prototype) {
                    *x = (0.4 * p + 0.4 * *x).clamp(0.0, 1.0);
                }
            }
            x
        };
        let (clean, labels_valid) = (classes(1, n), classes(5, m));
        let replaced = classes(4, n);
        let (x, x_valid) = (images(&clean, 2), images(&labels_valid, 6));
        let coins = stream(3).uniforms(n);
        let labels = (0..n).map(|i| if coins[i] < 0.5 { replaced[i] } else { clean[i] }).collect();
        let logits = stream(7).gausses(n).into_iter().map(|g| 0.5 * g).collect();
        let w0 = stream(8).gausses(d * k as usize).into_iter().map(|g| 0.01 * g).collect();
        Self { x, labels, x_valid, labels_valid, logits, w0 }
    }
}

/// The arrays of workload 3, a learned start: 25 regression tasks on sines, and the start of a 1-40-40-1 network.
#[derive(Debug, Clone)]
pub struct W3 {
    /// Inputs of the support points, one task after the other.
    pub x: Vec<f64>,
    /// Targets of the support points.
    pub y: Vec<f64>,
    /// Inputs of the query points.
    pub x_query: Vec<f64>,
    /// Targets of the query points.
    pub y_query: Vec<f64>,
    /// The start: first layer and bias, second layer and bias, last layer and bias.
    pub start: [Vec<f64>; 6],
}

impl W3 {
    /// Number of tasks.
    pub const TASKS: usize = 25;
    /// Support points per task, and query points per task.
    pub const POINTS: usize = 10;
    /// Units per hidden layer.
    pub const HIDDEN: usize = 40;

    /// The workload of the given seed.
    pub fn new(seed: u64) -> Self {
        Self::sized(seed, Self::TASKS)
    }

    /// The workload of the given seed with another number of tasks.
    pub fn sized(seed: u64, tasks: usize) -> Self {
        /// `1 / (2 pi)`
        const TURNS: f64 = 0.159_154_943_091_895_35;
        let stream = |number| Stream::new(seed, number);
        let scaled = |number, n: usize, scale: f64| -> Vec<f64> {
            stream(number).gausses(n).into_iter().map(|g| scale * g).collect()
        };
        let amplitude = stream(0).uniforms(tasks);
        let phase = stream(1).uniforms(tasks);
        let inputs = |number| stream(number).uniforms_between(tasks * Self::POINTS, -5.0, 5.0);
        let targets = |x: &[f64]| -> Vec<f64> {
            let of = |(i, &x): (usize, &f64)| {
                let task = i / Self::POINTS;
                (0.1 + 4.9 * amplitude[task]) * parabolic_sine(x * TURNS + 0.5 * phase[task])
            };
            x.iter().enumerate().map(of).collect()
        };
        let (x, x_query) = (inputs(2), inputs(3));
        let (h, root) = (Self::HIDDEN, (Self::HIDDEN as f64).sqrt());
        let divided = |number, n| -> Vec<f64> {
            stream(number).gausses(n).into_iter().map(|g| g / root).collect()
        };
        let start = [
            scaled(4, h, 1.0),
            scaled(5, h, 0.1),
            divided(6, h * h),
            scaled(7, h, 0.1),
            divided(8, h),
            scaled(9, 1, 0.1),
        ];
        Self { y: targets(&x), y_query: targets(&x_query), x, x_query, start }
    }
}

/// The arrays of workload 4, on scalars: ten inner variables coupled in a chain.
#[derive(Debug, Clone)]
pub struct W4 {
    /// Outer variable: the logarithms of the couplings, and the slopes of the other terms.
    pub lambda: Vec<f64>,
    /// Start of the inner loop.
    pub w0: Vec<f64>,
    /// Targets of the outer loss.
    pub target: Vec<f64>,
}

impl W4 {
    /// Number of inner variables, and of outer variables.
    pub const SIZE: usize = 10;

    /// The workload of the given seed.
    pub fn new(seed: u64) -> Self {
        let [lambda, w0, target] = [0, 1, 2].map(|k| Stream::new(seed, k).gausses(Self::SIZE));
        Self { lambda: lambda.into_iter().map(|g| 0.3 * g).collect(), w0, target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::checksum;

    /// Compares an array with the checksum and first entries of the reference implementation.
    #[track_caller]
    fn check(values: &[f64], sum: u64, first: [f64; 4]) {
        assert_eq!(values[..4], first);
        assert_eq!(checksum(values), sum, "checksum {:016x}", checksum(values));
    }

    fn check_w1_inputs(w: &W1) {
        let first = [
            -0.225_756_518_000_000_02,
            0.940_716_935_294_117_7,
            -0.403_499_675,
            -0.606_420_884_905_660_3,
        ];
        check(&w.x, 0x73b0_2632_676b_fbba, first);
        let first = [
            0.197_715_349,
            0.561_149_855_882_352_9,
            -1.697_326_287_499_999_7,
            0.318_818_512_264_150_9,
        ];
        check(&w.x_valid, 0x4b96_ee6e_08c0_251e, first);
        let first = [-3.772_664_349_25, -4.425_328_504_25, -3.629_320_060_5, -3.745_052_651_5];
        check(&w.log_penalty, 0x8610_faa1_e5d4_96ea, first);
        let first =
            [-0.069_656_272_4, 0.034_762_063_700_000_005, 0.023_844_243_8, -0.074_696_282_7];
        check(&w.w0, 0x89ef_d291_2cfb_e850, first);
    }

    #[test]
    fn ridge_arrays_equal_the_reference() {
        let w = W1::ridge(1);
        check_w1_inputs(&w);
        let first = [
            3.727_776_669_958_885,
            4.043_815_502_055_470_5,
            -1.907_072_250_187_255_5,
            3.002_537_142_507_504_7,
        ];
        check(&w.y, 0xa373_33fb_014d_d1c4, first);
        let first = [
            -8.622_695_355_849_782,
            1.907_271_425_461_558_4,
            1.555_529_815_568_493_1,
            2.178_597_655_809_757_5,
        ];
        check(&w.y_valid, 0xb101_3aaa_6520_ffcc, first);
    }

    #[test]
    fn logistic_arrays_equal_the_reference() {
        let w = W1::logistic(1);
        check_w1_inputs(&w);
        check(&w.y, 0x7000_0000_0000_0000, [1.0, 1.0, -1.0, 1.0]);
        check(&w.y_valid, 0x5c00_0000_0000_0000, [-1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn hyperclean_arrays_equal_the_reference() {
        let one_hot = |labels: &[u32]| -> Vec<f64> {
            let rows = labels.iter().flat_map(|l| (0..W2::CLASSES).map(move |c| c == *l));
            rows.map(f64::from).collect()
        };
        let w = W2::new(2);
        let first =
            [0.260_346_793_200_000_04, 0.338_187_969_489_491_9, 0.101_011_638, 0.470_171_91];
        check(&w.x, 0x521c_3b1b_982a_9d6e, first);
        check(&one_hot(&w.labels), 0xacc0_0000_0000_0000, [0.0, 0.0, 0.0, 0.0]);
        check(&w.x_valid, 0x8053_621d_2851_2e59, [0.0, 0.750_127_863_090_703_3, 0.0, 0.0]);
        check(&one_hot(&w.labels_valid), 0x61a0_0000_0000_0000, [0.0, 0.0, 1.0, 0.0]);
        let first = [0.669_512_642_5, -0.645_964_403_500_000_1, -0.640_361_455_5, -0.277_425_213];
        check(&w.logits, 0x2165_5ea7_fe53_32d4, first);
        let first = [
            -0.001_441_173_37,
            0.007_802_369_380_000_001,
            -0.012_216_540_96,
            -0.003_095_364_480_000_000_4,
        ];
        check(&w.w0, 0x9854_3cad_a248_c715, first);
    }

    #[test]
    fn chain_arrays_equal_the_reference() {
        let w = W4::new(4);
        let first = [0.071_104_581_6, -0.084_741_945_6, 0.471_868_651_8, 0.436_792_083];
        check(&w.lambda, 0xef4c_809e_dbcf_7e4f, first);
        let first = [1.203_840_95, -0.353_487_875, -0.320_530_912, -1.626_097_083];
        check(&w.w0, 0xef9e_384e_68cc_4ff0, first);
        let first = [-1.824_103_151, -0.796_543_631, -0.770_141_06, -0.304_594_225];
        check(&w.target, 0xf2d2_8c34_ef8f_b432, first);
    }

    #[test]
    fn learned_start_arrays() {
        let w = W3::new(3);
        let sums = [&w.x, &w.y, &w.x_query, &w.y_query].map(|a| checksum(a));
        let expected = [
            0xe97f_4e10_7d13_9b22,
            0x0f30_6c31_176e_9cbd,
            0x829b_8c8e_ab44_4046,
            0x29a4_9929_1531_5247,
        ];
        assert_eq!(sums, expected);
        let expected = [
            0x2f92_4306_c2c5_6b4e,
            0x2283_8797_7b96_adce,
            0x38ae_7262_bf59_dd65,
            0x824a_4f46_5d5e_3749,
            0xaa9d_dd4a_5bdf_8dd3,
            0x3f9c_63af_8e08_d2f4,
        ];
        assert_eq!(w.start.each_ref().map(|a| checksum(a)), expected);
    }
}
