//! Former silent wrong answers: iterations that diverge, matrices that are not symmetric, and the like.

use hypertape_autodiff::scalar::{
    self, Dual, Float, Real, Scalar, SparseHessian, SparseJacobian, Tape,
};
use hypertape_autodiff::{
    Arena, Array, Element, Factored, Fault, Function, Method, Shape, StopRule, Tensor, Workspace,
    check, fixed_point, max_pool, mean_pool,
};

/// `w <- c w^p + x`
#[derive(Clone, Copy, Debug)]
struct Power {
    c: f64,
    p: i32,
}

impl<T: Element> Function<T> for Power {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        self.c * w[0].powi(self.p) + w[1]
    }
}

impl<F: Element + Scalar<Plain = F>> scalar::Function<F> for Power {
    fn eval<R: Real<F>>(&self, x: &[R], y: &mut [R]) {
        y[0] = x[0].powi(self.p) * <F as Element>::from_f64(self.c) + x[1];
    }
}

/// The limit of the iteration from 1, as a function of `x`.
struct Limit<F>(F);

impl<T: Element, F: Function<T> + Sync> Function<T> for Limit<F> {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        fixed_point(&self.0, x[0].scalar(1.0), x, StopRule::default())
    }
}

fn limit<T: Element>(f: impl Function<T> + Sync, x: f64) -> Result<(T, T), Fault> {
    let mut gradient = [T::zero()];
    let x = [T::from_f64(x)];
    let value = Workspace::new().gradient(&Limit(f), &[Shape::SCALAR], &x, &mut gradient)?;
    Ok((value, gradient[0]))
}

fn scalar_limit<F: Element + Scalar<Plain = F>>(
    f: &impl scalar::Function<F>,
    x: f64,
) -> Result<(F, F), Fault> {
    let (start, x) = ([<F as Element>::from_f64(1.0)], [<F as Element>::from_f64(x)]);
    let solve = |x: &[F]| scalar::fixed_point(f, &start, x, StopRule::default());
    solve(&x)?;
    let mut gradient = [F::zero()];
    let value = Tape::new().gradient(
        |x| scalar::fixed_point(f, &start, x, StopRule::default()).map_or(x[0], |w| w[0]),
        &x,
        &mut gradient,
    )?;
    Ok((value, gradient[0]))
}

#[test]
fn divergence_is_no_convergence() {
    let diverged = |fault: Fault| matches!(fault, Fault::NotConverged { steps, .. } if steps > 10);
    for c in [1.04, 1.1, 1.5, 2.0, 3.0, -1.5] {
        let f = Power { c, p: 1 };
        assert!(diverged(limit::<f64>(f, 1.0).unwrap_err()), "{c}");
        assert!(diverged(limit::<f32>(f, 1.0).unwrap_err()), "{c}");
        assert!(diverged(scalar_limit::<f64>(&f, 1.0).unwrap_err()), "{c}");
        assert!(diverged(scalar_limit::<f32>(&f, 1.0).unwrap_err()), "{c}");
    }
}

#[test]
fn a_series_that_diverges_is_no_derivative() {
    // w = 1 solves w = w^3 + 0 but is repelling: the slope 1 / (1 - 3) is not the sum of 3^k.
    let cube = Power { c: 1.0, p: 3 };
    let fault = limit::<f64>(cube, 0.0).unwrap_err();
    let Fault::NotConverged { operation, .. } = fault else { panic!("{fault}") };
    assert_eq!(operation, "fixed_point, transposed");
    // Scalars solve the system.
    assert_eq!(scalar_limit::<f64>(&cube, 0.0), Ok((1.0, -0.5)));
}

/// Heron's iteration for `sqrt x`.
struct Heron;

impl<T: Element> Function<T> for Heron {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, w: &[A]) -> A {
        (w[0] + w[1] / w[0]) * 0.5
    }
}

impl scalar::Function for Heron {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        y[0] = (x[0] + x[1] / x[0]) * 0.5;
    }
}

