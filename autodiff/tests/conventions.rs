//! The table of `conventions` in every mode: value, forward, reverse, forward over reverse and reverse over reverse
//! return the stated value at kinks, poles, `NaN` and infinities, and agree with each other.

#[path = "support/reverse.rs"]
mod reverse;

use hypertape_autodiff::conventions::{at_least, passed, power, power_or_zero, sign, step};
use hypertape_autodiff::{Array, Element, Function, Shape, Workspace};
use reverse::reverse_over_reverse;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

macro_rules! operations {
    ($($name:ident$(($parameter:ident: $type:ty))?: |$x:ident| $body:expr;)*) => {
        #[derive(Clone, Copy, Debug)]
        enum Op { $($name$(($type))?),* }
        /// The sum of each operation's result, which is a scalar.
        impl<T: Element> Function<T> for Op {
            fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
                match *self { $(Self::$name$(($parameter))? => (|$x: &[A]| $body)(x).sum()),* }
            }
        }
    };
}

operations! {
    Abs: |x| x[0].abs();
    Relu: |x| x[0].relu();
    Sqrt: |x| x[0].sqrt();
    Norm: |x| x[0].norm();
    Powf(p: f64): |x| x[0].powf(p);
    Powi(n: i32): |x| x[0].powi(n);
    Recip: |x| x[0].recip();
    Ln: |x| x[0].ln();
    Ln1p: |x| x[0].ln_1p();
    Exp: |x| x[0].exp();
    Square: |x| x[0].square();
    Sigmoid: |x| x[0].sigmoid();
    Softplus: |x| x[0].softplus();
    Tanh: |x| x[0].tanh();
    Max: |x| x[0].max(x[1]);
    Min: |x| x[0].min(x[1]);
    Divide: |x| x[0] / x[1];
    LogSumExp: |x| x[0].logsumexp();
    SoftmaxFirst: |x| x[0].softmax().slice(0, Shape::SCALAR);
    CrossEntropyFirst: |x| x[0].cross_entropy(&[0]);
    Logistic: |x| x[0].logistic_loss(x[0].scalar(1.0));
}

/// One function at one point along one direction, in every mode.
#[derive(Debug)]
struct Modes {
    value: f64,
    /// Forward mode.
    slope: f64,
    /// Reverse mode.
    gradient: Vec<f64>,
    /// Forward over reverse.
    product: Vec<f64>,
}

/// Whether the numbers are equal or both `NaN`.
fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

/// Whether the numbers are equal up to the order in which two modes multiply the same few factors.
fn all_close(a: &[f64], b: &[f64]) -> bool {
    let close = |a: f64, b: f64| same(a, b) || (a - b).abs() <= 4.0 * f64::EPSILON * a.abs();
    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b))
}

/// Evaluates `f` in every mode, and asserts that modes which compute the same thing agree.
fn modes(f: Op, shapes: &[Shape], x: &[f64], v: &[f64]) -> Modes {
    let n = x.len();
    let mut workspace = Workspace::new();
    let mut value = [0.0];
    workspace.value(&f, shapes, x, &mut value).unwrap();
    let (mut y, mut dy) = ([0.0], [0.0]);
    workspace.jvp(&f, shapes, x, v, &mut y, &mut dy).unwrap();
    assert!(same(y[0], value[0]), "{f:?} at {x:?}: JVP's value");
    let mut gradient = vec![0.0; n];
    let y = workspace.gradient(&f, shapes, x, &mut gradient).unwrap();
    assert!(same(y, value[0]), "{f:?} at {x:?}: gradient's value");
    let (mut again, mut product) = (vec![0.0; n], vec![0.0; n]);
    let y = workspace.hvp(&f, shapes, x, v, &mut again, &mut product).unwrap();
    assert!(same(y, value[0]), "{f:?} at {x:?}: value of the HVP");
    assert!(all_close(&again, &gradient), "{f:?} at {x:?}: {again:?} and {gradient:?}");
    let mut other = reverse_over_reverse(&f, shapes, x, v);
    if value[0].is_nan() {
        // As drivers do; `reverse_over_reverse` is not a driver.
        other.fill(NAN);
    }
    assert!(all_close(&other, &product), "{f:?} at {x:?}: {other:?} and {product:?}");
    Modes { value: value[0], slope: dy[0], gradient, product }
}

