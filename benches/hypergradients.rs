//! One gradient, one Hessian-vector product and whole exact hypergradients of the peer workloads.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hypertape::problems::{Cleaning, Penalised};
use hypertape::{
    Array, Bilevel, Draw, Element, Estimator, Exact, Function, InnerLoop, Level, Oracle, Rows,
    Workspace, solve,
};

/// The inner loss at the first outer point, as a function of `w` and `x`.
struct Inner<P>(P);

impl<T: Element, P: Bilevel<T>> Function<T> for Inner<P> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, at: &[A]) -> A {
        let (w, x) = at.split_at(1);
        self.0.inner(w, x, Draw::new(0, 0), Rows::all(self.0.samples(Level::Inner)))
    }
}

fn workload<P: Bilevel<f64> + 'static>(
    c: &mut Criterion,
    name: &str,
    make: fn(u64) -> P,
    (seed, steps, lr): (u64, usize, f64),
) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10);

    let mut oracle = Oracle::new(make(seed)).expect("the workload is well formed");
    let inner = InnerLoop::new(steps, lr).expect("a positive step");
    let x = oracle.start().values().to_vec();
    let (draw, mut w, mut gradient) = (Draw::new(0, 0), Vec::new(), vec![0.0; x.len()]);
    group.bench_function("inner loop", |b| {
        b.iter(|| solve(&mut oracle, &inner, black_box(&x), draw, &mut w));
    });
    let mut exact = Exact::default();
    group.bench_function("exact", |b| {
        b.iter(|| exact.estimate(&mut oracle, &inner, black_box(&x), draw, &mut gradient));
    });

    let f = Inner(make(seed));
    let shapes = [oracle.inner_start().shapes()[0], oracle.start().shapes()[0]];
    let at = [oracle.inner_start().values(), &x].concat();
    let (mut g, mut h) = (vec![0.0; at.len()], vec![0.0; at.len()]);
    let mut workspace = Workspace::new();
    group.bench_function("gradient", |b| {
        b.iter(|| workspace.gradient(&f, &shapes, black_box(&at), &mut g));
    });
    group.bench_function("hvp", |b| {
        b.iter(|| workspace.hvp(&f, &shapes, black_box(&at), &at, &mut g, &mut h));
    });
    group.finish();
}

fn workloads(c: &mut Criterion) {
    workload(c, "w1-ridge", Penalised::<f64>::ridge, (1, 100, 0.5));
    workload(c, "w1-logreg", Penalised::<f64>::logistic, (1, 100, 1.0));
    workload(c, "w2", Cleaning::<f64>::workload, (2, 50, 0.1));
}

criterion_group!(benches, workloads);
criterion_main!(benches);
