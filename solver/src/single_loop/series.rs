//! Hypergradients `f_x - B^T u`, with `u` close to `H^-1 f_w` from a Neumann series whose factors `I - eta H` use
//! separate mini-batches.
//!
//! ```text
//! sum:     u = eta sum_{q = 0..terms} (I - eta H(j_q)) .. (I - eta H(j_1)) f_w        (Ji, Yang and Liang 2021)
//! single:  u = terms eta (I - eta H(j_p)) .. (I - eta H(j_1)) f_w,  p < terms drawn   (Ghadimi and Wang 2018)
//! ```
//!
//! The sum has `terms + 1` terms, as in its source. Several points share all samples, which recursive directions
//! require.

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::params::scale;
use crate::single_loop::sampled::{Sampled, add};
use crate::spelling::{Range, Visit};

/// A series with at most `terms` factors, of which all terms are summed or a single one is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) terms: usize,
    pub(super) single: bool,
}

/// The samples of a hypergradient.
#[derive(Clone, Copy, Debug)]
pub(super) enum See {
    /// Mini-batches, each drawn when it is needed.
    Drawn,
    /// Mini-batches drawn when needed, except this one for the mixed product.
    Mixed(Draw),
    /// All samples.
    All,
}

impl Series {
    /// Ten factors, as in the field's benchmark.
    pub(super) const fn listed(single: bool) -> Self {
        Self { terms: 10, single }
    }

    pub(super) fn spell(self, visit: &mut Visit) -> Self {
        let help = if self.single {
            "number of terms from which one is drawn"
        } else {
            "highest power in the Neumann series"
        };
        Self { terms: visit.get("terms", self.terms, Range::ONE_OR_MORE, help), ..self }
    }

    /// Writes the hypergradient at each point `[w, x]`. The outer loss of the iteration is that at the last point.
    pub(super) fn hypergradients<T: Element, const N: usize>(
        self,
        on: &mut Sampled<T>,
        (eta, see): (f64, See),
        points: [[&[T]; 2]; N],
        out: [&mut [T]; N],
    ) -> Result<(), Error> {
        let (p, d) = (points[0][0].len(), points[0][1].len());
        let mut u: [Vec<T>; N] = on.oracle.vectors(p)?;
        let mut sums = if self.single { None } else { Some(on.oracle.vectors::<N>(p)?) };
        let (mut h, mut mixed) = (on.oracle.take(p)?, on.oracle.take(d)?);
        let all = matches!(see, See::All);
        let o = if all { on.all() } else { on.outer() };
        for k in 0..N {
            on.outer_gradients(o, points[k], &mut u[k], out[k])?;
        }
        for (sum, u) in sums.iter_mut().flatten().zip(&u) {
            sum.copy_from_slice(u);
        }
        let factors = if self.single { on.number(self.terms) } else { self.terms };
        for _ in on.oracle.each(0..factors) {
            let j = if all { on.all() } else { on.inner() };
            for k in 0..N {
                on.hessian_product(j, points[k], &u[k], &mut h)?;
                add(&mut u[k], -eta, &h);
                if let Some(sums) = &mut sums {
                    add(&mut sums[k], 1.0, &u[k]);
                }
            }
        }
        let weight = if self.single { self.terms as f64 * eta } else { eta };
        let i = match see {
            See::Drawn => on.inner(),
            See::Mixed(i) => i,
            See::All => on.all(),
        };
        for (k, out) in out.into_iter().enumerate() {
            let solution = sums.as_mut().map_or(&mut u[k], |sums| &mut sums[k]);
            scale(solution, T::from_f64(weight));
            on.mixed_product(i, points[k], solution, &mut mixed)?;
            add(out, -1.0, &mixed);
        }
        on.oracle.give_all(u.into_iter().chain(sums.into_iter().flatten()).chain([h, mixed]));
        Ok(())
    }
}
