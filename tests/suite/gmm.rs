//! The Gaussian mixture objective: the numbers of the peer comparison, a plain evaluation of its definition, and its
//! derivatives against differences.

#![expect(
    clippy::excessive_precision,
    clippy::unreadable_literal,
    reason = "numbers as they are stored"
)]

#[path = "../../autodiff/tests/support/workloads.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "one of its workloads is used")]
mod workloads;

#[path = "../../benches/gmm/mixture.rs"]
#[allow(unreachable_pub, reason = "the bench uses it as well")]
mod mixture;

use crate::support::deviation;
use hypertape::problems::generator::Stream;
use hypertape::{Element, Workspace, check, dot};
use mixture::{Gmm, Wishart};
use workloads::{Mixture, Work};

/// Value, gradient and the Hessian-vector product along `v_i = ((31 i mod 17) - 8) / 8` at the start.
struct At {
    value: f64,
    gradient: Vec<f64>,
    product: Vec<f64>,
    v: Vec<f64>,
}

fn at_start<T: Element>(gmm: &Gmm<T>) -> At {
    let x = gmm.start();
    let v: Vec<f64> = (0..x.len()).map(|i| ((i * 31 % 17) as f64 - 8.0) / 8.0).collect();
    let direction: Vec<T> = v.iter().map(|&v| T::from_f64(v)).collect();
    let (mut gradient, mut product) = (vec![T::zero(); x.len()], vec![T::zero(); x.len()]);
    let value = Workspace::new()
        .hvp(gmm, &gmm.shapes(), x, &direction, &mut gradient, &mut product)
        .unwrap()
        .as_f64();
    let [gradient, product] = [gradient, product].map(|g| g.iter().map(|g| g.as_f64()).collect());
    At { value, gradient, product, v }
}

fn value(gmm: &Gmm<f64>) -> f64 {
    let mut value = [0.0];
    Workspace::new().value(gmm, &gmm.shapes(), gmm.start(), &mut value).unwrap();
    value[0]
}

/// One component: `f = l - (x - mu)^2 e^{2l}/2 - ln(2 pi)/2 + e^{2l}/2` and a constant.
#[test]
fn one_component_has_the_gradient_of_its_formula() {
    let gmm = Gmm::<f64>::new(&[3.0], &[0.7, 1.0, 0.0], 1, Wishart::default()).unwrap();
    assert_eq!(at_start(&gmm).gradient, [0.0, 2.0, 1.0 - 4.0 + 1.0]);
}

/// Deviations from the peers' numbers of workload T3: of the value, of gradient entries, norm and slope along `v`, and
/// the same of the Hessian-vector product.
fn deviations_on_t3<T: Element>() -> [f64; 3] {
    let at = at_start(&Gmm::<T>::generated([10, 25, 1000], 3).unwrap());
    let of = |g: &[f64]| [&[dot(g, g).sqrt(), dot(g, &at.v)], &g[..8]].concat();
    let gradient = [of(&at.gradient), vec![at.gradient[1649]]].concat();
    [
        deviation(&[at.value], &[-15207.086649648892]),
        deviation(
            &gradient,
            &[
                594.11536493278152,
                47.835546208122587,
                11.344647692875473,
                8.0732974076739623,
                -5.3587364861224538,
                3.0281517929618991,
                21.246295726109416,
                26.077336375349514,
                -0.6685488123528498,
                -6.2643627549471175,
                -2.6505716139699365,
            ],
        ),
        deviation(
            &of(&at.product),
            &[
                1656.0995133662175,
                -7410.0377992923341,
                -26.234100350918855,
                -79.646182357398587,
                -5.6200586727493889,
                12.248171582490208,
                45.2741491842038,
                -7.7409051866840208,
                -34.128507417420728,
                46.223566299905045,
            ],
        ),
    ]
}

#[test]
fn peer_workload_t3() {
    let [value, gradient, product] = deviations_on_t3::<f64>();
    // Observed 5e-16, 2e-15 and 1e-15.
    assert!(value < 1e-14 && gradient < 1e-13 && product < 1e-13, "{value} {gradient} {product}");
}

