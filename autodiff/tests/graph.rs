//! Graphs: what is folded, shared and dropped, which graphs are sums over samples, which files are refused.

use hypertape_autodiff::graph::{Builder, GraphError, Indices, Op, Split, Traced, Tracer, Window};
use hypertape_autodiff::{
    Arena, Array, Binary, Convolution, Element, Fault, Function, Graph, Operations, Shape,
    StopRule, Tensor, Workspace, fixed_point, max_pool,
};
use serde_json::{Value, json};

type Made = Result<Graph<f64>, GraphError>;

const N: u32 = 6;
const FEATURES: u32 = 3;

/// `X`, whose rows are samples; one number and one class per sample; one weight per sample; `w`, a matrix and a row.
const INPUTS: [(&str, Shape); 6] = [
    ("X", Shape::new(N, FEATURES)),
    ("y", Shape::column(N)),
    ("weights", Shape::column(N)),
    ("w", Shape::column(FEATURES)),
    ("M", Shape::new(FEATURES, 4)),
    ("row", Shape::new(1, 4)),
];

/// Traces a loss over [`INPUTS`] and a list of labels.
macro_rules! traced {
    (|$x:ident, $labels:ident| $body:expr) => {{
        let tracer = Tracer::<f64>::new();
        let $x: Vec<_> = INPUTS.iter().map(|(name, shape)| tracer.input(name, *shape)).collect();
        let $labels = tracer.list("labels", N as usize);
        let _ = $labels;
        tracer.finish(&[$body])
    }};
}

fn numbers(shape: Shape, seed: f64) -> Vec<f64> {
    (0..shape.len()).map(|i| (1.7 * i as f64 + seed).sin()).collect()
}

const LABELS: [u32; N as usize] = [3, 0, 1, 1, 2, 3];

/// The value of a graph over [`INPUTS`] with these samples in view.
fn value(graph: &Graph<f64>, window: Window) -> f64 {
    let arena = Arena::new();
    let data: Vec<_> = INPUTS
        .iter()
        .zip([0.1, 0.7, 1.9, 2.3, 3.1, 4.7])
        .map(|((_, s), seed)| numbers(*s, seed))
        .collect();
    let tensors =
        INPUTS.iter().zip(&data).map(|((_, shape), data)| Tensor::new(&arena, *shape, data));
    let tensors: Vec<_> = tensors.collect();
    let out = graph.eval(tensors[0], &tensors, &[&LABELS], window);
    arena.status().unwrap();
    out[0].values()[0]
}

fn sampled(name: &str) -> bool {
    ["X", "y", "labels"].contains(&name)
}

#[test]
fn constants_are_folded_equal_nodes_shared_and_idle_ones_dropped() {
    let graph = traced!(|x, _labels| {
        let idle = x[0].exp();
        let _ = idle.sum();
        let (two, three) = (x[1].scalar(2.0), x[1].scalar(3.0));
        // Twice the same square, times 2^3 - 3.
        (x[1].square().sum() + x[1].square().sum()) * (two * two * two - three)
    })
    .unwrap();
    // y, its square, the sum, twice the sum, 5, the product.
    assert_eq!(graph.nodes(), 6);
    let square: f64 = numbers(INPUTS[1].1, 0.7).iter().map(|v| v * v).sum();
    assert!((value(&graph, Window::ALL) - 10.0 * square).abs() < 1e-14 * square);
    // An operation whose result is larger than its operands is not folded.
    let wide =
        traced!(|x, _labels| x[1].scalar(1.0).broadcast_to(Shape::new(1000, 100)).sum()).unwrap();
    assert_eq!(wide.nodes(), 3);
}

struct Half;
impl<T: Element> Function<T> for Half {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        w[0] * 0.5
    }
}