#[test]
fn small_solutions_are_as_exact_as_large_ones() {
    for (x, root) in [(1e-30, 1e-15), (1e-200, 1e-100), (1e200, 1e100), (4.0, 2.0)] {
        for (found, slope) in [limit::<f64>(Heron, x).unwrap(), scalar_limit(&Heron, x).unwrap()] {
            // The iteration converges quadratically, so the last step leaves only rounding errors.
            assert!((found / root - 1.0).abs() < 1e-15, "{found}");
            assert!((slope * 2.0 * root - 1.0).abs() < 1e-14, "{slope}");
        }
    }
}

/// `b . M^-1 b`
struct Quadratic;

impl<T: Element> Function<T> for Quadratic {
    fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
        x[1].dot(Factored::new(x[0], Method::Cholesky).solve(x[1]))
    }
}

#[test]
fn cholesky_takes_symmetric_matrices_alone() {
    let (x, mut gradient) = ([4.0, 0.0, 1.0, 3.0, 1.0, 2.0], [0.0; 6]);
    let shapes = [Shape::new(2, 2), Shape::column(2)];
    let found = Workspace::new().gradient(&Quadratic, &shapes, &x, &mut gradient);
    let (operation, values) = ("cholesky", [1.0, 0.0]);
    let fault = Fault::Asymmetric { operation, row: 1, column: 0, values };
    assert_eq!(found, Err(fault));
    assert_eq!(scalar::solve(&x[..4], &x[4..], Method::Cholesky), Err(fault));
    assert_eq!(
        fault.to_string(),
        "cholesky: entries (1, 0) and (0, 1) are 1 and 0, expected a symmetric matrix"
    );
    // Symmetric up to rounding: M = [[4, 1], [1, 3]] has b . M^-1 b = 15/11, and gradients 2 M^-1 b in both drivers.
    let x = [4.0, 1.0 + 4.0 * f64::EPSILON, 1.0, 3.0, 1.0, 2.0];
    let value = Workspace::new().gradient(&Quadratic, &shapes, &x, &mut gradient).unwrap();
    let (mut again, mut product) = ([0.0; 6], [0.0; 6]);
    Workspace::new().hvp(&Quadratic, &shapes, &x, &x, &mut again, &mut product).unwrap();
    // Three roundings of numbers up to 2.
    let near = |a: f64, b: f64| (a - b).abs() < 2e-15;
    assert!(near(value, 15.0 / 11.0));
    for g in [gradient, again] {
        assert!(near(g[4], 2.0 / 11.0) && near(g[5], 14.0 / 11.0), "{g:?}");
    }
}

/// `y_0` is `5 x_1` or `7 x_2`, depending on the sign of `x_0`; its square is the function for the Hessian.
struct Branch;

impl scalar::Function for Branch {
    fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
        let taken = if x[0] > 0.0 { x[1] * 5.0 } else { x[2] * 7.0 };
        y[0] = if y.len() == 1 { taken.square() + x[0] } else { taken };
        y[1..].iter_mut().zip(x).for_each(|(y, &x)| *y = x * 2.0);
    }
}

