//! The inner run of one task: its steps forward, its end, its steps in reverse.

use std::sync::Mutex;

use hypertape_autodiff::{Element, all_finite, axpy, dot};

use crate::adjoint::{Chain, Length};
use crate::draw::Draw;
use crate::error::Error;
use crate::inner::InnerLoop;
use crate::oracle::{Oracle, Point};
use crate::rule::Step;

/// What one task's gradient is about.
#[derive(Clone, Copy, Debug)]
pub struct At<'v, T> {
    /// The outer point.
    pub x: &'v [T],
    /// The outer iteration and the task.
    pub draw: Draw,
    /// The task's place in the meta-batch.
    pub slot: usize,
}

/// What sees the adjoint of a state and the gradient so far, after so many reversed steps, and may change them.
pub(crate) type Look<'l, T> =
    &'l mut dyn FnMut(&mut Rollout<T>, usize, &mut [T], &mut [T]) -> Result<(), Error>;

/// The inner loop of one task, with the vectors that its steps need. A state is `w` and what the rule remembers.
///
/// Memory: one vector of `p` values; one more where the rule is not a multiple of the gradient, and one where it takes
/// the gradient ahead; `d` values from the first reverse step on.
pub(crate) struct Rollout<'o, 'p, 'v, T> {
    pub(crate) oracle: &'o mut Oracle<'p, T>,
    inner: &'v InnerLoop,
    x: &'v [T],
    draw: Draw,
    /// A gradient, later a product with the Hessian.
    product: Vec<T>,
    /// The adjoint of a gradient.
    u: Vec<T>,
    /// The point of the gradient, if it is not `w`.
    ahead: Vec<T>,
    mixed: Vec<T>,
    /// State and gradient of each kept step, where the rule's pull-back needs them.
    beside: Vec<Vec<T>>,
    ended: bool,
    /// Steps that were taken before those of a chain.
    skip: usize,
    /// Steps that were reversed, and who wants to see that.
    reversed: usize,
    pub(crate) look: Option<Look<'v, T>>,
}

impl<'o, 'p, 'v, T: Element> Rollout<'o, 'p, 'v, T> {
    /// The loop at its start, and the state there.
    pub(crate) fn start(
        oracle: &'o mut Oracle<'p, T>,
        inner: &'v InnerLoop,
        At { x, draw, .. }: At<'v, T>,
    ) -> Result<(Self, Vec<T>), Error> {
        let p = oracle.inner_dim();
        let mut state = oracle.take(oracle.state_dim())?;
        let product = oracle.take(p)?;
        oracle.init(x, draw, &mut state[..p])?;
        state[p..].fill(T::zero());
        let (mut u, mut ahead) = (Vec::new(), Vec::new());
        let step = Step::new(0, inner.lr());
        if oracle.multiple(step).is_none() {
            u = oracle.take(p)?;
            ahead = oracle.take(p)?;
            if !oracle.query(x, &state, step, &mut ahead)? {
                oracle.give(std::mem::take(&mut ahead));
            }
        }
        let (mixed, beside, ended) = (Vec::new(), Vec::new(), false);
        let (skip, reversed, look) = (0, 0, None);
        let run = Self {
            oracle,
            inner,
            x,
            draw,
            product,
            u,
            ahead,
            mixed,
            beside,
            ended,
            skip,
            reversed,
            look,
        };
        Ok((run, state))
    }

    /// Takes all steps but the last `depth`; what follows counts its own from there.
    pub(crate) fn skip_to(&mut self, depth: usize, state: &mut [T]) -> Result<(), Error> {
        let skip = self.inner.steps().saturating_sub(depth);
        (0..skip).try_for_each(|t| self.advance(t, state))?;
        self.skip = skip;
        Ok(())
    }

    /// Shows the adjoint.
    pub(crate) fn show(&mut self, bar: &mut [T], x_bar: &mut [T]) -> Result<(), Error> {
        let Some(look) = self.look.take() else { return Ok(()) };
        look(self, self.reversed, bar, x_bar)?;
        self.look = Some(look);
        self.reversed += 1;
        Ok(())
    }

