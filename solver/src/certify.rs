//! `certify`: measures estimators at a point over several draws: error, variance, time, and how well the second moments
//! are predicted.

use std::ops::Range;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::report::Soundness;
use crate::rollout::Task;
use crate::stats::{Mean, centre, difference, mean, square};

/// What the draws of an estimator show when compared with the exact gradients of the same draws.
///
/// `G` is an estimate and `g` the exact gradient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Certificate {
    /// Name of the estimator.
    pub name: String,
    /// Norm of the mean of `G - g`, relative to that of `g`.
    pub error: f64,
    /// Standard error of that mean, relative to the same norm. It is computed from the estimator's own second moment if
    /// there is a formula for it, and from the draws otherwise. In both cases it is at least three times the amount by
    /// which a single draw moves the mean, because rare large draws say little about how rare they are. It is infinite
    /// if the estimator is random but the draws show no variation.
    pub standard_error: f64,
    /// Verdict that follows from `error` and `standard_error`.
    pub verdict: Judgement,
    /// `|E g|`.
    pub exact_norm: f64,
    /// `E|G - E G|^2`, with the randomness of estimator, tasks and mini-batches together; like the second moment NaN if
    /// the estimator is random but the draws show no variation.
    pub variance: Mean,
    /// `E|G|^2`.
    pub second_moment: Mean,
    /// `E|G|^2` by the estimator's formula, from the exact gradients and corrections of the draws.
    pub predicted: Option<f64>,
    /// Mean time of an estimate in seconds.
    pub seconds: f64,
    /// The worst soundness among the draws.
    pub soundness: Soundness,
}

impl Certificate {
    /// Returns what a reader should know: the warnings of the estimates, and whether the draws show the spread at all.
    pub fn warnings(&self) -> Vec<String> {
        let none = "no draw differs from another, as if no correction was drawn: variance and E|G|^2 are not known; \
                    take more draws";
        let unknown = self.variance[0].is_nan().then(|| none.to_owned());
        self.soundness.warnings().into_iter().chain(unknown).collect()
    }

    /// Time times variance: the cost, in a run of short steps, of a given accuracy.
    pub fn product(&self) -> f64 {
        self.seconds * self.variance[0]
    }
}

/// What the draws say about the mean of an estimator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Every draw agrees with the exact gradient up to rounding.
    Exact,
    /// The error of the mean is at most two standard errors, and five of these are at most a quarter of the gradient:
    /// a bias of that size would be seen.
    Unbiased,
    /// The error of the mean is larger than five standard errors.
    Biased,
    /// The error is between the two, or there are too few draws to see a bias of a quarter of the gradient.
    Undecided,
}

/// Number of standard errors by which a mean may be off. The rate of false alarms is below 1 %, for coins of every
/// probability and any number of draws.
const ALLOWED: f64 = 5.0;

/// Number of standard errors by which the mean of an unbiased estimator is off, but for one in ten or so: the standard
/// error is that of the whole vector, so one is expected.
const EXPECTED: f64 = 2.0;

/// Bias, relative to the gradient, that must be seen before an estimator is called unbiased.
const SEEN: f64 = 0.25;

/// Spread, relative to the mean, below which a variation may be due to rounding.
const ROUNDING: f64 = 1e-8;

/// Returns the verdict for a mean that is off by `error` with a standard error, both relative to the gradient.
fn verdict(error: f64, standard_error: f64, rounding: f64) -> Judgement {
    let varies = standard_error.is_finite() && standard_error > rounding;
    if error <= rounding && !varies {
        Judgement::Exact
    } else if error > ALLOWED * standard_error {
        Judgement::Biased
    } else if error <= EXPECTED * standard_error && ALLOWED * standard_error <= SEEN {
        Judgement::Unbiased
    } else {
        Judgement::Undecided
    }
}

/// Returns the standard error of the mean of `n` gaps. `around` are their squared distances from the mean, `gap` is the
/// norm of the mean, and `excess` is the mean squared distance by the estimator's formula, if there is one.
fn standard_error(around: &[f64], gap: f64, excess: Option<f64>, chance: bool) -> f64 {
    let n = around.len() as f64;
    let sampled = mean(around)[0] / (n - 1.0);
    let square = excess.map_or(sampled, |excess| excess / n);
    let most = around.iter().copied().fold(0.0, f64::max);
    if chance && square <= (ROUNDING * gap).powi(2) {
        return f64::INFINITY;
    }
    (square + 9.0 * most / (n * n) * f64::from(u8::from(chance))).sqrt()
}

/// Largest number of draws: more would fill memory with their estimates.
const MOST: u64 = 1_000_000;

