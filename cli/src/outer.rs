//! The method of a run: an estimator or a single-loop algorithm, and an outer optimiser, which is that of the problem
//! unless options change it.

use std::sync::Arc;

use crate::app::{App, Precise};
use crate::args::Run as Options;
use crate::failure::Failure;
use hypertape_problems::Entry;
use hypertape_solver::coupling::Coupling;
use hypertape_solver::{Estimator, Outer, Spelled, Spelling, Spellings};

/// Settings of outer optimisers that have separate options, such as `--outer-lr`.
const OWN: [&str; 3] = ["lr", "power", "momentum"];

/// Splits the text of a choice into its name and its settings.
fn parts(text: &str) -> (&str, Vec<&str>) {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    (name, settings.split(',').filter(|setting| !setting.is_empty()).collect())
}

/// The name of a setting in its text.
fn name_of(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default()
}

/// Whether a choice has a setting of that name.
fn has<M>(line: &Spelling<M>, setting: &str) -> bool {
    line.settings().iter().any(|s| s.name == setting)
}

/// Returns the outer optimiser of the problem, whose text is `default`, with the name in `asked` and the values in
/// `options` replaced, if they are given. The step size is kept if only the name changes, so that one option changes
/// one thing.
fn choose<M>(
    all: &Spellings<M>,
    default: &str,
    asked: Option<&str>,
    options: [Option<f64>; 3],
) -> Result<(M, String), Failure> {
    let of = |e| Failure::usage(format!("--outer: {e}"));
    let (own, kept) = parts(default);
    let (name, typed) = parts(asked.unwrap_or(own));
    let line = all.find(name).map_err(of)?;
    let asked = || OWN.into_iter().zip(options).filter_map(|(own, value)| Some((own, value?)));
    if let Some((setting, _)) = asked().find(|(own, _)| !has(line, own)) {
        let others = all.lines().iter().filter(|line| asked().all(|(own, _)| has(line, own)));
        let others: Vec<_> = others.map(|line| line.about().name).collect();
        let hint = if others.is_empty() {
            let own: Vec<_> = asked().map(|(own, _)| own).collect();
            format!("no outer optimiser has {}", own.join(" and "))
        } else {
            format!("--outer {} has it", others.join(" or "))
        };
        return Err(Failure::usage(format!("--outer-{setting}: {name} has no {setting}; {hint}")));
    }
    let mut settings: Vec<String> = typed.iter().map(|&setting| setting.to_owned()).collect();
    settings.extend(asked().map(|(own, value)| format!("{own}={value:?}")));
    for setting in kept.into_iter().filter(|&s| name == own || name_of(s) == "lr") {
        if has(line, name_of(setting)) && !settings.iter().any(|s| name_of(s) == name_of(setting)) {
            settings.push(setting.to_owned());
        }
    }
    let text = [name, &settings.join(",")].join(":");
    all.parse_with_text(text.trim_end_matches(':')).map_err(of)
}

/// The text of an outer optimiser without the settings that have separate options, and the values of these.
pub(crate) type Typed = (String, [Option<f64>; 3]);

/// The method of a run, from the options of a command.
pub(crate) struct Algorithm<T: Precise> {
    pub(crate) coupling: Arc<dyn Coupling>,
    pub(crate) estimator: Box<dyn Estimator<T>>,
    /// The text of the estimator or the single-loop algorithm.
    pub(crate) text: String,
    pub(crate) outer: Arc<dyn Outer<T>>,
    pub(crate) typed: Typed,
}

/// Returns the requested estimator or single-loop algorithm, coupling and outer optimiser. Without a requested outer
/// optimiser, it is that of the algorithm or of the problem.
pub(crate) fn algorithm<T: Precise>(
    app: &App,
    entry: &Entry,
    options: &Options,
) -> Result<Algorithm<T>, Failure> {
    let registry = app.registry::<T>();
    let of = |option| move |e| Failure::usage(format!("--{option}: {e}"));
    let coupling = registry.couplings.parse(&options.coupling).map_err(of("coupling"))?;
    let (mut default, text) = (entry.outer.text(), options.algorithm.as_ref());
    let text = text.or(options.estimator.as_ref()).map_or("exact", |text| text).to_owned();
    let estimator: Box<dyn Estimator<T>> = if options.algorithm.is_some() {
        let made = registry.algorithms.parse(&text).map_err(of("algorithm"))?;
        default = made.outer().text();
        T::joint(made)
    } else {
        registry.estimators.parse(&text).map_err(of("estimator"))?
    };
    let own = [options.outer_lr, options.outer_power, options.outer_momentum];
    let (outer, chosen) = choose(&registry.outers, &default, options.outer.as_deref(), own)?;
    let (name, settings) = parts(&chosen);
    let known = registry.outers.find(name).map_err(Failure::usage)?.settings();
    let number = |own: &str| {
        let typed = settings.iter().find_map(|s| s.strip_prefix(own)?.strip_prefix('='));
        let default = known.iter().find(|s| s.name == own).and_then(|s| s.value.as_deref());
        typed.or(default)?.parse().ok()
    };
    let others = settings.iter().copied().filter(|s| !OWN.contains(&name_of(s)));
    let rest = [name, &others.collect::<Vec<_>>().join(",")].join(":");
    let typed = (rest.trim_end_matches(':').to_owned(), OWN.map(number));
    Ok(Algorithm { coupling: coupling.into(), estimator, text, outer: outer.into(), typed })
}

/// Number of iterations from one record to the next.
pub(crate) fn record_every(options: &Options, iterations: usize) -> usize {
    let some = iterations.div_ceil(1000).max(1);
    options.record_every.unwrap_or(if options.algorithm.is_some() { some } else { 1 })
}
