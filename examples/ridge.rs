//! A bilevel problem of your own: choose the penalty of a ridge regression on validation data.
//!
//! `cargo run --release --example ridge`

use std::ops::ControlFlow;

use hypertape::{
    Array, Bilevel, Draw, Element, Error, Exact, InnerLoop, List, Optimiser, Oracle, Params, Rows,
    Run, Shape,
};

/// `g = |Xw - y|^2/(2n) + e^x |w|^2/2`, `f = |Vw - u|^2/(2m)`.
struct Ridge<T> {
    train: [Vec<T>; 2],
    valid: [Vec<T>; 2],
}

/// `|Xw - y|^2/(2n)` for samples of two features.
fn fit<'a, T: Element, A: Array<'a, Elem = T>>(w: A, [inputs, targets]: &'a [Vec<T>; 2]) -> A {
    let n = u32::try_from(targets.len()).expect("few samples");
    let inputs = w.constant(Shape::new(n, 2), inputs);
    inputs.matmul(w).squared_error(w.constant(Shape::column(n), targets)) / f64::from(2 * n)
}

impl<T: Element> Bilevel<T> for Ridge<T> {
    fn start(&self) -> Params<T> {
        Params::new().with("log_penalty", Shape::SCALAR, [T::zero()])
    }
    fn init<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A], _: Draw) -> List<A> {
        List::from_slice(&[x[0].scalar(0.0).broadcast_to(Shape::column(2))])
    }
    fn inner<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], x: &[A], _: Draw, _: Rows) -> A {
        fit(w[0], &self.train) + x[0].exp() * w[0].dot(w[0]) * 0.5
    }
    fn outer<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A], _: &[A], _: Draw, _: Rows) -> A {
        fit(w[0], &self.valid)
    }
}

fn main() -> Result<(), Error> {
    let problem = Ridge {
        train: [vec![1.0, 0.0, 1.0, 1.0, 1.0, 2.0, 1.0, 3.0], vec![1.0, 0.0, 2.0, 1.5]],
        valid: [vec![1.0, 0.5, 1.0, 1.5, 1.0, 2.5], vec![0.5, 1.2, 1.4]],
    };
    let mut oracle = Oracle::<f64>::new(problem)?;
    let run = Run::new(InnerLoop::new(200, 0.3)?, Optimiser::sgd(2.0)?, 200, 0);
    let mut x = oracle.start().values().to_vec();
    run.go(&mut oracle, &mut Exact::default(), &mut x, |record, x| {
        if record.iteration % 40 == 0 {
            let (loss, slope) = (record.loss, record.gradient_norm);
            println!(
                "{:3}  penalty {:.6}  loss {loss:.8}  |dF/dx| {slope:.2e}",
                record.iteration,
                x[0].exp()
            );
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}
