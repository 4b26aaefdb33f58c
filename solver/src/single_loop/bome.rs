//! BOME (Liu, Ye, Wright, Stone and Liu 2022): first-order, with a barrier on the value gap of `w`, over all samples.
//!
//! ```text
//! y = w after `inner` steps of a        q_w = g_w(w)        q_x = g_x(w) - g_x(y)
//! lambda = max(eta - <(f_w, f_x), q> / |q|^2, 0)        D_w = f_w + lambda q_w        D_x = f_x + lambda q_x
//! ```
//!
//! with `lambda = 0` if `q` vanishes. Cost: `inner + 2` inner gradients and one outer gradient, over all samples.
//! Memory: `5 p + 2 d` values.

use hypertape_autodiff::{Element, dot};

use crate::error::Error;
use crate::single_loop::algorithm::{Moving, SingleLoop};
use crate::single_loop::sampled::{Sampled, add};
use crate::single_loop::steps::{INNER, Steps};
use crate::spelling::{Range, spelled};

spelled! {
    /// The BOME algorithm.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Bome: "bome",
        "first-order: f with a barrier on the value gap of w, over all samples",
        "inner + 2 gradients and one outer gradient, over all samples" {
        steps: Steps = Steps::listed([0.0; 3]);
        inner: usize = 10, Range::ONE_OR_MORE, INNER;
        eta: f64 = 0.5, Range::POSITIVE, "how fast the value gap is to close";
    }
}

impl<T: Element> SingleLoop<T> for Bome {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (lr, all, (w, x, x_bar, [])) =
            (self.steps.at(on.iteration())[0], on.all(), at.parts()?);
        let [mut y, mut q_w, mut f_w] = on.oracle.vectors(w.len())?;
        let [mut q_x, mut at_y] = on.oracle.vectors(x.len())?;
        y.copy_from_slice(w);
        on.descend(&mut y, x, (self.inner, lr), true)?;
        on.gradients(all, [&y, x], &mut q_w, &mut at_y)?;
        on.gradients(all, [w, x], &mut q_w, &mut q_x)?;
        add(&mut q_x, -1.0, &at_y);
        on.outer_gradients(all, [w, x], &mut f_w, x_bar)?;
        let both = |a: [&[T]; 2], b: [&[T]; 2]| (dot(a[0], b[0]) + dot(a[1], b[1])).as_f64();
        let square = both([&q_w, &q_x], [&q_w, &q_x]);
        let along = both([&f_w, x_bar], [&q_w, &q_x]);
        let lambda = if square > 0.0 { (self.eta - along / square).max(0.0) } else { 0.0 };
        add(w, -lr, &f_w);
        add(w, -lr * lambda, &q_w);
        add(x_bar, lambda, &q_x);
        on.oracle.give_all([y, q_w, f_w, q_x, at_y]);
        Ok(())
    }
}
