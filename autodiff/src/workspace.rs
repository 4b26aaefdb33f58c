//! `Workspace`: the memory that drivers use and keep.

use crate::arena::Arena;
use crate::tally::Tally;

/// The arenas that drivers use and keep: one for values and records, one for adjoints, which are freed first. Points
/// and derivatives are flat slices: the entries of all arguments one after the other, each in row-major order, which
/// `shapes` divides.
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
/// assert_eq!((product, w.jacobian(&Dot, &shapes, &x)?), ([0.0, 1.0, 1.0, 0.0], (vec![11.0], gradient.to_vec())));
/// let (mut hessian, mut dys) = ([0.0; 16], [[0.0]; 2]);
/// assert_eq!(w.hessian(&Dot, &shapes, &x, &mut gradient, &mut hessian)?, 11.0);
/// assert_eq!(hessian[..8], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
/// w.jvps(&Dot, &shapes, (&x, [&v, &x]), (&mut y, dys.each_mut().map(|dy| &mut dy[..])))?;
/// assert_eq!((y, dys), ([11.0], [[5.0], [22.0]]));
/// w.vjps(&Dot, &shapes, (&x, [&[1.0], &[2.0]]), (&mut y, [&mut product, &mut bar]))?;
/// assert_eq!((product, bar), ([3.0, 4.0, 1.0, 2.0], [6.0, 8.0, 2.0, 4.0]));
/// # Ok::<(), hypertape_autodiff::Fault>(())
/// ```
#[derive(Debug, Default)]
pub struct Workspace {
    record: Arena,
    sweep: Arena,
    peak: usize,
}

impl Workspace {
    /// Creates a workspace that holds no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes that the last pass used in both arenas, padding included.
    pub fn used(&self) -> usize {
        self.record.used() + self.sweep.used()
    }

    /// Returns the most bytes that one pass used since the last call, and empties both arenas.
    pub fn take_peak(&mut self) -> usize {
        self.arenas();
        std::mem::take(&mut self.peak)
    }

    /// Sets whether every result is checked. The first that is not finite is then returned as an error.
    pub fn check_finite(&mut self, on: bool) {
        self.record.check_finite(on);
        self.sweep.check_finite(on);
    }

    /// Sets whether passes record the cost of each [operation](Tally), see [`Arena::tally`].
    pub fn tally(&mut self, on: bool) {
        self.record.tally(on);
        self.sweep.tally(on);
    }

    /// Returns the cost of each operation since the last call, in both arenas, and empties them.
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

    /// Limits the bytes that a pass may use in each of the two arenas.
    pub fn set_limit(&mut self, bytes: usize) {
        self.record.set_limit(bytes);
        self.sweep.set_limit(bytes);
    }

    /// Returns both arenas, emptied: the first for values and records, the second for adjoints. This is for passes that
    /// no driver covers.
    pub fn arenas(&mut self) -> (&Arena, &mut Arena) {
        self.peak = self.peak.max(self.used());
        self.record.reset();
        self.sweep.reset();
        (&self.record, &mut self.sweep)
    }

    /// Ends a pass whose results were copied out.
    pub(crate) fn merge_chunks(&mut self) {
        self.record.merge_chunks();
        self.sweep.merge_chunks();
    }
}
