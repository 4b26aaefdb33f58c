//! Algorithms that solve a new linear system in each iteration by a [series](Series):
//!
//! | algorithm | source | iteration | powers |
//! |---|---|---|---|
//! | stocBiO | Ji, Yang and Liang 2021 | `inner` steps of `w`; the sum; `x` | 0, 0, 0 |
//! | BSA | Ghadimi and Wang 2018 | a term drawn; `x`; `inner` steps of `w` | 1/2, 0, 1/2 |
//! | TTSA | Hong, Wai, Wang and Yang 2023 | a step of `w`; a term drawn, the mixed product on the same mini-batch; `x` | 2/5, 0, 3/5 |
//!
//! BSA takes its steps of `w` after that of `x`: those of iteration `k` are executed at the beginning of iteration
//! `k + 1`. Cost: the steps of `w`, one outer gradient, `terms` Hessian-vector products (half as many on average if one
//! term is drawn), and one mixed product. Memory: `4 p + d` values, or `3 p + d` if one term is drawn.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, add};
use crate::single_loop::series::{See, Series};
use crate::single_loop::steps::{Steps, spell_inner};
use crate::spelling::{About, Spelled, Visit};

/// Defines the three algorithms, which differ only in [`iterate`](SingleLoop::iterate).
macro_rules! by_series {
    ($($(#[$doc:meta])* $algorithm:ident: $name:literal, $summary:literal, $powers:expr,
        $single:literal, $inner:literal, $iterate:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $algorithm {
            steps: Steps,
            /// Number of steps of `w` per iteration.
            inner: usize,
            series: Series,
        }

        impl Default for $algorithm {
            fn default() -> Self {
                let (steps, series) = (Steps::listed($powers), Series::listed($single));
                Self { steps, inner: $inner, series }
            }
        }

        impl Spelled for $algorithm {
            fn about(&self) -> About {
                let cost = "one gradient per step of w, one outer gradient, up to terms HVPs";
                About { name: $name, summary: $summary, cost }
            }

            fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
                let steps = self.steps.spell(visit);
                let inner = match self.inner {
                    _ if $inner == 1 => 1,
                    inner => spell_inner(inner, visit),
                };
                Ok(Self { steps, inner, series: self.series.spell(visit) })
            }
        }

        impl<T: Element> SingleLoop<T> for $algorithm {
            fn steps(&self) -> Steps {
                self.steps
            }

            fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
                let (t, (w, x, x_bar, [])) = (on.iteration(), at.parts()?);
                let iterate: fn(&Self, &mut Sampled<T>, usize, &mut [T], &[T]) -> Result<See, Error> = $iterate;
                let see = iterate(self, on, t, w, x)?;
                let eta = self.steps.at(t)[1];
                self.series.hypergradients(on, (eta, see), [[w, x]], [x_bar])
            }
        }
    )*};
}

by_series! {
    /// The stocBiO algorithm.
    Stocbio: "stocbio", "several steps of w, a Neumann series of mini-batches, then one step of x", [0.0; 3], false, 10,
    |this, on, t, w, x| {
        on.descend(w, x, (this.inner, this.steps.at(t)[0]), false)?;
        Ok(See::Drawn)
    };
    /// The BSA algorithm.
    Bsa: "bsa", "a step of x by one random term of a Neumann series, then several steps of w", [0.5, 0.0, 0.5], true, 10,
    |this, on, t, w, x| {
        if t > 0 || on.rehearses() {
            let lr = this.steps.at(t.saturating_sub(1))[0];
            on.descend(w, x, (this.inner, lr), false)?;
        }
        Ok(See::Drawn)
    };
    /// The TTSA algorithm.
    Ttsa: "ttsa", "a step of w, then one of x by one random term of a Neumann series", [0.4, 0.0, 0.6], true, 1,
    |this, on, t, w, x| {
        let (i, mut g) = (on.inner(), on.oracle.take(w.len())?);
        on.gradient(i, [w, x], &mut g)?;
        add(w, -this.steps.at(t)[0], &g);
        on.oracle.give(g);
        Ok(See::Mixed(i))
    };
}
