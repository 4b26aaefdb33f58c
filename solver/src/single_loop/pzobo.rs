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
use crate::single_loop::steps::{Steps, spell_inner};
use crate::spelling::{About, Range, Spelled, Visit};

/// The PZOBO algorithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pzobo {
    steps: Steps,
    inner: usize,
    directions: usize,
    mu: f64,
}

impl Default for Pzobo {
    fn default() -> Self {
        Self { steps: Steps::listed([0.0; 3]), inner: 10, directions: 10, mu: 0.1 }
    }
}

impl Spelled for Pzobo {
    fn about(&self) -> About {
        About {
            name: "pzobo",
            summary: "finite differences of inner loops along random directions, over all samples",
            cost: "directions + 1 loops of inner gradients each, one outer gradient, over all samples",
        }
    }

    fn spell(&self, visit: &mut Visit) -> Result<Self, Error> {
        let steps = self.steps.spell(visit);
        let inner = spell_inner(self.inner, visit);
        let help = "number of random directions";
        let directions = visit.get("directions", self.directions, Range::ONE_OR_MORE, help);
        let mu = visit.get("mu", self.mu, Range::POSITIVE, "step of the finite differences");
        Ok(Self { steps, inner, directions, mu })
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
        for _ in on.each(self.directions) {
            on.normals(&mut u);
            near.copy_from_slice(x);
            add(&mut near, self.mu, &u);
            moved.copy_from_slice(&old);
            on.descend(&mut moved, &near, (self.inner, lr), true)?;
            add(&mut moved, -1.0, w);
            let slope = dot(&moved, &f_w).as_f64() / self.mu;
            add(x_bar, slope / self.directions as f64, &u);
        }
        on.give([old, moved, f_w, u, near]);
        Ok(())
    }
}
