//! The catalogue: problems by name, each with the settings that it is usually run with.

use hypertape_autodiff::Element;
use hypertape_solver::{Bilevel, Error, GradientDescent, Ista, Oracle, Outer, Rule};

use crate::chain::Chain;
use crate::cleaning::{Cleaning, DigitsSettings};
use crate::divergence::Divergence;
use crate::elastic_net::ElasticNet;
use crate::fewshot::{Fewshot, FewshotSettings, Learner};
use crate::learned_steps::LearnedSteps;
use crate::maml::Maml;
use crate::penalised::Penalised;
use crate::quadratic::Quadratic;
use crate::quadratic::sampled::{SampledQuadratic, SampledSettings};

/// Makes a problem in one precision from a data seed.
pub type Open<T> = fn(u64) -> Result<Oracle<'static, T>, Error>;

/// A problem of the catalogue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name by which it is chosen.
    pub name: &'static str,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Inner steps by default.
    pub steps: usize,
    /// Inner step size by default.
    pub lr: f64,
    /// Outer optimiser by default.
    pub outer: Outer,
    /// Outer iterations by default.
    pub iterations: usize,
    /// Seed of its data by default; `None` if its data is fixed.
    pub data_seed: Option<u64>,
    /// Makes it in double precision.
    pub open_f64: Open<f64>,
    /// Makes it in single precision.
    pub open_f32: Open<f32>,
}

/// An element type that the catalogue opens problems in.
pub trait Precision: Element {
    /// What opens `entry` in this precision.
    fn opener(entry: &Entry) -> Open<Self>;
}

impl Precision for f64 {
    fn opener(entry: &Entry) -> Open<Self> {
        entry.open_f64
    }
}

impl Precision for f32 {
    fn opener(entry: &Entry) -> Open<Self> {
        entry.open_f32
    }
}

impl Entry {
    /// A problem with its inner `(steps, lr)`, fixed data, and 100 outer iterations of Adam with step 0.1. Change a field
    /// for anything else.
    pub fn new(
        name: &'static str,
        summary: &'static str,
        (steps, lr): (usize, f64),
        open_f64: Open<f64>,
        open_f32: Open<f32>,
    ) -> Self {
        let outer = Outer::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let (iterations, data_seed) = (100, None);
        Self { name, summary, steps, lr, outer, iterations, data_seed, open_f64, open_f32 }
    }

    /// Makes the problem, from `data_seed` or its own seed. Problems with fixed data do not look at it.
    ///
    /// # Errors
    /// As [`Oracle::new`].
    pub fn open<T: Precision>(&self, data_seed: Option<u64>) -> Result<Oracle<'static, T>, Error> {
        T::opener(self)(data_seed.or(self.data_seed).unwrap_or(0))
    }
}

fn oracle<T: Element>(problem: impl Bilevel<T> + 'static) -> Result<Oracle<'static, T>, Error> {
    Oracle::new(problem)
}

/// With an inner rule of its own.
fn ruled<T: Element>(
    problem: impl Bilevel<T> + 'static,
    rule: impl Rule<T> + 'static,
) -> Result<Oracle<'static, T>, Error> {
    let mut oracle = Oracle::new(problem)?;
    oracle.set_rule(rule);
    Ok(oracle)
}

fn net<T: Element>(seed: u64, second: bool) -> Result<Oracle<'static, T>, Error> {
    ruled(ElasticNet::workload(seed, second), Ista::learned(0))
}

/// Four sizes that can end four curvatures.
fn steps<T: Element>(_: u64) -> Result<Oracle<'static, T>, Error> {
    ruled(LearnedSteps::new(&[1.0, 0.5, 0.25, 0.125], 4), GradientDescent::learned(0))
}

fn sampled<T: Element>(seed: u64) -> Result<Oracle<'static, T>, Error> {
    oracle(SampledQuadratic::new(&SampledSettings { seed, ..SampledSettings::default() })?)
}

