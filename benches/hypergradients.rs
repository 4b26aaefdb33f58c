//! One gradient, Hessian-vector products and exact hypergradients of the peer workloads, in both precisions.
//!
//! Gradient and products are those of the inner loss with respect to `w` at the start, over all samples in one pass,
//! and for one task of `w3`; each product includes the gradient. The inner loop and the exact hypergradient of `w3` are
//! over all 25 tasks.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use hypertape::problems::generator::Stream;
use hypertape::problems::{Cleaning, Maml, Penalised, Precision};
use hypertape::{
    Array, Bilevel, Draw, Element, Estimator, Exact, Function, InnerLoop, Level, List, Oracle,
    Params, Rows, Workspace, solve,
};

/// The inner loss as a function of `w` at the first outer point.
struct Inner<T, P> {
    problem: P,
    x: Params<T>,
}

impl<T: Element, P: Bilevel<T>> Function<T> for Inner<T, P> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        let named = self.x.names().iter().zip(self.x.shapes());
        let values = |name: &str| self.x.get(name).expect("one of its own names");
        let x: List<A> = named.map(|(name, &s)| w[0].constant(s, values(name))).collect();
        let rows = Rows::all(self.problem.samples(Draw::new(0, 0).at(Level::Inner, 0)));
        self.problem.inner(w, &x, Draw::new(0, 0), rows)
    }
}

fn workload<T: Precision, P: Bilevel<T> + 'static>(
    c: &mut Criterion,
    name: &str,
    make: fn(u64) -> P,
    (seed, steps, lr): (u64, usize, f64),
) {
    let mut group = c.benchmark_group(format!("{name}/{}", T::NAME));
    group.sample_size(10);

    let mut oracle = Oracle::new(make(seed)).expect("the workload is well formed");
    let inner = InnerLoop::new(steps, lr).expect("a positive step");
    let x = oracle.start().clone();
    let (draw, mut w, mut gradient) =
        (Draw::new(0, 0), Vec::new(), vec![T::zero(); x.values().len()]);
    group.bench_function("inner loop", |b| {
        b.iter(|| solve(&mut oracle, &inner, black_box(x.values()), draw, &mut w));
    });
    let mut exact = Exact::default();
    group.bench_function("exact", |b| {
        b.iter(|| exact.estimate(&mut oracle, &inner, black_box(x.values()), draw, &mut gradient));
    });

    let (f, start) = (Inner { problem: make(seed), x }, oracle.inner_start());
    let (mut workspace, mut gradient) = (Workspace::new(), vec![T::zero(); start.values().len()]);
    group.bench_function("gradient", |b| {
        let at = black_box(start.values());
        b.iter(|| workspace.gradient(&f, start.shapes(), at, &mut gradient));
    });
    products::<1, _, _>(&mut group, &f, start);
    products::<4, _, _>(&mut group, &f, start);
    products::<8, _, _>(&mut group, &f, start);
    group.finish();
}

/// A gradient and `N` Hessian-vector products in one pass.
fn products<const N: usize, T: Element, P: Bilevel<T>>(
    group: &mut BenchmarkGroup<WallTime>,
    f: &Inner<T, P>,
    start: &Params<T>,
) {
    let n = start.values().len();
    let direction =
        |k| Stream::new(9, k as u64).gausses(n).into_iter().map(T::from_f64).collect::<Vec<T>>();
    let directions: [Vec<T>; N] = std::array::from_fn(direction);
    let mut gradient = vec![T::zero(); n];
    let mut products: [Vec<T>; N] = std::array::from_fn(|_| vec![T::zero(); n]);
    let mut workspace = Workspace::new();
    group.bench_function(format!("hvp {N}"), |b| {
        b.iter(|| {
            let v = directions.each_ref().map(|v| black_box(&v[..]));
            let out = products.each_mut().map(|p| &mut p[..]);
            workspace.hvps(f, start.shapes(), start.values(), v, &mut gradient, out)
        });
    });
}

fn workloads<T: Precision>(c: &mut Criterion) {
    workload::<T, _>(c, "w1-ridge", Penalised::ridge, (1, 100, 0.5));
    workload::<T, _>(c, "w1-logreg", Penalised::logistic, (1, 100, 1.0));
    workload::<T, _>(c, "w2", Cleaning::workload, (2, 50, 0.1));
    workload::<T, _>(c, "w3", Maml::workload, (3, 100, 0.002));
}

criterion_group!(benches, workloads::<f64>, workloads::<f32>);
criterion_main!(benches);
