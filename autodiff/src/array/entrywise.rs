//! [`Entrywise`]: a function of one number, given by code and applied to each entry.

use crate::array::element::Element;
use crate::conventions::passed;
use crate::custom::Custom;
use crate::fault::Fault;

/// A function of each entry, given by code for its value and its first and second derivative, for
/// [`Operations::apply`](crate::Operations::apply).
///
/// ```
/// use hypertape_autodiff::{Array, Entrywise, Operations, Shape, Workspace};
/// let cube = Entrywise::new("cube", |x: f64| x * x * x, |x| 3.0 * x * x, |x| 6.0 * x);
/// let (mut g, mut p, at) = ([0.0; 2], [0.0; 2], (&[2.0, -1.0][..], [&[1.0, 10.0][..]]));
/// let shapes = [Shape::new(1, 2)];
/// let y = Workspace::new().hvps_with(&cube, |cube, x| x[0].apply(cube).sum(), &shapes, at, (&mut g, [&mut p]))?;
/// assert_eq!((y, g, p), (7.0, [12.0, 3.0], [12.0, -60.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Entrywise<F, D, E> {
    name: &'static str,
    value: F,
    slope: D,
    second: E,
}

impl<F, D, E> Entrywise<F, D, E> {
    /// Creates the function from `f`, `f'` and `f''`. Faults use `name`.
    pub fn new<T>(name: &'static str, value: F, slope: D, second: E) -> Self
    where
        F: Fn(T) -> T,
        D: Fn(T) -> T,
        E: Fn(T) -> T,
    {
        Self { name, value, slope, second }
    }
}

impl<T, F, D, E> Custom<T> for Entrywise<F, D, E>
where
    T: Element,
    F: Fn(T) -> T + Sync,
    D: Fn(T) -> T + Sync,
    E: Fn(T) -> T + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn results(&self, n: usize) -> usize {
        n
    }

    fn value(&self, x: &[T], y: &mut [T]) -> Result<(), Fault> {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = (self.value)(x));
        Ok(())
    }

    fn jvp(&self, x: &[T], dx: &[T], dy: &mut [T]) -> Result<(), Fault> {
        for ((dy, &x), &dx) in dy.iter_mut().zip(x).zip(dx) {
            *dy = passed((self.slope)(x), dx);
        }
        Ok(())
    }

    fn vjp(&self, x: &[T], y_bar: &[T], x_bar: &mut [T]) -> Result<(), Fault> {
        self.jvp(x, y_bar, x_bar)
    }

    fn hvp(&self, x: &[T], dx: &[T], y_bar: &[T], x_bar: &mut [T]) -> Result<(), Fault> {
        for (((x_bar, &x), &dx), &y_bar) in x_bar.iter_mut().zip(x).zip(dx).zip(y_bar) {
            *x_bar = passed(passed((self.second)(x), dx), y_bar);
        }
        Ok(())
    }
}
