//! Every operation in every mode: Taylor order, forward against reverse mode, forward over reverse against reverse over
//! reverse, and drivers against each other.

#[path = "support/reverse.rs"]
mod reverse;

use hypertape_autodiff::graph::{Tracer, Window};
use hypertape_autodiff::{
    Arena, Array, Axis, Convolution, Dual, Element, Fault, Function, Graph, LinearOperator, Method,
    Operations, Role, Shape, Tensor, Workspace, check, dot, max_pool, mean_pool, normalise,
};
use reverse::reverse_over_reverse;

/// Shapes of the arguments of every case.
const SHAPES: [Shape; 6] = [
    Shape::new(3, 4),
    Shape::new(4, 2),
    Shape::new(3, 4),
    Shape::new(1, 4),
    Shape::new(3, 1),
    Shape::SCALAR,
];

const LABELS: [u32; 3] = [3, 0, 3];
const PLACES: [u32; 6] = [11, 0, 5, 5, 7, 2];
const ROWS: [u32; 5] = [2, 0, 2, 1, 2];

fn map([height, width]: [u32; 2], size: u32, stride: u32) -> Convolution {
    Convolution { height, width, size, stride }
}

/// `y_i = x_{i+1} - x_i` on three rows.
struct Difference;

impl<T: Element> LinearOperator<T> for Difference {
    fn rows(&self) -> u32 {
        2
    }
    fn cols(&self) -> u32 {
        3
    }
    fn apply(&self, transposed: bool, x: &[T], columns: usize, y: &mut [T]) {
        for i in 0..2 * columns {
            if transposed {
                y[i] = y[i] - x[i];
                y[i + columns] += x[i];
            } else {
                y[i] += x[i + columns] - x[i];
            }
        }
    }
}

/// A symmetric positive definite matrix with three rows.
fn definite<'a, A: Array<'a>>(x: &[A]) -> A {
    x[0].matmul_transposed(false, x[0], true) + x[4].exp().to_diagonal()
}

macro_rules! cases {
    ($($name:ident: |$x:ident| $body:expr;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[expect(non_camel_case_types, reason = "named like the operations")]
        enum Case { $($name),* }
        const ALL: &[Case] = &[$(Case::$name),*];
        impl<T: Element> Function<T> for Case {
            fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
                match self { $(Self::$name => (|$x: &[A]| $body)(x)),* }
            }
        }
    };
}

