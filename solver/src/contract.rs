//! Checks that every estimator must pass, whether of this crate or of another: agreement with a known hypergradient,
//! counts, bytes, and bits that do not depend on who computes them.
//!
//! The problem is quadratic with a known hypergradient (`closed.rs`): three tasks, `p = 3` inner and `d = 2` outer
//! variables, and a start that depends on `x`. What an estimator must satisfy depends on its [`Class`]:
//!
//! | class | gap to the [`Truth`] | tolerance |
//! |---|---|---|
//! | [`Exact`](Class::Exact) | relative, in loops of 1 step and of [`steps`](Contract::steps); for the limit, in a loop 16 times as long | 1e-10 |
//! | [`Unbiased`](Class::Unbiased) | of the mean over the draws, in standard errors of its entries | [`standard_errors`](Contract::standard_errors) |
//! | [`Biased`](Class::Biased) | relative, of the mean over the draws | the stated bound, which must be at most ten times the gap |
//!
//! Draws are seeded, so the result is the same each time. Over seeds, the mean of an unbiased estimator lies beyond 5
//! standard errors in one of two entries with a probability of 1.2e-6, as far as means of this many draws are normal.

mod closed;

use std::fmt;

use crate::check::{Check, Kind};
use crate::contract::closed::{Closed, D, P, TASKS, X, truth};
use crate::cost::Cost;
use crate::draw::Draw;
use crate::error::Error;
use crate::estimator::Estimator;
use crate::inner::InnerLoop;
use crate::oracle::Oracle;
use crate::params::norm;
use crate::rule::momentum::Momentum;
use crate::stats::{centre, difference, mean};

const SEED: u64 = 12;

/// Relative gap explained by rounding; linear solvers have tolerances below it.
const ROUNDING: f64 = 1e-10;

/// Accuracy, relative to the truth, to which means must be known; otherwise a bias could remain unseen.
const RESOLUTION: f64 = 0.1;

/// Factor by which a stated bound may exceed the observed bias.
const LOOSE: f64 = 10.0;

/// Factor by which the loop is lengthened in which an estimator must have reached the limit.
const LONGER: usize = 16;

const LOSS: Kind = Kind("loss", "the loss is not the outer loss where the inner loop ends");
const GRADIENT: Kind = Kind("gradient", "the gradient is not the one that the class promises");
const MEAN: Kind = Kind("mean", "the mean over draws is off by this many standard errors: a bias");
const RESOLVED: Kind =
    Kind("resolution", "the mean is not known well enough to see a bias: more draws are needed");
const BOUND: Kind =
    Kind("bound", "the stated bias is this many times the real one, and says little");
const REPLAYED: Kind = Kind("same draw", "bits or counts differ between equal calls: hidden state");
const THREADS: Kind = Kind("two threads", "bits or counts depend on the number of threads");
const RESUMED: Kind = Kind("resumed", "bits differ after state() went through set_state()");
const TOLD: Kind = Kind("told cost", "the estimate tells other counts than its oracle metered");
const STEPS: Kind =
    Kind("steps", "steps of the loop are missing in the count: `count_step` counts one");
const COUNTS: Kind = Kind("counts", "the counts are not those that were stated");
const ABOVE: Kind = Kind("bytes above", "more bytes were used than the rehearsal predicts");
const BELOW: Kind = Kind("bytes below", "fewer bytes were used than the rehearsal predicts");
const LEFT: Kind =
    Kind("bytes left", "vectors that were taken from the oracle were not given back");

/// The quantity that an estimator approximates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The hypergradient of the loop that was run.
    Unrolled,
    /// The gradient of the limit of that loop, which implicit estimates approach as the loop gets longer.
    Limit,
}

/// How close an estimator comes to its [`Truth`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    /// Equal to the truth up to rounding; for the limit, once the loop is long.
    Exact(Truth),
    /// Equal to the truth in the mean over draws; for the limit, once the loop is long.
    Unbiased(Truth),
    /// The mean over draws is off by at most this much, relative to the norm of the truth.
    Biased(Truth, f64),
}

/// Function from `r`, `p` and `d` to the counts for one task.
pub type Counted = fn(r: u64, p: u64, d: u64) -> [u64; 5];

