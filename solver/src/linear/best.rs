//! Selects the iterate with the smallest bound of its residual.
//!
//! A residual that is updated by a recursion does not include the rounding errors of `A v`, which are about
//! `eps |A| |v|` for the longest `v` so far. The sum of both bounds the true residual, whatever later iterations do.
//! Once the second part is the larger one, iterations improve nothing.

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
    doubtful: bool,
}

impl<T: Element> Best<T> {
    pub(super) fn new(system: &mut System<T>) -> Result<Self, Error> {
        let [v] = system.vectors()?;
        let (bound, longest) = (T::infinity(), T::zero());
        Ok(Self { v, bound, longest, last: true, doubtful: false })
    }

    /// Considers `system.v`, whose residual by recursion is `residual`, for an `A` of norm `size`. Returns whether more
    /// iterations can improve it.
    pub(super) fn see(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        self.longest = self.longest.max(norm(system.v));
        let rounding = T::epsilon() * size * self.longest;
        self.last = residual + rounding < self.bound;
        if self.last {
            self.bound = residual + rounding;
            self.doubtful = T::from_f64(16.0) * rounding > norm(system.b);
            self.v.copy_from_slice(system.v);
        }
        // Rounding errors seldom reach their bound.
        T::from_f64(16.0) * residual > rounding
    }

    /// Considers `system.v`, whose residual was evaluated. Returns whether the residual decreased, up to rounding.
    pub(super) fn judge(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        let before = self.bound;
        self.see(system, residual, size);
        residual <= before * (T::one() + T::epsilon().sqrt())
    }

    /// Copies the best iterate to `system.v`. If rounding may have made it worse than zero, evaluates its residual in
    /// `scratch`, and uses zero if it is.
    pub(super) fn settle(self, system: &mut System<T>, scratch: &mut [T]) -> Result<(), Error> {
        if !self.last {
            system.v.copy_from_slice(&self.v);
        }
        if self.doubtful {
            system.warm = true;
            system.residual(scratch)?;
            let within = norm(scratch) <= norm(system.b);
            if !within {
                system.v.fill(T::zero());
            }
        }
        system.give([self.v]);
        Ok(())
    }
}