/// Asserts value, first and second derivative of a function of one number.
fn expect(f: Op, x: f64, value: f64, slope: f64, curvature: f64) {
    let m = modes(f, &[Shape::SCALAR], &[x], &[1.0]);
    assert!(same(m.value, value), "{f:?} at {x}: {m:?}");
    assert!(same(m.slope, slope), "{f:?} at {x}: forward {m:?}");
    assert!(same(m.gradient[0], slope), "{f:?} at {x}: reverse {m:?}");
    assert!(same(m.product[0], curvature), "{f:?} at {x}: second derivative {m:?}");
}

#[test]
fn kinks() {
    for zero in [0.0, -0.0] {
        expect(Op::Abs, zero, 0.0, 0.0, 0.0);
        expect(Op::Relu, zero, 0.0, 0.0, 0.0);
        expect(Op::Sqrt, zero, 0.0, 0.0, 0.0);
        expect(Op::Norm, zero, 0.0, 0.0, 0.0);
    }
    expect(Op::Abs, -2.0, 2.0, -1.0, 0.0);
    expect(Op::Relu, f64::MIN_POSITIVE, f64::MIN_POSITIVE, 1.0, 0.0);
    expect(Op::Sqrt, -1.0, NAN, NAN, NAN);
}

#[test]
fn norm_at_the_zero_vector() {
    let m = modes(Op::Norm, &[Shape::column(3)], &[0.0; 3], &[1.0, -2.0, 3.0]);
    assert_eq!((m.value, m.slope), (0.0, 0.0));
    assert_eq!(m.gradient, [0.0; 3]);
    // No Hessian exists there. The convention for `sqrt` makes it 0, so that an outer method can continue.
    assert_eq!(m.product, [0.0; 3]);
}

#[test]
fn powers_at_zero() {
    // value, first and second derivative
    for (p, expected) in [
        (0.0, [1.0, 0.0, 0.0]),
        (1.0, [0.0, 1.0, 0.0]),
        (2.0, [0.0, 0.0, 2.0]),
        (3.0, [0.0, 0.0, 0.0]),
        (0.5, [0.0, 0.0, 0.0]),
        (0.25, [0.0, 0.0, 0.0]),
        // The true second derivative is infinite. It contains a power between -1 and 0, which is 0 by the convention
        // for such powers.
        (1.5, [0.0, 0.0, 0.0]),
        (2.5, [0.0, 0.0, 0.0]),
        (-1.0, [INF, -INF, INF]),
        (-2.0, [INF, -INF, INF]),
        (-0.5, [INF, -INF, INF]),
    ] {
        let [value, slope, curvature] = expected;
        expect(Op::Powf(p), 0.0, value, slope, curvature);
    }
    for (n, value, slope, curvature) in
        [(0, 1.0, 0.0, 0.0), (1, 0.0, 1.0, 0.0), (2, 0.0, 0.0, 2.0), (-1, INF, -INF, INF)]
    {
        expect(Op::Powi(n), 0.0, value, slope, curvature);
    }
    expect(Op::Recip, 0.0, INF, -INF, INF);
    expect(Op::Square, 0.0, 0.0, 0.0, 2.0);
}

#[test]
fn powers_of_a_negative_base() {
    for p in [0.5, 1.5, 2.5, -0.5, 0.25] {
        expect(Op::Powf(p), -2.0, NAN, NAN, NAN);
    }
    expect(Op::Powf(3.0), -2.0, -8.0, 12.0, -12.0);
    expect(Op::Powf(-1.0), -2.0, -0.5, -0.25, -0.25);
    // An even exponent beyond `i32` is still an integer.
    assert!(modes(Op::Powf(1e10), &[Shape::SCALAR], &[-1.0], &[1.0]).gradient[0] == -1e10);
}

#[test]
fn logarithms_at_their_pole() {
    expect(Op::Ln, 0.0, -INF, INF, -INF);
    expect(Op::Ln1p, -1.0, -INF, INF, -INF);
    // Zeros of both signs are the boundary of the domain.
    expect(Op::Ln, -0.0, -INF, INF, -INF);
    // Outside the domain there is no value and no slope.
    expect(Op::Ln, -2.0, NAN, NAN, NAN);
    expect(Op::Ln1p, -2.0, NAN, NAN, NAN);
}

