//! Sensitivities of an ODE loop, at the memory you choose: predators and prey (Lotka 1925; Volterra 1926) by 20 000 steps of
//! the classical Runge-Kutta method, and the gradient and curvature of where they end in the four rates.
//!
//! `cargo run --release --example predator`

use hypertape::{Array, Element, Error, List, Loop, Params, Recurrence, Schedule, Shape};

/// `u' = a u - b u v`, `v' = c u v - d v` from `(1, 1)`, by steps of `h`.
struct Predator {
    h: f64,
}

fn slope<'a, A: Array<'a>>([u, v]: [A; 2], x: &[A]) -> [A; 2] {
    let meetings = u * v;
    [x[0] * u - x[1] * meetings, x[2] * meetings - x[3] * v]
}

impl<T: Element> Recurrence<T> for Predator {
    fn start<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> List<A> {
        List::from_slice(&[x[0].scalar(1.0), x[0].scalar(1.0)])
    }

    fn step<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], x: &[A], _: usize) -> List<A> {
        let (s, h) = ([s[0], s[1]], self.h);
        let ahead = |k: [A; 2], h: f64| [s[0] + k[0] * h, s[1] + k[1] * h];
        let k1 = slope(s, x);
        let k2 = slope(ahead(k1, h / 2.0), x);
        let k3 = slope(ahead(k2, h / 2.0), x);
        let k4 = slope(ahead(k3, h), x);
        (0..2).map(|i| s[i] + (k1[i] + (k2[i] + k3[i]) * 2.0 + k4[i]) * (h / 6.0)).collect()
    }

    /// The prey at the end.
    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, s: &[A], _: &[A]) -> A {
        s[0]
    }
}

fn main() -> Result<(), Error> {
    let (steps, rates) = (20_000, [1.1, 0.4, 0.1, 0.4]);
    let x = Params::new()
        .with("growth", Shape::SCALAR, [rates[0]])
        .with("capture", Shape::SCALAR, [rates[1]])
        .with("gain", Shape::SCALAR, [rates[2]])
        .with("death", Shape::SCALAR, [rates[3]]);
    for schedule in ["store-all", "binomial:c=50", "binomial:c=10"] {
        let schedule: Schedule = schedule.parse()?;
        let predator = Predator { h: 30.0 / steps as f64 };
        let mut run = Loop::new(predator, x.clone(), steps, schedule)?;
        let (mut gradient, mut product) = ([0.0; 4], [0.0; 4]);
        let (prey, cost) = run.hvp(&rates, &[1.0, 0.0, 0.0, 0.0], &mut gradient, &mut product)?;
        println!(
            "{schedule}: {prey:.6} prey, gradient {gradient:.4?}, curvature {:.4}; {} steps, {} bytes",
            product[0], cost.plain_steps, cost.bytes_measured
        );
    }
    Ok(())
}
