//! Every scalar operation with variables and constants in each position, in every type: forward mode against
//! differences of eighth order, the tape against forward mode, second derivatives against differences of first ones.

use hypertape_autodiff::Element;
use hypertape_autodiff::scalar::{Dual, Float, Real, Scalar, Tape, Var};

/// A function of two numbers, over every `Real`; `c` makes constants from plain floats.
macro_rules! cases {
    ($($name:ident: |$a:ident, $b:ident, $c:ident| $body:expr;)*) => {
        #[derive(Clone, Copy, Debug)]
        #[expect(non_camel_case_types, reason = "named like the operations")]
        enum Case { $($name),* }
        const ALL: &[Case] = &[$(Case::$name),*];
        impl Case {
            fn eval<F: Element + Scalar<Plain = F>, R: Real<F>>(self, a: R, b: R) -> R {
                match self {
                    $(Self::$name => {
                        let body = |$a: R, $b: R, $c: fn(f64) -> F| -> R { $body };
                        body(a, b, <F as Element>::from_f64)
                    })*
                }
            }
        }
    };
}

cases! {
    add: |a, b, _c| a + b;
    sub: |a, b, _c| a - b;
    mul: |a, b, _c| a * b;
    div: |a, b, _c| a / b;
    rem: |a, b, c| (a + c(2.0)) % b;
    same: |a, b, _c| a * a - b / b.neg() + (a + a) * b;
    neg: |a, b, _c| -a * b;
    assign: |a, b, c| {
        let mut x = a;
        x += b;
        x *= a;
        x -= c(0.3);
        x /= b;
        x *= c(1.5);
        x
    };
    plain: |a, b, c| ((a + c(0.7)) * c(3.0) - c(0.2)) / c(1.1) * b;
    powf: |a, b, _c| a.powf(b);
    log: |a, b, c| a.log(b + c(1.0));
    hypot: |a, b, _c| a.hypot(b);
    atan2: |a, b, _c| a.atan2(b);
    max: |a, b, _c| (a * b).max(a);
    min: |a, b, _c| (a * b).min(a);
    abs_sub: |a, b, _c| a.abs_sub(b);
    mul_add: |a, b, _c| a.mul_add(b, a) + b.mul_add(a, a * b);
    add_product: |a, b, _c| (a * b).add_product(a, b).add_product(b.sin(), a.exp());
    copysign: |a, b, _c| a.copysign(-b) * b;
    steps: |a, b, c| (a * c(9.0)).floor() * b + a.round() * a + b.ceil() + a.trunc() + b.signum();
    exp: |a, b, _c| a.exp() * b;
    exp2: |a, b, _c| a.exp2() * b;
    exp_m1: |a, b, _c| a.exp_m1() * b;
    ln: |a, b, _c| a.ln() * b;
    ln_1p: |a, b, _c| a.ln_1p() * b;
    log2: |a, b, _c| a.log2() * b;
    log10: |a, b, _c| a.log10() * b;
    sin: |a, b, _c| a.sin() * b;
    cos: |a, b, _c| a.cos() * b;
    tan: |a, b, _c| a.tan() * b;
    sin_cos: |a, b, _c| a.sin_cos().0 * b + b.sin_cos().1;
    asin: |a, b, _c| a.asin() * b;
    acos: |a, b, _c| a.acos() * b;
    atan: |a, b, _c| a.atan() * b;
    sinh: |a, b, _c| a.sinh() * b;
    cosh: |a, b, _c| a.cosh() * b;
    tanh: |a, b, _c| a.tanh() * b;
    asinh: |a, b, _c| a.asinh() * b;
    acosh: |a, b, c| (a + c(1.0)).acosh() * b;
    atanh: |a, b, _c| a.atanh() * b;
    recip: |a, b, _c| a.recip() * b;
    sqrt: |a, b, _c| a.sqrt() * b;
    cbrt: |a, b, _c| a.cbrt() * b;
    powi: |a, b, _c| a.powi(3) * b.powi(-2) + a.powi(0) + b.powi(1);
    power: |a, b, c| a.power(c(0.3)) * b.power(c(-1.5)) + a.power(c(2.0));
    square: |a, b, _c| a.square() * b;
    abs: |a, b, _c| (-a).abs() * b;
    relu: |a, b, _c| a.relu() * b + (-a).relu();
    fract: |a, b, c| (a * c(3.0)).fract() * b;
    sigmoid: |a, b, _c| a.sigmoid() * b;
    softplus: |a, b, _c| a.softplus() * b;
    sum: |a, b, _c| [a, b, a * b, a].into_iter().sum();
    sum_of: |a, b, _c| R::sum_of(&[a, b, a * b, a.sin(), b]) * R::sum_of(&[a]) + R::sum_of(&[]);
    dot: |a, b, _c| R::dot(&[a, b, a * b], &[b, b, a.exp()]) + R::dot(&[a], &[a]);
    linear: |a, b, c| R::linear(&[c(2.0), c(-3.0), c(0.5)], &[a, a * b, b]).sin();
    logsumexp: |a, b, c| R::logsumexp(&[a, a * b * c(30.0), b]) * a;
    fuse: |a, b, c| {
        let [y, z] = R::fuse([a, b, a * b], |[x, y, z]| [x.sin() * y + z * z / x, z.exp() * c(0.1)]);
        y * z
    };
}

