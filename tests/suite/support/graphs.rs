//! Workloads of the catalogue restated as graphs.

use hypertape::graph::{Traced, Tracer};
use hypertape::problems::generator::{W1, W2, W3};
use hypertape::problems::{DataMatrix, GraphStatement, InnerStart};
use hypertape::{Array, Graph, Params, Shape};

fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

fn graph(trace: impl for<'a> FnOnce(&'a Tracer<f64>) -> Traced<'a, f64>) -> Graph<f64> {
    let tracer = Tracer::new();
    tracer.finish(&[trace(&tracer)]).unwrap()
}

type Arrays = Vec<(String, DataMatrix<f64>)>;

/// Makes data matrices from the name, width and values of each array.
fn data<const N: usize>(arrays: [(&str, usize, Vec<f64>); N]) -> Arrays {
    arrays.map(|(name, width, values)| (name.to_owned(), DataMatrix::new(values, width))).to_vec()
}

fn names(arrays: &Arrays) -> Vec<String> {
    arrays.iter().map(|(name, _)| name.clone()).collect()
}

/// `w1-ridge`, or `w1-logreg`.
pub(crate) fn w1(logistic: bool) -> GraphStatement {
    let data = if logistic { W1::logistic(1) } else { W1::ridge(1) };
    let weights = Shape::column(size(W1::FEATURES));
    let fit = |part: &str, penalised: bool| {
        graph(|tracer| {
            let (n, cols) =
                (if part == "train" { W1::SAMPLES } else { W1::VALIDATION }, weights.rows);
            let w = tracer.input("w.w", weights);
            let x = penalised.then(|| tracer.input("x.log_penalty", weights));
            let rows = tracer.input(&format!("{part}.X"), Shape::new(size(n), cols));
            let y = tracer.input(&format!("{part}.y"), Shape::column(size(n)));
            let scores = rows.matmul(w);
            let fit = if logistic {
                scores.logistic_loss(y).mean()
            } else {
                scores.squared_error(y) * 0.5 / n as f64
            };
            x.map_or(fit, |x| fit + x.exp().dot(w.square()) * 0.5)
        })
    };
    let arrays = self::data([
        ("train.X", W1::FEATURES, data.x),
        ("train.y", 1, data.y),
        ("valid.X", W1::FEATURES, data.x_valid),
        ("valid.y", 1, data.y_valid),
    ]);
    GraphStatement {
        x: Params::new().with("log_penalty", weights, data.log_penalty),
        start: InnerStart::Given(Params::new().with("w", weights, data.w0)),
        samples: names(&arrays),
        arrays,
        steps: 100,
        lr: if logistic { 1.0 } else { 0.5 },
        ..GraphStatement::new(fit("train", true), fit("valid", false))
    }
}

/// `w2`: one weight per sample, labels as lists.
pub(crate) fn w2() -> GraphStatement {
    let data = W2::new(2);
    let weights = Shape::new(size(W2::FEATURES), W2::CLASSES);
    let rows = |n| Shape::new(size(n), weights.rows);
    let loss = |part: &str, n: usize, weighted: bool| {
        graph(|tracer| {
            let w = tracer.input("w.W", weights);
            let labels = tracer.list(&format!("{part}.labels"), n);
            let losses =
                tracer.input(&format!("{part}.X"), rows(n)).matmul(w).cross_entropy(labels);
            if !weighted {
                return losses.mean();
            }
            let logits = tracer.input("x.weight_logit", Shape::column(size(n)));
            logits.sigmoid().dot(losses) / n as f64 + w.dot(w) * 5e-4
        })
    };
    let (inner, outer) = (loss("train", W2::SAMPLES, true), loss("valid", W2::VALIDATION, false));
    let arrays =
        self::data([("train.X", W2::FEATURES, data.x), ("valid.X", W2::FEATURES, data.x_valid)]);
    let lists = vec![
        ("train.labels".to_owned(), data.labels),
        ("valid.labels".to_owned(), data.labels_valid),
    ];
    GraphStatement {
        x: Params::new().with("weight_logit", Shape::column(size(W2::SAMPLES)), data.logits),
        start: InnerStart::Given(Params::new().with("W", weights, data.w0)),
        samples: ["train.X", "valid.X", "train.labels", "valid.labels"].map(str::to_owned).to_vec(),
        arrays,
        lists,
        steps: 50,
        lr: 0.1,
        ..GraphStatement::new(inner, outer)
    }
}

/// `w3`: tasks, and a learned start.
pub(crate) fn w3() -> GraphStatement {
    let data = W3::new(3);
    let h = size(W3::HIDDEN);
    let names = ["W1", "b1", "W2", "b2", "W3", "b3"];
    let shapes = [(1, h), (1, h), (h, h), (1, h), (h, 1), (1, 1)].map(|(r, c)| Shape::new(r, c));
    let points = Shape::column(size(W3::POINTS));
    let loss = |part: &str| {
        graph(|tracer| {
            let array = |i: usize| tracer.input(&format!("w.{}", names[i]), shapes[i]);
            let [w1, b1, w2, b2, w3, b3] = std::array::from_fn(array);
            let inputs = tracer.input(&format!("{part}.x"), points);
            let targets = tracer.input(&format!("{part}.y"), points);
            let hidden = (inputs.matmul(w1) + b1).tanh();
            let hidden = (hidden.matmul(w2) + b2).tanh();
            (hidden.matmul(w3) + b3).squared_error(targets) / f64::from(points.rows)
        })
    };
    let init = {
        let tracer = Tracer::new();
        let array = |i: usize| tracer.input(&format!("x.{}", names[i]), shapes[i]);
        let x: [Traced<f64>; 6] = std::array::from_fn(array);
        tracer.finish(&x).unwrap()
    };
    let named = names.iter().zip(shapes).zip(data.start);
    let arrays = self::data([
        ("support.x", 1, data.x),
        ("support.y", 1, data.y),
        ("query.x", 1, data.x_query),
        ("query.y", 1, data.y_query),
    ]);
    GraphStatement {
        x: named.fold(Params::new(), |x, ((name, shape), values)| x.with(*name, shape, values)),
        start: InnerStart::Graph(names.map(str::to_owned).to_vec(), init),
        tasks: (W3::TASKS, self::names(&arrays)),
        arrays,
        steps: 100,
        lr: 0.002,
        ..GraphStatement::new(loss("support"), loss("query"))
    }
}
