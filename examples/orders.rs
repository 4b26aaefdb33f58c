//! The numbers of oracle calls that AID-BiO, ITD-BiO and stocBiO take to reach `|dPhi/dx|^2 <= eps`, as the condition
//! number `kappa` grows and as `eps` shrinks, compared with the bounds of Ji, Yang and Liang (2021, tables 1 and 2).
//!
//! ```text
//! g = sum_i a_i w_i^2/2 - x_i w_i        f = sum_i w_i^2/2        Phi = sum_i x_i^2/(2 a_i^2)
//! ```
//!
//! with `a_i` from `1/kappa` to 1, four per octave, and a start at which every coordinate has the same share of `Phi`.
//! The curvatures of `Phi` are therefore at equal ratios between 1 and `kappa^2`, and gradient descent reaches `eps` in
//! about `1/eps` iterations, as in the bounds for losses that need not be convex, as long as `eps` lies well within
//! that range. The settings are those of the paper without its logarithms: `beta = 1/(8 L)` for AID-BiO and `1/(4 L)`
//! for the others with the paper's `L`, which is `1 + 2 kappa + kappa^2` here; `kappa` inner steps and `sqrt(kappa)`
//! conjugate gradient iterations for AID-BiO; `4 kappa` steps for ITD-BiO; for stocBiO `4 kappa` steps on `kappa^5/eps`
//! samples, `4 kappa` terms, and batches of `kappa^2/eps` and `kappa^2/eps 4 kappa rho^j`. A batch of `S` samples is
//! one draw of their mean, so that it may be as large as the paper requires. Iterations and calls are counted as they
//! happen.
//!
//! The bounds have one more order of `kappa`, because they allow for third derivatives, which are zero here but make
//! the paper's `L` of the order of `kappa^3`. For the products of stocBiO the order is 6 with flat batches; with the
//! geometric batches that are used here it is 7, and therefore 6 on quadratics. The results, with the 95 % intervals of
//! the fits, and the bounds in brackets:
//!
//! ```text
//! kappa, eps = 8              Gc(f)               Gc(g)               JV(g)               HV(g)
//! AID-BiO         1.90 +- 0.03 (3)    2.86 +- 0.05 (4)    1.90 +- 0.03 (3)  2.27 +- 0.08 (3.5)
//! ITD-BiO         1.90 +- 0.04 (3)    2.90 +- 0.04 (4)    2.90 +- 0.04 (4)    2.90 +- 0.04 (4)
//! stocBiO         3.83 +- 0.07 (5)    7.86 +- 0.14 (9)    3.85 +- 0.07 (5)    5.86 +- 0.15 (6)
//! 1/eps, kappa = 16
//! AID-BiO         0.87 +- 0.07 (1)    0.87 +- 0.07 (1)    0.87 +- 0.07 (1)    0.87 +- 0.07 (1)
//! ITD-BiO         0.86 +- 0.06 (1)    0.86 +- 0.06 (1)    0.86 +- 0.06 (1)    0.86 +- 0.06 (1)
//! stocBiO         1.86 +- 0.09 (2)    1.87 +- 0.10 (2)    1.87 +- 0.10 (2)    1.87 +- 0.09 (2)
//! ```
//!
//! The exponents are below whole orders because `(1 + kappa)^2` grows more slowly than `kappa^2`, because three to
//! eight conjugate gradient iterations need two additional products, and because the range of curvatures is bounded.
//!
//! `cargo run --release --no-default-features --example orders` takes half a minute.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::atomic::{AtomicU64, Ordering};

use hypertape::coupling::Warm;
use hypertape::linear::{Cg, Stop};
use hypertape::problems::generator::Stream;
use hypertape::{
    Array, Bilevel, Draw, Error, Estimator, Exact, Implicit, InnerLoop, Level, List, Optimiser,
    Oracle, Params, Rows, Run, Shape, StochasticNeumann, Terms,
};
use rand::RngExt;