/// What an estimator promises, and how thoroughly this is checked. Start from [`new`](Self::new) and change fields.
#[derive(Clone, Copy, Debug)]
pub struct Contract {
    /// The quantity that is estimated, and how closely.
    pub class: Class,
    /// Number of inner steps, 6 by default.
    pub steps: usize,
    /// Step size, 0.6 by default; the distance to the limit then shrinks by a factor of 0.7 per step.
    pub lr: f64,
    /// Momentum of the heavy ball that takes the steps; 0 is gradient descent.
    pub momentum: f64,
    /// Number of draws of an estimator that is not exact, 4000 by default.
    pub draws: u64,
    /// Standard errors by which the mean of an unbiased estimator may be off, 5 by default.
    pub standard_errors: f64,
    /// Counts for a task of `r` steps with `p` inner and `d` outer variables: plain steps, inner gradients,
    /// Hessian-vector products, mixed products, outer gradients.
    pub counts: Option<Counted>,
    /// Bytes by which a prediction may exceed what is used, 0 by default. It is not checked for unbiased estimators,
    /// whose draws differ.
    pub spare_bytes: u64,
}

impl Contract {
    /// Returns the contract of an estimator of that class, under gradient descent, with any counts.
    pub fn new(class: Class) -> Self {
        let (steps, lr, momentum) = (6, 0.6, 0.0);
        let (draws, standard_errors, counts, spare_bytes) = (4000, 5.0, None, 0);
        Self { class, steps, lr, momentum, draws, standard_errors, counts, spare_bytes }
    }
}