#[test]
fn what_has_no_graph_is_told_in_one_line() {
    let told = |result: Made| result.unwrap_err().to_string();
    let looks = "a function that looks at values cannot be traced";
    assert_eq!(told(traced!(|x, _l| if x[1].values().is_empty() { x[1] } else { x[2] })), looks);
    assert_eq!(told(traced!(|x, _l| fixed_point(&Half, x[1], &[], StopRule::default()))), looks);
    assert_eq!(
        told(traced!(|x, labels| x[0].pick(&labels[..2]))),
        "a function that takes a part of a named list cannot be traced"
    );
    // The numbers in the copy of a list that is only named are never in range.
    assert_eq!(
        told(traced!(|x, labels| x[0].gather_rows(x[0].indices(2, |i| labels[i])))),
        "node 6, gather_rows: index 4294967295 is out of range, expected less than 6"
    );
    assert_eq!(
        told(traced!(|x, _l| x[0].matmul(x[5]))),
        "node 6, matmul: shapes 6x3 and 1x4 do not match"
    );
    // The first error is returned.
    assert_eq!(
        told(traced!(|x, _l| (x[0] + x[4]).exp().dot(x[1]))),
        "node 6, add: shapes 6x3 and 3x4 do not match"
    );
    let tracer = Tracer::<f64>::new();
    let x = tracer.input("x", Shape::SCALAR);
    let _ = tracer.input("x", Shape::SCALAR);
    assert_eq!(
        told(tracer.finish(&[x])),
        "name of an input: found \"x\", expected one of its own, 1 to 200 bytes"
    );
}

#[test]
fn inputs_that_are_not_as_declared_are_faults() {
    let graph = traced!(|x, labels| x[0].matmul(x[4]).cross_entropy(labels).mean()).unwrap();
    let found = |shapes: &[Shape], list: &[u32]| {
        let arena = Arena::new();
        let tensors: Vec<_> =
            shapes.iter().map(|&shape| Tensor::<f64>::zeros(&arena, shape)).collect();
        let empty =
            graph.eval(tensors[0], &tensors, &[arena.copy(list).unwrap()], Window::ALL).is_empty();
        (empty, arena.status())
    };
    let shapes = INPUTS.map(|(_, shape)| shape);
    assert_eq!(found(&shapes, &LABELS), (false, Ok(())));
    let length = |what, expected, found| (true, Err(Fault::Length { what, expected, found }));
    assert_eq!(found(&shapes[..2], &LABELS), length("list of inputs of a graph", 6, 2));
    assert_eq!(found(&shapes, &LABELS[1..]), length("named list of a graph", 6, 5));
    let mut other = shapes;
    other[1] = Shape::new(1, N);
    let (left, right) = (Shape::column(N), Shape::new(1, N));
    let fault = Fault::Shapes { operation: "input of a graph", left, right };
    assert_eq!(found(&other, &LABELS), (true, Err(fault)));
    let fault = Fault::Index { operation: "pick", index: 9, length: 4 };
    assert_eq!(found(&shapes, &[0, 1, 2, 3, 9, 0]).1, Err(fault));
}

/// Checks that a graph is a sum over samples, in any blocks.
fn is_a_sum(name: &str, graph: Made, rest: bool) {
    let graph = graph.unwrap();
    let split = graph.split(N, sampled).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(split.rest.is_some(), rest, "{name}");
    let whole = value(&graph, Window::ALL);
    let rest = split.rest.map_or(0.0, |rest| value(&rest, Window::ALL));
    for cuts in [&[0, 6][..], &[0, 1, 6], &[0, 2, 3, 6], &[0, 1, 2, 3, 4, 5, 6]] {
        let part = |w: &[usize]| value(&split.part, Window::new(w[0]..w[1], 6));
        let sum: f64 = cuts.windows(2).map(part).sum::<f64>() + rest;
        // Sums of a few dozen numbers of size 1 in another order; observed 2e-15.
        assert!((sum - whole).abs() < 1e-14 * whole.abs().max(1.0), "{name}: {sum} {whole}");
    }
}

