//! The catalogue: problems by name, each with the settings that it is usually run with.

use hypertape_autodiff::Element;
use hypertape_solver::{Bilevel, Error, GradientDescent, Ista, Optimiser, Oracle, Rule};

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
use crate::regressions::Regressions;
use crate::selection::Selection;
use crate::sets::{Choices, Sets};

/// A problem ready to be evaluated, or why there is none.
pub type Made<T> = Result<Oracle<'static, T>, Error>;

/// Makes a problem in one precision from a data seed.
pub type Open<T> = fn(u64) -> Made<T>;

/// Makes a problem from the samples given, or its own, and what was chosen about it.
pub type OpenOn<T> = fn(Option<Sets<T>>, &Choices) -> Made<T>;

/// What makes a problem that takes samples and choices, in both precisions.
#[derive(Clone, Copy, Debug)]
pub struct OnData {
    /// Whether labels are numbers to predict, not classes.
    pub numbers: bool,
    /// In double precision.
    pub open_f64: OpenOn<f64>,
    /// In single precision.
    pub open_f32: OpenOn<f32>,
}

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
    pub outer: Optimiser,
    /// Outer iterations by default.
    pub iterations: usize,
    /// Seed of its data by default; `None` if its data is fixed.
    pub data_seed: Option<u64>,
    /// Makes it in double precision.
    pub open_f64: Open<f64>,
    /// Makes it in single precision.
    pub open_f32: Open<f32>,
    /// Makes it from samples of one's own, if it takes any.
    pub on_data: Option<OnData>,
}

/// An element type that the catalogue opens problems in.
pub trait Precision: Element {
    /// What opens `entry` in this precision.
    fn opener(entry: &Entry) -> Open<Self>;
    /// What opens it on samples of one's own.
    fn opener_on(on_data: &OnData) -> OpenOn<Self>;
}

impl Precision for f64 {
    fn opener(entry: &Entry) -> Open<Self> {
        entry.open_f64
    }

    fn opener_on(on_data: &OnData) -> OpenOn<Self> {
        on_data.open_f64
    }
}

impl Precision for f32 {
    fn opener(entry: &Entry) -> Open<Self> {
        entry.open_f32
    }

    fn opener_on(on_data: &OnData) -> OpenOn<Self> {
        on_data.open_f32
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
        let outer = Optimiser::Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        let (iterations, data_seed) = (100, None);
        Self {
            name,
            summary,
            steps,
            lr,
            outer,
            iterations,
            data_seed,
            open_f64,
            open_f32,
            on_data: None,
        }
    }

    /// The same with labels that are numbers, and another seed of its own data.
    fn of_numbers(mut self, data_seed: Option<u64>) -> Self {
        self.data_seed = data_seed;
        self.on_data = self.on_data.map(|on_data| OnData { numbers: true, ..on_data });
        self
    }

    /// Makes the problem, from `data_seed` or its own seed. Problems with fixed data do not look at it.
    ///
    /// # Errors
    /// As [`Oracle::new`].
    pub fn open<T: Precision>(&self, data_seed: Option<u64>) -> Made<T> {
        T::opener(self)(data_seed.or(self.data_seed).unwrap_or(0))
    }

    /// Makes the problem on `sets`, or its own samples without them, with what is chosen about it.
    ///
    /// ```
    /// use hypertape_problems::{Choices, catalogue};
    /// let entry = catalogue().into_iter().find(|e| e.name == "digits-clean").unwrap();
    /// let choices = Choices { corruption: Some(1.5), ..Choices::default() };
    /// let error = entry.open_on::<f64>(None, &choices).unwrap_err().to_string();
    /// assert_eq!(error, "labelled samples: found rate 1.5, expected a number from 0 to 1");
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if the problem takes no samples, these do not fit, or it has no such choice.
    pub fn open_on<T: Precision>(&self, sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
        let Some(on_data) = &self.on_data else {
            let (found, expected) = (format!("'{}'", self.name), "a problem that takes samples");
            return Err(Error::invalid("problem", found, expected));
        };
        T::opener_on(on_data)(sets, choices)
    }
}

