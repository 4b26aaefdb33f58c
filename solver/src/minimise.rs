//! Minima of the inner loss by L-BFGS (Nocedal 1980; the line search is that of Lewis and Overton 2013).
//!
//! ```text
//! d = -P g,  P from the last ten pairs (s, y) = (change of w, change of g)        w <- w + t d
//! ```
//!
//! where `t`, found by doubling and bisection, decreases `g(w)` by at least `1e-4 t |g'd|` and the slope along `d` by
//! at least a tenth. A change that is hidden by rounding of the loss counts as a decrease.
//!
//! Cost: one inner gradient per iteration, and a few more if the line search needs them. Memory: `24 p` values.

use hypertape_autodiff::{Element, axpy, dot};

use crate::error::Error;
use crate::oracle::{Oracle, Point};
use crate::params::{norm, scale};

/// Number of pairs that are kept.
const PAIRS: usize = 10;

const ITERATIONS: usize = 1000;

/// Largest number of evaluations of a line search.
const SEARCH: usize = 40;

/// Moves `w` from that of `point` to a point where `|dg/dw|` is at most `limit`, or as close to it as rounding permits,
/// and returns the norm there.
///
/// # Errors
/// Returns [`Error::Function`] if the problem fails.
pub(crate) fn minimise<T: Element>(
    oracle: &mut Oracle<T>,
    point: Point<T>,
    step: usize,
    w: &mut [T],
    limit: T,
) -> Result<T, Error> {
    let p = w.len();
    let mut pairs = oracle.take_slots(2 * PAIRS, p)?;
    let [mut g, mut d, mut next, mut g_next] = oracle.vectors(p)?;
    let (mut products, mut known, mut newest) = ([T::zero(); PAIRS], 0, 0);
    w.copy_from_slice(point.w);
    let mut value = oracle.inner_gradient(Point { w, ..point }, step, &mut g)?;
    let mut length = norm(&g);
    for _ in oracle.each(0..ITERATIONS) {
        if !oracle.rehearses() && (length <= limit || !length.is_finite()) {
            break;
        }
        // Nocedal's two loops, from the newest pair to the oldest and back.
        d.copy_from_slice(&g);
        let place = |age: usize| (newest + PAIRS - age) % PAIRS;
        let mut along = [T::zero(); PAIRS];
        for age in 0..known {
            let k = place(age);
            along[k] = dot(&pairs[2 * k], &d) / products[k];
            axpy(&mut d, -along[k], &pairs[2 * k + 1]);
        }
        let first = if known > 0 {
            let y = &pairs[2 * newest + 1];
            products[newest] / dot(y, y)
        } else {
            length.recip()
        };
        scale(&mut d, first);
        for age in (0..known).rev() {
            let k = place(age);
            let back = dot(&pairs[2 * k + 1], &d) / products[k];
            axpy(&mut d, along[k] - back, &pairs[2 * k]);
        }
        scale(&mut d, -T::one());
        let slope = dot(&g, &d);
        if slope >= T::zero() && !oracle.rehearses() {
            break;
        }
        let (mut t, mut low, mut high, mut found) = (T::one(), T::zero(), T::infinity(), false);
        let rounding = T::from_f64(10.0) * T::epsilon() * value.abs();
        for _ in oracle.each(0..SEARCH) {
            next.copy_from_slice(w);
            axpy(&mut next, t, &d);
            let reached = oracle.inner_gradient(Point { w: &next, ..point }, step, &mut g_next)?;
            if reached.is_nan() || reached > value + T::from_f64(1e-4) * t * slope + rounding {
                high = t;
            } else if dot(&g_next, &d) < T::from_f64(0.9) * slope {
                low = t;
            } else {
                (value, found) = (reached, true);
                break;
            }
            let two = T::from_f64(2.0);
            t = if high.is_finite() { (low + high) / two } else { two * low };
        }
        if !found && !oracle.rehearses() {
            break;
        }
        let place = if known == 0 { 0 } else { (newest + 1) % PAIRS };
        let (s, y) = (2 * place, 2 * place + 1);
        pairs[s].copy_from_slice(&next);
        axpy(&mut pairs[s], -T::one(), w);
        pairs[y].copy_from_slice(&g_next);
        axpy(&mut pairs[y], -T::one(), &g);
        let product = dot(&pairs[s], &pairs[y]);
        if product > T::zero() {
            (products[place], newest, known) = (product, place, (known + 1).min(PAIRS));
        }
        w.copy_from_slice(&next);
        g.copy_from_slice(&g_next);
        length = norm(&g);
    }
    oracle.give_all([g, d, next, g_next]);
    oracle.give_slots(pairs);
    Ok(length)
}