/// Batch sizes of stocBiO.
#[derive(Clone, Copy)]
struct Batches {
    steps: u64,
    inner: f64,
    outer: f64,
    first: f64,
    decay: f64,
}

struct Spectrum<'c> {
    a: Vec<f64>,
    batches: Option<Batches>,
    /// Samples of `f`, and samples of `g` in the inner steps, after them, and in the factors.
    seen: &'c [AtomicU64; 4],
}

impl Spectrum<'_> {
    /// Noise of one sample: relative for Hessians, absolute for gradients.
    const NOISE: f64 = 0.5;

    /// Counts the samples of an evaluation and draws their noise.
    fn noise<'a, A: Array<'a, Elem = f64>>(&self, like: A, draw: Draw, stream: u64) -> Option<A> {
        let b = self.batches?;
        let (place, size) = match draw.level {
            Level::Outer => (0, b.outer),
            _ if draw.step < b.steps => (1, b.inner),
            _ if draw.step == b.steps => (2, b.outer),
            _ => (3, b.first * b.decay.powf((draw.step - b.steps - 1) as f64)),
        };
        let size = size.ceil().max(1.0);
        if stream == 0 {
            self.seen[place].fetch_add(whole(size) as u64, Ordering::Relaxed);
        }
        let numbers = Stream::new(draw.stream().random(), stream);
        let n = self.a.len();
        let values: Vec<f64> =
            (0..n as u64).map(|i| Self::NOISE * numbers.gauss(i) / size.sqrt()).collect();
        Some(like.constant(like.shape(), like.arena().copy(&values).ok()?))
    }
}

impl Bilevel<f64> for Spectrum<'_> {
    fn start(&self) -> Params<f64> {
        let rows = Shape::column(u32::try_from(self.a.len()).expect("few"));
        Params::new().with("x", rows, self.a.iter().copied())
    }
    fn init<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0).broadcast_to(x[0].shape())])
    }
    fn inner<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], x: &[A], d: Draw, _: Rows) -> A {
        let (w, a) = (w[0], w[0].constant(w[0].shape(), &self.a));
        let plain = (w * a).dot(w) * 0.5 - x[0].dot(w);
        match (self.noise(w, d, 0), self.noise(w, d, 1)) {
            (Some(bent), Some(moved)) => plain + (w * a * bent).dot(w) * 0.5 + moved.dot(w),
            _ => plain,
        }
    }
    fn outer<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A], _: &[A], d: Draw, _: Rows) -> A {
        let plain = w[0].dot(w[0]) * 0.5;
        self.noise(w[0], d, 0).map_or(plain, |noise| plain + noise.dot(w[0]))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
fn whole(size: f64) -> usize {
    size.round() as usize
}

/// Returns the numbers of gradients of `f` and of `g` and of products with the mixed derivative and with the Hessian,
/// until `|dPhi/dx|^2 <= eps`.
fn calls(algorithm: &str, kappa: f64, eps: f64) -> Result<[f64; 4], Error> {
    let a: Vec<f64> = (0..=whole(4.0 * kappa.log2())).map(|i| (-(i as f64) / 4.0).exp2()).collect();
    let smooth = 1.0 + 2.0 * kappa + kappa * kappa;
    let (steps, terms) = match algorithm {
        "AID-BiO" => (whole(kappa), whole(kappa.sqrt())),
        _ => (whole(4.0 * kappa), whole(4.0 * kappa)),
    };
    let (mut beta, lr) = (1.0 / (4.0 * smooth), 0.9);
    let size = kappa * kappa / eps;
    let mut batches = None;
    let mut estimator: Box<dyn Estimator<f64>> = match algorithm {
        "AID-BiO" => {
            beta /= 2.0;
            let stop = Stop { iterations: terms, tolerance: 0.0 };
            Box::new(Implicit::new(Cg { stop })?.warm())
        }
        "ITD-BiO" => Box::new(Exact::default()),
        _ => {
            batches = Some(Batches {
                steps: steps as u64,
                inner: kappa.powi(5) / eps,
                outer: size,
                first: size * terms as f64,
                decay: 1.0 - lr / kappa,
            });
            let terms = Terms::StocBio { terms, batches: 1.0, decay: 1.0 };
            Box::new(StochasticNeumann::new(terms, None)?)
        }
    };
    let seen = std::array::from_fn(|_| AtomicU64::new(0));
    let mut oracle = Oracle::new(Spectrum { a: a.clone(), batches, seen: &seen })?;
    let mut x = oracle.start().values().to_vec();
    let (inner, outer) = (InnerLoop::new(steps, lr)?, Optimiser::sgd(beta)?);
    let run = Run::new(inner, outer, 1_000_000, 1).coupled(Warm);
    let mut total = [0_u64; 4];
    run.go(&mut oracle, estimator.as_mut(), &mut x, |record, x| {
        let cost = record.cost;
        let now = [1, cost.inner_gradients, cost.mixed, cost.hvps];
        total.iter_mut().zip(now).for_each(|(sum, n)| *sum += n);
        let slope: f64 = x.iter().zip(&a).map(|(x, a)| (x / (a * a)).powi(2)).sum();
        if slope <= eps { Break(()) } else { Continue(()) }
    })?;
    if batches.is_some() {
        // The samples after the last step are counted twice, for the mixed product and for the report.
        let [f, steps, mixed, factors] = seen.each_ref().map(|n| n.load(Ordering::Relaxed));
        total = [f, steps, mixed / 2, factors];
    }
    Ok(total.map(|n| n as f64))
}

/// Returns the slope of the least-squares line through the points, and half of its 95 % confidence interval.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    /// Quantiles 0.975 of Student's distribution with 3, 4 and 5 degrees of freedom.
    const STUDENT: [f64; 3] = [3.182, 2.776, 2.571];
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / spread;
    let left: f64 = points.iter().map(|(x, y)| (y - my - slope * (x - mx)).powi(2)).sum();
    (slope, STUDENT[points.len() - 5] * (left / (n - 2.0) / spread).sqrt())
}

