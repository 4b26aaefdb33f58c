//! Sparse Jacobians and Hessians compared with echidna, in one process, of functions that are written once for both:
//! the entries are asserted to be equal, then colours and minima of times are printed as the table of the crate's
//! README. From this folder:
//!
//! `RUSTFLAGS="-C target-cpu=native" cargo run --release [N]`
//!
//! `first` goes from the function to the entries: recording, pattern, colouring, entries. `again` is the entries at
//! another point, with what the first call found; echidna evaluates the tape that it kept, hypertape the function, so
//! its branches may differ. For `first` the faster of echidna's drivers counts, with one or with four colours per
//! sweep; `again` has a driver with one colour only.

use std::collections::BTreeMap;
use std::time::Instant;

use echidna::sparse::{column_coloring, greedy_coloring, row_coloring};
use hypertape_autodiff::scalar::{Function, Pattern, Real, SparseHessian, SparseJacobian};
use num_traits::Float;

macro_rules! functions {
    ($($name:ident: |$x:ident, $y:ident| $body:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl $name {
            fn write<T: Float>($x: &[T], $y: &mut [T]) {
                $body
            }
        }
        impl Function for $name {
            fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
                Self::write(x, y);
            }
        }
        impl Both for $name {
            fn results<T: Float>(self, x: &[T], m: usize) -> Vec<T> {
                let mut y = vec![T::zero(); m];
                Self::write(x, &mut y);
                y
            }
        }
    )*};
}

trait Both: Function + Copy {
    fn results<T: Float>(self, x: &[T], m: usize) -> Vec<T>;
}

functions! {
    Band: |x, y| for i in 0..y.len() {
        let near = &x[i.saturating_sub(2)..(i + 3).min(x.len())];
        y[i] = near.iter().fold(x[i].sin(), |sum, &near| sum + near * near);
    };
    Row: |x, y| {
        let (last, rest) = y.split_last_mut().expect("a result");
        for (y, &x) in rest.iter_mut().zip(x) { *y = x.exp() * x; }
        *last = x.iter().fold(T::zero(), |sum, &x| sum + x * x);
    };
    Column: |x, y| for i in 0..y.len() { y[i] = x[i] * x[i] * x[0]; };
    Springs: |x, y| y[0] = x.windows(3).fold(T::zero(), |sum, x| {
        let (near, far) = (x[1] - x[0], x[2] - x[0]);
        sum + (near * near).exp() + far * far * far
    });
    Arrow: |x, y| y[0] = x.iter().fold(T::zero(), |sum, &x_i| sum + x_i * x_i * (x_i + x[0]));
}

/// Milliseconds of the fastest of several calls, and the result.
fn fastest<R>(mut call: impl FnMut() -> R) -> (f64, R) {
    let mut timed = || {
        let start = Instant::now();
        let result = call();
        (start.elapsed().as_secs_f64() * 1e3, result)
    };
    let mut best = timed();
    let begun = Instant::now();
    for _ in 0..200 {
        let next = timed();
        if next.0 < best.0 {
            best = next;
        }
        if begun.elapsed().as_secs() >= 2 {
            break;
        }
    }
    best
}

fn entries<'p>(pattern: &'p Pattern, values: &'p [f64]) -> BTreeMap<(u32, u32), f64> {
    let row = |i: usize| {
        let at = move |(&j, &v): (&u32, &f64)| ((i as u32, j), v);
        pattern.row(i).iter().zip(&values[pattern.range(i)]).map(at)
    };
    (0..pattern.rows()).flat_map(row).collect()
}

/// Asserts that both have the same entries up to rounding.
fn agree(ours: &BTreeMap<(u32, u32), f64>, rows: &[u32], columns: &[u32], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len(), "as many entries");
    for ((&i, &j), value) in rows.iter().zip(columns).zip(theirs) {
        let found = ours[&(i, j)];
        assert!(
            (found - value).abs() <= 1e-13 * value.abs().max(1.0),
            "({i}, {j}): {found} {value}"
        );
    }
}

