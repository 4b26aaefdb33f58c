//! One call that computes gradient, Hessian-vector product and mixed product of a mini-batch: 64 samples with 22
//! features of a logistic loss with one penalty per feature. Prints one line in the format of the peers' scripts, see
//! `benches/peers.py`:
//!
//! ```text
//! cargo bench --bench minibatch -- f64
//! ```

use std::hint::black_box;
use std::time::Instant;

use hypertape::{
    Array, Bilevel, Draw, Element, Error, Level, List, Oracle, Params, Point, RowLoss, Rows, Shape,
};

const SAMPLES: usize = 64;
const FEATURES: usize = 22;
/// Timed runs, and calls per run.
const RUNS: usize = 400;
const CALLS: u32 = 100;

struct MiniBatch<T> {
    samples: Vec<T>,
    labels: Vec<T>,
}

impl<T: Element> MiniBatch<T> {
    fn new() -> Self {
        let entry = |i: usize| T::from_f64((0.7 * i as f64).sin());
        let label = |i: usize| T::from_f64(if i.is_multiple_of(3) { 1.0 } else { -1.0 });
        Self {
            samples: (0..SAMPLES * FEATURES).map(entry).collect(),
            labels: (0..SAMPLES).map(label).collect(),
        }
    }
}

fn filled<T: Element>(value: f64) -> [T; FEATURES] {
    [T::from_f64(value); FEATURES]
}

impl<T: Element> Bilevel<T> for MiniBatch<T> {
    fn start(&self) -> Params<T> {
        Params::new().with("log_penalty", Shape::new(22, 1), filled(-2.0))
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.1).broadcast_to(x[0].shape())])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        let fit = w[0].linear_loss(&self.samples, RowLoss::Logistic(&self.labels), None);
        fit / SAMPLES as f64 + x[0].exp().dot(w[0].square()) * 0.5
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], draw: Draw, rows: Rows) -> A {
        self.inner(w, x, draw, rows)
    }

    fn samples(&self, _: Draw) -> usize {
        SAMPLES
    }

    fn block(&self, _: Level) -> usize {
        SAMPLES
    }
}

fn measure<T: Element>() -> Result<(), Error> {
    let mut oracle = Oracle::new(MiniBatch::<T>::new())?;
    let [w, x, v] = [0.1, -2.0, 0.3].map(filled::<T>);
    let mut out = [[T::zero(); FEATURES]; 3];
    let point = Point { w: &w, x: &x, draw: Draw::new(0, 0) };
    let loss = oracle.inner_value(point, 0)?;
    let mut seconds = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let clock = Instant::now();
        for _ in 0..CALLS {
            let [g, hv, bv] = &mut out;
            oracle.inner_sweep(black_box(point), 0, black_box(&v), g, hv, bv)?;
        }
        seconds.push(clock.elapsed().as_secs_f64() / f64::from(CALLS));
    }
    seconds.sort_unstable_by(f64::total_cmp);
    let found = out.as_flattened();
    let norm = found.iter().map(|g| g.as_f64().powi(2)).sum::<f64>().sqrt();
    let first: Vec<f64> = found.iter().take(8).map(|g| g.as_f64()).collect();
    let (median, least) = (seconds[RUNS / 2], seconds[0]);
    println!(
        "RESULT {{\"op\": \"sweep\", \"wall_med\": {median:e}, \"wall_min\": {least:e}, \"outer_loss\": {loss}, \
         \"hg_norm\": {norm:e}, \"hg_first8\": {first:?}}}"
    );
    Ok(())
}

fn main() -> Result<(), Error> {
    // Cargo passes its own flags as well.
    if std::env::args().any(|argument| argument == "f32") {
        measure::<f32>()
    } else {
        measure::<f64>()
    }
}
