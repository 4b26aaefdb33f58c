//! The thousand sine waves of few-shot regression (Finn, Abbeel and Levine 2017, section 5.1).
//!
//! A task is `y = A sin(s + phase)` with `A` uniform on [0.1, 5] and the phase uniform on [0, pi]. Its 10 support and
//! 10 query points have `s` uniform on [-5, 5]. A batch is 5 tasks, drawn again in each outer iteration. The weights of
//! the 1-40-40-1 network start with a standard deviation of one over the square root of the number of inputs of a unit,
//! biases start at 0.
//!
//! Streams 0 to 3 of the data seed give amplitudes, phases and points; streams 4 to 6 give the weights.

use std::f64::consts::PI;

use hypertape_autodiff::Element;

use crate::generator::Stream;
use crate::maml::{Maml, Points};
use crate::samples::convert;

const TASKS: usize = 1000;
const BATCH: usize = 5;
const SHOTS: usize = 10;
const HIDDEN: usize = 40;

impl<T: Element> Maml<T> {
    /// Sine waves from the data seed, to be run with 5 steps of size 0.01.
    pub fn sinusoid(seed: u64) -> Self {
        let between =
            |stream, n, low, high| Stream::new(seed, stream).uniforms_between(n, low, high);
        let amplitudes = between(0, TASKS, 0.1, 5.0);
        let phases = between(1, TASKS, 0.0, PI);
        let points = |stream| {
            let inputs = between(stream, TASKS * SHOTS, -5.0, 5.0);
            let task = |i: usize| (amplitudes[i / SHOTS], phases[i / SHOTS]);
            let wave = |(i, s): (usize, &f64)| task(i).0 * (s + task(i).1).sin();
            let targets: Vec<f64> = inputs.iter().enumerate().map(wave).collect();
            Points::new(&inputs, &targets)
        };
        let weights = |stream, inputs: usize, outputs: usize| {
            let mut w = Stream::new(seed, stream).gausses(inputs * outputs);
            for w in &mut w {
                *w /= (inputs as f64).sqrt();
            }
            convert(&w)
        };
        let biases = |n| vec![T::zero(); n];
        let start = [
            weights(4, 1, HIDDEN),
            biases(HIDDEN),
            weights(5, HIDDEN, HIDDEN),
            biases(HIDDEN),
            weights(6, HIDDEN, 1),
            biases(1),
        ];
        Self::new([TASKS, BATCH], [points(2), points(3)], HIDDEN, start)
    }
}
