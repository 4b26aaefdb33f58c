//! The inner run of one task: its steps forward, its end, and its steps in reverse.

mod chain;
mod push;

use std::fmt;

use hypertape_autodiff::{Element, all_finite, axpy};

use crate::draw::Draw;
use crate::error::Error;
use crate::inner::InnerLoop;
pub use crate::inner::finite_loss;
use crate::oracle::{Oracle, Point};
use crate::params::{largest, norm};
use crate::pool::Slots;
use crate::rule::{RuleForm, Step};

/// The data of one task's gradient.
#[derive(Clone, Copy, Debug)]
pub struct Task<'v, T> {
    /// The inner loop.
    pub inner: &'v InnerLoop,
    /// The outer point.
    pub x: &'v [T],
    /// Outer iteration and task.
    pub draw: Draw,
    /// Place of the task in the meta-batch.
    pub slot: usize,
}

impl<'v, T> Task<'v, T> {
    /// Returns the inner variables `w` together with the task's outer point and draw.
    pub fn point(self, w: &'v [T]) -> Point<'v, T> {
        Point { w, x: self.x, draw: self.draw }
    }

    /// Returns step `index` of the loop.
    pub fn step(self, index: usize) -> Step {
        Step::new(index, self.inner.lr())
    }
}

/// A function that sees the adjoint of a state and the gradient so far, and may change them.
///
/// [`Rollout::reached`] tells whether a given number of steps has been reversed.
pub type Look<'l, T> = &'l mut dyn FnMut(&mut Rollout<T>, &mut [T], &mut [T]) -> Result<(), Error>;

/// The inner loop of one task, forward and in reverse, step by step or under a schedule.
///
/// A state is `w`, followed by the rule's own vectors, each of `p` values; [`Oracle::state_dim`] is their total length.
/// Its adjoint has the same layout.
///
/// Memory: one vector of `p` values; one more if the rule is not a multiple of the gradient, and one if it takes the
/// gradient at another point than `w`; `d` values from the first reversed step on; and the states that the caller
/// keeps. [`close`](Self::close) gives all of them back.
///
/// ```
/// use hypertape_autodiff::{Shape, scalar::Real};
/// use hypertape_solver::{Draw, InnerLoop, Oracle, Params, Rollout, ScalarBilevel, Task};
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
/// let (mut oracle, inner) = (Oracle::scalar(Line), InnerLoop::new(2, 0.5)?);
/// let task = Task { inner: &inner, x: &[0.5], draw: Draw::new(0, 0), slot: 0 };
/// let mut gradient = [0.0];
/// let (mut run, mut state) = Rollout::start(&mut oracle, task)?;
/// let (mut states, mut bar) = (Vec::new(), Vec::new());
/// for t in 0..2 {
///     states.push(state.clone());
///     run.step(t, &mut state)?;
/// }
/// // 1, 1/4, -1/8: the adjoint is 2 w_2 at first, and halved by each step back.
/// let loss = run.turn(&mut state, &mut gradient)?;
/// for t in [1, 0] {
///     bar.push(state[0]);
///     run.pull_step(t, &states[t], &mut state, &mut gradient)?;
/// }
/// run.pull_start(&state, &mut gradient)?;
/// run.close([state]);
/// assert_eq!((loss, bar, gradient), (1.0 / 64.0, vec![-0.25, -0.125], [0.1875]));
///
/// // The same under a schedule, in one call.
/// let (mut run, mut state) = Rollout::start(&mut oracle, task)?;
/// let (same, bar) = run.reverse_under("constant".parse()?, &mut state, &mut gradient, None)?;
/// run.pull_start(&bar, &mut gradient)?;
/// run.close([bar, state]);
/// assert_eq!((same, gradient), (loss, [0.1875]));
/// # Ok::<(), hypertape_solver::Error>(())
/// ```
pub struct Rollout<'o, 'p, 'v, T> {
    pub(crate) oracle: &'o mut Oracle<'p, T>,
    at: Task<'v, T>,
    /// A gradient, later a product with the Hessian.
    product: Vec<T>,
    /// The adjoint of a gradient.
    u: Vec<T>,
    /// The point at which the gradient is taken, if that is not `w`.
    ahead: Vec<T>,
    mixed: Vec<T>,
    /// State and gradient of each kept step, if the pull-back of the rule needs them.
    beside: Slots<T>,
    ended: bool,
    /// Number of steps taken before those of a chain.
    skip: usize,
    /// Number of reversed steps, whether steps are skipped in between, and the function that sees adjoints.
    reversed: usize,
    abridged: bool,
    look: Option<Look<'v, T>>,
    /// Largest entry of the adjoint of the last `w`.
    turned: f64,
}

