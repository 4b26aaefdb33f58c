//! AmIGO (Arbel and Mairal 2022): several steps on `w` and on the linear system, both warm-started, then one on `x`.
//!
//! ```text
//! inner times:  w <- w - a g_w(i)
//! inner times:  v <- v - b (H(j) v - f_w(o))        v tends to H^-1 f_w
//! D_x = f_x(o) - B(i)^T v
//! ```
//!
//! with new inner mini-batches each time, one outer mini-batch, and constant steps. Cost: `inner` inner gradients and
//! products, one outer gradient, one mixed product. Memory: `4 p + d` values.

use hypertape_autodiff::Element;

use crate::error::Error;
use crate::single_loop::algorithm::{Kept, Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, Sizes, add};
use crate::single_loop::steps::Steps;
use crate::spelling::{Range, spelled};

spelled! {
    /// The AmIGO algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Amigo: "amigo",
        "several steps of w and of v, both warm-started, then one of x",
        "one gradient per step of w, one HVP per step of v, one outer gradient" {
        /// Step sizes.
        pub steps: Steps = Steps::listed([0.0; 3]);
        /// Number of steps of `w` and of `v` per iteration.
        pub inner: usize = 10, Range::ONE_OR_MORE, "steps of w and of v per iteration";
    }
}

impl<T: Element> SingleLoop<T> for Amigo {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, sizes: Sizes) -> Vec<Kept> {
        vec![Kept::one("v", sizes.p)]
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let ([a, b], (w, x, x_bar, [v])) = (self.steps.at(on.iteration()), at.parts()?);
        on.descend(w, x, (self.inner, a), false)?;
        let [mut fw, mut hv] = on.oracle.vectors(w.len())?;
        let mut mixed = on.oracle.take(x.len())?;
        let o = on.outer();
        on.outer_gradients(o, [w, x], &mut fw, x_bar)?;
        for _ in on.oracle.each(0..self.inner) {
            let j = on.inner();
            on.hessian_product(j, [w, x], &v[0], &mut hv)?;
            add(&mut v[0], -b, &hv);
            add(&mut v[0], b, &fw);
        }
        let i = on.inner();
        on.mixed_product(i, [w, x], &v[0], &mut mixed)?;
        add(x_bar, -1.0, &mixed);
        on.oracle.give_all([fw, hv, mixed]);
        Ok(())
    }
}
