//! Functions with their own derivatives: given by code, factored matrices, fixed points; on arrays and scalars, each
//! compared with a formula, an elimination or an unrolled iteration that is differentiated operation by operation.

#[path = "support/reverse.rs"]
mod reverse;

use hypertape_autodiff::scalar::{self, Real};
use hypertape_autodiff::{
    Arena, Array, Custom, Dual, Element, Factored, Fault, Function, Method, Shape, StopRule,
    Tensor, Workspace, check, fixed_point,
};
use reverse::reverse_over_reverse;

const SHAPES: [Shape; 2] = [Shape::column(2), Shape::SCALAR];
const X: [f64; 3] = [0.4, -0.7, 1.3];
const V: [f64; 3] = [1.0, 0.5, -2.0];

/// `(x_0 x_1 + tanh x_2, x_0^2 x_2)` as code, with or without second derivatives.
struct Code {
    second: bool,
}

impl Custom<f64> for Code {
    fn name(&self) -> &'static str {
        "code"
    }
    fn results(&self, _: usize) -> usize {
        2
    }
    fn value(&self, x: &[f64], y: &mut [f64]) -> Result<(), Fault> {
        y.copy_from_slice(&[x[0] * x[1] + x[2].tanh(), x[0] * x[0] * x[2]]);
        Ok(())
    }
    fn jvp(&self, x: &[f64], d: &[f64], dy: &mut [f64]) -> Result<(), Fault> {
        dy[0] = x[1] * d[0] + x[0] * d[1] + (1.0 - x[2].tanh().powi(2)) * d[2];
        dy[1] = 2.0 * x[0] * x[2] * d[0] + x[0] * x[0] * d[2];
        Ok(())
    }
    fn vjp(&self, x: &[f64], c: &[f64], x_bar: &mut [f64]) -> Result<(), Fault> {
        x_bar[0] = c[0] * x[1] + c[1] * 2.0 * x[0] * x[2];
        x_bar[1] = c[0] * x[0];
        x_bar[2] = c[0] * (1.0 - x[2].tanh().powi(2)) + c[1] * x[0] * x[0];
        Ok(())
    }
    fn hvp(&self, x: &[f64], d: &[f64], c: &[f64], x_bar: &mut [f64]) -> Result<(), Fault> {
        if !self.second {
            return Err(Fault::Order { operation: "code", order: 2 });
        }
        let t = x[2].tanh();
        x_bar[0] = c[0] * d[1] + c[1] * 2.0 * (x[2] * d[0] + x[0] * d[2]);
        x_bar[1] = c[0] * d[0];
        x_bar[2] = c[1] * 2.0 * x[0] * d[0] - c[0] * 2.0 * t * (1.0 - t * t) * d[2];
        Ok(())
    }
}

/// The same as a formula if there is no `Code`; then a nonlinear function of the result.
struct Loss(Option<Code>);

impl Function<f64> for Loss {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let y = if let Some(code) = &self.0 {
            x[0].square().stack(&[x[1]]).custom(code)
        } else {
            let [a, b] = [0, 1].map(|i| x[0].square().slice(i, Shape::SCALAR));
            (a * b + x[1].tanh()).stack(&[a.square() * x[1]])
        };
        (y.exp() * y).sum()
    }
}

fn second<F: Function<f64>>(f: &F, shapes: &[Shape], x: &[f64], v: &[f64]) -> [Vec<f64>; 2] {
    let mut out = [vec![0.0; x.len()], vec![0.0; x.len()]];
    let [gradient, product] = &mut out;
    Workspace::new().hvp(f, shapes, x, v, gradient, product).unwrap();
    out
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1.0_f64, |s, e| s.max(e.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * scale, "{found:?} {expected:?}");
    }
}

#[test]
fn code_and_formula_agree_in_every_mode() {
    let (code, formula) = (Loss(Some(Code { second: true })), Loss(None));
    let ([g, h], [g0, h0]) = (second(&code, &SHAPES, &X, &V), second(&formula, &SHAPES, &X, &V));
    // A few roundings.
    close(&g, &g0, 2e-15);
    close(&h, &h0, 2e-15);
    close(&reverse_over_reverse(&code, &SHAPES, &X, &V), &h0, 2e-15);
    let c = check::dot_product(&code, &SHAPES, &X, &V, &[1.0]).unwrap();
    assert!(c < 1e-14, "{c:e}");
}

