//! Drivers: value, gradient, JVP, VJP, Hessian-vector product, Jacobian and Hessian of a [`Function`].
//!
//! A point is flat: the entries of all arrays one after the other, cut by a list of shapes. Costs are in evaluations of
//! the value: a gradient is 2 to 3, a JVP about 2, a Hessian-vector product with its gradient 4 to 6.

use crate::arena::Arena;
use crate::array::dual::Dual;
use crate::array::element::Element;
use crate::array::tape::{NodeId, Recording, Tape};
use crate::array::tensor::Tensor;
use crate::array::var::Var;
use crate::array::{Array, List};
use crate::fault::{Fault, expect_length};
use crate::shape::Shape;
use crate::tally::Tally;

/// Directions that travel together through a Jacobian by columns and a Hessian.
const TOGETHER: usize = 4;

/// A function of several arrays, written once for every mode.
pub trait Function<T: Element> {
    /// The value, of any shape; drivers that say so need a scalar.
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A;
}

/// Arena memory that drivers use and keep: one arena for values and records, one for adjoints, which die first.
/// Points and derivatives are flat: the entries of all arguments one after the other, each row by row, cut by `shapes`.
///
/// ```
/// use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
/// struct Dot;
/// impl<T: Element> Function<T> for Dot {
///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A { x[0].dot(x[1]) }
/// }
/// let (mut w, shapes, x, v) = (Workspace::new(), [Shape::column(2); 2], [1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 0.0, 1.0]);
/// let (mut gradient, mut bar, mut product, mut y, mut dy) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0], [0.0]);
/// assert_eq!(w.gradient(&Dot, &shapes, &x, &mut gradient)?, 11.0);
/// w.vjp(&Dot, &shapes, &x, &mut y, &[2.0], &mut bar)?;
/// w.jvp(&Dot, &shapes, &x, &v, &mut y, &mut dy)?;
/// assert_eq!((gradient, bar, dy), ([3.0, 4.0, 1.0, 2.0], [6.0, 8.0, 2.0, 4.0], [5.0]));
/// w.hvp(&Dot, &shapes, &x, &v, &mut gradient, &mut product)?;
/// assert_eq!((product, w.jacobian(&Dot, &shapes, &x)?), ([0.0, 1.0, 1.0, 0.0], gradient.to_vec()));
/// assert_eq!(w.hessian(&Dot, &shapes, &x)?[..8], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Debug, Default)]
pub struct Workspace {
    record: Arena,
    sweep: Arena,
    peak: usize,
}

impl Workspace {
    /// No memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the last pass used in both arenas, padding included.
    pub fn used(&self) -> usize {
        self.record.used() + self.sweep.used()
    }

    /// Most bytes used by one pass since the last call; empties both arenas.
    pub fn take_peak(&mut self) -> usize {
        self.arenas();
        std::mem::take(&mut self.peak)
    }

    /// Whether every result is checked to be finite, and the first that is not is returned as an error.
    pub fn check_finite(&mut self, on: bool) {
        self.record.check_finite(on);
        self.sweep.check_finite(on);
    }

    /// Whether passes tell what each [operation](Tally) takes, see [`Arena::tally`].
    pub fn tally(&mut self, on: bool) {
        self.record.tally(on);
        self.sweep.tally(on);
    }

    /// What operations took since the last call, in both arenas, which are emptied.
    ///
    /// ```
    /// use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
    /// struct Length;
    /// impl<T: Element> Function<T> for Length {
    ///     fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A { x[0].square().sum().sqrt() }
    /// }
    /// let mut workspace = Workspace::new();
    /// workspace.tally(true);
    /// workspace.gradient(&Length, &[Shape::column(2)], &[3.0, 4.0], &mut [0.0; 2])?;
    /// let rows = workspace.take_tally();
    /// let recorded = rows.iter().filter(|row| row.records > 0);
    /// let recorded: Vec<_> = recorded.map(|row| (row.name, row.records)).collect();
    /// assert_eq!(recorded, [("variable", 1), ("square", 1), ("sum", 1), ("sqrt", 1)]);
    /// # Ok::<(), hypertape_autodiff::Fault>(())
    /// ```
    pub fn take_tally(&mut self) -> Vec<Tally> {
        self.arenas();
        let mut rows = self.record.take_tally();
        self.sweep.take_tally().into_iter().for_each(|row| Tally::join(&mut rows, row));
        rows
    }

