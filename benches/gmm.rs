//! Value, gradient and Hessian-vector product of the Gaussian mixture objective, peer workload T3.

#[path = "gmm/mixture.rs"]
#[allow(dead_code, unreachable_pub, reason = "the suite uses all of it")]
mod mixture;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hypertape::Workspace;
use mixture::Gmm;

fn t3(c: &mut Criterion) {
    let gmm = Gmm::<f64>::generated([10, 25, 1000], 3).expect("sizes of the workload");
    let (x, shapes) = (gmm.start(), gmm.shapes());
    let (mut value, mut g, mut h) = ([0.0], vec![0.0; x.len()], vec![0.0; x.len()]);
    let mut workspace = Workspace::new();
    let mut group = c.benchmark_group("gmm d10 k25 n1000");
    group.bench_function("value", |b| {
        b.iter(|| workspace.value(&gmm, &shapes, black_box(x), &mut value));
    });
    group.bench_function("gradient", |b| {
        b.iter(|| workspace.gradient(&gmm, &shapes, black_box(x), &mut g));
    });
    group.bench_function("hvp", |b| {
        b.iter(|| workspace.hvp(&gmm, &shapes, black_box(x), x, &mut g, &mut h));
    });
    group.finish();
}

criterion_group!(benches, t3);
criterion_main!(benches);
