//! Elementary functions and softmax of rows on 4096 entries, as users get them: through `Array`, into an arena.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hypertape_autodiff::{Arena, Array, Element, Shape, Tensor};

const LEN: u32 = 4096;

fn functions<T: Element>(c: &mut Criterion) {
    let mut group = c.benchmark_group(T::NAME);
    group.throughput(Throughput::Elements(u64::from(LEN)));
    // Spread over [0, 8) in no order.
    let x: Vec<T> = (0..LEN).map(|i| T::from_f64(f64::from(i * 1_371 % LEN) / 512.0)).collect();
    let mut arena = Arena::new();
    let mut bench = |name: String, shape: Shape, f: fn(Tensor<T>) -> Tensor<T>| {
        group.bench_function(name, |b| {
            b.iter(|| {
                arena.reset();
                black_box(f(Tensor::new(&arena, shape, black_box(&x[..shape.len()]))).values());
            });
        });
    };
    let column = Shape::column(LEN);
    bench("exp".to_owned(), column, |x| x.exp());
    bench("log1p".to_owned(), column, |x| x.ln_1p());
    bench("tanh".to_owned(), column, |x| x.tanh());
    bench("sigmoid".to_owned(), column, |x| x.sigmoid());
    bench("softplus".to_owned(), column, |x| x.softplus());
    for cols in [10, 64, 1024] {
        bench(format!("softmax/{cols}"), Shape::new(LEN / cols, cols), |x| x.softmax());
    }
    group.finish();
}

criterion_group!(benches, functions::<f32>, functions::<f64>);
criterion_main!(benches);