#[test]
fn a_plan_on_another_branch_is_a_fault() {
    let (here, there) = ([1.0, 2.0, 3.0], [-1.0, 2.0, 3.0]);
    // Several results are computed by columns, one result of many arguments by rows.
    for m in [1, 2, 4] {
        let mut jacobian = SparseJacobian::new(&Branch, &here, m);
        let (mut y, mut values) = (vec![0.0; m], vec![0.0; jacobian.pattern().len()]);
        jacobian.values(&Branch, &here, &mut y, &mut values).unwrap();
        let fault = jacobian.values(&Branch, &there, &mut y, &mut values).unwrap_err();
        assert!(matches!(fault, Fault::Pattern { .. }), "{fault}");
        jacobian.set_check(false);
        jacobian.values(&Branch, &there, &mut y, &mut values).unwrap();
    }
    let mut hessian = SparseHessian::new(&Branch, &here);
    let (mut gradient, mut values) = ([0.0; 3], vec![0.0; hessian.pattern().len()]);
    hessian.values(&Branch, &here, &mut gradient, &mut values).unwrap();
    assert_eq!((gradient, &values[..]), ([1.0, 100.0, 0.0], &[50.0][..]));
    let fault = hessian.values(&Branch, &there, &mut gradient, &mut values).unwrap_err();
    // The row of x_2, which the plan does not contain: 98 times an entry of the direction.
    let Fault::Pattern { index: 2, found, expected: 0.0 } = fault else { panic!("{fault}") };
    assert!((49.0..147.0).contains(&found), "{fault}");
    assert!(fault.to_string().starts_with("the pattern of a sparse plan does not hold at this"));
}

/// Functions of one number. All are of one type, so that drivers are compiled once.
macro_rules! scalars {
    ($Type:ident: $($name:ident: |$x:ident| $body:expr;)*) => {
        #[derive(Clone, Copy, Debug)]
        enum $Type { $($name),* }
        impl $Type {
            fn at<R: Real>(self, x: R) -> R {
                match self { $(Self::$name => { let $x = x; $body })* }
            }
        }
    };
}

scalars! {
    Steep:
    Rem: |b| (b * 0.0 + 1.0) % b;
    Asinh: |x| x.asinh();
    Acosh: |x| x.acosh();
    Cbrt: |x| x.cbrt();
    Powi: |x| x.powi(i32::MIN);
    Ln: |x| x.ln();
    Log2: |x| x.log2();
    Log10: |x| x.log10();
    Ln1p: |x| x.ln_1p();
    Atanh: |x| x.atanh();
    Tanh: |x| x.tanh();
    Sigmoid: |x| x.sigmoid();
    ExpM1: |x| x.exp_m1();
}

/// Slope by forward mode, which equals the gradient by the tape.
fn slope(f: Steep, x: f64) -> f64 {
    let forward = f.at(Dual::<f64>::variable(x, 0)).tangents()[0];
    let (_, reverse) = scalar::gradient(|x| f.at(x[0]), &[x]).unwrap();
    assert!(forward == reverse[0] || forward.is_nan() && reverse[0].is_nan(), "{f:?}");
    forward
}

#[test]
fn slopes_at_the_ends_of_ranges() {
    // 1 % b = 1 - 9 b near b = 0.1
    assert_eq!(slope(Steep::Rem, 0.1), -9.0);
    assert_eq!(slope(Steep::Asinh, 1e200), 1e-200);
    assert_eq!(slope(Steep::Acosh, 1e200), 1e-200);
    // x^(1/3) at 1e308, where three times x overflows; two roundings.
    let known = 1e308_f64.cbrt() / 3.0 / 1e308;
    assert!((slope(Steep::Cbrt, 1e308) / known - 1.0).abs() < 1e-15);
    assert_eq!(slope(Steep::Powi, 1.0), f64::from(i32::MIN));
    // Outside their domains the value is NaN, and so is the slope.
    for f in [Steep::Ln, Steep::Log2, Steep::Log10, Steep::Ln1p, Steep::Acosh] {
        assert!(slope(f, -2.0).is_nan(), "{f:?}");
    }
    assert!(slope(Steep::Atanh, 2.0).is_nan());
}

#[test]
fn a_single_infinite_entry_has_all_of_logsumexp() {
    let found = scalar::gradient(|x| Scalar::logsumexp(x), &[f64::INFINITY, 0.0]).unwrap();
    assert_eq!(found, (f64::INFINITY, vec![1.0, 0.0]));
}

