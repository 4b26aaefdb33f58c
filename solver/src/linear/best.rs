//! Selects the iterate with the smallest bound of its residual.
//!
//! A residual that is updated by a recursion does not include the rounding errors of `A v`, which are about
//! `eps |A| |v|` for the longest `v` so far, and the entries of `A` have errors of that size themselves. The sum of the
//! residual and a multiple of this bounds the true residual, whatever later iterations do. So a step is taken only if it
//! reduces the residual by more than a change of `A` within its rounding errors would: where `A` is singular up to
//! rounding, that ends the iterations at least squares.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::linear::system::System;
use crate::params::norm;

/// The best iterate so far, in one vector.
pub(super) struct Best<T> {
    v: Vec<T>,
    bound: T,
    longest: T,
    last: bool,
}

impl<T: Element> Best<T> {
    pub(super) fn new(system: &mut System<T>) -> Result<Self, Error> {
        let [v] = system.vectors()?;
        let (bound, longest) = (T::infinity(), T::zero());
        Ok(Self { v, bound, longest, last: true })
    }

    /// Considers `system.v`, whose residual by recursion is `residual`, for an `A` of norm `size`. Returns whether more
    /// iterations can improve it.
    pub(super) fn see(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        self.longest = self.longest.max(norm(system.v));
        let each = T::epsilon() * size * self.longest;
        let rounding = T::from_f64(16.0) * each;
        self.last = residual + rounding < self.bound;
        if self.last {
            self.bound = residual + rounding;
            self.v.copy_from_slice(system.v);
        }
        // Rounding errors seldom reach their bound.
        rounding < self.bound && T::from_f64(16.0) * residual > each
    }

    /// Considers `system.v`, whose residual was evaluated. Returns whether the residual decreased, up to rounding.
    pub(super) fn judge(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        let before = self.bound;
        self.see(system, residual, size);
        residual <= before * (T::one() + T::epsilon().sqrt())
    }

    /// Copies the best iterate to `system.v`.
    pub(super) fn settle(self, system: &mut System<T>) {
        if !self.last {
            system.v.copy_from_slice(&self.v);
        }
        system.give([self.v]);
    }
}