cases! {
    add: |x| x[0] + x[2];
    subtract: |x| x[0] - x[2];
    multiply: |x| x[0] * x[2];
    divide: |x| x[0] / (x[2].square() + 1.0);
    add_row: |x| x[0] + x[3];
    subtract_row: |x| x[3] - x[0];
    multiply_row: |x| x[0] * x[3];
    divide_by_row: |x| x[0] / (x[3].exp());
    row_by_array: |x| x[3] / (x[0].exp());
    multiply_column: |x| x[0] * x[4];
    divide_column: |x| x[4] / (x[0].square() + 2.0);
    multiply_scalar: |x| x[0] * x[5];
    divide_scalar: |x| x[5] / (x[0].exp() + 1.0);
    row_times_column: |x| x[3] * x[4];
    negate: |x| -x[0];
    scale_and_shift: |x| (x[0] * 3.0 - 1.0) / 2.0 + 0.25;
    numbers_on_the_left: |x| 1.0 - 2.0 * x[0] + 3.0 / (0.5 + x[2].square());
    max: |x| x[0].max(x[2]);
    min: |x| x[0].min(x[2]);
    max_row: |x| x[0].max(x[3]);
    exp: |x| x[0].exp();
    ln: |x| (x[0].exp() + 0.5).ln();
    ln_1p: |x| x[0].square().ln_1p();
    sqrt: |x| (x[0].square() + 0.3).sqrt();
    square: |x| x[0].square();
    recip: |x| (x[0].exp() + 1.0).recip();
    tanh: |x| x[0].tanh();
    sigmoid: |x| x[0].sigmoid();
    softplus: |x| x[0].softplus();
    relu: |x| x[0].relu();
    abs: |x| x[0].abs();
    powi: |x| x[0].powi(3);
    powi_negative: |x| (x[0].square() + 1.0).powi(-2);
    powf: |x| x[0].exp().powf(0.3);
    powf_large: |x| x[0].exp().powf(2.5);
    matmul: |x| x[0].matmul(x[1]);
    matmul_left_transposed: |x| x[0].matmul_transposed(true, x[2], false);
    matmul_right_transposed: |x| x[0].matmul_transposed(false, x[2], true);
    matmul_both_transposed: |x| x[1].matmul_transposed(true, x[0], true);
    matmul_with_itself: |x| x[0].matmul_transposed(false, x[0], true);
    matmul_vector: |x| x[0].matmul_transposed(false, x[3], true);
    matmul_vector_left: |x| x[4].matmul_transposed(true, x[0], false);
    sum: |x| x[0].sum();
    sum_rows: |x| x[0].square().sum_rows();
    sum_cols: |x| x[0].square().sum_cols();
    mean: |x| x[0].square().mean();
    dot: |x| x[0].dot(x[2]);
    dot_with_itself: |x| x[0].dot(x[0]);
    row_dot: |x| x[0].row_dot(x[2]);
    broadcast_row: |x| x[3].broadcast_to(Shape::new(3, 4));
    broadcast_column: |x| x[4].square().broadcast_to(Shape::new(3, 4));
    broadcast_scalar: |x| x[5].square().broadcast_to(Shape::new(3, 4));
    logsumexp: |x| x[0].logsumexp();
    softmax: |x| x[0].softmax();
    cross_entropy: |x| x[0].cross_entropy(&LABELS);
    weighted_cross_entropy: |x| x[4].sigmoid().dot(x[0].cross_entropy(&LABELS));
    pick: |x| x[0].square().pick(&LABELS);
    place: |x| x[4].square().place(&LABELS, 5);
    gather_rows: |x| x[0].square().gather_rows(&ROWS);
    scatter_rows: |x| x[0].gather_rows(&ROWS).square().scatter_rows(&ROWS, 4);
    slice: |x| x[0].square().slice(2, Shape::new(2, 3));
    embed: |x| x[4].square().embed(1, Shape::new(2, 3));
    reshape: |x| x[0].reshape(Shape::new(4, 3)).matmul_transposed(true, x[1], false);
    linear: |x| x[0].square().linear(&Difference, false);
    linear_transposed: |x| x[1].slice(0, Shape::new(2, 2)).square().linear(&Difference, true);
    convolve: |x| x[0].reshape(Shape::column(12)).convolve(x[1], map([3, 2], 2, 1));
    convolve_in_strides: |x| x[2].reshape(Shape::column(12)).convolve(x[0].slice(1, Shape::column(9)), map([3, 4], 3, 2));
    convolve_channels: |x| x[0].reshape(Shape::new(4, 3)).convolve(x[2].slice(0, Shape::new(3, 4)), map([2, 2], 1, 1));
    convolve_with_itself: |x| x[0].reshape(Shape::column(12)).convolve(x[0].slice(0, Shape::new(4, 2)), map([6, 2], 2, 2));
    convolve_fors: |x| {
        let (input, output) = (x[0].reshape(Shape::column(12)), x[2].reshape(Shape::column(12)));
        let kernel = output.convolve_for(input, map([4, 3], 3, 1), Role::Kernel);
        kernel.convolve_for(output, map([4, 3], 3, 1), Role::Input)
    };
    max_pool: |x| max_pool(x[0].reshape(Shape::column(12)), [3, 4], 2);
    mean_pool: |x| mean_pool(x[0].square().reshape(Shape::new(6, 2)), [2, 3], 2);
    normalise: |x| normalise(x[0], 0.1);
    logistic_loss: |x| x[0].logistic_loss(x[3].scalar(-1.0));
    squared_error: |x| x[0].squared_error(x[3].detach());
    norm: |x| x[0].norm();
    select: |x| x[0].less(x[2]).select(x[0] * x[3], x[2].exp());
    clamp: |x| x[0].clamp(-0.3, 0.7);
    hypot: |x| x[0].hypot(x[3]);
    atan2: |x| x[0].atan2(x[2]);
    power: |x| (x[0].square() + 0.5).power(x[3]);
    xlogy: |x| x[0].xlogy(x[3].square() + 0.5);
    silu: |x| x[0].silu();
    gelu: |x| x[0].gelu();
    ln_gamma: |x| (x[0].square() + 0.3).ln_gamma();
    digamma: |x| (x[0].square() + 0.3).digamma();
    max_over: |x| x[0].max_over(Axis::Rows);
    min_over: |x| x[0].min_over(Axis::Columns);
    product_over: |x| x[0].product_over(Axis::Rows) * x[0].product_over(Axis::Columns);
    logsumexp_over: |x| x[0].logsumexp_over(Axis::Rows);
    softmax_over: |x| x[0].softmax_over(Axis::Rows);
    sort: |x| x[0].sort(Axis::Columns).0 * x[2].sort(Axis::Rows).0;
    cumulative_sum: |x| x[0].square().cumulative_sum(Axis::Rows) * x[2].cumulative_sum(Axis::Columns);
    transpose: |x| x[0].square().transpose();
    block: |x| x[0].square().block([1, 1], Shape::new(2, 3));
    inset: |x| x[4].square().inset([1, 2], Shape::new(4, 4));
    entries: |x| x[0].square().entries(&PLACES, Shape::new(2, 3));
    scatter_entries: |x| x[0].entries(&PLACES, Shape::column(6)).square().scatter_entries(&PLACES, Shape::new(4, 3));
    stack: |x| x[0].stack(&[x[3].square(), x[5]]);
    concatenate_rows: |x| x[0].concatenate(&[x[3].square(), x[2]], Axis::Rows);
    concatenate_columns: |x| x[0].concatenate(&[x[4].square(), x[2]], Axis::Columns);
    slices_of_one: |x| x[0].rows(0, 2) * x[0].rows(1, 2) + x[0].gather_rows(&ROWS[..2]) * x[0].entries(&PLACES, Shape::new(2, 3)).columns(0, 1);
    gather_columns: |x| x[0].square().gather_columns(&LABELS);
    scatter_columns: |x| x[0].square().scatter_columns(&[1, 0, 1, 2], 5);
    tile: |x| x[4].square().tile(2, 3);
    diagonal: |x| x[0].square().diagonal();
    to_diagonal: |x| x[3].square().to_diagonal();
    triangles: |x| x[0].square().lower_triangle() + x[2].square().upper_triangle() * x[0];
    batched: |x| x[0].reshape(Shape::new(6, 2)).batched_matmul(x[2].reshape(Shape::new(6, 2)), 3, [false, false]);
    batched_left: |x| x[0].reshape(Shape::new(6, 2)).batched_matmul(x[2].reshape(Shape::new(4, 3)), 2, [true, true]);
    batched_transposed: |x| x[0].reshape(Shape::new(6, 2)).batched_matmul(x[2].reshape(Shape::new(6, 2)), 2, [true, false]);
    batched_right: |x| x[0].reshape(Shape::new(4, 3)).batched_matmul(x[2].reshape(Shape::new(4, 3)), 2, [false, true]);
    cholesky: |x| definite(x).cholesky();
    inverse: |x| definite(x).inverse(Method::Lu);
    solve: |x| {
        let m = definite(x);
        m.solve(x[2], Method::Cholesky) + m.log_det(Method::Lu)
    };
    solve_triangles: |x| {
        let m = definite(x);
        m.solve(x[0], Method::Lower) * m.solve(x[2], Method::Upper)
    };
    det: |x| {
        let m = x[0].matmul_transposed(false, x[2], true) + x[4].exp().to_diagonal();
        m.det_sign(Method::Lu) * m.log_det(Method::Lu).exp()
    };
    sorted: |x| x[0].sorted(Axis::Columns) * x[2].sorted(Axis::Rows);
    detached_factor: |x| x[0].detach() * x[2];
}

