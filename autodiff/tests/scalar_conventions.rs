//! Scalars at kinks and singular points: the stated derivatives in every type, notes and strict tapes; zeros that
//! absorb infinity; nested differentiation; faults.

use hypertape_autodiff::Fault;
use hypertape_autodiff::scalar::{
    Dual, Float, Function, Real, Scalar, Tangents, Tape, Var, gradient, hessian, hvp, jacobian,
};
use std::f64::consts::PI;

/// Derivatives of an expression in `x` at a point: by `Dual`, `Var` and `Var<Dual>`, which must agree.
macro_rules! slope {
    (|$x:ident| $body:expr, $at:expr) => {{
        let forward = {
            let $x = Dual::<f64>::new($at, [1.0]);
            $body.tangents()[0]
        };
        let wide = {
            let $x = Dual::<f64, 3>::variable($at, 2);
            $body.tangents()[2]
        };
        let mut tape = Tape::new();
        let mut g = [0.0];
        tape.gradient(
            |x| {
                let $x = x[0];
                $body
            },
            &[$at],
            &mut g,
        )
        .unwrap();
        let mut second = [0.0];
        let [reverse] = g;
        Tape::new()
            .hvp(
                |x| {
                    let $x = x[0];
                    $body
                },
                &[$at],
                &[1.0],
                &mut g,
                &mut second,
            )
            .unwrap();
        let all = [forward, wide, reverse, g[0]];
        assert!(all.iter().all(|d| d.to_bits() == forward.to_bits() || *d == forward), "{all:?}");
        (forward, tape.singular().map(|(operation, _)| operation))
    }};
}

#[test]
fn each_stated_value() {
    assert_eq!(slope!(|x| Float::abs(x), 0.0), (0.0, Some("abs")));
    assert_eq!(slope!(|x| x.relu(), 0.0), (0.0, Some("relu")));
    assert_eq!(slope!(|x| x.max(x * 2.0), 0.0), (1.0, Some("max")));
    assert_eq!(slope!(|x| (x * 3.0).min(x), 0.0), (3.0, Some("min")));
    assert_eq!(slope!(|x| x.sqrt(), 0.0), (0.0, Some("sqrt")));
    assert_eq!(slope!(|x| x.cbrt(), 0.0), (0.0, Some("cbrt")));
    assert_eq!(slope!(|x| (x * x + x * x).sqrt(), 0.0), (0.0, Some("sqrt")));
    assert_eq!(slope!(|x| x.hypot(x), 0.0), (0.0, Some("hypot")));
    assert_eq!(slope!(|x| x.atan2(x), 0.0), (0.0, Some("atan2")));
    assert_eq!(slope!(|x| x.power(0.5), 0.0).0, 0.0);
    assert_eq!(slope!(|x| x.power(0.0), 0.0).0, 0.0);
    assert_eq!(slope!(|x| x.power(1.0), 0.0).0, 1.0);
    assert_eq!(slope!(|x| x.power(2.5), 0.0).0, 0.0);
    assert_eq!(slope!(|x| x.power(2.0), -3.0).0, -6.0);
    assert_eq!(slope!(|x| x.powi(0), 0.0).0, 0.0);
    assert_eq!(slope!(|x| x.powi(1), 0.0).0, 1.0);
    assert_eq!(slope!(|x| x.recip(), 0.0), (f64::NEG_INFINITY, Some("recip")));
    assert_eq!(slope!(|x| x.ln(), 0.0), (f64::INFINITY, Some("ln")));
    assert_eq!(slope!(|x| x.ln_1p(), -1.0), (f64::INFINITY, Some("ln_1p")));
    assert!(slope!(|x| x.power(0.5) * 0.0 + x, 1.0).1.is_none());
}

#[test]
fn zero_absorbs_infinity() {
    // asin has an infinite slope at 1 and a finite value.
    assert_eq!(slope!(|x| x.asin() * 0.0 + x, 1.0).0, 1.0);
    assert_eq!(slope!(|x| (x - 1.0) * (x - 1.0) * x.asin(), 1.0).0, 0.0);
    assert_eq!(slope!(|x| (x.exp() + 1.0).recip(), 800.0).0, 0.0);
    // The exponent is a constant, so the ln of a negative base is not needed.
    assert_eq!(slope!(|x| x.powf(Scalar::constant(3.0)), -2.0).0, 12.0);
    // The adjoint is zero for one of two seeds.
    let (mut y, mut a, mut b) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    Tape::<f64>::new()
        .vjps(
            |x, y| {
                let product = x[0] * x[1];
                y[0] = (product + x[1] - 1.0).asin();
                y[1] = product;
            },
            &[0.5, 1.0],
            &mut y,
            [&[0.0, 1.0], &[0.0, 2.0]],
            [&mut a, &mut b],
        )
        .unwrap();
    assert_eq!((a, b), ([1.0, 0.5], [2.0, 1.0]));
}

