//! Sparse Jacobians and Hessians have the entries of dense ones, and their cost is that of the number of colours.

use std::sync::atomic::{AtomicUsize, Ordering};

use hypertape_autodiff::scalar::{
    Dual, Function, Pattern, Real, SparseHessian, SparseJacobian, Tangents, Tape, fixed_point,
    solve,
};
use hypertape_autodiff::{Fault, Method, StopRule};

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident: |$x:ident, $y:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        struct $name(AtomicUsize);
        impl Function for $name {
            fn eval<R: Real>(&self, $x: &[R], $y: &mut [R]) {
                self.0.fetch_add(1, Ordering::Relaxed);
                $body
            }
        }
        impl Counted for $name {
            fn calls(&self) -> usize {
                self.0.swap(0, Ordering::Relaxed)
            }
        }
    )*};
}

/// A function that counts its evaluations.
trait Counted: Function {
    fn calls(&self) -> usize;
}

functions! {
    /// Each `y_i` depends on five neighbours.
    Band: |x, y| for i in 0..y.len() {
        let near = i.saturating_sub(2)..(i + 3).min(x.len());
        y[i] = x[near].iter().fold(x[i].exp(), |sum, &x| sum + x * (i as f64));
    };
    /// A diagonal and a dense last row.
    Row: |x, y| {
        for i in 0..y.len() - 1 { y[i] = x[i].sin() * 2.0; }
        y[y.len() - 1] = R::dot(x, x);
    };
    /// A diagonal and a dense first column.
    Column: |x, y| for i in 0..y.len() { y[i] = x[i].square() * x[0] + x[0]; };
    /// Many results along one chain, which they all share.
    Path: |x, y| {
        let mut state = R::constant(1.0);
        for (i, y) in y.iter_mut().enumerate() {
            state = (state * x[i % x.len()]).sin();
            *y = state;
        }
    };
    /// Single arguments, alternating with products of two.
    Picked: |x, y| for i in 0..y.len() {
        y[i] = if i % 2 == 0 { x[i / 2 % 60] } else { x[0] * x[i % x.len()] };
    };
    /// One argument for each pair of results.
    Meetings: |x, y| {
        let m = y.len();
        y.fill(R::constant(0.0));
        for (&x, (i, j)) in x.iter().zip((0..m).flat_map(|i| (0..i).map(move |j| (i, j)))) {
            y[i] += x;
            y[j] -= x * 2.0;
        }
    };
    /// Springs between neighbours.
    Springs: |x, y| y[0] = R::sum_of(&x.windows(2).map(|x| (x[1] - x[0]).powi(4) + x[0].exp()).collect::<Vec<_>>());
    /// Products of all arguments with `x_0`, with the fused dot product.
    Arrow: |x, y| y[0] = R::dot(x, x) + x[1..].iter().fold(R::constant(0.0), |sum, &x_i| sum.add_product(x_i.square(), x[0]));
    /// A `logsumexp` over each block of four, and a linear part.
    Blocks: |x, y| y[0] = x.chunks(4).fold(R::sum_of(x), |sum, x| sum + R::logsumexp(x));
    /// Quotients, powers and norms of pairs.
    Pairs: |x, y| y[0] = x.chunks(3).fold(x[0] * 0.5, |sum, x| {
        sum + x[0] / (x[1] + 3.0) + (x[1] + 3.0).powf(x[2]) + x[2].hypot(x[0] + 4.0) + R::constant(2.0) / (x[0] + 3.0)
    });
}

/// Numbers without a pattern between -1 and 1.
fn point(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i + 1) as f64 * 1.7).sin()).collect()
}

/// The dense matrix of the entries in a pattern.
fn dense(pattern: &Pattern, values: &[f64]) -> Vec<f64> {
    let mut dense = vec![0.0; pattern.rows() * pattern.cols()];
    for i in 0..pattern.rows() {
        for (&j, &v) in pattern.row(i).iter().zip(&values[pattern.range(i)]) {
            dense[i * pattern.cols() + j as usize] = v;
        }
    }
    dense
}