    /// Limits the bytes that a pass may use in each of its two arenas.
    pub fn set_limit(&mut self, bytes: usize) {
        self.record.set_limit(bytes);
        self.sweep.set_limit(bytes);
    }

    /// Both arenas, emptied: first for values and records, second for adjoints. For passes that no driver covers.
    pub fn arenas(&mut self) -> (&Arena, &mut Arena) {
        self.peak = self.peak.max(self.used());
        self.record.reset();
        self.sweep.reset();
        (&self.record, &mut self.sweep)
    }

    /// The end of a pass whose results were copied out.
    fn settle(&mut self) {
        self.record.settle();
        self.sweep.settle();
    }

    /// Writes `f(x)` row by row into `y`.
    ///
    /// # Errors
    /// The first fault; a length of `x` or `y` that does not match.
    pub fn value<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        y: &mut [T],
    ) -> Result<(), Fault> {
        let (record, _) = self.arenas();
        let out = f.eval(&Tensor::split(record, shapes, x)?);
        record.status()?;
        write(out, y, "the value")?;
        self.settle();
        Ok(())
    }

    /// Gradient of a scalar function; returns its value.
    ///
    /// # Errors
    /// The first fault; lengths that do not match; a value that is not a scalar.
    pub fn gradient<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        gradient: &mut [T],
    ) -> Result<T, Fault> {
        let mut value = [T::zero()];
        let (record, sweep) = self.arenas();
        let recorded = Recorded::new(record, f, Tensor::split(record, shapes, x)?)?;
        write(recorded.out, &mut value, "the value of a scalar function")?;
        recorded.pull(&[T::one()], sweep, |i, adjoint| write_at(shapes, i, adjoint, gradient))?;
        self.settle();
        Ok(value[0])
    }

    /// Directional derivative: writes `f(x)` into `y` and `J dx` into `dy`.
    ///
    /// # Errors
    /// The first fault; lengths that do not match.
    pub fn jvp<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        dx: &[T],
        y: &mut [T],
        dy: &mut [T],
    ) -> Result<(), Fault> {
        let (record, _) = self.arenas();
        let out = f.eval(&duals(record, shapes, x, [dx])?);
        record.status()?;
        write(out.value(), y, "the value")?;
        write_tangent(out, 0, dy, "the directional derivative")?;
        self.settle();
        Ok(())
    }

    /// Vector-Jacobian product: writes `f(x)` into `y` and `J^T y_bar` into `x_bar`.
    ///
    /// # Errors
    /// The first fault; lengths that do not match.
    pub fn vjp<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        y: &mut [T],
        y_bar: &[T],
        x_bar: &mut [T],
    ) -> Result<(), Fault> {
        let (record, sweep) = self.arenas();
        let recorded = Recorded::new(record, f, Tensor::split(record, shapes, x)?)?;
        write(recorded.out, y, "the value")?;
        recorded.pull(y_bar, sweep, |i, adjoint| write_at(shapes, i, adjoint, x_bar))?;
        self.settle();
        Ok(())
    }

    /// Gradient and Hessian-vector product `H v` of a scalar function by forward over reverse; returns the value.
    ///
    /// # Errors
    /// The first fault; lengths that do not match; a value that is not a scalar.
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

    /// Gradient and `N` Hessian-vector products `H v_k` of a scalar function in one pass, which shares the value, the
    /// gradient and the slopes among the directions; returns the value. Entries equal those of `N` calls of
    /// [`hvp`](Self::hvp).
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
    /// The first fault; lengths that do not match; a value that is not a scalar.
    pub fn hvps<T: Element, F: Function<T>, const N: usize>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        v: [&[T]; N],
        gradient: &mut [T],
        mut products: [&mut [T]; N],
    ) -> Result<T, Fault> {
        let mut value = [T::zero()];
        let (record, sweep) = self.arenas();
        let recorded = Recorded::new(record, f, duals(record, shapes, x, v)?)?;
        let out = recorded.out.value();
        write(out, &mut value, "the value of a scalar function")?;
        recorded.pull(&[T::one()], sweep, |i, adjoint| {
            write_at(shapes, i, adjoint.map(Dual::value), gradient)?;
            for (k, product) in products.iter_mut().enumerate() {
                write_at(shapes, i, adjoint.and_then(|a| a.tangents()[k]), product)?;
            }
            Ok(())
        })?;
        self.settle();
        Ok(value[0])
    }

    /// Jacobian, row by row, `m` by `n`: by rows in reverse mode where `m <= n`, otherwise by columns in forward mode.
    ///
    /// # Errors
    /// The first fault; a length of `x` that does not match.
    pub fn jacobian<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
    ) -> Result<Vec<T>, Fault> {
        let n = x.len();
        let (record, sweep) = self.arenas();
        let recorded = Recorded::new(record, f, Tensor::split(record, shapes, x)?)?;
        let m = recorded.out.shape().len();
        let mut jacobian = vec![T::zero(); m * n];
        if m <= n {
            let mut seed = vec![T::zero(); m];
            for (i, row) in jacobian.chunks_exact_mut(n.max(1)).enumerate() {
                seed[i] = T::one();
                sweep.reset();
                recorded.pull(&seed, sweep, |i, adjoint| write_at(shapes, i, adjoint, row))?;
                seed[i] = T::zero();
            }
            return Ok(jacobian);
        }
        let mut column = vec![T::zero(); m];
        let mut basis = Basis::new(n);
        for first in (0..n).step_by(TOGETHER) {
            let (record, _) = self.arenas();
            let out = f.eval(&duals(record, shapes, x, basis.from(first))?);
            record.status()?;
            for (at, k) in (first..n).zip(0..TOGETHER) {
                write_tangent(out, k, &mut column, "a column of the Jacobian")?;
                for (row, &v) in jacobian.chunks_exact_mut(n).zip(&column) {
                    row[at] = v;
                }
            }
        }
        Ok(jacobian)
    }

    /// Hessian of a scalar function, row by row, by forward over reverse, four directions at a time.
    ///
    /// # Errors
    /// The first fault; a length of `x` that does not match; a value that is not a scalar.
    pub fn hessian<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
    ) -> Result<Vec<T>, Fault> {
        let n = x.len();
        let mut gradient = vec![T::zero(); n];
        // Rows of whole passes, of which those beyond the last are zero.
        let mut hessian = vec![T::zero(); n.next_multiple_of(TOGETHER) * n];
        let mut basis = Basis::new(n);
        for (i, rows) in hessian.chunks_exact_mut((TOGETHER * n).max(1)).enumerate() {
            let mut rows = rows.chunks_exact_mut(n);
            let rows = std::array::from_fn(|_| rows.next().unwrap_or_default());
            self.hvps(f, shapes, x, basis.from(TOGETHER * i), &mut gradient, rows)?;
        }
        hessian.truncate(n * n);
        Ok(hessian)
    }
}