const A: f64 = 0.6;
const B: f64 = 0.4;

/// Derivative at 0 by central differences of eighth order; truncation and rounding are about 1e-13 here.
fn slope(f: impl Fn(f64) -> f64) -> f64 {
    let h = 0.004;
    let weights = [(1.0, 4.0 / 5.0), (2.0, -1.0 / 5.0), (3.0, 4.0 / 105.0), (4.0, -1.0 / 280.0)];
    weights.iter().map(|(k, w)| w * (f(k * h) - f(-k * h))).sum::<f64>() / h
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str, case: Case) {
    let gap = (found - expected).abs() / expected.abs().max(1.0);
    assert!(gap <= tolerance, "{case:?}, {what}: {found} against {expected}, {gap:e}");
}

/// Value and both partials by forward mode.
fn forward<F: Element + Scalar<Plain = F>>(case: Case, a: f64, b: f64) -> [f64; 3] {
    let [a, b] = [a, b].map(<F as Element>::from_f64);
    let y = case.eval::<F, _>(Dual::<F, 2>::variable(a, 0), Dual::variable(b, 1));
    let [by_a, by_b] = y.tangents();
    [y.value(), by_a, by_b].map(Element::as_f64)
}

/// The same by reverse mode, with constants in the positions that are not `active`.
fn reverse<F: Element + Scalar<Plain = F>>(case: Case, active: [bool; 2]) -> [f64; 3] {
    let x = [A, B].map(<F as Element>::from_f64);
    let mut gradient = [F::zero(); 2];
    let value = Tape::new().gradient(|x| eval(case, x, active), &x, &mut gradient).unwrap();
    [value, gradient[0], gradient[1]].map(Element::as_f64)
}

fn eval<'t, T: Scalar>(case: Case, x: &[Var<'t, T>], active: [bool; 2]) -> Var<'t, T>
where
    T::Plain: Scalar<Plain = T::Plain>,
{
    let [a, b] = [0, 1].map(|i| if active[i] { x[i] } else { x[i].value().into() });
    case.eval::<T::Plain, _>(a, b)
}

const ACTIVE: [[bool; 2]; 4] = [[true, true], [true, false], [false, true], [false, false]];

#[test]
fn forward_mode_agrees_with_differences_and_the_tape_with_it() {
    for &case in ALL {
        let [value, by_a, by_b] = forward::<f64>(case, A, B);
        let plain = |a: f64, b: f64| case.eval::<f64, f64>(a, b);
        // The values have the same bits; differences deviate by up to 4e-13.
        close(value, plain(A, B), 0.0, "value", case);
        close(by_a, slope(|h| plain(A + h, B)), 2e-11, "by a", case);
        close(by_b, slope(|h| plain(A, B + h)), 2e-11, "by b", case);
        let one = |case: Case, a: Dual<f64>, b: Dual<f64>| case.eval::<f64, _>(a, b).tangents()[0];
        let (a, b) = (Dual::new(A, [1.0]), Dual::new(B, [1.0]));
        close(one(case, a, Scalar::constant(B)), by_a, 0.0, "a alone", case);
        close(one(case, Scalar::constant(A), b), by_b, 0.0, "b alone", case);
        for active in ACTIVE {
            let [y, a_bar, b_bar] = reverse::<f64>(case, active);
            let expected = |on: bool, slope: f64| if on { slope } else { 0.0 };
            // A few roundings in another order, observed up to 3e-16.
            close(y, value, 0.0, "value on the tape", case);
            close(a_bar, expected(active[0], by_a), 1e-14, "adjoint of a", case);
            close(b_bar, expected(active[1], by_b), 1e-14, "adjoint of b", case);
        }
    }
}