fn print(name: &str, entries: usize, colours: [usize; 2], times: [f64; 4]) {
    let [first, their_first, again, their_again] = times.map(|time| format!("{time:.3}"));
    let [ours, theirs] = colours;
    println!(
        "| {name} | {entries} | {ours}, {theirs} | {first} | {their_first} | {again} | {their_again} |"
    );
}

fn jacobian(name: &str, f: impl Both, x: &[f64], m: usize) {
    let (mut y, mut values) = (vec![0.0; m], Vec::new());
    let (first, mut plan) = fastest(|| {
        let mut plan = SparseJacobian::new(&f, x, m);
        values.resize(plan.pattern().len(), 0.0);
        plan.values(&f, x, &mut y, &mut values).expect("no fault");
        plan
    });
    let again = fastest(|| plan.values(&f, x, &mut y, &mut values).expect("no fault")).0;
    let record = || echidna::record_multi(|x| f.results(x, m), x).0;
    let single = fastest(|| record().sparse_jacobian(x)).0;
    let (packed, mut tape) = fastest(|| {
        let mut tape = record();
        tape.sparse_jacobian_vec::<4>(x);
        tape
    });
    let pattern = tape.detect_jacobian_sparsity();
    let (columns, rows) = (column_coloring(&pattern), row_coloring(&pattern));
    let forward = columns.1 <= rows.1;
    let (colours, count) = if forward { columns } else { rows };
    let (their_again, (_, theirs)) =
        fastest(|| tape.sparse_jacobian_with_pattern(x, &pattern, &colours, count, forward));
    agree(&entries(plan.pattern(), &values), &pattern.rows, &pattern.cols, &theirs);
    let times = [first, single.min(packed), again, their_again];
    print(name, values.len(), [plan.colours(), count as usize], times);
}

fn hessian(name: &str, f: impl Both, x: &[f64]) {
    let (mut gradient, mut values) = (vec![0.0; x.len()], Vec::new());
    let (first, mut plan) = fastest(|| {
        let mut plan = SparseHessian::new(&f, x);
        values.resize(plan.pattern().len(), 0.0);
        plan.values(&f, x, &mut gradient, &mut values).expect("no fault");
        plan
    });
    let again = fastest(|| plan.values(&f, x, &mut gradient, &mut values).expect("no fault")).0;
    let record = || echidna::record(|x| f.results(x, 1)[0], x).0;
    let single = fastest(|| record().sparse_hessian(x)).0;
    let packed = fastest(|| record().sparse_hessian_vec::<4>(x)).0;
    let tape = record();
    let pattern = tape.detect_sparsity();
    let (colours, count) = greedy_coloring(&pattern);
    let (their_again, (_, _, theirs)) =
        fastest(|| tape.sparse_hessian_with_pattern(x, &pattern, &colours, count));
    let mut lower = entries(plan.pattern(), &values);
    lower.retain(|&(i, j), _| j <= i);
    agree(&lower, &pattern.rows, &pattern.cols, &theirs);
    let times = [first, single.min(packed), again, their_again];
    print(name, values.len(), [plan.colours(), count as usize], times);
}

fn main() {
    let n = std::env::args().nth(1).map_or(1000, |n| n.parse().expect("a number of arguments"));
    let x: Vec<f64> = (0..n).map(|i| ((i + 1) as f64 * 1.7).sin()).collect();
    println!("n = {n}; milliseconds, minima; colours: hypertape, echidna\n");
    println!("| | entries | colours | first | echidna | again | echidna |");
    println!("|---|---|---|---|---|---|---|");
    jacobian("Jacobian, band of 5", Band, &x, n);
    jacobian("Jacobian, diagonal and row", Row, &x, n + 1);
    jacobian("Jacobian, diagonal and column", Column, &x, n);
    hessian("Hessian, band of 5", Springs, &x);
    hessian("Hessian, arrow", Arrow, &x);
}
