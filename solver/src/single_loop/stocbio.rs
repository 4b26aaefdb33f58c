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
use crate::single_loop::steps::{INNER, Steps};
use crate::spelling::{Range, spelled};

const COST: &str = "one gradient per step of w, one outer gradient, up to terms HVPs";

spelled! {
    /// The stocBiO algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Stocbio: "stocbio",
        "several steps of w, a Neumann series of mini-batches, then one step of x", COST {
        steps: Steps = Steps::listed([0.0; 3]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        series: Series = Series::listed(false);
    }
}

spelled! {
    /// The BSA algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Bsa: "bsa",
        "a step of x by one random term of a Neumann series, then several steps of w", COST {
        steps: Steps = Steps::listed([0.5, 0.0, 0.5]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        series: Series = Series::listed(true);
    }
}

spelled! {
    /// The TTSA algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Ttsa: "ttsa",
        "a step of w, then one of x by one random term of a Neumann series", COST {
        steps: Steps = Steps::listed([0.4, 0.0, 0.6]);
        series: Series = Series::listed(true);
    }
}

impl<T: Element> SingleLoop<T> for Stocbio {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let ([a, eta], (w, x, x_bar, [])) = (self.steps.at(on.iteration()), at.parts()?);
        on.descend(w, x, (self.inner, a), false)?;
        self.series.hypergradients(on, (eta, See::Drawn), [[w, x]], [x_bar])
    }
}

impl<T: Element> SingleLoop<T> for Bsa {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, (w, x, x_bar, [])) = (on.iteration(), at.parts()?);
        if t > 0 || on.oracle.rehearses() {
            let lr = self.steps.at(t.saturating_sub(1))[0];
            on.descend(w, x, (self.inner, lr), false)?;
        }
        let eta = self.steps.at(t)[1];
        self.series.hypergradients(on, (eta, See::Drawn), [[w, x]], [x_bar])
    }
}

impl<T: Element> SingleLoop<T> for Ttsa {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let ([a, eta], (w, x, x_bar, [])) = (self.steps.at(on.iteration()), at.parts()?);
        let (i, mut g) = (on.inner(), on.oracle.take(w.len())?);
        on.gradient(i, [w, x], &mut g)?;
        add(w, -a, &g);
        on.oracle.give(g);
        self.series.hypergradients(on, (eta, See::Mixed(i)), [[w, x]], [x_bar])
    }
}
