//! The catalogue: all problems by name, with the settings with which they are usually run.

use hypertape_autodiff::Element;
use hypertape_solver::{Bilevel, Error, GradientDescent, Ista, Optimiser, Oracle, Rule};

use crate::chain::Chain;
use crate::cleaning::{Cleaning, CleaningSettings};
use crate::divergence::Divergence;
use crate::elastic_net::ElasticNet;
use crate::entry::{Entry, Given, Labels, Made};
use crate::fewshot::{Fewshot, FewshotSettings, Learner};
use crate::generator::{W1, W3};
use crate::learned_steps::LearnedSteps;
use crate::maml::Maml;
use crate::penalised::{Penalised, SampleLoss};
use crate::quadratic::Quadratic;
use crate::quadratic::sampled::{SampledQuadratic, SampledSettings};
use crate::regressions::Regressions;
use crate::selection::{Penalties, Selection};
use crate::sets::Sets;
use crate::setting::{Kind, Setting, settings};

/// Builds entries that support both precisions. Each row gives the name, the inner steps and their size, the outer
/// optimiser and its iterations, the seed of the data, the settings or the meaning of labels and the settings (if any),
/// the summary, and the closure that makes the problem.
macro_rules! entries {
    ($($name:literal, ($steps:literal, $lr:literal), $outer:expr, $iterations:literal, $seed:expr,
        $([$own:expr],)? $($labels:ident $settings:expr,)? $summary:literal => |$given:pat_param| $made:expr;)*) => {
        vec![$(Entry {
            outer: $outer,
            iterations: $iterations,
            data_seed: $seed,
            $(settings: $own.into(),)?
            $(samples: Some(Labels::$labels), settings: $settings.into(),)?
            ..Entry::new($name, $summary, ($steps, $lr), |$given| $made).single(|$given| $made)
        }),*]
    };
}