#[test]
fn ties() {
    let pair = [Shape::SCALAR; 2];
    for (f, winner_first) in [(Op::Max, [2.0, 1.0]), (Op::Min, [1.0, 2.0])] {
        for (x, gradient) in [
            (winner_first, [1.0, 0.0]),
            ([winner_first[1], winner_first[0]], [0.0, 1.0]),
            ([1.5, 1.5], [1.0, 0.0]),
            ([0.0, -0.0], [1.0, 0.0]),
            ([-0.0, 0.0], [1.0, 0.0]),
            ([INF, INF], [1.0, 0.0]),
            ([-INF, -INF], [1.0, 0.0]),
        ] {
            let m = modes(f, &pair, &x, &[3.0, 5.0]);
            assert_eq!(m.gradient, gradient, "{f:?} at {x:?}");
            assert_eq!(m.slope, 3.0 * gradient[0] + 5.0 * gradient[1], "{f:?} at {x:?}");
            assert_eq!(m.product, [0.0; 2], "{f:?} at {x:?}");
        }
        // A number takes precedence over NaN, as for scalars.
        for (x, gradient) in [([NAN, 1.0], [0.0, 1.0]), ([1.0, NAN], [1.0, 0.0])] {
            let m = modes(f, &pair, &x, &[3.0, 5.0]);
            assert_eq!((m.value, &m.gradient[..]), (1.0, &gradient[..]), "{f:?} at {x:?}");
            assert_eq!(m.slope, 3.0 * gradient[0] + 5.0 * gradient[1], "{f:?} at {x:?}");
        }
        let m = modes(f, &pair, &[NAN, NAN], &[1.0, 1.0]);
        assert!(m.value.is_nan() && m.slope.is_nan() && m.gradient.iter().all(|g| g.is_nan()));
    }
}

#[test]
fn ties_under_broadcasting() {
    let (square, row, column) = (Shape::new(2, 2), Shape::new(1, 2), Shape::column(2));
    for f in [Op::Max, Op::Min] {
        for (shape, count) in [(Shape::SCALAR, 1), (row, 2), (column, 2)] {
            let x = vec![7.0; 4 + count];
            let v = vec![1.0; 4 + count];
            // If the array comes first, it receives everything. If the broadcast operand does, it receives one for each
            // entry it met.
            let m = modes(f, &[square, shape], &x, &v);
            assert_eq!(m.gradient[..4], [1.0; 4]);
            assert!(m.gradient[4..].iter().all(|&g| g == 0.0));
            assert_eq!((m.slope, m.product), (4.0, vec![0.0; 4 + count]));
            let m = modes(f, &[shape, square], &x, &v);
            assert!(m.gradient[..count].iter().all(|&g| g == 4.0 / count as f64));
            assert_eq!(m.gradient[count..], [0.0; 4]);
            assert_eq!(m.slope, 4.0);
        }
    }
}

#[test]
fn nan_in_stays_nan() {
    for f in [
        Op::Sqrt,
        Op::Norm,
        Op::Powf(0.5),
        Op::Powf(2.5),
        Op::Powf(-1.0),
        Op::Powi(3),
        Op::Recip,
        Op::Ln,
        Op::Ln1p,
        Op::Exp,
        Op::Sigmoid,
        Op::Softplus,
        Op::Tanh,
        Op::SoftmaxFirst,
    ] {
        expect(f, NAN, NAN, NAN, NAN);
    }
    // Also if the slope is constant: a value that is NaN has no derivatives.
    expect(Op::Abs, NAN, NAN, NAN, NAN);
    expect(Op::Relu, NAN, NAN, NAN, NAN);
    expect(Op::Square, NAN, NAN, NAN, NAN);
    expect(Op::LogSumExp, NAN, NAN, NAN, NAN);
    // As in IEEE 754: x^0 is 1 for every x.
    expect(Op::Powf(0.0), NAN, 1.0, 0.0, 0.0);
    expect(Op::Powf(1.0), NAN, NAN, NAN, NAN);
    // A single NaN entry makes the whole row of the softmax NaN, whichever entry it is.
    for x in [[NAN, 0.0], [0.0, NAN], [INF, NAN], [NAN, INF]] {
        let m = modes(Op::LogSumExp, &[Shape::new(1, 2)], &x, &[1.0, 1.0]);
        assert!(m.value.is_nan() && m.gradient.iter().all(|g| g.is_nan()), "{x:?}: {m:?}");
    }
}

