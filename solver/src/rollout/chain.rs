//! The loop of a task as a [`Chain`], which the actions of a schedule advance, record and reverse.

use hypertape_autodiff::Element;

use crate::adjoint::Chain;
use crate::error::Error;
use crate::pool::Pool;
use crate::rollout::Rollout;

impl<T: Element> Chain<T> for Rollout<'_, '_, '_, T> {
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        self.step(t + self.skip, state)
    }

    fn record(&mut self, t: usize, slot: usize, state: &mut [T]) -> Result<(), Error> {
        let t = t + self.skip;
        self.gradient(t, state, Some(slot))?;
        if !self.u.is_empty() {
            if self.beside.len() <= slot {
                self.beside.resize_with(slot + 1, Vec::new);
            }
            let mut beside = self.oracle.take(state.len() + self.product.len())?;
            beside[..state.len()].copy_from_slice(state);
            beside[state.len()..].copy_from_slice(&self.product);
            self.beside[slot] = beside;
        }
        self.update(t, state)
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        Rollout::turn(self, state, x_bar)
    }

    fn reverse(
        &mut self,
        t: usize,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.show(bar, x_bar)?;
        self.pull_step(t + self.skip, state, bar, x_bar)
    }

    /// Cost: the pull-back of a tape.
    fn pull(&mut self, t: usize, slot: usize, bar: &mut [T], x_bar: &mut [T]) -> Result<(), Error> {
        self.show(bar, x_bar)?;
        let step = self.step_at(t + self.skip);
        self.hold_mixed()?;
        let beside = self.beside.get_mut(slot).map(std::mem::take).unwrap_or_default();
        let (state, gradient) = beside.split_at(beside.len().min(bar.len()));
        if !self.u.is_empty() {
            self.oracle.pull(self.x, (state, gradient), step, bar, &mut self.u, x_bar)?;
        }
        let v = if self.u.is_empty() { &bar[..self.product.len()] } else { &self.u };
        self.oracle.pull_kept(slot, v, &mut self.product, &mut self.mixed)?;
        self.spread(step, state, bar, x_bar)?;
        if !beside.is_empty() {
            self.oracle.give(beside);
        }
        Ok(())
    }

    fn pool(&mut self) -> &mut Pool<T> {
        self.oracle.pool()
    }
}
