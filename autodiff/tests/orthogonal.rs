//! Least squares and symmetric eigenvalues: values compared with formulas, derivatives with those of equivalent
//! functions that do not use them, in every mode; repeated eigenvalues; matrices that cannot be factored.

#[path = "support/reverse.rs"]
mod reverse;

use std::f64::consts::PI;

use hypertape_autodiff::{
    Arena, Array, Element, Fault, Function, Method, Operations, Shape, Tensor, Workspace, check,
};
use reverse::reverse_over_reverse;

/// Numbers between -1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[track_caller]
fn close(found: &[f64], known: &[f64], tolerance: f64) {
    assert_eq!(found.len(), known.len());
    let scale = known.iter().fold(1.0_f64, |s, k| s.max(k.abs()));
    let gap = found.iter().zip(known).fold(0.0_f64, |gap, (f, k)| gap.max((f - k).abs()));
    assert!(gap <= tolerance * scale, "{gap:e} of {scale}: {found:?} {known:?}");
}

/// The matrix of second differences, `2` with `-1` beside it, has values `2 - 2 cos(k pi / (n + 1))` and vectors of
/// sines.
fn second_differences<T: Element>(n: usize, tolerance: f64) {
    let entry = |p: usize| match (p / n).abs_diff(p % n) {
        0 => 2.0,
        1 => -1.0,
        _ => 0.0,
    };
    let (arena, side) = (Arena::new(), u32::try_from(n).unwrap());
    let m: Vec<T> = (0..n * n).map(|p| T::from_f64(entry(p))).collect();
    let (values, vectors) = Tensor::new(&arena, Shape::new(side, side), &m).eigen();
    arena.status().unwrap();
    let angle = |k: usize| PI * (k + 1) as f64 / (n + 1) as f64;
    let wide = |x: &[T]| -> Vec<f64> { x.iter().map(|x| x.as_f64()).collect() };
    let known: Vec<f64> = (0..n).map(|k| 2.0 - 2.0 * angle(k).cos()).collect();
    close(&wide(values.values()), &known, tolerance);
    let length = (2.0 / (n + 1) as f64).sqrt();
    // Up to their sign, which the largest entry decides.
    let known: Vec<f64> =
        (0..n * n).map(|p| (length * ((p / n + 1) as f64 * angle(p % n)).sin()).abs()).collect();
    let found: Vec<f64> = wide(vectors.values()).iter().map(|v| v.abs()).collect();
    // Errors of vectors grow with the inverse gap, up to n^2 / 10.
    close(&found, &known, tolerance * (n * n).max(4) as f64);
    // Of several largest entries that are equal up to rounding, one is positive.
    for k in 0..n {
        let column = vectors.values().iter().skip(k).step_by(n).map(|v| v.as_f64());
        let [most, least] =
            column.fold([0.0_f64; 2], |[most, least], v| [most.max(v), least.min(v)]);
        assert!(most > -least - tolerance * (n * n) as f64, "vector {k} of {n}");
    }
}

#[test]
fn second_differences_have_cosines() {
    for n in [1, 2, 3, 8, 33] {
        // Observed up to 4e-16 and 2e-7 of the largest.
        second_differences::<f64>(n, 1e-14);
        second_differences::<f32>(n, 5e-6);
    }
    let arena = Arena::new();
    let (values, vectors) = Tensor::new(&arena, Shape::new(0, 0), &[] as &[f64]).eigen();
    assert_eq!((values.shape(), vectors.shape()), (Shape::new(0, 1), Shape::new(0, 0)));
}

#[test]
fn a_parabola_through_its_points() {
    let arena = Arena::new();
    let rows: Vec<f64> = (0..7).flat_map(|t| [1.0, f64::from(t), f64::from(t * t)]).collect();
    let a = Tensor::new(&arena, Shape::new(7, 3), &rows);
    let y: Vec<f64> =
        (0..7).flat_map(|t| [2.0 - f64::from(t) + 0.5 * f64::from(t * t), 1.0]).collect();
    let x = a.least_squares(Tensor::new(&arena, Shape::new(7, 2), &y));
    arena.status().unwrap();
    // The condition number is 60.
    close(x.values(), &[2.0, 1.0, -1.0, 0.0, 0.5, 0.0], 1e-13);
}

/// `sum w_ij (M^2)_ij + ln det M` for a matrix `M = 4 I + X + X^T`, with `eigen` or without it.
struct Spectral {
    by_eigen: bool,
}

impl Function<f64> for Spectral {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let n = x[0].shape().rows;
        let unit = x[0].scalar(4.0).broadcast_to(Shape::column(n)).to_diagonal();
        let m = x[0] + x[0].transpose() + unit;
        if !self.by_eigen {
            return x[1].dot(m.matmul(m)) + m.log_det(Method::Cholesky);
        }
        let (values, vectors) = m.eigen();
        let square =
            (vectors * values.transpose().square()).matmul_transposed(false, vectors, true);
        x[1].dot(square) + values.ln().sum()
    }
}

/// `sum w_ij X_ij^2`, with `least_squares` or with the normal equations.
struct Fit {
    by_factors: bool,
}

impl Function<f64> for Fit {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let [a, b, w] = [x[0], x[1], x[2]];
        let fit = if self.by_factors {
            a.least_squares(b)
        } else {
            let normal = a.matmul_transposed(true, a, false);
            normal.solve(a.matmul_transposed(true, b, false), Method::Cholesky)
        };
        w.dot(fit.square())
    }
}

