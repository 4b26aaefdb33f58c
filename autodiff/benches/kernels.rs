//! Times of operations on arrays as users call them, through `Array` into an arena. Prints one line of JSON per
//! operation, in which `ns` is the time of the fastest call. `benches/kernels.py` compares these times with JAX.
//!
//! Run `cargo bench -p hypertape-autodiff --bench kernels -- NAME`, where `NAME` is part of `group/operation`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hypertape_autodiff::{Arena, Array, Axis, Element, Method, Operations, Shape, Tensor, simd};

/// An operation on two arrays.
type Op<T> = for<'a> fn(Tensor<'a, T>, Tensor<'a, T>) -> Tensor<'a, T>;

/// Name of an operation, bounds of the entries of the first array, and the operation.
type Row<T> = (&'static str, [f64; 2], Op<T>);

const ROWS: Axis = Axis::Rows;
const COLUMNS: Axis = Axis::Columns;

fn elementwise<T: Element>() -> Vec<Row<T>> {
    vec![
        ("add", [0.1, 0.9], |x, y| x + y),
        ("divide", [0.1, 0.9], |x, y| x / y),
        ("max", [0.1, 0.9], |x, y| x.max(y)),
        ("exp", [-8.0, 8.0], |x, _| x.exp()),
        ("expm1", [-1.0, 1.0], |x, _| x.exp_m1()),
        ("log", [0.1, 8.0], |x, _| x.ln()),
        ("log1p", [0.1, 8.0], |x, _| x.ln_1p()),
        ("sqrt", [0.1, 8.0], |x, _| x.sqrt()),
        ("sin", [-8.0, 8.0], |x, _| x.sin()),
        ("cos", [-8.0, 8.0], |x, _| x.cos()),
        ("tan", [-8.0, 8.0], |x, _| x.tan()),
        ("arcsin", [-0.9, 0.9], |x, _| x.asin()),
        ("arccos", [-0.9, 0.9], |x, _| x.acos()),
        ("arctan", [-8.0, 8.0], |x, _| x.atan()),
        ("sinh", [-8.0, 8.0], |x, _| x.sinh()),
        ("cosh", [-8.0, 8.0], |x, _| x.cosh()),
        ("tanh", [-8.0, 8.0], |x, _| x.tanh()),
        ("arcsinh", [-8.0, 8.0], |x, _| x.asinh()),
        ("arccosh", [1.1, 8.0], |x, _| x.acosh()),
        ("arctanh", [-0.9, 0.9], |x, _| x.atanh()),
        ("sigmoid", [-8.0, 8.0], |x, _| x.sigmoid()),
        ("softplus", [-8.0, 8.0], |x, _| x.softplus()),
        ("silu", [-8.0, 8.0], |x, _| x.silu()),
        ("gelu", [-8.0, 8.0], |x, _| x.gelu()),
        ("erf", [-4.0, 4.0], |x, _| x.erf()),
        ("erfc", [-4.0, 4.0], |x, _| x.erfc()),
        ("gammaln", [0.1, 8.0], |x, _| x.ln_gamma()),
        ("digamma", [0.1, 8.0], |x, _| x.digamma()),
        ("hypot", [-8.0, 8.0], |x, y| x.hypot(y)),
        ("arctan2", [-8.0, 8.0], |x, y| x.atan2(y)),
        ("power", [0.1, 8.0], |x, y| x.power(y)),
        ("xlogy", [0.1, 8.0], |x, y| x.xlogy(y)),
        ("select", [0.1, 0.9], |x, y| x.less(y).select(x, y)),
        ("clamp", [0.1, 0.9], |x, _| x.clamp(0.3, 0.6)),
        ("floor", [-8.0, 8.0], |x, _| x.floor()),
    ]
}

fn reductions<T: Element>() -> Vec<Row<T>> {
    const ALL: [f64; 2] = [0.5, 1.5];
    vec![
        ("sum", ALL, |x, _| x.sum()),
        ("sum rows", ALL, |x, _| x.sum_rows()),
        ("sum columns", ALL, |x, _| x.sum_cols()),
        ("dot", ALL, |x, y| x.dot(y)),
        ("norm", ALL, |x, _| x.norm()),
        ("max rows", ALL, |x, _| x.max_over(ROWS)),
        ("max columns", ALL, |x, _| x.max_over(COLUMNS)),
        ("product rows", ALL, |x, _| x.product_over(ROWS)),
        ("product columns", ALL, |x, _| x.product_over(COLUMNS)),
        ("cumsum rows", ALL, |x, _| x.cumulative_sum(ROWS)),
        ("cumsum columns", ALL, |x, _| x.cumulative_sum(COLUMNS)),
        ("logsumexp rows", ALL, |x, _| x.logsumexp_over(ROWS)),
        ("logsumexp columns", ALL, |x, _| x.logsumexp()),
        ("softmax rows", ALL, |x, _| x.softmax_over(ROWS)),
        ("softmax columns", ALL, |x, _| x.softmax()),
        ("argmax columns", ALL, |x, _| {
            black_box(x.argmax(COLUMNS));
            x
        }),
        ("sort rows", ALL, |x, _| x.sort(ROWS).0),
        ("sort columns", ALL, |x, _| x.sort(COLUMNS).0),
    ]
}

fn products<T: Element>() -> Vec<Row<T>> {
    vec![
        ("matmul", [-1.0, 1.0], |x, y| x.matmul(y)),
        ("matmul transposed", [-1.0, 1.0], |x, y| x.matmul_transposed(true, y, false)),
        ("matvec", [-1.0, 1.0], |x, y| x.matmul(y.slice(0, Shape::column(y.shape().cols)))),
        // Sixteen matrices, stacked by rows.
        ("batched matmul", [-1.0, 1.0], |x, y| x.batched_matmul(y, 16, [false, false])),
    ]
}

/// Factorisations of a symmetric positive definite matrix, and related operations.
fn factorisations<T: Element>() -> Vec<Row<T>> {
    const NONE: [f64; 2] = [0.0, 0.0];
    fn column<T: Element>(y: Tensor<'_, T>) -> Tensor<'_, T> {
        y.slice(0, Shape::column(y.shape().rows))
    }
    vec![
        ("cholesky", NONE, |x, _| x.cholesky()),
        ("solve lu", NONE, |x, y| x.solve(column(y), Method::Lu)),
        ("solve lu, n columns", NONE, |x, y| x.solve(y, Method::Lu)),
        ("solve triangle, n columns", NONE, |x, y| x.solve(y, Method::Lower)),
        ("log det", NONE, |x, _| x.log_det(Method::Lu)),
        ("inverse", NONE, |x, _| x.inverse(Method::Lu)),
        ("least squares", NONE, |x, y| x.least_squares(column(y))),
        ("eigen", NONE, |x, _| x.eigen().1),
    ]
}

/// Returns the nanoseconds per call of the fastest of many samples, each of as many calls as take 0.2 ms.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut sample = |count: u32| {
        let start = Instant::now();
        (0..count).for_each(|_| call());
        start.elapsed()
    };
    let mut count = 1;
    while sample(count) < Duration::from_micros(200) {
        count *= 2;
    }
    let start = Instant::now();
    let mut least = sample(count);
    for number in 0.. {
        if number >= 5 && start.elapsed() > Duration::from_millis(30) {
            break;
        }
        least = least.min(sample(count));
    }
    least.as_secs_f64() * 1e9 / f64::from(count)
}

