//! The outer optimiser of a command: the problem's, with what was asked for in its place; what a coupling brings.

use super::app::{App, Precise};
use super::args::Run as Options;
use super::failure::Failure;
use crate::coupling::Coupling;
use crate::problems::Entry;
use crate::{Outer, Spelled, Spellings};

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
    let known = all.find(name).map_err(of)?.settings();
    let known = |setting| known.iter().any(|s| s.name == setting);
    let mut settings: Vec<String> = typed.iter().map(|&setting| setting.to_owned()).collect();
    for (setting, value) in OWN.into_iter().zip(options) {
        let Some(value) = value else { continue };
        if !known(setting) {
            return Err(Failure::usage(format!("--outer-{setting}: {name} has no {setting}")));
        }
        settings.push(format!("{setting}={value:?}"));
    }
    for setting in kept.into_iter().filter(|&s| name == own || name_of(s) == "lr") {
        if known(name_of(setting)) && !settings.iter().any(|s| name_of(s) == name_of(setting)) {
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
    let lr = options.common.lr.unwrap_or(entry.lr);
    let (power, brings) = match &*options.coupling {
        "ttsa" => (Some(0.6), format!("single-draw:terms=10,reuse=1,lr={lr:?}")),
        "bsa" => (Some(0.5), format!("single-draw:terms=10,lr={lr:?}")),
        _ => (None, "exact".into()),
    };
    let asked = options.outer.as_deref().or(power.map(|_| "sgd"));
    // Where a power was not typed, that of the coupling.
    let decays = asked.is_some_and(|asked| parts(asked).0 == "sgd" && !asked.contains("power="));
    let power = options.outer_power.or(power.filter(|_| decays));
    let own = [options.outer_lr, power, options.outer_momentum];
    let (outer, text) = choose(&registry.outers, &entry.outer.text(), asked, own)?;
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
    let estimator = options.estimator.clone().unwrap_or(brings);
    Ok(Algorithm { coupling, estimator, outer, typed })
}