impl<T> fmt::Debug for Rollout<'_, '_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollout").field("inner", self.at.inner).finish_non_exhaustive()
    }
}

impl<'o, 'p, 'v, T: Element> Rollout<'o, 'p, 'v, T> {
    /// Starts the loop, and returns it together with its first state.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails, and [`Error::Invalid`] if a length does not match.
    pub fn start(oracle: &'o mut Oracle<'p, T>, at: Task<'v, T>) -> Result<(Self, Vec<T>), Error> {
        let p = oracle.inner_dim();
        let mut state = oracle.take(oracle.state_dim())?;
        let product = oracle.take(p)?;
        oracle.init(at.x, at.draw, &mut state[..p])?;
        state[p..].fill(T::zero());
        let (mut u, mut ahead) = (Vec::new(), Vec::new());
        let step = at.step(0);
        if oracle.multiple(step).is_none() {
            u = oracle.take(p)?;
            ahead = oracle.take(p)?;
            if !oracle.query(at.x, &state, step, &mut ahead)? {
                oracle.give(std::mem::take(&mut ahead));
            }
        }
        let (mixed, beside, look) = (Vec::new(), Slots::default(), None);
        let (ended, abridged, skip, reversed) = (false, false, 0, 0);
        let run = Self {
            oracle,
            at,
            product,
            u,
            ahead,
            mixed,
            beside,
            ended,
            skip,
            reversed,
            abridged,
            look,
            turned: 0.0,
        };
        Ok((run, state))
    }