#[test]
fn peer_workload_t3_in_single_precision() {
    let [value, gradient, product] = deviations_on_t3::<f32>();
    // Observed 5e-7, 3e-7 and 1e-6: a few units of rounding, 6e-8.
    assert!(value < 1e-5 && gradient < 1e-5 && product < 5e-5, "{value} {gradient} {product}");
}

/// The definition, point by point and component by component, without the constant of the prior.
fn plain(points: &[f64], x: &[f64], d: usize, prior: Wishart) -> f64 {
    let size = d * (d + 1) / 2;
    let k = x.len() / (1 + d + size);
    let (a, rest) = x.split_at(k);
    let (mu, factors) = rest.split_at(k * d);
    let components: Vec<_> =
        a.iter().zip(mu.chunks_exact(d)).zip(factors.chunks_exact(size)).collect();
    let weights: f64 = a.iter().map(|a| a.exp()).sum();
    let mut value = 0.0;
    for x in points.chunks_exact(d) {
        let density = |&((a, mu), factor): &((&f64, &[f64]), &[f64])| {
            let (logs, mut strict) = (&factor[..d], factor[d..].iter());
            let mut y: Vec<f64> = (0..d).map(|i| logs[i].exp() * (x[i] - mu[i])).collect();
            for col in 0..d {
                for y in &mut y[col + 1..] {
                    *y += strict.next().unwrap() * (x[col] - mu[col]);
                }
            }
            let normal = (2.0 * std::f64::consts::PI).powf(-(d as f64) / 2.0);
            (a + logs.iter().sum::<f64>() - dot(&y, &y) / 2.0).exp() / weights * normal
        };
        value += components.iter().map(density).sum::<f64>().ln();
    }
    for factor in factors.chunks_exact(size) {
        let diagonal: f64 = factor[..d].iter().map(|l| (2.0 * l).exp()).sum();
        let square = diagonal + dot(&factor[d..], &factor[d..]);
        let log_det: f64 = factor[..d].iter().sum();
        value += prior.gamma.powi(2) / 2.0 * square - f64::from(prior.m) * log_det;
    }
    value
}

/// Points in `[-2, 2)` and parameters in `[-0.5, 0.5)`.
fn random(d: usize, k: usize, n: usize) -> (Vec<f64>, Vec<f64>) {
    let stream = |i, n, width: f64| -> Vec<f64> {
        Stream::new(5, i).uniforms(n).iter().map(|u| width * (u - 0.5)).collect()
    };
    (stream(0, n * d, 4.0), stream(1, k * (1 + d + d * (d + 1) / 2), 1.0))
}

#[test]
fn value_is_that_of_the_definition() {
    let prior = Wishart { gamma: 1.3, m: 2 };
    let (points, x) = random(2, 3, 5);
    let gmm = Gmm::new(&points, &x, 2, prior).unwrap();
    // Gamma_2(5/2) = sqrt(pi) Gamma(5/2) Gamma(2) = 3 pi / 4.
    let constant = 10.0 * (1.3 / f64::sqrt(2.0)).ln() - (0.75 * std::f64::consts::PI).ln();
    let expected = plain(&points, &x, 2, prior) - 3.0 * constant;
    // Observed 8e-16, a few units of rounding.
    assert!(deviation(&[value(&gmm)], &[expected]) < 1e-14);
}

/// More points than one block holds. The constant of the prior, which `plain` leaves out, does not depend on them.
#[test]
fn blocks_add_up() {
    let (points, x) = random(10, 3, 2500);
    let prior = Wishart::default();
    let difference = |n: usize| {
        let points = &points[..10 * n];
        value(&Gmm::new(points, &x, 10, prior).unwrap()) - plain(points, &x, 10, prior)
    };
    // Observed 3e-11 in sums of 4e4.
    assert!((difference(2500) - difference(1)).abs() < 1e-9);
}

