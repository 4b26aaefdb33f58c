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
use crate::report::Report;
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
    /// The same in standard errors of that mean: about 1 without bias, 0 where all draws agree with `g`, infinite where all
    /// are off by the same.
    pub standard_errors: f64,
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
    /// The worst of the draws, of an implicit estimate.
    pub report: Option<Report>,
}

impl Certificate {
    /// Time times variance: what a run of short steps pays for the same accuracy.
    pub fn product(&self) -> f64 {
        self.seconds * self.variance[0]
    }

    /// Whether the error is within so many standard errors, or what rounding to `epsilon` explains.
    pub fn unbiased(&self, standard_errors: f64, epsilon: f64) -> bool {
        self.standard_errors <= standard_errors || self.error <= 1e4 * epsilon
    }
}

/// Estimates at `x` by each estimator with each draw of `seed` and the `iterations`, as a run would make them there, beside those
/// of `exact` with the same draws, whose certificate comes first. An estimator that adapts does so.
///
/// Cost: that of the estimates, and for `predicted` an exact gradient more a draw and estimator. Memory: all estimates.
///
/// # Errors
/// [`Error::Invalid`] for fewer than two draws; as [`Estimator::estimate`].
pub fn certify<T: Element>(
    exact: &mut dyn Estimator<T>,
    estimators: &mut [Box<dyn Estimator<T>>],
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    (seed, iterations): (u64, Range<u64>),
) -> Result<Vec<Certificate>, Error> {
    let draws: Vec<Draw> = iterations.map(|k| Draw::new(seed, k)).collect();
    if draws.len() < 2 {
        return Err(Error::invalid("draws to certify by", draws.len(), "2 or more"));
    }
    let mut all: Vec<&mut dyn Estimator<T>> = vec![&mut *exact];
    for estimator in estimators {
        all.push(&mut **estimator);
    }
    let found = Estimates::in_turn(&mut all, oracle, inner, x, &draws)?;
    let mut certificates = Vec::new();
    for (estimates, estimator) in found.iter().zip(&all) {
        let known = &found[0].gradients;
        let predicted = predicted(&**estimator, oracle, inner, x, &draws, known)?;
        certificates.push(Certificate { predicted, ..estimates.beside(&found[0]) });
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
    /// The worst of them, of an implicit estimator.
    pub report: Option<Report>,
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
            report: None,
        };
        let mut all: Vec<Self> = estimators.iter().map(none).collect();
        let mut times = vec![Duration::ZERO; all.len()];
        let mut gradient = vec![T::zero(); x.len()];
        for &draw in draws {
            for ((estimator, own), time) in estimators.iter_mut().zip(&mut all).zip(&mut times) {
                let estimate = estimator.estimate(oracle, inner, x, draw, &mut gradient)?;
                own.gradients.push(gradient.iter().map(|g| g.as_f64()).collect());
                *time += estimate.cost.time;
                let worst = |report: Report| own.report.map_or(report, |worst| worst.worst(report));
                own.report = estimate.report.map(worst);
            }
        }
        for (own, time) in all.iter_mut().zip(times) {
            own.seconds = time.as_secs_f64() / draws.len() as f64;
        }
        Ok(all)
    }

    /// What they say beside `exact` ones of the same draws, of which there is one at least; the variance of a single draw is NaN.
    /// Nothing is `predicted`.
    ///
    /// # Panics
    /// Unless there are as many, of as many variables.
    #[must_use]
    #[track_caller]
    pub fn beside(&self, exact: &Self) -> Certificate {
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
        Certificate {
            name: self.name.clone(),
            error: ratio(gap, exact_norm),
            standard_errors: ratio(gap, (mean(&around(&gaps))[0] / (n - 1.0)).sqrt()),
            exact_norm,
            variance: mean(&around(found)).map(|v| v * n / (n - 1.0)),
            second_moment: mean(&squares),
            predicted: None,
            seconds: self.seconds,
            report: self.report,
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
            let at = Task { x, draw: draw.for_task(oracle.task(draw, slot)), slot };
            let Some(excess) = estimator.excess(oracle, inner, at)? else { return Ok(None) };
            sum += excess / (batch * batch) as f64;
        }
    }
    Ok(Some(sum / draws.len() as f64))
}
