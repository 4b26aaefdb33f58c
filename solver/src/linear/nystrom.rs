//! Conjugate gradients preconditioned by a random sketch of `H` (Frangella, Tropp and Udell 2023; for hypergradients
//! Hataya and Yamada 2023).
//!
//! With `k` random columns `W` and `Y = (H + nu) W`, the Nystrom approximation of `H` is `Y (W'Y)^-1 Y'`. It is exact
//! on its range, and accurate for the largest eigenvalues with few more columns than there are of them. `nu`, of the
//! size of rounding errors, keeps `W'Y` regular. The preconditioner adds a shift `s` about as large as the eigenvalues
//! that the sketch misses, and is inverted by Woodbury's formula, without an eigendecomposition:
//!
//! ```text
//! P^-1 r = (r - Y (s W'Y + Y'Y)^-1 Y' r) / s
//! ```
//!
//! Entries of `W` are uniform on [-1, 1), and the same for the same draw.

use hypertape_autodiff::{Element, axpy, dot};
use rand::RngExt;

use crate::error::Error;
use crate::linear::system::{LinearSolver, Stop, System};
use crate::linear::{conjugate_gradients, dense};
use crate::params::{norm, scale};
use crate::spelling::{Range, spelled};

spelled! {
    /// Conjugate gradients with a preconditioner from a random sketch, for a positive definite matrix.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Nystrom: "nystrom",
        "implicit, by conjugate gradients with a Nystrom preconditioner",
        "r + 1 gradients, rank + iterations + 1 HVPs" {
        /// Number of vectors of the sketch.
        pub rank: usize = 10, Range::ONE_OR_MORE, "rank of the sketch";
        /// Shift that is added to the sketched matrix; the mean eigenvalue seen by the sketch if `None`.
        pub shift: Option<f64> = None, Range::POSITIVE,
            "added to the sketched Hessian; its mean eigenvalue if not given";
        /// When the iterations end; the products of the sketch are not counted as iterations.
        pub stop: Stop = Stop::default();
    }
}

impl<T: Element> LinearSolver<T> for Nystrom {
    fn solve(&self, system: &mut System<T>) -> Result<usize, Error> {
        let p = system.unknowns();
        let k = self.rank.min(p);
        let (mut columns, mut images) = (system.take(k * p)?, system.take(k * p)?);
        let (mut gram, mut inverse) = (system.take(k * k)?, system.take(k * k)?);
        let (mut coefficients, scratch) = (system.take(k)?, system.vectors()?);
        let [z] = system.vectors()?;
        let mut random = system.draw.stream();
        columns.fill_with(|| T::from_f64(random.random_range(-1.0..1.0)));
        for (column, image) in columns.chunks_exact(p).zip(images.chunks_exact_mut(p)) {
            system.product(column, image)?;
        }
        let size = norm(&images) / norm(&columns);
        let nu = T::epsilon() * T::from_f64(p as f64).sqrt() * size;
        axpy(&mut images, nu, &columns);
        let mean = || dot(&columns, &images) / dot(&columns, &columns);
        let shift = self.shift.map_or_else(mean, T::from_f64);
        for (i, column) in columns.chunks_exact(p).enumerate() {
            for (j, image) in images.chunks_exact(p).enumerate() {
                let core = dot(column, image);
                gram[i * k + j] = shift * core + dot(&images[i * p..(i + 1) * p], image);
                inverse[i * k + j] = if i == j { T::one() } else { T::zero() };
            }
        }
        dense::eliminate(&mut gram, &mut inverse, T::zero())?;
        let precondition = |r: &[T], z: &mut [T]| {
            for (c, image) in coefficients.iter_mut().zip(images.chunks_exact(p)) {
                *c = dot(image, r);
            }
            z.copy_from_slice(r);
            for (row, image) in inverse.chunks_exact(k).zip(images.chunks_exact(p)) {
                axpy(z, -dot(row, &coefficients), image);
            }
            scale(z, shift.recip());
        };
        let (preconditioner, until) = (Some((z, precondition)), (self.stop, size));
        let iterations = conjugate_gradients::solve(system, scratch, preconditioner, until)?;
        system.give([coefficients, inverse, gram, images, columns]);
        Ok(iterations)
    }
}