/// Returns all problems, in the order in which they are listed.
pub fn catalogue() -> Vec<Entry> {
    entries! {
        "quadratic", (5, 0.3), sgd(0.1, 0.0), 100, None,
            "both losses quadratic, 3 inner and 2 outer variables, closed form"
            => |_| Oracle::new(Quadratic::general());
        "quadratic-sampled", (30, 0.5), sgd(1.0, 0.5), 200, Some(0), [terms()],
            "512 rank-one quadratics at either level, in mini-batches of 64"
            => |given| sampled(given);
        "learned-steps", (4, 0.9), adam(0.1), 400, None,
            "learned sizes of four gradient steps, quadratic of four variables, closed form"
            => |_| ruled(LearnedSteps::new(&[1.0, 0.5, 0.25, 0.125], 4), GradientDescent::learned(0));
        "lasso", (200, 0.3), adam(0.1), 100, Some(5), Numbers weights(),
            "sparse regression, 60 x 30, the log-weight of the l1 penalty, or --train"
            => |given| net(given, false);
        "elastic-net", (200, 0.3), adam(0.1), 100, Some(5), Numbers weights(),
            "sparse regression, 60 x 30, the log-weights of both penalties, or --train"
            => |given| net(given, true);
        "ridge", (300, 0.4), adam(0.1), 100, None, Numbers [],
            "ridge regression, 4 x 2, one log-penalty per feature, closed form, or --train"
            => |given| ridge(given);
        "w1-ridge", (100, 0.5), adam(0.1), 50, Some(1), [linear()],
            "ridge regression, 2000 x 200, one log-penalty per feature"
            => |given| penalised(given, SampleLoss::HalfSquared);
        "w1-logreg", (100, 1.0), adam(0.1), 50, Some(1), [linear()],
            "logistic regression, 2000 x 200, one log-penalty per feature"
            => |given| penalised(given, SampleLoss::Logistic);
        "w2", (50, 0.1), adam(0.3), 50, Some(2),
            "data hyper-cleaning, softmax regression, 5000 x 784 x 10, one weight per sample"
            => |given| Oracle::new(Cleaning::workload(given.seed));
        "w3", (100, 0.002), adam(0.001), 50, Some(3),
            [settings! { "tasks" = W3::TASKS, SOME, "tasks, all in every meta-batch"; }],
            "MAML: learned start of a 1-40-40-1 tanh network, 25 regression tasks on sines"
            => |given| Oracle::new(Maml::workload_of(given.seed, given.get("tasks")?));
        "w4", (1000, 0.05), adam(0.1), 50, Some(4),
            "a chain of ten coupled scalars, on the scalar tape"
            => |given| Ok(Oracle::scalar(Chain::workload(given.seed)));
        "sinusoid", (5, 0.01), adam(0.001), 1000, Some(0),
            "MAML of a 1-40-40-1 tanh network, 1000 sines, meta-batches of 5, 10 shots"
            => |given| Oracle::new(Maml::sinusoid(given.seed));
        "sinusoid-prior", (16, 0.02), adam(0.001), 1000, Some(0),
            "implicit MAML: sinusoid with a prior of weight 2 at the learned start"
            => |given| Oracle::new(Maml::sinusoid(given.seed).with_prior(2.0));
        "maml-quadratic", (50, 0.02), sgd(0.1, 0.5), 100, Some(0),
            "MAML of ten variables, 100 quadratic tasks, one per iteration, closed form"
            => |given| Oracle::new(Regressions::maml_quadratic(given.seed));
        "maml-tanh", (40, 0.02), sgd(0.1, 0.5), 100, Some(0),
            "MAML of a tanh unit with ten weights, 100 tasks, one per iteration, not convex"
            => |given| Oracle::new(Regressions::maml_tanh(given.seed));
        "log-ridge-tanh", (60, 0.1), sgd(1.0, 0.5), 100, Some(0),
            "ten log-penalties of a tanh unit, 100 tasks, one per iteration, not convex"
            => |given| Oracle::new(Regressions::log_ridge_tanh(given.seed));
        "digits-clean", (100, 1.0), adam(0.3), 100, Some(0), Classes cleaning(),
            "data hyper-cleaning, 900 digits, 40 % wrong labels, one weight each, or --train"
            => |given| clean(given, [900, 400, 497], None);
        "digits-clean-mlp", (100, 0.5), adam(0.3), 100, Some(0), Classes cleaning(),
            "data hyper-cleaning of a network with 8 hidden units, 300 digits, or --train"
            => |given| clean(given, [300, 300, 600], Some(8));
        "digits-penalty", (100, 1.0), adam(0.1), 100, Some(0), Classes Penalties::settings(0.01),
            "softmax regression on 150 digits, one log-penalty per feature, or --train"
            => |given| select(given, given.sets_or(few_digits)?);
        "digits-parity", (100, 0.5), adam(0.1), 100, Some(0), Classes Penalties::settings(0.01),
            "even or odd digits, logistic regression, one log-penalty per feature, or --train"
            => |given| select(given, given.sets_or(few_digits)?.parity()?);
        "text", (50, 5.0), adam(0.1), 100, Some(0), Classes Penalties::settings(0.01),
            "softmax regression on 120 generated texts, one log-penalty per word, or --train"
            => |given| select(given, given.sets_or(|seed| Sets::text([120, 120, 300], 250, 4, seed))?);
        "digits-fewshot", (9, 0.05), adam(0.003), 1000, Some(0), Images tasks(),
            "MAML of a small convolutional network, 5-way 1-shot digits, or --train"
            => |given| fewshot(given, Learner::Maml);
        "digits-anil", (9, 0.05), adam(0.003), 1000, Some(0), Images tasks(),
            "ANIL: digits-fewshot, but only the last layer adapts to a task"
            => |given| fewshot(given, Learner::Anil);
        "divergence", (10, 0.1), sgd(10.0, 1.0), 10_000, Some(42),
            "two 1-D tasks on which first-order descent ends where |F'| = 0.346; 2000 starts"
            => |given| Oracle::new(Divergence::diverging(given.seed, 2000));
        "divergence-wide", (10, 0.01), sgd(10.0, 1.0), 20_000, Some(42),
            "two 1-D tasks on which accuracy is compared at equal cost; 1000 starts"
            => |given| Oracle::new(Divergence::wide(given.seed, 1000));
    }
}

fn adam(lr: f64) -> Optimiser {
    Optimiser::Adam { lr, beta1: 0.9, beta2: 0.999, eps: 1e-8 }
}

/// SGD with step size `lr / k^power` in iteration `k`.
fn sgd(lr: f64, power: f64) -> Optimiser {
    Optimiser::Sgd { lr, power }
}

/// Makes a problem with its own inner rule.
fn ruled<T: Element>(problem: impl Bilevel<T> + 'static, rule: impl Rule<T> + 'static) -> Made<T> {
    let mut oracle = Oracle::new(problem)?;
    oracle.set_rule(rule);
    Ok(oracle)
}

/// A positive number, limited so that arrays of that many values can be allocated.
const SOME: Kind = Kind::Count(1..=1_000_000);

/// Settings for the sizes of the linear models.
fn linear() -> [Setting; 3] {
    settings! {
        "samples" = W1::SAMPLES, SOME, "training samples, and half as many to validate";
        "features" = W1::FEATURES, SOME, "features, which are the inner variables";
        "penalties" = 0, Kind::Count(0..=1_000_000),
            "log-penalties, shared by as many features each; 0 for one per feature";
    }
}