/// Checks that a sparse Jacobian equals the dense one; returns its numbers of colours, entries and evaluations.
fn jacobian<F: Counted>(f: &F, n: usize, m: usize) -> [usize; 3] {
    let x = point(n);
    let mut sparse = SparseJacobian::new(f, &x, m);
    let (mut y, mut values) = (vec![0.0; m], vec![f64::NAN; sparse.pattern().len()]);
    f.calls();
    sparse.values(f, &x, &mut y, &mut values).unwrap();
    let calls = f.calls();
    let (mut y0, mut expected) = (vec![0.0; m], vec![0.0; m * n]);
    Tangents::<f64, 4>::new().jacobian(|x, y| f.eval(x, y), &x, &mut y0, &mut expected).unwrap();
    assert_eq!(y, y0);
    let found = dense(sparse.pattern(), &values);
    for (f, e) in found.iter().zip(&expected) {
        // The same products in another order.
        assert!((f - e).abs() <= 4e-16 * e.abs(), "{f} {e}");
    }
    [sparse.colours(), sparse.pattern().len(), calls]
}

#[test]
fn jacobians_equal_dense_ones_and_cost_their_colours() {
    // Five colours take two passes of four. A diagonal with a dense row or column takes one pass, in the suitable mode.
    assert_eq!(jacobian(&Band::default(), 40, 40), [5, 5 * 40 - 6, 2]);
    assert_eq!(jacobian(&Band::default(), 300, 300), [5, 5 * 300 - 6, 2]);
    assert_eq!(jacobian(&Row::default(), 100, 101), [2, 200, 1]);
    assert_eq!(jacobian(&Column::default(), 100, 100), [2, 199, 1]);
    assert_eq!(jacobian(&Picked::default(), 100, 200), [2, 300, 1]);
    // The results share so many records that forward passes from their eight arguments are cheaper.
    assert_eq!(jacobian(&Path::default(), 8, 1000), [8, 8 * 1000 - 28, 3]);
    // Each column has two entries, but no two rows can share a colour: limits are doubled until columns, an edge
    // colouring, fit.
    assert_eq!(jacobian(&Meetings::default(), 780, 40), [63, 1560, 16]);
    // A band of rows is as wide as a band of columns; a single row is a gradient.
    assert_eq!(jacobian(&Springs::default(), 100, 1), [1, 100, 1]);
}

fn single<R: Real>(f: &impl Function, x: &[R]) -> R {
    let mut y = [R::constant(0.0)];
    f.eval(x, &mut y);
    y[0]
}

/// The same for a sparse Hessian.
fn hessian<F: Counted>(f: &F, n: usize) -> [usize; 3] {
    let x = point(n);
    let mut sparse = SparseHessian::new(f, &x);
    let (mut g, mut values) = (vec![0.0; n], vec![f64::NAN; sparse.pattern().len()]);
    f.calls();
    let value = sparse.values(f, &x, &mut g, &mut values).unwrap();
    let calls = f.calls();
    let (mut g0, mut expected) = (vec![0.0; n], vec![0.0; n * n]);
    let tape = &mut Tape::<Dual<f64, 4>>::new();
    assert_eq!(value, tape.hessian(|x| single(f, x), &x, &mut g0, &mut expected).unwrap());
    assert_eq!(g, g0);
    let scale = expected.iter().fold(0.0_f64, |s, e| s.max(e.abs()));
    for (f, e) in dense(sparse.pattern(), &values).iter().zip(&expected) {
        // Sums in another order.
        assert!((f - e).abs() <= 1e-15 * scale, "{f} {e}");
    }
    [sparse.colours(), sparse.pattern().len(), calls]
}

#[test]
fn hessians_equal_dense_ones_and_cost_their_colours() {
    assert_eq!(hessian(&Springs::default(), 50), [3, 3 * 50 - 2, 1]);
    assert_eq!(hessian(&Springs::default(), 200), [3, 3 * 200 - 2, 1]);
    assert_eq!(hessian(&Arrow::default(), 100), [2, 100 + 2 * 99, 1]);
    // With four colours, the direction of the check needs a pass of its own.
    assert_eq!(hessian(&Blocks::default(), 40), [4, 160, 2]);
    assert_eq!(hessian(&Pairs::default(), 30), [3, 90, 1]);
}

/// Half of `x . H x`, with `H_ij = (i + 1)(j + 1)` where there is an edge.
struct Quadratic<'p>(&'p Pattern);
impl Function for Quadratic<'_> {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        for i in 0..5 {
            for &j in self.0.row(i) {
                y[0] += x[i] * x[j as usize] * (0.5 * ((i + 1) * (j as usize + 1)) as f64);
            }
        }
    }
}

