//! A problem as data: losses are traced to graphs and written to a file that the command line can use.
//!
//! Run `cargo run --release --example graph -- ridge.npz`, then for example `hypertape gradient ridge.npz` or
//! `hypertape plan ridge.npz`.

use std::path::PathBuf;

use hypertape::graph::{GraphError, Tracer};
use hypertape::problems::{DataMatrix, GraphProblem, GraphStatement, InnerStart, write_problem};
use hypertape::{Array, Graph, Params, Shape};

const FEATURES: u32 = 5;

/// The mean of `(X_i w - y_i)^2 / 2` over `rows` samples, plus `sum_j e^{x_j} w_j^2 / 2` if `penalised`.
fn loss(part: &str, rows: u32, penalised: bool) -> Result<Graph<f64>, GraphError> {
    let (tracer, column) = (Tracer::new(), Shape::column(FEATURES));
    let w = tracer.input("w.w", column);
    let inputs = tracer.input(&format!("{part}.X"), Shape::new(rows, FEATURES));
    let targets = tracer.input(&format!("{part}.y"), Shape::column(rows));
    let fit = (inputs.matmul(w) - targets).square().mean();
    let penalty = || tracer.input("x.log_penalty", column).exp().dot(w.square());
    tracer.finish(&[if penalised { fit + penalty() } else { fit } * 0.5])
}

/// `rows` samples of a noisy linear function, named `part`.
fn samples(part: &str, rows: u32, seed: f64) -> [(String, DataMatrix<f64>); 2] {
    let inputs: Vec<f64> =
        (0..rows * FEATURES).map(|i| (12.9898 * f64::from(i) + seed).sin()).collect();
    let lines = inputs.chunks(FEATURES as usize).enumerate();
    let targets: Vec<f64> =
        lines.map(|(i, row)| row[0] - row[1] + 0.3 * (i as f64).cos()).collect();
    let width = FEATURES as usize;
    [("X", inputs, width), ("y", targets, 1)]
        .map(|(name, values, width)| (format!("{part}.{name}"), DataMatrix::new(values, width)))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("ridge.npz"), PathBuf::from);
    let column = Shape::column(FEATURES);
    let arrays = [samples("train", 200, 0.3), samples("valid", 100, 2.1)].concat();
    let statement = GraphStatement {
        x: Params::new().with("log_penalty", column, [-2.0; FEATURES as usize]),
        start: InnerStart::Given(Params::new().with("w", column, [0.0; FEATURES as usize])),
        samples: arrays.iter().map(|(name, _)| name.clone()).collect(),
        arrays,
        steps: 50,
        lr: 0.5,
        ..GraphStatement::new(loss("train", 200, true)?, loss("valid", 100, false)?)
    };
    write_problem(&path, &statement)?;
    println!("{}: {}", path.display(), GraphProblem::<f64>::new(&statement, None)?.describe());
    Ok(())
}
