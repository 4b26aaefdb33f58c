//! The Gaussian mixture objective on larger inputs than those of the protocol's test: compared with a plain evaluation
//! of its definition on more points than a block holds, derivatives compared with differences, and the documented
//! accuracy.

use hypertape_autodiff::{Workspace, check, dot};
use hypertape_gradbench::mixture::{Gmm, Wishart};

fn value(gmm: &Gmm, x: &[f64]) -> f64 {
    let mut value = [0.0];
    Workspace::new().value(gmm, &gmm.shapes(), x, &mut value).unwrap();
    value[0]
}

/// One component: `f = q - (x - mu)^2 e^{2q}/2 - ln(2 pi)/2 - e^{2q}/2` and a constant.
#[test]
fn one_component_has_the_gradient_of_its_formula() {
    let gmm = Gmm::new(&[3.0], [1, 1], Wishart { gamma: 1.0, m: 0 }).unwrap();
    let mut gradient = [0.0; 3];
    Workspace::new().gradient(&gmm, &gmm.shapes(), &[0.7, 1.0, 0.0], &mut gradient).unwrap();
    assert_eq!(gradient, [0.0, 2.0, 1.0 - 4.0 - 1.0]);
}

/// The definition, point by point and component by component, without the constant of the prior.
fn plain(points: &[f64], x: &[f64], [d, k]: [usize; 2], prior: Wishart) -> f64 {
    let below = d * (d - 1) / 2;
    let (a, rest) = x.split_at(k);
    let (mu, rest) = rest.split_at(k * d);
    let (q, l) = rest.split_at(k * d);
    let weights: f64 = a.iter().map(|a| a.exp()).sum();
    let mut value = 0.0;
    for x in points.chunks_exact(d) {
        let density = |k: usize| {
            let (mu, logs, mut strict) =
                (&mu[k * d..][..d], &q[k * d..][..d], l[k * below..].iter());
            let mut y: Vec<f64> = (0..d).map(|i| logs[i].exp() * (x[i] - mu[i])).collect();
            for col in 0..d {
                for y in &mut y[col + 1..] {
                    *y += strict.next().unwrap() * (x[col] - mu[col]);
                }
            }
            let normal = (2.0 * std::f64::consts::PI).powf(-(d as f64) / 2.0);
            (a[k] + logs.iter().sum::<f64>() - dot(&y, &y) / 2.0).exp() / weights * normal
        };
        value += (0..k).map(density).sum::<f64>().ln();
    }
    let square = q.iter().map(|q| (2.0 * q).exp()).sum::<f64>() + dot(l, l);
    value - prior.gamma.powi(2) / 2.0 * square + f64::from(prior.m) * q.iter().sum::<f64>()
}

/// Points in `[-2, 2)` and parameters in `[-0.5, 0.5)`.
fn random(d: usize, k: usize, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut state = 5_u64;
    let mut stream = |n: usize, width: f64| -> Vec<f64> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..n).map(|_| width * (next() - 0.5)).collect()
    };
    (stream(n * d, 4.0), stream(k * (1 + d + d * (d + 1) / 2), 1.0))
}

/// Uses more points than one block holds. The constant of the prior, which `plain` leaves out, does not depend on them.
#[test]
fn blocks_add_up() {
    let (points, x) = random(10, 3, 2500);
    let prior = Wishart { gamma: 1.0, m: 0 };
    let difference = |n: usize| {
        let points = &points[..10 * n];
        value(&Gmm::new(points, [10, 3], prior).unwrap(), &x) - plain(points, &x, [10, 3], prior)
    };
    // Observed 3e-11 in sums of 4e4.
    assert!((difference(2500) - difference(1)).abs() < 1e-9);
}

#[test]
fn derivatives_agree_with_differences() {
    for (d, k, n) in [(1, 1, 3), (1, 4, 9), (2, 3, 5), (4, 2, 30)] {
        let (points, x) = random(d, k, n);
        let gmm = Gmm::new(&points, [d, k], Wishart { gamma: 0.8, m: 3 }).unwrap();
        let v: Vec<f64> = (0..x.len()).map(|i| ((i * 31 % 17) as f64 - 8.0) / 8.0).collect();
        let orders = check::taylor(&gmm, &gmm.shapes(), &x, &v).unwrap();
        let gap = check::central_differences(&gmm, &gmm.shapes(), &x).unwrap();
        let product = check::dot_product(&gmm, &gmm.shapes(), &x, &v, &[1.0]).unwrap();
        // Observed up to 1.8e-10, the accuracy of differences, and 6e-16.
        assert!(orders.gradient > 1.9 && orders.hessian > 2.9, "{d} {k} {n}: {orders:?}");
        assert!(gap < 1e-8 && product < 2e-14, "{d} {k} {n}: {gap} {product}");
    }
}

#[test]
fn a_common_shift_of_points_and_means_changes_nothing() {
    let (mut points, mut x) = random(3, 4, 50);
    let at = |points: &[f64], x: &[f64]| {
        value(&Gmm::new(points, [3, 4], Wishart { gamma: 1.0, m: 0 }).unwrap(), x)
    };
    let before = at(&points, &x);
    points.iter_mut().chain(&mut x[4..16]).for_each(|v| *v += 1e6);
    let gap = at(&points, &x) / before - 1.0;
    // The shifted points are rounded at 1e-10. Observed 2e-12.
    assert!(gap.abs() < 2e-10, "{gap}");
}

/// Two components of equal width at -1 and 1, and points within that width of either.
#[test]
fn narrow_components_off_the_centre_lose_the_digits_that_are_documented() {
    let prior = Wishart { gamma: 1.0, m: 0 };
    for width in [1e-1_f64, 1e-2, 1e-3, 1e-4] {
        let steps = (0..9).map(|i| width * (f64::from(i) / 4.0 - 1.0));
        let points: Vec<f64> = steps.flat_map(|step| [1.0 + step, -1.0 + step]).collect();
        let x = [0.3, -0.2, 1.0, -1.0, -width.ln(), -width.ln()];
        let gmm = Gmm::new(&points, [1, 2], prior).unwrap();
        // The constant of the prior is -ln 2 per component.
        let gap = value(&gmm, &x) - plain(&points, &x, [1, 2], prior) + 2.0 * f64::ln(2.0);
        // Rounding of each exponent; observed up to 0.02 of it.
        let bound = 18.0 * f64::EPSILON * (2.0 / width).powi(2);
        assert!(gap.abs() < bound, "{width}: {gap} {bound}");
    }
}

#[test]
fn sizes_of_none_are_named() {
    let error = |d, n| Gmm::new(&vec![0.0; n], [d, 2], Wishart { gamma: 1.0, m: 0 }).unwrap_err();
    let expected = "expected at least one of each, and arrays below 2^32 entries";
    assert_eq!(error(2, 0), format!("found 2 components in 2 dimensions on 0 points, {expected}"));
    assert_eq!(error(0, 8), format!("found 2 components in 0 dimensions on 0 points, {expected}"));
}
