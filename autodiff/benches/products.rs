//! Matrix products of the peer workloads' shapes, one and two planes at once, in both precisions.
//!
//! A line is `op(A) op(B)`, where `'` marks a transposed factor, and the number of planes that `A` or `B` is multiplied
//! with. Elements are multiplications. `stream` lines go over a matrix in the blocks of rows of the workload, with `X
//! W` and then `X' R` in each.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hypertape_autodiff::{Arena, Array, Element, ProductForm, Shape, Side, Tensor};

/// The stored shape of the shared factor, whether it is transposed, the same for the other factor, and the side of the
/// shared one.
type Case = ((u32, u32), bool, (u32, u32), bool, Side);

const LEFT: Side = Side::Left;
const RIGHT: Side = Side::Right;

/// The products of gradients and Hessian-vector products of w1, w2 and w3, a tiny one and square ones.
const CASES: [Case; 17] = [
    ((327, 200), false, (200, 1), false, LEFT),
    ((327, 200), true, (327, 1), false, LEFT),
    ((83, 784), false, (784, 10), false, LEFT),
    ((83, 784), true, (83, 10), false, LEFT),
    ((10, 40), false, (40, 40), false, LEFT),
    ((40, 40), true, (10, 40), false, RIGHT),
    ((10, 40), true, (10, 40), false, LEFT),
    ((10, 40), true, (40, 10), true, LEFT),
    ((10, 1), false, (1, 40), false, LEFT),
    ((10, 1), true, (10, 40), false, LEFT),
    ((10, 40), false, (40, 1), false, LEFT),
    ((40, 1), true, (10, 1), false, RIGHT),
    ((10, 40), true, (10, 1), false, LEFT),
    ((4, 3), false, (3, 2), false, LEFT),
    ((64, 64), false, (64, 64), false, LEFT),
    ((256, 256), false, (256, 256), false, LEFT),
    ((256, 256), true, (256, 256), true, LEFT),
];

fn wave<T: Element>(n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64((0.7 * i as f64).sin())).collect()
}

/// The products of `shared` with `others`.
fn products<'a, A: Array<'a>>(
    shared: A,
    (transposed, others_transposed, side): (bool, bool, Side),
    others: &[A],
) {
    let mut out = [shared; 4];
    let out = &mut out[..others.len()];
    shared.products(ProductForm { side, transposed, others_transposed }, others, &[], out);
    black_box(out);
}

fn single<T: Element>(c: &mut Criterion, (s, ts, o, to, side): Case, planes: usize) {
    let op =
        |(rows, cols): (u32, u32), t: bool| format!("{rows}x{cols}{}", if t { "'" } else { "" });
    let (a, b) = (op(s, ts), op(o, to));
    let name = if side == LEFT { format!("{a} * {b}") } else { format!("{b} * {a}") };
    let (shared, other) = (Shape::new(s.0, s.1), Shape::new(o.0, o.1));
    let partners = if side == RIGHT { (o, to, s, ts) } else { (s, ts, o, to) };
    let (m, k) = if partners.1 { (partners.0.1, partners.0.0) } else { partners.0 };
    let n = if partners.3 { partners.2.0 } else { partners.2.1 };
    let (x, y): (Vec<T>, Vec<T>) = (wave(shared.len()), wave(other.len() * planes));
    let mut arena = Arena::new();
    let mut group = c.benchmark_group(format!("{} {planes}", T::NAME));
    group.throughput(Throughput::Elements(u64::from(m * k * n) * planes as u64));
    group.bench_function(BenchmarkId::from_parameter(name), |bench| {
        bench.iter(|| {
            arena.reset();
            let x = Tensor::new(&arena, shared, black_box(&x));
            let mut others = [x; 4];
            for (other_plane, y) in others.iter_mut().zip(y.chunks_exact(other.len())) {
                *other_plane = Tensor::new(&arena, other, y);
            }
            products(x, (ts, to, side), &others[..planes]);
        });
    });
}

/// One pass over a `rows x width` matrix in blocks that fit in the second-level cache.
fn stream<T: Element>(c: &mut Criterion, (rows, width, n): (u32, u32, u32), planes: usize) {
    let x: Vec<T> = wave(Shape::new(rows, width).len());
    let block = (1 << 19) / (width * u32::try_from(size_of::<T>()).unwrap());
    let (w, r): (Vec<T>, Vec<T>) = (wave((width * n) as usize), wave((block * n) as usize));
    let mut arena = Arena::new();
    let mut group = c.benchmark_group(format!("{} {planes}", T::NAME));
    group.throughput(Throughput::Elements(2 * u64::from(rows * width * n) * planes as u64));
    let name = format!("stream {rows}x{width} {n}");
    group.bench_function(BenchmarkId::from_parameter(name), |bench| {
        bench.iter(|| {
            for x in black_box(&x).chunks((block * width) as usize) {
                arena.reset();
                let rows = u32::try_from(x.len()).unwrap() / width;
                let x = Tensor::new(&arena, Shape::new(rows, width), x);
                let w = Tensor::new(&arena, Shape::new(width, n), &w);
                let r = Tensor::new(&arena, Shape::new(rows, n), &r[..(rows * n) as usize]);
                products(x, (false, false, LEFT), &[w; 4][..planes]);
                products(x, (true, false, LEFT), &[r; 4][..planes]);
            }
        });
    });
}

fn benches<T: Element>(c: &mut Criterion) {
    for planes in [1, 2] {
        for case in CASES {
            single::<T>(c, case, planes);
        }
        stream::<T>(c, (2000, 200, 1), planes);
        stream::<T>(c, (5000, 784, 10), planes);
    }
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .without_plots()
}

criterion_group! { name = all; config = settings(); targets = benches::<f64>, benches::<f32> }
criterion_main!(all);