fn agree<F: Function<f64>>(found: &F, known: &F, shapes: &[Shape], tolerance: f64) {
    let n = shapes.iter().map(|shape| shape.len()).sum();
    let (x, v) = (numbers(n, 1), numbers(n, 2));
    let mut workspace = Workspace::new();
    let mut of = |f: &F| {
        let (mut g, mut h, mut again) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let value = workspace.hvp(f, shapes, &x, &v, &mut g, &mut h).unwrap();
        assert_eq!(workspace.gradient(f, shapes, &x, &mut again).unwrap(), value);
        close(&again, &g, 1e-14);
        let (mut y, mut dy) = ([0.0], [0.0]);
        workspace.jvp(f, shapes, &x, &v, &mut y, &mut dy).unwrap();
        let slope: f64 = g.iter().zip(&v).map(|(g, v)| g * v).sum();
        close(&dy, &[slope], 1e-13);
        close(&reverse_over_reverse(f, shapes, &x, &v), &h, tolerance);
        (value, g, h)
    };
    let (found, known) = (of(found), of(known));
    close(&[found.0], &[known.0], tolerance);
    close(&found.1, &known.1, tolerance);
    close(&found.2, &known.2, tolerance);
}

#[test]
fn derivatives_are_those_without_eigenvalues() {
    for n in [1, 2, 5] {
        let shapes = [Shape::new(n, n); 2];
        // The gaps between the values are about 0.5.
        agree(&Spectral { by_eigen: true }, &Spectral { by_eigen: false }, &shapes, 1e-12);
        let x = numbers(2 * shapes[0].len(), 1);
        let f = Spectral { by_eigen: true };
        let gap = check::dot_product(&f, &shapes, &x, &numbers(x.len(), 3), &[1.0]).unwrap();
        assert!(gap < 1e-13, "{gap:e}");
    }
}

#[test]
fn derivatives_are_those_of_normal_equations() {
    let shapes = [Shape::new(6, 3), Shape::new(6, 2), Shape::new(3, 2)];
    agree(&Fit { by_factors: true }, &Fit { by_factors: false }, &shapes, 1e-12);
}

#[test]
fn where_eigenvalues_repeat() {
    /// `sum lambda^2`, whose gradient is `2 M` whatever the vectors.
    struct Squares;
    impl Function<f64> for Squares {
        fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
            x[0].eigen().0.square().sum()
        }
    }
    let (shapes, m) = ([Shape::new(3, 3)], [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 5.0]);
    let (mut workspace, mut g) = (Workspace::new(), [0.0; 9]);
    assert_eq!(workspace.gradient(&Squares, &shapes, &m, &mut g), Ok(33.0));
    assert_eq!(g, m.map(|m| 2.0 * m));
    let fault = workspace.hvp(&Squares, &shapes, &m, &m, &mut g, &mut [0.0; 9]).unwrap_err();
    assert_eq!(fault, Fault::Order { operation: "eigen at repeated eigenvalues", order: 2 });
}

#[test]
fn faults_have_their_numbers() {
    let told = |f: &dyn Fn(Tensor<f64>) -> Tensor<f64>, rows: u32, entries: &[f64]| {
        let arena = Arena::new();
        let entries = arena.copy(entries).unwrap();
        let _ = f(Tensor::new(&arena, Shape::new(rows, 2), entries));
        arena.status().unwrap_err().to_string()
    };
    let fit: &dyn Fn(Tensor<f64>) -> Tensor<f64> = &|x| x.least_squares(x.columns(0, 1));
    assert!(
        told(fit, 3, &[1.0, 2.0, 2.0, 4.0, 3.0, 6.0]).starts_with("least_squares: pivot 1 is ")
    );
    assert_eq!(
        told(fit, 2, &[0.0, 1.0, 0.0, 1.0]),
        "least_squares: pivot 0 is 0, expected a finite one other than 0"
    );
    assert_eq!(told(fit, 1, &[1.0, 2.0]), "least_squares: shapes 1x2 and 1x1 do not match");
    let values: &dyn Fn(Tensor<f64>) -> Tensor<f64> = &|x| x.eigen().0;
    assert_eq!(told(values, 3, &[0.0; 6]), "eigen: shape 3x2, expected a square matrix");
    assert_eq!(
        told(values, 2, &[1.0, 2.0, 3.0, 4.0]),
        "eigen: entries (1, 0) and (0, 1) are 3 and 2, expected a symmetric matrix"
    );
    assert!(told(values, 2, &[f64::NAN, 0.0, 0.0, 1.0]).starts_with("eigen: no convergence in"));
}

#[test]
fn entries_of_every_size_count() {
    // Subnormal entries, which have 13 digits here, and entries whose squares underflow or overflow.
    for (scale, tolerance) in [(1e-310, 1e-12), (1e-200, 1e-15), (1e300, 1e-15)] {
        let arena = Arena::new();
        let of = |shape, data: &[f64]| {
            let data: Vec<f64> = data.iter().map(|v| v * scale).collect();
            Tensor::new(&arena, shape, arena.copy(&data).unwrap())
        };
        let x = of(Shape::column(2), &[1.0, 1.0]).least_squares(of(Shape::column(2), &[1.0, 3.0]));
        close(x.values(), &[2.0], tolerance);
        let m = of(Shape::new(3, 3), &[2.0, -1.0, 0.5, -1.0, 2.0, -1.0, 0.5, -1.0, 2.0]);
        let values: Vec<f64> = m.eigen().0.values().iter().map(|v| v / scale).collect();
        // 1.5 has the eigenvector (1, 0, -1), and the other eigenvalues solve t^2 - 4.5 t + 3 = 0.
        let root = 33.0_f64.sqrt();
        close(&values, &[2.25 - root / 4.0, 1.5, 2.25 + root / 4.0], tolerance);
        arena.status().unwrap();
    }
}