/// A recorded evaluation of a function all of whose arguments are variables.
struct Recorded<'a, A, T> {
    recording: Recording<'a, A, T>,
    out: A,
    out_id: Option<NodeId>,
    leaves: List<NodeId>,
}

impl<'a, T: Element, A: Array<'a, Elem = T>> Recorded<'a, A, T> {
    fn new<F: Function<T>>(record: &'a Arena, f: &'a F, x: List<A>) -> Result<Self, Fault> {
        let tape = Tape::new(record)?;
        let variables: List<Var<A>> = x.into_iter().map(|x| tape.variable(x)).collect();
        let out = f.eval(&variables);
        record.status()?;
        let leaves = variables.iter().filter_map(|v| v.id()).collect();
        Ok(Self { recording: tape.finish(), out: out.value(), out_id: out.id(), leaves })
    }

    /// Sweeps back from `y_bar` and hands the adjoint of each argument to `take`.
    fn pull(
        &self,
        y_bar: &'a [T],
        sweep: &'a Arena,
        mut take: impl FnMut(usize, Option<A>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        expect_length("the adjoint of the value", self.out.shape().len(), y_bar.len())?;
        let seed = self.out.within(sweep).constant(self.out.shape(), y_bar);
        let seeds: List<_> = self.out_id.map(|id| (id, seed)).into_iter().collect();
        let adjoints = self.recording.pull(&seeds, sweep);
        sweep.status()?;
        self.leaves.iter().enumerate().try_for_each(|(i, &leaf)| take(i, adjoints.get(leaf)))
    }
}