#[test]
fn derivatives_agree_with_differences() {
    for (d, k, n) in [(1, 1, 3), (1, 4, 9), (2, 3, 5), (4, 2, 30)] {
        let (points, x) = random(d, k, n);
        let gmm = Gmm::new(&points, &x, d, Wishart { gamma: 0.8, m: 3 }).unwrap();
        let At { v, .. } = at_start(&gmm);
        let orders = check::taylor(&gmm, &gmm.shapes(), &x, &v).unwrap();
        let gap = check::central_differences(&gmm, &gmm.shapes(), &x).unwrap();
        let product = check::dot_product(&gmm, &gmm.shapes(), &x, &v, &[1.0]).unwrap();
        // Observed up to 1.5e-10, what differences can do, and 3e-16.
        assert!(orders.gradient > 1.9 && orders.hessian > 2.9, "{d} {k} {n}: {orders:?}");
        assert!(gap < 1e-8 && product < 2e-14, "{d} {k} {n}: {gap} {product}");
    }
}

#[test]
fn a_common_shift_of_points_and_means_changes_nothing() {
    let (mut points, mut x) = random(3, 4, 50);
    let new = |points: &[f64], x: &[f64]| Gmm::new(points, x, 3, Wishart::default()).unwrap();
    let before = value(&new(&points, &x));
    points.iter_mut().chain(&mut x[4..16]).for_each(|v| *v += 1e6);
    let gap = deviation(&[value(&new(&points, &x))], &[before]);
    // The shifted points are rounded at 1e-10. Observed 4e-12.
    assert!(gap < 2e-10, "{gap}");
}

/// Two components of one width at -1 and 1, points within it of either.
#[test]
fn narrow_components_off_the_centre_lose_the_digits_that_are_documented() {
    let prior = Wishart::default();
    for width in [1e-1_f64, 1e-2, 1e-3, 1e-4] {
        let steps = (0..9).map(|i| width * (f64::from(i) / 4.0 - 1.0));
        let points: Vec<f64> = steps.flat_map(|step| [1.0 + step, -1.0 + step]).collect();
        let x = [0.3, -0.2, 1.0, -1.0, -width.ln(), -width.ln()];
        let gmm = Gmm::new(&points, &x, 1, prior).unwrap();
        // The constant of the prior is ln 2 a component.
        let gap = value(&gmm) - plain(&points, &x, 1, prior) - 2.0 * f64::ln(2.0);
        // Rounding of each exponent, observed up to 0.03 of it.
        let bound = 18.0 * f64::EPSILON * (2.0 / width).powi(2);
        assert!(gap.abs() < bound, "{width}: {gap} {bound}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let error = |points: usize, start: usize, d, gamma| {
        let gmm =
            Gmm::<f64>::new(&vec![0.0; points], &vec![0.0; start], d, Wishart { gamma, m: 0 });
        gmm.unwrap_err().to_string()
    };
    assert_eq!(
        error(7, 12, 2, 1.0),
        "mixture: found 7 numbers of points in 2 dimensions, expected a multiple of 2"
    );
    assert_eq!(
        error(8, 13, 2, 1.0),
        "mixture: found 13 numbers of parameters in 2 dimensions, expected a multiple of 6"
    );
    assert_eq!(
        error(8, 12, 0, 1.0),
        "mixture: found 8 numbers of points in 0 dimensions, expected a multiple of 0"
    );
    assert_eq!(
        error(0, 12, 2, 1.0),
        "mixture: found 2 components in 2 dimensions on 0 points, expected at least one of each, and arrays below 2^32 entries"
    );
    assert_eq!(
        error(8, 12, 2, -1.0),
        "mixture: found scale -1 of the prior, expected a positive number"
    );
    assert!(Gmm::<f64>::generated([usize::MAX, usize::MAX, 1], 0).is_err());
}

/// The mixture in scalar code, point by point on a scalar tape, and in array code, by one product.
#[test]
fn scalar_and_array_code_agree() {
    let at = at_start(&Gmm::<f64>::generated([10, 25, 1000], 3).unwrap());
    let work = Mixture::new();
    let (mut gradient, mut product) = (vec![0.0; 1650], vec![0.0; 1650]);
    for fused in [false, true] {
        let value = hypertape::scalar::Tape::new()
            .hvp(|x| work.eval(x, fused), work.x(), &at.v, &mut gradient, &mut product)
            .unwrap();
        let gaps = [
            deviation(&[value], &[at.value]),
            deviation(&gradient, &at.gradient),
            deviation(&product, &at.product),
        ];
        // Observed up to 9e-15: the same numbers by other formulas.
        assert!(gaps.iter().all(|gap| *gap < 1e-13), "{gaps:?}");
    }
}
