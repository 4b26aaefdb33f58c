//! The outer optimiser of a command: the problem's, with what was asked for in its place; what a coupling brings.

use super::app::{App, Precise};
use super::args::Run as Options;
use super::failure::Failure;
use crate::coupling::Coupling;
use crate::problems::Entry;
use crate::{Outer, Spelled, Spelling, Spellings};

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
pub(crate) struct Algorithm<T> {
    pub(crate) coupling: Box<dyn Coupling>,
    /// The text of an estimator.
    pub(crate) estimator: String,
    pub(crate) outer: Box<dyn Outer<T>>,
    pub(crate) typed: Typed,
}

/// The coupling that was asked for, and with it the estimator and the outer optimiser: what was asked for, or what the
/// coupling brings.
pub(crate) fn algorithm<T: Precise>(
    app: &App,
    entry: &Entry,
    options: &Options,
) -> Result<Algorithm<T>, Failure> {
    let registry = app.registry::<T>();
    let coupling = registry.couplings.parse(&options.coupling);
    let coupling = coupling.map_err(|e| Failure::usage(format!("--coupling: {e}")))?;
    let brought = coupling.brings(options.common.lr.unwrap_or(entry.lr));
    let [estimator, default] = match brought {
        None => ["exact".to_owned(), entry.outer.text()],
        // The step size stays that of the problem.
        Some([estimator, outer]) => {
            let own = entry.outer.text();
            let lr = parts(&own).1.into_iter().find(|s| name_of(s) == "lr");
            let (name, settings) = parts(&outer);
            let settings: Vec<_> = settings.into_iter().chain(lr).collect();
            [estimator, format!("{name}:{}", settings.join(","))]
        }
    };
    let own = [options.outer_lr, options.outer_power, options.outer_momentum];
    let (outer, text) = choose(&registry.outers, &default, options.outer.as_deref(), own)?;
    let (name, settings) = parts(&text);
    let known = registry.outers.find(name).map_err(Failure::usage)?.settings();
    let number = |own: &str| {
        let typed = settings.iter().find_map(|s| s.strip_prefix(own)?.strip_prefix('='));
        let default = known.iter().find(|s| s.name == own).and_then(|s| s.value.as_deref());
        typed.or(default)?.parse().ok()
    };
    let others = settings.iter().copied().filter(|s| !OWN.contains(&name_of(s)));
    let rest = [name, &others.collect::<Vec<_>>().join(",")].join(":");
    let typed = (rest.trim_end_matches(':').to_owned(), OWN.map(number));
    let estimator = options.estimator.clone().unwrap_or(estimator);
    Ok(Algorithm { coupling, estimator, outer, typed })
}