#[test]
fn large_powers_keep_their_digits() {
    /// `x^1e9`
    struct Large;
    impl<T: Element> Function<T> for Large {
        fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
            x[0].powf(1e9)
        }
    }
    let x = 1.0 + 1e-9;
    let mut value = [0.0];
    Workspace::new().value(&Large, &[Shape::SCALAR], &[x], &mut value).unwrap();
    // e^(1e9 ln x), whose exponent is near 1, with a relative error of 2e-16.
    let known = (1e9 * (x - 1.0_f64).ln_1p()).exp();
    assert!((value[0] / known - 1.0).abs() < 1e-15, "{}", value[0]);
}

#[test]
fn pools_larger_than_their_images_are_empty() {
    let arena = Arena::new();
    let image = Tensor::new(&arena, Shape::column(6), &[1.0; 6]);
    for size in [4, 65_536, u32::MAX] {
        assert_eq!(max_pool(image, [2, 3], size).shape(), Shape::new(0, 1));
        assert_eq!(mean_pool(image, [2, 3], size).shape(), Shape::new(0, 1));
    }
    arena.status().unwrap();
}

/// Functions in both engines, each with a point and the gradient there. All are of one type, so that drivers are
/// compiled once.
macro_rules! both {
    ($($name:ident: |$x:ident| $array:expr, |$s:ident| $scalar:expr, $at:expr => $known:expr;)*) => {
        #[derive(Clone, Copy, Debug)]
        enum Both { $($name),* }
        impl<T: Element> Function<T> for Both {
            fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
                match self { $(Self::$name => { let $x = x; $array })* }
            }
        }
        impl Both {
            fn at<R: Real>(self, x: &[R]) -> R {
                match self { $(Self::$name => { let $s = x; $scalar })* }
            }
        }
        const BOTH: &[(Both, &[f64], &[f64])] = &[$((Both::$name, &$at, &$known)),*];
    };
}

const NAN: f64 = f64::NAN;

both! {
    Flat: |x| x[0].ln().relu(), |x| x[0].ln().relu(), [0.0] => [0.0];
    Least: |x| x[0].exp().min(x[0].scalar(10.0)), |x| x[0].exp().min(R::constant(10.0)), [1000.0] => [0.0];
    Largest: |x| x[0].max(x[0].ln()), |x| x[0].max(x[0].ln()), [0.0] => [1.0];
    Entry: |x| x[0].stack(&[x[1]]).ln().slice(1, Shape::SCALAR), |x| [x[0].ln(), x[1].ln()][1], [0.0, 1.0] => [0.0, 1.0];
    LnOfProduct: |x| (x[0] * x[1]).ln(), |x| (x[0] * x[1]).ln(), [0.0, 0.0] => [0.0, 0.0];
    LnOfSquare: |x| x[0].square().ln(), |x| x[0].square().ln(), [0.0] => [0.0];
    Angle: |x| (1.0 - x[0] * x[1]).acos(), |x| (-(x[0] * x[1]) + 1.0).acos(), [0.0, 0.0] => [0.0, 0.0];
    // The angle between (1, x) and (1, y), which are parallel: the cosine is 1 and has slope 0.
    Parallel: |x| ((x[0] * x[1] + 1.0) / (x[0].square() + 1.0).sqrt() / (x[1].square() + 1.0).sqrt()).acos(),
        |x| ((x[0] * x[1] + 1.0) / (x[0].square() + 1.0).sqrt() / (x[1].square() + 1.0).sqrt()).acos(),
        [0.0, 0.0] => [0.0, 0.0];
    Quotient: |x| (x[0] / x[1]).relu() * 0.0 + x[0], |x| (x[0] / x[1]).relu() * 0.0 + x[0], [-1.0, 0.0] => [1.0, 0.0];
    Taken: |x| (x[0] / x[1]).min(x[0]), |x| (x[0] / x[1]).min(x[0]), [1.0, 0.0] => [1.0, 0.0];
    // A value that is NaN has no derivatives.
    FlatOfNan: |x| (x[0] - 1.0).square() * (x[0] - 2.0).ln(), |x| (x[0] - 1.0).square() * (x[0] - 2.0).ln(), [1.0] => [NAN];
    Unused: |x| x[0].ln(), |x| x[0].ln(), [-1.0, 1.0] => [NAN, NAN];
    Max: |x| x[0].max(x[1]), |x| x[0].max(x[1]), [NAN, 2.0] => [0.0, 1.0];
    Min: |x| x[0].min(x[1]), |x| x[0].min(x[1]), [2.0, NAN] => [1.0, 0.0];
}