/// A case turned into a nonlinear scalar function: `sum (y + w)^3`, with weights `w` that distinguish entries.
struct Curved(Case);

/// Enough weights for the largest result.
static WEIGHTS: [f64; 32] = {
    let mut w = [0.0; 32];
    let mut i = 0;
    while i < 32 {
        w[i] = 0.5 + 0.07 * (i as f64);
        i += 1;
    }
    w
};

impl Function<f64> for Curved {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let y = self.0.eval(x);
        let shape = y.shape();
        (y + y.constant(shape, &WEIGHTS[..shape.len()])).powi(3).sum()
    }
}

/// A generic point: no ties, no kinks, all entries of moderate size.
fn point(seed: f64) -> Vec<f64> {
    let n: usize = SHAPES.iter().map(|s| s.len()).sum();
    (0..n).map(|i| 0.2 + (1.3 * i as f64 + seed).sin()).collect()
}

#[test]
fn taylor_order_of_every_operation() {
    for &case in ALL {
        if matches!(case, Case::detached_factor | Case::squared_error) {
            continue; // their derivative is not that of their value, by design
        }
        for seed in [0.1, 2.2] {
            let orders =
                check::taylor(&Curved(case), &SHAPES, &point(seed), &point(seed + 5.0)).unwrap();
            // The orders are 2 and 3, approached from either side; a wrong derivative lowers them by 1.
            assert!(orders.gradient > 1.85, "{case:?}: {orders:?}");
            assert!(orders.hessian > 2.85, "{case:?}: {orders:?}");
        }
    }
}