#[test]
fn limits_at_infinity() {
    for x in [INF, 1e308] {
        expect(Op::Exp, x, INF, INF, INF);
        expect(Op::Softplus, x, x, 1.0, 0.0);
        expect(Op::Relu, x, x, 1.0, 0.0);
        expect(Op::Abs, -x, x, -1.0, 0.0);
    }
    for x in [INF, 1e308, 800.0] {
        expect(Op::Exp, -x, 0.0, 0.0, 0.0);
        expect(Op::Sigmoid, x, 1.0, 0.0, 0.0);
        expect(Op::Sigmoid, -x, 0.0, 0.0, 0.0);
        expect(Op::Softplus, x, x, 1.0, 0.0);
        expect(Op::Softplus, -x, 0.0, 0.0, 0.0);
        expect(Op::Logistic, x, 0.0, 0.0, 0.0);
        expect(Op::Logistic, -x, x, -1.0, 0.0);
        expect(Op::Tanh, x, 1.0, 0.0, 0.0);
        expect(Op::Tanh, -x, -1.0, 0.0, 0.0);
    }
    expect(Op::Sqrt, INF, INF, 0.0, 0.0);
    expect(Op::Ln, INF, INF, 0.0, 0.0);
    expect(Op::Ln1p, INF, INF, 0.0, 0.0);
    expect(Op::Recip, INF, 0.0, 0.0, 0.0);
    expect(Op::Recip, -INF, 0.0, 0.0, 0.0);
    expect(Op::Powf(-0.5), INF, 0.0, 0.0, 0.0);
    let m = modes(Op::Divide, &[Shape::SCALAR; 2], &[3.0, INF], &[1.0, 1.0]);
    assert_eq!((m.value, m.slope, &m.gradient[..]), (0.0, 0.0, &[0.0, 0.0][..]));
}

#[test]
fn tails_keep_their_digits() {
    // Both tails are compared with e^-|x|, the leading term, whose relative error there is below e^-30.
    for x in [32.0, 36.0, 100.0, 700.0_f64] {
        let tail = (-x).exp();
        let near = |a: f64| (a / tail - 1.0).abs() < 1e-13; // e^-32 = 1.3e-14 truncation, a few ulp of rounding
        let low = modes(Op::Sigmoid, &[Shape::SCALAR], &[-x], &[1.0]);
        assert!(near(low.value) && near(low.slope) && near(low.gradient[0]), "{low:?}");
        let low = modes(Op::Softplus, &[Shape::SCALAR], &[-x], &[1.0]);
        assert!(near(low.value) && near(low.slope) && near(low.product[0]), "{low:?}");
        let high = modes(Op::Sigmoid, &[Shape::SCALAR], &[x], &[1.0]);
        assert!(near(high.slope) && near(high.gradient[0]) && near(-high.product[0]), "{high:?}");
        // 1 - tanh^2 (x/2) = 4 e^-x
        let high = modes(Op::Tanh, &[Shape::SCALAR], &[x / 2.0], &[1.0]);
        assert!(near(high.slope / 4.0) && near(-high.product[0] / 8.0), "{high:?}");
    }
}