/// In both engines and every mode.
#[test]
fn zeros_absorb_by_one_rule_and_nan_has_no_derivatives() {
    for &(f, at, known) in BOTH {
        let same = |found: &[f64], mode: &str| {
            let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
            assert!(found.iter().zip(known).all(same), "{f:?}, {mode}: {found:?}");
        };
        let (n, shapes) = (at.len(), vec![Shape::SCALAR; at.len()]);
        let (mut w, mut g, mut h) = (Workspace::new(), vec![0.0; n], vec![0.0; n]);
        w.gradient(&f, &shapes, at, &mut g).unwrap();
        same(&g, "arrays, reverse");
        w.hvp(&f, &shapes, at, &vec![1.0; n], &mut g, &mut h).unwrap();
        same(&g, "arrays, forward over reverse");
        for i in 0..n {
            let (mut v, mut y, mut dy) = (vec![0.0; n], [0.0], [0.0]);
            v[i] = 1.0;
            w.jvp(&f, &shapes, at, &v, &mut y, &mut dy).unwrap();
            g[i] = dy[0];
        }
        same(&g, "arrays, forward");
        let (mut tape, mut tangents) = (Tape::new(), scalar::Tangents::<f64, 2>::new());
        tape.vjp(|x, y| y[0] = f.at(x), at, &mut [0.0], &[1.0], &mut g).unwrap();
        same(&g, "scalars, reverse");
        tangents.jacobian(|x, y| y[0] = f.at(x), at, &mut [0.0], &mut g).unwrap();
        same(&g, "scalars, forward");
        Tape::new().hvp(|x| f.at(x), at, &vec![1.0; n], &mut g, &mut h).unwrap();
        same(&g, "scalars, forward over reverse");
    }
    let found = scalar::gradient(|x| Scalar::logsumexp(x), &[f64::NEG_INFINITY; 2]).unwrap();
    assert_eq!(found, (f64::NEG_INFINITY, vec![0.0; 2]));
}

#[test]
fn saturated_slopes_keep_their_digits() {
    // 4 e^-2x and e^-x, whose relative errors there are below e^-40.
    let near =
        |found: f64, known: f64| assert!((found / known - 1.0).abs() < 1e-14, "{found} {known}");
    near(slope(Steep::Tanh, 20.0), 4.0 * (-40.0_f64).exp());
    near(slope(Steep::Sigmoid, 40.0), (-40.0_f64).exp());
    near(slope(Steep::ExpM1, -40.0), (-40.0_f64).exp());
}

#[test]
fn norms_of_the_largest_and_smallest_numbers() {
    for size in [1e200, 1e-200, 3e-320, 1e308, 1.0] {
        struct Norm;
        impl<T: Element> Function<T> for Norm {
            fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
                x[0].norm()
            }
        }
        let x = [0.6 * size, 0.8 * size];
        let mut g = [0.0; 2];
        let value = Workspace::new().gradient(&Norm, &[Shape::column(2)], &x, &mut g).unwrap();
        let (length, by_length) = scalar::gradient(|x| x[0].hypot(x[1]), &x).unwrap();
        let (_, angle) = scalar::gradient(|x| x[0].atan2(x[1]), &x).unwrap();
        // Subnormal entries have few digits.
        let tolerance = if size < 1e-300 { 1e-3 } else { 1e-15 };
        for found in [value / size, length / size, angle[0] * size / 0.8, -angle[1] * size / 0.6] {
            assert!(
                (found - 1.0).abs() <= tolerance || size < 1e-300 && found.is_infinite(),
                "{size}: {found}"
            );
        }
        for g in [&g[..], &by_length] {
            assert!(
                (g[0] - 0.6).abs() <= tolerance && (g[1] - 0.8).abs() <= tolerance,
                "{size}: {g:?}"
            );
        }
    }
}

