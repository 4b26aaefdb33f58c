//! The loop of a task along directions of `x`, with tangents of its states.

use hypertape_autodiff::{Element, axpy};

use crate::error::Error;
use crate::rollout::{Rollout, finite_gradient};

impl<T: Element> Rollout<'_, '_, '_, T> {
    /// Writes the tangents of the first state, `dw_0/dx dx` and zeros, along each of the directions in `dx`, which are
    /// stored one after the other, at most [`Oracle::TOGETHER`](crate::Oracle::TOGETHER).
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails, and [`Error::Invalid`] if a length does not match.
    pub fn push_start(&mut self, dx: &[T], tangents: &mut [T]) -> Result<(), Error> {
        let (p, state) = (self.product.len(), self.oracle.state_dim());
        let directions = self.directions(state, dx, tangents)?;
        let mut dw = self.oracle.take(directions * p)?;
        self.oracle.push_init(self.at.x, self.at.draw, dx, &mut dw)?;
        tangents.fill(T::zero());
        for (tangent, dw) in columns(tangents, state).zip(dw.chunks_exact(p.max(1))) {
            tangent[..p].copy_from_slice(dw);
        }
        self.oracle.give(dw);
        Ok(())
    }

    /// Takes step `t` of any rule, and propagates `tangents` of the state along directions `dx` of `x`, as in
    /// [`push_start`](Self::push_start).
    ///
    /// Cost for `k` directions: `k` Hessian-vector and `k` mixed products from one sweep, which computes the gradient
    /// as well, and `k + 1` updates of the rule. Memory: `k p` values, or twice that if the state is more than `w`.
    ///
    /// ```
    /// use hypertape_autodiff::{Shape, scalar::Real};
    /// use hypertape_solver::{Adam, Draw, InnerLoop, Oracle, Params, Rollout, ScalarBilevel, Task};
    ///
    /// /// `g = w^2/2 + x w`, `f = w^2`, started at `w = 1`.
    /// struct Line;
    /// impl ScalarBilevel<f64> for Line {
    ///     fn start(&self) -> Params<f64> {
    ///         Params::new().with("x", Shape::SCALAR, [0.5])
    ///     }
    ///     fn inner_dim(&self) -> u32 {
    ///         1
    ///     }
    ///     fn init<R: Real>(&self, _: &[R], _: Draw, w: &mut [R]) {
    ///         w[0] = R::constant(1.0);
    ///     }
    ///     fn inner<R: Real>(&self, w: &[R], x: &[R], _: Draw) -> R {
    ///         w[0].square() * 0.5 + x[0] * w[0]
    ///     }
    ///     fn outer<R: Real>(&self, w: &[R], _: &[R], _: Draw) -> R {
    ///         w[0].square()
    ///     }
    /// }
    ///
    /// let (mut oracle, inner) = (Oracle::scalar(Line), InnerLoop::new(1, 0.5)?);
    /// oracle.set_rule(Adam::new(0.9, 0.999, 1.0)?);
    /// let task = Task { inner: &inner, x: &[0.5], draw: Draw::new(0, 0), slot: 0 };
    /// let (mut run, mut state) = Rollout::start(&mut oracle, task)?;
    /// let (dx, mut tangent) = ([1.0], [0.0; 3]);
    /// run.push_start(&dx, &mut tangent)?;
    /// run.push_step(0, &mut state, &dx, &mut tangent)?;
    /// // The first step of Adam is lr g/(|g| + eps) with g = w + x = 3/2, whose slope is eps/(|g| + eps)^2.
    /// assert!((state[0] - (1.0 - 0.5 * 1.5 / 2.5)).abs() < 1e-15);
    /// assert!((tangent[0] - -0.5 / 2.5_f64.powi(2)).abs() < 1e-15);
    /// run.close([state]);
    /// # Ok::<(), hypertape_solver::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`step`](Self::step), and [`Error::Invalid`] if a length does not match.
    pub fn push_step(
        &mut self,
        t: usize,
        state: &mut [T],
        dx: &[T],
        tangents: &mut [T],
    ) -> Result<(), Error> {
        let (step, p) = (self.at.step(t), self.product.len());
        let directions = self.directions(state.len(), dx, tangents)?;
        let multiple = self.multiple(step);
        let Self { oracle, at, product, ahead, .. } = self;
        let x = at.x;
        // The tangents of a state that is only `w` need no copy.
        let copied = if ahead.is_empty() && state.len() == p { 0 } else { directions * p };
        let [mut dw, mut pushed] = [oracle.take(copied)?, oracle.take(directions * p)?];
        for (tangent, dw) in columns(tangents, state.len()).zip(columns(&mut dw, p)) {
            if ahead.is_empty() {
                dw.copy_from_slice(&tangent[..p]);
            } else {
                oracle.push_query(x, [state, tangent], step, dw)?;
            }
        }
        let mut w = &state[..p];
        if !ahead.is_empty() {
            oracle.query(x, state, step, ahead)?;
            w = ahead;
        }
        let point = at.point(w);
        let along = if copied == 0 { &*tangents } else { &dw };
        oracle.push_gradient(point, t, [along, dx], product, &mut pushed)?;
        finite_gradient(product, step)?;
        let Self { oracle, product, .. } = self;
        let moved = columns(tangents, state.len()).zip(pushed.chunks_exact(p.max(1)));
        for ((tangent, pushed), dx) in moved.zip(dx.chunks_exact(x.len().max(1))) {
            match multiple {
                Some(c) => axpy(tangent, T::from_f64(c), pushed),
                None => oracle.push(x, (state, tangent), [product, pushed], dx, step)?,
            }
        }
        oracle.give(pushed);
        oracle.give(dw);
        self.update(t, state)
    }

    /// Returns the number of directions, and checks that each has a tangent.
    fn directions(&self, state: usize, dx: &[T], tangents: &[T]) -> Result<usize, Error> {
        let directions = dx.len() / self.at.x.len().max(1);
        Error::expect_length("the tangents of a state", directions * state, tangents.len())?;
        Ok(directions)
    }
}

/// Returns the vectors of `n` values that are stored one after the other.
fn columns<T>(all: &mut [T], n: usize) -> std::slice::ChunksExactMut<'_, T> {
    all.chunks_exact_mut(n.max(1))
}
