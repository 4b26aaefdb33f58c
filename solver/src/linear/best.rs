//! The iterate that iterations end with: the one whose residual is bounded by least.
//!
//! A residual that is carried along by a recursion knows nothing of the roundings of `A v`, which are about `eps |A| |v|` of
//! the longest `v` so far. The sum of both bounds the true residual, whatever later iterations do; once the second part is
//! the larger one, they improve nothing.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::linear::system::System;
use crate::params::norm;

/// Keeps it, in one vector.
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

    /// Looks at `system.v`, whose residual is `residual` by recursion, for an `A` of norm `size`. Whether more iterations can
    /// improve it.
    pub(super) fn see(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        self.longest = self.longest.max(norm(system.v));
        let rounding = T::epsilon() * size * self.longest;
        self.last = residual + rounding < self.bound;
        if self.last {
            self.bound = residual + rounding;
            self.doubtful = T::from_f64(16.0) * rounding > norm(system.b);
            self.v.copy_from_slice(system.v);
        }
        // Roundings are seldom as large as their bound.
        T::from_f64(16.0) * residual > rounding
    }

    /// Looks at `system.v`, whose residual was evaluated. Whether it shrank, but for roundings.
    pub(super) fn judge(&mut self, system: &System<T>, residual: T, size: T) -> bool {
        let before = self.bound;
        self.see(system, residual, size);
        residual <= before * (T::one() + T::epsilon().sqrt())
    }

    /// Leaves it in `system.v`. Where roundings may have made it worse than zero, its residual is evaluated in `scratch`, and zero
    /// is left if they have.
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