/// Unit vectors, `TOGETHER` at a time.
struct Basis<T>([Vec<T>; TOGETHER]);

impl<T: Element> Basis<T> {
    fn new(n: usize) -> Self {
        Self(std::array::from_fn(|_| vec![T::zero(); n]))
    }

    /// Unit vectors `first, first + 1, ...` as far as there are any, then zeros.
    fn from(&mut self, first: usize) -> [&[T]; TOGETHER] {
        for (k, vector) in self.0.iter_mut().enumerate() {
            vector.fill(T::zero());
            if let Some(entry) = vector.get_mut(first + k) {
                *entry = T::one();
            }
        }
        self.0.each_ref().map(|vector| &vector[..])
    }
}

/// A flat point with `N` flat tangents.
fn duals<'a, T: Element, const N: usize>(
    arena: &'a Arena,
    shapes: &[Shape],
    x: &'a [T],
    tangents: [&'a [T]; N],
) -> Result<List<Dual<Tensor<'a, T>, N>>, Fault> {
    let values = Tensor::split(arena, shapes, x)?.into_iter();
    let mut all: List<_> = values.map(|x| (x, [None; N])).collect();
    for (k, tangent) in tangents.into_iter().enumerate() {
        expect_length("the direction", x.len(), tangent.len())?;
        for ((_, tangents), part) in all.iter_mut().zip(Tensor::split(arena, shapes, tangent)?) {
            tangents[k] = Some(part);
        }
    }
    Ok(all.into_iter().map(|(value, tangents)| Dual::new(value, tangents)).collect())
}

/// Copies an array into a buffer of its length.
fn write<T: Element>(array: Tensor<T>, buffer: &mut [T], what: &'static str) -> Result<(), Fault> {
    expect_length(what, buffer.len(), array.shape().len())?;
    buffer.copy_from_slice(array.values());
    Ok(())
}

/// The same, or zeros for none, which has no length of its own to check.
fn write_or_zero<T: Element>(
    array: Option<Tensor<T>>,
    buffer: &mut [T],
    what: &'static str,
) -> Result<(), Fault> {
    if let Some(array) = array {
        return write(array, buffer, what);
    }
    buffer.fill(T::zero());
    Ok(())
}

/// Copies tangent `k`, or zeros for none, into a buffer of the value's length.
fn write_tangent<T: Element, const N: usize>(
    dual: Dual<Tensor<T>, N>,
    k: usize,
    buffer: &mut [T],
    what: &'static str,
) -> Result<(), Fault> {
    expect_length(what, buffer.len(), dual.shape().len())?;
    write_or_zero(dual.tangents()[k], buffer, what)
}

/// Writes array `i` of a flat result.
fn write_at<T: Element>(
    shapes: &[Shape],
    i: usize,
    array: Option<Tensor<T>>,
    flat: &mut [T],
) -> Result<(), Fault> {
    let start: usize = shapes[..i].iter().map(|s| s.len()).sum();
    let total = start + shapes[i..].iter().map(|s| s.len()).sum::<usize>();
    expect_length("a buffer for derivatives", total, flat.len())?;
    let buffer = &mut flat[start..start + shapes[i].len()];
    write_or_zero(array, buffer, "an adjoint")
}