fn oracle<T: Element>(problem: impl Bilevel<T> + 'static) -> Made<T> {
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

fn lasso<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    net(sets, choices, false)
}

fn elastic<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    net(sets, choices, true)
}

fn net<T: Element>(sets: Option<Sets<T>>, choices: &Choices, second: bool) -> Made<T> {
    choices.none()?;
    let own = || Ok(ElasticNet::workload(choices.seed, second));
    ruled(sets.map_or_else(own, |sets| ElasticNet::on(sets, second))?, Ista::learned(0))
}

fn ridge<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    choices.none()?;
    oracle(sets.map_or_else(|| Ok(Penalised::small_ridge()), Penalised::ridge_of)?)
}

/// Four sizes that can end four curvatures.
fn steps<T: Element>(_: u64) -> Result<Oracle<'static, T>, Error> {
    ruled(LearnedSteps::new(&[1.0, 0.5, 0.25, 0.125], 4), GradientDescent::learned(0))
}

fn sampled<T: Element>(seed: u64) -> Result<Oracle<'static, T>, Error> {
    oracle(SampledQuadratic::new(&SampledSettings { seed, ..SampledSettings::default() })?)
}

/// An entry whose problem is made by a generic function of samples and choices.
macro_rules! on_data {
    ($name:literal, $summary:literal, $steps:literal, $lr:literal, $outer:expr, $open:ident) => {
        Entry {
            outer: $outer,
            data_seed: Some(0),
            on_data: Some(OnData { numbers: false, open_f64: $open, open_f32: $open }),
            ..Entry::new(
                $name,
                $summary,
                ($steps, $lr),
                |seed| $open(None, &Choices { seed, ..Choices::default() }),
                |seed| $open(None, &Choices { seed, ..Choices::default() }),
            )
        }
    };
}

fn clean<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let own = || Sets::digits(DigitsSettings::default().sizes, choices.seed);
    oracle(Cleaning::new(sets.map_or_else(own, Ok)?, None, choices)?)
}

fn clean_mlp<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let own = || Sets::digits([300, 300, 600], choices.seed);
    oracle(Cleaning::new(sets.map_or_else(own, Ok)?, Some(8), choices)?)
}

fn penalty<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let own = || Sets::digits([150, 150, 1497], choices.seed);
    oracle(Selection::new(sets.map_or_else(own, Ok)?, choices)?)
}

fn parity<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let own = || Sets::digits([150, 150, 1497], choices.seed);
    oracle(Selection::new(sets.map_or_else(own, Ok)?.parity(), choices)?)
}

fn text<T: Element>(sets: Option<Sets<T>>, choices: &Choices) -> Made<T> {
    let own = || Sets::text([120, 120, 300], 250, 4, choices.seed);
    oracle(Selection::new(sets.map_or_else(own, Ok)?, choices)?)
}

fn fewshot<T: Element>(seed: u64, learner: Learner) -> Result<Oracle<'static, T>, Error> {
    let settings = FewshotSettings { learner, seed, ..FewshotSettings::default() };
    oracle(Fewshot::<T>::digits(settings)?)
}

