//! `certify`: what estimators are worth at a point, measured over draws: error, variance, time, and how well the moments are
//! predicted.

use std::ops::Range;
use std::time::Duration;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::report::Soundness;
use crate::rollout::Task;
use crate::stats::{Mean, centre, difference, mean, square};

/// What the draws of an estimator say, beside the exact gradients of the same draws.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Certificate {
    /// The estimator.
    pub name: String,
    /// The norm of the mean of `G - g`, relative to that of `g`.
    pub error: f64,
    /// The standard error of that mean, likewise relative: of the estimator's own second moment where it has a formula, of the
    /// draws elsewhere, and in both cases no less than three times what a single draw moves the mean by, as rare large draws
    /// tell little of how rare they are. Infinite where chance left no trace in any draw.
    pub standard_error: f64,
    /// What follows from both.
    pub verdict: Judgement,
    /// `|E g|`.
    pub exact_norm: f64,
    /// `E|G - E G|^2`: chance of the estimator, tasks and mini-batches together.
    pub variance: Mean,
    /// `E|G|^2`.
    pub second_moment: Mean,
    /// The same by the estimator's formula, from the exact gradients and corrections of the draws.
    pub predicted: Option<f64>,
    /// Mean time of an estimate.
    pub seconds: f64,
    /// The worst of the draws.
    pub soundness: Soundness,
}

impl Certificate {
    /// Time times variance: what a run of short steps pays for the same accuracy.
    pub fn product(&self) -> f64 {
        self.seconds * self.variance[0]
    }
}

/// What draws say about the mean of an estimator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Every draw agrees with the exact gradient, but for rounding.
    Exact,
    /// The mean is within five standard errors, and these are small enough to see a bias of half the gradient.
    Unbiased,
    /// The mean is off by more.
    Biased,
    /// The draws are too few to tell.
    Undecided,
}

/// Standard errors that a mean may be off by: false alarms are below 1 of 100, over coins of every probability and any number
/// of draws.
const ALLOWED: f64 = 5.0;

/// Of a spread that may be rounding, relative to the mean.
const ROUNDING: f64 = 1e-8;

/// Of a mean that is off by `error` with a standard error, both relative to the gradient.
fn verdict(error: f64, standard_error: f64, rounding: f64) -> Judgement {
    let varies = standard_error.is_finite() && standard_error > rounding;
    if error <= rounding && !varies {
        Judgement::Exact
    } else if error > ALLOWED * standard_error {
        Judgement::Biased
    } else if ALLOWED * standard_error <= 0.5 {
        Judgement::Unbiased
    } else {
        Judgement::Undecided
    }
}

/// The standard error of the mean of `n` gaps, of which the squares about the mean are `around`, or, with a formula, on average
/// `excess`, and whose mean is `gap`.
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

/// More draws would fill memory with their estimates.
const MOST: u64 = 1_000_000;

/// Estimates at `x` by each estimator with each draw of `seed` and the `iterations`, as a run would make them there, beside those
/// of `exact` with the same draws, whose certificate comes first. An estimator that adapts does so.
///
/// Cost: that of the estimates, and for `predicted` an exact gradient more a draw and estimator. Memory: all estimates.
///
/// # Errors
/// [`Error::Told`] for fewer than two draws, or more than a million; as [`Estimator::estimate`].
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
    let mut all: Vec<&mut dyn Estimator<T>> = vec![&mut *exact];
    for estimator in estimators {
        all.push(&mut **estimator);
    }
    let found = Estimates::in_turn(&mut all, oracle, inner, x, &draws)?;
    let mut certificates = Vec::new();
    for (estimates, estimator) in found.iter().zip(&all) {
        let known = &found[0].gradients;
        let predicted = predicted(&**estimator, oracle, inner, x, &draws, known)?;
        let rounding = 1e4 * T::epsilon().as_f64();
        certificates.push(estimates.judged(&found[0], predicted, estimator.chance(), rounding));
    }
    Ok(certificates)
}

/// What an estimator found with some draws, in their order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Estimates {
    /// The estimator.
    pub name: String,
    /// Its estimates.
    pub gradients: Vec<Vec<f64>>,
    /// The mean time of one.
    pub seconds: f64,
    /// The worst of them.
    pub soundness: Soundness,
}

impl Estimates {
    /// Those of all `estimators`, draw by draw in turn, so that what else the machine does falls on all alike.
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
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
        let mut times = vec![Duration::ZERO; all.len()];
        let mut gradient = vec![T::zero(); x.len()];
        for &draw in draws {
            for ((estimator, own), time) in estimators.iter_mut().zip(&mut all).zip(&mut times) {
                let estimate = estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
                own.gradients.push(gradient.iter().map(|g| g.as_f64()).collect());
                *time += estimate.cost.time;
                own.soundness = own.soundness.worst(estimate.soundness);
            }
        }
        for (own, time) in all.iter_mut().zip(times) {
            own.seconds = time.as_secs_f64() / draws.len() as f64;
        }
        Ok(all)
    }

    /// What they say beside `exact` ones of the same draws, of which there is one at least; the variance of a single draw is NaN.
    /// Nothing is `predicted`, and chance is judged by the draws alone.
    ///
    /// # Panics
    /// Unless there are as many, of as many variables.
    #[must_use]
    #[track_caller]
    pub fn beside(&self, exact: &Self) -> Certificate {
        self.judged(exact, None, true, 0.0)
    }

    fn judged(
        &self,
        exact: &Self,
        predicted: Option<f64>,
        chance: bool,
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
        let standard_error = ratio(standard_error(&around(&gaps), gap, excess, chance), exact_norm);
        Certificate {
            name: self.name.clone(),
            error,
            standard_error,
            verdict: verdict(error, standard_error, rounding),
            exact_norm,
            variance: mean(&around(found)).map(|v| v * n / (n - 1.0)),
            second_moment: mean(&squares),
            predicted,
            seconds: self.seconds,
            soundness: self.soundness,
        }
    }
}

/// `E|G|^2` by formula, if the estimator has one: chances of the tasks of a meta-batch are independent.
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

    /// An exact gradient of 1, an estimate of `1 - missed`, and a coin of `q` whose hit adds `missed / q`.
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
                    // 20 of 2000 would be 1 of 100; observed are 13 at most.
                    assert!(alarms < 20, "{q} {draws} {formula}: {alarms}");
                }
            }
        }
    }

    #[test]
    fn what_many_draws_can_tell_is_told() {
        for (draws, expected) in [(20, Judgement::Undecided), (2000, Judgement::Unbiased)] {
            let agree = (0..200).filter(|&seed| tossed(0.3, 0.5, draws, true, seed) == expected);
            // But for the alarms, and draws that happen to agree.
            assert!(agree.count() >= 190, "{draws}");
        }
        let told = |gap: f64, around: &[f64], chance| {
            verdict(gap, standard_error(around, gap, None, chance), 1e-12)
        };
        // A coin that forgets to divide, 0.5 (1 - 0.3): seen.
        assert_eq!(told(0.35, &[0.05; 400], true), Judgement::Biased);
        // Without chance there is nothing to wait for.
        assert_eq!(told(0.01, &[0.0; 5], false), Judgement::Biased);
        assert_eq!(told(0.8, &[0.0; 5], true), Judgement::Undecided);
    }
}