/// Computes estimates at `x` by each estimator, with each draw of `seed` and the `iterations`, as a run would at that
/// point, and compares them with those of `exact` for the same draws.
///
/// The first certificate is that of `exact`. Estimators that adapt do so during the call.
///
/// Cost: that of the estimates, and for `predicted` one further exact gradient per draw and estimator. Memory: all
/// estimates are kept.
///
/// # Errors
/// Returns [`Error::Told`] for fewer than two or more than a million draws, and the errors of [`Estimator::estimate`].
pub fn certify<T: Element>(
    exact: &mut dyn Estimator<T>,
    estimators: &mut [Box<dyn Estimator<T>>],
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    (seed, iterations): (u64, Range<u64>),
) -> Result<Vec<Certificate>, Error> {
    inner.expect_countable("certify")?;
    let number = iterations.end.saturating_sub(iterations.start);
    if !(2..=MOST).contains(&number) {
        return Err(Error::told(format!(
            "certify keeps an estimate of each draw: it takes from 2 to {MOST} draws, not {number}"
        )));
    }
    let draws: Vec<Draw> = iterations.map(|k| Draw::new(seed, k)).collect();
    let mut all: Vec<&mut dyn Estimator<T>> = vec![exact];
    all.extend(estimators.iter_mut().map(|other| &mut **other as &mut dyn Estimator<T>));
    let found = Estimates::in_turn(&mut all, oracle, inner, x, &draws)?;
    let mut certificates = Vec::new();
    for (estimates, estimator) in found.iter().zip(&all) {
        let known = &found[0].gradients;
        let predicted = predicted(&**estimator, oracle, inner, x, &draws, known)?;
        let rounding = 1e4 * T::epsilon().as_f64();
        certificates.push(estimates.judged(
            &found[0],
            predicted,
            Some(estimator.chance()),
            rounding,
        ));
    }
    Ok(certificates)
}

/// The estimates of one estimator, in the order of the draws.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Estimates {
    /// Name of the estimator.
    pub name: String,
    /// The estimates.
    pub gradients: Vec<Vec<f64>>,
    /// Mean time of an estimate in seconds.
    pub seconds: f64,
    /// The worst soundness among the estimates.
    pub soundness: Soundness,
}

impl Estimates {
    /// Computes the estimates of all `estimators`.
    ///
    /// They take turns for every draw, so that other load on the machine affects all of them alike.
    ///
    /// # Errors
    /// Returns the errors of [`Estimator::estimate`].
    pub fn in_turn<T: Element>(
        estimators: &mut [&mut dyn Estimator<T>],
        oracle: &mut Oracle<T>,
        inner: &InnerLoop,
        x: &[T],
        draws: &[Draw],
    ) -> Result<Vec<Self>, Error> {
        let none = |estimator: &&mut dyn Estimator<T>| Self {
            name: estimator.name(),
            gradients: Vec::new(),
            seconds: 0.0,
            soundness: Soundness::default(),
        };
        let mut all: Vec<Self> = estimators.iter().map(none).collect();
        let mut gradient = vec![T::zero(); x.len()];
        for &draw in draws {
            for (estimator, own) in estimators.iter_mut().zip(&mut all) {
                let estimate = estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
                own.gradients.push(gradient.iter().map(|g| g.as_f64()).collect());
                own.seconds += estimate.cost.time.as_secs_f64() / draws.len() as f64;
                own.soundness = own.soundness.worst(estimate.soundness);
            }
        }
        Ok(all)
    }

    /// Compares the estimates with the `exact` ones of the same draws, of which there must be at least one.
    ///
    /// The variance of a single draw is NaN. `predicted` is `None`, and randomness is judged by the draws alone.
    ///
    /// # Panics
    /// Panics if the two differ in the number of estimates or of variables.
    #[must_use]
    #[track_caller]
    pub fn beside(&self, exact: &Self) -> Certificate {
        self.judged(exact, None, None, 0.0)
    }

    /// `chance` says whether the estimator is random, if that is known.
    fn judged(
        &self,
        exact: &Self,
        predicted: Option<f64>,
        chance: Option<bool>,
        rounding: f64,
    ) -> Certificate {
        let (found, known, n) = (&self.gradients, &exact.gradients, self.gradients.len() as f64);
        let sizes = |all: &[Vec<f64>]| all.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(found), sizes(known), "estimates and exact gradients");
        let gaps: Vec<_> = found.iter().zip(known).map(|(g, e)| difference(g, e)).collect();
        let around = |vectors: &[Vec<f64>]| {
            let centre = centre(vectors);
            vectors.iter().map(|v| square(&difference(v, &centre))).collect::<Vec<_>>()
        };
        let [gap, exact_norm] = [&gaps, known].map(|vectors| square(&centre(vectors)).sqrt());
        let ratio = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a / b };
        let squares: Vec<f64> = found.iter().map(|g| square(g)).collect();
        let known_square = known.iter().map(|g| square(g)).sum::<f64>() / n;
        let excess = predicted.map(|predicted| (predicted - known_square).max(0.0));
        let error = ratio(gap, exact_norm);
        let may = chance.unwrap_or(true);
        let gaps = around(&gaps);
        let standard_error = ratio(standard_error(&gaps, gap, excess, may), exact_norm);
        // Draws that do not differ say nothing about the spread of a random estimator.
        let spread = gaps.into_iter().fold(0.0, f64::max);
        let hidden = chance == Some(true) && error > ROUNDING && spread <= (ROUNDING * gap).powi(2);
        let shown = |of: Mean| if hidden { [f64::NAN; 2] } else { of };
        Certificate {
            name: self.name.clone(),
            error,
            standard_error,
            verdict: verdict(error, standard_error, rounding),
            exact_norm,
            variance: shown(mean(&around(found)).map(|v| v * n / (n - 1.0))),
            second_moment: shown(mean(&squares)),
            predicted,
            seconds: self.seconds,
            soundness: self.soundness,
        }
    }
}