    /// The oracle, for other evaluations in between.
    pub fn oracle(&mut self) -> &mut Oracle<'p, T> {
        self.oracle
    }

    /// Takes step `t`. Cost: one inner gradient.
    ///
    /// # Errors
    /// Returns [`Error::NonFinite`] if the gradient is not finite, and [`Error::Function`] if the problem fails.
    pub fn step(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        self.gradient(t, state, None)?;
        self.update(t, state)
    }

    /// Whether the loop ends with the last step by its tolerance.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes all steps but the last `depth`, which remain for a schedule.
    ///
    /// # Errors
    /// Returns the errors of [`step`](Self::step).
    pub fn skip_to(&mut self, depth: usize, state: &mut [T]) -> Result<(), Error> {
        let skip = self.at.inner.steps().saturating_sub(depth);
        self.oracle.each(0..skip).try_for_each(|t| self.step(t, state))?;
        self.skip = skip;
        Ok(())
    }

    /// Takes all steps. `see` receives each gradient and, if the rule does not just multiply it, the resulting step.
    ///
    /// # Errors
    /// Returns the errors of [`step`](Self::step).
    pub fn forward(
        &mut self,
        state: &mut [T],
        mut see: impl FnMut(&[T], &[T]),
    ) -> Result<(), Error> {
        for t in self.oracle.each(0..self.at.inner.steps()) {
            self.gradient(t, state, None)?;
            self.update(t, state)?;
            see(&self.product, &self.u);
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// Returns the factor by which the rule multiplies the gradient, if that is all it does at the first step. If it
    /// does more at a later step, which violates its contract, the result is NaN.
    fn multiple(&self, step: Step) -> Option<f64> {
        self.u.is_empty().then(|| self.oracle.multiple(step).unwrap_or(f64::NAN))
    }

    /// Writes the gradient at the state before step `t` into `product`, and keeps its recording in `slot`, if given.
    fn gradient(&mut self, t: usize, state: &[T], slot: Option<usize>) -> Result<(), Error> {
        let step = self.at.step(t);
        let Self { oracle, at, product, ahead, .. } = self;
        let mut w = &state[..product.len()];
        if !ahead.is_empty() {
            oracle.query(at.x, state, step, ahead)?;
            w = ahead;
        }
        let point = at.point(w);
        match slot {
            None => oracle.inner_gradient(point, t, product).map(|_| ())?,
            Some(slot) => oracle.keep_gradient(point, t, slot, product).map(|_| ())?,
        }
        finite_gradient(product, step)
    }

    /// Updates the state by step `t` with the gradient in `product`.
    fn update(&mut self, t: usize, state: &mut [T]) -> Result<(), Error> {
        let (step, p) = (self.at.step(t), self.product.len());
        let watched = self.at.inner.tolerance();
        let change = if let Some(c) = self.multiple(step) {
            axpy(state, T::from_f64(c), &self.product);
            watched.map(|_| c.abs() * norm(&self.product).as_f64())
        } else {
            self.u.copy_from_slice(&state[..p]);
            self.oracle.advance(self.at.x, state, &self.product, step)?;
            axpy(&mut self.u, -T::one(), &state[..p]);
            watched.map(|_| norm(&self.u).as_f64())
        };
        let within = watched.zip(change).map(|(tol, change)| change <= tol * step.lr);
        self.ended = within == Some(true);
        self.oracle.count_step();
        Ok(())
    }

    /// Adds the contributions of both products to the adjoints of state and `x`.
    fn spread(
        &mut self,
        step: Step,
        state: &[T],
        [bar, x_bar]: [&mut [T]; 2],
    ) -> Result<(), Error> {
        let c = self.multiple(step).map_or(T::one(), T::from_f64);
        let Self { oracle, at, product, ahead, mixed, .. } = self;
        axpy(x_bar, c, mixed);
        if ahead.is_empty() {
            axpy(&mut bar[..product.len()], c, product);
        } else {
            oracle.pull_query(at.x, state, step, product, bar)?;
        }
        if oracle.form() != RuleForm::Affine {
            oracle.keep_within(bar);
        }
        Ok(())
    }

    fn hold_mixed(&mut self) -> Result<(), Error> {
        if self.mixed.is_empty() {
            self.mixed = self.oracle.take(self.at.x.len())?;
        }
        Ok(())
    }

    /// Returns the factor by which step `t` multiplies its gradient.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for a rule that does more.
    pub fn multiple_of(&self, t: usize) -> Result<f64, Error> {
        self.multiple(self.at.step(t)).ok_or_else(|| {
            let expected = "one that adds a multiple of the gradient, such as gradient descent";
            Error::invalid("the inner rule", self.oracle.rule(), expected)
        })
    }

    /// Returns `H v` at `w` and step `t`, and the factor by which the step multiplies its gradient.
    ///
    /// If `x_bar` is given, adds to it `weight` times that factor times the mixed product.
    ///
    /// # Errors
    /// Returns the errors of [`multiple_of`](Self::multiple_of).
    pub fn products(
        &mut self,
        t: usize,
        (w, v): (&[T], &[T]),
        x_bar: Option<(f64, &mut [T])>,
    ) -> Result<(f64, &mut [T]), Error> {
        let c = self.multiple_of(t)?;
        let point = self.at.point(w);
        if let Some((weight, x_bar)) = x_bar {
            self.hold_mixed()?;
            self.oracle.inner_products(point, t, v, &mut self.product, &mut self.mixed)?;
            axpy(x_bar, T::from_f64(weight * c), &self.mixed);
        } else {
            self.oracle.hessian_product(point, t, v, &mut self.product)?;
        }
        Ok((c, &mut self.product))
    }

    /// Replaces the final state by its adjoint, `df/dw` and zeros, writes the direct part `df/dx`, and returns the
    /// loss.
    ///
    /// Cost: one outer gradient.
    ///
    /// # Errors
    /// Returns [`Error::NonFinite`] if the loss is not finite, and [`Error::Function`] if the problem fails.
    pub fn turn(&mut self, state: &mut [T], x_bar: &mut [T]) -> Result<T, Error> {
        let p = self.product.len();
        let (w, rest) = state.split_at_mut(p);
        rest.fill(T::zero());
        self.oracle.keep_end(self.at.draw, w);
        let point = self.at.point(w);
        let loss = self.oracle.outer_gradient(point, &mut self.product, x_bar)?;
        w.copy_from_slice(&self.product);
        self.turned = largest(w);
        finite_loss(loss, self.at.inner)
    }

    /// Replaces the adjoint of the state after step `t` by that of `state`, the state before it, and adds the
    /// contribution of the step to `x_bar`.
    ///
    /// Cost: one sweep for both products, and a gradient if the pull-back of the rule needs its value.
    ///
    /// # Errors
    /// Returns the errors of [`step`](Self::step).
    pub fn pull_step(
        &mut self,
        t: usize,
        state: &[T],
        bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        let step = self.at.step(t);
        self.hold_mixed()?;
        // If the rule multiplies its gradient, that factor is all that is needed.
        let form = if self.u.is_empty() { None } else { Some(self.oracle.form()) };
        match form {
            None => {}
            Some(RuleForm::Nonlinear) => self.gradient(t, state, None)?,
            Some(RuleForm::Affine | RuleForm::AffineInState) => {
                self.product.fill(T::nan());
                if !self.ahead.is_empty() {
                    self.oracle.query(self.at.x, state, step, &mut self.ahead)?;
                }
            }
        }
        let Self { oracle, at, product, ahead, u, mixed, .. } = self;
        let w = if ahead.is_empty() { &state[..product.len()] } else { ahead };
        let (x, point) = (at.x, at.point(w));
        match form {
            None => oracle.inner_products(point, t, &bar[..product.len()], product, mixed)?,
            Some(RuleForm::AffineInState) => {
                oracle.pull_to_gradient(x, (state, product), step, bar, u)?;
                let mut gradient = oracle.take(product.len())?;
                oracle.inner_sweep(point, t, u, &mut gradient, product, mixed)?;
                finite_gradient(&gradient, step)?;
                oracle.pull(x, (state, &gradient), step, [bar, u, x_bar])?;
                oracle.give(gradient);
            }
            Some(RuleForm::Affine | RuleForm::Nonlinear) => {
                oracle.pull(x, (state, product), step, [bar, u, x_bar])?;
                oracle.inner_products(point, t, u, product, mixed)?;
            }
        }
        self.spread(step, state, [bar, x_bar])
    }

    /// Adds the pull-back of the start, given the adjoint of the first state.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails.
    pub fn pull_start(&mut self, bar: &[T], x_bar: &mut [T]) -> Result<(), Error> {
        let bar = &bar[..self.product.len()];
        self.oracle.note_growth(self.turned, bar);
        self.oracle.pull_init(self.at.x, self.at.draw, bar, x_bar)
    }

    /// Gives all vectors back, including those in `others`.
    pub fn close<const N: usize>(self, others: [Vec<T>; N]) {
        let own = [self.product, self.u, self.ahead, self.mixed];
        for vector in own.into_iter().chain(others).filter(|v| !v.is_empty()) {
            self.oracle.give(vector);
        }
    }
}

/// Returns an error unless the gradient of a step is finite.
pub(crate) fn finite_gradient<T: Element>(gradient: &[T], step: Step) -> Result<(), Error> {
    if all_finite(gradient) {
        return Ok(());
    }
    let quantity = "the gradient of the inner loss";
    Err(Error::NonFinite { quantity, step: Some(step.index), lr: step.lr })
}