#[test]
fn forward_equals_reverse_for_every_operation() {
    for &case in ALL {
        let x = point(0.4);
        let mut workspace = Workspace::new();
        let (_, jacobian) = workspace.jacobian(&case, &SHAPES, &x).unwrap();
        let m = jacobian.len() / x.len();
        let y_bar = &point(1.7)[..m];
        let gap = check::dot_product(&case, &SHAPES, &x, &point(3.3), y_bar).unwrap();
        assert!(gap < 1e-13, "{case:?}: {gap:e}"); // sums of 31 terms; observed below 3e-15
    }
}

#[test]
fn forward_over_reverse_equals_reverse_over_reverse() {
    for &case in ALL {
        let (x, v) = (point(0.9), point(2.9));
        let (mut gradient, mut product) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let f = Curved(case);
        Workspace::new().hvp(&f, &SHAPES, &x, &v, &mut gradient, &mut product).unwrap();
        let other = reverse_over_reverse(&f, &SHAPES, &x, &v);
        let scale = product.iter().fold(1e-300_f64, |s, p| s.max(p.abs()));
        for (a, b) in product.iter().zip(&other) {
            // Rounding of sums of up to 31 terms; observed below 1e-14.
            assert!((a - b).abs() <= 1e-13 * scale, "{case:?}: {a} {b}");
        }
    }
}

#[test]
fn products_in_one_pass_equal_single_ones() {
    for &case in ALL {
        let (f, x) = (Curved(case), point(0.9));
        let v = [2.9, 4.1, 5.3].map(point);
        let mut gradient = vec![0.0; x.len()];
        let mut products = [(); 3].map(|()| vec![0.0; x.len()]);
        let (directions, out) = (v.each_ref().map(|v| &v[..]), products.each_mut());
        let mut workspace = Workspace::new();
        let out = out.map(|p| &mut p[..]);
        let value = workspace.hvps(&f, &SHAPES, &x, directions, &mut gradient, out).unwrap();
        for (v, together) in v.iter().zip(&products) {
            let (mut again, mut product) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let one = workspace.hvp(&f, &SHAPES, &x, v, &mut again, &mut product).unwrap();
            assert_eq!((one, &again, &product), (value, &gradient, together), "{case:?}");
        }
    }
}

#[test]
fn hessian_is_symmetric_and_made_of_products() {
    for &case in &[Case::softmax, Case::matmul_with_itself, Case::divide, Case::row_times_column] {
        let (f, x) = (Curved(case), point(0.5));
        let n = x.len();
        let mut workspace = Workspace::new();
        let (mut first, mut hessian) = (vec![0.0; n], vec![0.0; n * n]);
        let found = workspace.hessian(&f, &SHAPES, &x, &mut first, &mut hessian).unwrap();
        let (mut gradient, mut product) = (vec![0.0; n], vec![0.0; n]);
        let v = point(1.5);
        let value = workspace.hvp(&f, &SHAPES, &x, &v, &mut gradient, &mut product).unwrap();
        assert_eq!((found, first), (value, gradient));
        for i in 0..n {
            let row = &hessian[i * n..(i + 1) * n];
            assert!((dot(row, &v) - product[i]).abs() < 1e-11, "{case:?} row {i}");
            for j in 0..n {
                assert!((row[j] - hessian[j * n + i]).abs() < 1e-11, "{case:?} {i} {j}");
            }
        }
    }
}

#[test]
fn jacobian_by_rows_equals_jacobian_by_columns() {
    /// Nine outputs of three inputs, so that `jacobian` computes columns; `vjp` gives the rows.
    struct Tall;
    impl Function<f64> for Tall {
        fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
            x[0].matmul_transposed(false, x[0].exp(), true).reshape(Shape::column(9))
                * x[0].dot(x[0])
        }
    }
    let x = [0.3, -0.2, 0.9];
    let shapes = [Shape::column(3)];
    let mut workspace = Workspace::new();
    let (_, by_columns) = workspace.jacobian(&Tall, &shapes, &x).unwrap();
    for first in (0..9).step_by(3) {
        let unit = |i: usize| {
            let mut y_bar = [0.0; 9];
            y_bar[i] = 1.0;
            y_bar
        };
        let bars = [first, first + 1, first + 2].map(unit);
        let (mut y, mut rows) = ([0.0; 9], [[0.0; 3]; 3]);
        let (bars, into) = (bars.each_ref().map(|b| &b[..]), rows.each_mut().map(|r| &mut r[..]));
        workspace.vjps(&Tall, &shapes, (&x, bars), (&mut y, into)).unwrap();
        for (entry, row) in rows.concat().iter().zip(&by_columns[3 * first..]) {
            // Rounding: entries of size up to 4, two orders of summation.
            assert!((entry - row).abs() < 1e-14);
        }
    }
}

