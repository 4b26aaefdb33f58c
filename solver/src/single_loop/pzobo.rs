//! PZOBO (Sow, Ji and Liang 2022): the Jacobian of inner loops from differences along random directions, over all
//! samples.
//!
//! ```text
//! w' = w after `inner` steps of a at x        delta_u = (w after as many at x + mu u - w') / mu
//! D_x = f_x + mean over u of u <delta_u, f_w>        u standard normal
//! ```
//!
//! Cost: `(directions + 1) inner` inner gradients and one outer gradient, over all samples. Memory: `5 p + 2 d` values.

use hypertape_autodiff::{Element, dot};

use crate::error::Error;
use crate::single_loop::algorithm::{Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, add};
use crate::single_loop::steps::{INNER, Steps};
use crate::spelling::{Range, spelled};

spelled! {
    /// The PZOBO algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Pzobo: "pzobo",
        "finite differences of inner loops along random directions, over all samples",
        "directions + 1 loops of inner gradients each, one outer gradient, over all samples" {
        steps: Steps = Steps::listed([0.0; 3]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        directions: usize = 10, Range::ONE_OR_MORE, "number of random directions";
        mu: f64 = 0.1, Range::POSITIVE, "step of the finite differences";
    }
}

impl<T: Element> SingleLoop<T> for Pzobo {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (lr, all, (w, x, x_bar, [])) =
            (self.steps.at(on.iteration())[0], on.all(), at.parts()?);
        let [mut old, mut moved, mut f_w] = on.oracle.vectors(w.len())?;
        let [mut u, mut near] = on.oracle.vectors(x.len())?;
        old.copy_from_slice(w);
        on.descend(w, x, (self.inner, lr), true)?;
        on.outer_gradients(all, [w, x], &mut f_w, x_bar)?;
        for _ in on.oracle.each(0..self.directions) {
            on.normals(&mut u);
            near.copy_from_slice(x);
            add(&mut near, self.mu, &u);
            moved.copy_from_slice(&old);
            on.descend(&mut moved, &near, (self.inner, lr), true)?;
            add(&mut moved, -1.0, w);
            let slope = dot(&moved, &f_w).as_f64() / self.mu;
            add(x_bar, slope / self.directions as f64, &u);
        }
        on.oracle.give_all([old, moved, f_w, u, near]);
        Ok(())
    }
}