#[test]
fn second_derivatives_that_are_not_given_are_a_fault() {
    let (first, mut g) = (Loss(Some(Code { second: false })), [0.0; 3]);
    let mut workspace = Workspace::new();
    workspace.gradient(&first, &SHAPES, &X, &mut g).unwrap();
    let fault = workspace.hvp(&first, &SHAPES, &X, &V, &mut g, &mut [0.0; 3]).unwrap_err();
    assert_eq!(fault, Fault::Order { operation: "code", order: 2 });
    assert_eq!(fault.to_string(), "code: derivatives of order 2 are not given in this mode");
    // Forward over forward mode needs products that `Custom` does not define.
    let arena = Arena::new();
    let x = Dual::<_>::new(Tensor::new(&arena, Shape::column(3), &X), [None]);
    let d = Tensor::new(&arena, Shape::column(3), &V);
    let code = Code { second: true };
    let _ = Dual::<_>::new(Dual::new(x.value(), [Some(d)]), [Some(x)]).custom(&code);
    assert_eq!(arena.status(), Err(Fault::Order { operation: "code", order: 2 }));
}

#[test]
fn code_on_scalars_is_the_formula() {
    fn loss<R: Real>(x: &[R], code: bool) -> R {
        let y = if code {
            scalar::custom(&Code { second: true }, x).unwrap()
        } else {
            vec![x[0] * x[1] + x[2].tanh(), x[0] * x[0] * x[2]]
        };
        y[0].exp() * y[1] + y[1].square()
    }
    assert_eq!(loss(&X, true), loss(&X, false));
    let (_, g, h) = scalar::hessian(|x| loss(x, true), &X).unwrap();
    let (_, g0, h0) = scalar::hessian(|x| loss(x, false), &X).unwrap();
    close(&g, &g0, 2e-15);
    close(&h, &h0, 2e-15);
}

/// All uses of a factored matrix, added to one number; the matrix is made from `x[0]` so that the method applies.
struct Uses(Method);

impl Function<f64> for Uses {
    fn eval<'a, A: Array<'a, Elem = f64>>(&'a self, x: &[A]) -> A {
        let m = if self.0 == Method::Cholesky {
            x[0].matmul_transposed(false, x[0], true)
        } else {
            x[0]
        };
        let m = Factored::new(m, self.0);
        let y = m.solve(x[1]);
        (y.exp() * x[1]).sum()
            + m.solve(y.slice(0, Shape::column(4))).square().sum()
            + m.log_det().square()
    }
}

const METHODS: [Method; 4] = [Method::Lu, Method::Cholesky, Method::Lower, Method::Upper];
const SYSTEM: [Shape; 2] = [Shape::new(4, 4), Shape::new(4, 2)];

/// Numbers without a pattern between -1 and 1.
fn numbers(n: usize, seed: f64) -> Vec<f64> {
    (0..n).map(|i| ((i + 1) as f64 * (1.7 + seed)).sin()).collect()
}

/// A well conditioned matrix that needs row exchanges, and two right-hand sides.
fn system() -> Vec<f64> {
    let mut x = numbers(24, 0.3);
    for i in 0..4 {
        x[i * 4 + (i + 1) % 4] += 1.5;
        x[i * 5] += 1.0;
    }
    x
}

#[test]
fn factored_matrices_have_right_derivatives_of_two_orders() {
    let (x, v) = (system(), numbers(24, 0.9));
    for method in METHODS {
        let f = Uses(method);
        let orders =
            check::taylor(&f, &SYSTEM, &x, &v.iter().map(|v| v * 0.1).collect::<Vec<_>>()).unwrap();
        assert!(orders.gradient > 1.95 && orders.hessian > 2.9, "{method:?} {orders:?}");
        let gap = check::central_differences(&f, &SYSTEM, &x).unwrap();
        assert!(gap < 1e-7, "{method:?} {gap:e}");
        let [_, product] = second(&f, &SYSTEM, &x, &v);
        // Rounding, times a condition below 100.
        close(&reverse_over_reverse(&f, &SYSTEM, &x, &v), &product, 1e-12);
    }
}

/// `M^-1 b` by elimination on any scalars, without exchanges.
fn eliminated<R: Real>(m: &[R], b: &[R]) -> (Vec<R>, R) {
    let n = b.len();
    let (mut a, mut y, mut log) = (m.to_vec(), b.to_vec(), R::constant(0.0));
    for k in 0..n {
        log += a[k * n + k].abs().ln();
        for i in k + 1..n {
            let l = a[i * n + k] / a[k * n + k];
            for j in k..n {
                a[i * n + j] = a[i * n + j] - l * a[k * n + j];
            }
            y[i] = y[i] - l * y[k];
        }
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            y[i] = y[i] - a[i * n + j] * y[j];
        }
        y[i] /= a[i * n + i];
    }
    (y, log)
}

