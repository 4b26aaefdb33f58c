//! Drivers for gradients, Jacobian-vector, vector-Jacobian and Hessian-vector products, Jacobians and Hessians. They
//! write into buffers of the caller, on a [`Tape`] or [`Tangents`] whose memory is reused. Plain functions that
//! allocate are in `allocating.rs`.
//!
//! A driver for one mode takes a closure; a generic function `f` is passed as `|x| f(x)`. Only
//! [`jacobian`](super::jacobian), which chooses the mode, takes a [`Function`]. Derivatives of higher order are
//! obtained by nesting: the tangents of `Tape<Dual<Dual<f64>>>` are second and third derivatives.

use std::array::from_fn;
use std::iter::empty;
use std::ops::Range;

use super::dual::Dual;
use super::lanes::together;
use super::real::{Real, Scalar};
use super::tape::{Tape, Var};
use crate::fault::{Fault, expect_length};

/// Number of directions, or seeds, in one pass.
pub(super) const TOGETHER: usize = 4;

/// A function of any number of arguments and results, written once for every mode.
pub trait Function<F = f64> {
    /// Writes the results at `x` into `y`.
    fn eval<R: Real<F>>(&self, x: &[R], y: &mut [R]);
}

impl<T: Scalar> Tape<T> {
    /// Computes the gradient of a function with one result and returns the value. It costs about 10 evaluations of a
    /// function whose value is vectorised, and 3 of one with many calls of `exp`, for any number of arguments.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::{Float, Tape};
    /// let mut gradient = [0.0; 2];
    /// let value = Tape::new().gradient(|x| x[0] * x[0].exp() + x[1], &[0.0, 2.0], &mut gradient)?;
    /// assert_eq!((value, gradient), (2.0, [1.0, 1.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn gradient(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, T>]) -> Var<'t, T>,
        x: &[T],
        gradient: &mut [T],
    ) -> Result<T, Fault> {
        expect_length("the gradient", x.len(), gradient.len())?;
        self.record(x.iter().copied(), empty(), 1, |x, y| y[0] = f(x))?;
        self.pull(|_| [T::one()], |i, [bar]| gradient[i] = bar);
        Ok(self.value())
    }

    /// Computes a vector-Jacobian product: writes `f(x)` into `y` and `J^T y_bar` into `x_bar`. It costs as much as
    /// [`gradient`](Self::gradient).
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tape;
    /// let (mut y, mut bar) = ([0.0; 2], [0.0; 2]);
    /// Tape::new().vjp(|x, y| (y[0], y[1]) = (x[0] * x[1], x[1]), &[2.0, 3.0], &mut y, &[1.0, 10.0], &mut bar)?;
    /// assert_eq!((y, bar), ([6.0, 3.0], [3.0, 12.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn vjp(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
        x: &[T],
        y: &mut [T],
        y_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Fault> {
        self.vjps(f, x, y, [y_bar], [x_bar])
    }

    /// Computes `K` vector-Jacobian products in one recording and one sweep.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tape;
    /// let (mut y, mut a, mut b) = ([0.0], [0.0; 2], [0.0; 2]);
    /// Tape::new().vjps(|x, y| y[0] = x[0] * x[1], &[2.0, 3.0], &mut y, [&[1.0], &[2.0]], [&mut a, &mut b])?;
    /// assert_eq!((y, a, b), ([6.0], [3.0, 2.0], [6.0, 4.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn vjps<const K: usize>(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
        x: &[T],
        y: &mut [T],
        y_bar: [&[T]; K],
        x_bar: [&mut [T]; K],
    ) -> Result<(), Fault> {
        for k in 0..K {
            expect_length("the adjoint of the value", y.len(), y_bar[k].len())?;
            expect_length("the adjoint of the arguments", x.len(), x_bar[k].len())?;
        }
        self.record_into(f, x, y)?;
        self.pull(
            |j| y_bar.map(|bar| bar[j]),
            move |i, bars| (0..K).for_each(|k| x_bar[k][i] = bars[k]),
        );
        Ok(())
    }

    /// Computes the Jacobian in row-major order by reverse mode, with one recording and a sweep for every four results.
    /// Writes `f(x)` into `y`.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tape;
    /// let (mut y, mut jacobian) = ([0.0; 2], [0.0; 4]);
    /// Tape::new().jacobian(|x, y| (y[0], y[1]) = (x[0] * x[1], x[1]), &[2.0, 3.0], &mut y, &mut jacobian)?;
    /// assert_eq!((y, jacobian), ([6.0, 3.0], [3.0, 2.0, 0.0, 1.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn jacobian(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
        x: &[T],
        y: &mut [T],
        jacobian: &mut [T],
    ) -> Result<(), Fault> {
        let (n, m) = (x.len(), y.len());
        expect_length("the Jacobian", m * n, jacobian.len())?;
        self.record_into(f, x, y)?;
        self.pull_rows(m, |row, column, bar| jacobian[row * n + column] = bar);
        Ok(())
    }

    /// Passes the entries of the Jacobian with `m` rows to `take`, each with its row and its column.
    pub(super) fn pull_rows(&mut self, m: usize, mut take: impl FnMut(usize, usize, T)) {
        for first in (0..m).step_by(TOGETHER) {
            let rows = first..m.min(first + TOGETHER);
            match rows.len() {
                1 => self.pull_some::<1>(rows, &mut take),
                2 => self.pull_some::<2>(rows, &mut take),
                _ => self.pull_some::<TOGETHER>(rows, &mut take),
            }
        }
    }

    /// As [`pull_rows`](Self::pull_rows) for up to `K` rows, in one sweep.
    fn pull_some<const K: usize>(
        &mut self,
        rows: Range<usize>,
        mut take: impl FnMut(usize, usize, T),
    ) {
        self.pull::<K>(
            |j| from_fn(|k| if j == rows.start + k { T::one() } else { T::zero() }),
            |i, bars| rows.clone().zip(bars).for_each(|(row, bar)| take(row, i, bar)),
        );
    }

    pub(super) fn record_into(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, T>], &mut [Var<'t, T>]),
        x: &[T],
        y: &mut [T],
    ) -> Result<(), Fault> {
        self.record(x.iter().copied(), empty(), y.len(), f)?;
        y.iter_mut().zip(self.values()).for_each(|(y, value)| *y = value);
        Ok(())
    }

    /// Returns the first result; every caller records at least one.
    pub(super) fn value(&self) -> T {
        self.values().next().unwrap_or_else(T::nan)
    }
}

