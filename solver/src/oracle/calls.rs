//! The evaluations of a problem. Each is counted and metered, and receives the draw that it belongs to.

use std::time::Instant;

use hypertape_autodiff::Element;

use crate::breakdown::{Call, Form};
use crate::draw::{Draw, Level};
use crate::error::Error;
use crate::oracle::Oracle;
use crate::oracle::lanes::again;
use crate::oracle::passes::{Along, At};
use crate::oracle::scratch::TOGETHER;
use crate::oracle::view::{Point, View};
use crate::oracle::workspaces::Workspaces;

impl<T: Element> Oracle<'_, T> {
    /// Largest number of directions in one call of [`push_gradient`](Self::push_gradient).
    pub const TOGETHER: usize = TOGETHER;

    /// Writes `w_0`, of `p` values: the problem's start, or the one set by [`set_init`](Self::set_init) or by a warm
    /// start.
    ///
    /// # Errors
    /// Returns [`Error::Function`] if the problem fails, and [`Error::Invalid`] if a length does not match.
    pub fn init(&mut self, x: &[T], draw: Draw, w: &mut [T]) -> Result<(), Error> {
        self.expect(&[w.len()], &[x.len()])?;
        if let (Some(ends), Some(place)) = (&self.ends, self.place)
            && ends.load(place, draw.task, w)
        {
            return Ok(());
        }
        if let Some(init) = &self.known.init {
            w.copy_from_slice(init);
            return Ok(());
        }
        self.evaluate((Call::Start, 0, 0), [w], |view, memory, [w]| {
            view.push(memory, view.init(x, draw), [w, &mut []]).map(|_| ())
        })
    }

    /// Adds the pull-back of the start, `(dw_0/dx)^T w_bar`, to `x_bar`.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn pull_init(
        &mut self,
        x: &[T],
        draw: Draw,
        w_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Error> {
        self.expect(&[w_bar.len()], &[x.len(), x_bar.len()])?;
        if self.known.init.is_some() {
            return Ok(());
        }
        self.evaluate((Call::PullStart, 0, 0), [x_bar], |view, memory, [x_bar]| {
            let at = At { add: [true; 3], ..view.init(x, draw).seeded(w_bar) };
            let out = [&mut [], &mut [], x_bar, &mut [], &mut [], &mut []];
            view.pull(memory, at, out).map(|_| ())
        })
    }

    /// Writes the push-forward of the start, `dw_0/dx dx`, along each of the directions in `dx`, which are stored one
    /// after the other, at most [`TOGETHER`](Self::TOGETHER).
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn push_init(&mut self, x: &[T], draw: Draw, dx: &[T], dw: &mut [T]) -> Result<(), Error> {
        let directions = self.directions([dw.len(), dx.len()])?;
        self.expect(&[], &[x.len()])?;
        if self.known.init.is_some() {
            dw.fill(T::zero());
            return Ok(());
        }
        self.evaluate((Call::Push, directions, 0), [dw], |view, memory, [dw]| {
            let at = view.init(x, draw).moving(Along::Together, [&[], dx]);
            view.push(memory, at, [&mut [], dw]).map(|_| ())
        })
    }

    /// Returns `g` at inner step `step`.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn inner_value(&mut self, point: Point<T>, step: usize) -> Result<T, Error> {
        self.value_in(point, Some(step), None)
    }

    /// Writes `dg/dw` at inner step `step` and returns `g`. Counts one inner gradient.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn inner_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        gradient: &mut [T],
    ) -> Result<T, Error> {
        self.expect(&[gradient.len()], &[])?;
        let (point, seen) = self.see(point, Level::Inner, step)?;
        self.pool.meter.cost.inner_gradients += 1;
        self.evaluate((Call::InnerGradient, 0, seen), [gradient], |view, memory, [gradient]| {
            view.gradient(memory, point, [gradient, &mut []])
        })
    }

    /// Writes `dg/dw` and `dg/dx` at inner step `step` and returns `g`. Counts one inner gradient.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn inner_gradients(
        &mut self,
        point: Point<T>,
        step: usize,
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        self.expect(&[w_bar.len()], &[x_bar.len()])?;
        let (point, seen) = self.see(point, Level::Inner, step)?;
        self.pool.meter.cost.inner_gradients += 1;
        let form = (Call::InnerGradient, 1, seen);
        self.evaluate(form, [w_bar, x_bar], |view, memory, [w_bar, x_bar]| {
            view.gradient(memory, point, [w_bar, x_bar])
        })
    }

    /// Writes `H v`, where `H = d2g/dw2`, at inner step `step`. Counts one Hessian-vector product.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn hessian_product(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.expect(&[product.len()], &[])?;
        self.pool.meter.cost.hvps += 1;
        self.products(point, step, v, [&mut [], product, &mut []])
    }

    /// Writes `B^T v`, where `B = d2g/dw dx`, at inner step `step`. Counts one mixed product.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn mixed_product(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        product: &mut [T],
    ) -> Result<(), Error> {
        self.expect(&[], &[product.len()])?;
        self.pool.meter.cost.mixed += 1;
        self.products(point, step, v, [&mut [], &mut [], product])
    }

    /// Writes `H v` and `B^T v` at inner step `step` from one sweep. Counts one Hessian-vector and one mixed product.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn inner_products(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.expect(&[hessian_product.len()], &[mixed_product.len()])?;
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        self.products(point, step, v, [&mut [], hessian_product, mixed_product])
    }

    /// Writes `dg/dw`, `H v` and `B^T v` at inner step `step` from one sweep.
    ///
    /// Counts one inner gradient, one Hessian-vector and one mixed product.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn inner_sweep(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        gradient: &mut [T],
        hessian_product: &mut [T],
        mixed_product: &mut [T],
    ) -> Result<(), Error> {
        self.expect(&[gradient.len(), hessian_product.len()], &[mixed_product.len()])?;
        self.pool.meter.cost.inner_gradients += 1;
        self.pool.meter.cost.hvps += 1;
        self.pool.meter.cost.mixed += 1;
        self.products(point, step, v, [gradient, hessian_product, mixed_product])
    }

    fn products(
        &mut self,
        point: Point<T>,
        step: usize,
        v: &[T],
        mut out: [&mut [T]; 3],
    ) -> Result<(), Error> {
        self.expect(&[v.len()], &[])?;
        let (point, seen) = self.see(point, Level::Inner, step)?;
        let form = out.iter().fold(0, |form, out| 2 * form + usize::from(!out.is_empty()));
        self.evaluate((Call::Products, form, seen), again(&mut out), |view, memory, out| {
            view.products(memory, point, v, out)
        })?;
        if self.rehearses() && !out[1].is_empty() {
            out[1].copy_from_slice(v);
        }
        Ok(())
    }

    /// Writes `dg/dw` at inner step `step`, and its push-forward `H dw + B dx` along each of the directions in
    /// `moving = [dw, dx]`, which are stored one after the other, at most [`TOGETHER`](Self::TOGETHER).
    ///
    /// Counts one Hessian-vector and one mixed product per direction. A step that [multiplies](Self::multiple) its
    /// gradient by `c` changes `w` by `c dg/dw` and a tangent by `c` times its push-forward.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn push_gradient(
        &mut self,
        point: Point<T>,
        step: usize,
        moving: [&[T]; 2],
        gradient: &mut [T],
        pushed: &mut [T],
    ) -> Result<(), Error> {
        let directions = self.directions(moving.map(<[T]>::len))?;
        self.expect(&[gradient.len(), pushed.len() / directions.max(1)], &[])?;
        self.pool.meter.cost.hvps += directions as u64;
        self.pool.meter.cost.mixed += directions as u64;
        let (point, seen) = self.see(point, Level::Inner, step)?;
        let form = (Call::Push, TOGETHER + 1 + directions, seen);
        self.evaluate(form, [gradient, pushed], |view, memory, [gradient, pushed]| {
            let at = view.loss(point).moving(Along::Together, moving);
            let out = [gradient, pushed, &mut [], &mut [], &mut [], &mut []];
            view.pull(memory, at, out).map(|_| ())
        })
    }

    /// Returns `f`.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn outer_value(&mut self, point: Point<T>) -> Result<T, Error> {
        self.value_in(point, None, None)
    }

    /// Writes `df/dw` and `df/dx` and returns `f`. Counts one outer gradient.
    ///
    /// # Errors
    /// Returns the errors of [`init`](Self::init).
    pub fn outer_gradient(
        &mut self,
        point: Point<T>,
        w_bar: &mut [T],
        x_bar: &mut [T],
    ) -> Result<T, Error> {
        self.expect(&[w_bar.len()], &[x_bar.len()])?;
        let (point, seen) = self.see(point, Level::Outer, 0)?;
        self.pool.meter.cost.outer_gradients += 1;
        let (form, mut out) = ((Call::Outer, 1, seen), [w_bar, x_bar]);
        let loss = self.evaluate(form, again(&mut out), |view, memory, [w_bar, x_bar]| {
            view.gradient(memory, point, [w_bar, x_bar])
        })?;
        if self.rehearses() {
            out[0].fill(T::one());
        }
        Ok(loss)
    }

    /// Returns the point for a level and a step, and the number of samples that the loss uses there, which is counted.
    pub(super) fn see<'v>(
        &mut self,
        point: Point<'v, T>,
        level: Level,
        step: usize,
    ) -> Result<(Point<'v, T>, usize), Error> {
        self.expect(&[point.w.len()], &[point.x.len()])?;
        let point = point.at(level, step);
        let seen = self.known.view.samples(point.draw);
        self.pool.meter.cost.samples += seen as u64;
        Ok((point, seen))
    }

    /// Returns an error unless the vectors of inner and of outer variables have the right lengths.
    pub(super) fn expect(&self, inner: &[usize], outer: &[usize]) -> Result<(), Error> {
        let all = [
            ("a vector of inner variables", self.inner_dim(), inner),
            ("a vector of outer variables", self.outer_dim(), outer),
        ];
        all.into_iter().try_for_each(|(what, expected, found)| {
            found.iter().try_for_each(|&found| Error::expect_length(what, expected, found))
        })
    }

    /// Returns the number of directions in vectors with `inner` and `outer` values.
    fn directions(&self, [inner, outer]: [usize; 2]) -> Result<usize, Error> {
        let (p, d) = (self.inner_dim(), self.outer_dim());
        let directions = inner.checked_div(p).unwrap_or(outer / d.max(1));
        if directions > TOGETHER || [inner, outer] != [directions * p, directions * d] {
            let found = format!("{inner} and {outer} values");
            let expected = format!("at most {TOGETHER} times {p} and {d}");
            return Err(Error::invalid("directions", found, expected));
        }
        Ok(directions)
    }

    /// Evaluates the problem once, with counts. In a rehearsal all evaluations except that of the start return zeros.
    pub(super) fn evaluate<R: Default, const N: usize>(
        &mut self,
        form: Form,
        mut out: [&mut [T]; N],
        act: impl FnOnce(&dyn View<T>, &mut Workspaces<T>, [&mut [T]; N]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.stop.as_ref().is_some_and(|stop| stop()) {
            return Err(Error::Stopped);
        }
        let (result, _) = self.metered(form, |Self { known, memory, .. }| {
            act(&*known.view, memory, again(&mut out))
        })?;
        if self.rehearses() && form.0 != Call::Start {
            for vector in out {
                vector.fill(T::zero());
            }
            return Ok(R::default());
        }
        Ok(result)
    }

    /// Executes `act`, counts it, and returns its bytes as well. A rehearsal executes each form once, except starts and
    /// updates, whose results it uses.
    pub(super) fn metered<R: Default>(
        &mut self,
        form: Form,
        act: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<(R, usize), Error> {
        let once = self.rehearses() && !matches!(form.0, Call::Start | Call::Update);
        let known = self.known.found.forms.iter().filter(|_| once).find(|known| known.0 == form);
        if let Some(&(_, bytes)) = known {
            self.pool.meter.observe(bytes);
            return Ok((R::default(), bytes));
        }
        let clock = self.pool.meter.breakdown.as_ref().map(|_| Instant::now());
        let result = act(self);
        let bytes = self.memory.take_peak();
        self.pool.meter.observe(bytes);
        if let (Some(breakdown), Some(clock)) = (&mut self.pool.meter.breakdown, clock) {
            breakdown.add(form.0, clock.elapsed(), bytes as u64, self.memory.take_tally());
        }
        if once {
            self.known.found.forms.push((form, bytes));
        }
        result.map(|result| (result, bytes))
    }
}