#[test]
fn sums_over_samples_are_found() {
    is_a_sum("mean of squares", traced!(|x, _l| (x[0].matmul(x[3]) - x[1]).square().mean()), false);
    is_a_sum(
        "mean of squares plus a penalty",
        traced!(|x, _l| x[0].matmul(x[3]).squared_error(x[1]) * 0.5 / 6.0
            + x[3].exp().dot(x[3].square()) * 0.5),
        true,
    );
    is_a_sum(
        "weighted cross-entropy",
        traced!(|x, labels| {
            let losses = (x[0].matmul(x[4]) + x[5]).tanh().cross_entropy(labels);
            x[2].sigmoid().dot(losses) / 6.0 + x[4].norm()
        }),
        true,
    );
    is_a_sum("logistic", traced!(|x, _l| x[0].matmul(x[3]).logistic_loss(x[1]).mean()), false);
    is_a_sum("rest before", traced!(|x, _l| 3.0 - (x[3].sum() - x[0].sum())), true);
    is_a_sum(
        "times what is free",
        traced!(|x, _l| (x[0].sum() + 1.0) * x[3].sum() / x[3].exp().sum()),
        true,
    );
    is_a_sum(
        "column sums, then a product",
        traced!(|x, _l| (x[0].sum_rows() / 6.0 + x[3].reshape(Shape::new(1, 3))).matmul(x[3])),
        true,
    );
    is_a_sum(
        "moments by a product",
        traced!(|x, _l| x[0].matmul_transposed(true, x[1], false).dot(x[3])),
        false,
    );
    is_a_sum("rows", traced!(|x, _l| x[0].row_dot(x[0].softmax()).max(x[1]).sum()), false);
    is_a_sum(
        "choices",
        traced!(|x, _l| x[1]
            .less(x[0].matmul(x[3]))
            .select(x[1], x[3].slice(0, Shape::SCALAR))
            .sum()),
        false,
    );
    is_a_sum(
        "embedding",
        traced!(|x, labels| x[5].reshape(Shape::column(4)).gather_rows(labels).dot(x[1])),
        false,
    );
    is_a_sum(
        "constant rows",
        traced!(
            |x, _l| (x[1] * x[1].constant(Shape::column(6), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).sum()
        ),
        false,
    );
    is_a_sum(
        "patches of a sample",
        traced!(|x, _l| {
            let map = Convolution { height: 3, width: 1, size: 2, stride: 1 };
            let pixels = x[0].reshape(Shape::column(18));
            pixels.convolve(x[4].slice(0, Shape::column(4)), map).square().sum()
        }),
        false,
    );
    is_a_sum(
        "pooling",
        traced!(|x, _l| max_pool(x[0].matmul(x[4]).reshape(Shape::column(24)), [2, 2], 2)
            .exp()
            .sum()),
        false,
    );
}

#[test]
fn what_is_no_sum_over_samples_is_told_with_the_reason() {
    let told = |graph: Made| graph.unwrap().split(N, sampled).unwrap_err().to_string();
    let of = |operation: &str, graph| {
        let told = told(graph);
        let (start, end) = (
            format!("a loss: found {operation} (node "),
            ") of what several samples contribute to, expected a sum over samples",
        );
        assert!(told.starts_with(&start) && told.ends_with(end), "{told}");
    };
    // A variance: the mean of the squares less the square of the mean.
    of("square", traced!(|x, _l| x[1].square().mean() - x[1].mean().square()));
    of("subtract", traced!(|x, _l| (x[1] - x[1].mean()).square().mean()));
    of("ln", traced!(|x, _l| x[0].exp().sum().ln()));
    of("norm", traced!(|x, _l| x[0].norm()));
    of("multiply", traced!(|x, _l| x[0].sum() * x[1].sum()));
    of("divide", traced!(|x, _l| x[3].sum() / x[1].sum()));
    of(
        "matmul",
        traced!(|x, _l| x[2]
            .matmul_transposed(true, x[0].matmul_transposed(false, x[0], true), false)
            .sum()),
    );
    of("slice", traced!(|x, _l| x[1].slice(0, Shape::column(3)).sum()));
    of("logsumexp", traced!(|x, _l| x[0].sum_rows().logsumexp()));
    of("gather_rows", traced!(|x, _l| x[0].gather_rows(&[1, 2, 3, 4, 5, 0]).dot(x[0])));
    of("gather_rows", traced!(|x, _l| max_pool(x[0], [3, 2], 2).sum()));
    assert_eq!(
        told(traced!(|x, _l| x[3].sum())),
        "a loss: found no sample in it, expected a sum over samples"
    );
    assert_eq!(
        told(traced!(|x, _l| x[1])),
        "a loss: found one result per sample, expected a sum over samples"
    );
    let graph = traced!(|x, _l| x[1].sum()).unwrap();
    let error = graph.split(1, sampled).unwrap_err().to_string();
    assert_eq!(error, "a loss: found 1 samples, expected a sum over samples");
    let split = graph.split(N, sampled).unwrap();
    assert!(split.part.to_json().unwrap_err().to_string().contains("expected a whole one"));
}

/// The gradient of a block, computed by a tape, is that of a loss over the rows of the block alone.
#[test]
fn blocks_are_differentiated_as_what_they_are() {
    struct Block(Split<f64>, Window);
    impl Function<f64> for Block {
        fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
            self.0.part.eval(x[0], x, &[&LABELS], self.1)[0]
        }
    }
    let graph =
        traced!(|x, labels| x[2].sigmoid().dot(x[0].matmul(x[4]).cross_entropy(labels)) / 6.0)
            .unwrap();
    let shapes = INPUTS.map(|(_, shape)| shape);
    let n = shapes.iter().map(|s| s.len()).sum();
    let x = numbers(Shape::column(u32::try_from(n).unwrap()), 0.4);
    let gradient = |window| {
        let mut gradient = vec![0.0; n];
        let f = Block(graph.split(N, sampled).unwrap(), window);
        Workspace::new().gradient(&f, &shapes, &x, &mut gradient).unwrap();
        gradient
    };
    let (whole, parts) = (gradient(Window::ALL), [0..2, 2..6].map(|r| gradient(Window::new(r, 6))));
    let weights = 18 + 6..18 + 12;
    assert!(parts[0][weights.clone()][2..].iter().all(|g| *g == 0.0));
    for (i, whole) in whole.iter().enumerate() {
        let sum = parts[0][i] + parts[1][i];
        assert!((sum - whole).abs() < 1e-15, "{i}: {sum} {whole}"); // sums of six numbers below 1
    }
}

