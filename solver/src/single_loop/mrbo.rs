//! MRBO (Yang, Ji and Liang 2021) and SUSTAIN (Khanduri et al. 2021): STORM directions of `w` and `x`.
//!
//! ```text
//! m_w <- g_w(i) + (1 - eta) (m_w - g_w(i) at the old point)
//! m_x <- D + (1 - eta) (m_x - D_old)
//! ```
//!
//! with `D = f_x(o) - B(i)^T u` and `D_old` from the same samples at the old point, where `u` comes from a
//! [series](Series): its sum (MRBO), or one random term (SUSTAIN). Directions and the old point start at zero, as in
//! the field's benchmark. Cost: two inner gradients and two hypergradients of stocBiO. Memory: `9 p + 4 d` values, or
//! `7 p + 4 d` with a random term. Steps decay by 1/3, `eta` by 2/3.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, Sizes, add, keep};
use crate::single_loop::series::{See, Series};
use crate::single_loop::steps::{Decay, Steps};
use crate::spelling::{About, Spelled, Visit};

/// The MRBO or SUSTAIN algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mrbo {
    steps: Steps,
    forget: Decay,
    series: Series,
}

impl Mrbo {
    /// MRBO, which sums the whole series.
    pub fn whole() -> Self {
        let third = 1.0 / 3.0;
        let (steps, forget) = (Steps::listed([third, 0.0, third]), Decay::of(0.5));
        Self { steps, forget, series: Series::listed(false) }
    }

    /// SUSTAIN, which draws one term of the series.
    pub fn sustain() -> Self {
        Self { series: Series::listed(true), ..Self::whole() }
    }
}

impl Spelled for Mrbo {
    fn about(&self) -> About {
        let (name, summary) = if self.series.single {
            ("sustain", "as MRBO, with one random term of the Neumann series")
        } else {
            (
                "mrbo",
                "STORM directions of w and x, with the linear system solved by a Neumann series",
            )
        };
        About { name, summary, cost: "2 gradients, 2 outer gradients, up to 2 x terms HVPs" }
    }

    fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
        let steps = self.steps.spell(visit);
        let forget = visit.get(
            "forget",
            self.forget,
            Decay::SHARE,
            "share of the previous direction that is forgotten",
        );
        Ok(Self { steps, forget, series: self.series.spell(visit) })
    }
}

impl<T: Element> SingleLoop<T> for Mrbo {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, Sizes { p, d, .. }: Sizes) -> Vec<Kept> {
        let directions = [Kept::one("direction of w", p), Kept::one("direction of x", d)];
        directions.into_iter().chain([Kept::one("old w", p), Kept::one("old x", d)]).collect()
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, (w, x, x_bar, [of_w, of_x, w_old, x_old])) = (on.iteration(), at.parts()?);
        let ([a, b], eta) = (self.steps.at(t), self.forget.at(t, 2.0 / 3.0));
        let [of_w, of_x] = [&mut of_w[0], &mut of_x[0]];
        let (mut g, mut old) = (on.oracle.take(w.len())?, on.oracle.take(x.len())?);
        let i = on.inner();
        on.gradient(i, [&w_old[0], &x_old[0]], &mut g)?;
        keep(of_w, eta, &g);
        on.gradient(i, [w, x], &mut g)?;
        add(of_w, 1.0, &g);
        let points = [[&w_old[0], &x_old[0]], [&*w, x]];
        self.series.hypergradients(on, (b, See::Mixed(i)), points, [&mut old, x_bar])?;
        keep(of_x, eta, &old);
        add(of_x, 1.0, x_bar);
        w_old[0].copy_from_slice(w);
        x_old[0].copy_from_slice(x);
        add(w, -a, of_w);
        x_bar.copy_from_slice(of_x);
        on.oracle.give_all([g, old]);
        Ok(())
    }
}