/// All problems, in the order in which they are listed.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn catalogue() -> Vec<Entry> {
    let adam = |lr| Optimiser::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    vec![
        Entry {
            name: "quadratic",
            summary: "both losses quadratic, 3 inner and 2 outer variables, closed form",
            steps: 5,
            lr: 0.3,
            outer: Optimiser::Sgd { lr: 0.1, power: 0.0 },
            iterations: 100,
            data_seed: None,
            open_f64: |_| oracle(Quadratic::general()),
            open_f32: |_| oracle(Quadratic::general()),
            on_data: None,
        },
        Entry {
            name: "quadratic-sampled",
            summary: "quadratics of rank one, 512 and 512 samples, mini-batches of 64 at both levels",
            steps: 30,
            lr: 0.5,
            outer: Optimiser::Sgd { lr: 1.0, power: 0.5 },
            iterations: 200,
            data_seed: Some(0),
            open_f64: sampled,
            open_f32: sampled,
            on_data: None,
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
        on_data!(
            "lasso",
            "sparse regression, the log-weight of the first penalty, 60 x 30, rule ista, or --train",
            200,
            0.3,
            adam(0.1),
            lasso
        )
        .of_numbers(Some(5)),
        on_data!(
            "elastic-net",
            "sparse regression, the log-weights of two penalties, 60 x 30, rule ista, or --train",
            200,
            0.3,
            adam(0.1),
            elastic
        )
        .of_numbers(Some(5)),
        on_data!(
            "ridge",
            "ridge regression, one log-penalty a feature, 4 x 2, closed form for many steps, or --train",
            300,
            0.4,
            adam(0.1),
            ridge
        )
        .of_numbers(None),
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
            on_data: None,
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
            on_data: None,
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
            on_data: None,
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
            on_data: None,
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
            on_data: None,
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
            on_data: None,
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
            on_data: None,
        },
        Entry {
            data_seed: Some(0),
            outer: Optimiser::Sgd { lr: 0.1, power: 0.5 },
            ..Entry::new(
                "maml-quadratic",
                "learned start of ten variables, 100 quadratics of condition 10, one drawn, closed form",
                (50, 0.02),
                |seed| oracle(Regressions::maml_quadratic(seed)),
                |seed| oracle(Regressions::maml_quadratic(seed)),
            )
        },
        Entry {
            data_seed: Some(0),
            outer: Optimiser::Sgd { lr: 0.1, power: 0.5 },
            ..Entry::new(
                "maml-tanh",
                "learned start of a tanh unit with ten weights, 100 tasks, one drawn, not convex",
                (40, 0.02),
                |seed| oracle(Regressions::maml_tanh(seed)),
                |seed| oracle(Regressions::maml_tanh(seed)),
            )
        },
        Entry {
            data_seed: Some(0),
            outer: Optimiser::Sgd { lr: 1.0, power: 0.5 },
            ..Entry::new(
                "log-ridge-tanh",
                "ten log-penalties of a tanh unit, 100 tasks, one drawn, not convex",
                (60, 0.1),
                |seed| oracle(Regressions::log_ridge_tanh(seed)),
                |seed| oracle(Regressions::log_ridge_tanh(seed)),
            )
        },
        on_data!(
            "digits-clean",
            "hyper-cleaning, 900 of the embedded digits, 40 % wrong labels, or --train",
            100,
            1.0,
            adam(0.3),
            clean
        ),
        on_data!(
            "digits-clean-mlp",
            "hyper-cleaning, a network with 8 hidden units on 300 digits, or --train",
            100,
            0.5,
            adam(0.3),
            clean_mlp
        ),
        on_data!(
            "digits-penalty",
            "softmax regression on 150 digits, one log-penalty a feature, or --train and --penalties",
            100,
            1.0,
            adam(0.1),
            penalty
        ),
        on_data!(
            "digits-parity",
            "logistic regression on 150 digits, even or odd, one log-penalty a feature, or --train",
            100,
            0.5,
            adam(0.1),
            parity
        ),
        on_data!(
            "text",
            "softmax regression on 120 generated texts, sparse, one log-penalty a word, or --train",
            50,
            20.0,
            adam(0.1),
            text
        ),
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
            on_data: None,
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
            on_data: None,
        },
        Entry {
            name: "divergence",
            summary: "two 1-D tasks on which first-order descent ends at |M'| = 0.346; 2000 starts",
            steps: 10,
            lr: 0.1,
            outer: Optimiser::Sgd { lr: 10.0, power: 1.0 },
            iterations: 10_000,
            data_seed: Some(42),
            open_f64: |seed| oracle(Divergence::diverging(seed, 2000)),
            open_f32: |seed| oracle(Divergence::diverging(seed, 2000)),
            on_data: None,
        },
        Entry {
            name: "divergence-wide",
            summary: "two 1-D tasks for accuracy against cost, metrics for lr 0.01; 1000 starts",
            steps: 10,
            lr: 0.01,
            outer: Optimiser::Sgd { lr: 10.0, power: 1.0 },
            iterations: 20_000,
            data_seed: Some(42),
            open_f64: |seed| oracle(Divergence::wide(seed, 1000)),
            open_f32: |seed| oracle(Divergence::wide(seed, 1000)),
            on_data: None,
        },
    ]
}
