//! Drivers for whole matrices: the Jacobian and the Hessian of a [`Function`].

use crate::array::Array as _;
use crate::array::element::Element;
use crate::array::tensor::Tensor;
use crate::drivers::{Function, collect};
use crate::fault::{Fault, expect_length};
use crate::passes::{Group, Recorded, Wanted, evaluate};
use crate::shape::Shape;
use crate::workspace::Workspace;

/// Number of directions that are evaluated together in a Hessian and in a Jacobian by columns.
const TOGETHER: usize = 4;

impl Workspace {
    /// Returns the value and the `m` by `n` Jacobian in row-major order. It is computed by rows in reverse mode if
    /// `m <= n`, and otherwise by columns in forward mode, four at a time. One additional evaluation determines `m`.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if the length of `x` does not match.
    pub fn jacobian<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
    ) -> Result<(Vec<T>, Vec<T>), Fault> {
        let n = x.len();
        let (at, (record, _)) = ([Group::new(shapes, x)], self.arenas());
        let value = evaluate(record, &at, |[x]: [&[Tensor<T>]; 1]| f.eval(x))?;
        let mut value = value.values().to_vec();
        let m = value.len();
        let mut jacobian = vec![T::zero(); m * n];
        if m > n {
            let mut basis = Basis::new(n);
            let mut columns = std::array::from_fn::<_, TOGETHER, _>(|_| vec![T::zero(); m]);
            for first in (0..n).step_by(TOGETHER) {
                let into = columns.each_mut().map(|column| &mut column[..]);
                self.jvps(f, shapes, (x, basis.from(first)), (&mut value, into))?;
                for (at, column) in (first..n).zip(&columns) {
                    jacobian.iter_mut().skip(at).step_by(n).zip(column).for_each(|(d, &v)| *d = v);
                }
            }
            return Ok((value, jacobian));
        }
        let (record, sweep) = self.arenas();
        let (recorded, out) = Recorded::at(record, &at, [Wanted::All], |[x]| f.eval(x))?;
        let (id, shape) = (out.id(), out.shape());
        let mut seed = vec![T::zero(); m];
        for (i, row) in jacobian.chunks_exact_mut(n.max(1)).enumerate() {
            seed[i] = T::one();
            sweep.reset();
            let pulled = recorded.pull([(id, Tensor::new(sweep, shape, &seed))], sweep)?;
            collect(&pulled, shapes, 0, row)?;
            if value[i].is_nan() {
                row.fill(T::nan());
            }
            seed[i] = T::zero();
        }
        Ok((value, jacobian))
    }

    /// Computes the gradient and the Hessian of a scalar function, in row-major order, by forward over reverse with
    /// four directions at a time, and returns the value.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the evaluation, or [`Fault::Length`] if a length does not match or the value is
    /// not a scalar.
    pub fn hessian<T: Element, F: Function<T>>(
        &mut self,
        f: &F,
        shapes: &[Shape],
        x: &[T],
        gradient: &mut [T],
        hessian: &mut [T],
    ) -> Result<T, Fault> {
        let n = x.len();
        expect_length("the Hessian", n * n, hessian.len())?;
        let (mut basis, mut value) = (Basis::new(n), T::nan());
        // Takes the products of directions beyond the last.
        let mut spare = std::array::from_fn::<_, TOGETHER, _>(|_| vec![T::zero(); n]);
        for first in (0..n.max(1)).step_by(TOGETHER) {
            let mut rows = hessian[first * n..].chunks_exact_mut(n.max(1));
            let rows = spare.each_mut().map(|spare| rows.next().unwrap_or(spare));
            value = self.hvps(f, shapes, x, basis.from(first), gradient, rows)?;
        }
        Ok(value)
    }
}

/// Unit vectors, `TOGETHER` at a time.
struct Basis<T>([Vec<T>; TOGETHER]);

impl<T: Element> Basis<T> {
    fn new(n: usize) -> Self {
        Self(std::array::from_fn(|_| vec![T::zero(); n]))
    }

    /// Returns the unit vectors `first, first + 1, ...`, followed by zeros beyond the last.
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
