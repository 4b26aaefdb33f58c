//! `Residuals`: conjugate residuals (Stiefel 1955) for a symmetric matrix, which minimise `|b - A v|` in every
//! iteration.

use hypertape::prelude::*;

spelled! {
    /// The linear solver. `k` iterations take `k + 1` products. Memory: `4 p` values.
    #[derive(Clone, Debug)]
    pub struct Residuals: "residuals",
        "implicit, conjugate residuals; for a positive definite Hessian",
        "r + 1 gradients, iterations + 2 HVPs" {
        /// The stopping criterion.
        pub stop: Stop = Stop::default();
    }
}

impl<T: Element> LinearSolver<T> for Residuals {
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let ([mut r, mut ar, mut u, mut au], limit) =
            (system.vectors()?, self.stop.residual(system.b));
        system.residual(&mut r)?;
        system.product(&r, &mut ar)?;
        u.copy_from_slice(&r);
        au.copy_from_slice(&ar);
        let mut iterations = 0;
        while norm(&r) > limit && iterations < self.stop.iterations {
            let curvature = dot(&r, &ar);
            let step = curvature / dot(&au, &au);
            axpy(system.v, step, &u);
            axpy(&mut r, -step, &au);
            system.product(&r, &mut ar)?;
            let keep = dot(&r, &ar) / curvature;
            for (towards, from) in [(&mut u, &r), (&mut au, &ar)] {
                scale(towards, keep);
                axpy(towards, T::one(), from);
            }
            iterations += 1;
        }
        system.give([r, ar, u, au]);
        Ok(iterations)
    }
}
