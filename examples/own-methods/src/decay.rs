//! `Decay`: a linear classifier of the samples of `--train`. Its weight decay is chosen on those of `--valid`.
//!
//! ```text
//! g(x, W) = 1/n sum_i loss(X_i W, y_i) + e^x/2 |W|^2        f(W) = 1/m sum_i loss(V_i W, u_i)
//! ```

use hypertape::prelude::*;

/// The problem.
#[derive(Debug)]
pub struct Decay<T> {
    /// Training, validation and test samples, from `--train` or digits.
    parts: [Labelled<T>; 3],
    weights: Shape,
}

impl<T: Element> Decay<T> {
    /// Creates the problem on the given samples, or on digits.
    ///
    /// # Errors
    /// Returns an error if the samples cannot be made, or if their labels are numbers.
    pub fn new(given: &Given<T>) -> Result<Self, Error> {
        let sets = given.sets_or(|seed| Sets::digits([200, 200, 600], seed))?;
        let (parts, classes) = sets.into_classes()?;
        let weights = Shape::new(parts[0].width(), if classes == 2 { 1 } else { classes });
        Ok(Self { parts, weights })
    }

    fn loss<'a, A: Array<'a, Elem = T>>(&'a self, part: usize, w: A, rows: Rows) -> A {
        let (part, range) = (&self.parts[part], rows.range());
        part.loss(w, range, None) / part.len() as f64
    }
}

impl<T: Element> Bilevel<T> for Decay<T> {
    fn start(&self) -> Params<T> {
        Params::new().with("log_decay", Shape::SCALAR, [T::from_f64(-3.0)])
    }

    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0).broadcast_to(self.weights)])
    }

    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, rows: Rows) -> A {
        let loss = self.loss(0, w[0], rows);
        if rows.carries_rest() { loss + x[0].exp() * w[0].dot(w[0]) * 0.5 } else { loss }
    }

    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, rows: Rows) -> A {
        self.loss(1, w[0], rows)
    }

    fn samples(&self, draw: Draw) -> usize {
        self.parts[usize::from(draw.level == Level::Outer)].len()
    }

    fn block(&self, _: Level) -> usize {
        self.parts[0].block_rows()
    }
}
