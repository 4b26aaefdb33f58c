//! `HeavySoba`: SOBA (Dagréou et al. 2022) with heavy-ball momentum (Polyak 1964) in all three variables.
//!
//! ```text
//! D_w = g_w(i)        D_v = H(i) v + f_w(o)        D_x = B(i)^T v + f_x(o)
//! m <- momentum m + D, for each of the three, and then a step along -m
//! ```
//!
//! on an inner mini-batch `i` and an outer one `o`; `v` tends to `-H^-1 f_w`.

use hypertape::prelude::*;

spelled! {
    /// The algorithm. An iteration takes one sweep over `i` and one outer gradient. Memory: `7 p + 2 d` values.
    #[derive(Clone, Debug)]
    pub struct HeavySoba: "heavy-soba",
        "SOBA with heavy-ball momentum in w, v and x",
        "one sweep over an inner mini-batch, one outer gradient" {
        /// Step sizes of the three variables.
        pub steps: Steps = Steps::new(0.1, 1.0, [0.5; 3]);
        /// Decay of the sums of directions.
        pub momentum: f64 = 0.9, Range::FRACTION, "decay of the sums of directions";
    }
}

impl<T: Element> SingleLoop<T> for HeavySoba {
    fn steps(&self) -> Steps {
        self.steps
    }

    fn kept(&self, Sizes { p, d, .. }: Sizes) -> Vec<Kept> {
        let lengths = [("v", p), ("momentum of w", p), ("momentum of v", p), ("momentum of x", d)];
        lengths.map(|(name, length)| Kept::one(name, length)).into()
    }

    fn iterate(&self, on: &mut Sampled<T>, at: &mut Moving<T>) -> Result<(), Error> {
        let (lr, (w, x, x_bar, [v, m_w, m_v, m_x])) = (self.steps.at(on.iteration()), at.parts()?);
        let [mut d_w, mut d_v, mut f_w] = on.oracle.vectors(w.len())?;
        let mut d_x = on.oracle.take(x.len())?;
        let (i, o) = (on.inner(), on.outer());
        on.sweep(i, [w, x], &v[0], [&mut d_w, &mut d_v, &mut d_x])?;
        on.outer_gradients(o, [w, x], &mut f_w, x_bar)?;
        axpy(&mut d_v, T::one(), &f_w);
        axpy(&mut d_x, T::one(), x_bar);
        for (m, d) in [(&mut *m_w, &d_w), (&mut *m_v, &d_v), (&mut *m_x, &d_x)] {
            scale(&mut m[0], T::from_f64(self.momentum));
            axpy(&mut m[0], T::one(), d);
        }
        axpy(w, T::from_f64(-lr[0]), &m_w[0]);
        axpy(&mut v[0], T::from_f64(-lr[1]), &m_v[0]);
        x_bar.copy_from_slice(&m_x[0]);
        on.oracle.give_all([d_w, d_v, f_w, d_x]);
        Ok(())
    }
}