/// The part of `m` that a method reads, or a symmetric matrix.
fn part<R: Real>(m: &[R], method: Method) -> Vec<R> {
    let entry = |(i, j): (usize, usize)| match method {
        Method::Lu => m[i * 3 + j],
        Method::Cholesky => R::dot(&m[i * 3..i * 3 + 3], &m[j * 3..j * 3 + 3]),
        Method::Lower if j <= i => m[i * 3 + j],
        Method::Upper if j >= i => m[i * 3 + j],
        _ => R::constant(0.0),
    };
    (0..9).map(|p| entry((p / 3, p % 3))).collect()
}

#[test]
fn scalar_systems_agree_with_elimination() {
    fn loss<R: Real>(x: &[R], method: Method, built_in: bool) -> R {
        let (m, b) = (part(&x[..9], method), &x[9..]);
        let (y, log) = if built_in {
            let y = scalar::solve(&m, b, method).unwrap();
            (y, scalar::log_det(&m, 3, method).unwrap())
        } else {
            eliminated(&m, b)
        };
        y[0].exp() + y[1] * y[2] + log.square()
    }
    let mut x = numbers(12, 0.1);
    (0..3).for_each(|i| x[i * 4] += 2.0);
    for method in METHODS {
        let (f, g, h) = scalar::hessian(|x| loss(x, method, true), &x).unwrap();
        let (f0, g0, h0) = scalar::hessian(|x| loss(x, method, false), &x).unwrap();
        // Rounding, times a condition of about 10.
        close(&[f], &[f0], 1e-14);
        close(&g, &g0, 1e-13);
        close(&h, &h0, 1e-13);
    }
}

#[test]
fn matrices_that_cannot_be_factored_are_faults_with_numbers() {
    let pivot = |operation, index, value| Fault::Pivot { operation, index, value };
    let of = |shape, method, data: &[f64]| {
        let arena = Arena::new();
        let m = Factored::new(Tensor::new(&arena, shape, data), method);
        assert!(m.log_det().shape().is_empty());
        assert!(m.solve(Tensor::new(&arena, Shape::column(2), &[1.0, 2.0])).shape().is_empty());
        arena.status().unwrap_err()
    };
    let two = Shape::new(2, 2);
    let singular = of(two, Method::Lu, &[1.0, 2.0, 2.0, 4.0]);
    assert_eq!(singular, pivot("lu", 1, 0.0));
    assert_eq!(singular.to_string(), "lu: pivot 1 is 0, expected a finite one other than 0");
    let indefinite = of(two, Method::Cholesky, &[1.0, 2.0, 2.0, 1.0]);
    assert_eq!(indefinite, pivot("cholesky", 1, -3.0));
    assert_eq!(of(two, Method::Upper, &[1.0, 9.0, 2.0, 0.0]), pivot("triangle", 1, 0.0));
    assert!(matches!(
        of(two, Method::Lu, &[1.0, 1.0, f64::NAN, 1.0]),
        Fault::Pivot { index: 0, value, .. } if value.is_nan()
    ));
    let tall = Shape::new(2, 1);
    let shape = Fault::NotSquare { operation: "lu", shape: tall };
    assert_eq!(of(tall, Method::Lu, &[1.0, 1.0]), shape);
    assert_eq!(scalar::solve(&[0.0], &[1.0], Method::Lu), Err(pivot("lu", 0, 0.0)));
    let length = Fault::Length { what: "the matrix of a system", expected: 4, found: 3 };
    assert_eq!(scalar::solve(&[1.0; 3], &[1.0; 2], Method::Lu), Err(length));
}

/// A layer `tanh(rate W w + x)`, whose iteration converges as `rate^k` or faster.
struct Layer(f64);

impl<T: Element> Function<T> for Layer {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        (w[1].matmul(w[0]) * self.0 + w[2]).tanh()
    }
}

/// A loss of the layer's fixed point, by the implicit operation or by a number of recorded steps.
struct Equilibrium {
    layer: Layer,
    ends: StopRule,
    unrolled: Option<usize>,
}

