//! The cost of recording and sweeping compared with the arithmetic: chains of operations on 1x1 arrays, whose
//! arithmetic is negligible, and on 10x40 arrays, with and without a tape. Times are for a chain of 100 operations, so
//! nanoseconds per operation are a hundredth of them.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};

const LENGTH: usize = 100;

#[derive(Clone, Copy, Debug)]
enum Chain {
    Add,
    Multiply,
    Tanh,
    Matmul,
}

impl<T: Element> Function<T> for Chain {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let (start, step) = (x[0], x[1].detach());
        let end = (0..LENGTH).fold(start, |x, _| match self {
            Self::Add => x + step,
            Self::Multiply => x * step,
            Self::Tanh => x.tanh(),
            Self::Matmul => x.matmul(step),
        });
        end.sum()
    }
}

fn chains(c: &mut Criterion) {
    for (chain, shape) in [
        (Chain::Add, Shape::SCALAR),
        (Chain::Multiply, Shape::SCALAR),
        (Chain::Tanh, Shape::SCALAR),
        (Chain::Matmul, Shape::SCALAR),
        (Chain::Add, Shape::new(10, 40)),
        (Chain::Multiply, Shape::new(10, 40)),
        (Chain::Tanh, Shape::new(10, 40)),
    ] {
        let mut group = c.benchmark_group(format!("{chain:?} {shape} x{LENGTH}"));
        let shapes = [shape; 2];
        let x = vec![0.9; 2 * shape.len()];
        let mut gradient = x.clone();
        let mut workspace = Workspace::new();
        group.bench_function(BenchmarkId::from_parameter("value"), |b| {
            b.iter(|| workspace.value(&chain, &shapes, black_box(&x), &mut [0.0]));
        });
        group.bench_function(BenchmarkId::from_parameter("gradient"), |b| {
            b.iter(|| workspace.gradient(&chain, &shapes, black_box(&x), &mut gradient));
        });
        group.finish();
    }
}

criterion_group!(benches, chains);
criterion_main!(benches);
