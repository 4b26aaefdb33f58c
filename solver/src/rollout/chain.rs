//! The loop of a task as a [`Chain`], which the actions of a schedule advance, record and reverse.

use hypertape_autodiff::Element;

use crate::adjoint::{Chain, Itinerary, Length, execute};
use crate::error::Error;
use crate::pool::Pool;
use crate::rollout::{Look, Rollout};
use crate::schedule::Schedule;

impl<'v, T: Element> Rollout<'_, '_, 'v, T> {
    /// Runs the loop from `state` and reverses it under `schedule`.
    ///
    /// Writes the direct part `df/dx` and the contribution of every step into `x_bar`, and returns the loss and the
    /// adjoint of the first state, to be [pulled back](Self::pull_start). The final content of `state` is unspecified.
    /// `look(run, bar, x_bar)` sees the adjoint and the gradient so far before each reversed step, and after the last.
    ///
    /// Cost for `r` steps: the plain steps of the schedule, `r` Hessian-vector and mixed products, and one outer
    /// gradient. Memory: a state, and what the schedule stores.
    ///
    /// # Errors
    /// Returns the errors of [`step`](Self::step), [`Error::Invalid`] if the schedule does not suit the loop,
    /// [`Error::Told`] if the loop has a tolerance and the schedule is not online, and [`Error::Spill`] if the file of
    /// stored states cannot be written or read.
    pub fn reverse_under(
        &mut self,
        schedule: Schedule,
        state: &mut Vec<T>,
        x_bar: &mut [T],
        look: Option<Look<'v, T>>,
    ) -> Result<(T, Vec<T>), Error> {
        let length = self.length();
        (self.look, self.reversed) = (look, 0);
        let mut itinerary = match self.oracle.itinerary().take() {
            Some(kept) if kept.is(schedule, length) => kept,
            _ => Itinerary::new(schedule, length, self.oracle.rehearses())?,
        };
        self.abridged = itinerary.is_abridged();
        self.keep_tapes(itinerary.tapes())?;
        let (loss, mut bar) = execute(self, &mut itinerary, state, x_bar)?;
        self.show(&mut bar, x_bar)?;
        self.look = None;
        if !self.u.is_empty() {
            self.oracle.give_slots(std::mem::take(&mut self.beside));
        }
        *self.oracle.itinerary() = Some(itinerary);
        Ok((loss, bar))
    }

    /// Takes memory for what the pull-backs of `tapes` kept steps need besides their tapes.
    pub(crate) fn keep_tapes(&mut self, tapes: usize) -> Result<(), Error> {
        if !self.u.is_empty() {
            let each = self.oracle.state_dim() + self.product.len();
            self.beside = self.oracle.take_slots(tapes, each)?;
        }
        Ok(())
    }

    /// Passes the adjoint to the [`Look`].
    fn show(&mut self, bar: &mut [T], x_bar: &mut [T]) -> Result<(), Error> {
        let Some(look) = self.look.take() else { return Ok(()) };
        look(self, bar, x_bar)?;
        self.look = Some(look);
        self.reversed += 1;
        Ok(())
    }

    /// Whether a [`Look`] sees the adjoint after `depth` reversed steps.
    ///
    /// In a rehearsal, which reverses few of the steps, this may be true for several depths.
    pub fn reached(&self, depth: usize) -> bool {
        let inside = |depth| depth > 0 && depth < self.at.inner.steps() - self.skip;
        self.reversed == depth || self.abridged && self.reversed > 0 && inside(depth)
    }

    /// The number of steps, or a bound of it.
    fn length(&self) -> Length {
        let most = self.at.inner.steps() - self.skip;
        if self.at.inner.tolerance().is_some() { Length::AtMost(most) } else { Length::Known(most) }
    }
}

impl<T: Element> Chain<T> for Rollout<'_, '_, '_, T> {
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<bool, Error> {
        self.step(t + self.skip, state)?;
        Ok(self.ended)
    }

    fn record(&mut self, t: usize, slot: usize, state: &mut [T]) -> Result<(), Error> {
        let t = t + self.skip;
        self.gradient(t, state, Some(slot))?;
        if !self.u.is_empty() {
            let (of_state, of_gradient) = self.beside[slot].split_at_mut(state.len());
            of_state.copy_from_slice(state);
            of_gradient.copy_from_slice(&self.product);
        }
        self.update(t, state)
    }

    fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        Rollout::turn(self, state, x_bar)
    }

    fn look(&mut self, bar: &mut [T], x_bar: &mut [T]) -> Result<(), Error> {
        self.show(bar, x_bar)
    }

    fn reverse(&mut self, t: usize, state: &[T], [bar, x_bar]: [&mut [T]; 2]) -> Result<(), Error> {
        self.pull_step(t + self.skip, state, bar, x_bar)
    }

    /// Cost: the pull-back of a tape.
    fn pull(&mut self, t: usize, slot: usize, [bar, x_bar]: [&mut [T]; 2]) -> Result<(), Error> {
        let step = self.at.step(t + self.skip);
        self.hold_mixed()?;
        let beside = std::mem::take(&mut self.beside);
        let (mut state, mut v): (&[T], &[T]) = (&[], &bar[..self.product.len()]);
        if !self.u.is_empty() {
            let (before, gradient) = beside[slot].split_at(bar.len());
            self.oracle.pull(self.at.x, (before, gradient), step, [bar, &mut self.u, x_bar])?;
            (state, v) = (before, &self.u);
        }
        self.oracle.pull_kept(slot, v, &mut self.product, &mut self.mixed)?;
        self.spread(step, state, [bar, x_bar])?;
        self.beside = beside;
        Ok(())
    }

    fn pool(&mut self) -> &mut Pool<T> {
        self.oracle.pool()
    }
}
