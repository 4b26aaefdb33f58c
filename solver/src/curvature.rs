//! An upper bound of the largest curvature of the inner loss, by the Lanczos process.
//!
//! The bound is the largest eigenvalue after `k` steps from a random vector, plus the norm of the remainder (Zhou and
//! Li 2011), over all samples, at the start of the inner loop. Cost: 16 Hessian-vector products. Memory: `3 p` values.

use hypertape_autodiff::{Element, axpy, dot};
use rand::RngExt;

use crate::draw::{Draw, Level, Samples};
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point};
use crate::params::{norm, scale};
use crate::tridiagonal::eigenvalue;

const STEPS: usize = 16;

impl InnerLoop {
    /// Returns the same loop with a fixed step size.
    ///
    /// If the size is to be [chosen](Self::auto), it is the inverse of an upper bound of `|d2g/dw2|` at the start of
    /// the loop, the largest over the tasks of `draw`. Derivatives hold it fixed.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] if the loss has no curvature at the start or the steps of the rule do not depend on
    /// the size of the gradient, and [`Error::Function`] if the problem fails.
    pub fn settled<T: Element>(
        &self,
        oracle: &mut Oracle<T>,
        x: &[T],
        draw: Draw,
    ) -> Result<Self, Error> {
        if !self.is_auto() {
            return Ok(*self);
        }
        if oracle.adaptive() {
            let expected = "a size, as its steps do not depend on that of the gradient";
            return Err(Error::invalid(format!("lr of {}", oracle.rule()), "auto", expected));
        }
        let mut most = 0.0_f64;
        for slot in oracle.each(0..oracle.batch()) {
            let draw = draw.for_task(oracle.task(draw, slot));
            most = most.max(bound(oracle, x, draw)?);
        }
        if oracle.rehearses() {
            most = 1.0;
        }
        if !(most > 0.0 && most.is_finite()) {
            let expected = "a positive one at the start of the loop";
            return Err(Error::invalid("the curvature that lr=auto goes by", most, expected));
        }
        Ok(self.with_lr(1.0 / most))
    }
}

fn bound<T: Element>(oracle: &mut Oracle<T>, x: &[T], draw: Draw) -> Result<f64, Error> {
    let p = oracle.inner_dim();
    let [mut w, mut q, mut before, mut next] = oracle.vectors(p)?;
    oracle.init(x, draw, &mut w)?;
    let point = Point { w: &w, x, draw: draw.on(Samples::All) };
    let mut stream = draw.at(Level::Coin, usize::MAX).stream();
    q.fill_with(|| T::from_f64(stream.random::<f64>() - 0.5));
    let length = norm(&q);
    scale(&mut q, length.recip());
    before.fill(T::zero());
    // Diagonal and off-diagonal of the tridiagonal matrix.
    let (mut alpha, mut beta, mut k) = ([0.0; STEPS], [0.0; STEPS + 1], 0);
    while k < STEPS.min(p) {
        oracle.hessian_product(point, 0, &q, &mut next)?;
        let a = dot(&q, &next);
        axpy(&mut next, -a, &q);
        axpy(&mut next, T::from_f64(-beta[k]), &before);
        let left = norm(&next);
        (alpha[k], beta[k + 1]) = (a.as_f64(), left.as_f64());
        k += 1;
        // The space is invariant up to rounding.
        if left.as_f64() <= T::epsilon().as_f64().sqrt() * a.as_f64().abs() || oracle.rehearses() {
            break;
        }
        scale(&mut next, left.recip());
        std::mem::swap(&mut before, &mut q);
        std::mem::swap(&mut q, &mut next);
    }
    let largest = largest_eigenvalue(&alpha[..k], &beta[1..k.max(1)]);
    oracle.give_all([w, q, before, next]);
    Ok(largest + beta[k])
}

/// Returns the largest eigenvalue of a symmetric tridiagonal matrix, by bisection within its Gershgorin discs.
fn largest_eigenvalue(alpha: &[f64], beta: &[f64]) -> f64 {
    let beside = |i: usize| beta.get(i).map_or(0.0, |b| b.abs());
    let reach = |i: usize| beside(i) + if i > 0 { beside(i - 1) } else { 0.0 };
    let discs = alpha.iter().enumerate().map(|(i, a)| (a - reach(i), a + reach(i)));
    let (low, high) =
        discs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (a, b)| (l.min(a), h.max(b)));
    eigenvalue((alpha, beta), alpha.len(), [low, high], 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_small_matrices() {
        // 2 on the diagonal and 1 beside it: 2 + 2 cos(pi / 4).
        let found = largest_eigenvalue(&[2.0; 3], &[1.0; 2]);
        // Sixty bisections of an interval of length 4.
        assert!((found - (2.0 + 2.0_f64.sqrt())).abs() < 4e-16 * 4.0, "{found}");
        assert_eq!(largest_eigenvalue(&[-3.0], &[]), -3.0);
    }
}
