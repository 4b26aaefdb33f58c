//! VRBO (Yang, Ji and Liang 2021): directions that add differences (SARAH), restarted on all samples every period; a
//! step of `x`, and then several of `w`, each of which updates both directions.
//!
//! ```text
//! every period:  d_w = g_w of all        d_x = f_x - B^T u of all, u by the sum of a series
//! x <- x - r d_x
//! inner times:   d_w += g_w(i; w) - g_w(i; w_old)    d_x += D(w) - D(w_old)    w_old = w    w <- w - a d_w
//! ```
//!
//! Here `D` uses the same samples at both points, and the mixed product uses `i` as well; `w_old` is kept from one
//! iteration to the next. The steps of `w` come after that of `x`: those of iteration `k` are executed at the beginning
//! of iteration `k + 1`. Cost: `2 inner` inner gradients and hypergradients of stocBiO. Memory: `9 p + 3 d` values.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::directions::{PERIOD, period};
use crate::single_loop::sampled::{Sampled, Sizes, add};
use crate::single_loop::series::{See, Series};
use crate::single_loop::steps::{INNER, Steps};
use crate::spelling::{Range, spelled};

spelled! {
    /// The VRBO algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Vrbo: "vrbo",
        "a step of x, then several of w, along SARAH directions restarted every period",
        "per step of w: 2 gradients, 2 outer gradients, 2 x terms HVPs" {
        steps: Steps = Steps::listed([0.0; 3]);
        series: Series = Series::listed(false);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        period: Option<usize> = None, Range::ONE_OR_MORE, PERIOD;
    }
}

impl<T: Element> SingleLoop<T> for Vrbo {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, Sizes { p, d, .. }: Sizes) -> Vec<Kept> {
        let directions = [Kept::one("direction of w", p), Kept::one("direction of x", d)];
        directions.into_iter().chain([Kept::one("old w", p)]).collect()
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, sizes, (w, x, x_bar, [of_w, of_x, old])) =
            (on.iteration(), on.sizes(), at.parts()?);
        let [of_w, of_x, old] = [&mut of_w[0], &mut of_x[0], &mut old[0]];
        let (mut g, mut before) = (on.oracle.take(w.len())?, on.oracle.take(x.len())?);
        let steps = if t > 0 || on.oracle.rehearses() { self.inner } else { 0 };
        let [a, b] = self.steps.at(t.saturating_sub(1));
        if t == 0 {
            old.copy_from_slice(w);
        }
        for _ in on.oracle.each(0..steps) {
            let i = on.inner();
            for (w, sign) in [(&*w, 1.0), (&*old, -1.0)] {
                on.gradient(i, [w, x], &mut g)?;
                add(of_w, sign, &g);
            }
            let points = [[&*old, x], [w, x]];
            self.series.hypergradients(on, (b, See::Mixed(i)), points, [&mut before, x_bar])?;
            add(of_x, 1.0, x_bar);
            add(of_x, -1.0, &before);
            old.copy_from_slice(w);
            add(w, -a, of_w);
        }
        if t.is_multiple_of(self.period.unwrap_or(period(sizes))) || on.oracle.rehearses() {
            let all = on.all();
            on.gradient(all, [w, x], of_w)?;
            let eta = self.steps.at(t)[1];
            self.series.hypergradients(on, (eta, See::All), [[w, x]], [of_x])?;
        }
        x_bar.copy_from_slice(of_x);
        on.oracle.give_all([g, before]);
        Ok(())
    }
}
