//! A curve fitted to a million observations: Newton's method with value, gradient and Hessian of the sum, eight
//! observations at a time, by two threads.
//!
//! `cargo run --release -p hypertape-autodiff --example many_observations`

use std::thread::scope;
use std::time::Instant;

use hypertape_autodiff::scalar::{Function, Map, Observations, Real, solve};
use hypertape_autodiff::{Fault, Method};

/// Half the square of what `x_0 + x_1 / (1 + e^{-x_2 (t - x_3)})` misses of `y`.
struct Growth;

impl Function for Growth {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        let [base, height, rate, middle, t, seen] = [x[0], x[1], x[2], x[3], x[4], x[5]];
        y[0] = (base + height * (rate * (t - middle)).sigmoid() - seen).square() * 0.5;
    }
}

/// Value, gradient and Hessian of a sum over observations, the sums of parts added in their order.
fn sum(
    maps: &mut [Map<f64>],
    x: &[f64],
    all: Observations<'_, f64>,
    count: usize,
) -> Result<(f64, [f64; 4], [f64; 16]), Fault> {
    let size = count.div_ceil(maps.len());
    let parts: Vec<_> = scope(|scope| {
        let start = |(k, map): (usize, &mut Map<f64>)| {
            let part = all.part(k * size..(k + 1) * size);
            let (mut g, mut h) = ([0.0; 4], [0.0; 16]);
            map.hessian(&Growth, x, part, &mut g, &mut h).map(|value| (value, g, h))
        };
        let parts: Vec<_> =
            maps.iter_mut().enumerate().map(|part| scope.spawn(move || start(part))).collect();
        parts.into_iter().map(|part| part.join().expect("no panic")).collect()
    });
    let mut total = (0.0, [0.0; 4], [0.0; 16]);
    for part in parts {
        let (value, g, h) = part?;
        total.0 += value;
        total.1.iter_mut().zip(g).for_each(|(total, part)| *total += part);
        total.2.iter_mut().zip(h).for_each(|(total, part)| *total += part);
    }
    Ok(total)
}

fn main() -> Result<(), Fault> {
    const COUNT: usize = 1_000_000;
    let truth = [0.5, 2.0, 1.5, 0.25];
    let curve = |t: f64| truth[0] + truth[1] / (1.0 + (-truth[2] * (t - truth[3])).exp());
    let times = (0..COUNT).map(|i| 8.0 * i as f64 / COUNT as f64 - 4.0);
    let data: Vec<f64> = times.flat_map(|t| [t, curve(t)]).collect();
    let (mut maps, mut x) = ([Map::new(), Map::new()], [0.4, 2.1, 1.4, 0.1]);
    for iteration in 0.. {
        let start = Instant::now();
        let (value, gradient, hessian) =
            sum(&mut maps, &x, Observations::new(COUNT, &data), COUNT)?;
        println!("{iteration}: {value:.3e} at {x:.6?}, {:.0?}", start.elapsed());
        let step = solve(&hessian, &gradient, Method::Lu)?;
        x.iter_mut().zip(&step).for_each(|(x, step)| *x -= step);
        if step.iter().all(|step| step.abs() < 1e-12) {
            break;
        }
        assert!(iteration < 20, "Newton's method converges quadratically here");
    }
    assert!(x.iter().zip(truth).all(|(x, truth)| (x - truth).abs() < 1e-9), "{x:?}");
    Ok(())
}
