//! Measurements at a point: a hypergradient, the end of the inner loop, plans, certificates and checks.

use hypertape::stats::Mean;
use hypertape::{
    Alternative, Check, Draw, Estimate, Estimator, Judgement, Profile, Verdict, certify, check,
    mean_loss, nearby, plan, weigh,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::{Given, Options, array, call, cost, given, point, report};
use crate::problem::{Number, Problem};

/// Calls a function in the requested precision.
macro_rules! in_precision {
    ($options:expr, $function:ident($($argument:expr),*)) => {
        if $options.single { $function::<f32>($($argument),*) } else { $function::<f64>($($argument),*) }
    };
}
pub(crate) use in_precision;

type Told<'py> = Bound<'py, PyDict>;

#[pymethods]
impl Problem {
    /// Return the hypergradient at `x`, with its cost and its report.
    fn hypergradient<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        estimator: &str,
        options: Options,
    ) -> PyResult<Told<'py>> {
        let x = given(x)?;
        in_precision!(options, hypergradient(py, self, x, estimator, &options))
    }

    /// Return the outer loss at `x` in an iteration, and the end of the inner loop of the last task.
    fn solve<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        iteration: u64,
        options: Options,
    ) -> PyResult<(f64, Bound<'py, PyAny>)> {
        let x = given(x)?;
        in_precision!(options, solve(py, self, x, iteration, &options))
    }

    /// Return the schedules that fit, fastest first, and the estimators, ranked with this number of draws.
    fn plan<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        estimator: &str,
        draws: u64,
        options: Options,
    ) -> PyResult<(Vec<Told<'py>>, Vec<Told<'py>>)> {
        let x = given(x)?;
        in_precision!(options, planned(py, self, x, (estimator, draws), &options))
    }

    /// Return the bias, the variance and the time of estimators at `x`.
    fn certify<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        estimators: Vec<String>,
        draws: u64,
        options: Options,
    ) -> PyResult<Vec<Told<'py>>> {
        let x = given(x)?;
        in_precision!(options, certified(py, self, x, (&estimators, draws), &options))
    }

    /// Check the problem's derivatives, at `x` or near the start.
    fn check<'py>(
        &self,
        py: Python<'py>,
        x: Given<'py>,
        options: Options,
    ) -> PyResult<Vec<Told<'py>>> {
        let x = given(x)?;
        in_precision!(options, checked(py, self, x, &options))
    }
}

fn hypergradient<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    text: &str,
    options: &Options,
) -> PyResult<Told<'py>> {
    let (gradient, estimate, bytes, estimator, lr) =
        call::<T, _>(py, problem, (text, options), |oracle, _| {
            let x = point(oracle, x.as_deref())?;
            let (inner, draw) = (options.inner_at(oracle, &x)?, Draw::new(options.seed, 0));
            let mut estimator = options.estimator(text, oracle, (&inner, &x))?;
            let mut gradient = vec![T::zero(); x.len()];
            let estimate = estimator.estimate(oracle, &inner, &x, draw, &mut gradient)?;
            let bytes = estimator.predict(oracle, &inner, &x, draw)?;
            Ok((gradient, estimate, bytes, named(&*estimator), inner.lr()))
        })?;
    let Estimate { loss, soundness, .. } = estimate;
    let told = PyDict::new(py);
    told.set_item("gradient", array(py, &gradient))?;
    told.set_item("loss", loss.as_f64())?;
    told.set_item("lr", lr)?;
    let spent = cost(py, &estimate.cost)?;
    spent.set_item("bytes_predicted", bytes)?;
    told.set_item("cost", spent)?;
    told.set_item("estimator", estimator.0)?;
    told.set_item("schedule", estimator.1)?;
    told.set_item("sensitivity", soundness.sensitivity)?;
    told.set_item("growth", soundness.growth)?;
    told.set_item("warnings", soundness.warnings())?;
    told.set_item("report", report(py, &soundness)?)?;
    Ok(told)
}

/// Returns the name and the schedule of an estimator.
pub(crate) fn named<T: Number>(estimator: &dyn Estimator<T>) -> (String, Option<String>) {
    (estimator.name(), estimator.schedule().map(|schedule| schedule.to_string()))
}

fn solve<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    iteration: u64,
    options: &Options,
) -> PyResult<(f64, Bound<'py, PyAny>)> {
    let (loss, w) = call::<T, _>(py, problem, ("the inner loop", options), |oracle, _| {
        let x = point(oracle, x.as_deref())?;
        let (inner, mut w) = (options.inner()?, Vec::new());
        let loss = mean_loss(oracle, &inner, &x, Draw::new(options.seed, iteration), &mut w)?;
        Ok((loss.as_f64(), w))
    })?;
    Ok((loss, array(py, &w).into_any()))
}

