//! Drivers of a [`Function`]: value, gradient, Jacobian-vector and vector-Jacobian products, Hessian-vector products.
//!
//! A point is a flat slice: the entries of all arrays one after the other, which a list of shapes divides. Relative to
//! an evaluation of the value, a gradient costs 2 to 3, a Jacobian-vector product about 2, and a Hessian-vector product
//! with its gradient 4 to 6.

use crate::arena::Arena;
use crate::array::dual::Dual;
use crate::array::element::Element;
use crate::array::tensor::Tensor;
use crate::array::var::Var;
use crate::array::{Array, List};
use crate::fault::{Fault, expect_length};
use crate::passes::{Group, Planes, Pulled, Recorded, Wanted, cut, evaluate, write_plane};
use crate::shape::Shape;
use crate::workspace::Workspace;

const SCALAR: &str = "the value of a scalar function";

/// A variable with `N` tangents.
type Taped<'a, T, const N: usize> = Var<'a, Dual<Tensor<'a, T>, N>>;

/// A function of several arrays, written once for every mode.
pub trait Function<T: Element> {
    /// Returns the value, which may have any shape, except for drivers that need a scalar.
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A;
}

/// Defines a type whose values are a [`Function`](crate::Function) of arrays, from a formula.
///
/// ```
/// use hypertape_autodiff::{Array, Shape, Workspace, function};
/// function! {
///     /// `sum_i (x_i^2 - 1)^2`
///     Wells = |x| (x[0].square() - 1.0).square().sum()
/// }
/// let mut gradient = [0.0; 2];
/// let value = Workspace::new().gradient(&Wells, &[Shape::column(2)], &[2.0, 0.5], &mut gradient)?;
/// assert_eq!((value, gradient), (9.5625, [24.0, -1.5]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[macro_export]
macro_rules! function {
    ($(#[$attribute:meta])* $visibility:vis $Name:ident = |$x:ident| $formula:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Default)]
        $visibility struct $Name;

        impl<T: $crate::Element> $crate::Function<T> for $Name {
            fn eval<'a, A: $crate::Array<'a, Elem = T>>(&'a self, $x: &[A]) -> A {
                $formula
            }
        }
    };
}

impl Workspace {
    /// Writes the entries of `f(x)` in row-major order into `y`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if the length of `x` or `y` does not match.
    pub fn value<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        y: &mut [T],
    ) -> Result<(), Fault> {
        let (record, _) = self.arenas();
        let at = [Group::new(shapes, x)];
        let out = evaluate(record, &at, |[x]: [&[Tensor<T>]; 1]| f.eval(x))?;
        write(out, 0, y, "the value")?;
        self.merge_chunks();
        Ok(())
    }

    /// Computes the gradient of a scalar function and returns the value.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn gradient<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        gradient: &mut [T],
    ) -> Result<T, Fault> {
        self.gradient_with(f, |f, x| f.eval(x), shapes, x, gradient)
    }

    /// Computes the [`gradient`](Self::gradient) of a closure. The closure receives `data`, from which its arrays may
    /// borrow.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Shape, Workspace};
    /// let (shape, target, mut gradient) = (Shape::column(2), [1.0, 5.0], [0.0; 2]);
    /// let value = Workspace::new().gradient_with(
    ///     &target[..],
    ///     |target, x| x[0].squared_error(x[0].constant(shape, target)),
    ///     &[shape], &[4.0, 4.0], &mut gradient,
    /// )?;
    /// assert_eq!((value, gradient), (10.0, [6.0, -2.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn gradient_with<T: Element, D: ?Sized>(
        &mut self,
        data: &D,
        f: impl for<'a> FnOnce(&'a D, &[Var<'a, Tensor<'a, T>>]) -> Var<'a, Tensor<'a, T>>,
        shapes: &[Shape],
        x: &[T],
        gradient: &mut [T],
    ) -> Result<T, Fault> {
        let mut value = [T::zero()];
        self.pull(data, f, shapes, (x, [&[T::one()]]), (SCALAR, &mut value), [gradient])?;
        Ok(value[0])
    }

    /// Computes a directional derivative: writes `f(x)` into `y` and `J dx` into `dy`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn jvp<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        dx: &[T],
        y: &mut [T],
        dy: &mut [T],
    ) -> Result<(), Fault> {
        self.jvps(f, shapes, (x, [dx]), (y, [dy]))
    }

    /// Computes `N` directional derivatives in one pass: writes `f(x)` into `y` and `J v_k` into the `dy`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn jvps<T: Element, F: Function<T>, const N: usize>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        (x, v): (&[T], [&[T]; N]),
        (y, dy): (&mut [T], [&mut [T]; N]),
    ) -> Result<(), Fault> {
        self.jvps_with(f, |f, x| f.eval(x), shapes, (x, v), (y, dy))
    }

    /// Computes the [`jvps`](Self::jvps) of a closure at a point with directions. The closure receives `data`, from which
    /// its arrays may borrow.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Shape, Workspace};
    /// let (mut y, mut dy, at) = ([0.0], [0.0], (&[3.0][..], [&[10.0][..]]));
    /// Workspace::new().jvps_with(&(), |(), x| x[0].square(), &[Shape::SCALAR], at, (&mut y, [&mut dy]))?;
    /// assert_eq!((y, dy), ([9.0], [60.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn jvps_with<T: Element, D: ?Sized, const N: usize>(
        &mut self,
        data: &D,
        f: impl for<'a> FnOnce(&'a D, &[Dual<Tensor<'a, T>, N>]) -> Dual<Tensor<'a, T>, N>,
        shapes: &[Shape],
        (x, v): (&[T], [&[T]; N]),
        (y, dy): (&mut [T], [&mut [T]; N]),
    ) -> Result<(), Fault> {
        let (record, _) = self.arenas();
        let out = f(data, &duals(record, shapes, x, v)?);
        record.status()?;
        write(out, 0, y, "the value")?;
        for (dy, place) in dy.into_iter().zip(1..) {
            write(out, place, dy, "the directional derivative")?;
            for (dy, _) in dy.iter_mut().zip(&*y).filter(|(_, y)| y.is_nan()) {
                *dy = T::nan();
            }
        }
        self.merge_chunks();
        Ok(())
    }

    /// Computes a vector-Jacobian product: writes `f(x)` into `y` and `J^T y_bar` into `x_bar`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn vjp<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        y: &mut [T],
        y_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Fault> {
        self.vjp_with(f, |f, x| f.eval(x), shapes, [x, y_bar], [y, x_bar])
    }

    /// Computes the [`vjp`](Self::vjp) of a closure at `[x, y_bar]` and writes it into `[y, x_bar]`. The closure
    /// receives `data`, from which its arrays may borrow.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Shape, Workspace};
    /// let (mut y, mut x_bar) = ([0.0], [0.0]);
    /// let at = [&[3.0][..], &[10.0]];
    /// Workspace::new().vjp_with(&(), |(), x| x[0].square(), &[Shape::SCALAR], at, [&mut y, &mut x_bar])?;
    /// assert_eq!((y, x_bar), ([9.0], [60.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn vjp_with<T: Element, D: ?Sized>(
        &mut self,
        data: &D,
        f: impl for<'a> FnOnce(&'a D, &[Var<'a, Tensor<'a, T>>]) -> Var<'a, Tensor<'a, T>>,
        shapes: &[Shape],
        [x, y_bar]: [&[T]; 2],
        [y, x_bar]: [&mut [T]; 2],
    ) -> Result<(), Fault> {
        self.pull(data, f, shapes, (x, [y_bar]), ("the value", y), [x_bar])
    }

    /// Computes `K` vector-Jacobian products from one recording: writes `f(x)` into `y` and `J^T y_bar_k` into the
    /// `x_bar`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match.
    pub fn vjps<T: Element, F: Function<T>, const K: usize>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        (x, y_bar): (&[T], [&[T]; K]),
        (y, x_bar): (&mut [T], [&mut [T]; K]),
    ) -> Result<(), Fault> {
        self.pull(f, |f, x| f.eval(x), shapes, (x, y_bar), ("the value", y), x_bar)
    }

    fn pull<T: Element, D: ?Sized, const K: usize>(
        &mut self,
        data: &D,
        f: impl for<'a> FnOnce(&'a D, &[Var<'a, Tensor<'a, T>>]) -> Var<'a, Tensor<'a, T>>,
        shapes: &[Shape],
        (x, y_bar): (&[T], [&[T]; K]),
        (what, y): (&'static str, &mut [T]),
        x_bar: [&mut [T]; K],
    ) -> Result<(), Fault> {
        let (record, sweep) = self.arenas();
        let x = [Group::new(shapes, x)];
        let (recorded, out) = Recorded::at(record, &x, [Wanted::All], |[x]| f(data, x))?;
        write(out.value(), 0, y, what)?;
        for (y_bar, x_bar) in y_bar.into_iter().zip(x_bar) {
            expect_length("the adjoint of the value", y.len(), y_bar.len())?;
            sweep.reset();
            let seed = out.value().within(sweep).constant(out.shape(), y_bar);
            collect(&recorded.pull([(out.id(), seed)], sweep)?, shapes, 0, x_bar)?;
            if y.iter().zip(y_bar).any(|(y, bar)| y.is_nan() && !bar.is_zero()) {
                x_bar.fill(T::nan());
            }
        }
        self.merge_chunks();
        Ok(())
    }

    /// Computes the gradient and the Hessian-vector product `H v` of a scalar function by forward over reverse, and
    /// returns the value.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn hvp<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        v: &[T],
        gradient: &mut [T],
        product: &mut [T],
    ) -> Result<T, Fault> {
        self.hvps(f, shapes, x, [v], gradient, [product])
    }

    /// Computes the gradient and `N` Hessian-vector products `H v_k` of a scalar function in one pass, which shares the
    /// value, the gradient and the slopes among the directions, and returns the value. The entries equal those of `N`
    /// calls of [`hvp`](Self::hvp).
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
    /// /// `f(x) = x_0^2 x_1`
    /// struct Cubic;
    /// impl<T: Element> Function<T> for Cubic {
    ///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A { x[0].square() * x[1] }
    /// }
    /// let (shapes, x) = ([Shape::SCALAR; 2], [3.0, 5.0]);
    /// let (mut gradient, mut rows) = ([0.0; 2], [[0.0; 2]; 2]);
    /// let basis = [&[1.0, 0.0][..], &[0.0, 1.0]];
    /// Workspace::new().hvps(&Cubic, &shapes, &x, basis, &mut gradient, rows.each_mut().map(|r| &mut r[..]))?;
    /// assert_eq!((gradient, rows), ([30.0, 9.0], [[10.0, 6.0], [6.0, 0.0]]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn hvps<T: Element, F: Function<T>, const N: usize>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        v: [&[T]; N],
        gradient: &mut [T],
        products: [&mut [T]; N],
    ) -> Result<T, Fault> {
        self.hvps_with(f, |f, x| f.eval(x), shapes, (x, v), (gradient, products))
    }

    /// Computes the [`hvps`](Self::hvps) of a closure at a point with directions. The closure receives `data`, from
    /// which its arrays may borrow.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Shape, Workspace};
    /// let (mut g, mut p, at) = ([0.0], [0.0], (&[3.0][..], [&[10.0][..]]));
    /// Workspace::new().hvps_with(&(), |(), x| x[0].powi(3), &[Shape::SCALAR], at, (&mut g, [&mut p]))?;
    /// assert_eq!((g, p), ([27.0], [180.0]));
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn hvps_with<T: Element, D: ?Sized, const N: usize>(
        &mut self,
        data: &D,
        f: impl for<'a> FnOnce(&'a D, &[Taped<'a, T, N>]) -> Taped<'a, T, N>,
        shapes: &[Shape],
        (x, v): (&[T], [&[T]; N]),
        (gradient, products): (&mut [T], [&mut [T]; N]),
    ) -> Result<T, Fault> {
        let (mut value, one) = ([T::zero()], [T::one()]);
        let (record, sweep) = self.arenas();
        let x = duals(record, shapes, x, v)?;
        let (recorded, out) = Recorded::new(record, [(&x, Wanted::All)], |[x]| f(data, x))?;
        drop(x);
        write(out.value(), 0, &mut value, SCALAR)?;
        let seed = out.value().within(sweep).constant(Shape::SCALAR, &one);
        let pulled = recorded.pull([(out.id(), seed)], sweep)?;
        collect(&pulled, shapes, 0, gradient)?;
        for (product, place) in products.into_iter().zip(1..) {
            collect(&pulled, shapes, place, product)?;
            if value[0].is_nan() {
                product.fill(T::nan());
            }
        }
        if value[0].is_nan() {
            gradient.fill(T::nan());
        }
        self.merge_chunks();
        Ok(value[0])
    }
}