scalars! {
    Kinked:
    Powf: |x| x.powf(Scalar::constant(0.5));
    Power: |x| x.power(1.0 / 3.0);
    FusedAbs: |x| Scalar::fuse([x], |[x]| [Float::abs(x) + x])[0];
    FusedSqrt: |x| Scalar::fuse([x], |[x]| [x.sqrt() + x])[0];
    Rem: |x| x % Scalar::constant(0.5);
    Round: |x| x.round();
    Floor: |x| x.floor() + x;
    Atanh: |x| x.atanh();
    Ln: |x| x.ln();
}

#[test]
fn strict_tapes_note_every_convention() {
    for (f, at, operation) in [
        (Kinked::Powf, 0.0, "powf"),
        (Kinked::Power, 0.0, "power"),
        (Kinked::FusedAbs, 0.0, "abs"),
        (Kinked::FusedSqrt, 0.0, "sqrt"),
        (Kinked::Rem, 1.5, "rem"),
        (Kinked::Round, 2.5, "round"),
        (Kinked::Floor, 2.0, "floor"),
        (Kinked::Atanh, 2.0, "atanh"),
        (Kinked::Ln, -2.0, "ln"),
    ] {
        let mut tape = Tape::new();
        tape.set_strict(true);
        let found = tape.gradient(|x| f.at(x[0]), &[at], &mut [0.0]);
        assert_eq!(found, Err(Fault::Singular { operation }));
    }
    // The second derivative of x^1.5 is infinite at 0.
    let mut tape = Tape::new();
    tape.set_strict(true);
    let found = tape.hvp(|x| x[0].power(1.5), &[0.0], &[1.0], &mut [0.0], &mut [0.0]);
    assert!(matches!(found, Err(Fault::Singular { .. })), "{found:?}");
    let fine = tape.hvp(|x| x[0].power(1.5), &[1.0], &[1.0], &mut [0.0], &mut [0.0]);
    assert_eq!((fine, tape.singular()), (Ok(1.0), None));
}

#[test]
fn detached_numbers_have_no_derivatives_of_any_order() {
    // x^2 y with x detached: the gradient is (0, x^2), and its derivative along (1, 1) is 0, as for arrays.
    struct Held;
    impl<T: Element> Function<T> for Held {
        fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
            x[0].detach().square() * x[1]
        }
    }
    let found = scalar::hvp(|x| x[0].detach().square() * x[1], &[3.0, 5.0], &[1.0, 1.0]);
    assert_eq!(found, Ok((45.0, vec![0.0, 9.0], vec![0.0; 2])));
    let (mut g, mut h) = ([0.0; 2], [0.0; 2]);
    Workspace::new()
        .hvp(&Held, &[Shape::SCALAR; 2], &[3.0, 5.0], &[1.0; 2], &mut g, &mut h)
        .unwrap();
    assert_eq!((g, h), ([0.0, 9.0], [0.0; 2]));
}

#[test]
fn checks_of_steep_functions_raise_no_alarm() {
    /// `tanh(1e6 x)`
    struct Steep;
    impl<T: Element> Function<T> for Steep {
        fn eval<'a, A: Array<'a, Elem = T>>(&'a self, x: &[A]) -> A {
            (x[0] * 1e6).tanh()
        }
    }
    let gap = check::central_differences(&Steep, &[Shape::SCALAR], &[1e-7]).unwrap();
    assert!(gap < 1e-7, "{gap:e}");
    let orders = check::taylor(&Steep, &[Shape::SCALAR], &[1e-7], &[1.0]).unwrap();
    assert!(orders.gradient > 1.9 && orders.hessian > 2.9, "{orders:?}");
}
