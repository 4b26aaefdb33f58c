//! How a command moves: by an estimator or an algorithm of one loop, and an outer optimiser, which is the problem's with what
//! was asked for in its place.

use super::app::{App, Precise};
use super::args::Run as Options;
use super::failure::Failure;
use crate::coupling::Coupling;
use crate::problems::Entry;
use crate::{Estimator, Joint, Outer, Spelled, Spelling, Spellings};

/// Settings of outer optimisers that have options of their own, `--outer-lr` and the others.
const OWN: [&str; 3] = ["lr", "power", "momentum"];

/// The name of a choice, and its settings as they are typed.
fn parts(text: &str) -> (&str, Vec<&str>) {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    (name, settings.split(',').filter(|setting| !setting.is_empty()).collect())
}

/// The name of a setting as it is typed.
fn name_of(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default()
}

/// Whether it has a setting of that name.
fn has<M>(line: &Spelling<M>, setting: &str) -> bool {
    line.settings().iter().any(|s| s.name == setting)
}

/// Of the outer optimisers in `all`, that of the problem, whose text is `default`, with another name and what was asked for by
/// options of their own. The step size stays where only the name is another, so that one setting changes one thing.
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

/// The text of an outer optimiser, without settings that have options of their own, and those.
pub(crate) type Typed = (String, [Option<f64>; 3]);

/// How a run moves, by the options of a command.
pub(crate) struct Algorithm<T: Precise> {
    pub(crate) coupling: Box<dyn Coupling>,
    pub(crate) estimator: Box<dyn Estimator<T>>,
    /// The estimator, or the algorithm of one loop, as it was typed.
    pub(crate) text: String,
    pub(crate) outer: Box<dyn Outer<T>>,
    pub(crate) typed: Typed,
}

/// The estimator, or the algorithm of one loop, that was asked for, with the coupling and the outer optimiser: what was asked for,
/// or what the algorithm brings, or the problem.
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
        Box::new(Joint::from(made))
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
    Ok(Algorithm { coupling, estimator, text, outer, typed })
}

/// Iterations from one record to the next.
pub(crate) fn record_every(options: &Options, iterations: usize) -> usize {
    let some = iterations.div_ceil(1000).max(1);
    options.record_every.unwrap_or(if options.algorithm.is_some() { some } else { 1 })
}
