//! Steps of the inner rule: taken, pulled back, pushed forward.

use hypertape_autodiff::{Element, Fault, Workspace};

use crate::breakdown::Call;
use crate::error::Error;
use crate::oracle::Oracle;
use crate::oracle::results::in_function;
use crate::oracle::stepper::{Cut, Stepper};
use crate::params::{Params, largest};
use crate::rule::Step;

impl<T: Element> Oracle<'_, T> {
    /// The number that the rule multiplies the gradient of a step by, if that is all it does: `-lr` of gradient descent.
    pub fn multiple(&self, step: Step) -> Option<f64> {
        self.known.rule.multiple(step)
    }

    /// Whether steps come to rest where the gradient of the inner loss is zero.
    pub fn stationary(&self) -> bool {
        self.known.rule.stationary()
    }

    /// Whether reversing a step takes the value of its gradient.
    pub(crate) fn nonlinear(&self) -> bool {
        self.known.rule.nonlinear()
    }

    /// Does something of a step in the arenas.
    fn stepping<R: Default>(
        &mut self,
        x: &[T],
        act: impl FnOnce(&dyn Stepper<T>, &mut Workspace, Cut<T>) -> Result<R, Fault>,
    ) -> Result<R, Error> {
        let step = self.metered((Call::Update, 0, 0), |Self { known, memory, .. }| {
            let [inner, outer] = [known.view.inner_start(), known.view.start()].map(Params::shapes);
            let result = act(&*known.rule, memory.first(), Cut { inner, outer, x });
            result.map_err(in_function("step rule"))
        });
        step.map(|(result, _)| result)
    }

    /// Writes the point at which the gradient of a step is taken into `y`, or says that it is `w`.
    pub(crate) fn query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y: &mut [T],
    ) -> Result<bool, Error> {
        self.stepping(x, |rule, memory, cut| rule.query(memory, cut, state, step, y))
    }

    /// Adds the pull-back of `y_bar` through that point to `state_bar`.
    pub(crate) fn pull_query(
        &mut self,
        x: &[T],
        state: &[T],
        step: Step,
        y_bar: &[T],
        state_bar: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| {
            rule.pull_query(memory, cut, state, step, y_bar, state_bar)
        })
    }

    /// Takes a step, given its gradient.
    pub(crate) fn advance(
        &mut self,
        x: &[T],
        state: &mut [T],
        gradient: &[T],
        step: Step,
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| rule.advance(memory, cut, state, gradient, step))
    }

    /// Replaces the adjoint of the state after a step by that of the state before, apart from what goes through the
    /// gradient, whose adjoint it writes into `u`; adds to that of `x`.
    pub(crate) fn pull(
        &mut self,
        x: &[T],
        (state, gradient): (&[T], &[T]),
        step: Step,
        state_bar: &mut [T],
        u: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let before = largest(state_bar) * step.lr;
        self.stepping(x, |rule, memory, cut| {
            rule.pull(memory, cut, (state, gradient), step, state_bar, u, x_bar)
        })?;
        if before > 0.0 {
            self.pool.meter.note_sensitivity(largest(u) / before);
        }
        Ok(())
    }

    /// Writes the tangent of the point at which the gradient is taken, where that is not `w`.
    pub(crate) fn push_query(
        &mut self,
        x: &[T],
        state: [&[T]; 2],
        step: Step,
        dy: &mut [T],
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| rule.push_query(memory, cut, state, step, dy))
    }

    /// Replaces a tangent of the state by that of the state after a step, given those of its gradient and of `x`.
    pub(crate) fn push(
        &mut self,
        x: &[T],
        state: (&[T], &mut [T]),
        gradient: [&[T]; 2],
        dx: &[T],
        step: Step,
    ) -> Result<(), Error> {
        self.stepping(x, |rule, memory, cut| rule.push(memory, cut, state, gradient, dx, step))
    }
}