/// Losses of linear models as single operations have the values and derivatives of the original graph, also in blocks.
#[test]
fn losses_of_linear_models_are_found() {
    struct Part<'g>(&'g Graph<f64>, Window);
    impl Function<f64> for Part<'_> {
        fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
            self.0.eval(x[0], x, &[&LABELS], self.1)[0]
        }
    }
    let shapes = INPUTS.map(|(_, shape)| shape);
    let n = shapes.iter().map(|s| s.len()).sum();
    let point = |seed| numbers(Shape::column(u32::try_from(n).unwrap()), seed);
    let once =
        ["inner product", "squares", "weighted squares", "logistic", "minus twice", "of targets"];
    let of = |name: &str, graph: Made, fewer: usize| {
        let part = graph.unwrap().split(N, sampled).unwrap().part;
        let fused = part.fused(|name| ["X", "y"].contains(&name)).unwrap();
        assert_eq!(part.nodes() - fused.nodes(), fewer, "{name}");
        assert_eq!(fused.reads_rows_once(|name| name == "X"), once.contains(&name), "{name}");
        for window in [Window::ALL, Window::new(1..4, 6)] {
            let found = [&part, &fused].map(|graph| {
                let (mut gradient, mut product) = (vec![0.0; n], vec![0.0; n]);
                let (f, mut workspace) = (Part(graph, window), Workspace::new());
                let (x, mut v) = (point(0.4), point(1.1));
                v[..24].fill(0.0);
                let value = workspace.hvp(&f, &shapes, &x, &v, &mut gradient, &mut product);
                // Not along X and y, which are data.
                [&[value.unwrap()], &gradient[24..], &product[24..]].concat()
            });
            for (a, b) in found[0].iter().zip(&found[1]) {
                // Sums of a few dozen numbers of size 1 in another order; observed below 2e-15.
                assert!((a - b).abs() < 1e-14, "{name}: {a} {b}");
            }
        }
    };
    of("inner product", traced!(|x, _l| x[0].matmul(x[3]).squared_error(x[1])), 2);
    of("squares", traced!(|x, _l| (x[1] - x[0].matmul(x[3])).square().mean()), 3);
    of("weighted squares", traced!(|x, _l| (x[0].matmul(x[3]) - x[1]).square().dot(x[2].exp())), 3);
    of("logistic", traced!(|x, _l| (-(x[0].matmul(x[3]) * x[1])).softplus().sum()), 4);
    of("minus twice", traced!(|x, _l| (-(x[1] * -x[0].matmul(x[3]))).softplus().sum()), 5);
    of("of targets", traced!(|x, _l| (x[1] * x[0].matmul(x[3])).softplus().dot(x[2])), 3);
    of(
        "classes",
        traced!(|x, labels| {
            let z = x[0].matmul(x[4]);
            x[2].sigmoid().dot(z.logsumexp() - z.pick(labels)) / 6.0
        }),
        4,
    );
    of("layer", traced!(|x, _l| (x[0].matmul(x[4]) + x[5]).tanh().sum()), 1);
    of("layer of an array", traced!(|x, _l| (x[1] + x[0].matmul(x[3])).tanh().sum()), 1);
    of("not a layer", traced!(|x, _l| (x[0].matmul(x[4]) + x[2]).tanh().sum()), 0);
    // Scores that are needed elsewhere, targets that are variables, another loss.
    of(
        "scores",
        traced!(|x, _l| x[0].matmul(x[3]).squared_error(x[1]) + x[0].matmul(x[3]).sum()),
        0,
    );
    of("variables", traced!(|x, _l| (x[0].matmul(x[3]) - x[2]).square().sum()), 0);
    of("another", traced!(|x, _l| (x[0].matmul(x[3]) - x[1]).abs().sum()), 0);
    let whole = traced!(|x, _l| x[0].matmul(x[3]).squared_error(x[1])).unwrap();
    let told = whole.fused(|_| true).unwrap().to_json().unwrap_err().to_string();
    assert!(told.contains("expected a whole one"), "{told}");
}