fn penalised<T: Element>(given: &Given<T>, loss: SampleLoss) -> Made<T> {
    let (features, penalties) = (given.get("features")?, given.get("penalties")?);
    let penalties = if penalties == 0 { features } else { penalties };
    let sizes = [given.get("samples")?, features, penalties];
    Oracle::new(Penalised::sized(loss, given.seed, sizes)?)
}

/// Settings for the sizes of a [`SampledQuadratic`]. The benchmark of the field uses 1024 samples and 100 variables at
/// each level.
fn terms() -> [Setting; 3] {
    let SampledSettings { samples: [n, _], inner, outer, .. } = SampledSettings::default();
    settings! {
        "samples" = n, Kind::Count(1..=50_000), "samples of each loss";
        "inner" = inner, Kind::Count(1..=200), "inner variables";
        "outer" = outer, Kind::Count(1..=200), "outer variables";
    }
}

fn sampled<T: Element>(given: &Given<T>) -> Made<T> {
    let samples = [given.get("samples")?; 2];
    let (inner, outer, seed) = (given.get("inner")?, given.get("outer")?, given.seed);
    let rest = SampledSettings::default();
    Oracle::new(SampledQuadratic::new(&SampledSettings { seed, samples, inner, outer, ..rest })?)
}

fn net<T: Element>(given: &Given<T>, second: bool) -> Made<T> {
    let problem = match given.sets.clone() {
        None => ElasticNet::workload(given.seed, second),
        Some(sets) => ElasticNet::on(sets, second)?,
    };
    let each = given.get::<String>("penalties")? == "feature";
    ruled(problem.weighted(given.get("penalty")?, each)?, Ista::learned(0))
}

fn weights() -> [Setting; 2] {
    settings! {
        "penalty" = (-2.0_f64).exp(), Kind::NOT_NEGATIVE,
            "weight of the first penalty at the start of the run";
        "penalties" = "one", Kind::Word(&["one", "feature"]),
            "what has a weight of the first penalty of its own: all features together or each";
    }
}

fn ridge<T: Element>(given: &Given<T>) -> Made<T> {
    let own = || Ok(Penalised::small_ridge());
    Oracle::new(given.sets.clone().map_or_else(own, Penalised::ridge_of)?)
}

fn cleaning() -> [Setting; 3] {
    settings! {
        "corruption" = 0.4, Kind::Number(0.0..=1.0), "share of training labels to corrupt";
        "penalty" = 1e-3, Kind::NOT_NEGATIVE, "strength of the penalty";
        + Setting::batch()
    }
}

fn clean<T: Element>(given: &Given<T>, sizes: [usize; 3], hidden: Option<u32>) -> Made<T> {
    let settings = CleaningSettings {
        corruption: given.get("corruption")?,
        penalty: given.get("penalty")?,
        hidden,
        batch: given.batch()?,
        seed: given.seed,
    };
    Oracle::new(Cleaning::new(given.sets_or(|seed| Sets::digits(sizes, seed))?, &settings)?)
}

fn few_digits<T: Element>(seed: u64) -> Result<Sets<T>, Error> {
    Sets::digits([150, 150, 1497], seed)
}

fn select<T: Element>(given: &Given<T>, sets: Sets<T>) -> Made<T> {
    Oracle::new(Selection::given(sets, given)?)
}

/// Settings for the composition of few-shot tasks.
fn tasks() -> [Setting; 4] {
    settings! {
        "ways" = 5, Kind::Count(1..=1000), "classes per task";
        "shots" = 1, Kind::Count(1..=1000), "support images per class";
        "queries" = 1, Kind::Count(1..=1000), "query images per class";
        "side" = 16, Kind::Count(1..=1000),
            "width and height in pixels to which the images of --train are scaled";
    }
}

fn fewshot<T: Element>(given: &Given<T>, learner: Learner) -> Made<T> {
    let (ways, shots, queries) = (given.get("ways")?, given.get("shots")?, given.get("queries")?);
    let (seed, rest) = (given.seed, FewshotSettings::default());
    let settings = FewshotSettings { ways, shots, queries, learner, seed, ..rest };
    let Some(images) = &given.images else { return Oracle::new(Fewshot::digits(settings)?) };
    let (classes, ways) = (images.len(), ways as usize);
    if classes < 2 * ways {
        return Err(Error::told(format!(
            "{classes} classes of images are too few: a task takes {ways}, and training and test tasks take different ones"
        )));
    }
    // A quarter of the classes is held out, but at least as many as a task takes.
    let unseen = (classes / 4).max(ways);
    Oracle::new(Fewshot::new(images.split(classes - unseen, seed), settings)?)
}