#[test]
fn rows_with_infinite_entries() {
    let row = |n| [Shape::new(1, n)];
    // An entry of -inf has a share of zero.
    let m = modes(Op::LogSumExp, &row(3), &[1.0, -INF, 1.0], &[1.0, 2.0, 3.0]);
    assert_eq!((m.value, m.slope), (1.0 + 2.0_f64.ln(), 2.0));
    assert_eq!(m.gradient, [0.5, 0.0, 0.5]);
    assert_eq!(m.product, [-0.5, 0.0, 0.5]);
    let m = modes(Op::SoftmaxFirst, &row(2), &[-INF, 0.0], &[1.0, 2.0]);
    assert_eq!((m.value, &m.gradient[..]), (0.0, &[0.0, 0.0][..]));
    // A single +inf has the whole share.
    let m = modes(Op::LogSumExp, &row(3), &[1.0, INF, -INF], &[1.0, 2.0, 3.0]);
    assert_eq!((m.value, m.slope), (INF, 2.0));
    assert_eq!((m.gradient, m.product), (vec![0.0, 1.0, 0.0], vec![0.0; 3]));
    let m = modes(Op::SoftmaxFirst, &row(2), &[INF, 0.0], &[1.0, 2.0]);
    assert_eq!((m.value, &m.gradient[..]), (1.0, &[0.0, 0.0][..]));
    // For two of them, the shares depend on how infinity is approached.
    let m = modes(Op::LogSumExp, &row(2), &[INF, INF], &[1.0, 1.0]);
    assert!(m.value == INF && m.gradient.iter().all(|g| g.is_nan()));
    // If all entries are -inf, ln has an infinite slope, and the exponentials have slopes of zero, which absorb it.
    let m = modes(Op::LogSumExp, &row(2), &[-INF, -INF], &[1.0, 1.0]);
    assert_eq!((m.value, m.gradient, m.slope), (-INF, vec![0.0; 2], 0.0));
    // No entries: the logarithm of an empty sum.
    let mut value = [0.0];
    Workspace::new().value(&Op::LogSumExp, &[Shape::new(1, 0)], &[], &mut value).unwrap();
    assert_eq!(value, [-INF]);
}

#[test]
fn cross_entropy_with_infinite_entries() {
    let at = |x: [f64; 2]| modes(Op::CrossEntropyFirst, &[Shape::new(1, 2)], &x, &[1.0, 1.0]);
    // The label is impossible: an infinite loss, with the slope of any large loss.
    let m = at([-INF, 0.0]);
    assert_eq!((m.value, &m.gradient[..]), (INF, &[-1.0, 1.0][..]));
    let m = at([0.0, INF]);
    assert_eq!((m.value, &m.gradient[..]), (INF, &[-1.0, 1.0][..]));
    // The label is certain.
    let m = at([0.0, -INF]);
    assert_eq!((m.value, &m.gradient[..]), (0.0, &[0.0, 0.0][..]));
    // Certain because of an infinite entry: the value is the difference inf - inf, and has no derivatives.
    let m = at([INF, 0.0]);
    assert!(m.value.is_nan() && m.gradient.iter().all(|g| g.is_nan()));
    // Large but finite entries do not overflow.
    let m = at([-1e308, 0.0]);
    assert_eq!((m.value, &m.gradient[..]), (1e308, &[-1.0, 1.0][..]));
}

#[test]
fn each_stated_value() {
    assert_eq!([sign(-2.0), sign(0.0), sign(-0.0), sign(3.0)], [-1.0, 0.0, 0.0, 1.0]);
    assert_eq!([step(-2.0), step(0.0), step(3.0)], [0.0, 0.0, 1.0]);
    assert_eq!([at_least(1.0, 1.0), at_least(0.0, 1.0), at_least(1.0, 0.0)], [1.0, 0.0, 1.0]);
    assert_eq!([power(0.0, 0.0), power(2.0, -1.0), power(-3.0, 2.0)], [1.0, 0.5, 9.0]);
    assert_eq!(power(4.0, 0.5), 2.0);
    assert_eq!([power_or_zero(0.0, -0.5), power_or_zero(4.0, -0.5)], [0.0, 0.5]);
    assert!(power(-1.0_f64, 0.5).is_nan());
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!([passed(inf, 0.0), passed(nan, 0.0), passed(0.0, inf)], [0.0; 3]);
    assert!(passed(0.0, nan).is_nan() && passed(nan, 1.0).is_nan());
}

#[test]
fn nan_stays_nan() {
    let nan = f64::NAN;
    assert!(sign(nan).is_nan() && step(nan).is_nan());
    assert_eq!([at_least(nan, 0.0), at_least(0.0, nan)], [0.0, 1.0]);
    assert!(power_or_zero(nan, -0.5).is_nan());
}