#[test]
fn gradient_agrees_with_central_differences() {
    for &case in &[Case::tanh, Case::matmul, Case::weighted_cross_entropy, Case::powf] {
        let gap = check::central_differences(&Curved(case), &SHAPES, &point(0.6)).unwrap();
        assert!(gap < 1e-8, "{case:?}: {gap:e}"); // truncation of step^2 = 4e-11 times third derivatives
    }
}

#[test]
fn packed_tangents_equal_single_ones() {
    let (x, v) = (point(0.9), [point(1.1), point(2.1), point(3.1)]);
    let arena = Arena::new();
    for &case in ALL {
        let lift = |tangents: [usize; 3]| -> Vec<Dual<Tensor<f64>, 3>> {
            let mut start = 0;
            SHAPES
                .iter()
                .map(|&shape| {
                    let range = start..start + shape.len();
                    start = range.end;
                    let piece =
                        |flat: &'_ Vec<f64>| arena.copy(&flat[range.clone()]).map(|d| &*d).unwrap();
                    let tangents = tangents.map(|k| Some(Tensor::new(&arena, shape, piece(&v[k]))));
                    Dual::new(Tensor::new(&arena, shape, piece(&x)), tangents)
                })
                .collect()
        };
        let together = case.eval(&lift([0, 1, 2]));
        let turned = case.eval(&lift([2, 0, 1]));
        for (k, t) in [2, 0, 1].into_iter().enumerate() {
            let (a, b) = (together.tangents()[t], turned.tangents()[k]);
            assert_eq!(a.map(Tensor::values), b.map(Tensor::values), "{case:?}");
        }
    }
}

#[test]
fn a_wrong_shape_is_named() {
    struct Wrong;
    impl Function<f64> for Wrong {
        fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
            (x[0].matmul(x[0]).exp() + x[1]).sum()
        }
    }
    let fault =
        Workspace::new().gradient(&Wrong, &SHAPES, &point(0.0), &mut [0.0; 37]).unwrap_err();
    let shape = Shape::new(3, 4);
    assert_eq!(fault, Fault::Shapes { operation: "matmul", left: shape, right: shape });
    assert_eq!(fault.to_string(), "matmul: shapes 3x4 and 3x4 do not match");
}

/// A graph as a function, converted to JSON and back if that is compiled in.
struct Evaluated(Graph<f64>);

impl Function<f64> for Evaluated {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        self.0.eval(x[0], x, &[], Window::ALL)[0]
    }
}

#[test]
fn a_graph_of_every_operation_has_its_bits() {
    let traced = |f: &Curved| {
        let tracer = Tracer::new();
        let named = |(i, &shape)| tracer.input(&format!("x{i}"), shape);
        let x: Vec<_> = SHAPES.iter().enumerate().map(named).collect();
        tracer.finish(&[f.eval(&x)])
    };
    for &case in ALL {
        let f = Curved(case);
        let graph = traced(&f);
        let cannot = match case {
            Case::linear | Case::linear_transposed => "applies a linear map given by code",
            Case::sort => "looks at values",
            _ => "",
        };
        if !cannot.is_empty() {
            let told = format!("a function that {cannot} cannot be traced");
            assert_eq!(graph.unwrap_err().to_string(), told, "{case:?}");
            continue;
        }
        let graph = graph.unwrap();
        #[cfg(feature = "serde")]
        assert_eq!(Graph::from_json(graph.to_json().unwrap()).as_ref(), Ok(&graph), "{case:?}");
        let (x, v) = (point(0.9), point(2.9));
        let n = x.len();
        let (mut own, mut other) = ([vec![0.0; n], vec![0.0; n]], [vec![0.0; n], vec![0.0; n]]);
        let mut workspace = Workspace::new();
        let [gradient, product] = &mut own;
        let value = workspace.hvp(&f, &SHAPES, &x, &v, gradient, product).unwrap();
        let [gradient, product] = &mut other;
        let found = workspace.hvp(&Evaluated(graph), &SHAPES, &x, &v, gradient, product).unwrap();
        assert_eq!((value.to_bits(), own), (found.to_bits(), other), "{case:?}");
    }
}