#[test]
fn strict_tapes_report() {
    let mut tape = Tape::new();
    let (mut g, f) = ([1.0], |x: f64, tape: &mut Tape<f64>, g: &mut [f64]| {
        tape.gradient(|v| (v[0] - 1.0).sqrt() + v[0].ln() * 0.0, &[x], g)
    });
    assert_eq!(f(1.0, &mut tape, &mut g), Ok(0.0));
    assert_eq!((g, tape.singular()), ([0.0], Some(("sqrt", 1))));
    tape.set_strict(true);
    let fault = f(1.0, &mut tape, &mut g).unwrap_err();
    assert_eq!(fault, Fault::Singular { operation: "sqrt" });
    assert_eq!(fault.to_string(), "sqrt: no finite derivative here, and the tape is strict");
    assert_eq!(f(5.0, &mut tape, &mut g), Ok(2.0));
    assert_eq!((g, tape.singular()), ([0.25], None));
}

#[test]
fn limits_and_lengths_are_faults() {
    let mut tape = Tape::<f64>::new();
    tape.set_limit(100 * 24 + 10);
    let mut g = [0.0];
    let mut run = |n: usize| {
        tape.gradient(
            |x| (0..n).fold(x[0], |y, _| (y * x[1]).sin() + x[0]),
            &[0.5, 2.0],
            &mut [0.0; 2],
        )
    };
    assert!(run(50).is_ok());
    let fault = Fault::Memory { used: 2400, requested: 24, limit: 2410 };
    assert_eq!(run(51).unwrap_err(), fault);
    assert!(run(50).is_ok());
    tape.set_limit(1000);
    let many =
        tape.gradient(|x| Scalar::sum_of(&[x[0], x[1]].repeat(60)), &[0.0; 2], &mut [0.0; 2]);
    assert_eq!(many.unwrap_err(), Fault::Memory { used: 996, requested: 12, limit: 1000 });

    let length = |what, expected, found| Err(Fault::Length { what, expected, found });
    let first = tape.gradient(|x| x[0], &[1.0, 2.0], &mut g);
    assert_eq!(first.map(|_| ()), length("the gradient", 2, 1));
    let second = tape.vjp(|_, _| {}, &[1.0], &mut [0.0; 2], &[1.0], &mut g);
    assert_eq!(second, length("the adjoint of the value", 2, 1));
    let third = tape.jacobian(|_, _| {}, &[1.0], &mut [0.0; 2], &mut g);
    assert_eq!(third, length("the Jacobian", 2, 1));
    assert_eq!(hvp(|x| x[0], &[1.0], &[]).map(|_| ()), length("the direction", 1, 0));
    let mut tangents = Tangents::<f64>::new();
    let fourth = tangents.jvps(|_, _| {}, &[1.0], [&[]], &mut [0.0], [&mut [0.0]]);
    assert_eq!(fourth, length("the direction", 1, 0));
}

#[test]
fn constants_and_nothing() {
    assert_eq!(gradient(|_| Scalar::constant(3.0), &[1.0]), Ok((3.0, vec![0.0])));
    assert_eq!(gradient(|_| Scalar::constant(3.0), &[0.0; 0]), Ok((3.0, vec![])));
    assert_eq!(hessian(|_| Scalar::constant(3.0), &[0.0; 0]), Ok((3.0, vec![], vec![])));
    // A tape that still holds numbers of one pass does not mix them into the next.
    let mut tape = Tape::<f64>::new();
    let mut g = [0.0; 2];
    tape.gradient(|x| x[0] * x[1], &[3.0, 4.0], &mut g).unwrap();
    tape.gradient(|x| x[1], &[3.0, 4.0], &mut g).unwrap();
    assert_eq!(g, [0.0, 1.0]);
}

