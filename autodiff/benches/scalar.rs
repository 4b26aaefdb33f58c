//! Workloads T1 to T5 of the peer comparison on the scalar tape: values, gradients on a warm tape and on a new one, and
//! Hessian-vector products, by plain operators and by fused statements; then what a small gradient costs. Bytes an
//! elementary operation are printed. `benches/tapes.py` runs this beside other tapes.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use hypertape_autodiff::scalar::{Dual, Tape};
use support::workloads::{Bundle, Mixture, Product, Rosenbrock, Unrolled, Work, direction};

fn work<W: Work>(c: &mut Criterion, work: &W, second: bool) {
    let (x, n) = (work.x(), work.x().len());
    let mut g = vec![0.0; n];
    let mut group = c.benchmark_group(W::NAME);
    // One pass a sample, so that the fastest is one that nothing interrupted.
    group.sampling_mode(SamplingMode::Flat).sample_size(200);
    group.measurement_time(Duration::from_millis(200));
    for (form, fused) in [("plain", false), ("fused", true)] {
        group.bench_function(format!("value-{form}"), |b| {
            b.iter(|| work.eval::<f64>(black_box(x), fused));
        });
        let mut tape = Tape::<f64>::new();
        group.bench_function(format!("gradient-{form}"), |b| {
            b.iter(|| tape.gradient(|x| work.eval(x, fused), black_box(x), &mut g));
        });
        let bytes = tape.used() as f64 / work.operations();
        if bytes > 0.0 {
            println!("{} {form}: {bytes:.1} bytes an elementary operation", W::NAME);
        }
        drop(tape);
        group.bench_function(format!("cold-{form}"), |b| {
            let pass = |tape: &mut Tape<f64>| tape.gradient(|x| work.eval(x, fused), x, &mut g);
            b.iter_batched_ref(Tape::new, pass, BatchSize::PerIteration);
        });
        if second {
            let v: Vec<f64> = (0..n).map(direction).collect();
            let mut h = vec![0.0; n];
            let mut tape = Tape::<Dual<f64>>::new();
            group.bench_function(format!("hvp-{form}"), |b| {
                b.iter(|| tape.hvp(|x| work.eval(x, fused), black_box(x), &v, &mut g, &mut h));
            });
        }
    }
    group.finish();
}

fn workloads(c: &mut Criterion) {
    work(c, &Product::new(), false);
    work(c, &Rosenbrock::new(100_000), true);
    work(c, &Mixture::new(), true);
    work(c, &Bundle::new(), false);
    work(c, &Unrolled::new(), false);
}

fn small(c: &mut Criterion) {
    let (work, mut tape, mut g) = (Rosenbrock::new(4), Tape::<f64>::new(), [0.0; 4]);
    let mut group = c.benchmark_group("small");
    group.bench_function("rosenbrock-4", |b| {
        b.iter(|| tape.gradient(|x| work.eval(x, false), black_box(work.x()), &mut g));
    });
    // A pass without arguments and results: what a tape takes to start and reset.
    group.bench_function("start", |b| {
        b.iter(|| tape.vjp(|_, _| {}, black_box(&[]), &mut [], &[], &mut []));
    });
    group.bench_function("identity", |b| {
        b.iter(|| tape.gradient(|x| x[0], black_box(&work.x()[..1]), &mut g[..1]));
    });
    group.finish();
}

criterion_group!(benches, workloads, small);
criterion_main!(benches);
