//! A network with one hidden layer that learns the exclusive or of two numbers' signs, by gradient descent.
//!
//! `cargo run --release -p hypertape-autodiff --example network`

use hypertape_autodiff::{Array, Fault, Function, Shape, Workspace, axpy};

/// `mean ln(1 + e^{-y s})` with scores `s = tanh(X W + b) v`, for labels `y` of -1 and 1.
struct Network {
    inputs: Vec<f64>,
    labels: Vec<f64>,
}

const HIDDEN: u32 = 8;
/// `W`, `b`, `v`
const SHAPES: [Shape; 3] = [Shape::new(2, HIDDEN), Shape::new(1, HIDDEN), Shape::column(HIDDEN)];

impl Network {
    fn scores<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A]) -> A {
        let samples = Shape::new(u32::try_from(self.labels.len()).expect("few samples"), 2);
        let inputs = w[0].constant(samples, &self.inputs);
        (inputs.matmul(w[0]) + w[1]).tanh().matmul(w[2])
    }
}

impl Function<f64> for Network {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, w: &[A]) -> A {
        let scores = self.scores(w);
        scores.logistic_loss(w[0].constant(scores.shape(), &self.labels)).mean()
    }
}

fn main() -> Result<(), Fault> {
    // A grid of points in four quadrants.
    let side = [-1.5, -1.0, -0.5, 0.5, 1.0, 1.5];
    let inputs: Vec<f64> =
        side.iter().flat_map(|&a| side.iter().flat_map(move |&b| [a, b])).collect();
    let labels: Vec<f64> = inputs.chunks(2).map(|x| (x[0] * x[1]).signum()).collect();
    let network = Network { inputs, labels };

    let n = SHAPES.iter().map(|s| s.len()).sum();
    let mut w: Vec<f64> = (0..n).map(|i| ((i + 1) as f64 * 1.7).sin()).collect();
    let (mut gradient, mut workspace) = (vec![0.0; n], Workspace::new());
    let mut loss = f64::INFINITY;
    for step in 0..=1000 {
        loss = workspace.gradient(&network, &SHAPES, &w, &mut gradient)?;
        if step % 200 == 0 {
            println!("{step}: loss {loss:.4}, {} bytes", workspace.used());
        }
        axpy(&mut w, -1.0, &gradient);
    }
    assert!(loss < 0.02, "the network learns all four quadrants");
    Ok(())
}