/// `x d/dy (x + y)` at `y = 1`, and its derivative, which is 1 and not 2 (Siskind and Pearlmutter 2005).
#[test]
fn perturbations_are_not_confused() {
    let forward = |x: Dual<f64>| {
        let inner = Dual::<_>::new(x, [Scalar::constant(0.0)])
            + Dual::new(Dual::constant(1.0), [Dual::constant(1.0)]);
        x * inner.tangents()[0]
    };
    assert_eq!(forward(Dual::new(1.0, [1.0])).tangents(), [1.0]);
    let reverse_inside = |x: Dual<f64>| {
        let mut slope = [Dual::constant(0.0)];
        let y = [Dual::constant(1.0)];
        let sum = Tape::new().gradient(|y| y[0] + Var::from(x), &y, &mut slope).unwrap();
        assert_eq!(sum, 2.0);
        x * slope[0]
    };
    assert_eq!(reverse_inside(Dual::new(1.0, [1.0])).tangents(), [1.0]);
    let forward_inside = gradient(
        |x: &[Var<'_, f64>]| {
            let inner = Dual::<_>::new(x[0], [Var::constant(0.0)])
                + Dual::new(Var::constant(1.0), [Var::constant(1.0)]);
            x[0] * inner.tangents()[0]
        },
        &[1.0],
    );
    assert_eq!(forward_inside, Ok((1.0, vec![1.0])));
    // Reverse over reverse: d/dx of x d/dy (x y^2) at y = 3 is 2 x 2 y = 12 x.
    let both = gradient(
        |x: &[Var<'_, f64>]| {
            let mut slope = [Var::constant(0.0)];
            let y = [Var::constant(3.0)];
            let f = Tape::new().gradient(|y| Var::from(x[0]) * y[0] * y[0], &y, &mut slope);
            assert_eq!(f.unwrap(), 4.5);
            x[0] * slope[0]
        },
        &[0.5],
    );
    assert_eq!(both, Ok((1.5, vec![6.0])));
}

/// `y_j = sin(j + sum_i i x_i) x_j`
struct Waves;
impl Function for Waves {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        let weights: Vec<f64> = (0..x.len()).map(|i| i as f64 * 0.1).collect();
        let phase = R::linear(&weights, x);
        for (j, y) in y.iter_mut().enumerate() {
            *y = (phase + j as f64).sin() * x[j % x.len()];
        }
    }
}

#[test]
fn jacobians_and_hessians_of_every_shape_agree() {
    for (n, m) in [(1, 1), (3, 7), (6, 5), (9, 2), (40, 1)] {
        let x: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
        let (mut y, mut reverse, mut forward) = (vec![0.0; m], vec![0.0; m * n], vec![0.0; m * n]);
        Tape::new().jacobian(|x, y| Waves.eval(x, y), &x, &mut y, &mut reverse).unwrap();
        let mut tangents = Tangents::<f64, 3>::new();
        tangents.jacobian(|x, y| Waves.eval(x, y), &x, &mut y, &mut forward).unwrap();
        let (values, chosen) = jacobian(&Waves, &x, m).unwrap();
        assert_eq!(values, y);
        for k in 0..m * n {
            // A few roundings of numbers up to 4.
            assert!(
                (reverse[k] - forward[k]).abs() < 1e-14 && (chosen[k] - forward[k]).abs() < 1e-14
            );
        }
        // The Hessian of y_0, whose columns are Hessian-vector products.
        let (_, _, h) = hessian(
            |x| {
                let mut y = [x[0]];
                Waves.eval(x, &mut y);
                y[0]
            },
            &x,
        )
        .unwrap();
        for i in 0..n {
            let mut v = vec![0.0; n];
            v[i] = 1.0;
            let (_, _, product) = hvp(
                |x| {
                    let mut y = [x[0]];
                    Waves.eval(x, &mut y);
                    y[0]
                },
                &x,
                &v,
            )
            .unwrap();
            assert!((0..n).all(|j| (h[j * n + i] - product[j]).abs() < 1e-14));
        }
    }
}

/// Code that knows only `num_traits` compiles and runs, and comparisons compare values.
#[test]
fn generic_code_runs() {
    fn wrapped<T: Float>(x: T) -> T {
        let turn = T::from(2.0 * PI).unwrap();
        if x > turn { x - (x / turn).floor() * turn } else { x.mul_add(x, T::one()) }
    }
    assert_eq!(wrapped(Dual::<f64>::new(3.0, [1.0])).tangents(), [6.0]);
    assert_eq!(wrapped(Dual::<f64>::new(7.0, [1.0])).tangents(), [1.0]);
    assert_eq!(gradient(|x| wrapped(x[0]), &[3.0]), Ok((10.0, vec![6.0])));
    let mut tape = Tape::<f64>::new();
    let moved = std::thread::spawn(move || tape.used());
    assert_eq!(moved.join().unwrap(), 0);
}
