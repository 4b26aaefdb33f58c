use hypertape_autodiff::scalar::{Float, Scalar, Tape};
use std::hint::black_box;
use std::time::Instant;
fn run(name: &str, mut f: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..60 { let s = Instant::now(); f(); best = best.min(s.elapsed().as_secs_f64()); }
    println!("{name:30} {:.2} ns", best * 1e9 / 1e5);
}
fn main() {
    let n = 100_000;
    let x: Vec<f64> = (0..n + 4).map(|i| 1.0 + 1e-9 * i as f64).collect();
    let mut g = vec![0.0; x.len()];
    let mut tape = Tape::new();
    macro_rules! case { ($name:expr, |$x:ident, $i:ident| $e:expr) => {
        run($name, || { tape.gradient(|$x| { let mut s = $x[0]; for $i in 1..=n { let t = $e; s = t; } s }, black_box(&x), &mut g).unwrap(); });
    } }
    case!("plain 1 op", |x, i| x[i] * x[i + 1]);
    case!("fuse 1 op", |x, i| Scalar::fuse([x[i], x[i + 1]], |[a, b]| [a * b])[0]);
    case!("plain 2 of 2", |x, i| x[i] * x[i + 1] + x[i]);
    case!("fuse 2 of 2", |x, i| Scalar::fuse([x[i], x[i + 1]], |[a, b]| [a * b + a])[0]);
    case!("plain 4 of 2", |x, i| (x[i] * x[i + 1] + x[i]) * x[i + 1] - x[i]);
    case!("fuse 4 of 2", |x, i| Scalar::fuse([x[i], x[i + 1]], |[a, b]| [(a * b + a) * b - a])[0]);
    case!("plain 2 of 3", |x, i| x[i] * x[i + 1] + x[i + 2]);
    case!("fuse 2 of 3", |x, i| Scalar::fuse([x[i], x[i + 1], x[i + 2]], |[a, b, c]| [a * b + c])[0]);
    case!("addp 2 of 3", |x, i| x[i + 2].add_product(x[i], x[i + 1]));
    case!("plain 4 of 3", |x, i| (x[i] * x[i + 1] + x[i + 2]) * x[i] - x[i + 1]);
    case!("fuse 4 of 3", |x, i| Scalar::fuse([x[i], x[i + 1], x[i + 2]], |[a, b, c]| [(a * b + c) * a - b])[0]);
    case!("plain 8 of 3", |x, i| ((x[i] * x[i + 1] + x[i + 2]) * x[i] - x[i + 1]) * x[i + 2] / x[i] + x[i + 1] * x[i + 2]);
    case!("fuse 8 of 3", |x, i| Scalar::fuse([x[i], x[i + 1], x[i + 2]], |[a, b, c]| [((a * b + c) * a - b) * c / a + b * c])[0]);
    case!("plain 4 of 4", |x, i| x[i] * x[i + 1] + x[i + 2] * x[i + 3]);
    case!("dot 4 of 4", |x, i| Scalar::dot(&[x[i], x[i + 2]], &[x[i + 1], x[i + 3]]));
    case!("fuse 4 of 4", |x, i| Scalar::fuse([x[i], x[i + 1], x[i + 2], x[i + 3]], |[a, b, c, d]| [a * b + c * d])[0]);
    // accumulating
    run("chain plain s*x+x", || { tape.gradient(|x| { let mut s = x[0]; for i in 1..=n { s = s * x[i] + x[i + 1]; } s }, black_box(&x), &mut g).unwrap(); });
    run("chain fuse s*x+x", || { tape.gradient(|x| { let mut s = x[0]; for i in 1..=n { [s] = Scalar::fuse([s, x[i], x[i + 1]], |[s, a, b]| [s * a + b]); } s }, black_box(&x), &mut g).unwrap(); });
    run("chain sin plain", || { tape.gradient(|x| { let mut s = x[0]; for i in 1..=n { s = (s * x[i]).sin() * s; } s }, black_box(&x), &mut g).unwrap(); });
    run("chain sin fuse", || { tape.gradient(|x| { let mut s = x[0]; for i in 1..=n { [s] = Scalar::fuse([s, x[i]], |[s, a]| [(s * a).sin() * s]); } s }, black_box(&x), &mut g).unwrap(); });
}