fn good() -> Value {
    json!({
        "version": 1,
        "inputs": [{"name": "x", "shape": [3, 2]}],
        "lists": [{"name": "labels", "length": 3}],
        "nodes": [
            {"op": "input", "name": "x"},
            {"op": "pick", "of": [0], "labels": "labels"},
            {"op": "constant", "shape": [1, 1], "values": [0.1]},
            {"op": "multiply", "of": [1, 2]},
            {"op": "divide", "of": [3], "number": 3.0},
            {"op": "sum", "of": [4], "shape": [1, 1]},
        ],
        "outputs": [5],
    })
}

#[test]
fn files_are_what_they_say() {
    let graph = Graph::<f64>::from_json(good()).unwrap();
    let arena = Arena::new();
    let x = Tensor::new(&arena, Shape::new(3, 2), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let sum = (2.0 * 0.1) / 3.0 + (3.0 * 0.1) / 3.0 + (5.0 * 0.1) / 3.0;
    assert_eq!(graph.eval(x, &[x], &[&[1, 0, 0]], Window::ALL)[0].values(), [sum]);
    assert_eq!(Graph::from_json(graph.to_json().unwrap()), Ok(graph.clone()));
    assert_eq!(graph.to_json().unwrap(), good());
    assert_eq!(graph.cast::<f32>().cast::<f64>().cast::<f32>(), graph.cast());
    // An input that is added late is listed with the others.
    let tracer = Tracer::<f64>::new();
    let sum = tracer.input("x", Shape::column(2)).sum();
    let late = tracer.finish(&[sum * tracer.input("y", Shape::SCALAR)]).unwrap();
    assert_eq!(Graph::from_json(late.to_json().unwrap()), Ok(late));
    // Numbers that JSON cannot represent.
    let mut builder = Builder::<f64>::new();
    let x = builder.input("x", Shape::SCALAR).unwrap();
    let low = builder.constant(Shape::column(2), &[f64::NEG_INFINITY, -0.0]).unwrap();
    let max = builder.push(Op::Binary(Binary::Max), &[x, low]).unwrap();
    let graph = builder.finish(&[max]).unwrap();
    let read = Graph::<f64>::from_json(graph.to_json().unwrap()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{graph:?}"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list")]
fn hostile_files_are_refused_in_one_line() {
    let told = |change: &dyn Fn(&mut Value)| {
        let mut file = good();
        change(&mut file);
        let message = Graph::<f64>::from_json(file).unwrap_err().to_string();
        assert!(!message.contains('\n') && message.len() < 300, "{message}");
        message
    };
    let node = |i: usize, node: Value| told(&|file| file["nodes"][i] = node.clone());
    for (message, expected) in [
        (told(&|f| *f = json!([1])), "a graph: found [1], expected an object"),
        (told(&|f| f["version"] = json!(2)), "a graph: found version 2, expected version 1"),
        (
            told(&|f| f["version"] = json!("1")),
            "a graph: version: found \"1\", expected a whole number below 2^32",
        ),
        (told(&|f| f["more"] = json!(0)), "a graph: found \"more\", expected no such field"),
        (told(&|f| f["inputs"] = Value::Null), "a graph: inputs: found null, expected a list"),
        (told(&|f| f["outputs"] = json!([6])), "outputs: found node 6, expected one of 6"),
        (
            told(&|f| f["outputs"] = json!([-1])),
            "a graph: outputs: found [-1], expected a list of numbers",
        ),
        (
            told(&|f| f["inputs"][0]["shape"] = json!([3])),
            "input 0: shape: found [3], expected [rows, columns]",
        ),
        (
            told(&|f| f["inputs"][0]["shape"] = json!([4_294_967_295_u32, 2])),
            "node 0, input: found shape 4294967295x2, expected 4294967295 entries or fewer",
        ),
        (
            told(&|f| f["inputs"][0]["name"] = json!("labels")),
            "name of an input: found \"labels\", expected one of its own, 1 to 200 bytes",
        ),
        (
            told(&|f| f["lists"][0]["length"] = json!(0)),
            "length of list \"labels\": found 0, expected 1 to 4294967295",
        ),
        (
            told(&|f| f["lists"] = json!([])),
            "node 1, pick: labels: found \"labels\", expected whole numbers below 2^32, or the name of a list",
        ),
        // A cycle, and a forward reference.
        (
            node(3, json!({"op": "multiply", "of": [3, 2]})),
            "node 3, multiply: found node 3, expected one before node 3",
        ),
        (
            node(3, json!({"op": "multiply", "of": [1, 5]})),
            "node 3, multiply: found node 5, expected one before node 3",
        ),
        (
            node(3, json!({"op": "multiply", "of": [1]})),
            "node 3, multiply: found 1 operands, expected 2",
        ),
        (
            node(3, json!({"op": "mul", "of": [1, 2]})),
            "node 3, mul: op: found \"mul\", expected an operation of graphs",
        ),
        (
            node(3, json!({"op": "tanh", "of": [1], "number": 1.0})),
            "node 3, tanh: op: found \"tanh\", expected an operation of graphs",
        ),
        (
            node(3, json!({"op": "cut", "of": [1]})),
            "node 3, cut: op: found \"cut\", expected an operation of graphs",
        ),
        (
            node(3, json!({"op": "multiply", "of": [1, 2], "by": 2})),
            "node 3, multiply: found \"by\", expected no such field",
        ),
        (node(3, json!({"of": [1, 2]})), "node 3: found no \"op\", expected one"),
        (
            node(3, json!({"op": "constant", "shape": [2, 1], "values": [1.0]})),
            "node 3, constant: found 1 values, expected 2 for shape 2x1",
        ),
        (
            node(3, json!({"op": "constant", "of": [0], "shape": [1, 1], "values": [1.0]})),
            "node 3, constant: of: found operands, expected none",
        ),
        (
            node(3, json!({"op": "add", "of": [0, 0], "x": "\n".repeat(500)})),
            "node 3, add: found \"x\", expected no such field",
        ),
        (
            node(0, json!({"op": "input", "name": "z"})),
            "node 0, input: name: found \"z\", expected one of the inputs",
        ),
        (
            node(
                3,
                json!({"op": "matmul", "of": [0, 0], "left_transposed": false, "right_transposed": false}),
            ),
            "node 3, matmul: shapes 3x2 and 3x2 do not match",
        ),
        (
            node(3, json!({"op": "matmul", "of": [0, 0]})),
            "node 3, matmul: found no \"left_transposed\", expected one",
        ),
        (
            node(3, json!({"op": "broadcast", "of": [2], "shape": [100_000, 100_000]})),
            "node 3, broadcast: found shape 100000x100000, expected 4294967295 entries or fewer",
        ),
        (
            node(
                3,
                json!({"op": "slice", "of": [0], "start": 18_446_744_073_709_551_615_u64, "shape": [1, 1]}),
            ),
            "node 3, slice: shapes 3x2 and 1x1 do not match",
        ),
        (
            node(3, json!({"op": "gather_rows", "of": [0], "indices": [0, 7]})),
            "node 3, gather_rows: index 7 is out of range, expected less than 3",
        ),
        (
            node(
                3,
                json!({"op": "convolve", "of": [0, 0], "height": 0, "width": 1, "size": 1, "stride": 0, "role": "output"}),
            ),
            "node 3, convolve: the stride is 0, expected at least 1",
        ),
        (
            node(
                3,
                json!({"op": "convolve", "of": [0, 0], "height": 1, "width": 1, "size": 1, "stride": 1, "role": "x"}),
            ),
            "node 3, convolve: role: found \"x\", expected \"input\", \"kernel\" or \"output\"",
        ),
    ] {
        assert_eq!(message, expected);
    }
    let many = vec![json!({"op": "input", "name": "x"}); 65_537];
    assert_eq!(told(&|f| f["nodes"] = json!(many)), "nodes: found 65537, expected 65536 or fewer");
    // Arbitrary damage to the text never panics.
    let text = good().to_string();
    for place in 0..text.len() {
        for byte in *b"09[]{}\",-e" {
            let mut damaged = text.clone().into_bytes();
            damaged[place] = byte;
            if let Ok(json) = serde_json::from_slice(&damaged) {
                let _ = Graph::<f64>::from_json(json);
            }
        }
    }
}

#[test]
fn a_builder_refuses_what_it_cannot_do() {
    let mut builder = Builder::<f64>::new();
    let x = builder.input("x", Shape::new(2, 2)).unwrap();
    let told = |result: Result<usize, GraphError>| result.unwrap_err().to_string();
    assert_eq!(
        told(builder.push(Op::Binary(Binary::Add), &[x, 4])),
        "node 1, add: found node 4, expected one before node 1"
    );
    assert_eq!(
        told(builder.push(Op::Input(0), &[])),
        "node 1, input: found a node of its own kind, expected an operation"
    );
    let pick = Op::Pick { labels: Indices::Named(0) };
    assert_eq!(told(builder.push(pick, &[x])), "node 1, pick: found list 0, expected one of 0");
    assert_eq!(builder.shape(x), Ok(Shape::new(2, 2)));
    assert_eq!(
        builder.finish(&[1]).unwrap_err().to_string(),
        "node: found 1, expected less than 1"
    );
}

/// Each case is or is not affine in `a`, for any `b`.
#[test]
fn what_is_affine_is_told_from_what_is_not() {
    type Case = for<'t> fn(Traced<'t, f64>, Traced<'t, f64>) -> Traced<'t, f64>;
    let cases: [(bool, Case); 12] = [
        (true, |_, b| b.exp()),
        (true, |a, b| a * b.tanh() + 3.0),
        (true, |a, b| (b - a) / b),
        (true, |a, b| a.matmul(b.transpose()).sum()),
        (true, |a, b| a.dot(b) * 2.0),
        (true, |a, b| b.select(a, a * 2.0).slice(1, Shape::SCALAR)),
        (false, |a, _| a.square()),
        (false, |a, b| b / a),
        (false, |a, _| a.dot(a)),
        (false, |a, b| a.max(b)),
        (false, |a, b| (a * b).exp().sum()),
        (false, |a, _| a.detach()),
    ];
    for (i, (expected, case)) in cases.into_iter().enumerate() {
        let tracer = Tracer::<f64>::new();
        let [a, b] = ["a", "b"].map(|name| tracer.input(name, Shape::column(3)));
        let graph = tracer.finish(&[case(a, b)]).unwrap();
        assert_eq!(graph.is_affine(|name| name == "a"), expected, "case {i}");
    }
}
