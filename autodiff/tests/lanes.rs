//! Several points side by side give the results that each point has alone, in every mode, at ordinary and at singular
//! points; functions at many observations.

use std::array::from_fn;

use hypertape_autodiff::scalar::{
    Dual, Float, Function, Lanes, Map, Observations, Real, Scalar, Tape, jacobian, together,
};
use hypertape_autodiff::{Element, Fault, Unary};

/// Points where functions and their slopes have zeros, poles, kinks, ends and tails, and ordinary ones.
const POINTS: [f64; 24] = [
    0.0,
    1.0,
    -0.0,
    f64::INFINITY,
    -1.0,
    0.3,
    f64::NAN,
    9.5,
    f64::NEG_INFINITY,
    -0.7,
    0.5,
    1e-310,
    -2.0,
    20.0,
    1e300,
    2.5,
    -9.5,
    -1e-310,
    7.0,
    -3.3,
    1e-8,
    710.0,
    -40.0,
    5.25,
];

/// Whether the numbers are the same; zeros may differ in sign.
#[track_caller]
fn same<F: Element>(found: F, known: F, what: &str) {
    assert!(found == known || found.is_nan() && known.is_nan(), "{what}: {found}, alone {known}");
}

/// Value and derivatives up to second order of a function of two numbers, in every mode of one number type.
fn modes<T: Scalar, const K: usize>(f: impl Two<K>, [a, b]: [T; 2]) -> Option<Vec<T>> {
    let (one, zero) = (T::one(), T::zero());
    let y = f.at([Dual::<T, 2>::variable(a, 0), Dual::variable(b, 1)]);
    let mut all = [f.at([a, b]).to_vec(), y.map(Dual::value).to_vec()].concat();
    all.extend(y.map(Dual::tangents).concat());
    let nested = |x, k| {
        Dual::<_, 1>::new(Dual::<T>::variable(x, k), [Dual::constant(T::Plain::from_f64(1.0))])
    };
    for y in f.at([nested(a, 0), nested(b, 1)]) {
        all.extend(y.tangents().map(Dual::tangents).concat());
    }
    for k in 0..K {
        let (mut g, mut h) = ([zero; 2], [zero; 2]);
        match Tape::new().gradient(|x| f.at([x[0], x[1]])[k], &[a, b], &mut g) {
            Err(Fault::Branches) => return None,
            value => all.push(value.unwrap()),
        }
        all.extend(g);
        Tape::new().hvp(|x| f.at([x[0], x[1]])[k], &[a, b], &[one, zero], &mut g, &mut h).unwrap();
        all.extend([g, h].concat());
    }
    Some(all)
}

trait Two<const K: usize>: Copy {
    fn at<R: Scalar>(self, x: [R; 2]) -> [R; K];
}

/// Compares lanes of four with each point alone, in all modes; returns whether all lanes could be evaluated together.
fn sweep<F: Element + Scalar<Plain = F>, const K: usize>(f: impl Two<K>, what: &str) -> bool {
    let mut all = true;
    let of = <F as Element>::from_f64;
    for (k, points) in POINTS.as_chunks::<4>().0.iter().enumerate() {
        let others: [f64; 4] = from_fn(|lane| POINTS[(7 * k + 5 * lane + 3) % POINTS.len()]);
        let x = [points, &others].map(|x| Lanes::new(x.map(of)));
        let Some(found) = together(|| modes(f, x)).flatten() else {
            all = false;
            continue;
        };
        for lane in 0..4 {
            let alone = modes(f, [points[lane], others[lane]].map(of)).unwrap();
            for (place, (found, alone)) in found.iter().zip(alone).enumerate() {
                let at = format!("{what} at {} and {}, {place}", points[lane], others[lane]);
                same(found.points()[lane], alone, &at);
            }
        }
    }
    all
}

#[derive(Clone, Copy)]
struct Of(Unary);

impl Two<2> for Of {
    fn at<R: Scalar>(self, [a, b]: [R; 2]) -> [R; 2] {
        [self.0.of_scalar(a), self.0.of_scalar(a * b)]
    }
}

#[test]
fn every_function_of_the_table_is_that_of_each_point() {
    // Only in double precision, because compiling every function for every mode takes longer than any other test.
    for &f in Unary::ALL {
        assert!(sweep::<f64, 2>(Of(f), f.name()), "{}", f.name());
    }
}

#[derive(Clone, Copy)]
struct Pairs;