#[test]
fn star_colourings_read_every_entry_of_every_small_graph() {
    // All graphs of five vertices.
    let edges: Vec<[usize; 2]> = (0..5).flat_map(|i| (0..i).map(move |j| [i, j])).collect();
    for graph in 0_u32..1 << edges.len() {
        let mut rows: Vec<Vec<u32>> = (0..5).map(|i| vec![i]).collect();
        for (_, &[i, j]) in edges.iter().enumerate().filter(|(k, _)| graph >> k & 1 == 1) {
            rows[i].push(u32::try_from(j).unwrap());
            rows[j].push(u32::try_from(i).unwrap());
        }
        let pattern = Pattern::new(5, rows.clone()).unwrap();
        let quadratic = Quadratic(&pattern);
        let mut sparse = SparseHessian::new(&quadratic, &[1.0; 5]);
        assert_eq!(sparse.pattern(), &pattern);
        let mut values = vec![f64::NAN; pattern.len()];
        sparse.values(&quadratic, &[1.0; 5], &mut [0.0; 5], &mut values).unwrap();
        for i in 0..5 {
            for (&j, &v) in pattern.row(i).iter().zip(&values[pattern.range(i)]) {
                assert_eq!(v, ((i + 1) * (j as usize + 1)) as f64, "{graph:b} {rows:?}");
            }
        }
    }
}

#[test]
fn functions_with_derivatives_of_their_own_couple_what_they_use() {
    /// Two systems with one unknown each, and a fixed point that depends only on `x_4`.
    struct Implicit;
    impl Function for Implicit {
        fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
            struct Half;
            impl Function for Half {
                fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
                    y[0] = x[0] * 0.5 + x[1].square();
                }
            }
            let a = solve(&x[..1], &x[1..2], Method::Lu).unwrap()[0];
            let b = solve(&x[2..3], &x[3..4], Method::Lu).unwrap()[0];
            y[0] = a + b + fixed_point(&Half, &[0.0], &x[4..], StopRule::default()).unwrap()[0];
        }
    }
    let rows = [[0, 1].as_slice(), &[0], &[2, 3], &[2], &[4]];
    let x = [2.0, 1.0, 4.0, 1.0, 3.0];
    let expected = Pattern::new(5, rows.map(<[u32]>::to_vec).to_vec()).unwrap();
    assert_eq!(Pattern::of_hessian(&Implicit, &x), expected);
    let mut sparse = SparseHessian::new(&Implicit, &x);
    let mut values = [0.0; 7];
    sparse.values(&Implicit, &x, &mut [0.0; 5], &mut values).unwrap();
    // `b / a` twice, then `2 x^2`.
    let expected = [0.25, -0.25, -0.25, 1.0 / 32.0, -1.0 / 16.0, -1.0 / 16.0, 4.0];
    for (v, e) in values.iter().zip(expected) {
        assert!((v - e).abs() < 1e-13, "{values:?}");
    }
}

#[test]
fn lengths_are_checked() {
    let (f, x) = (Springs::default(), point(5));
    let mut hessian = SparseHessian::new(&f, &x);
    let what = "the entries of the Hessian";
    let fault = Fault::Length { what, expected: 13, found: 12 };
    assert_eq!(hessian.values(&f, &x, &mut [0.0; 5], &mut [0.0; 12]), Err(fault));
    let mut jacobian = SparseJacobian::new(&f, &x, 1);
    let fault = Fault::Length { what: "the point", expected: 5, found: 4 };
    assert_eq!(jacobian.values(&f, &x[..4], &mut [0.0], &mut [0.0; 5]), Err(fault));
}

#[test]
fn known_patterns_are_checked_and_mirrored() {
    let wide = Pattern::new(2, vec![vec![2, 0]]);
    assert_eq!(wide, Err(Fault::Index { operation: "pattern", index: 2, length: 2 }));
    let row = Pattern::new(2, vec![vec![1, 0, 1]]).unwrap();
    let fault = Fault::Length { what: "the columns of a Hessian", expected: 1, found: 2 };
    assert_eq!(SparseHessian::<f64>::of(&row).err(), Some(fault));
    // One triangle of springs.
    let (f, x) = (Springs::default(), point(4));
    let upper = (0..4).map(|i| (i..4.min(i + 2)).collect()).collect();
    let mut known = SparseHessian::of(&Pattern::new(4, upper).unwrap()).unwrap();
    let mut found = SparseHessian::new(&f, &x);
    assert_eq!(known.pattern(), found.pattern());
    let mut values = [[f64::NAN; 10]; 2];
    known.values(&f, &x, &mut [0.0; 4], &mut values[0]).unwrap();
    found.values(&f, &x, &mut [0.0; 4], &mut values[1]).unwrap();
    assert_eq!(values[0], values[1]);
}
