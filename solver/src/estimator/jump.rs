//! The Chebyshev jump: a coarse adjoint that takes many steps at once, which [`Ufom`](crate::Ufom) makes unbiased.
//!
//! The loop is divided into `c` segments. If the Hessian of a segment of `L` steps is frozen at its middle state, with
//! `X = lr H` and `B` there, the exact sweep of the segment is
//!
//! ```text
//! v <- (I - X)^L v,    x_bar <- x_bar - lr B^T s(X) v,    s(x) = (1 - (1 - x)^L)/x
//! ```
//!
//! Here `s` is replaced by its Chebyshev interpolant `s_m` at `m` nodes of an interval for the spectrum of `X`:
//!
//! ```text
//! u = s_m(X) v,    x_bar <- x_bar - lr B^T u,    v <- v - X u
//! ```
//!
//! by Clenshaw's recursion, which takes `m - 1` products with `H` and one sweep for both products. On an exact interval
//! the error of `(I - x)^L` is about `2 exp(-m^2 / (2 L))`; `m >= L` nodes are exact. The estimate may be wrong in any
//! way as long as it does not depend on the coin. Intervals are those of Ritz values from earlier hits (8 Lanczos steps
//! from `v` at each anchor). `|u|` is limited to `e L |v|` and the new `|v|` to `e |v|`, bounds that hold on the
//! spectrum of a stable loop. A result that is not finite is replaced by the first-order one.
//!
//! Cost: `r` inner gradients, `m` products per segment. Memory: `c` states, `4 p` and `d` values, and the arenas of one
//! sweep.

use std::f64::consts::{E, PI};

use hypertape_autodiff::{Element, all_finite, axpy, dot};

use crate::error::Error;
use crate::estimator::first_order;
use crate::oracle::Oracle;
use crate::params::{largest, norm, scale};
use crate::rollout::{Rollout, Task};
use crate::tridiagonal::eigenvalue;

/// Steps of the Lanczos iteration, which finds the ends of a spectrum first.
pub(crate) const LANCZOS: usize = 8;

/// Resolution of the coarse adjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Number of segments, at most the number of steps.
    pub anchors: usize,
    /// Number of interpolation nodes, at most the number of steps of a segment.
    pub degree: usize,
}

/// Computes the coarse estimate with `intervals` of the spectra of the segments. If `ritz` is given, appends to it the
/// ends of the spectra found in this call.
pub(crate) fn evaluate<T: Element>(
    oracle: &mut Oracle<T>,
    jump: Jump,
    intervals: &[[f64; 2]],
    at: Task<T>,
    gradient: &mut [T],
    mut ritz: Option<&mut Vec<f64>>,
) -> Result<T, Error> {
    let (mut run, mut v) = Rollout::start(oracle, at)?;
    run.multiple_of(0)?;
    let (steps, n) = (at.inner.steps(), v.len());
    let segments = jump.anchors.min(steps);
    let edge = |i: usize| {
        let edge = i as u128 * steps as u128 / segments as u128;
        usize::try_from(edge).unwrap_or(usize::MAX)
    };
    let middle = |i: usize| usize::midpoint(edge(i), edge(i + 1));
    let mut states = run.oracle.take_slots(segments, n)?;
    let mut slots = (0..segments).peekable();
    for t in run.oracle.each(0..steps) {
        if let Some(i) = slots.next_if(|&i| middle(i) == t) {
            states[i].copy_from_slice(&v);
        }
        run.step(t, &mut v)?;
    }
    let loss = run.turn(&mut v, gradient)?;
    let (mut u, mut other) = (run.oracle.take(n)?, run.oracle.take(n)?);
    for i in run.oracle.each(0..segments).rev() {
        let (state, t, mut length) = (&states[i], middle(i), edge(i + 1) - edge(i));
        if run.oracle.rehearses() {
            length = length.min(2);
        }
        if let Some(ritz) = &mut ritz {
            ritz.extend(lanczos(&mut run, t, state, &v, [&mut u, &mut other])?);
        }
        let interval = intervals.get(i).copied().unwrap_or_default();
        let [series, map] = interpolant(length, jump.degree.min(length), interval);
        // `y = (X - centre) / half` maps the interval to [-1, 1].
        let [centre, half] = [map[0], map[1]];
        let m = series.len();
        u.copy_from_slice(&v);
        scale(&mut u, T::from_f64(series[m - 1]));
        other.fill(T::zero());
        for k in (0..m - 1).rev() {
            let double = if k > 0 { 2.0 } else { 1.0 };
            let (c, product) = run.products(t, (state, &u), None)?;
            scale(&mut other, -T::one());
            axpy(&mut other, T::from_f64(series[k]), &v);
            axpy(&mut other, T::from_f64(-double * c / half), product);
            axpy(&mut other, T::from_f64(-double * centre / half), &u);
            std::mem::swap(&mut u, &mut other);
        }
        let before = norm(&v).as_f64();
        cap(&mut u, E * length as f64 * before);
        let (c, product) = run.products(t, (state, &u), Some((1.0, &mut *gradient)))?;
        axpy(&mut v, T::from_f64(c), product);
        cap(&mut v, E * before);
    }
    run.pull_start(&v, gradient)?;
    run.oracle.give_slots(states);
    run.close([other, u, v]);
    if all_finite(gradient) { Ok(loss) } else { first_order::evaluate(oracle, at, gradient) }
}