impl<T: Scalar> Tape<Dual<T>> {
    /// Computes the gradient and the Hessian-vector product `H v` of a function with one result by forward over
    /// reverse, and returns the value. It costs about 1.5 gradients.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tape;
    /// let (mut g, mut product) = ([0.0; 2], [0.0; 2]);
    /// Tape::new().hvp(|x| x[0] * x[0] * x[1], &[3.0, 5.0], &[1.0, 1.0], &mut g, &mut product)?;
    /// assert_eq!((g, product), ([30.0, 9.0], [16.0, 6.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn hvp(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, Dual<T>>]) -> Var<'t, Dual<T>>,
        x: &[T],
        v: &[T],
        gradient: &mut [T],
        product: &mut [T],
    ) -> Result<T, Fault> {
        self.hvps(f, x, [v], gradient, [product])
    }
}

impl<T: Scalar, const N: usize> Tape<Dual<T, N>> {
    /// Computes the gradient and `N` Hessian-vector products `H v_k` in one pass, and returns the value.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tape;
    /// // f = x^2 y at (3, 5)
    /// let (mut g, mut a, mut b) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    /// let v = [&[1.0, 0.0][..], &[0.0, 1.0]];
    /// let f = Tape::new().hvps(|x| x[0] * x[0] * x[1], &[3.0, 5.0], v, &mut g, [&mut a, &mut b])?;
    /// assert_eq!((f, g, a, b), (45.0, [30.0, 9.0], [10.0, 6.0], [6.0, 0.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn hvps(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, Dual<T, N>>]) -> Var<'t, Dual<T, N>>,
        x: &[T],
        v: [&[T]; N],
        gradient: &mut [T],
        products: [&mut [T]; N],
    ) -> Result<T, Fault> {
        expect_length("the gradient", x.len(), gradient.len())?;
        for k in 0..N {
            expect_length("the direction", x.len(), v[k].len())?;
            expect_length("the product", x.len(), products[k].len())?;
        }
        let x = x.iter().enumerate().map(|(i, &x)| Dual::new(x, v.map(|v| v[i])));
        let take = move |i, moved: [T; N]| (0..N).for_each(|k| products[k][i] = moved[k]);
        self.second(|x, y| y[0] = f(x), x, empty(), gradient, take)
    }

    /// Computes the gradient and the Hessian in row-major order, with `N` columns per pass, and returns the value.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::{Dual, Tape};
    /// let (mut g, mut h) = ([0.0; 2], [0.0; 4]);
    /// Tape::<Dual<f64, 2>>::new().hessian(|x| x[0] * x[0] * x[1], &[3.0, 5.0], &mut g, &mut h)?;
    /// assert_eq!((g, h), ([30.0, 9.0], [10.0, 6.0, 6.0, 0.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn hessian(
        &mut self,
        f: impl for<'t> Fn(&[Var<'t, Dual<T, N>>]) -> Var<'t, Dual<T, N>>,
        x: &[T],
        gradient: &mut [T],
        hessian: &mut [T],
    ) -> Result<T, Fault> {
        let n = x.len();
        expect_length("the gradient", n, gradient.len())?;
        expect_length("the Hessian", n * n, hessian.len())?;
        const { assert!(N > 0, "a Hessian takes at least one direction a pass") };
        let mut value = T::nan();
        for first in (0..n.max(1)).step_by(N) {
            let columns = N.min(n - first);
            let unit = |(i, &x): (usize, &T)| Dual::variable(x, i.wrapping_sub(first));
            let x = x.iter().enumerate().map(unit);
            let take = |i: usize, moved: [T; N]| {
                (0..columns).for_each(|k| hessian[i * n + first + k] = moved[k]);
            };
            value = self.second(|x, y| y[0] = f(x), x, empty(), gradient, take)?;
        }
        Ok(value)
    }

    /// Records and sweeps once: returns the value, writes the gradient, and passes the tangents of each of its entries
    /// to `take`.
    pub(super) fn second(
        &mut self,
        f: impl for<'t> FnOnce(&[Var<'t, Dual<T, N>>], &mut [Var<'t, Dual<T, N>>]),
        x: impl ExactSizeIterator<Item = Dual<T, N>>,
        data: impl ExactSizeIterator<Item = Dual<T, N>>,
        gradient: &mut [T],
        mut take: impl FnMut(usize, [T; N]),
    ) -> Result<T, Fault> {
        self.record(x, data, 1, f)?;
        self.pull(
            |_| [Dual::new(T::one(), [T::zero(); N])],
            |i, [bar]| {
                gradient[i] = bar.value();
                take(i, bar.sound_tangents());
            },
        );
        Ok(self.value().value())
    }
}