impl Two<18> for Pairs {
    fn at<R: Scalar>(self, [a, b]: [R; 2]) -> [R; 18] {
        let c = R::Plain::from_f64(0.5);
        [
            a + b * c,
            (a - b) / c,
            a / b,
            a % b,
            a.powf(b),
            a.powi(3) + b.powi(-2),
            a.hypot(b),
            a.atan2(b),
            a.max(b) * b,
            a.min(b) * a,
            a.copysign(b) * a,
            a.abs_sub(b),
            a.mul_add(b, a).add_product(a, b),
            R::dot(&[a, b], &[b, a.sin()]),
            R::linear(&[c, R::Plain::from_f64(1.0)], &[a, b]),
            R::sum_of(&[a, b, a]),
            a.less(b).select(a * b, b) + a.equal(b) + a.at_most(b).select(a, a.sqrt()),
            R::fuse([a, b], |[a, b]| [a.sin() * b])[0],
        ]
    }
}

#[derive(Clone, Copy)]
struct Exponentials;

impl Two<1> for Exponentials {
    fn at<R: Scalar>(self, [a, b]: [R; 2]) -> [R; 1] {
        [R::logsumexp(&[a, b, a * b])]
    }
}

#[test]
fn every_operation_of_two_is_that_of_each_point() {
    assert!(sweep::<f64, 18>(Pairs, "pairs"));
    assert!(sweep::<f32, 18>(Pairs, "pairs"));
    // If some of the points are infinite, they are evaluated one by one.
    assert!(!sweep::<f64, 1>(Exponentials, "logsumexp"));
}

/// A model with a branch: a saturating curve in `t` with a kink, and its squared error for an observed `y`.
struct Curve;

impl<F: Element + Scalar<Plain = F>> Function<F> for Curve {
    fn eval<R: Real<F>>(&self, x: &[R], y: &mut [R]) {
        let [rate, offset, t, seen] = [x[0], x[1], x[2], x[3]];
        let bent = if t > F::one() { (t - F::one()).sqrt() } else { t };
        let of = rate.exp() * bent.tanh() + (offset * t).relu();
        (y[0], y[1]) = ((of - seen).square(), of * offset);
    }
}

/// `count` observations `t`, some of them beyond the branch, with the observed values.
fn data<F: Element>(count: usize) -> Vec<F> {
    (0..2 * count).map(|i| F::from_f64(0.013 * ((i * i) % 97) as f64)).collect()
}

/// The first result of the model.
fn first<F: Element + Scalar<Plain = F>, R: Real<F>>(x: &[R]) -> R {
    let mut y = [R::zero(); 2];
    Curve.eval(x, &mut y);
    y[0]
}

struct First;

impl<F: Element + Scalar<Plain = F>> Function<F> for First {
    fn eval<R: Real<F>>(&self, x: &[R], y: &mut [R]) {
        y[0] = first(x);
    }
}

fn close<F: Element>(found: &[F], known: &[F], what: &str) {
    for (found, known) in found.iter().zip(known) {
        // Sums of at most 20 terms in another order.
        let bound = 20.0 * F::epsilon().as_f64() * known.as_f64().abs().max(1.0);
        assert!((*found - *known).as_f64().abs() <= bound, "{what}: {found}, alone {known}");
    }
}

fn observed<F: Element + Scalar<Plain = F>, const N: usize>(count: usize) {
    let data = data::<F>(count);
    let x: Vec<F> = (0..6).map(|i| <F as Element>::from_f64(0.2 + 0.1 * f64::from(i))).collect();
    let places: Vec<usize> = (0..2 * count).map(|i| (3 * i + i / 5) % 6).collect();
    let mut map = Map::<F, N>::new();
    for gathered in [true, false] {
        let (all, x, n) = match (gathered, Observations::new(count, &data)) {
            (true, all) => (all.at(&places), &x[..], 6),
            (false, all) => (all, &x[..2], 2),
        };
        let place = |i: usize, a: usize| if gathered { places[2 * i + a] } else { a };
        let (mut y, mut blocks) = (vec![F::zero(); 2 * count], vec![F::zero(); 4 * count]);
        map.jacobians(&Curve, x, all, &mut y, &mut blocks).unwrap();
        let mut values = y.clone();
        map.values(&Curve, x, all, &mut values).unwrap();
        assert_eq!(values, y);
        let (mut gradient, mut hessian) = (vec![F::zero(); n], vec![F::zero(); n * n]);
        let mut known = (F::zero(), gradient.clone(), hessian.clone());
        for i in 0..count {
            let at = [x[place(i, 0)], x[place(i, 1)], data[2 * i], data[2 * i + 1]];
            let (alone, block) = jacobian(&Curve, &at, 2).unwrap();
            for j in 0..2 {
                same(y[2 * i + j], alone[j], "value");
                (0..2).for_each(|a| same(blocks[4 * i + 2 * j + a], block[4 * j + a], "entry"));
            }
            let (mut g, mut h) = ([F::zero(); 4], [F::zero(); 16]);
            let mut tape = Tape::<Dual<F, 4>>::new();
            known.0 += tape.hessian(|x| first(x), &at, &mut g, &mut h).unwrap();
            for a in 0..2 {
                known.1[place(i, a)] += g[a];
                (0..2).for_each(|b| known.2[place(i, a) * n + place(i, b)] += h[4 * a + b]);
            }
        }
        let value = map.hessian(&First, x, all, &mut gradient, &mut hessian).unwrap();
        close(&[value], &[known.0], "sum");
        close(&gradient, &known.1, "gradient");
        close(&hessian, &known.2, "Hessian");
        let mut again = vec![F::one(); n];
        let value = map.gradient(&First, x, all, &mut again).unwrap();
        close(&[value], &[known.0], "sum");
        close(&again, &gradient, "gradient alone");
    }
}

