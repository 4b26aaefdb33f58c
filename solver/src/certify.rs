//! `certify`: what estimators are worth at a point, measured over draws: error, variance, time, and how well the moments are
//! predicted.

use std::ops::Range;
use std::time::Instant;

use hypertape_autodiff::Element;

use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::report::Report;
use crate::rollout::Task;

/// A mean over draws, and its standard error.
pub type Mean = [f64; 2];

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

/// Estimates at `x` by each estimator with each draw of `seed` and the `iterations`, as a run would make them there, and one
/// by `exact` to compare with. An estimator that adapts does so.
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
    let (known, _, _) = estimates(exact, oracle, inner, x, &draws)?;
    let certificate = |estimator: &mut Box<dyn Estimator<T>>| {
        let (found, seconds, report) = estimates(&mut **estimator, oracle, inner, x, &draws)?;
        let gaps = found.iter().zip(&known).map(|(g, e)| difference(g, e)).collect::<Vec<_>>();
        let [gap, size] = [&gaps, &known].map(|vectors| square(&average(vectors)).sqrt());
        let centre = average(&found);
        let around: Vec<f64> = found.iter().map(|g| square(&difference(g, &centre))).collect();
        let n = draws.len() as f64;
        let spread = mean(gaps.iter().map(|g| square(&difference(g, &average(&gaps)))))[0];
        let ratio = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a / b };
        let [variance, error] = mean(around.into_iter()).map(|v| v * n / (n - 1.0));
        Ok(Certificate {
            name: estimator.name(),
            error: ratio(gap, size),
            standard_errors: ratio(gap, (spread / (n - 1.0)).sqrt()),
            variance: [variance, error],
            second_moment: mean(found.iter().map(|g| square(g))),
            predicted: predicted(&**estimator, oracle, inner, x, &draws, &known)?,
            seconds,
            report,
        })
    };
    estimators.iter_mut().map(certificate).collect()
}

pub(crate) type Estimates = (Vec<Vec<f64>>, f64, Option<Report>);

/// The estimates of the draws, mean seconds, the worst report.
pub(crate) fn estimates<T: Element>(
    estimator: &mut dyn Estimator<T>,
    oracle: &mut Oracle<T>,
    inner: &InnerLoop,
    x: &[T],
    draws: &[Draw],
) -> Result<Estimates, Error> {
    let (mut gradient, mut all) = (vec![T::zero(); x.len()], Vec::new());
    let (clock, mut worst) = (Instant::now(), None::<Report>);
    for &draw in draws {
        let report = estimator.estimate(oracle, inner, x, draw, &mut gradient)?.report;
        worst = report.map(|report| worst.map_or(report, |worst| worst.worst(report)));
        all.push(gradient.iter().map(|g| g.as_f64()).collect());
    }
    Ok((all, clock.elapsed().as_secs_f64() / draws.len() as f64, worst))
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

pub(crate) fn square(a: &[f64]) -> f64 {
    a.iter().map(|a| a * a).sum()
}

pub(crate) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn average(vectors: &[Vec<f64>]) -> Vec<f64> {
    let entry = |i: usize| vectors.iter().map(|v| v[i]).sum::<f64>() / vectors.len() as f64;
    (0..vectors[0].len()).map(entry).collect()
}

pub(crate) fn mean(values: impl Iterator<Item = f64> + Clone) -> Mean {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let spread = values.map(|v| (v - mean).powi(2)).sum::<f64>();
    [mean, (spread / n / (n - 1.0)).sqrt()]
}