/// Divides a flat point with `N` flat tangents into arrays.
fn duals<'a, T: Element, const N: usize>(
    arena: &'a Arena,
    shapes: &[Shape],
    x: &'a [T],
    tangents: [&'a [T]; N],
) -> Result<List<Dual<Tensor<'a, T>, N>>, Fault> {
    let mut duals = List::new();
    cut(arena, (shapes, 0), x, |k| tangents.get(k).copied(), &mut duals)?;
    let same = |tangent: &&[T]| expect_length("the direction", x.len(), tangent.len());
    tangents.iter().try_for_each(same)?;
    Ok(duals)
}

/// Copies the value, or a tangent, into a buffer, whose length must match.
fn write<'a, T: Element, A: Planes<'a, T>>(
    array: A,
    place: usize,
    buffer: &mut [T],
    what: &'static str,
) -> Result<(), Fault> {
    let shape = array.shape();
    expect_length(what, buffer.len(), shape.len())?;
    write_plane(std::iter::once(Some(array)), place, (&[shape], 0), false, buffer);
    Ok(())
}

/// Copies the values, or a tangent, of all adjoints into a buffer, whose length must match.
pub(crate) fn collect<'a, T: Element, A: Planes<'a, T>>(
    pulled: &Pulled<'a, A, 1>,
    shapes: &[Shape],
    place: usize,
    buffer: &mut [T],
) -> Result<(), Fault> {
    let expected = shapes.iter().map(|shape| shape.len()).sum();
    expect_length("a buffer for derivatives", expected, buffer.len())?;
    write_plane(pulled.of(0), place, (shapes, 0), false, buffer);
    Ok(())
}
