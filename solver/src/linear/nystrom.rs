//! Conjugate gradients preconditioned by a random sketch of `H` (Frangella, Tropp and Udell 2023; for hypergradients
//! Hataya and Yamada 2023).
//!
//! With `k` random columns `W` and `Y = (H + nu) W`, the Nystrom approximation of `H` is `Y (W'Y)^-1 Y'`: exact on its
//! range, and near the largest eigenvalues for little more than their number of columns. `nu`, a rounding, keeps `W'Y`
//! regular. The preconditioner adds a shift `s` about as large as the eigenvalues that the sketch misses, and is inverted
//! by Woodbury's formula, without an eigendecomposition:
//!
//! ```text
//! P^-1 r = (r - Y (s W'Y + Y'Y)^-1 Y' r) / s
//! ```
//!
//! Entries of `W` are uniform on [-1, 1), the same for the same draw.

use hypertape_autodiff::{Element, axpy, dot};
use rand::RngExt;

use crate::draw::Draw;
use crate::error::Error;
use crate::linear::system::{Limit, System};
use crate::linear::{conjugate_gradients, dense};
use crate::params::{norm, scale};

/// Values of scratch for `k` columns.
pub(super) fn scratch(k: usize, p: usize) -> usize {
    (4 + 2 * k) * p + 2 * k * k + k
}

/// Solves `H v = b`; the products of the sketch are not counted as iterations.
pub(super) fn solve<T: Element>(
    mut product: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    system: &mut System<T>,
    scratch: &mut [T],
    (k, shift, draw): (usize, Option<f64>, Draw),
    limit: Limit<T>,
) -> Result<usize, Error> {
    let p = system.b.len();
    let (columns, rest) = scratch.split_at_mut(k * p);
    let (images, rest) = rest.split_at_mut(k * p);
    let (gram, rest) = rest.split_at_mut(k * k);
    let (inverse, rest) = rest.split_at_mut(k * k);
    let (coefficients, rest) = rest.split_at_mut(k);
    let mut random = draw.stream();
    columns.fill_with(|| T::from_f64(random.random_range(-1.0..1.0)));
    for (column, image) in columns.chunks_exact(p).zip(images.chunks_exact_mut(p)) {
        product(column, image)?;
    }
    let nu = T::epsilon() * T::from_f64(p as f64).sqrt() * norm(images) / norm(columns);
    axpy(images, nu, columns);
    let shift = shift.map_or_else(|| dot(columns, images) / dot(columns, columns), T::from_f64);
    let images = &*images;
    for (i, column) in columns.chunks_exact(p).enumerate() {
        for (j, image) in images.chunks_exact(p).enumerate() {
            let core = dot(column, image);
            gram[i * k + j] = shift * core + dot(&images[i * p..(i + 1) * p], image);
            inverse[i * k + j] = if i == j { T::one() } else { T::zero() };
        }
    }
    dense::eliminate(gram, inverse, T::zero())?;
    let precondition = |r: &[T], z: &mut [T]| {
        for (c, image) in coefficients.iter_mut().zip(images.chunks_exact(p)) {
            *c = dot(image, r);
        }
        z.copy_from_slice(r);
        for (row, image) in inverse.chunks_exact(k).zip(images.chunks_exact(p)) {
            axpy(z, -dot(row, coefficients), image);
        }
        scale(z, shift.recip());
    };
    conjugate_gradients::solve(product, Some(precondition), system, rest, limit)
}