impl<T: Element> Function<T> for Equilibrium {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        let start = x[1] * 0.0;
        let w = if let Some(steps) = self.unrolled {
            (0..steps).fold(start, |w, _| self.layer.eval(&[w, x[0], x[1]]))
        } else {
            fixed_point(&self.layer, start, x, self.ends)
        };
        (w.exp() * (x[1] + 2.0)).sum()
    }
}

#[test]
fn fixed_points_equal_unrolled_iterations_in_constant_memory() {
    let shapes = [Shape::new(3, 3), Shape::column(3)];
    let (x, v) = (numbers(12, 0.7), numbers(12, 0.2));
    let mut used = Vec::new();
    for (rate, steps) in [(0.2, 40), (0.5, 120)] {
        let f = |unrolled| Equilibrium { layer: Layer(rate), ends: StopRule::default(), unrolled };
        let (implicit, unrolled) = (f(None), f(Some(steps)));
        let [g, h] = second(&implicit, &shapes, &x, &v);
        let [g0, h0] = second(&unrolled, &shapes, &x, &v);
        // The iterations end at 1e-14.
        close(&g, &g0, 1e-13);
        close(&h, &h0, 1e-13);
        close(&reverse_over_reverse(&implicit, &shapes, &x, &v), &h0, 1e-13);
        let bytes = |f: &Equilibrium| {
            let mut workspace = Workspace::new();
            workspace.gradient(f, &shapes, &x, &mut [0.0; 12]).unwrap();
            workspace.used()
        };
        used.push([bytes(&implicit), bytes(&unrolled)]);
    }
    assert_eq!(used[0][0], used[1][0]);
    assert!(used[0][1] > 10 * used[0][0] && used[1][1] > 2 * used[0][1], "{used:?}");
}

#[test]
fn iterations_that_do_not_converge_are_faults_with_numbers() {
    let ends = StopRule { max_steps: 3, tolerance: 1e-14 };
    let f = Equilibrium { layer: Layer(0.5), ends, unrolled: None };
    let shapes = [Shape::new(1, 1), Shape::SCALAR];
    let fault = Workspace::new().value(&f, &shapes, &[1.0, 0.5], &mut [0.0]).unwrap_err();
    let Fault::NotConverged { operation: "fixed_point", steps: 3, change } = fault else {
        panic!("{fault}");
    };
    // `(w_3 - w_2) / w_3` of `w <- tanh(w/2 + 1/2)`
    let w = [0, 1, 2].iter().fold([0.0_f64; 2], |[_, w], _| [w, (w / 2.0 + 0.5).tanh()]);
    assert!((change - (1.0 - w[0] / w[1])).abs() < 1e-15);
    assert!(
        fault.to_string().starts_with("fixed_point: no convergence in 3 steps, the last one is")
    );
    // An expanding layer that starts at its solution: the series of the sweep diverges.
    let f = Equilibrium { layer: Layer(2.0), ends, unrolled: None };
    let mut gradient = [0.0; 2];
    let fault = Workspace::new().gradient(&f, &shapes, &[1.0, 0.0], &mut gradient).unwrap_err();
    assert_eq!(
        fault,
        Fault::NotConverged { operation: "fixed_point, transposed", steps: 3, change: 8.0 / 15.0 }
    );
}

#[test]
fn scalar_fixed_points_equal_unrolled_iterations() {
    struct Pair;
    impl scalar::Function for Pair {
        fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
            y[0] = (x[1] * x[2]).sin() * 0.4 + x[3];
            y[1] = (x[0] * x[3]).cos() * 0.3 - x[2] * 0.2;
        }
    }
    fn unrolled<R: Real>(x: &[R]) -> Vec<R> {
        let mut w = vec![R::constant(0.0); 2];
        for _ in 0..60 {
            let all = [&w, x].concat();
            scalar::Function::eval(&Pair, &all, &mut w);
        }
        w
    }
    fn implicit<R: Real>(x: &[R]) -> Vec<R> {
        scalar::fixed_point(&Pair, &[0.0; 2], x, StopRule::default()).unwrap()
    }
    fn loss<R: Real>(w: &[R]) -> R {
        w[0].exp() * w[1]
    }
    let x = [0.8, -0.6];
    let (_, g0, h0) = scalar::hessian(|x| loss(&unrolled(x)), &x).unwrap();
    let (_, g, h) = scalar::hessian(|x| loss(&implicit(x)), &x).unwrap();
    // The iteration ends at 1e-14.
    close(&g, &g0, 1e-13);
    close(&h, &h0, 1e-13);
}
