//! Statistics of measurements: moments with their errors, order statistics with confidence intervals, means of vectors.

use hypertape_autodiff::Element;

/// A mean and its standard error.
pub type Mean = [f64; 2];

/// Returns mean and sample variance. The variance of a single value is NaN.
///
/// ```
/// use hypertape_solver::stats::moments;
/// assert_eq!(moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), [5.0, 32.0 / 7.0]);
/// ```
pub fn moments(values: &[f64]) -> [f64; 2] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)]
}

/// Returns the mean and its standard error, `sqrt(variance / n)`.
///
/// ```
/// use hypertape_solver::stats::mean;
/// assert_eq!(mean(&[1.0, 2.0, 3.0, 6.0]), [3.0, (14.0_f64 / 3.0 / 4.0).sqrt()]);
/// ```
pub fn mean(values: &[f64]) -> Mean {
    let [mean, variance] = moments(values);
    [mean, (variance / values.len() as f64).sqrt()]
}

/// Returns the quantile of level `q` in `[0, 1]`, by linear interpolation between order statistics (Hyndman and Fan
/// 1996, type 7).
///
/// Sorts `values`, and returns NaN if there are none.
///
/// ```
/// use hypertape_solver::stats::quantile;
/// let mut values = [4.0, 1.0, 3.0, 2.0];
/// assert_eq!([0.0, 0.25, 0.5, 1.0].map(|q| quantile(&mut values, q)), [1.0, 1.75, 2.5, 4.0]);
/// ```
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    values[below] + (place - below as f64) * (values[above] - values[below])
}

/// Returns lower end, median and upper end of a 95 % confidence interval for the median, between the order statistics
/// `(n -+ 1.96 sqrt n) / 2`, or between all values if there are fewer than 6.
///
/// Sorts `values`, and returns `None` if there are none.
///
/// ```
/// use hypertape_solver::stats::median_and_interval;
/// let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
/// assert_eq!(median_and_interval(&mut hundred), Some([41.0, 50.5, 60.0]));
/// assert_eq!(median_and_interval(&mut [3.0, 1.0]), Some([1.0, 2.0, 3.0]));
/// ```
pub fn median_and_interval(values: &mut [f64]) -> Option<[f64; 3]> {
    let (median, n) = (quantile(values, 0.5), values.len());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    let rank = ((n as f64 - 1.96 * (n as f64).sqrt()) / 2.0).max(0.0) as usize;
    Some([*values.get(rank)?, median, values[n - 1 - rank]])
}

/// Returns the p-value of the two-sided test of Mann and Whitney (1947): the approximate probability that the ranks of
/// two samples of the same distribution differ by at least this much.
///
/// It uses the normal approximation without ties. The value is 1 for empty samples.
///
/// ```
/// use hypertape_solver::stats::rank_test;
/// // All of ten before all of ten: 2 of 184 756 orders, which the approximation does not exceed by much.
/// let [low, high] = [0, 10].map(|from| (from..from + 10).map(f64::from).collect::<Vec<_>>());
/// assert!((rank_test(&low, &high) - 1.57e-4).abs() < 1e-6);
/// assert_eq!(rank_test(&low, &low), 1.0);
/// ```
pub fn rank_test(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    // 1 for each smaller value, and a half for each that is equal.
    let wins = |a: &f64, b: &f64| 0.5 * f64::from(u8::from(a > b) + 1 - u8::from(a < b));
    let above: f64 = a.iter().flat_map(|a| b.iter().map(move |b| wins(a, b))).sum();
    let z = (above - n * m / 2.0).abs() / (n * m * (n + m + 1.0) / 12.0).sqrt();
    if z.is_nan() || z == 0.0 { 1.0 } else { 2.0 * upper_tail(z) }
}

/// Returns `P(Z > z)` for a standard normal `Z` and `z >= 0`, with an absolute error of 1e-7 (Abramowitz and Stegun
/// 1964, 26.2.17).
fn upper_tail(z: f64) -> f64 {
    let t = (1.0 + 0.231_641_9 * z).recip();
    let terms = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let series = terms.iter().fold(0.0, |sum, term| (sum + term) * t);
    series * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Returns `|a|^2` in double precision, in which squares of single-precision entries do not overflow or underflow.
pub(crate) fn square<T: Element>(a: &[T]) -> f64 {
    a.iter().map(|a| a.as_f64().powi(2)).sum()
}

/// `a - b`
pub(crate) fn difference<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    a.iter().zip(b).map(|(&a, &b)| a - b).collect()
}

/// Returns the mean of vectors, of which there must be at least one.
pub(crate) fn centre(vectors: &[Vec<f64>]) -> Vec<f64> {
    let entry = |i: usize| vectors.iter().map(|v| v[i]).sum::<f64>() / vectors.len() as f64;
    (0..vectors[0].len()).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values() {
        assert!(moments(&[7.0])[1].is_nan() && mean(&[]).iter().all(|v| v.is_nan()));
        assert_eq!(median_and_interval(&mut []), None);
        assert_eq!(median_and_interval(&mut [7.0]), Some([7.0; 3]));
        assert!(quantile(&mut [], 0.5).is_nan());
        assert_eq!(quantile(&mut [7.0], 0.3), 7.0);
    }

    #[test]
    fn tests_of_ranks_keep_their_level() {
        use rand::RngExt;
        let mut random = crate::draw::Draw::new(5, 0).stream();
        let mut sample =
            |n: usize| (0..n).map(|_| random.random::<f64>().powi(3)).collect::<Vec<_>>();
        for n in [6, 8, 20] {
            let alarms = (0..20_000).filter(|_| rank_test(&sample(n), &sample(n)) < 0.01).count();
            // 200 are expected; the approximation is conservative for few values.
            assert!(alarms <= 230, "{n}: {alarms}");
        }
    }

    #[test]
    fn vectors_have_moments_too() {
        let vectors = [vec![1.0, 0.0], vec![3.0, 4.0]];
        assert_eq!(centre(&vectors), [2.0, 2.0]);
        assert_eq!(square(&difference(&vectors[0], &centre(&vectors))), 5.0);
    }
}