    /// Takes all steps; `see` is shown each gradient, and the step that the rule made of it where that is no multiple.
    pub(crate) fn forward(
        &mut self,
        state: &mut [T],
        mut see: impl FnMut(&[T], &[T]),
    ) -> Result<(), Error> {
        for t in 0..self.inner.steps() {
            self.gradient(t, state, None)?;
            self.update(t, state)?;
            see(&self.product, &self.u);
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// The number of steps, known or not.
    pub(crate) fn length(&self) -> Length {
        let most = self.inner.steps() - self.skip;
        if self.inner.tolerance().is_some() { Length::AtMost(most) } else { Length::Known(most) }
    }

    fn step(&self, index: usize) -> Step {
        Step::new(index, self.inner.lr())
    }

    /// What the rule multiplies the gradient by, if that is all it does at the first step. Should it do more at a later
    /// one, against its contract, the result is NaN.
    fn multiple(&self, step: Step) -> Option<f64> {
        self.u.is_empty().then(|| self.oracle.multiple(step).unwrap_or(f64::NAN))
    }

    /// Writes the gradient at the state before step `t` into `product`, and keeps its recording in `slot`, if given.
    fn gradient(&mut self, t: usize, state: &[T], slot: Option<usize>) -> Result<(), Error> {
        let step = self.step(t);
        let Self { oracle, x, draw, product, ahead, .. } = self;
        let mut w = &state[..product.len()];
        if !ahead.is_empty() {
            oracle.query(x, state, step, ahead)?;
            w = ahead;
        }
        let point = Point { w, x, draw: *draw };
        match slot {
            None => oracle.inner_gradient(point, t, product).map(|_| ())?,
            Some(slot) => oracle.keep_gradient(point, t, slot, product).map(|_| ())?,
        }
        if all_finite(product) {
            return Ok(());
        }
        let quantity = "the gradient of the inner loss";
        Err(Error::NonFinite { quantity, step: Some(t), lr: step.lr })
    }

    /// The update of step `t` by the gradient in `product`.
    fn update(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        let (step, p) = (self.step(t), self.product.len());
        let watched = self.inner.tolerance();
        let change = if let Some(c) = self.multiple(step) {
            axpy(state, T::from_f64(c), &self.product);
            watched.map(|_| c * c * dot(&self.product, &self.product).as_f64())
        } else {
            self.u.copy_from_slice(&state[..p]);
            self.oracle.advance(self.x, state, &self.product, step)?;
            axpy(&mut self.u, -T::one(), &state[..p]);
            watched.map(|_| dot(&self.u, &self.u).as_f64())
        };
        let within = watched.zip(change).map(|(tol, change)| change.sqrt() <= tol * step.lr);
        self.ended = within == Some(true);
        self.oracle.count_step();
        Ok(())
    }

    /// Adds what both products say to the adjoints of state and `x`.
    fn spread(
        &mut self,
        step: Step,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let c = self.multiple(step).map_or(T::one(), T::from_f64);
        let Self { oracle, x, product, ahead, mixed, .. } = self;
        axpy(x_bar, c, mixed);
        if ahead.is_empty() {
            axpy(&mut bar[..product.len()], c, product);
            return Ok(());
        }
        oracle.pull_query(x, state, step, product, bar)
    }

    fn hold_mixed(&mut self) -> Result<(), Error> {
        if self.mixed.is_empty() {
            self.mixed = self.oracle.take(self.x.len())?;
        }
        Ok(())
    }

    /// What step `t` multiplies its gradient by.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a rule that does more.
    pub(crate) fn multiple_of(&self, t: usize) -> Result<f64, Error> {
        self.multiple(self.step(t)).ok_or_else(|| {
            let expected = "one that adds a multiple of the gradient, such as gradient descent";
            Error::invalid("the inner rule", self.oracle.rule(), expected)
        })
    }

    /// `H v` at `w` and step `t`, with what the step multiplies its gradient by; on request also adds `weight` times that
    /// multiple of the mixed product to `x_bar`.
    ///
    /// # Errors
    /// As [`multiple_of`](Self::multiple_of).
    pub(crate) fn products(
        &mut self,
        t: usize,
        (w, v): (&[T], &[T]),
        x_bar: Option<(f64, &mut [T])>,
    ) -> Result<(f64, &mut [T]), Error> {
        let c = self.multiple_of(t)?;
        let point = Point { w, x: self.x, draw: self.draw };
        if let Some((weight, x_bar)) = x_bar {
            self.hold_mixed()?;
            self.oracle.inner_products(point, t, v, &mut self.product, &mut self.mixed)?;
            axpy(x_bar, T::from_f64(weight * c), &self.mixed);
        } else {
            self.oracle.hessian_product(point, t, v, &mut self.product)?;
        }
        Ok((c, &mut self.product))
    }

    /// Adds the pull-back of the start.
    pub(crate) fn pull_start(&mut self, bar: &[T], x_bar: &mut [T]) -> Result<(), Error> {
        self.oracle.pull_init(self.x, self.draw, &bar[..self.product.len()], x_bar)
    }

    /// Gives all vectors back, those in `others` too.
    pub(crate) fn close<const N: usize>(self, others: [Vec<T>; N]) {
        let own = [self.product, self.u, self.ahead, self.mixed];
        for vector in own.into_iter().chain(others).filter(|v| !v.is_empty()) {
            self.oracle.give(vector);
        }
    }
}

impl<T: Element> Chain<T> for Rollout<'_, '_, '_, T> {
    /// Cost: a step and its gradient.
    fn advance(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        let t = t + self.skip;
        self.gradient(t, state, None)?;
        self.update(t, state)
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
        let p = self.product.len();
        let (w, rest) = state.split_at_mut(p);
        rest.fill(T::zero());
        self.oracle.keep_end(self.draw, w);
        let point = Point { w, x: self.x, draw: self.draw };
        let loss = self.oracle.outer_gradient(point, &mut self.product, x_bar)?;
        w.copy_from_slice(&self.product);
        finite_loss(loss, self.inner)
    }

    /// Cost: one sweep for both products, and a gradient where the rule's pull-back needs its value.
    fn reverse(
        &mut self,
        t: usize,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.show(bar, x_bar)?;
        let t = t + self.skip;
        let step = self.step(t);
        self.hold_mixed()?;
        if !self.u.is_empty() {
            if self.oracle.nonlinear() {
                self.gradient(t, state, None)?;
            } else {
                self.product.fill(T::nan());
                if !self.ahead.is_empty() {
                    self.oracle.query(self.x, state, step, &mut self.ahead)?;
                }
            }
            self.oracle.pull(self.x, (state, &self.product), step, bar, &mut self.u, x_bar)?;
        }
        let Self { oracle, x, draw, product, ahead, u, mixed, .. } = self;
        let p = product.len();
        let w = if ahead.is_empty() { &state[..p] } else { ahead };
        let v = if u.is_empty() { &bar[..p] } else { u };
        oracle.inner_products(Point { w, x, draw: *draw }, t, v, product, mixed)?;
        self.spread(step, state, bar, x_bar)
    }

    /// Cost: the pull-back of a tape.
    fn pull(&mut self, t: usize, slot: usize, bar: &mut [T], x_bar: &mut [T]) -> Result<(), Error> {
        self.show(bar, x_bar)?;
        let step = self.step(t + self.skip);
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

    fn take(&mut self, len: usize) -> Result<Vec<T>, Error> {
        self.oracle.take(len)
    }

    fn give(&mut self, vector: Vec<T>) {
        self.oracle.give(vector);
    }

    fn hold(&mut self, bytes: usize) {
        self.oracle.hold(bytes);
    }

    fn release(&mut self, bytes: usize) {
        self.oracle.release(bytes);
    }
}

/// Runs the inner loop of every task in the meta-batch of `draw`: the mean outer loss, and `w_r` of the last task in
/// `w`. This is what an estimate costs without any derivative: `r` steps and inner gradients a task.
///
/// # Errors
/// As [`solve`].
pub fn mean_loss<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let batch = oracle.batch();
    let last = Mutex::new(w);
    let total = oracle.over_tasks(draw, false, &mut [], |oracle, slot, draw, _, _| {
        if slot + 1 == batch
            && let Ok(mut w) = last.lock()
        {
            return solve(oracle, inner, x, draw, &mut w);
        }
        let mut w = oracle.take(oracle.inner_dim())?;
        let loss = solve(oracle, inner, x, draw, &mut w);
        oracle.give(w);
        loss
    })?;
    Ok(total / T::from_f64(batch as f64))
}

/// Runs the inner loop of the task of `draw`: `w_r` in `w`, the outer loss there as result. Cost: `r` steps and inner gradients.
///
/// # Errors
/// [`Error::NonFinite`] if a gradient or the outer loss is not finite, [`Error::Function`] if the problem fails.
pub fn solve<T: Element>(
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draw: Draw,
    w: &mut Vec<T>,
) -> Result<T, Error> {
    let (mut run, mut state) = Rollout::start(oracle, inner, At { x, draw, slot: 0 })?;
    run.forward(&mut state, |_, _| ())?;
    w.clear();
    w.extend_from_slice(&state[..run.product.len()]);
    run.close([state]);
    let loss = oracle.outer_value(Point { w, x, draw })?;
    finite_loss(loss, inner)
}

/// Passes a finite outer loss on.
pub(crate) fn finite_loss<T: Element>(loss: T, inner: &InnerLoop) -> Result<T, Error> {
    if loss.is_finite() {
        Ok(loss)
    } else {
        Err(Error::NonFinite { quantity: "the outer loss", step: None, lr: inner.lr() })
    }
}
