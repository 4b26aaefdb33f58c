//! FSLA (Li, Gu and Huang 2022): a step of `w`, a step of `v`, and a STORM direction of `x`.
//!
//! ```text
//! w' = w - s g_w(i)        v' = v - s (H(j) v - f_w(o)) at w'        D = f_x(o') - B(i')^T v' at (w', x)
//! m <- D + (1 - eta) (m - D_old),  D_old by the same samples at (w, x_old, v)
//! ```
//!
//! `m`, `v` and `x_old` start at zero, as in the field's benchmark. Cost: one inner gradient, one Hessian-vector
//! product, three outer gradients, two mixed products. Memory: `6 p + 4 d` values. Steps and `eta` decay by 1/2.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, Sizes, add, keep};
use crate::single_loop::steps::{Decay, Steps};
use crate::spelling::spelled;

spelled! {
    /// The FSLA algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Fsla: "fsla",
        "a step of w, one of v, then one of x along a STORM direction",
        "1 gradient, 1 HVP, 3 outer gradients, 2 mixed products" {
        /// Step sizes.
        pub steps: Steps = Steps::listed([0.5; 3]);
        /// Share of the previous direction that is forgotten; by default the step size of `w`.
        pub forget: Option<Decay> = None, Decay::SHARE,
            "share of the previous direction that is forgotten; the step size of w if not given";
    }
}

impl<T: Element> SingleLoop<T> for Fsla {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, Sizes { p, d, .. }: Sizes) -> Vec<Kept> {
        vec![Kept::one("v", p), Kept::one("direction", d), Kept::one("old x", d)]
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (t, (w, x, x_bar, [v, direction, x_old])) = (on.iteration(), at.parts()?);
        let ([a, b], v, direction) = (self.steps.at(t), &mut v[0], &mut direction[0]);
        let eta = self.forget.unwrap_or(self.steps.inner).at(t, 0.5);
        let [mut h, mut fw, mut w_old, mut v_old] = on.oracle.vectors(w.len())?;
        let [mut fx, mut mixed] = on.oracle.vectors(x.len())?;
        w_old.copy_from_slice(w);
        v_old.copy_from_slice(v);
        let i = on.inner();
        on.gradient(i, [w, x], &mut h)?;
        add(w, -a, &h);
        let (j, o) = (on.inner(), on.outer());
        on.hessian_product(j, [w, x], v, &mut h)?;
        on.outer_gradients(o, [w, x], &mut fw, &mut fx)?;
        add(v, -b, &h);
        add(v, b, &fw);
        let (o, i) = (on.outer(), on.inner());
        let points = [([&*w_old, &x_old[0]], &*v_old), ([&*w, x], &*v)];
        for ((point, v), new) in points.into_iter().zip([false, true]) {
            on.outer_gradients(o, point, &mut fw, &mut fx)?;
            on.mixed_product(i, point, v, &mut mixed)?;
            add(&mut fx, -1.0, &mixed);
            if new { add(direction, 1.0, &fx) } else { keep(direction, eta, &fx) }
        }
        x_old[0].copy_from_slice(x);
        x_bar.copy_from_slice(direction);
        on.oracle.give_all([h, fw, w_old, v_old, fx, mixed]);
        Ok(())
    }
}
