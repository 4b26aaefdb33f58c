//! F2SA and F2SA-p: first-order, from minima of combinations of `g` and `f`.
//!
//! F2SA (Kwon, Kwon, Wright and Nowak 2023) as in the field's benchmark: `y` follows a minimum of `f + lambda g` and
//! `z` one of `g`, both with mini-batches from the same start,
//!
//! ```text
//! inner times:  y <- y - a (lambda g_w(i; y) + f_w(o; y))        z <- z - b g_w(j; z)
//! D_x = f_x(o; y) + lambda (g_x(i; y) - g_x(j; z))        lambda <- lambda + delta / k^(1/7)
//! ```
//!
//! with steps that decay by 5/7, 4/7 and 4/7; `lambda` then grows like `k^(6/7)`. Here `w` is `y`.
//!
//! F2SA-p (Chen and others 2025, arXiv 2509.02937): `y_nu` follows a minimum of `g + nu f`, and with
//! `l'_nu = nu f_x + g_x` there
//!
//! ```text
//! p = 1:  D_x = (l'_nu - l'_0) / nu        p = 2:  D_x = (l'_nu - l'_-nu) / 2 nu
//! ```
//!
//! which has an error of the order of `nu^p`. Here `w` is `y_nu`. Samples are drawn in mini-batches, and both points of
//! a difference use the same.
//!
//! Cost: `2 inner + 2` inner gradients and `inner + 1` outer gradients (`2 inner + 2` for `p = 2`). Memory: `4 p + 2 d`
//! values.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, Sizes, add};
use crate::single_loop::steps::{Decay, INNER, Steps};
use crate::spelling::{Range, spelled};

spelled! {
    /// The F2SA algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct F2sa: "f2sa",
        "first-order: follows the minima of f + lambda g and of g while lambda grows",
        "2 inner + 2 gradients, inner + 1 outer gradients" {
        steps: Steps = Steps::listed([5.0 / 7.0, 4.0 / 7.0, 4.0 / 7.0]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        lambda: f64 = 1.0, Range::POSITIVE, "initial weight of g";
        delta: Decay = Decay::of(0.1), Decay::RANGE, "growth of lambda per iteration";
    }
}

impl<T: Element> SingleLoop<T> for F2sa {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, sizes: Sizes) -> Vec<Kept> {
        vec![Kept::one("z", sizes.p), Kept::one("lambda", 1)]
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, (y, x, x_bar, [z, weight])) = (on.iteration(), at.parts()?);
        let ([a, b], z, weight) = (self.steps.at(t), &mut z[0], &mut weight[0]);
        if t == 0 {
            z.copy_from_slice(y);
            weight[0] = T::from_f64(self.lambda);
        }
        let lambda = weight[0].as_f64();
        let [mut g, mut f] = on.oracle.vectors(y.len())?;
        let mut g_x = on.oracle.take(x.len())?;
        for _ in on.oracle.each(0..self.inner) {
            let (i, j, o) = (on.inner(), on.inner(), on.outer());
            on.gradient(i, [y, x], &mut g)?;
            on.outer_gradients(o, [y, x], &mut f, x_bar)?;
            add(y, -a * lambda, &g);
            add(y, -a, &f);
            on.gradient(j, [z, x], &mut g)?;
            add(z, -b, &g);
        }
        let (o, i, j) = (on.outer(), on.inner(), on.inner());
        on.outer_gradients(o, [y, x], &mut f, x_bar)?;
        for (on_samples, w, sign) in [(i, &*y, lambda), (j, &*z, -lambda)] {
            on.gradients(on_samples, [w, x], &mut g, &mut g_x)?;
            add(x_bar, sign, &g_x);
        }
        weight[0] = T::from_f64(lambda + self.delta.at(t, 1.0 / 7.0));
        on.oracle.give_all([g, f, g_x]);
        Ok(())
    }
}

spelled! {
    /// The F2SA-p algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct F2saP: "f2sa-p",
        "first-order: a finite difference of order p over the minima of g + nu f",
        "2 inner + 2 gradients, p (inner + 1) outer gradients" {
        steps: Steps = Steps::listed([0.0; 3]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        nu: f64 = 0.05, Range::POSITIVE, "weight of f";
        order as "p": usize = 2, Range::new("1 or 2", |p| p == 1.0 || p == 2.0),
            "order of the difference";
    }
}

impl<T: Element> SingleLoop<T> for F2saP {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, sizes: Sizes) -> Vec<Kept> {
        vec![Kept::one("y", sizes.p)]
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, (w, x, x_bar, [y])) = (on.iteration(), at.parts()?);
        let ([a, _], y) = (self.steps.at(t), &mut y[0]);
        if t == 0 {
            y.copy_from_slice(w);
        }
        let [mut g, mut f] = on.oracle.vectors(w.len())?;
        let [mut g_x, mut f_x] = on.oracle.vectors(x.len())?;
        let other = if self.order == 2 { -self.nu } else { 0.0 };
        for _ in on.oracle.each(0..self.inner) {
            let (i, o) = (on.inner(), on.outer());
            for (y, nu) in [(&mut *y, other), (&mut *w, self.nu)] {
                on.gradient(i, [y, x], &mut g)?;
                if nu != 0.0 {
                    on.outer_gradients(o, [y, x], &mut f, &mut f_x)?;
                    add(&mut g, nu, &f);
                }
                add(y, -a, &g);
            }
        }
        let (i, o) = (on.inner(), on.outer());
        let over = 1.0 / (self.nu - other);
        x_bar.fill(T::zero());
        for (y, nu, sign) in [(&*y, other, -over), (&*w, self.nu, over)] {
            on.gradients(i, [y, x], &mut g, &mut g_x)?;
            add(x_bar, sign, &g_x);
            if nu != 0.0 {
                on.outer_gradients(o, [y, x], &mut f, &mut f_x)?;
                add(x_bar, sign * nu, &f_x);
            }
        }
        on.oracle.give_all([g, f, g_x, f_x]);
        Ok(())
    }
}
