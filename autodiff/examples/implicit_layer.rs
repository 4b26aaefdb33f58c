//! A layer that is the solution of an equation, `w = tanh(A w + x)`: its gradient by the implicit function theorem,
//! beside that of the recorded iteration.
//!
//! `cargo run --release -p hypertape-autodiff --example implicit_layer`

use hypertape_autodiff::{
    Array, Element, Fault, Function, Shape, StopRule, Workspace, fixed_point,
};

const N: u32 = 20;
const SHAPES: [Shape; 2] = [Shape::new(N, N), Shape::column(N)];

/// `tanh(A w + x)` of `w`, `A` and `x`.
struct Step;

impl<T: Element> Function<T> for Step {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        (w[1].matmul(w[0]) + w[2]).tanh()
    }
}

/// `sum w^2` at the solution of the equation, or after `recorded` steps of a recorded iteration.
struct Layer {
    recorded: Option<usize>,
}

impl<T: Element> Function<T> for Layer {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let start = x[1] * 0.0;
        let w = match self.recorded {
            None => fixed_point(&Step, start, x, StopRule::default()),
            Some(steps) => (0..steps).fold(start, |w, _| Step.eval(&[w, x[0], x[1]])),
        };
        w.square().sum()
    }
}

fn main() -> Result<(), Fault> {
    let n = SHAPES.iter().map(|s| s.len()).sum();
    let x: Vec<f64> = (0..n).map(|i| 0.2 * ((i + 1) as f64 * 1.7).sin()).collect();
    let gradient = |recorded| {
        let (mut gradient, mut workspace) = (vec![0.0; n], Workspace::new());
        workspace.gradient(&Layer { recorded }, &SHAPES, &x, &mut gradient)?;
        Ok((gradient, workspace.used()))
    };
    let (implicit, bytes) = gradient(None)?;
    println!("implicit: {bytes} bytes");
    for steps in [10, 100, 1000] {
        let (recorded, bytes) = gradient(Some(steps))?;
        let gaps = implicit.iter().zip(&recorded).map(|(a, b)| (a - b).abs());
        let gap = gaps.fold(0.0, f64::max);
        println!("{steps} recorded steps: {bytes} bytes, largest difference {gap:.1e}");
        assert!(steps < 1000 || gap < 1e-12, "both are the gradient at the solution");
    }
    Ok(())
}
