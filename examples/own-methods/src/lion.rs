//! `Lion` (Chen et al. 2023): steps of equal size in every entry, in the direction of the sign of a gradient that is
//! averaged with its running mean.

use hypertape::prelude::*;

spelled! {
    /// `x <- x - lr sign(b1 m + (1 - b1) g)`, then `m <- b2 m + (1 - b2) g`.
    #[derive(Clone, Debug)]
    pub struct Lion: "lion", "steps by the sign of a smoothed gradient", "" {
        /// Step size.
        pub lr (needed): f64 = 0.05, Range::POSITIVE, "step size";
        /// Weight of the running mean in a step.
        pub b1: f64 = 0.9, Range::FRACTION, "what of the mean goes into a step";
        /// Decay of the running mean.
        pub b2: f64 = 0.99, Range::FRACTION, "decay of the mean";
    }
}

impl<T: Element> Outer<T> for Lion {
    fn name(&self) -> String {
        self.text()
    }

    fn moments(&self, dim: usize) -> Params<T> {
        Params::new().with_column("mean", &vec![T::zero(); dim])
    }

    fn step(&self, _: usize, moments: &mut Params<T>, x: &mut [T], gradient: &[T]) {
        let [lr, b1, b2] = [self.lr, self.b1, self.b2].map(T::from_f64);
        for ((x, &g), m) in x.iter_mut().zip(gradient).zip(moments.values_mut()) {
            let mixed = b1 * *m + (T::one() - b1) * g;
            *x = *x - lr * if mixed.is_zero() { mixed } else { mixed.signum() };
            *m = b2 * *m + (T::one() - b2) * g;
        }
    }
}