#[test]
fn single_precision_agrees_with_double() {
    for &case in ALL {
        let expected = forward::<f64>(case, A, B);
        let [forward, reverse] = [forward::<f32>(case, A, B), reverse::<f32>(case, [true; 2])];
        for k in 0..3 {
            // Rounding is 6e-8, and arguments are rounded as well. Observed up to 2e-7.
            close(forward[k], expected[k], 1e-5, "f32 forward", case);
            close(reverse[k], expected[k], 1e-5, "f32 reverse", case);
        }
    }
}

#[test]
fn second_derivatives_agree_with_differences_of_first_ones() {
    for &case in ALL {
        let by_a = |k: usize| slope(|h| forward::<f64>(case, A + h, B)[1 + k]);
        let by_b = slope(|h| forward::<f64>(case, A, B + h)[2]);
        let expected = [by_a(0), by_a(1), by_a(1), by_b];
        let seed = |x: f64, k: usize| Dual::<_, 2>::variable(Dual::<f64, 2>::variable(x, k), k);
        let y = case.eval::<f64, _>(seed(A, 0), seed(B, 1));
        let nested = y.tangents().map(Dual::tangents).concat();
        for active in ACTIVE {
            let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 4]);
            Tape::<Dual<f64, 2>>::new()
                .hessian(|x| eval(case, x, active), &[A, B], &mut gradient, &mut hessian)
                .unwrap();
            for k in 0..4 {
                // Positions that are not active are detached from the tape, but keep their tangents.
                let of = |h: f64| if active[k / 2] { h } else { 0.0 };
                // Observed up to 2e-12 and 2e-14.
                close(nested[k], expected[k], 1e-10, "nested forward", case);
                close(hessian[k], of(nested[k]), 1e-12, "forward over reverse", case);
            }
        }
    }
}

/// Expressions with a plain float on the left, which generic code cannot write.
macro_rules! left {
    ($name:ident, $x:ident: $expression:expr) => {
        let forward = {
            let $x = Dual::<f64>::new(A, [1.0]);
            $expression
        };
        let slope = slope(|h| {
            let $x = A + h;
            $expression
        });
        let nested = {
            let $x = Dual::<_>::new(Dual::<f64>::new(A, [1.0]), [Dual::new(1.0, [0.0])]);
            $expression
        };
        let (mut g, mut product) = ([0.0], [0.0]);
        let f = Tape::new()
            .gradient(
                |v| {
                    let $x = v[0];
                    $expression
                },
                &[A],
                &mut g,
            )
            .unwrap();
        assert_eq!((f, g), (forward.value(), forward.tangents()), stringify!($name));
        assert!((g[0] - slope).abs() < 2e-11, stringify!($name));
        Tape::new()
            .hvp(
                |v| {
                    let $x = v[0];
                    $expression
                },
                &[A],
                &[1.0],
                &mut g,
                &mut product,
            )
            .unwrap();
        assert_eq!(product, nested.tangents()[0].tangents(), stringify!($name));
    };
}

#[test]
fn plain_floats_on_the_left() {
    left!(add, x: 2.5 + x);
    left!(sub, x: 2.5 - x);
    left!(mul, x: 2.5 * x);
    left!(div, x: 2.5 / x);
    let x = Dual::<f32>::new(0.5, [1.0]);
    assert_eq!((3.0 / x).tangents(), [-12.0]);
    assert_eq!((3.0 - x * 2.0).tangents(), [-2.0]);
}
