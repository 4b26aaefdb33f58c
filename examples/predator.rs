//! Sensitivities of an ODE loop, at the memory you choose. Predators and prey (Lotka 1925; Volterra 1926) are simulated
//! by 20 000 steps of the classical Runge-Kutta method. The program prints the gradient and the curvature of the final
//! number of prey with respect to the four rates.
//!
//! `cargo run --release --example predator`

use hypertape::scalar::Real;
use hypertape::{Error, Loop, ScalarRecurrence, Schedule};

/// `u' = a u - b u v`, `v' = c u v - d v` from `(1, 1)`, with steps of size `h`.
struct Predator {
    h: f64,
}

fn slope<R: Real>([u, v]: [R; 2], x: &[R]) -> [R; 2] {
    let meetings = u * v;
    [x[0] * u - x[1] * meetings, x[2] * meetings - x[3] * v]
}

impl ScalarRecurrence<f64> for Predator {
    fn dim(&self) -> usize {
        2
    }

    fn start<R: Real>(&self, _: &[R], s: &mut [R]) {
        s.fill(R::one());
    }

    fn step<R: Real>(&self, s: &[R], x: &[R], _: usize, next: &mut [R]) {
        let (s, h) = ([s[0], s[1]], self.h);
        let ahead = |k: [R; 2], h: f64| [s[0] + k[0] * h, s[1] + k[1] * h];
        let k1 = slope(s, x);
        let k2 = slope(ahead(k1, h / 2.0), x);
        let k3 = slope(ahead(k2, h / 2.0), x);
        let k4 = slope(ahead(k3, h), x);
        let end = [0, 1].map(|i| s[i] + (k1[i] + (k2[i] + k3[i]) * 2.0 + k4[i]) * (h / 6.0));
        next.copy_from_slice(&end);
    }

    /// The number of prey at the end.
    fn loss<R: Real>(&self, s: &[R], _: &[R]) -> R {
        s[0]
    }
}

fn main() -> Result<(), Error> {
    // Growth of the prey, capture, gain of the predators, and death.
    let (steps, rates) = (20_000, [1.1, 0.4, 0.1, 0.4]);
    for schedule in ["store-all", "binomial:c=50", "binomial:c=10"] {
        let schedule: Schedule = schedule.parse()?;
        let predator = Predator { h: 30.0 / steps as f64 };
        let mut run = Loop::scalar(predator, rates.len(), steps, schedule)?;
        let (mut gradient, mut product) = ([0.0; 4], [0.0; 4]);
        let (prey, cost) = run.hvp(&rates, &[1.0, 0.0, 0.0, 0.0], &mut gradient, &mut product)?;
        println!(
            "{schedule}: {prey:.6} prey, gradient {gradient:.4?}, curvature {:.4}; {} steps, {} bytes, {:.0?}",
            product[0], cost.plain_steps, cost.bytes_measured, cost.time
        );
    }
    Ok(())
}
