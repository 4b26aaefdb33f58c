//! `Bicgstab`: the implicit hypergradient with `H v = df/dw` solved by stabilised biconjugate gradients (van der Vorst
//! 1992), on top of the public oracle. The method needs no product with a transpose, and only six vectors, whatever the
//! number of iterations.

use hypertape::prelude::*;

/// The estimator. It starts at `v = 0` and iterates down to rounding, for at most `p` iterations of two products each.
/// Memory: one state, `6 p + d` values and one sweep.
#[derive(Clone, Debug)]
pub struct Bicgstab;

spelled! { Bicgstab: "bicgstab", "implicit, by BiCGStab", "2 HVPs an iteration" }

impl<T: Element> Estimator<T> for Bicgstab {
    fn task(&self, oracle: &mut Oracle<T>, at: Task<T>, gradient: &mut [T]) -> Result<T, Error> {
        let (state, p, last) = (final_state(oracle, at)?, oracle.inner_dim(), at.inner.steps());
        let point = at.point(&state[..p]);
        let [mut b, mut v, mut r, mut u, mut hu, mut hr] = oracle.vectors(p)?;
        let loss = finite_loss(oracle.outer_gradient(point, &mut b, gradient)?, at.inner)?;
        v.fill(T::zero());
        r.copy_from_slice(&b);
        u.copy_from_slice(&b);
        for _ in 0..p {
            let rho = dot(&b, &r);
            oracle.hessian_product(point, last, &u, &mut hu)?;
            let alpha = rho / dot(&b, &hu);
            axpy(&mut v, alpha, &u);
            axpy(&mut r, -alpha, &hu);
            if norm(&r) <= T::epsilon() * norm(&b) {
                break;
            }
            oracle.hessian_product(point, last, &r, &mut hr)?;
            let omega = dot(&hr, &r) / dot(&hr, &hr);
            axpy(&mut v, omega, &r);
            axpy(&mut r, -omega, &hr);
            let beta = dot(&b, &r) / rho * (alpha / omega);
            for ((u, &hu), &r) in u.iter_mut().zip(&hu).zip(&r) {
                *u = r + beta * (*u - omega * hu);
            }
        }
        let mut mixed = oracle.take(at.x.len())?;
        oracle.inner_products(point, last, &v, &mut hu, &mut mixed)?;
        axpy(gradient, -T::one(), &mixed);
        oracle.give_all([mixed, b, v, r, u, hu, hr, state]);
        Ok(loss)
    }
}