fn digits<T: Element>(seed: u64) -> Result<Oracle<'static, T>, Error> {
    let settings = DigitsSettings { seed, ..DigitsSettings::default() };
    oracle(Cleaning::<T>::digits(&settings).expect("the default sizes and rate fit the set"))
}

fn fewshot<T: Element>(seed: u64, learner: Learner) -> Result<Oracle<'static, T>, Error> {
    let settings = FewshotSettings { learner, seed, ..FewshotSettings::default() };
    oracle(Fewshot::<T>::digits(settings)?)
}

/// All problems, in the order in which they are listed.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn catalogue() -> Vec<Entry> {
    let adam = |lr| Outer::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    vec![
        Entry {
            name: "quadratic",
            summary: "both losses quadratic, 3 inner and 2 outer variables, closed form",
            steps: 5,
            lr: 0.3,
            outer: Outer::Sgd { lr: 0.1, power: 0.0 },
            iterations: 100,
            data_seed: None,
            open_f64: |_| oracle(Quadratic::general()),
            open_f32: |_| oracle(Quadratic::general()),
        },
        Entry {
            name: "quadratic-sampled",
            summary: "quadratics of rank one, 512 and 512 samples, mini-batches of 64 at both levels",
            steps: 30,
            lr: 0.5,
            outer: Outer::Sgd { lr: 1.0, power: 0.5 },
            iterations: 200,
            data_seed: Some(0),
            open_f64: sampled,
            open_f32: sampled,
        },
        Entry {
            iterations: 400,
            ..Entry::new(
                "learned-steps",
                "sizes of four descent steps on a quadratic of four variables, closed form",
                (4, 0.9),
                steps,
                steps,
            )
        },
        Entry {
            name: "lasso",
            summary: "sparse regression, the log-weight of the first penalty, 60 x 30, rule ista",
            steps: 200,
            lr: 0.3,
            outer: adam(0.1),
            iterations: 100,
            data_seed: Some(5),
            open_f64: |seed| net(seed, false),
            open_f32: |seed| net(seed, false),
        },
        Entry {
            name: "elastic-net",
            summary: "sparse regression, the log-weights of two penalties, 60 x 30, rule ista",
            steps: 200,
            lr: 0.3,
            outer: adam(0.1),
            iterations: 100,
            data_seed: Some(5),
            open_f64: |seed| net(seed, true),
            open_f32: |seed| net(seed, true),
        },
        Entry {
            name: "ridge",
            summary: "ridge regression, one log-penalty a feature, 4 x 2, closed form for many steps",
            steps: 300,
            lr: 0.4,
            outer: adam(0.1),
            iterations: 100,
            data_seed: None,
            open_f64: |_| oracle(Penalised::small_ridge()),
            open_f32: |_| oracle(Penalised::small_ridge()),
        },
        Entry {
            name: "w1-ridge",
            summary: "ridge regression, one log-penalty a feature, 2000 x 200",
            steps: 100,
            lr: 0.5,
            outer: adam(0.1),
            iterations: 50,
            data_seed: Some(1),
            open_f64: |seed| oracle(Penalised::ridge(seed)),
            open_f32: |seed| oracle(Penalised::ridge(seed)),
        },
        Entry {
            name: "w1-logreg",
            summary: "logistic regression, one log-penalty a feature, 2000 x 200",
            steps: 100,
            lr: 1.0,
            outer: adam(0.1),
            iterations: 50,
            data_seed: Some(1),
            open_f64: |seed| oracle(Penalised::logistic(seed)),
            open_f32: |seed| oracle(Penalised::logistic(seed)),
        },
        Entry {
            name: "w2",
            summary: "hyper-cleaning, softmax regression 5000 x 784 x 10, one weight a sample",
            steps: 50,
            lr: 0.1,
            outer: adam(0.3),
            iterations: 50,
            data_seed: Some(2),
            open_f64: |seed| oracle(Cleaning::workload(seed)),
            open_f32: |seed| oracle(Cleaning::workload(seed)),
        },
        Entry {
            name: "w3",
            summary: "learned start of a 1-40-40-1 tanh network, 25 regression tasks on sines",
            steps: 100,
            lr: 0.002,
            outer: adam(0.001),
            iterations: 50,
            data_seed: Some(3),
            open_f64: |seed| oracle(Maml::workload(seed)),
            open_f32: |seed| oracle(Maml::workload(seed)),
        },
        Entry {
            name: "w4",
            summary: "ten scalars, each coupled to the next, on a tape of scalars",
            steps: 1000,
            lr: 0.05,
            outer: adam(0.1),
            iterations: 50,
            data_seed: Some(4),
            open_f64: |seed| Ok(Oracle::scalar(Chain::workload(seed))),
            open_f32: |seed| Ok(Oracle::scalar(Chain::workload(seed))),
        },
        Entry {
            name: "sinusoid",
            summary: "learned start of a 1-40-40-1 tanh network, 1000 sines, batches of 5, 10 shots",
            steps: 5,
            lr: 0.01,
            outer: adam(0.001),
            iterations: 1000,
            data_seed: Some(0),
            open_f64: |seed| oracle(Maml::sinusoid(seed)),
            open_f32: |seed| oracle(Maml::sinusoid(seed)),
        },
        Entry {
            name: "sinusoid-prior",
            summary: "implicit MAML: the same with a prior of weight 2 at the learned start",
            steps: 16,
            lr: 0.02,
            outer: adam(0.001),
            iterations: 1000,
            data_seed: Some(0),
            open_f64: |seed| oracle(Maml::sinusoid(seed).with_prior(2.0)),
            open_f32: |seed| oracle(Maml::sinusoid(seed).with_prior(2.0)),
        },
        Entry {
            name: "digits-fewshot",
            summary: "learned start of a small convolutional network, 5 classes by 1 digit each, batches of 5",
            steps: 9,
            lr: 0.05,
            outer: adam(0.003),
            iterations: 1000,
            data_seed: Some(0),
            open_f64: |seed| fewshot(seed, Learner::Maml),
            open_f32: |seed| fewshot(seed, Learner::Maml),
        },
        Entry {
            name: "digits-anil",
            summary: "the same with a learned body, of which only the last layer adapts to a task",
            steps: 9,
            lr: 0.05,
            outer: adam(0.003),
            iterations: 1000,
            data_seed: Some(0),
            open_f64: |seed| fewshot(seed, Learner::Anil),
            open_f32: |seed| fewshot(seed, Learner::Anil),
        },
        Entry {
            name: "digits-clean",
            summary: "hyper-cleaning of the embedded 8x8 digits, 900 samples, 40 % wrong labels",
            steps: 100,
            lr: 1.0,
            outer: adam(0.3),
            iterations: 100,
            data_seed: Some(0),
            open_f64: digits,
            open_f32: digits,
        },
        Entry {
            name: "divergence",
            summary: "two 1-D tasks on which first-order descent ends at |M'| = 0.346; 2000 starts",
            steps: 10,
            lr: 0.1,
            outer: Outer::Sgd { lr: 10.0, power: 1.0 },
            iterations: 10_000,
            data_seed: Some(42),
            open_f64: |seed| oracle(Divergence::diverging(seed, 2000)),
            open_f32: |seed| oracle(Divergence::diverging(seed, 2000)),
        },
        Entry {
            name: "divergence-wide",
            summary: "two 1-D tasks for accuracy against cost, metrics for lr 0.01; 1000 starts",
            steps: 10,
            lr: 0.01,
            outer: Outer::Sgd { lr: 10.0, power: 1.0 },
            iterations: 20_000,
            data_seed: Some(42),
            open_f64: |seed| oracle(Divergence::wide(seed, 1000)),
            open_f32: |seed| oracle(Divergence::wide(seed, 1000)),
        },
    ]
}