/// Returns `E|G|^2` by formula if the estimator has one. The random choices for the tasks of a meta-batch are
/// independent.
pub(crate) fn predicted<T: Element>(
    estimator: &dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draws: &[Draw],
    known: &[Vec<f64>],
) -> Result<Option<f64>, Error> {
    let (mut sum, batch) = (0.0, oracle.batch());
    for (&draw, known) in draws.iter().zip(known) {
        sum += square(known);
        for slot in 0..batch {
            let at = Task { inner, x, draw: draw.for_task(oracle.task(draw, slot)), slot };
            let Some(excess) = estimator.excess(oracle, at)? else { return Ok(None) };
            sum += excess / (batch * batch) as f64;
        }
    }
    Ok(Some(sum / draws.len() as f64))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Judges an estimator with exact gradient 1 that returns `1 - missed`, plus `missed / q` with probability `q`.
    fn tossed(q: f64, missed: f64, draws: usize, formula: bool, seed: u64) -> Judgement {
        let mut random = Draw::new(seed, 0).stream();
        let gap = |hit: bool| missed * (f64::from(u8::from(hit)) / q - 1.0);
        let gaps: Vec<f64> = (0..draws).map(|_| gap(random.random_bool(q))).collect();
        let centre = mean(&gaps)[0];
        let around: Vec<f64> = gaps.iter().map(|gap| (gap - centre).powi(2)).collect();
        let excess = formula.then_some(missed * missed * (1.0 / q - 1.0));
        verdict(centre.abs(), standard_error(&around, centre.abs(), excess, true), 1e-12)
    }

    #[test]
    fn fewer_than_one_false_alarm_in_a_hundred() {
        for q in [0.01, 0.03, 0.1, 0.3, 0.7] {
            for draws in [2, 5, 20, 100, 400] {
                for formula in [true, false] {
                    let alarms = (0..2000)
                        .filter(|&seed| tossed(q, 0.5, draws, formula, seed) == Judgement::Biased)
                        .count();
                    // 20 of 2000 would be 1 %; at most 13 are observed.
                    assert!(alarms < 20, "{q} {draws} {formula}: {alarms}");
                }
            }
        }
    }

    #[test]
    fn draws_that_agree_hide_a_spread_only_where_there_is_one() {
        let of = |g: f64| Estimates {
            name: "constant".to_owned(),
            gradients: vec![vec![g]; 3],
            seconds: 1.0,
            soundness: Soundness::default(),
        };
        let judged = |chance| of(0.5).judged(&of(1.0), None, chance, 0.0);
        let random = judged(Some(true));
        assert!(random.variance[0].is_nan() && random.second_moment[0].is_nan());
        assert_eq!(random.warnings().len(), 1);
        // An estimator that is not random, or may not be, such as a truncated one in a study, has a variance of 0.
        for certificate in [judged(Some(false)), of(0.5).beside(&of(1.0))] {
            assert_eq!((certificate.variance[0], certificate.second_moment[0]), (0.0, 0.25));
            assert!(certificate.warnings().is_empty());
        }
    }

    #[test]
    fn what_many_draws_can_tell_is_told() {
        for (draws, expected) in [(20, Judgement::Undecided), (2000, Judgement::Unbiased)] {
            let agree = (0..200).filter(|&seed| tossed(0.3, 0.5, draws, true, seed) == expected);
            // Except for the alarms, and for draws that happen to agree.
            assert!(agree.count() >= 190, "{draws}");
        }
        let told = |gap: f64, around: &[f64], chance| {
            verdict(gap, standard_error(around, gap, None, chance), 1e-12)
        };
        // A coin without the division by its probability, 0.5 (1 - 0.3), is detected.
        assert_eq!(told(0.35, &[0.05; 400], true), Judgement::Biased);
        // A deterministic estimator is judged at once.
        assert_eq!(told(0.01, &[0.0; 5], false), Judgement::Biased);
        assert_eq!(told(0.8, &[0.0; 5], true), Judgement::Undecided);
    }
}