fn cap<T: Element>(v: &mut [T], most: f64) {
    let found = norm(v).as_f64();
    if found > most {
        scale(v, T::from_f64(most / found));
    }
}

/// Returns the coefficients of the Chebyshev interpolant of `s` for `length` steps at `nodes` nodes, and centre and
/// half length of the interval.
///
/// The interval is cut at `-1/length`: components that grow faster are not followed.
fn interpolant(length: usize, nodes: usize, [low, high]: [f64; 2]) -> [Vec<f64>; 2] {
    let low = low.max(-(length as f64).recip());
    let (centre, half) = (f64::midpoint(low, high.max(low)), (high.max(low) - low) / 2.0);
    let nodes = if half > 0.0 { nodes } else { 1 };
    let angle = |k: usize| PI * (k as f64 + 0.5) / nodes as f64;
    // Sums a geometric series, without cancellation for x below 1.
    let s = |x: f64| (0..length).fold(0.0, |sum, _| 1.0 + (1.0 - x) * sum);
    let values: Vec<f64> = (0..nodes).map(|k| s(centre + half * angle(k).cos())).collect();
    let coefficient = |j: usize| {
        let terms = values.iter().enumerate().map(|(k, s)| s * (j as f64 * angle(k)).cos());
        terms.sum::<f64>() * if j > 0 { 2.0 } else { 1.0 } / nodes as f64
    };
    [(0..nodes).map(coefficient).collect(), vec![centre, half]]
}

/// Estimates the ends of the spectrum of `X` at `w` and step `t` from the Krylov space of `v`.
fn lanczos<T: Element>(
    run: &mut Rollout<T>,
    t: usize,
    w: &[T],
    v: &[T],
    [u, before]: [&mut Vec<T>; 2],
) -> Result<[f64; 2], Error> {
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    before.fill(T::zero());
    u.copy_from_slice(v);
    let mut length = norm(u);
    while diagonal.len() < LANCZOS && length > T::zero() {
        scale(u, length.recip());
        let (c, product) = run.products(t, (w, u), None)?;
        scale(product, T::from_f64(-c));
        let along = dot(u, product);
        axpy(product, -along, u);
        if !diagonal.is_empty() {
            axpy(product, -length, before);
            beside.push(length.as_f64());
        }
        std::mem::swap(u, before);
        u.copy_from_slice(product);
        length = norm(u);
        diagonal.push(along.as_f64());
        // The remainder is rounding.
        if length.as_f64() <= 8.0 * T::epsilon().as_f64() * along.as_f64().abs() {
            break;
        }
    }
    Ok(ends(&diagonal, &beside))
}

/// Returns the smallest and the largest eigenvalue of a symmetric tridiagonal matrix, by bisection with Sturm
/// sequences.
fn ends(diagonal: &[f64], beside: &[f64]) -> [f64; 2] {
    let reach = largest(diagonal) + 2.0 * largest(beside);
    [1, diagonal.len()].map(|k| eigenvalue((diagonal, beside), k, [-reach, reach], 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolants_are_what_they_interpolate() {
        // With as many nodes as steps, a polynomial of degree L - 1 is reproduced everywhere.
        let [series, map] = interpolant(5, 5, [0.1, 1.7]);
        for x in [0.0, 0.4, 1.0, 1.9_f64] {
            let y = (x - map[0]) / map[1];
            let (mut a, mut b) = (0.0, 0.0);
            for &c in series.iter().rev() {
                (a, b) = (c + 2.0 * y * a - b, a);
            }
            let known = if x == 0.0 { 5.0 } else { (1.0 - (1.0 - x).powi(5)) / x };
            assert!((a - y * b - known).abs() < 1e-14, "{x}: {} {known}", a - y * b);
        }
        // One large explicit step.
        assert_eq!(interpolant(7, 4, [0.0, 0.0])[0], [7.0]);
    }

    #[test]
    fn ends_of_known_spectra() {
        // The matrix of second differences: 2 - 2 cos(k pi / 7).
        let [low, high] = ends(&[2.0; 6], &[-1.0; 5]);
        let known = |k: f64| 2.0 - 2.0 * (k * PI / 7.0).cos();
        assert!((low - known(1.0)).abs() < 1e-14 && (high - known(6.0)).abs() < 1e-14);
        assert!(ends(&[-3.0], &[]).iter().all(|end| (end + 3.0).abs() < 1e-14));
    }
}