#[test]
fn many_observations_are_as_each_alone() {
    for count in [0, 1, 3, 4, 7, 8, 9, 20] {
        observed::<f64, 8>(count);
        observed::<f64, 3>(count);
        observed::<f32, 4>(count);
    }
}

#[test]
fn branches_that_differ_are_a_fault_of_a_tape() {
    fn steep<R: Real>(x: R) -> R {
        if x > 1.0 { x * 2.0 } else { x }
    }
    let x = Lanes::new([0.5, 3.0]);
    let (mut tape, mut g) = (Tape::new(), [Lanes::default()]);
    assert_eq!(tape.gradient(|x| steep(x[0]), &[x], &mut g).unwrap_err(), Fault::Branches);
    assert_eq!(
        Fault::Branches.to_string(),
        "points side by side take different branches: evaluate them one by one"
    );
    // Neither the next recording nor an enclosing one is affected.
    let found = tape.gradient(|x| steep(x[0]), &[x + 1.0], &mut g);
    assert_eq!(found.map(Lanes::points), Ok([3.0, 8.0]));
    assert_eq!(g[0].points(), [2.0; 2]);
    assert!(together(|| together(|| x < 1.0)).is_some_and(|inner| inner.is_none()));
    assert!(together(|| x.primal()).is_none() && together(|| x + x == x * 2.0).is_some());
}

#[test]
fn an_observation_that_is_nan_is_that_alone() {
    struct Root;
    impl Function for Root {
        fn eval<R: Real>(&self, x: &[R], y: &mut [R]) {
            y[0] = (x[0] - x[1]).ln() * x[0];
        }
    }
    let (mut y, mut slopes) = ([0.0; 3], [0.0; 3]);
    let all = Observations::new(3, &[1.0, 3.0, 0.0]);
    Map::<f64, 4>::new().jacobians(&Root, &[2.0], all, &mut y, &mut slopes).unwrap();
    assert_eq!([y[0], y[2]], [0.0, 2.0 * 2.0_f64.ln()]);
    assert_eq!([slopes[0], slopes[2]], [2.0, 2.0_f64.ln() + 1.0]);
    assert!(y[1].is_nan() && slopes[1].is_nan());
}

#[test]
fn what_does_not_fit_is_a_fault() {
    let (mut map, data) = (Map::<f64>::new(), [0.0; 8]);
    let mut told =
        |x: &[f64], all, g: &mut [f64]| map.gradient(&First, x, all, g).unwrap_err().to_string();
    let all = Observations::new(3, &data);
    assert_eq!(
        told(&[1.0, 1.0], all, &mut [0.0; 2]),
        "the data of observations: found 8 values, expected 9"
    );
    let all = Observations::new(4, &data);
    assert_eq!(told(&[1.0, 1.0], all, &mut [0.0]), "the gradient: found 1 values, expected 2");
    let places = all.at(&[0, 1, 2]);
    assert_eq!(
        told(&[1.0, 1.0], places, &mut [0.0; 2]),
        "the places of observations: found 3 values, expected 4"
    );
    let places = all.at(&[0, 1, 0, 1, 0, 2, 1, 1]);
    assert_eq!(
        told(&[1.0, 1.0], places, &mut [0.0; 2]),
        "map: index 2 is out of range, expected less than 2"
    );
    let mut map = Map::<f64>::new();
    let (mut y, mut blocks) = ([0.0; 7], [0.0; 8]);
    let fault = map.jacobians(&Curve, &[1.0, 1.0], all, &mut y, &mut blocks).unwrap_err();
    assert_eq!(fault.to_string(), "the results of observations: found 7 values, expected 4");
}