fn planned<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    (text, draws): (&str, u64),
    options: &Options,
) -> PyResult<(Vec<Told<'py>>, Vec<Told<'py>>)> {
    let (schedules, worths) = call::<T, _>(py, problem, (text, options), |oracle, _| {
        let x = point(oracle, x.as_deref())?;
        let inner = options.inner_at(oracle, &x)?;
        let estimator = crate::CHOICES.registry::<T>().estimators.parse(text)?;
        let profile = Profile::measure(oracle, &inner, &x, Draw::new(options.seed, 0), 5)?;
        let memory = options.memory.unwrap_or(u64::MAX);
        let schedules = plan(&*estimator, oracle, &inner, &profile, memory)?;
        let draws: Vec<_> = (0..draws).map(|k| Draw::new(options.seed, k)).collect();
        let weighed = match &draws[..] {
            [] => Vec::new(),
            // Estimators that overflow come last, and are reported as they are.
            draws => {
                weigh(oracle, &inner, &x, &profile, memory, draws)?.into_iter().flatten().collect()
            }
        };
        let told = |w: &hypertape::Weighed<T>| {
            (named(&*w.estimator), w.bytes, w.seconds, w.second_moment, w.standard_error)
        };
        Ok((schedules, weighed.iter().map(told).collect::<Vec<_>>()))
    })?;
    let schedule = |alternative: &Alternative| {
        let Alternative { schedule, counts, bytes, seconds, .. } = alternative;
        let told = PyDict::new(py);
        told.set_item("schedule", schedule.to_string())?;
        told.set_item("plain_steps", counts.plain_steps)?;
        told.set_item("states", counts.ram.slots)?;
        told.set_item("states_on_disk", counts.disk.slots)?;
        told.set_item("tapes", counts.tapes.slots)?;
        told.set_item("bytes", bytes)?;
        told.set_item("seconds", seconds)?;
        PyResult::Ok(told)
    };
    let worth = |((estimator, schedule), bytes, seconds, second_moment, standard_error)| {
        let told = PyDict::new(py);
        told.set_item::<_, String>("estimator", estimator)?;
        told.set_item::<_, Option<String>>("schedule", schedule)?;
        told.set_item::<_, u64>("bytes", bytes)?;
        told.set_item::<_, f64>("seconds", seconds)?;
        told.set_item::<_, f64>("second_moment", second_moment)?;
        told.set_item::<_, f64>("standard_error", standard_error)?;
        told.set_item("product", seconds * second_moment)?;
        PyResult::Ok(told)
    };
    let schedules = schedules.iter().map(schedule).collect::<PyResult<_>>()?;
    Ok((schedules, worths.into_iter().map(worth).collect::<PyResult<_>>()?))
}

fn certified<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    (texts, draws): (&[String], u64),
    options: &Options,
) -> PyResult<Vec<Told<'py>>> {
    let all = format!("one of exact, {}", texts.join(", "));
    let certificates = call::<T, _>(py, problem, (&all, options), |oracle, _| {
        let x = point(oracle, x.as_deref())?;
        let inner = options.inner_at(oracle, &x)?;
        let mut exact = options.estimator("exact", oracle, (&inner, &x))?;
        let made = texts.iter().map(|text| options.estimator(text, oracle, (&inner, &x)));
        let mut estimators = made.collect::<Result<Vec<_>, _>>()?;
        let draws = (options.seed, 0..draws);
        certify(&mut *exact, &mut estimators, oracle, &inner, &x, draws)
    })?;
    let told = |certificate: &hypertape::Certificate| {
        let told = PyDict::new(py);
        let set = |name: &str, [mean, error]: Mean| {
            told.set_item(name, mean)?;
            told.set_item(format!("{name}_error"), error)
        };
        told.set_item("estimator", &certificate.name)?;
        told.set_item("error", certificate.error)?;
        told.set_item("standard_error", certificate.standard_error)?;
        let verdict = match certificate.verdict {
            Judgement::Exact => "exact",
            Judgement::Unbiased => "unbiased",
            Judgement::Biased => "biased",
            Judgement::Undecided => "undecided",
        };
        told.set_item("verdict", verdict)?;
        set("variance", certificate.variance)?;
        set("second_moment", certificate.second_moment)?;
        told.set_item("predicted", certificate.predicted)?;
        told.set_item("seconds", certificate.seconds)?;
        told.set_item("product", certificate.product())?;
        told.set_item("warnings", certificate.warnings())?;
        PyResult::Ok(told)
    };
    certificates.iter().map(told).collect()
}

fn checked<'py, T: Number>(
    py: Python<'py>,
    problem: &Problem,
    x: Option<Vec<f64>>,
    options: &Options,
) -> PyResult<Vec<Told<'py>>> {
    let checks = call::<T, _>(py, problem, ("a check", options), |oracle, _| {
        let draw = Draw::new(options.seed, 0);
        let at = point(oracle, x.as_deref())?;
        // A requested point is used as it is.
        let at = if x.is_some() { at } else { nearby(&at, draw) };
        let inner = options.inner_at(oracle, &at)?;
        check(oracle, &inner, &at, draw)
    })?;
    let told = |check: &Check| {
        let (verdict, note) = match check.verdict {
            Verdict::Passed => ("ok", None),
            Verdict::Failed => ("FAILED", None),
            Verdict::Skipped(why) => ("skipped", Some(why)),
            Verdict::Noted(what) => ("noted", Some(what)),
        };
        let told = PyDict::new(py);
        told.set_item("check", check.name)?;
        let known = |number: f64| (!number.is_nan()).then_some(number);
        told.set_item("observed", known(check.observed))?;
        told.set_item("allowed", known(check.allowed))?;
        told.set_item("verdict", verdict)?;
        told.set_item("note", note)?;
        told.set_item("meaning", check.meaning)?;
        PyResult::Ok(told)
    };
    checks.iter().map(told).collect()
}