fn main() -> Result<(), Error> {
    const ALGORITHMS: [(&str, [[f64; 4]; 2]); 3] = [
        ("AID-BiO", [[3.0, 4.0, 3.0, 3.5], [1.0; 4]]),
        ("ITD-BiO", [[3.0, 4.0, 4.0, 4.0], [1.0; 4]]),
        ("stocBiO", [[5.0, 9.0, 5.0, 6.0], [2.0; 4]]),
    ];
    let kappas = |algorithm| {
        let most = if algorithm == "stocBiO" { 4 } else { 6 };
        (0..=most).map(|i| (3.0 + 0.5 * f64::from(i)).exp2())
    };
    for (axis, title) in
        ["order in kappa, eps = 8", "order in 1/eps, kappa = 16"].into_iter().enumerate()
    {
        println!("{title}: fitted, 95 % interval (bound)");
        println!("{:10}{:>20}{:>20}{:>20}{:>20}", "", "Gc(f)", "Gc(g)", "JV(g)", "HV(g)");
        for (algorithm, bounds) in ALGORITHMS {
            let points: Vec<(f64, [f64; 4])> = if axis == 0 {
                let of = |kappa| Ok((f64::ln(kappa), calls(algorithm, kappa, 8.0)?));
                kappas(algorithm).map(of).collect::<Result<_, Error>>()?
            } else {
                let of = |eps| Ok((-f64::ln(eps), calls(algorithm, 16.0, eps)?));
                [4.0, 8.0, 16.0, 32.0, 64.0].into_iter().map(of).collect::<Result<_, Error>>()?
            };
            print!("{algorithm:10}");
            for (column, bound) in bounds[axis].iter().enumerate() {
                let line: Vec<_> = points.iter().map(|(x, y)| (*x, y[column].ln())).collect();
                let (order, half) = slope(&line);
                print!("{:>20}", format!("{order:.2} +- {half:.2} ({bound})"));
            }
            println!();
        }
    }
    Ok(())
}
