//! Workloads T1 to T5 of the peer comparison on the scalar tape: values, gradients on a warm tape and on a new one, and
//! Hessian-vector products, by plain operators and by fused statements; then the cost of a small gradient, and single
//! statements in both forms. Bytes per elementary operation are printed. `benches/tapes.py` runs this and other tapes.

#[path = "../tests/support/mod.rs"]
mod support;

use std::array::from_fn;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, criterion_group, criterion_main};
use hypertape_autodiff::scalar::{Dual, Real, Scalar, Tape};
use support::workloads::{Bundle, Mixture, Product, Rosenbrock, Unrolled, Work, direction};

fn work<W: Work>(c: &mut Criterion, work: &W, second: bool) {
    let (x, n) = (work.x(), work.x().len());
    let mut g = vec![0.0; n];
    let mut group = c.benchmark_group(W::NAME);
    // One pass per sample, so that the fastest sample is one without interruptions.
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
    // A pass without arguments and results: the time that a tape takes to start and reset.
    group.bench_function("start", |b| {
        b.iter(|| tape.vjp(|_, _| {}, black_box(&[]), &mut [], &[], &mut []));
    });
    group.bench_function("identity", |b| {
        b.iter(|| tape.gradient(|x| x[0], black_box(&work.x()[..1]), &mut g[..1]));
    });
    group.finish();
}

/// Sums of a hundred thousand statements, by plain operators and by `fuse`, to find the numbers of operations and
/// arguments from which fusing pays.
fn statements(c: &mut Criterion) {
    const COUNT: usize = 100_000;
    let x: Vec<f64> = (0..COUNT + 4).map(|i| 1.0 + 1e-9 * i as f64).collect();
    let (mut tape, mut g) = (Tape::<f64>::new(), vec![0.0; x.len()]);
    let mut group = c.benchmark_group("statements");
    group.sampling_mode(SamplingMode::Flat).measurement_time(Duration::from_millis(500));
    macro_rules! statements {
        ($($operations:literal of $arguments:literal: [$($a:ident),*] $f:expr;)*) => {$({
            fn of<R: Real>([$($a),*]: [R; $arguments]) -> R {
                $f
            }
            let name = concat!($operations, " of ", $arguments);
            group.bench_function(format!("{name}-plain"), |b| {
                b.iter(|| {
                    tape.gradient(
                        |x| (0..COUNT).map(|i| of(from_fn(|k| x[i + k]))).sum(),
                        black_box(&x),
                        &mut g,
                    )
                });
            });
            group.bench_function(format!("{name}-fused"), |b| {
                b.iter(|| {
                    tape.gradient(
                        |x| {
                            let fused = |i| Scalar::fuse(from_fn(|k| x[i + k]), |x| [of(x)])[0];
                            (0..COUNT).map(fused).sum()
                        },
                        black_box(&x),
                        &mut g,
                    )
                });
            });
        })*};
    }
    statements! {
        1 of 2: [a, b] a * b;
        2 of 2: [a, b] a * b + a;
        4 of 2: [a, b] (a * b + a) * b - a;
        2 of 3: [a, b, c] a * b + c;
        4 of 3: [a, b, c] (a * b + c) * a - b;
        8 of 3: [a, b, c] ((a * b + c) * a - b) * c / a + b * c;
        3 of 4: [a, b, c, d] a * b + c * d;
        8 of 4: [a, b, c, d] ((a * b + c) * d - b) * c / a + b * d;
    }
    group.finish();
}

criterion_group!(benches, workloads, small, statements);
criterion_main!(benches);
