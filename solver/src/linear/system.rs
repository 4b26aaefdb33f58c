//! What the solvers share: the system, its residual, when an iteration ends.

use hypertape_autodiff::Element;

use crate::error::Error;

/// `H v = b` with a start in `v`, which is zero unless `warm`.
#[derive(Debug)]
pub(crate) struct System<'s, T> {
    pub(crate) b: &'s [T],
    pub(crate) v: &'s mut [T],
    pub(crate) warm: bool,
}

impl<T: Element> System<'_, T> {
    /// `r = b - H v`, without a product where `v` is zero.
    pub(crate) fn residual(
        &self,
        product: &mut impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
        r: &mut [T],
    ) -> Result<(), Error> {
        if !self.warm {
            r.copy_from_slice(self.b);
            return Ok(());
        }
        product(self.v, r)?;
        for (r, &b) in r.iter_mut().zip(self.b) {
            *r = b - *r;
        }
        Ok(())
    }
}

/// When an iteration ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit<T> {
    pub(crate) iterations: usize,
    /// Norm of the residual.
    pub(crate) residual: T,
}

/// The first `N` vectors of `p` values.
pub(crate) fn vectors<T, const N: usize>(scratch: &mut [T], p: usize) -> [&mut [T]; N] {
    let mut rest = scratch.chunks_exact_mut(p.max(1));
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}