/// Returns values spread over the bounds in no particular order.
fn spread<T: Element>(len: usize, [low, high]: [f64; 2], step: f64) -> Vec<T> {
    (0..len).map(|i| T::from_f64(low + (high - low) * (step * i as f64).fract())).collect()
}

fn group<T: Element>(group: &str, wanted: &str, rows: Vec<Row<T>>, shapes: &[(u32, Shape)]) {
    let mut arena = Arena::new();
    for (name, bounds, op) in rows {
        if !format!("{group}/{name}").contains(wanted) {
            continue;
        }
        for &(size, shape) in shapes {
            let shape = match name {
                "batched matmul" => Shape::new(16 * shape.rows, shape.cols),
                _ => shape,
            };
            let mut x: Vec<T> = spread(shape.len(), bounds, 0.618_033_988_749_895);
            let y: Vec<T> = spread(shape.len(), [0.1, 0.9], 0.414_213_562_373_095);
            if group == "factorisations" {
                let n = shape.rows as usize;
                for (p, x) in x.iter_mut().enumerate() {
                    let (i, j) = (p / n, p % n);
                    let off = ((i.max(j) * n + i.min(j)) as f64).sin();
                    let off = off / (1 + i.abs_diff(j)).pow(2) as f64;
                    *x = T::from_f64(if i == j { 4.0 } else { off });
                }
            }
            let ns = fastest(|| {
                arena.reset();
                let at = |data| Tensor::new(&arena, shape, data);
                black_box(op(at(black_box(&x)), at(black_box(&y))).values());
            });
            let (dtype, simd) = (T::NAME, simd().name());
            println!(
                "{{\"group\": \"{group}\", \"op\": \"{name}\", \"dtype\": \"{dtype}\", \"size\": {size}, \"ns\": {ns:.1}, \
                 \"simd\": \"{simd}\"}}"
            );
        }
    }
}

fn all<T: Element>(wanted: &str) {
    let long = [64, 4096, 1_000_000].map(|n| (n, Shape::column(n)));
    let wide = [8, 64, 1000].map(|n| (n * n, Shape::new(n, n)));
    let square = [16, 64, 256].map(|n| (n, Shape::new(n, n)));
    group::<T>("elementwise", wanted, elementwise(), &long);
    group::<T>("reductions", wanted, reductions(), &wide);
    group::<T>("products", wanted, products(), &square);
    group::<T>("factorisations", wanted, factorisations(), &square);
}

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    all::<f64>(&wanted);
    all::<f32>(&wanted);
}
