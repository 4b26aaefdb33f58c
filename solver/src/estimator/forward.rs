//! `Forward`: the exact gradient by forward mode, which stores no steps.
//!
//! `Z_t = dw_t/dx` runs along with the inner loop (Franceschi et al. 2017, algorithm 2):
//!
//! ```text
//! Z_0 = dw_0/dx,    Z_{t+1} = Z_t - lr (H_t Z_t + B_t),    dF/dx = df/dx + Z_r^T df/dw
//! ```
//!
//! Four columns of `Z` at a time, each block of them in a run of its own: the gradient that the run needs comes with
//! the sweep of its columns, so running again costs nothing but the steps, and memory holds four columns, not `d`.
//!
//! Cost for `d` outer variables: `r d` Hessian-vector with `r d` mixed products in `r ceil(d/4)` sweeps, which evaluate the
//! inner gradients; `r ceil(d/4)` plain steps; one outer gradient. Memory: `3 p + min(4, d) (2 p + d)` values and the
//! arenas of one sweep, whatever `r`. No bias. It pays where `d` is small or memory is.

use hypertape_autodiff::{Element, all_finite, axpy, dot};

use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point, TOGETHER};
use crate::profile::Profile;
use crate::rollout::{At, finite_loss};
use crate::rule::Step;

/// The exact hypergradient by forward mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forward;

impl<T: Element> Estimator<T> for Forward {
    fn name(&self) -> String {
        "forward".into()
    }

    fn task_bytes(&self, profile: &Profile, steps: usize) -> Result<u64, Error> {
        let Profile { value, inner, outer, .. } = *profile;
        let columns = outer.min(TOGETHER as u64);
        let step = if steps > 0 { profile.push_gradient.bytes } else { 0 };
        let pieces = [profile.init.bytes, profile.push_init.bytes, profile.outer_gradient.bytes];
        let largest = pieces.into_iter().fold(step, u64::max);
        Ok(value * (3 * inner + columns * (2 * inner + outer)) + largest)
    }

    fn task(
        &self,
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        At { x, draw, .. }: At<T>,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        if inner.tolerance().is_some() {
            return Err(refused("a tolerance"));
        }
        let (p, d) = (oracle.inner_dim(), x.len());
        let most = TOGETHER.min(d);
        let (mut w, mut g, mut w_bar) = (oracle.take(p)?, oracle.take(p)?, oracle.take(p)?);
        let (mut dw, mut dg) = (oracle.take(most * p)?, oracle.take(most * p)?);
        let mut dx = oracle.take(most * d)?;
        let mut loss = T::zero();
        for first in (0..d.max(1)).step_by(TOGETHER) {
            let columns = most.min(d - first);
            let (dw, dg) = (&mut dw[..columns * p], &mut dg[..columns * p]);
            let dx = &mut dx[..columns * d];
            dx.fill(T::zero());
            (0..columns).for_each(|k| dx[k * d + first + k] = T::one());
            oracle.init(x, draw, &mut w)?;
            oracle.push_init(x, draw, dx, dw)?;
            for t in 0..inner.steps() {
                let step = Step { index: t, lr: inner.lr() };
                let Some(c) = oracle.multiple(step) else {
                    return Err(refused(oracle.rule()));
                };
                oracle.push_gradient(Point { w: &w, x, draw }, t, [dw, dx], &mut g, dg)?;
                if !all_finite(&g) {
                    let quantity = "the gradient of the inner loss";
                    return Err(Error::NonFinite { quantity, step: Some(t), lr: inner.lr() });
                }
                axpy(&mut w, T::from_f64(c), &g);
                axpy(dw, T::from_f64(c), dg);
                oracle.count_step();
            }
            if first == 0 {
                loss = oracle.outer_gradient(Point { w: &w, x, draw }, &mut w_bar, gradient)?;
            }
            for (entry, column) in gradient[first..].iter_mut().zip(dw.chunks_exact(p.max(1))) {
                *entry += dot(&w_bar, column);
            }
        }
        oracle.keep_end(draw, &w);
        for vector in [dx, dg, dw, w_bar, g, w] {
            oracle.give(vector);
        }
        finite_loss(loss, inner)
    }
}

fn refused(found: impl std::fmt::Display) -> Error {
    Error::invalid("the inner loop of forward", found, "gradient descent of so many steps")
}