/// A contract that an estimator did not meet. Its text has one line per failed check.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Broken {
    /// The estimator returned an error.
    Refused {
        /// Name of the estimator.
        estimator: String,
        /// The error.
        error: Error,
    },
    /// The estimates are not as promised.
    Failed {
        /// Name of the estimator.
        estimator: String,
        /// The checks that failed.
        checks: Vec<Check>,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { estimator, error } => write!(f, "{estimator}: {error}"),
            Self::Failed { estimator, checks } => {
                let lines = checks.iter().map(|check| format!("{estimator}: {check}"));
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

impl std::error::Error for Broken {}

/// Checks the estimators that `make` returns, which must all be alike, against `contract`, and returns all checks if
/// none failed:
///
/// - the gradient satisfies its class, and the loss is right;
/// - bits and counts are the same for equal draws, on one thread and on two (feature `threads`), and after the state
///   was saved and read back;
/// - counts agree with the meter, include the steps of the loop, and are as stated;
/// - bytes are as predicted, and all vectors are given back.
///
/// Cost: a few loops, and one per draw and task if the class is about a mean.
///
/// ```
/// use hypertape_solver::contract::{Class, Contract, Truth, hold};
/// use hypertape_solver::{Exact, Estimator, FirstOrder};
///
/// let exact = || Ok(Box::new(Exact::default()) as Box<dyn Estimator<f64>>);
/// let contract = Contract {
///     counts: Some(|r, _, _| [r, r, r, r, 1]),
///     ..Contract::new(Class::Exact(Truth::Unrolled))
/// };
/// let checks = hold(&contract, &exact)?;
/// assert!(checks.iter().any(|check| check.name == "gradient" && check.observed < 1e-14));
///
/// // Nor is an estimator unbiased that leaves out second derivatives: it is off by 80 % here.
/// let first_order = || Ok(Box::new(FirstOrder) as Box<dyn Estimator<f64>>);
/// let broken = hold(&Contract::new(Class::Unbiased(Truth::Unrolled)), &first_order).unwrap_err();
/// assert!(broken.to_string().starts_with("first-order: mean: found "));
/// hold(&Contract::new(Class::Biased(Truth::Unrolled, 0.81)), &first_order)?;
/// # Ok::<(), hypertape_solver::contract::Broken>(())
/// ```
///
/// # Errors
/// Returns [`Broken`] with every check that failed, or with the error of an estimate.
pub fn hold(
    contract: &Contract,
    make: &dyn Fn() -> Result<Box<dyn Estimator<f64>>, Error>,
) -> Result<Vec<Check>, Broken> {
    let refused = |error| {
        let estimator = make().map_or_else(|_| "the estimator".into(), |made| made.name());
        Broken::Refused { estimator, error }
    };
    let bench = Bench { contract, make };
    let checks = bench.checks().map_err(refused)?;
    let failed: Vec<Check> = checks.iter().filter(|check| check.failed()).cloned().collect();
    if failed.is_empty() {
        return Ok(checks);
    }
    Err(Broken::Failed { estimator: make().map_err(refused)?.name(), checks: failed })
}

/// An estimate, and everything that is checked about it.
struct Seen {
    loss: f64,
    gradient: Vec<f64>,
    /// The cost that the estimate states, and the one that the oracle metered.
    cost: Cost,
    metered: Cost,
    predicted: u64,
    left: u64,
}

impl Seen {
    fn counts(&self) -> [u64; 5] {
        counts(&self.cost)
    }

    /// Number of values and counts that differ.
    fn unlike(&self, other: &Self) -> f64 {
        let bits = |seen: &Self| -> Vec<u64> {
            let values = seen.gradient.iter().chain([&seen.loss]).map(|v| v.to_bits());
            values.chain(seen.counts()).collect()
        };
        unlike(&bits(self), &bits(other))
    }
}

fn counts(cost: &Cost) -> [u64; 5] {
    [cost.plain_steps, cost.inner_gradients, cost.hvps, cost.mixed, cost.outer_gradients]
}

fn unlike(a: &[u64], b: &[u64]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as f64
}

/// `|a - b| / |b|`
fn gap(a: &[f64], b: &[f64]) -> f64 {
    norm(&difference(a, b)) / norm(b)
}

/// The contract and the estimators under test.
struct Bench<'c> {
    contract: &'c Contract,
    make: &'c dyn Fn() -> Result<Box<dyn Estimator<f64>>, Error>,
}

impl Bench<'_> {
    fn oracle(&self) -> Result<Oracle<'static, f64>, Error> {
        let mut oracle = Oracle::new(Closed::new())?;
        if self.contract.momentum != 0.0 {
            oracle.set_rule(Momentum::heavy_ball(self.contract.momentum)?);
        }
        Ok(oracle)
    }

    /// Returns the loss after `steps` steps, and the gradient that the class refers to.
    fn truth(&self, steps: usize) -> (f64, [f64; D]) {
        let Contract { lr, momentum, class, .. } = *self.contract;
        let (Class::Exact(truly) | Class::Unbiased(truly) | Class::Biased(truly, _)) = class;
        let (loss, unrolled) = truth(Some(steps), lr, momentum);
        match truly {
            Truth::Unrolled => (loss, unrolled),
            Truth::Limit => (loss, truth(None, lr, momentum).1),
        }
    }

    /// Number of steps at which the class must hold.
    fn steps(&self) -> usize {
        let Contract { class, steps, .. } = *self.contract;
        let long = matches!(class, Class::Exact(Truth::Limit) | Class::Unbiased(Truth::Limit));
        if long { LONGER * steps } else { steps }
    }

    fn see(
        &self,
        estimator: &mut dyn Estimator<f64>,
        oracle: &mut Oracle<f64>,
        steps: usize,
        k: u64,
    ) -> Result<Seen, Error> {
        let (inner, draw) = (InnerLoop::new(steps, self.contract.lr)?, Draw::new(SEED, k));
        // An estimator that adds to the gradient instead of overwriting it returns NaN.
        let mut gradient = vec![f64::NAN; D];
        let predicted = estimator.predict(oracle, &inner, &X, draw)?;
        let estimate = estimator.estimate(oracle, &inner, &X, draw, &mut gradient)?;
        let (metered, left) = (oracle.cost(), oracle.left());
        Ok(Seen { loss: estimate.loss, gradient, cost: estimate.cost, metered, predicted, left })
    }

    fn checks(&self) -> Result<Vec<Check>, Error> {
        let Contract { class, steps, .. } = *self.contract;
        let mut checks = match class {
            Class::Exact(_) => self.exact()?,
            Class::Unbiased(_) | Class::Biased(..) => self.in_the_mean()?,
        };
        let (mut oracle, mut estimator) = (self.oracle()?, (self.make)()?);
        let first = self.see(&mut *estimator, &mut oracle, steps, 0)?;
        let again = self.see(&mut *(self.make)()?, &mut oracle, steps, 0)?;
        checks.push(REPLAYED.judged(first.unlike(&again), 0.0));
        #[cfg(not(feature = "threads"))]
        checks.push(THREADS.skipped("built without threads"));
        #[cfg(feature = "threads")]
        {
            let mut oracle = self.oracle()?;
            oracle.set_threads(2)?;
            let shared = self.see(&mut *(self.make)()?, &mut oracle, steps, 0)?;
            checks.push(THREADS.judged(first.unlike(&shared), 0.0));
        }
        self.see(&mut *estimator, &mut oracle, steps, 1)?;
        let mut other = (self.make)()?;
        other.set_state(&estimator.state())?;
        let on = self.see(&mut *estimator, &mut oracle, steps, 2)?;
        let resumed = self.see(&mut *other, &mut oracle, steps, 2)?;
        checks.push(RESUMED.judged(on.unlike(&resumed), 0.0));
        self.count(&mut checks)?;
        Ok(checks)
    }

    fn exact(&self) -> Result<Vec<Check>, Error> {
        let (mut oracle, steps) = (self.oracle()?, self.steps());
        let [mut loss_gap, mut gradient_gap] = [0.0_f64; 2];
        let short = if steps == self.contract.steps { 1 } else { steps };
        for steps in [short, steps] {
            let (loss, gradient) = self.truth(steps);
            let seen = self.see(&mut *(self.make)()?, &mut oracle, steps, 0)?;
            loss_gap = loss_gap.max(gap(&[seen.loss], &[loss]));
            gradient_gap = gradient_gap.max(gap(&seen.gradient, &gradient));
        }
        Ok(vec![LOSS.judged(loss_gap, ROUNDING), GRADIENT.judged(gradient_gap, ROUNDING)])
    }

    fn in_the_mean(&self) -> Result<Vec<Check>, Error> {
        let Contract { class, draws, standard_errors, .. } = *self.contract;
        let (mut oracle, mut estimator, steps) = (self.oracle()?, (self.make)()?, self.steps());
        let ((loss, gradient), mut loss_gap) = (self.truth(steps), 0.0_f64);
        let mut all = Vec::new();
        for k in 0..draws.max(2) {
            let seen = self.see(&mut *estimator, &mut oracle, steps, k)?;
            loss_gap = loss_gap.max(gap(&[seen.loss], &[loss]));
            all.push(seen.gradient);
        }
        let mut checks = vec![LOSS.judged(loss_gap, ROUNDING)];
        let (found, size) = (centre(&all), norm(&gradient));
        let errors: Vec<f64> =
            (0..D).map(|j| mean(&all.iter().map(|g| g[j]).collect::<Vec<_>>())[1]).collect();
        checks.push(RESOLVED.judged(standard_errors * norm(&errors) / size, RESOLUTION));
        let off = gap(&found, &gradient);
        if let Class::Biased(_, most) = class {
            checks.push(GRADIENT.judged(off - standard_errors * norm(&errors) / size, most));
            checks.push(BOUND.judged(most / off, LOOSE));
        } else {
            // Rounding of the means is not a bias if all draws agree.
            let scaled = |(gap, error): (f64, &f64)| gap.abs() / error.max(ROUNDING * size / 1e3);
            let gaps = difference(&found, &gradient).into_iter();
            checks.push(
                MEAN.judged(gaps.zip(&errors).map(scaled).fold(0.0, f64::max), standard_errors),
            );
        }
        Ok(checks)
    }

    /// Checks counts and bytes for two lengths and several draws each.
    fn count(&self, checks: &mut Vec<Check>) -> Result<(), Error> {
        let Contract { class, steps, counts: stated, spare_bytes, .. } = *self.contract;
        let mut oracle = self.oracle()?;
        let [mut told, mut missing, mut unstated, mut above, mut below, mut left] = [0.0_f64; 6];
        for steps in [steps, 2 * steps + 1] {
            let mut estimator = (self.make)()?;
            for k in 0..8 {
                let seen = self.see(&mut *estimator, &mut oracle, steps, k)?;
                told = told.max(unlike(&seen.counts(), &counts(&seen.metered)));
                let short = (steps * TASKS) as f64 - seen.cost.plain_steps as f64;
                missing = missing.max(short);
                if let Some(stated) = stated {
                    let stated = stated(steps as u64, P as u64, D as u64);
                    let stated = stated.map(|n| n * TASKS as u64);
                    unstated = unstated.max(unlike(&seen.counts(), &stated));
                }
                let [predicted, measured] =
                    [seen.predicted, seen.cost.bytes_measured].map(|n| n as f64);
                above = above.max(measured - predicted);
                below = below.max(predicted - measured);
                left = left.max(seen.left as f64);
            }
        }
        checks.extend([TOLD.judged(told, 0.0), STEPS.judged(missing, 0.0)]);
        checks.push(match stated {
            Some(_) => COUNTS.judged(unstated, 0.0),
            None => COUNTS.skipped("none were stated"),
        });
        checks.push(ABOVE.judged(above, 0.0));
        checks.push(match class {
            Class::Unbiased(_) => BELOW.skipped("draws differ"),
            _ => BELOW.judged(below, spare_bytes as f64),
        });
        checks.push(LEFT.judged(left, 0.0));
        Ok(())
    }
}