/// Memory for forward mode with `N` directions per pass, which is reused.
#[derive(Clone, Debug, Default)]
pub struct Tangents<T, const N: usize = 1> {
    numbers: Vec<Dual<T, N>>,
}

impl<T: Scalar, const N: usize> Tangents<T, N> {
    /// Creates the drivers without memory.
    pub fn new() -> Self {
        Self { numbers: Vec::new() }
    }

    /// Computes `N` Jacobian-vector products: writes `f(x)` into `y` and `J v_k` into the `dy`.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tangents;
    /// let (mut y, mut dy) = ([0.0], [0.0]);
    /// Tangents::new().jvps(|x, y| y[0] = x[0] * x[1], &[2.0, 3.0], [&[1.0, 1.0]], &mut y, [&mut dy])?;
    /// assert_eq!((y, dy), ([6.0], [5.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, and [`Fault::Branches`] if points side by side take
    /// different branches.
    pub fn jvps(
        &mut self,
        f: impl FnOnce(&[Dual<T, N>], &mut [Dual<T, N>]),
        x: &[T],
        v: [&[T]; N],
        y: &mut [T],
        dy: [&mut [T]; N],
    ) -> Result<(), Fault> {
        for k in 0..N {
            expect_length("the direction", x.len(), v[k].len())?;
            expect_length("the directional derivative", y.len(), dy[k].len())?;
        }
        self.eval(f, x, |i| v.map(|v| v[i]), y, move |j, d| (0..N).for_each(|k| dy[k][j] = d[k]))
    }

    /// Computes the Jacobian in row-major order by forward mode, with `N` columns per pass. Writes `f(x)` into `y`.
    ///
    /// ```
    /// use hypertape_autodiff::scalar::Tangents;
    /// let (mut y, mut jacobian) = ([0.0; 2], [0.0; 4]);
    /// Tangents::<f64, 2>::new()
    ///     .jacobian(|x, y| (y[0], y[1]) = (x[0] * x[1], x[1]), &[2.0, 3.0], &mut y, &mut jacobian)?;
    /// assert_eq!((y, jacobian), ([6.0, 3.0], [3.0, 2.0, 0.0, 1.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`Fault::Length`] if a length does not match, and [`Fault::Branches`] if points side by side take
    /// different branches.
    pub fn jacobian(
        &mut self,
        f: impl Fn(&[Dual<T, N>], &mut [Dual<T, N>]),
        x: &[T],
        y: &mut [T],
        jacobian: &mut [T],
    ) -> Result<(), Fault> {
        let n = x.len();
        expect_length("the Jacobian", y.len() * n, jacobian.len())?;
        const { assert!(N > 0, "a Jacobian takes at least one direction a pass") };
        for first in (0..n.max(1)).step_by(N) {
            let unit = |i: usize| Dual::variable(T::zero(), i.wrapping_sub(first)).tangents();
            let columns = N.min(n - first);
            self.eval(&f, x, unit, y, |j, d| {
                jacobian[j * n + first..][..columns].copy_from_slice(&d[..columns]);
            })?;
        }
        Ok(())
    }

    pub(super) fn eval(
        &mut self,
        f: impl FnOnce(&[Dual<T, N>], &mut [Dual<T, N>]),
        x: &[T],
        dx: impl Fn(usize) -> [T; N],
        y: &mut [T],
        mut take: impl FnMut(usize, [T; N]),
    ) -> Result<(), Fault> {
        self.numbers.clear();
        self.numbers.extend(x.iter().enumerate().map(|(i, &x)| Dual::new(x, dx(i))));
        self.numbers.resize(x.len() + y.len(), Dual::default());
        let (numbers, results) = self.numbers.split_at_mut(x.len());
        together(|| f(numbers, results)).ok_or(Fault::Branches)?;
        for (j, (y, result)) in y.iter_mut().zip(results).enumerate() {
            *y = result.value();
            take(j, result.sound_tangents());
        }
        Ok(())
    }
}
